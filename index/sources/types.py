"""What passes between a file and its Documents.

file ─discover→ SourceFile ─read→ Part ─describe→ Document

A reader is a function `read(data, name, limits) -> Iterable[Part | Skipped]`: one a format, knowing
nothing of paths, collections or ids. It raises UnreadableDocument when nothing can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from index.records import Document, Heading, Skipped


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one file may cost. Sizes in bytes, `seconds` of wall clock, `memory` address space.

    `text_chars` bounds one document, `total_chars` all documents of a file.
    `archive_*` bound what a zip may hold once unpacked; `ratio` is the largest compression ratio
    taken for honest; `depth` is how deep archives may lie inside each other.
    """

    file_bytes: int = 200 * 2**20
    text_chars: int = 20_000_000
    total_chars: int = 100_000_000
    pages: int = 5_000
    rows: int = 200_000
    seconds: float = 120.0
    memory: int = 1536 * 2**20
    archive_members: int = 20_000
    archive_bytes: int = 2**30
    ratio: int = 200
    depth: int = 2


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read: where it lies, the name it is known by, and what tells whether it changed:
    its size in bytes and the times of its content and of its entry, in ns.

    `source` is its POSIX path below the root it was found under, led by that root's folder name
    where two roots hold the same path. `inside` is the path without that lead.
    """

    path: Path
    source: str
    size: int
    modified_ns: int
    inside: str = ""
    changed_ns: int = 0


@dataclass(frozen=True, slots=True)
class Discovery:
    """What lies under the roots: the files to read in order of `source`, and what was left out."""

    files: list[SourceFile]
    skipped: list[Skipped]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one file gave. `encoding` is the character encoding it was read in, if it is a text."""

    documents: tuple[Document, ...]
    skipped: tuple[Skipped, ...] = ()
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A document as its format tells it: no id, no place, empty where the format is silent.

    `name` tells parts of one file apart (a zip member, a Slack thread); it is empty for a file
    that is one document. Offsets in `outline` and `pages` refer to `text`.
    """

    text: str
    title: str = ""
    name: str = ""
    outline: tuple[Heading, ...] = ()
    pages: tuple[int, ...] = ()
    date: str = ""
    url: str = ""
    tags: tuple[str, ...] = ()
    collection: str = ""
    encoding: str = ""
    media_type: str = ""


Reader = Callable[[bytes, str, Limits], Iterable[Part | Skipped]]
