"""What people read in Slack around an answer."""

from __future__ import annotations

from dataclasses import dataclass

from bot.records import Language


@dataclass(frozen=True, slots=True)
class SlackMessages:
    """What Kiku says in Slack around an answer. `{…}` is filled in with str.format."""

    greeting: str
    prompts_title: str
    searching: str
    waiting: str
    status: str
    failed: str
    not_ready: str
    busy: str
    no_question: str
    no_text: str
    thanks: str
    guest: str
    workspace: str
    channel: str
    private_note: str
    shared_note: str
    not_member: str
    publish: str
    published: str
    publish_refused: str
    publish_gone: str
    already_answered: str
    nearest: str
    related: str
    older: str
    rephrase_title: str
    rephrase: tuple[str, ...]
    more_sources: str
    helpful: str
    not_helpful: str
    comment_title: str
    comment_label: str
    comment_hint: str
    send: str
    close: str
    save: str
    help: tuple[str, ...]
    home_title: str
    home_how: str
    home_documents: str
    home_more_documents: str
    home_no_documents: str
    home_recent: str
    home_no_recent: str
    settings_title: str
    settings_intro: str
    settings_collections: str
    settings_collections_hint: str
    settings_listen: str
    settings_listen_on: str
    settings_saved: str
    settings_default: str
    settings_all: str
    settings_listen_off: str
    settings_refused: str
    settings_only_channels: str


