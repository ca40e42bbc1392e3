"""Every sentence that an end user sees, in Japanese and in English."""

from __future__ import annotations

from dataclasses import dataclass

from bot.records import Language

# --- Answers ----------------------------------------------------------------------------------------

_NOT_FOUND = {
    "ja": (
        "お探しの答えは、登録されている文書の中には見つかりませんでした。"
        "近い内容の箇所を示しますので、言葉を変えてもう一度お試しください。"
    ),
    "en": (
        "The indexed documents do not answer this question. The nearest passages are shown; "
        "please try other words."
    ),
}
_NOTHING_NEAR = {
    "ja": (
        "お探しの答えは、登録されている文書の中には見つかりませんでした。"
        "言葉を変えてもう一度お試しください。"
    ),
    "en": "The indexed documents do not answer this question. Please try other words.",
}
_EMPTY = {
    "ja": ("質問が空です。", "知りたいことを文や言葉で入力してください。"),
    "en": ("The question is empty.", "Please type what you would like to know."),
}
_NO_WORDS = {
    "ja": ("質問に言葉が含まれていません。", "絵文字や記号だけでなく、言葉で質問してください。"),
    "en": ("The question holds no words.", "Please ask in words, not in symbols alone."),
}


def not_found(language: Language, *, passages: bool) -> str:
    """The answer when the documents do not answer, with or without near passages to show."""
    return (_NOT_FOUND if passages else _NOTHING_NEAR)[language]


def empty_question(language: Language = "ja") -> tuple[str, str]:
    """What is wrong with an empty question, and what to do."""
    return _EMPTY[language]


def question_without_words(language: Language = "ja") -> tuple[str, str]:
    """What is wrong with a question of symbols, and what to do."""
    return _NO_WORDS[language]


def question_too_long(length: int, limit: int) -> tuple[str, str]:
    """What is wrong with a question that is too long, and what to do."""
    return (
        f"質問が長すぎます（{length:,} 文字。上限は {limit:,} 文字です）。",
        "質問の要点だけを送ってください。",
    )


def bad_conversation_id(limit: int) -> tuple[str, str]:
    """What is wrong with a conversation id that no client of ours makes."""
    return (
        f"conversation_id は {limit} 文字以内の英数字と -_.: で指定してください。",
        "前の回答に含まれる conversation_id をそのまま送ってください。",
    )


# --- Slack ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SlackMessages:
    """What Kiku says in Slack around an answer. `{…}` is filled in with str.format."""

    greeting: str
    prompts_title: str
    prompt: str
    prompt_about: str
    searching: str
    waiting: str
    slow_title: str
    failed: str
    not_ready: str
    busy: str
    no_question: str
    guest: str
    workspace: str
    channel: str
    private_note: str
    shared_note: str
    publish: str
    published: str
    publish_refused: str
    publish_gone: str
    already_answered: str
    nearest: str
    related: str
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
    settings_refused: str
    settings_only_channels: str


