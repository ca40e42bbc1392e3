"""An answer as server-sent events: `citations`, `token` …, `done`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fastapi.sse import ServerSentEvent

from bot.http.models import AnswerBody

# Pieces of a text that can be shown one after another: a few words, no character lost.
_PIECE = re.compile(r".{1,12}", re.DOTALL)


def pieces(text: str) -> Iterator[str]:
    """`text` in small pieces that join to it again."""
    return (match.group() for match in _PIECE.finditer(text))


def events(answer: AnswerBody) -> Iterator[ServerSentEvent]:
    """The events of an answer; the last one holds the body of `POST /ask`."""
    citations = [citation.model_dump(mode="json") for citation in answer.citations]
    yield event("citations", citations)
    for piece in pieces(answer.answer):
        yield event("token", {"text": piece})
    yield event("done", answer.model_dump(mode="json"))


def event(name: str, data: Any) -> ServerSentEvent:
    """One event, its JSON in UTF-8 as people read it."""
    return ServerSentEvent(event=name, raw_data=json.dumps(data, ensure_ascii=False))
