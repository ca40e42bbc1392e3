"""Overload, slow and vanished clients, stopping: with a real server and real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import httpx
import pytest

from bot.http.app import create_app
from bot.http.gate import WAITING_PER_SLOT
from tests.fake_kiku import FakeKiku, listening, wait_for

# One for all: making a client costs more than a hundred requests.
CLIENT = httpx.Client(timeout=60, limits=httpx.Limits(max_connections=None))
QUESTION = "CentOSのサポートはいつまで？"


@pytest.fixture
def kiku(tmp_path: Path) -> FakeKiku:
    return FakeKiku(tmp_path, max_answers=2)


def ask(base: str, path: str = "/ask") -> httpx.Response:
    return CLIENT.post(base + path, json={"question": QUESTION})


def waiting(base: str) -> float:
    text = CLIENT.get(base + "/metrics").text
    return next(
        float(line.split()[1])
        for line in text.splitlines()
        if line.startswith("kiku_answers_waiting ")
    )


def test_more_than_can_wait_is_refused_at_once(
    kiku: FakeKiku, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(kiku)
    monkeypatch.setattr(app.state.gate, "_patience", 60.0)
    kiku.answerer.hold = threading.Event()
    queue = 2 * WAITING_PER_SLOT
    with listening(app) as base, ThreadPoolExecutor(queue + 10) as pool:
        ready(base)
        running = [pool.submit(ask, base) for _ in range(2)]
        wait_for(lambda: len(kiku.answerer.asked) == 2)
        queued = [pool.submit(ask, base) for _ in range(queue)]
        wait_for(lambda: waiting(base) == queue)
        refused = ask(base)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        # Nothing else suffers meanwhile.
        assert CLIENT.get(base + "/healthz").status_code == 200
        assert CLIENT.get(base + "/documents").status_code == 200
        kiku.answerer.hold.set()
        assert {future.result().status_code for future in running + queued} == {200}


def test_a_request_changes_its_thread_for_the_work_alone(
    kiku: FakeKiku, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every further way to a worker thread and back is a wait for the interpreter under load."""
    jobs: list[object] = []
    run_sync = anyio.to_thread.run_sync

    async def counted(work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        jobs.append(work)
        return await run_sync(work, *arguments, **options)

    with listening(create_app(kiku)) as base:
        ready(base)
        monkeypatch.setattr(anyio.to_thread, "run_sync", counted)
        for path, body in [
            ("/ask", {"question": QUESTION}),
            ("/search", {"query": QUESTION}),
            ("/ask/stream", {"question": QUESTION}),
        ]:
            jobs.clear()
            assert CLIENT.post(base + path, json=body).status_code == 200
            assert len(jobs) == 1, path
        jobs.clear()
        assert CLIENT.get(base + "/healthz").status_code == 200
        assert not jobs


def test_nobody_waits_for_ever(kiku: FakeKiku, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(kiku)
    monkeypatch.setattr(app.state.gate, "_patience", 0.2)
    kiku.answerer.hold = threading.Event()
    with listening(app) as base, ThreadPoolExecutor(3) as pool:
        ready(base)
        running = [pool.submit(ask, base) for _ in range(2)]
        wait_for(lambda: len(kiku.answerer.asked) == 2)
        assert ask(base).status_code == 503
        kiku.answerer.hold.set()
        assert {future.result().status_code for future in running} == {200}


def test_streams_that_nobody_reads_hold_no_worker(kiku: FakeKiku) -> None:
    """More open streams than there are slots and threads to work in; answers still come."""
    with listening(create_app(kiku)) as base:
        ready(base)
        streams = []
        for _ in range(3):
            streams += [open_stream(base) for _ in range(20)]
            wait_for(lambda: waiting(base) == 0)
        assert ask(base).status_code == 200
        for stream in streams:
            stream.close()
        assert ask(base).status_code == 200


def test_a_client_that_never_sends_its_body_holds_no_worker(kiku: FakeKiku) -> None:
    with listening(create_app(kiku)) as base:
        ready(base)
        stalled = [open_stream(base, body=b'{"question": ', length=500) for _ in range(50)]
        assert ask(base).status_code == 200
        for connection in stalled:
            connection.close()


def test_a_body_that_stops_arriving_is_given_up(
    kiku: FakeKiku, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.http.guard.SLOWEST_SECONDS", 0.2)
    with listening(create_app(kiku)) as base:
        ready(base)
        connection = open_stream(base, path="/ask", body=b'{"question": ', length=500)
        connection.settimeout(10)
        reply = connection.recv(10_000)
        assert b" 408 " in reply.split(b"\r\n")[0]
        assert b"too_slow" in reply


def test_a_stop_finishes_the_answers_under_way(kiku: FakeKiku) -> None:
    kiku.answerer.hold = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with listening(create_app(kiku), timeout_graceful_shutdown=20) as base:
            ready(base)
            running = pool.submit(ask, base)
            wait_for(lambda: len(kiku.answerer.asked) == 1)
            threading.Timer(0.5, kiku.answerer.hold.set).start()
        reply = running.result()
    assert reply.status_code == 200
    assert reply.json()["status"] == "answered"
    assert kiku.closed


def test_an_address_may_be_typed_in_japanese(kiku: FakeKiku) -> None:
    """What `curl 'localhost:8000/ask?q=Podmanとは'` sends: UTF-8, not percent-encoded."""
    with listening(create_app(kiku)) as base:
        ready(base)
        host, port = address(base)
        with socket.create_connection((host, port)) as connection:
            for _ in range(2):  # the second on the same connection
                line = "GET /ask?q=Podmanとは HTTP/1.1\r\nHost: localhost\r\n\r\n"
                connection.sendall(line.encode())
                reply = http.client.HTTPResponse(connection)
                reply.begin()
                assert reply.status == 200
                assert "Podman" in json.loads(reply.read())["answer"]


def test_japanese_in_a_body_is_left_alone(kiku: FakeKiku) -> None:
    with listening(create_app(kiku)) as base:
        ready(base)
        body = json.dumps({"question": "GET /とは HTTP/1.1"}, ensure_ascii=False).encode()
        connection = open_stream(base, path="/ask", body=body[:20], length=len(body))
        sleep(0.2)
        connection.sendall(body[20:])
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        assert reply.status == 200
        assert kiku.answerer.asked[-1].text == "GET /とは HTTP/1.1"


def test_what_is_not_http_is_refused_in_json(kiku: FakeKiku) -> None:
    with listening(create_app(kiku)) as base:
        with socket.create_connection(address(base)) as connection:
            connection.sendall(b"GET /ask?q=a b HTTP/1.1\r\n\r\n")
            head, _, body = connection.recv(10_000).partition(b"\r\n\r\n")
        assert b" 400 " in head.split(b"\r\n")[0]
        assert json.loads(body)["error"]["code"] == "bad_http"


def ready(base: str) -> None:
    wait_for(lambda: CLIENT.get(base + "/readyz").status_code == 200)


def address(base: str) -> tuple[str, int]:
    parts = urlsplit(base)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def open_stream(
    base: str, *, path: str = "/ask/stream", body: bytes | None = None, length: int | None = None
) -> socket.socket:
    """A connection with a request sent, and nothing read."""
    data = json.dumps({"question": QUESTION}).encode() if body is None else body
    connection = socket.create_connection(address(base))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data) if length is None else length}\r\n\r\n"
    )
    connection.sendall(head.encode() + data)
    return connection