SLACK: dict[Language, SlackMessages] = {
    "ja": SlackMessages(
        greeting="こんにちは。登録された文書から、根拠となる箇所を添えてお答えします。",
        prompts_title="たとえば、こんなことを尋ねられます",
        prompt="{topic}とは何ですか？",
        prompt_about="{topic}について教えてください",
        searching="文書を調べています…",
        waiting="順番待ちです（前に{count}件）…",
        slow_title="調べています",
        failed="申し訳ありません、うまく答えられませんでした。少し待ってもう一度お試しください。"
        "続くようでしたら、受付番号 {reference} を管理者にお伝えください。",
        not_ready="まだ答えの元になる文書の準備ができていません。しばらくしてからお試しください。"
        "続くようでしたら、受付番号 {reference} を管理者にお伝えください。",
        busy="ただいま質問が混み合っています。1分ほど待ってから、もう一度お尋ねください。",
        no_question="質問を続けて書いてください。例: 「@Kiku 有給休暇は何日もらえますか？」",
        guest="ゲストや社外の方からの質問には、お答えしない設定になっています。",
        workspace="このワークスペースでは使えない設定になっています。",
        channel="このチャンネルでは使えない設定になっています。",
        private_note="公開範囲の限られた文書にもとづく答えなので、あなただけに表示しています。",
        shared_note="社外の方もいるチャンネルなので、あなただけに表示しています。",
        publish="チャンネルに公開",
        published="{user} さんが {command} で尋ねました: {question}",
        publish_refused="この答えの出典には、このチャンネルに出せない文書があります。",
        publish_gone="この答えはもう残っていません。もう一度お尋ねください。",
        already_answered="この質問には、すでにスレッドで答えています。",
        nearest="近い内容の箇所",
        related="関連する箇所:",
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
        settings_collections_hint="選ばなければ、公開されている文書すべてを使います。",
        settings_listen="メンションのない質問",
        settings_listen_on="メンションがなくても質問に答える",
        settings_saved="このチャンネルの設定を保存しました。",
        settings_refused="設定を変えられるのは、ワークスペースの管理者とチャンネルの作成者だけです。",
        settings_only_channels="設定は、チャンネルの中で {command} 設定 と書いて変えてください。",
    ),
    "en": SlackMessages(
        greeting="Hello. I answer from the documents you registered, and show where it is written.",
        prompts_title="You could ask, for example",
        prompt="What is {topic}?",
        prompt_about="Tell me about {topic}",
        searching="is looking through the documents…",
        waiting="has your question in the queue ({count} before it)…",
        slow_title="Looking",
        failed="Sorry, that did not work. Please try again in a moment. "
        "If it goes on, give your administrator the reference {reference}.",
        not_ready="The documents are not ready yet. Please try again later. "
        "If it goes on, give your administrator the reference {reference}.",
        busy="Too many questions at once. Please ask again in a minute.",
        no_question="Please write your question after the mention: “@Kiku how many days off do I get?”",
        guest="Questions of guests and people from other companies are not answered here.",
        workspace="Kiku is not enabled for this workspace.",
        channel="Kiku is not enabled for this channel.",
        private_note="Only you can see this: it is based on documents with limited access.",
        shared_note="Only you can see this: people from other companies are in this channel.",
        publish="Show in channel",
        published="{user} asked with {command}: {question}",
        publish_refused="This answer cites documents that may not be shown in this channel.",
        publish_gone="This answer is no longer kept. Please ask again.",
        already_answered="This question has been answered in its thread already.",
        nearest="Nearest passages",
        related="See also:",
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
        settings_collections_hint="None chosen: all documents that are not private.",
        settings_listen="Questions without a mention",
        settings_listen_on="Answer questions that do not mention Kiku",
        settings_saved="The settings of this channel are saved.",
        settings_refused="Only workspace admins and the creator of the channel can change this.",
        settings_only_channels="Write {command} settings inside a channel to change its settings.",
    ),
}


# --- HTTP ------------------------------------------------------------------------------------------

