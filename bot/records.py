"""The types between a question and its answer, the same for every adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["answered", "not_found"]
Language = Literal["ja", "en"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation; `role` is `user` or `assistant`, as in the OpenAI protocol."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asked, and what they may see.

    `history` holds the turns before, oldest first; it wins over the turns stored for
    `conversation_id`. `collections` None means all; an empty set means none. `channel` says
    where it was asked (`http`, `cli`, `slack`, `openai`, `mcp`, `page`); `asker` is an opaque name of who asked,
    empty where unknown.
    """

    text: str
    conversation_id: str = ""
    history: tuple[Turn, ...] = ()
    top_k: int = 5
    collections: frozenset[str] | None = None
    channel: str = "http"
    asker: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """A quoted piece of a document: `quote == document.text[start:end]`, checked before it leaves.

    `passage` is the chunk around the quote, beginning at `passage_start`. `score` lies in 0…1.
    `url` opens the source at the quote; `link` is the document's own address, empty if unknown.
    `page` counts from 1, None for a text without pages. `date` is ISO 8601 or empty.
    `superseded_by` is the id of a newer version of the document, empty where this is the newest.
    """

    number: int
    document_id: str
    title: str
    heading: tuple[str, ...]
    source: str
    start: int
    end: int
    quote: str
    passage: str
    passage_start: int
    score: float
    url: str
    link: str = ""
    page: int | None = None
    date: str = ""
    collection: str = ""
    superseded_by: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What leaves Kiku. `confidence` is the probability (0…1) that the documents answer."""

    id: str
    status: Status
    answer: str
    confidence: float
    conversation_id: str
    citations: tuple[Citation, ...]
    took_ms: float
    language: Language = "ja"
    composer: Literal["extractive", "llm"] = "extractive"
