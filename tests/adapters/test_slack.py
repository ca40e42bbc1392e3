"""Every way to ask in Slack, against the fake server, through the real pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.fake_slack import BOT_ID, BOT_USER, TEAM, FakeSlack, Fault, mention, pings, words
from tests.slack_bot import Connection

Connect = Callable[..., Connection]
QUESTION = "無線LANの利用申請の締め切りはいつですか？"
ANSWER = "毎月20日"
OTHER = "固定IPアドレスの割り当ては誰が担当しますか？"


def lane(channel: str, ts: str) -> str:
    return f"slack:{TEAM}:{channel}:{ts}"


def buttons(message: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    elements = [one for block in message["blocks"] for one in block.get("elements", [])]
    return [one for one in elements if one["type"] == kind]


def test_a_mention_is_answered_once_in_its_thread(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()
    kiku = connection.kiku
    ts = slack.say("C1", mention(QUESTION))  # Slack sends two events for it
    reply = slack.reply("C1", ts)
    connection.settle(slack)
    assert slack.replies("C1") == [reply]
    assert ANSWER in reply["text"]
    stored = kiku.store.conversation(lane("C1", ts))
    assert stored is not None
    [kept] = stored.answers
    assert kept.question == QUESTION
    for citation in kept.answer.citations:
        document = kiku.retriever.document(citation.document_id)
        assert document is not None
        assert document.text[citation.start : citation.end] == citation.quote
    assert kept.answer.citations[0].quote in words(reply)
    [link, *_] = [
        part
        for block in reply["blocks"]
        for element in block.get("elements", [])
        for part in element.get("elements", [])
        if part["type"] == "link"
    ]
    assert link["url"] == "https://kiku.example.jp" + kept.answer.citations[0].url


def test_a_direct_message_is_answered_with_status_and_title(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect()
    ts = slack.say("D1", QUESTION)
    assert ANSWER in words(slack.reply("D1", ts))
    connection.settle(slack)
    assert slack.statuses == [("D1", ts, "文書を調べています…")]
    assert slack.wait_for(lambda: slack.titles) == {ts: QUESTION}


def test_a_thread_is_one_conversation_kept_by_kiku_itself(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect()
    ts = slack.say("C1", mention(QUESTION))
    slack.reply("C1", ts)
    slack.say("C1", mention("その申請には何が必要ですか？"), thread_ts=ts, user="U2")
    second = slack.reply("C1", ts, 2)
    connection.settle(slack)
    turns = connection.kiku.store.turns(lane("C1", ts))
    assert [turn.content for turn in turns if turn.role == "user"] == [
        QUESTION,
        "その申請には何が必要ですか？",
    ]
    assert "承認" in words(second)
    assert slack.called("conversations.replies") == []


def test_the_assistant_pane_greets_and_suggests_what_it_can_answer(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect()
    ts = slack.open_assistant()
    assert "根拠" in words(slack.reply("D1", ts))
    prompts = slack.wait_for(lambda: slack.prompts)[0]
    assert (prompts["channel_id"], prompts["thread_ts"]) == ("D1", ts)
    suggested = prompts["prompts"][0]["message"]
    slack.say("D1", suggested, thread_ts=ts)
    answer = slack.reply("D1", ts, 2)
    assert buttons(answer, "feedback_buttons")
    connection.settle(slack)
    assert slack.wait_for(lambda: slack.titles) == {ts: suggested}
    slack.say("D1", "もっと詳しく教えてください。", thread_ts=ts)
    slack.reply("D1", ts, 3)
    connection.settle(slack)
    assert slack.titles == {ts: suggested}
    stored = connection.kiku.store.conversation(lane("D1", ts))
    assert stored is not None
    assert stored.answers[0].answer.status == "answered"
    assert sum(day["asked"] for day in connection.kiku.store.insights(2)["days"]) == 2


def test_the_agent_view_greets_once_and_suggests_whenever_it_is_opened(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect()
    slack.open_home(tab="messages")
    [greeting] = slack.wait_for(lambda: slack.replies("D1"))
    assert "根拠" in words(greeting)
    assert "thread_ts" not in greeting
    connection.settle(slack)
    before = len(slack.wait_for(lambda: slack.prompts))
    slack.open_home(tab="messages")
    prompts = slack.wait_for(lambda: slack.prompts[before:])[0]
    assert "thread_ts" not in prompts
    assert prompts["channel_id"] == "D1"
    connection.settle(slack)
    assert slack.replies("D1") == [greeting]


@pytest.mark.parametrize("kind", ["group", "mpim"])
def test_private_channels_and_group_messages_are_answered_when_they_mention_kiku(
    slack: FakeSlack, connect: Connect, kind: Any
) -> None:
    connection = connect()
    slack.channel("G1", kind=kind)
    slack.say("G1", QUESTION)
    ts = slack.say("G1", mention(QUESTION))
    assert ANSWER in words(slack.reply("G1", ts))
    slack.delete("G1", ts)
    slack.wait_for(lambda: slack.replies("G1") == [])
    connection.settle(slack)


def test_a_command_answers_its_author_alone_and_can_be_published(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect()
    envelope = slack.command(QUESTION, user="U2")
    private = slack.wait_for(lambda: slack.responses)[0]
    assert envelope.response is None
    assert private["response_type"] == "ephemeral"
    assert ANSWER in words(private)
    assert slack.replies("C1") == []
    [button] = buttons(private, "button")
    slack.press("C1", "publish", button["value"], user="U2")
    slack.press("C1", "publish", button["value"], user="U2")  # a double click
    connection.settle(slack)
    [public] = slack.replies("C1")
    assert ANSWER in words(public)
    assert "<@U2>" in words(public)
    assert "thread_ts" not in public
    slack.wait_for(lambda: connection.kiku.store.turns(lane("C1", public["ts"])))
    slack.say("C1", mention("その申請には何が必要ですか？"), thread_ts=public["ts"], user="U3")
    assert "承認" in words(slack.reply("C1", public["ts"]))
    connection.settle(slack)
    turns = connection.kiku.store.turns(lane("C1", public["ts"]))
    assert turns[0].content == QUESTION


def test_publishing_works_where_kiku_is_no_member(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()
    slack.channel("C5", member=False)
    slack.command(QUESTION, channel="C5")
    private = slack.wait_for(lambda: slack.responses)[0]
    [button] = buttons(private, "button")
    slack.press("C5", "publish", button["value"])
    connection.settle(slack)
    assert slack.replies("C5") == []
    assert slack.responses[-1]["response_type"] == "in_channel"
    assert ANSWER in words(slack.responses[-1])


def test_help_comes_with_the_acknowledgement(slack: FakeSlack, connect: Connect) -> None:
    connect()
    envelopes = [slack.command(text) for text in ("", "help", "ヘルプ")]
    for envelope in envelopes:
        slack.wait_for(lambda envelope=envelope: envelope.acked_at)
        assert "@Kiku" in envelope.response["text"]
    assert slack.responses == []


def test_a_shortcut_answers_somebody_elses_message_once(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()
    ts = slack.say("C1", QUESTION, user="U1")
    slack.shortcut("C1", ts, user="U2")
    assert ANSWER in words(slack.reply("C1", ts))
    slack.shortcut("C1", ts, user="U3")
    connection.settle(slack)
    assert len(slack.replies("C1")) == 1
    assert "すでに" in slack.wait_for(lambda: slack.responses)[-1]["text"]


@pytest.mark.parametrize("kind", ["channel", "group"])
def test_a_shortcut_answers_in_private_where_kiku_is_no_member(
    slack: FakeSlack, connect: Connect, kind: Any
) -> None:
    connection = connect()
    slack.channel("C5", kind=kind, member=False)
    slack.shortcut("C5", slack.say("C5", QUESTION), user="U2")
    private = slack.wait_for(lambda: slack.responses)[0]
    connection.settle(slack)
    assert private["response_type"] == "ephemeral"
    assert ANSWER in words(private)
    assert "/invite" in words(private)
    assert slack.replies("C5") == []


def test_a_shortcut_on_a_picture_tells_its_user_alone(slack: FakeSlack, connect: Connect) -> None:
    connect()
    slack.shortcut("C1", slack.say("C1", "", files=[{"id": "F1"}]), user="U2")
    [whisper] = slack.wait_for(lambda: slack.ephemeral)
    assert (whisper["only_for"], "質問の文がありません" in words(whisper)) == ("U2", True)


def test_a_shortcut_answers_what_got_no_answer_that_all_can_see(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect(listen_channels=["C1"])
    slack.person("U0GUEST", is_restricted=True)
    refused = slack.say("C1", mention(QUESTION), user="U0GUEST")
    overheard = slack.say("C1", "おつかれさまでした。お先に失礼します。")
    slack.wait_for(lambda: slack.ephemeral)
    connection.settle(slack)
    for ts in (refused, overheard):
        slack.shortcut("C1", ts, user="U2")
        slack.shortcut("C1", ts, user="U2")  # a double click
    assert ANSWER in words(slack.reply("C1", refused))
    assert "見つかりません" in words(slack.reply("C1", overheard))
    connection.settle(slack)
    assert len(slack.replies("C1")) == 2
    assert ["すでに" in one["text"] for one in slack.responses] == [True, True]


def test_each_who_uses_the_shortcut_where_kiku_is_no_member_is_answered(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect()
    slack.channel("C5", member=False)
    ts = slack.say("C5", QUESTION)
    for user in ("U2", "U3"):
        slack.shortcut("C5", ts, user=user)
    connection.settle(slack)
    assert [ANSWER in words(one) for one in slack.responses] == [True, True]


def test_app_home_shows_how_what_and_my_questions(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()
    ts = slack.say("D1", QUESTION)
    slack.reply("D1", ts)
    connection.settle(slack)
    slack.open_home()
    home = words(slack.wait_for(lambda: slack.homes.get("U1")))
    assert "/kiku" in home
    assert "CentOS" in home
    assert QUESTION in home
    [page, *_] = [link["url"] for link in _links(slack.homes["U1"]["blocks"])]
    assert page.startswith("https://kiku.example.jp/sources/")
    slack.open_home("U2")
    assert QUESTION not in words(slack.wait_for(lambda: slack.homes.get("U2")))


def test_without_a_mention_only_listening_channels_are_answered(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect(listen_channels=["C2"])
    slack.channel("C2")
    ignored = slack.say("C1", QUESTION)
    asked = slack.say("C2", QUESTION)
    chatter = slack.say("C2", "おつかれさまでした。お先に失礼します。")
    to_somebody = slack.say("C2", f"<@U3> {QUESTION}")
    unknown = slack.say("C2", "来週の懇親会の会場はどこですか？")
    assert ANSWER in words(slack.reply("C2", asked))
    follow_up = slack.say("C2", OTHER, thread_ts=asked, user="U2")
    elsewhere = slack.say("C2", OTHER, thread_ts=chatter, user="U2")
    connection.settle(slack)
    assert len(slack.replies("C2", asked)) == 2, follow_up
    assert "見つかりません" in words(slack.reply("C2", unknown))
    for ts in (ignored, chatter, to_somebody, elsewhere):
        assert slack.replies("C1", ts) == slack.replies("C2", ts) == []
    asked_texts = {row["question"] for row in connection.kiku.store.insights(1)["unanswered"]}
    assert asked_texts == {"来週の懇親会の会場はどこですか？"}


def test_an_edit_of_what_was_only_overheard_is_overheard(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect(listen_channels=["C1"])
    chatter = slack.say("C1", "おつかれさまです。先に帰ります。")
    connection.settle(slack)
    slack.edit("C1", chatter, "おつかれさまでした。先に帰ります。")
    connection.settle(slack)
    assert slack.replies("C1") == []
    slack.edit("C1", chatter, QUESTION)
    assert ANSWER in words(slack.reply("C1", chatter))
    slack.edit(
        "C1", chatter, "社員食堂の木曜日のカレーです"
    )  # it was answered: now Kiku takes it back
    slack.wait_for(lambda: "見つかりません" in words(slack.replies("C1", chatter)[0]))


def test_an_edited_question_is_answered_anew_in_place(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()
    ts = slack.say("C1", mention(OTHER))
    before = dict(slack.reply("C1", ts))
    slack.unfurl("C1", ts)
    assert slack.called("chat.update") == []
    slack.edit("C1", ts, mention(QUESTION))
    after = slack.wait_for(lambda: [one for one in slack.replies("C1", ts) if "edited" in one])[0]
    connection.settle(slack)
    assert (after["ts"], len(slack.replies("C1"))) == (before["ts"], 1)
    # Slack would look for names in the text of an update, as it does not in that of a new message.
    assert [call.arguments["parse"] for call in slack.called("chat.update")] == ["none"]
    assert ANSWER in words(after)
    assert "ハヤブサ" not in words(after)
    turns = connection.kiku.store.turns(lane("C1", ts))
    assert [turn.content for turn in turns if turn.role == "user"] == [QUESTION]
    slack.edit("C1", ts, mention(OTHER))
    slack.wait_for(lambda: "ハヤブサ" in words(slack.replies("C1", ts)[0]))
    connection.settle(slack)
    assert len(slack.replies("C1")) == 1


def test_an_edit_that_adds_the_mention_asks(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()
    ts = slack.say("C1", QUESTION)
    slack.edit("C1", ts, mention(QUESTION))
    assert ANSWER in words(slack.reply("C1", ts))
    connection.settle(slack)
    assert len(slack.replies("C1")) == 1


def test_a_deleted_question_is_forgotten(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()
    ts = slack.say("C1", mention(QUESTION))
    slack.reply("C1", ts)
    second = slack.say("C1", mention(OTHER), thread_ts=ts)
    slack.reply("C1", ts, 2)
    connection.settle(slack)
    slack.delete("C1", second)
    slack.wait_for(lambda: len(slack.replies("C1")) == 1)
    connection.settle(slack)
    turns = connection.kiku.store.turns(lane("C1", ts))
    assert [turn.content for turn in turns if turn.role == "user"] == [QUESTION]
    message = slack._message("C1", ts)
    tombstone = {**message, "subtype": "tombstone", "text": "This message was deleted."}
    slack._changed("C1", {"message": tombstone, "previous_message": message})
    slack.wait_for(lambda: slack.replies("C1") == [])
    connection.settle(slack)
    assert connection.kiku.store.turns(lane("C1", ts)) == ()


def test_bots_are_not_answered(slack: FakeSlack, connect: Connect) -> None:
    connection = connect(listen_channels=["C1"])
    slack.say("C1", mention(QUESTION), user=BOT_USER, bot_id=BOT_ID)
    slack.say("C1", mention(QUESTION), user="U0OTHERBOT", bot_id="B0OTHER")
    slack.say("C1", mention(QUESTION), subtype="bot_message", bot_id="B0OTHER", user=None)
    slack.say("C1", QUESTION, subtype="channel_topic")
    slack.say("C1", QUESTION, subtype="channel_join")
    last = slack.say("C1", mention(QUESTION))
    slack.reply("C1", last)
    connection.settle(slack)
    assert len(slack.called("chat.postMessage")) == 1


def test_ratings_reach_the_store(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()
    ts = slack.say("C1", mention(QUESTION))
    [rating] = buttons(slack.reply("C1", ts), "feedback_buttons")
    connection.settle(slack)
    slack.press("C1", "feedback", rating["positive_button"]["value"], user="U2")
    slack.press("C1", "feedback", rating["negative_button"]["value"], user="U3")
    view = slack.wait_for(lambda: slack.opened)[0]
    comment = {"comment": {"comment": {"type": "plain_text_input", "value": "古い内容です"}}}
    envelope = slack.submit(view, comment, user="U3")
    slack.wait_for(lambda: envelope.acked_at)
    stored = connection.kiku.store.conversation(lane("C1", ts))
    assert stored is not None
    found = {(one.by, one.rating, one.comment) for one in stored.answers[0].ratings}
    assert found == {
        (f"slack:{TEAM}:U2", "up", ""),
        (f"slack:{TEAM}:U3", "down", "古い内容です"),
    }
    assert len(slack.opened) == 1


def test_not_knowing_says_so_and_how_to_ask_better(slack: FakeSlack, connect: Connect) -> None:
    connect()
    ts = slack.say("C1", mention("社員食堂の木曜日のカレーはいくらですか？"))
    reply = words(slack.reply("C1", ts))
    assert "見つかりません" in reply
    assert "見つけやすくするには" in reply


def test_english_is_answered_in_english(slack: FakeSlack, connect: Connect) -> None:
    connect()
    ts = slack.say("C1", mention("How much is the curry in the canteen on Thursdays?"))
    assert "To find more" in words(slack.reply("C1", ts))


def test_a_mention_alone_is_told_to_ask(slack: FakeSlack, connect: Connect) -> None:
    connect()
    ts = slack.say("C1", mention(""))
    assert "質問を続けて" in words(slack.reply("C1", ts))


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("ありがとうございます！:pray:", "お役に立てて"),
        ("使い方", "/kiku"),
        ("こんにちは。", "根拠となる箇所"),
        ("thank you!", "Glad"),
    ],
)
def test_what_asks_nothing_of_the_documents_is_not_searched_for(
    slack: FakeSlack, connect: Connect, said: str, reply: str
) -> None:
    connection = connect(listen_channels=["C2"])
    ts = slack.say("D1", said)
    assert reply in words(slack.reply("D1", ts))
    slack.channel("C2")
    slack.say("C2", said)
    connection.settle(slack)
    assert slack.replies("C2") == []
    assert connection.kiku.store.insights(1)["unanswered"] == []


def test_a_paste_of_60000_characters_is_told_the_limit(slack: FakeSlack, connect: Connect) -> None:
    connect()
    ts = slack.say("C1", mention("長い文章です。" * 9_000))
    assert "長すぎます" in words(slack.reply("C1", ts))


def test_a_document_cannot_ping_link_or_format(slack: FakeSlack, connect: Connect) -> None:
    connect()
    ts = slack.say("C1", mention("ゾウガメ計画の緊急連絡先はどこですか？"))
    reply = slack.reply("C1", ts)
    assert "内線4649" in words(reply)
    assert "<!channel>" in words(reply)
    assert pings(reply) == []
    assert "evil.example" not in json.dumps(_links(reply["blocks"]))
    assert not set("\u202e\u202c") & set(words(reply))


def _links(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [link for item in value for link in _links(item)]
    if isinstance(value, dict):
        inner = [link for item in value.values() for link in _links(item)]
        return [value, *inner] if value.get("type") == "link" else inner
    return []


def test_a_failure_gives_a_reference_and_no_exception(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()

    def broken(_question: object) -> None:
        raise RuntimeError("secret internals at 10.0.0.7")

    connection.app.responder._replies._ask = broken  # type: ignore[assignment]
    ts = slack.say("C1", mention(QUESTION))
    reply = words(slack.reply("C1", ts))
    assert "受付番号" in reply
    assert "secret" not in reply
    command = slack.command(QUESTION)
    assert "受付番号" in words(slack.wait_for(lambda: slack.responses)[0]), command


def test_without_an_index_people_are_told_to_wait(
    slack: FakeSlack, connect: Connect, tmp_path: Any
) -> None:
    connect(home=tmp_path / "empty")
    ts = slack.say("C1", mention(QUESTION))
    assert "準備ができていません" in words(slack.reply("C1", ts))
    slack.open_home()
    assert "まだ文書が登録されていません" in words(slack.wait_for(lambda: slack.homes.get("U1")))
    pane = slack.open_assistant()
    assert slack.reply("D1", pane)


def test_without_an_index_private_collections_stop_neither_home_nor_settings(
    slack: FakeSlack, connect: Connect, tmp_path: Any
) -> None:
    connect(home=tmp_path / "empty", private_collections=["personnel"])
    slack.open_home()
    assert "まだ文書が登録されていません" in words(slack.wait_for(lambda: slack.homes.get("U1")))
    ts = slack.say("C1", mention(QUESTION))
    assert "準備ができていません" in words(slack.reply("C1", ts))
    slack.command("設定", user="U0ADMIN")
    assert "メンションのない質問" in words(slack.wait_for(lambda: slack.opened)[0])


def test_settings_that_cannot_be_opened_are_told_with_a_reference(
    slack: FakeSlack, connect: Connect
) -> None:
    connect()
    slack.fail("views.open", Fault("500", times=9))
    slack.command("設定", user="U0ADMIN")
    assert "受付番号" in slack.wait_for(lambda: slack.responses)[0]["text"]
