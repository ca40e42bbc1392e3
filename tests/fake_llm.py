"""A language model's endpoint as OpenAI-compatible servers have it, which says what a test wants.

`says` holds the text it streams in small pieces. `raw` holds bytes sent instead of a proper stream;
a callable gives them piece by piece, as slowly and as long as it likes. Requests are kept in `asked`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class FakeLlm:
    """What the endpoint says next, and what it was asked."""

    def __init__(self) -> None:
        self.says = ""
        self.raw: bytes | Callable[[], Iterator[bytes]] | None = None
        self.status = 200
        self.headers: dict[str, str] = {}
        self.models = ["small"]
        self.refuses: set[str] = set()
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.paths: list[str] = []
        self.url = ""

    def pieces(self) -> Iterator[bytes]:
        """The body of the next reply."""
        if callable(self.raw):
            yield from self.raw()
        elif self.raw is not None:
            yield self.raw
        else:
            yield from stream(self.says)


def stream(text: str, size: int = 3, finish: str = "stop") -> Iterator[bytes]:
    """A proper stream of `text`, `size` characters an event."""
    for start in range(0, len(text), size):
        yield chunk({"content": text[start : start + size]})
    yield chunk({}, finish)
    yield b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """One event of a stream."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "small",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return f"data: {json.dumps(body)}\n\n".encode()


@contextmanager
def running() -> Iterator[FakeLlm]:
    """A fake that listens on a free port of this machine; its address is `url`."""
    fake = FakeLlm()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.paths.append(self.path)
            models = [{"id": name, "object": "model"} for name in fake.models]
            self._reply(200, "application/json", [json.dumps({"data": models}).encode()])

        def do_POST(self) -> None:
            fake.paths.append(self.path)
            fake.keys.append(self.headers.get("authorization", ""))
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            fake.asked.append(asked)
            if fake.refuses & set(asked):
                refusal = {"error": {"message": "unsupported parameter", "code": "bad"}}
                self._reply(400, "application/json", [json.dumps(refusal).encode()])
                return
            self._reply(fake.status, "text/event-stream", fake.pieces())

        def _reply(self, status: int, kind: str, pieces: Any) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            for name, value in fake.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the client had enough
                for piece in pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()

        def log_message(self, format: str, *args: object) -> None:
            """Keeps quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}/v1"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