SLACK: dict[Language, SlackMessages] = {
    "ja": SlackMessages(
        greeting="こんにちは。登録された文書から、根拠となる箇所を添えてお答えします。"
        "知りたいことを、そのまま書いてください。",
        prompts_title="たとえば、こんなことを尋ねられます",
        searching="文書を調べています…",
        waiting="順番待ちです（前に{count}件）…",
        status="{status}",
        failed="申し訳ありません、うまく答えられませんでした。少し待ってもう一度お試しください。"
        "続くようでしたら、受付番号 {reference} を管理者にお伝えください。",
        not_ready="まだ答えの元になる文書の準備ができていません。しばらくしてからお試しください。"
        "続くようでしたら、受付番号 {reference} を管理者にお伝えください。",
        busy="ただいま質問が混み合っています。1分ほど待ってから、もう一度お尋ねください。",
        no_question="質問を続けて書いてください。例:「@Kiku 有給休暇は何日もらえますか？」",
        no_text="このメッセージには、質問の文がありません。",
        thanks="お役に立ててよかったです。ほかにも知りたいことがあれば、続けてどうぞ。",
        guest="ゲストや社外の方からの質問には、お答えしない設定になっています。",
        workspace="このワークスペースでは使えない設定になっています。",
        channel="このチャンネルでは使えない設定になっています。",
        private_note="公開範囲の限られた文書にもとづく答えなので、あなただけに表示しています。",
        shared_note="社外の方もいる可能性のあるチャンネルなので、あなただけに表示しています。",
        not_member="Kikuがこの会話に参加していないので、あなただけに表示しています。"
        "チャンネルなら、/invite @Kiku で招待するとスレッドで答えられます。",
        publish="チャンネルに公開",
        published="{user} さんが {command} で尋ねました: {question}",
        publish_refused="この答えの出典には、このチャンネルに出せない文書があります。",
        publish_gone="この答えはもう残っていません。もう一度お尋ねください。",
        already_answered="この質問には、すでにスレッドで答えています。",
        nearest="近い内容の箇所",
        related="関連する箇所",
        older="旧版",
        rephrase_title="見つけやすくするには",
        rephrase=(
            "製品名や手続きの名前など、文書に出てきそうな言葉を入れる",
            "「それ」「あの件」ではなく、何についてかを書く",
            "一度に一つのことを尋ねる",
        ),
        more_sources="ほか{count}件の出典は省きました。",
        helpful="役に立った",
        not_helpful="役に立たなかった",
        comment_title="ご意見",
        comment_label="どこが違っていましたか",
        comment_hint="例: 古い内容でした。正しくは3月末です。",
        send="送る",
        close="閉じる",
        save="保存",
        help=(
            "チャンネルでは @Kiku に続けて質問を書いてください。スレッドで答えます。",
            "続けて尋ねるときは、同じスレッドで @Kiku をつけて書いてください。",
            "ダイレクトメッセージでは、そのまま質問を書けます。",
            "{command} 質問 と書くと、自分だけに見える答えが返ります。",
            "メッセージのメニュー「この質問にKikuで答える」も使えます。",
            "{command} 設定 で、このチャンネルの設定を変えられます（管理者とチャンネル作成者）。",
        ),
        home_title="Kiku — 文書に聞く",
        home_how="使い方",
        home_documents="答えの元になる文書（{count}件）",
        home_more_documents="ほか{count}件",
        home_no_documents="まだ文書が登録されていません。",
        home_recent="あなたの最近の質問",
        home_no_recent="まだ質問がありません。",
        settings_title="Kikuの設定",
        settings_intro="このチャンネルでの答え方を決めます。",
        settings_collections="答えに使う文書",
        settings_collections_hint="選ばなければ、初めの設定（ふつうは公開されている文書すべて）に従います。",
        settings_listen="メンションのない質問",
        settings_listen_on="メンションがなくても質問に答える",
        settings_saved="保存しました。これからの質問に使われます。",
        settings_default="{name}（ほかのどれにも入らない文書）",
        settings_all="初めの設定のとおり",
        settings_listen_off="メンションされたときだけ答える",
        settings_refused="設定を変えられるのは、ワークスペースの管理者とチャンネルの作成者だけです。",
        settings_only_channels="設定は、チャンネルの中で {command} 設定 と書いて変えてください。",
    ),
    "en": SlackMessages(
        greeting="Hello. I answer from the documents of your team and show where it is written. "
        "Just write what you would like to know.",
        prompts_title="You could ask, for example",
        searching="is looking through the documents…",
        waiting="has your question in the queue ({count} before it)…",
        status="Kiku {status}",  # the two lines above stand behind the name of the app
        failed="Sorry, that did not work. Please try again in a moment. "
        "If it goes on, give your administrator the reference {reference}.",
        not_ready="The documents are not ready yet. Please try again later. "
        "If it goes on, give your administrator the reference {reference}.",
        busy="Too many questions at once. Please ask again in a minute.",
        no_question="Please write your question after the mention: “@Kiku how many days off do I get?”",
        no_text="There is no question in this message.",
        thanks="Glad to help. Just ask if there is anything else.",
        guest="Questions of guests and people from other companies are not answered here.",
        workspace="Kiku is not enabled for this workspace.",
        channel="Kiku is not enabled for this channel.",
        private_note="Only you can see this: it is based on documents with limited access.",
        shared_note="Only you can see this: people from other companies may be in this channel.",
        not_member="Only you can see this: Kiku is not in this conversation. "
        "In a channel, /invite @Kiku lets it answer in the thread.",
        publish="Show in channel",
        published="{user} asked with {command}: {question}",
        publish_refused="This answer cites documents that may not be shown in this channel.",
        publish_gone="This answer is no longer kept. Please ask again.",
        already_answered="This question has been answered in its thread already.",
        nearest="Nearest passages",
        related="See also",
        older="older version",
        rephrase_title="To find more",
        rephrase=(
            "Use words that the documents use: names of products or procedures",
            "Say what it is about instead of “it” or “that”",
            "Ask one thing at a time",
        ),
        more_sources="{count} more sources are left out.",
        helpful="Helpful",
        not_helpful="Not helpful",
        comment_title="Feedback",
        comment_label="What was wrong?",
        comment_hint="For example: this is outdated, it is the end of March.",
        send="Send",
        close="Close",
        save="Save",
        help=(
            "In a channel, write your question after @Kiku. The answer comes in a thread.",
            "To go on asking, mention @Kiku in the same thread.",
            "In a direct message, just write your question.",
            "{command} QUESTION answers so that only you can see it.",
            "Or use “この質問にKikuで答える” in the menu of a message.",
            "{command} settings changes how Kiku answers in a channel (admins and its creator).",
        ),
        home_title="Kiku — ask your documents",
        home_how="How to use it",
        home_documents="Documents it answers from ({count})",
        home_more_documents="and {count} more",
        home_no_documents="No documents are registered yet.",
        home_recent="Your recent questions",
        home_no_recent="No questions yet.",
        settings_title="Kiku settings",
        settings_intro="How Kiku answers in this channel.",
        settings_collections="Documents to answer from",
        settings_collections_hint="None chosen: as set up, usually all that are not private.",
        settings_listen="Questions without a mention",
        settings_listen_on="Answer questions that do not mention Kiku",
        settings_saved="Saved. They hold for questions from now on.",
        settings_default="{name} (documents in no other collection)",
        settings_all="As set up",
        settings_listen_off="Answer only when mentioned",
        settings_refused="Only workspace admins and the creator of the channel can change this.",
        settings_only_channels="Write {command} settings inside a channel to change its settings.",
    ),
}
