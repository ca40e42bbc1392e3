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
        tokens = 0

        async def send_slowly(message: Message) -> None:
            nonlocal tokens
            body = message.get("body", b"")
            if b"event: token" in body:
                tokens += 1
                if tokens > 1:
                    await self._interrupt(trouble)
            await send(message)

        await self._app(scope, receive, send_slowly)

    async def _interrupt(self, trouble: Trouble) -> None:
        if trouble == "cut":
            raise ConnectionResetError("the line was cut by the test")
        while not self._released.is_set():
            await asyncio.sleep(0.02)
