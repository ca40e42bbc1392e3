"""Answers of a language model in Slack: its sentences appear while they are written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.fake_llm import FakeLlm, running, stream
from tests.fake_slack import FakeSlack, Fault, mention, pings, words
from tests.slack_bot import Connection

Connect = Callable[..., Connection]
QUESTION = "無線LANの利用申請の締め切りはいつですか？"
QUOTED = "無線LANの利用申請の締め切りは、毎月20日です。[1]"


@pytest.fixture
def llm() -> Iterator[FakeLlm]:
    with running() as llm:
        yield llm


@pytest.fixture
def connection(connect: Connect, llm: FakeLlm) -> Connection:
    return connect(llm_url=llm.url)


def test_sentences_appear_while_the_model_is_still_writing(
    slack: FakeSlack, connection: Connection, llm: FakeLlm
) -> None:
    go_on = threading.Event()

    def slowly() -> Iterator[bytes]:
        parts = list(stream(f"{QUOTED}{QUOTED}"))
        middle = len(parts) // 2 + 4
        yield from parts[:middle]
        go_on.wait(30)
        yield from parts[middle:]

    llm.raw = slowly
    ts = slack.say("C1", mention(QUESTION), user="U2")
    [begun] = slack.wait_for(lambda: [one for one in slack.replies("C1", ts) if one["text"]])
    assert begun["streaming"]
    assert "毎月20日" in begun["text"]
    go_on.set()
    slack.wait_for(lambda: not slack.replies("C1", ts)[0]["streaming"])
    connection.settle(slack)
    [reply] = slack.replies("C1", ts)
    assert reply["text"].count("毎月20日") == 2
    assert "無線LANの利用申請" in words(reply)
    assert "feedback_buttons" in str(reply["blocks"])
    start = slack.called("chat.startStream")[0].arguments
    assert (start["recipient_user_id"], start["recipient_team_id"]) == ("U2", "T0HOME")
    stored = connection.kiku.store.conversation(f"slack:T0HOME:C1:{ts}")
    assert stored is not None
    assert stored.answers[0].answer.composer == "llm"


def test_what_the_model_cannot_prove_is_not_shown(
    slack: FakeSlack, connection: Connection, llm: FakeLlm
) -> None:
    llm.says = "締め切りは毎月5日で、<!channel> 申請は不要です。[1]"
    ts = slack.say("C1", mention(QUESTION))
    reply = slack.reply("C1", ts)
    connection.settle(slack)
    assert "5日" not in words(reply) + reply["text"]
    assert "毎月20日" in words(reply)
    assert slack.called("chat.startStream") == []


def test_a_model_that_breaks_off_is_replaced_by_the_quote(
    slack: FakeSlack, connection: Connection, llm: FakeLlm
) -> None:
    def broken() -> Iterator[bytes]:
        yield from list(stream(f"{QUOTED}続きは"))[:-2]
        yield b"data: {not json\n\n"

    llm.raw = broken
    ts = slack.say("C1", mention(QUESTION))
    slack.reply("C1", ts)
    connection.settle(slack)
    [reply] = slack.replies("C1", ts)
    assert not reply.get("streaming")
    assert "毎月20日" in words(reply)


@pytest.mark.parametrize(
    ("method", "times"),
    [
        ("chat.startStream", 1),
        ("chat.appendStream", 1),
        ("chat.stopStream", 1),
        ("chat.stopStream", 5),
    ],
)
def test_a_stream_that_slack_breaks_ends_in_one_whole_reply(
    slack: FakeSlack, connection: Connection, llm: FakeLlm, method: str, times: int
) -> None:
    llm.says = f"{QUOTED}{QUOTED}"
    slack.fail(method, Fault("500", times=times))
    ts = slack.say("C1", mention(QUESTION))
    slack.reply("C1", ts)
    connection.settle(slack)
    [reply] = slack.replies("C1", ts)
    assert not reply.get("streaming")
    assert "毎月20日" in words(reply)
    assert "feedback_buttons" in str(reply["blocks"])
    assert pings(reply) == []


def test_a_stream_longer_than_slack_takes_ends_in_one_whole_reply(
    slack: FakeSlack, connection: Connection, llm: FakeLlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fake_slack.MARKDOWN_CHARS", 60)
    llm.says = QUOTED * 6
    ts = slack.say("C1", mention(QUESTION))
    slack.reply("C1", ts)
    connection.settle(slack)
    [reply] = slack.replies("C1", ts)
    assert "msg_too_long" in [call.error for call in slack.called("chat.appendStream")]
    assert not reply.get("streaming")
    assert words(reply).count("毎月20日") >= 6


def test_commands_do_not_stream(slack: FakeSlack, connection: Connection, llm: FakeLlm) -> None:
    llm.says = QUOTED
    slack.command(QUESTION)
    assert "毎月20日" in words(slack.wait_for(lambda: slack.responses)[0])
    connection.settle(slack)
    assert slack.called("chat.startStream") == []
