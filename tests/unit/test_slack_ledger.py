from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bot.errors import StoreUnavailable
from bot.records import Question
from bot.slack.ledger import Delivery, Ledger, process_name
from bot.store import Store
from bot.store.tables import SlackQuestionRow
from tests.unit.test_store import ask


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A PostgreSQL of our own; skips where none is installed, or no driver."""
    pytest.importorskip("psycopg")
    server = shutil.which("postgres")
    initdb = server and shutil.which("initdb", path=Path(os.path.realpath(server)).parent)
    if not server or not initdb:
        pytest.skip("PostgreSQL is not installed")
    # It refuses to run as root; then it runs as nobody, in a folder that nobody can reach.
    who: dict[str, Any] = {}
    if os.geteuid() == 0:
        who = {"user": 65534, "group": 65534, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="kiku-pg-") as folder:
        if who:
            os.chown(folder, who["user"], who["group"])
        data = f"{folder}/data"
        make = [initdb, "-D", data, "-U", "kiku", "-A", "trust", "--no-sync"]
        subprocess.run(make, check=True, capture_output=True, cwd="/", **who)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        serve = [server, "-D", data, "-p", str(port), "-k", folder, "-c", "fsync=off"]
        process = subprocess.Popen(serve, stderr=subprocess.DEVNULL, cwd="/", **who)
        url = f"postgresql://kiku@127.0.0.1:{port}/postgres"
        try:
            _wait_for(url)
            yield url
        finally:
            process.terminate()
            process.wait()


def _wait_for(url: str) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            Store.open(url).close()
            return
        except StoreUnavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/kiku.sqlite"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres")
    store = Store.open(url)
    yield store
    if request.param == "postgresql":
        with store.database.write() as session:
            for table in ("slack_questions", "conversations", "answers"):
                session.connection().exec_driver_sql(f"TRUNCATE {table} CASCADE")
    store.close()


def stamp(seconds: float) -> str:
    """A timestamp as Slack writes it."""
    return f"{1_700_000_000 + seconds:.6f}"


def delivery(ts: float, lane: str = "a", **values: object) -> Delivery:
    fields = {
        "team": "T",
        "channel": "C",
        "ts": stamp(ts),
        "lane": lane,
        "kind": "message",
        "request": {"text": f"{ts}"},
        "event_ts": stamp(ts),
        **values,
    }
    return Delivery(**fields)  # type: ignore[arg-type]


def time_is_up(ledger: Ledger) -> None:
    """Makes due what waits, and ends every lease."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    with ledger._database.write() as session:
        session.execute(update(SlackQuestionRow).values(until=past))


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store.database, process_name())


def test_a_message_is_taken_in_once(ledger: Ledger) -> None:
    assert ledger.add(delivery(1, event_id="E1"))
    assert not ledger.add(delivery(1, event_id="E1"))
    assert not ledger.add(delivery(1, event_id="E2"))  # the other event of the same message
    assert not ledger.add(delivery(2, event_id="E1"))
    assert ledger.add(delivery(1, version="2.0", kind="edit"))
    assert ledger.add(delivery(1, channel="D"))
    assert ledger.unfinished() == 3


def test_a_thread_is_worked_on_in_order_and_others_meanwhile(ledger: Ledger) -> None:
    for ts, lane in ((3, "a"), (1, "a"), (2, "b")):
        ledger.add(delivery(ts, lane))
    first = ledger.take()
    second = ledger.take()
    assert first is not None
    assert second is not None
    assert (first.request["text"], second.request["text"]) == ("1", "2")
    assert ledger.take() is None
    ledger.finish(first.number)
    third = ledger.take()
    assert third is not None
    assert third.request["text"] == "3"


def test_a_retry_keeps_its_place_in_the_thread(ledger: Ledger) -> None:
    ledger.add(delivery(1))
    ledger.add(delivery(2))
    job = ledger.take()
    assert job is not None
    assert not job.recovered
    ledger.postpone(job.number, 60)
    assert ledger.take() is None
    time_is_up(ledger)
    again = ledger.take()
    assert again is not None
    assert (again.number, again.attempts, again.recovered) == (job.number, 2, True)


def test_busy_channels_are_passed_over(ledger: Ledger) -> None:
    ledger.add(delivery(1))
    ledger.add(delivery(2, "b", channel="C2"))
    job = ledger.take(busy_channels=["C"])
    assert job is not None
    assert job.channel == "C2"


