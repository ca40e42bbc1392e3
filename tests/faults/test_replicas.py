"""Several replicas on one PostgreSQL, which holds the index and what is remembered: killing one
loses nothing and says nothing twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from bot.store import Store
from index.engines.postgres import PostgresEngine
from index.generation import Generation, current_generation
from tests.fake_kiku import wait_for
from tests.fake_slack import APP_TOKEN, BOT_TOKEN, FakeSlack, Fault, mention, words
from tests.postgres_server import PostgresServer, fresh_database, postgres

__all__ = ["postgres"]
ROOT = Path(__file__).parents[2]
QUESTION = "無線LANの利用申請の締め切りはいつですか？"
ANSWER = "毎月20日"
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def database(postgres: PostgresServer, slack_home: Path) -> str:
    """A database with an index in it."""
    url = fresh_database(postgres)
    engine = PostgresEngine(url)
    generation = Generation(current_generation(slack_home))
    engine.publish(generation, keep=2, progress=lambda stage, done, total: None)
    engine.close()
    return url


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a replica as a process with a home of its own, where nothing is."""
    running: list[subprocess.Popen[bytes]] = []

    def start(code: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        home = tmp_path / f"replica-{len(running)}"
        home.mkdir()
        with (home / "log").open("wb") as log:
            one = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(home),
                    "PYTHONPATH": str(ROOT),
                    "KIKU_HOME": str(home),
                    "KIKU_STORE": database,
                    "KIKU_DATABASE": database,
                    **environment,
                },
                cwd=home,
                stderr=log,
                stdout=log,
            )
        running.append(one)
        return one

    yield start
    for one in running:
        one.kill()
        one.wait()


def test_a_slack_replica_dies_and_every_question_gets_one_reply(
    slack: FakeSlack, start: Start, database: str
) -> None:
    code = "from tests.faults.slack_process import main; main()"
    settings = {
        "KIKU_SLACK_API_URL": slack.url,
        "KIKU_SLACK__LEASE": "2",
        "SLACK_BOT_TOKEN": BOT_TOKEN,
        "SLACK_APP_TOKEN": APP_TOKEN,
    }
    replicas = [start(code, **settings) for _ in range(2)]
    slack.wait_for(lambda: slack.connections == 2, 120)
    asked = []
    for number in range(24):
        if number == 8:  # one is in the middle of posting, the other of asking who somebody is
            slack.fail("chat.postMessage", Fault("slow", when="after", seconds=3))
            slack.fail("users.info", Fault("slow", seconds=3))
        if number == 12:
            replicas[0].send_signal(signal.SIGKILL)
            replicas[0].wait()
        ts = slack.say("C1", mention(f"{QUESTION}（{number}）"), deliver=False)
        event = {"type": "app_mention", "user": "U1", "text": mention(QUESTION), "ts": ts}
        body = slack.event_body(event | {"channel": "C1", "event_ts": ts})
        slack.send("events_api", body)
        slack.send("events_api", body)  # the sockets take turns: both get it while both live
        asked.append(ts)
    for ts in asked:
        slack.reply("C1", ts)
    _until_nothing_is_owed(database)
    for ts in asked:
        [reply] = slack.replies("C1", ts)
        assert ANSWER in words(reply)


def _until_nothing_is_owed(database: str) -> None:
    import psycopg

    owed = "SELECT count(*) FROM slack_questions WHERE state <> 'done'"
    with psycopg.connect(database, autocommit=True) as connection:
        wait_for(lambda: connection.execute(owed).fetchone() == (0,), 60)
        time.sleep(1.0)  # for what should not come any more


def test_a_service_replica_dies_and_the_conversation_goes_on(start: Start, database: str) -> None:
    code = "from bot.cli import main; main()"
    ports = [_free_port(), _free_port()]
    replicas = [start(code, "serve", "--port", str(port), KIKU_THREADS="1") for port in ports]
    one, other = (httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) for port in ports)
    wait_for(lambda: _ready(one) and _ready(other), 120)

    first = one.post("/ask", json={"question": QUESTION}).json()
    assert ANSWER in first["answer"]
    talk = {"conversation_id": first["conversation_id"]}
    second = other.post("/ask", json={"question": "その承認は誰がする？", **talk}).json()
    rated = other.post("/feedback", json={"answer_id": first["id"], "rating": "up"})
    assert rated.status_code < 300

    got: list[str] = []
    kept = threading.Event()

    def ask_while_one_dies(number: int) -> None:
        """What a load balancer does: a connection that breaks is tried on the other replica."""
        body = {"question": f"{QUESTION}（{number}）"}
        for client in (one, other):
            try:
                answer = client.post("/ask", json=body).json()
            except httpx.TransportError:
                continue
            got.append(answer["id"])
            kept.set()
            return

    threads = [threading.Thread(target=ask_while_one_dies, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    kept.wait(30)
    replicas[0].send_signal(signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert len(got) == 12
    third = other.post("/ask", json={"question": QUESTION, **talk}).json()
    assert ANSWER in third["answer"]

    store = Store.open(database)
    stored = store.conversation(first["conversation_id"])
    assert stored is not None
    assert [one.answer.id for one in stored.answers] == [first["id"], second["id"], third["id"]]
    assert [rating.rating for rating in stored.answers[0].ratings] == ["up"]
    recorded = Counter(identifier for identifier in got if store.answer(identifier))
    assert recorded == Counter(got), "what was answered is remembered, and once"
    store.close()


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
