"""An answer told while it is worked out: `citations`, `token` …, `done`, or `error` at the end.

What a language model writes is told sentence by sentence; an extractive answer is there at once.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from threading import Event
from typing import Any

import anyio.to_thread
import structlog
from fastapi.sse import ServerSentEvent

from bot.http.errors import ApiError, told
from bot.http.gate import Gate
from bot.http.models import AnswerBody, CitationBody
from bot.records import Citation, Language
from index.errors import KikuError

_log = structlog.get_logger("kiku.http")

# Pieces of a text that can be shown one after another: a few words, no character lost.
_PIECE = re.compile(r".{1,12}", re.DOTALL)


def pieces(text: str) -> Iterator[str]:
    """`text` in small pieces that join to it again."""
    return (match.group() for match in _PIECE.finditer(text))


class Told:
    """What is told of an answer while it is worked out in a thread; read in the event loop."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Part | AnswerBody | Exception] = asyncio.Queue()
        self._left = Event()

    def found(self, citations: tuple[Citation, ...]) -> None:
        """Tells the citations that a model is about to write from."""
        bodies = [CitationBody.model_validate(citation) for citation in citations]
        self._put(_citations(bodies))

    def said(self, sentence: str) -> None:
        """Tells a sentence. Raises CancelledError when nobody listens any more."""
        if self._left.is_set():
            raise asyncio.CancelledError
        self._put(("token", {"text": sentence}))

    async def begin(self, ask: Callable[[Told], AnswerBody], gate: Gate) -> Parts:
        """Works `ask` out when its turn has come. What goes wrong before anything was told is
        raised, so that it still has a status of its own."""
        work = asyncio.create_task(self._work(ask, gate))
        first = await self._items.get()
        if isinstance(first, Exception):
            raise first
        return self._parts(first, work)

    async def _work(self, ask: Callable[[Told], AnswerBody], gate: Gate) -> None:
        try:
            async with gate.turn():
                self._items.put_nowait(await anyio.to_thread.run_sync(ask, self))
        except Exception as error:
            self._items.put_nowait(error)

    async def _parts(self, first: Part | AnswerBody, work: asyncio.Task[None]) -> Parts:
        item: Part | AnswerBody | Exception = first
        try:
            while isinstance(item, tuple):
                yield item
                item = await self._items.get()
            if isinstance(item, Exception):
                if not isinstance(item, KikuError | ApiError):
                    _log.error("stream_broke", exc_info=item)
                yield "error", told(item, self._language)
                return
            if item is first:  # nothing has been told yet
                yield _citations(item.citations)
                for piece in pieces(item.answer):
                    yield "token", {"text": piece}
            yield "done", item.model_dump(mode="json")
        finally:
            self._left.set()

    def _put(self, item: Part) -> None:
        self._loop.call_soon_threadsafe(self._items.put_nowait, item)


Part = tuple[str, Any]  # a name, and what JSON can hold
Parts = AsyncIterator[Part]


def event(name: str, data: Any) -> ServerSentEvent:
    """One event, its JSON in UTF-8 as people read it."""
    return ServerSentEvent(event=name, raw_data=json.dumps(data, ensure_ascii=False))


def _citations(bodies: Sequence[CitationBody]) -> Part:
    return "citations", [body.model_dump(mode="json") for body in bodies]