def test_those_who_wait_learn_how_many_are_before_them(ledger: Ledger) -> None:
    for ts in range(3):
        ledger.add(delivery(ts))
    assert ledger.take() is not None
    assert ledger.waiting(60) == []
    [(first, before), (_, before_second)] = ledger.waiting(0)
    assert (before, before_second) == (1, 2)  # one is being answered
    ledger.note(first.number, notice="waiting")
    ledger.add(delivery(3))
    untold = [before for _, before in ledger.waiting(0)]
    assert untold == [2, 3]  # the one that was told still waits


def test_another_process_takes_over_when_the_lease_is_over(store: Store) -> None:
    first = Ledger(store.database, "elsewhere:1:aa", lease=60)
    second = Ledger(store.database, "somewhere:2:bb", lease=60)
    first.add(delivery(1))
    job = first.take()
    assert job is not None
    assert second.take() is None
    time_is_up(first)
    first.extend([job.number])
    assert second.take() is None
    time_is_up(first)
    taken = second.take()
    assert taken is not None
    assert taken.recovered
    assert not first.posting(job, "a1")
    assert second.posting(taken, "a1")


def test_what_a_dead_process_of_this_host_had_is_due_at_once(store: Store) -> None:
    host, pid, _ = process_name().rsplit(":", 2)
    gone = subprocess.Popen(["true"])
    gone.wait()
    for ts, owner in enumerate((f"{host}:{gone.pid}:aa", f"{host}:{pid}:bb", "other:1:cc"), 1):
        dead = Ledger(store.database, owner, lease=60)
        dead.add(delivery(ts, lane=owner))
        assert dead.take() is not None
    living = Ledger(store.database, process_name(), lease=60)
    living.take_over()
    taken = [living.take(), living.take(), living.take()]
    assert [job and job.ts for job in taken] == [stamp(1), stamp(2), None]


def test_a_finished_delivery_keeps_no_text(ledger: Ledger, store: Store) -> None:
    ledger.add(delivery(1))
    job = ledger.take()
    assert job is not None
    ledger.finish(job.number, reply_ts="9.0", answer_id="a1")
    assert ledger.reply_to("T", "C", stamp(1)) == ("9.0", "a1")
    assert ledger.reply_to("T", "C", stamp(2)) is None
    with store.database.read() as session:
        rows = session.connection().exec_driver_sql("SELECT request FROM slack_questions")
        assert [str(row[0]) for row in rows] == ["{}"]


def test_forgetting_a_conversation_forgets_its_deliveries(ledger: Ledger, store: Store) -> None:
    ask(store, "a1", conversation="lane-1")
    ledger.add(delivery(1, "lane-1"))
    ledger.add(delivery(2, "lane-2"))
    assert store.forget(conversation_id="lane-1") == 1
    assert ledger.unfinished() == 1


def test_many_threads_of_two_processes_take_each_once(store: Store) -> None:
    ledgers = [Ledger(store.database, f"host{n}:1:aa") for n in range(2)]
    for number in range(30):
        ledgers[0].add(delivery(number, f"lane{number % 5}"))
    taken: list[tuple[str, int]] = []
    lock = threading.Lock()
    running: set[str] = set()

    def work(ledger: Ledger) -> None:
        while ledger.unfinished():
            job = ledger.take()
            if job is None:
                continue
            with lock:
                assert job.lane not in running
                running.add(job.lane)
                taken.append((job.lane, job.number))
            with lock:
                running.discard(job.lane)
            ledger.finish(job.number)

    threads = [threading.Thread(target=work, args=(ledgers[n % 2],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(taken) == len(set(taken)) == 30
    for lane in {lane for lane, _ in taken}:
        numbers = [number for one, number in taken if one == lane]
        assert numbers == sorted(numbers)


def test_the_store_works_on_either_database(store: Store) -> None:
    answer = ask(store, "a1", "質問\0です", conversation="c1")
    assert store.rate("a1", "down", "違います", by="u1")
    assert store.rate("a1", "up", "", by="u1")
    found = store.conversation("c1")
    assert found is not None
    assert found.answers[0].answer.citations == answer.citations
    assert store.insights(2)["days"][-1]["up"] == 1
    store.record(Question("質問"), answer)
    assert len(store.turns("c1")) == 2
    assert store.forget_answer("a1")
    assert store.forget(conversation_id="c1") == 1
