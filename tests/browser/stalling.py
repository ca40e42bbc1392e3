"""The service with a bad line: its answer stream can be held up half-way, or cut."""

from __future__ import annotations

import asyncio
import threading
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Trouble = Literal["none", "hold", "cut"]


class Stalling:
    """ASGI middleware around the real application. With `trouble` set to `hold`, the stream of
    `/ask/stream` stops after its first words until `release`; with `cut`, the line drops there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._released = threading.Event()
        self.trouble: Trouble = "none"

    def hold(self) -> None:
        self._released.clear()
        self.trouble = "hold"

    def cut(self) -> None:
        self._released.clear()
        self.trouble = "cut"

    def release(self) -> None:
        """Lets a held stream, and all later ones, go on."""
        self.trouble = "none"
        self._released.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trouble = self.trouble
        if trouble == "none" or scope["type"] != "http" or scope["path"] != "/ask/stream":
            await self._app(scope, receive, send)
            return
        cut = asyncio.Event()
        tokens = 0

        async def send_slowly(message: Message) -> None:
            nonlocal tokens
            tokens += b"event: token" in message.get("body", b"")
            if tokens > 1 and trouble == "cut":
                cut.set()
                await asyncio.Event().wait()  # until it is cancelled
            while tokens > 1 and not self._released.is_set():
                await asyncio.sleep(0.02)
            await send(message)

        answering = asyncio.ensure_future(self._app(scope, receive, send_slowly))
        cutting = asyncio.ensure_future(cut.wait())
        await asyncio.wait([answering, cutting], return_when=asyncio.FIRST_COMPLETED)
        for task in (answering, cutting):
            task.cancel()  # a reply that is left unfinished makes the server close the line
        await asyncio.gather(answering, cutting, return_exceptions=True)
