"""The types that flow through the index: a file becomes Documents, a Document Chunks, a query Hits.

Offsets are code points into `Document.text`, end exclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

DEFAULT_COLLECTION = "default"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a document: where its line starts, how deep it lies (1 = top), what it says."""

    start: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Document:
    """A readable text and where it came from.

    `source` is the place: the path below the folder that was indexed, with `#part` behind it for
    a document inside a file (a zip member, a Slack thread). `id` is made from it by `document_id`.
    `revision` is a digest of everything that a reader or a passage could see of it.
    `date` is ISO 8601 (`2026-11-23`) or empty. `pages` holds the offset at which each page starts,
    empty for a text without pages. `outline` holds the headings in order of `start`.
    `superseded_by` is the id of a newer version of the same document, if there is one.
    """

    id: str
    title: str
    text: str
    source: str
    collection: str = DEFAULT_COLLECTION
    revision: str = ""
    date: str = ""
    url: str = ""
    tags: tuple[str, ...] = ()
    media_type: str = "text/plain"
    outline: tuple[Heading, ...] = ()
    pages: tuple[int, ...] = ()
    superseded_by: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document, the unit of retrieval: `text == document.text[start:end]`."""

    id: str
    document_id: str
    heading: tuple[str, ...]
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found for a query. Ranks count from 1; None where that leg did not find it.

    `score` orders the hits of one query, best first; higher is better. `features` are the named
    values the score was made from, for calibration and for people who ask why.
    """

    chunk: Chunk
    document: DocumentSummary
    score: float
    dense_rank: int | None = None
    lexical_rank: int | None = None
    features: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DocumentSummary:
    """What is known of a document without its text. `chunks` counts its passages."""

    id: str
    title: str
    source: str
    collection: str
    date: str
    url: str
    characters: int
    chunks: int
    superseded_by: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, or a part of one, that could not be read: `code` for machines, `reason` for people."""

    source: str
    code: str
    reason: str


def document_id(source: str) -> str:
    """The id of the document at a place: 16 hex digits, safe in a URL, the same in every build."""
    return sha256(source.encode()).hexdigest()[:16]


def chunk_id(document: str, start: int, end: int) -> str:
    """The id of a passage: its document and its place in it, never its text."""
    return f"{document}:{start}-{end}"


def passage_context(title: str, heading: Sequence[str]) -> str:
    """What is said above a chunk: the document's title and the headings, once each, as one line."""
    return " › ".join(context_parts(title, heading))


def context_parts(title: str, heading: Sequence[str]) -> list[str]:
    """The same one by one; the title first, where there is one."""
    return list(dict.fromkeys(part for part in (title, *heading) if part))


def heading_path(outline: Sequence[Heading], position: int) -> tuple[str, ...]:
    """The headings above `position`, outermost first."""
    path: list[Heading] = []
    for heading in outline:
        if heading.start > position:
            break
        while path and path[-1].level >= heading.level:
            path.pop()
        path.append(heading)
    return tuple(heading.title for heading in path)
