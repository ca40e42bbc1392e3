"""A passage as it is read closely: its sentences, each with its terms and what stands around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from index.lexical import gram_keys_of
from index.normalize import fold
from index.query import Query
from index.records import Hit, context_parts, passage_context
from index.sentence_words import LineWords
from index.split import sentences

# What may begin a word too (--frozen, -5度, #general, *args) is a marker only with a space or Japanese behind it.
_MARKER = re.compile(
    r"^[ \t\u3000]*(?:[-*+#>]+(?=[^\x21-\x7e])|[•・●◦‣→▪■□◆◇※]+|\d{1,3}[.)．）](?!\d)|[(（]\d{1,3}[)）]|[①-⑳])"
    r"[ \t\u3000]*"
)
_RULE = re.compile(r"[|:\-=\s]+")
_FENCES = ("```", "~~~")


@dataclass(frozen=True, slots=True)
class Span:
    """A sentence's place in its passage, its text folded, the header of its table, and whether it is
    a row of one, or code; which line of `index.split.sentences` it is, and which one its header is."""

    start: int
    end: int
    folded: str
    line: int
    header: str = ""
    header_line: int | None = None
    row: bool = False
    code: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """The sentences of a passage, and which of a question's keys each of them holds, alone and together
    with its neighbours and what stands above: bool (sentences, keys) both. `above` says which keys
    the title and the headings hold, bool (keys,)."""

    spans: tuple[Span, ...]
    own: np.ndarray
    near: np.ndarray
    above: np.ndarray


def read(query: Query, hit: Hit, words: LineWords) -> Reading:
    """Reads a hit, whose lines have these words; headings, table headers and rules are left out."""
    title, heading, text = hit.document.title, hit.chunk.heading, hit.chunk.text
    spans, keys, owners = _spanned(title, heading, text)
    grams = query.present_in(keys, owners, len(spans) + 1)
    keys, owners = words
    above = len(context_parts(title, heading))
    lines = query.present_in(keys, owners, int(owners.max(initial=above)) + 1)
    over = grams[0] | lines[:above].any(axis=0)
    own = grams[1:]
    for number, span in enumerate(spans):
        for line in (span.line, span.header_line):
            if line is not None and above + line < len(lines):
                own[number] |= lines[above + line]
    # A row says nothing of the next one; a sentence often leans on the one before it.
    rows = np.array([span.row for span in spans], dtype=bool)[:, None]
    beside = np.zeros_like(own)
    beside[1:] |= own[:-1]
    beside[:-1] |= own[1:]
    return Reading(spans, own, own | (beside & ~rows) | over, over)


def without_marker(line: str) -> str:
    """A line without the bullet, number or quotation mark in front of it."""
    return _MARKER.sub("", line)


@lru_cache(maxsize=4096)  # some 5 kB a passage
def _spanned(
    title: str, heading: tuple[str, ...], text: str
) -> tuple[tuple[Span, ...], np.ndarray, np.ndarray]:
    """The sentences of a passage; the n-grams of what stands above it, number 0, and of each sentence
    with its header, from 1 on: as `gram_keys_of`."""
    spans = tuple(_spans(text, heading[-1] if heading else ""))
    told = [f"{fold(span.header)}\n{span.folded}" for span in spans]
    return spans, *gram_keys_of([fold(passage_context(title, heading)), *told])


def _spans(text: str, heading: str) -> Iterator[Span]:
    header, header_line, fenced = "", None, False
    lines = sentences(text)
    for number, (start, end) in enumerate(lines):
        line = text[start:end]
        if line.startswith(_FENCES):
            fenced = not fenced
            continue
        is_row = line.startswith("|")
        following = text[slice(*lines[number + 1])] if number + 1 < len(lines) else ""
        if is_row and _RULE.fullmatch(following) and not _RULE.fullmatch(line):
            header, header_line = line, number
            continue
        # A chunk that begins inside a table has rows without a header, not a row for a header.
        header, header_line = (header, header_line) if is_row else ("", None)
        if _RULE.fullmatch(line) or line.strip(" \t#") == heading.strip():
            continue
        marker = None if is_row or fenced else _MARKER.match(line)
        lead = marker.end() if marker and marker.end() < end - start else 0
        folded = fold(text[start + lead : end])
        yield Span(start + lead, end, folded, number, header, header_line, is_row, fenced)
