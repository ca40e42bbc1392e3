"""What goes wrong between Slack and Kiku: every question still gets exactly one reply."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bot.records import Answer
from tests.fake_slack import (
    APP_TOKEN,
    BOT_TOKEN,
    BOT_USER,
    FakeSlack,
    Fault,
    mention,
    words,
)
from tests.slack_bot import Connection

Connect = Callable[..., Connection]
ROOT = Path(__file__).parents[2]
QUESTION = "無線LANの利用申請の締め切りはいつですか？"
ANSWER = "毎月20日"


def assert_one_reply(slack: FakeSlack, channel: str, ts: str) -> None:
    [reply] = slack.replies(channel, ts)
    assert ANSWER in words(reply)


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_delivery_that_comes_again_is_answered_once(
    slack: FakeSlack, connect: Connect, attempts: int
) -> None:
    connection = connect()
    ts = slack.say("C1", mention(QUESTION), deliver=False)
    event = {"type": "app_mention", "user": "U1", "text": mention(QUESTION), "ts": ts}
    body = slack.event_body(event | {"channel": "C1", "event_ts": ts}, event_id="Ev1")
    for attempt in range(attempts + 1):
        slack.send("events_api", body, attempt)
    slack.reply("C1", ts)
    slack.send("events_api", body, attempts)  # and once more after the answer
    connection.settle(slack)
    assert_one_reply(slack, "C1", ts)


def test_two_replicas_that_both_get_an_event_answer_once(
    slack: FakeSlack, connect: Connect
) -> None:
    first, second = connect(), connect()
    slack.wait_for(lambda: slack.connections == 2)
    asked = []
    for _ in range(10):
        ts = slack.say("C1", mention(QUESTION), deliver=False)
        event = {"type": "app_mention", "user": "U1", "text": mention(QUESTION), "ts": ts}
        body = slack.event_body(event | {"channel": "C1", "event_ts": ts})
        slack.send("events_api", body)
        slack.send("events_api", body)  # the sockets take turns
        asked.append(ts)
    for ts in asked:
        slack.reply("C1", ts)
    first.settle(slack)
    second.settle(slack)
    for ts in asked:
        assert_one_reply(slack, "C1", ts)


@pytest.mark.parametrize("polite", [True, False])
def test_a_broken_connection_loses_nothing(
    slack: FakeSlack, connect: Connect, polite: bool
) -> None:
    connection = connect()
    asked = [slack.say("C1", mention(QUESTION))]
    slack.disconnect(polite=polite)
    asked.append(slack.say("C1", mention(QUESTION)))
    slack.wait_for(lambda: slack.connections == 1, 30)
    asked.append(slack.say("C1", mention(QUESTION)))
    for ts in asked:
        slack.reply("C1", ts)
    connection.settle(slack)
    for ts in asked:
        assert_one_reply(slack, "C1", ts)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("429", times=2, seconds=1),
        Fault("500"),
        Fault("500", times=3),
        Fault("drop"),
        Fault("500", when="after"),
        Fault("drop", when="after"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.when}-{fault.times}",
)
def test_a_failing_post_ends_in_one_reply(slack: FakeSlack, connect: Connect, fault: Fault) -> None:
    connection = connect()
    slack.fail("chat.postMessage", fault)
    ts = slack.say("C1", mention(QUESTION))
    slack.wait_for(lambda: slack.replies("C1", ts), 30)
    connection.settle(slack)
    assert_one_reply(slack, "C1", ts)
    stored = connection.kiku.store.conversation(f"slack:T0HOME:C1:{ts}")
    assert stored is not None
    assert len(stored.answers) == 1


def test_rate_limits_are_waited_out(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()
    slack.fail("chat.postMessage", Fault("429", seconds=2))
    ts = slack.say("C1", mention(QUESTION))
    slack.reply("C1", ts)
    first, second = slack.called("chat.postMessage")[:2]
    assert second.at - first.at >= 2
    connection.settle(slack)


def test_slack_that_stays_broken_is_given_up_with_an_excuse(
    slack: FakeSlack, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.answering.TRIES", 2)
    connection = connect()
    slack.fail("users.info", Fault("500", times=6))
    ts = slack.say("C1", mention(QUESTION))
    slack.wait_for(lambda: slack.replies("C1", ts), 40)
    connection.settle(slack)
    [reply] = slack.replies("C1")
    assert "受付番号" in words(reply)
    slack.delete("C1", ts)  # the excuse goes with the question
    slack.wait_for(lambda: slack.replies("C1") == [])
    connection.settle(slack)


def test_a_channel_that_is_gone_stops_nothing(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()
    slack.channel("C3", archived=True)
    slack.say("C3", mention(QUESTION))
    ts = slack.say("C1", mention(QUESTION))
    slack.reply("C1", ts)
    connection.settle(slack)
    assert len(slack.called("chat.postMessage")) == 2


def test_blocks_that_slack_refuses_are_said_in_plain_text(
    slack: FakeSlack, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect()
    monkeypatch.setattr("tests.fake_slack.check_message", lambda blocks: "invalid_blocks")
    ts = slack.say("C1", mention(QUESTION))
    reply = slack.reply("C1", ts)
    assert ANSWER in reply["text"]
    assert "blocks" not in reply
    connection.settle(slack)


def test_without_the_database_nothing_is_acknowledged(connect: Connect, slack: FakeSlack) -> None:
    slack.ack_seconds = 0.5
    connection = connect()
    database = connection.kiku.store.database
    ts = slack.say("C1", mention(QUESTION))
    slack.reply("C1", ts)
    connection.settle(slack)
    with database.write() as session:
        session.execute(text("ALTER TABLE slack_questions RENAME TO gone"))
    second = slack.say("C1", mention(QUESTION))
    slack.wait_for(lambda: any(one.attempt for one in slack.envelopes))
    with database.write() as session:
        session.execute(text("ALTER TABLE gone RENAME TO slack_questions"))
    slack.reply("C1", second)
    connection.settle(slack)
    assert_one_reply(slack, "C1", second)


def held_back(connection: Connection) -> threading.Event:
    """Answers wait for this event, half a minute at most."""
    go_on = threading.Event()
    answer_slowly(connection, lambda: go_on.wait(30))
    return go_on


def answer_slowly(connection: Connection, wait: Callable[[], object]) -> None:
    """Every answer is worked out only after `wait`."""
    replies = connection.app.responder._replies
    answering = replies._ask

    def slowly(*asked: Any, **more: Any) -> Answer:
        wait()
        return answering(*asked, **more)

    replies._ask = slowly


def test_slow_answers_show_an_hourglass_and_waiting_ones_their_place(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect(workers=1)
    go_on = held_back(connection)
    first = slack.say("C1", mention(QUESTION))
    second = slack.say("C1", mention(QUESTION))
    marked = lambda ts: slack._message("C1", ts).get("reactions") == ["hourglass_flowing_sand"]  # noqa: E731
    slack.wait_for(lambda: marked(first) and marked(second))
    slack.wait_for(lambda: len(slack.statuses) == 2)  # each is set after its question is marked
    shown = {ts: status for _, ts, status in slack.statuses}
    assert "調べています" in shown[first]
    assert "順番待ち" in shown[second]
    go_on.set()
    for ts in (first, second):
        slack.reply("C1", ts)
    connection.settle(slack)
    slack.wait_for(lambda: not slack._message("C1", first)["reactions"])
    slack.wait_for(lambda: not slack._message("C1", second)["reactions"])


def test_a_command_that_waits_is_told_its_place(slack: FakeSlack, connect: Connect) -> None:
    connection = connect(workers=1)
    go_on = held_back(connection)
    ts = slack.say("C1", mention(QUESTION))
    slack.wait_for(lambda: slack.idle)
    slack.command(QUESTION)
    waiting = slack.wait_for(lambda: slack.responses)[0]
    assert "順番待ち" in waiting["text"]
    assert waiting["response_type"] == "ephemeral"
    go_on.set()
    slack.reply("C1", ts)
    connection.settle(slack)
    assert ANSWER in words(slack.responses[-1])


def test_answers_that_come_soon_show_no_hourglass(
    slack: FakeSlack, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.inbox.SLOW_SECONDS", 600)  # however slow this machine is
    connection = connect(listen_channels=["C1"])
    slack.reply("C1", slack.say("C1", mention(QUESTION)))
    connection.settle(slack)
    assert slack.called("reactions.add") == slack.called("reactions.remove") == []


def test_what_was_only_overheard_shows_no_hourglass_and_gets_no_excuse(
    slack: FakeSlack, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.answering.TRIES", 2)
    monkeypatch.setattr("bot.slack.inbox.SLOW_SECONDS", 0)
    connection = connect(listen_channels=["C1"])
    slack.fail("users.info", Fault("500", times=6))
    slack.say("C1", "おつかれさまでした。お先に失礼します。")
    connection.settle(slack)
    assert len(slack.called("users.info")) == 6
    assert slack.called("reactions.add") == slack.replies("C1") == []


def test_an_edit_that_cannot_be_answered_puts_the_excuse_in_place(
    slack: FakeSlack, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.answering.TRIES", 2)
    monkeypatch.setattr("bot.slack.access.PERSON_SECONDS", 1e-6)  # asked who it is every time
    connection = connect()
    ts = slack.say("C1", mention("固定IPアドレスの割り当ては誰が担当しますか？"))
    slack.reply("C1", ts)
    connection.settle(slack)
    slack.fail("users.info", Fault("500", times=6))
    slack.edit("C1", ts, mention(QUESTION))
    slack.wait_for(lambda: "受付番号" in words(slack.replies("C1", ts)[0]), 40)
    connection.settle(slack)
    assert len(slack.replies("C1")) == 1
    assert connection.kiku.store.turns(f"slack:T0HOME:C1:{ts}") == ()


def test_a_question_that_nobody_finishes_ends_in_an_excuse(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect()
    connection.app.stop()  # nothing is taken on any more
    ts = slack.say("C1", mention(QUESTION))
    slack.wait_for(lambda: slack.idle)
    with connection.kiku.store.database.write() as session:  # as after many crashes
        session.execute(text("UPDATE slack_questions SET attempts = 12"))
    after = connect()
    [reply] = slack.wait_for(lambda: slack.replies("C1", ts))
    assert "受付番号" in words(reply)
    after.settle(slack)
    assert len(slack.replies("C1")) == 1


def test_slack_that_is_slow_to_take_notices_costs_nobody_a_lease(
    slack: FakeSlack, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.inbox.SLOW_SECONDS", 0.1)
    connection = connect(lease=1)
    asked: list[float] = []

    def four_seconds() -> None:
        asked.append(time.monotonic())
        time.sleep(4)

    answer_slowly(connection, four_seconds)
    slack.fail("reactions.add", Fault("slow", seconds=10))
    ts = slack.say("C1", mention(QUESTION))
    slack.reply("C1", ts)
    connection.settle(slack)
    assert slack.called("reactions.add")
    assert len(asked) == 1
    assert_one_reply(slack, "C1", ts)


def test_an_update_whose_blocks_slack_refuses_is_said_in_plain_text(
    slack: FakeSlack, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect()
    ts = slack.say("C1", mention("固定IPアドレスの割り当ては誰が担当しますか？"))
    slack.reply("C1", ts)
    connection.settle(slack)
    monkeypatch.setattr("tests.fake_slack.check_message", lambda blocks: "msg_blocks_too_long")
    slack.edit("C1", ts, mention(QUESTION))
    slack.wait_for(lambda: ANSWER in slack.replies("C1", ts)[0]["text"])
    connection.settle(slack)
    [reply] = slack.replies("C1", ts)
    assert reply["blocks"] == []


def test_too_many_questions_are_asked_to_come_back(slack: FakeSlack, connect: Connect) -> None:
    connection = connect(workers=1, queue=3)
    go_on = held_back(connection)
    asked = [slack.say("C1", mention(QUESTION)) for _ in range(8)]
    slack.wait_for(lambda: connection.app.ledger.unfinished() == 8)
    go_on.set()
    replies = [words(slack.reply("C1", ts)) for ts in asked]
    connection.settle(slack)
    refused = [reply for reply in replies if "混み合って" in reply]
    answered = [reply for reply in replies if ANSWER in reply]
    assert len(refused) + len(answered) == 8
    assert 3 <= len(answered) <= 4  # three wait in the queue, and one was begun before it was full


@pytest.fixture
def process(slack: FakeSlack, slack_home: Path, tmp_path: Path) -> Iterator[Callable[..., object]]:
    """Starts `kiku slack` as a process of its own, as a user does."""
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "KIKU_HOME": str(slack_home),
            "KIKU_DATABASE": f"sqlite:///{tmp_path}/kiku.sqlite",
            "KIKU_SLACK_API_URL": slack.url,
            "KIKU_SLACK__LEASE": "2",
            "SLACK_BOT_TOKEN": BOT_TOKEN,
            "SLACK_APP_TOKEN": APP_TOKEN,
        }
        code = "from tests.faults.slack_process import main; main()"
        command = [sys.executable, "-c", code]
        one = subprocess.Popen(command, env=environment, cwd=tmp_path)
        running.append(one)
        slack.wait_for(lambda: slack.connections >= 1, 60)
        return one

    yield start
    for one in running:
        one.kill()
        one.wait()


def kill(slack: FakeSlack, one: subprocess.Popen[bytes]) -> None:
    one.send_signal(signal.SIGKILL)
    one.wait()
    slack.wait_for(lambda: slack.connections == 0)


def test_a_kill_between_acknowledgement_and_answer(
    slack: FakeSlack, process: Callable[[], subprocess.Popen[bytes]]
) -> None:
    first = process()
    slack.fail("users.info", Fault("slow", seconds=5))  # asked before the answer is made
    ts = slack.say("C1", mention(QUESTION))
    slack.wait_for(lambda: slack.idle and slack.called("users.info"))
    kill(slack, first)
    assert slack.replies("C1") == []
    process()
    slack.reply("C1", ts)
    time.sleep(1.0)
    assert_one_reply(slack, "C1", ts)


def test_a_kill_while_the_reply_is_being_posted(
    slack: FakeSlack, process: Callable[[], subprocess.Popen[bytes]]
) -> None:
    first = process()
    slack.fail("chat.postMessage", Fault("slow", when="after", seconds=5))
    ts = slack.say("C1", mention(QUESTION))
    slack.reply("C1", ts)  # Slack has it, and Kiku has not been told
    kill(slack, first)
    process()
    slack.wait_for(lambda: slack.called("conversations.replies"))
    time.sleep(1.0)
    assert_one_reply(slack, "C1", ts)


def test_terminating_finishes_what_was_begun(
    slack: FakeSlack, process: Callable[[], subprocess.Popen[bytes]]
) -> None:
    one = process()
    slack.fail("users.info", Fault("slow", seconds=1))
    ts = slack.say("C1", mention(QUESTION))
    slack.wait_for(lambda: slack.called("users.info"))
    one.terminate()
    assert one.wait(30) == 0
    assert_one_reply(slack, "C1", ts)


def ask_everywhere(slack: FakeSlack, count: int, channels: int, seconds: float) -> list[str]:
    """Questions spread over channels and, in each, over two threads; the timestamps in order."""
    roots = {}
    for number in range(channels):
        slack.channel(f"C{number:02}")
        for thread in range(2):
            roots[number, thread] = slack.say(f"C{number:02}", "雑談です", deliver=False)
    asked = []
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number * seconds / count - time.monotonic()))
        channel, thread = number % channels, number // channels % 2
        question = f"{QUESTION}（{number}）"
        ts = slack.say(
            f"C{channel:02}", mention(question), user="U2", thread_ts=roots[channel, thread]
        )
        asked.append(ts)
    return asked


def assert_each_once_and_in_order(
    slack: FakeSlack, connection: Connection, count: int, channels: int
) -> None:
    posted = [one for number in range(channels) for one in slack.replies(f"C{number:02}")]
    keys = Counter(one["metadata"]["event_payload"]["key"] for one in posted)
    assert len(keys) == count
    assert set(keys.values()) == {1}
    threads: dict[str, list[float]] = {}
    for one in sorted(posted, key=lambda one: one["ts"]):
        threads.setdefault(one["thread_ts"], []).append(one["ts"])
    with connection.kiku.store.database.read() as session:
        rows = session.execute(
            text(
                "SELECT lane, ts, reply_ts FROM slack_questions WHERE channel <> 'C1' "
                "ORDER BY lane, event_ts"
            )
        ).all()
    assert len(rows) == count
    for lane in {row[0] for row in rows}:
        replies = [row[2] for row in rows if row[0] == lane]
        assert replies == sorted(replies), lane
        assert all(replies)


def test_200_questions_in_10_seconds_from_20_channels(slack: FakeSlack, connect: Connect) -> None:
    connection = connect()
    slack.reply("C1", slack.say("C1", mention(QUESTION)))  # dictionary and index are in memory
    connection.settle(slack)
    before = memory()
    asked = ask_everywhere(slack, 200, 20, 10)
    connection.settle(slack, 240)
    assert_each_once_and_in_order(slack, connection, len(asked), 20)
    assert BOT_USER not in slack.people
    assert memory() < before * 1.3


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_1000_questions_with_faults_lose_and_double_nothing(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect(queue=2000)
    kinds = [
        Fault("500"),
        Fault("500", when="after"),
        Fault("drop", when="after"),
        Fault("drop"),
        Fault("429", seconds=1),
    ]
    stop = threading.Event()

    def trouble() -> None:
        number = 0
        while not stop.wait(0.7):
            number += 1
            one = kinds[number % len(kinds)]
            slack.fail("chat.postMessage", Fault(one.kind, when=one.when, seconds=one.seconds))
            if number % 20 == 0:
                slack.disconnect(polite=number % 40 == 0)

    troublemaker = threading.Thread(target=trouble, daemon=True)
    troublemaker.start()
    before = memory()
    asked = ask_everywhere(slack, 1000, 40, 60)
    middle = memory()
    stop.set()
    connection.settle(slack, 900)
    assert_each_once_and_in_order(slack, connection, len(asked), 40)
    assert memory() < max(middle, before) * 1.3


def memory() -> int:
    """Kilobytes that this process occupies."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
