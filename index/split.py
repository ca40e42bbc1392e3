"""Document → Chunks: cut at headings, then by langchain-text-splitters at Japanese boundaries.

Nothing is moved or rewritten: every chunk is a slice of its document, `text ==
document.text[start:end]`, and the chunks of a document do not overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from index.records import Chunk, Document, chunk_id, heading_path

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

_CLOSERS = "」』）)】］\\]〉》〕｝}\"”’'"
_SENTENCE_END = rf"[。！？!?．]+[{_CLOSERS}]*"
# Tried in turn: a blank line, a line end, a sentence end, a comma, a word gap, anywhere.
_SEPARATORS = (
    r"\n[ \t\u3000]*\n+",
    r"\n",
    _SENTENCE_END,
    r"\.[ \n]",
    r"[、，,;；]",
    r"[ \u3000]",
    "",
)
_FENCE = re.compile(r"^[ \t]*(```|~~~)")
_TABLE = re.compile(r"^[ \t]*\|.*\|[ \t]*$")
_BULLET = re.compile(
    r"^[ \t\u3000]*(?:[-*+•・●◦‣※→▪■□◆◇]|\d{1,3}[.)．）]|[(（]\d{1,3}[)）]|[①-⑳㈠-㈩])[ \t\u3000]*\S"
)
# A line that ends so goes on in the next one: a comma, a joining particle, an open bracket.
_OPEN_LINE = re.compile(r"[、，,がしでにをはとのてもへや「（(]$")


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """`size` is the longest chunk in characters; shorter neighbours under one heading are joined
    as long as they stay within it. `version` names the rules, for the manifest."""

    size: int = 400
    version: int = 1


def split(document: Document, settings: SplitSettings | None = None) -> list[Chunk]:
    """The chunks of a document, in order. Blank documents have none."""
    settings = settings or SplitSettings()
    chunks: list[Chunk] = []
    for start, end in _sections(document):
        path = heading_path(document.outline, start)
        for first, last in _pieces(document.text, start, end, settings.size):
            chunks.append(
                Chunk(
                    id=chunk_id(document.id, first, last),
                    document_id=document.id,
                    heading=path,
                    start=first,
                    end=last,
                    text=document.text[first:last],
                )
            )
    return chunks


def sentences(text: str) -> list[tuple[int, int]]:
    """The sentences of `text` as (start, end), without the white space around them.

    A sentence ends at 。！？ and the brackets that close there, at a full stop before a space, and
    at a line end unless the line plainly goes on; a bullet and a table row are sentences of their own.
    """
    spans: list[tuple[int, int]] = []
    for start, end in _joined_lines(text):
        spans.extend(_sentences_of_line(text, start, end))
    return spans


def _sections(document: Document) -> Iterator[tuple[int, int]]:
    """What stands between headings; each section begins with its heading's line."""
    bounds = [0, *(heading.start for heading in document.outline), len(document.text)]
    for start, end in pairwise(bounds):
        if start < end and document.text[start:end].strip():
            yield start, end


def _pieces(text: str, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Stretches of a section of at most `size` characters, blocks kept whole where they fit."""
    open_start = open_end = -1
    for first, last in _blocks(text, start, end, size):
        if open_start >= 0 and last - open_start <= size:
            open_end = last
            continue
        if open_start >= 0:
            yield open_start, open_end
        open_start, open_end = first, last
    if open_start >= 0:
        yield open_start, open_end


def _blocks(text: str, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Paragraphs, tables, lists and code, trimmed; one that is longer than `size` comes in parts."""
    for first, last in _raw_blocks(text, start, end):
        if last - first <= size:
            yield first, last
            continue
        position = first
        for part in _splitter(size).split_text(text[first:last]):
            trimmed = _trim(text, position, position + len(part))
            position += len(part)
            if trimmed:
                yield trimmed


def _raw_blocks(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    block = -1
    fenced = False
    for line_start, line_end in _lines(text, start, end):
        line = text[line_start:line_end]
        if _FENCE.match(line):
            fenced = not fenced
        if line.strip() or fenced:
            block = line_start if block < 0 else block
            continue
        if block >= 0 and (trimmed := _trim(text, block, line_start)):
            yield trimmed
        block = -1
    if block >= 0 and (trimmed := _trim(text, block, end)):
        yield trimmed


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        yield start, stop
        start = stop + 1


def _trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    lead = len(piece) - len(piece.lstrip())
    kept = len(piece.strip())
    return (start + lead, start + lead + kept) if kept else None


@cache
def _splitter(size: int) -> RecursiveCharacterTextSplitter:
    """Cuts a long block. Without overlap and without stripping its pieces join to the block again,
    so that their offsets are sums of lengths and need no searching."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    return RecursiveCharacterTextSplitter(
        separators=list(_SEPARATORS),
        is_separator_regex=True,
        keep_separator="end",
        chunk_size=size,
        chunk_overlap=0,
        strip_whitespace=False,
    )


def _joined_lines(text: str) -> Iterator[tuple[int, int]]:
    """Lines, a line that plainly goes on joined with the next."""
    open_start = open_end = -1
    for start, end in _lines(text, 0, len(text)):
        line = text[start:end]
        goes_on = (
            open_start >= 0
            and line.strip()
            and not _stands_alone(line)
            and _OPEN_LINE.search(text[open_start:open_end].rstrip())
            and not _TABLE.match(text[open_start:open_end])
        )
        if goes_on:
            open_end = end
            continue
        if open_start >= 0:
            yield open_start, open_end
        open_start, open_end = (start, end) if line.strip() else (-1, -1)
    if open_start >= 0:
        yield open_start, open_end


def _stands_alone(line: str) -> bool:
    return bool(
        _BULLET.match(line) or _TABLE.match(line) or _FENCE.match(line) or line.startswith("#")
    )


_BOUNDARY = re.compile(rf"{_SENTENCE_END}|\.(?=[ \n][A-Z0-9\"'(])")
_OPENERS_OF = {"」": "「", "』": "『", "）": "（", ")": "(", "】": "【"}


def _sentences_of_line(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    position = start
    for match in _BOUNDARY.finditer(text, start, end):
        if match.end() < end and _inside_bracket(text, position, match.end()):
            continue
        if re.match(r"[とをがはにの、，]", text[match.end() : end]):  # 「…。」と言った
            continue
        if trimmed := _trim(text, position, match.end()):
            yield trimmed
        position = match.end()
    if trimmed := _trim(text, position, end):
        yield trimmed


def _inside_bracket(text: str, start: int, end: int, limit: int = 200) -> bool:
    """Whether a bracket opened since `start` is still open; one that never closes does not count."""
    piece = text[start:end]
    for closer, opener in _OPENERS_OF.items():
        if piece.count(opener) > piece.count(closer):
            return closer in text[end : end + limit].split("\n", 1)[0]
    return False