# code → (Japanese message, Japanese hint, English message, English hint)
HTTP_ERRORS: dict[str, tuple[str, str, str, str]] = {
    "bad_json": (
        "本文をJSONとして読めません。",
        "UTF-8のJSONを Content-Type: application/json で送ってください。",
        "The body is not JSON.",
        "Send UTF-8 JSON with Content-Type: application/json.",
    ),
    "bad_http": (
        "HTTPのリクエストとして読めません。",
        "アドレスに空白などがあれば、%20 のように書いてください。",
        "This is not an HTTP request.",
        "Write spaces and the like in the address as %20.",
    ),
    "bad_request": (
        "リクエストの {where} が正しくありません（{what}）。",
        "使える項目は /docs にあります。",
        "{where} of the request is not valid: {what}.",
        "See /docs for the fields.",
    ),
    "body_too_large": (
        "リクエストが大きすぎます。",
        "{limit}バイトまでにしてください。",
        "The request is too large.",
        "Keep it within {limit} bytes.",
    ),
    "too_slow": (
        "リクエストの本文が届きません。",
        "本文を途切れさせずに送ってください。",
        "The body of the request does not arrive.",
        "Send it without pauses.",
    ),
    "not_found": (
        "見つかりません。",
        "アドレスを確かめてください。使える経路は /docs にあります。",
        "Not found.",
        "Check the address; the routes are listed at /docs.",
    ),
    "document_not_found": (
        "この文書はありません。",
        "文書の一覧は GET /documents で得られます。",
        "There is no such document.",
        "GET /documents lists the documents.",
    ),
    "conversation_not_found": (
        "この会話はありません。",
        "conversation_id を付けずに質問すると、新しい会話が始まります。",
        "There is no such conversation.",
        "Ask without conversation_id to begin a new one.",
    ),
    "answer_not_found": (
        "この回答はありません。",
        "回答の id をそのまま answer_id に入れてください。",
        "There is no such answer.",
        "Send the id of an answer as answer_id.",
    ),
    "model_not_found": (
        "このモデルはありません。",
        "使えるモデルは GET /v1/models で得られます。",
        "There is no such model.",
        "GET /v1/models lists the models.",
    ),
    "no_user_message": (
        "messages に利用者の発言がありません。",
        'role が "user" のメッセージを最後に入れてください。',
        "There is no user message in messages.",
        'Put one with role "user" at the end.',
    ),
    "method_not_allowed": (
        "この経路ではこのメソッドは使えません。",
        "使えるメソッドは Allow ヘッダーにあります。",
        "This method is not allowed here.",
        "The Allow header lists those that are.",
    ),
    "key_missing": (
        "APIキーが必要です。",
        "Authorization: Bearer にAPIキーを付けてください。",
        "An API key is required.",
        "Send it as Authorization: Bearer.",
    ),
    "key_unknown": (
        "このAPIキーは使えません。",
        "管理者に `kiku keys create` で作ってもらってください。",
        "This API key is not valid.",
        "Ask an administrator for one made by `kiku keys create`.",
    ),
    "admins_only": (
        "ここは管理者だけが使えます。",
        "管理者のAPIキーを使ってください。キーを設けていなければ、このマシンから開いてください。",
        "This is for administrators only.",
        "Use an administrator's API key, or, where there are no keys, this machine itself.",
    ),
    "collection_forbidden": (
        "指定されたコレクションは見られません。",
        "collections を外すか、見られるものだけにしてください。",
        "You may not see the collections asked for.",
        "Leave collections out, or name only those that you may see.",
    ),
    "host_unknown": (
        "このホスト名では使えません。",
        "KIKU_ALLOWED_HOSTS か KIKU_PUBLIC_URL に加えてください。",
        "The service does not go by this host name.",
        "Add it to KIKU_ALLOWED_HOSTS or KIKU_PUBLIC_URL.",
    ),
    "cross_site": (
        "ほかのサイトからの書き込みは受け付けません。",
        "許すサイトは KIKU_CORS_ORIGINS に加えてください。",
        "Requests from other sites that change something are refused.",
        "Add the site to KIKU_CORS_ORIGINS to allow it.",
    ),
    "rate_limited": (
        "リクエストが多すぎます。",
        "{seconds}秒待ってからもう一度お試しください。",
        "Too many requests.",
        "Try again in {seconds} seconds.",
    ),
    "overloaded": (
        "ただいま混み合っています。",
        "少し待ってからもう一度お試しください。",
        "The service is busy.",
        "Try again in a moment.",
    ),
    "starting": (
        "起動しています。",
        "数秒後にもう一度お試しください。",
        "The service is starting.",
        "Try again in a few seconds.",
    ),
    "rebuild_unavailable": (
        "ここからは索引を作り直せません。",
        "サーバーで `kiku build` を実行してください。",
        "The index cannot be rebuilt from here.",
        "Run `kiku build` on the server.",
    ),
    "internal_error": (
        "サーバー内部でエラーが起きました。",
        "続くようなら、X-Request-ID を添えて管理者に伝えてください。",
        "Something went wrong inside the service.",
        "If it goes on, tell an administrator, with the X-Request-ID.",
    ),
    "http_error": ("リクエストを処理できません。", "", "The request cannot be handled.", ""),
}
# pydantic's name of a mistake in a field → what to call it in Japanese and in English
HTTP_MISTAKES: dict[str, tuple[str, str]] = {
    "missing": ("必要な項目がありません", "it is required"),
    "extra_forbidden": ("知らない項目です", "it is not known"),
    "string_type": ("文字列ではありません", "it must be a string"),
    "string_unicode": ("正しいUnicodeではありません", "it is not valid Unicode"),
    "string_too_short": ("空です", "it is empty"),
    "string_pattern_mismatch": ("空か、使えない文字があります", "it is blank or malformed"),
    "string_too_long": ("長すぎます", "it is too long"),
    "too_long": ("多すぎます", "it has too many items"),
    "int_type": ("整数ではありません", "it must be an integer"),
    "int_parsing": ("整数ではありません", "it must be an integer"),
    "int_parsing_size": ("大きすぎる数です", "the number is too large"),
    "greater_than_equal": ("小さすぎます", "it is too small"),
    "less_than_equal": ("大きすぎます", "it is too large"),
    "literal_error": ("使えない値です", "it is not one of the values allowed"),
    "list_type": ("配列ではありません", "it must be an array"),
}
