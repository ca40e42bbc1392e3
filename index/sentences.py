"""A passage as it is read closely: its sentences, each with its terms and what stands around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from index.lexical import term_keys, terms
from index.normalize import fold
from index.query import Query
from index.records import Hit
from index.split import sentences

_MARKER = re.compile(
    r"^[ \t\u3000]*(?:[-*+•・●◦‣→▪■□◆◇※#>]+|\d{1,3}[.)．）]|[(（]\d{1,3}[)）]|[①-⑳])[ \t\u3000]*"
)
_RULE = re.compile(r"[|:\-=\s]+")
_FENCES = ("```", "~~~")


@dataclass(frozen=True, slots=True)
class Span:
    """A sentence's place in its passage, its text folded, the header of its table, and whether it is
    a row of one, or code."""

    start: int
    end: int
    folded: str
    header: str = ""
    row: bool = False
    code: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What is the same for every question: the sentences of a passage, their terms, which of them
    each sentence holds, bool (sentences, terms), and the terms of the title and headings above.
    Terms are uint64 ascending."""

    spans: tuple[Span, ...]
    keys: np.ndarray
    held: np.ndarray
    above: np.ndarray

    def present(self, query: Query) -> tuple[np.ndarray, np.ndarray]:
        """Which of the query's keys each sentence holds, and which it holds together with its
        neighbours and what stands above: bool (sentences, keys) both."""
        own = query.present_in(self.keys, self.held)
        over = query.present(self.above)
        # A row says nothing of the next one; a sentence often leans on the one before it.
        rows = np.array([span.row for span in self.spans], dtype=bool)[:, None]
        beside = np.zeros_like(own)
        beside[1:] |= own[:-1]
        beside[:-1] |= own[1:]
        return own, own | (beside & ~rows) | over


def read(hit: Hit) -> Reading:
    """The sentences of a hit; headings, table headers and rules left out."""
    heading = hit.chunk.heading[-1] if hit.chunk.heading else ""
    return _read(hit.chunk.text, heading, " ".join((hit.document.title, *hit.chunk.heading)))


def nearness(query: Query, hit: Hit) -> float:
    """How much of what the question's words are worth stands together in one place of a passage: a
    sentence, its neighbours and the headings. 0…1."""
    _, near = read(hit).present(query)
    return float(query.coverage(near, words_only=True).max()) if len(near) else 0.0


def without_marker(line: str) -> str:
    """A line without the bullet, number or quotation mark in front of it."""
    return _MARKER.sub("", line)


@lru_cache(maxsize=4096)  # some 5 kB a passage
def _read(text: str, heading: str, above: str) -> Reading:
    spans = tuple(_spans(text, heading))
    each = [term_keys(f"{span.header}\n{text[span.start : span.end]}") for span in spans]
    keys, places = np.unique(np.concatenate([np.empty(0, np.uint64), *each]), return_inverse=True)
    held = np.zeros((len(spans), len(keys)), dtype=bool)
    held[np.repeat(np.arange(len(spans)), [len(own) for own in each]), places] = True
    return Reading(spans, keys, held, terms(above).keys)


def _spans(text: str, heading: str) -> Iterator[Span]:
    header, fenced = "", False
    lines = sentences(text)
    for number, (start, end) in enumerate(lines):
        line = text[start:end]
        if line.startswith(_FENCES):
            fenced = not fenced
            continue
        is_row = line.startswith("|")
        following = text[slice(*lines[number + 1])] if number + 1 < len(lines) else ""
        if is_row and _RULE.fullmatch(following) and not _RULE.fullmatch(line):
            header = line
            continue
        # A chunk that begins inside a table has rows without a header, not a row for a header.
        header = header if is_row else ""
        if _RULE.fullmatch(line) or line.strip(" \t#") == heading.strip():
            continue
        marker = None if is_row or fenced else _MARKER.match(line)
        lead = marker.end() if marker and marker.end() < end - start else 0
        yield Span(start + lead, end, fold(text[start + lead : end]), header, is_row, fenced)
