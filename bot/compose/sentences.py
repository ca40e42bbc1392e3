"""The sentences of a passage, each with what speaks for it as an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from index.answer_type import asks_what_it_is, expected_kind, holds_kind, topic_of
from index.lexical import terms
from index.query import Query
from index.records import Hit
from index.retrieve import Retriever, Search
from index.split import sentences

# `passage` is the score of the passage itself, `coverage` the share of the question that the
# sentence holds, `around` the same with its neighbours and headings, `late` and `late_around` its
# MaxSim likewise, `expected` whether it holds the kind of thing asked for, `defines` whether it is
# about what the question wants explained, `code` whether it is a line of a program. Fitted on
# JaQuAD-train, then moved towards the words, since the encoder is at home in those texts and less
# so in others; the last two are set by hand, since they are too rare there. See docs/retrieval.md.
SENTENCE_WEIGHTS: Mapping[str, float] = {
    "passage": 0.7,
    "coverage": 2.5,
    "around": 3.2,
    "late": 5.5,
    "late_around": 3.0,
    "expected": 2.5,
    "defines": 1.0,
    "code": -2.0,
}
_MARKER = re.compile(
    r"^[ \t\u3000]*(?:[-*+•・●◦‣→▪■□◆◇※#>]+|\d{1,3}[.)．）]|[(（]\d{1,3}[)）]|[①-⑳])[ \t\u3000]*"
)
_RULE = re.compile(r"[|:\-=\s]+")
_FENCES = ("```", "~~~")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage: offsets into the document's text, and why it was chosen.

    `present` says which of the query's keys it holds (`Query.present`), a table row with its header.
    """

    hit: Hit
    start: int
    end: int
    score: float
    features: dict[str, float]
    present: np.ndarray = field(compare=False)

    @property
    def text(self) -> str:
        """The sentence as it stands in the document."""
        first = self.hit.chunk.start
        return self.hit.chunk.text[self.start - first : self.end - first]


@dataclass(frozen=True, slots=True)
class _Span:
    """A sentence's place in its passage, the header of its table, and whether it is a row of one, or
    code."""

    start: int
    end: int
    header: str = ""
    row: bool = False
    code: bool = False


@dataclass(frozen=True, slots=True)
class _Analysis:
    """What is the same for every question: the sentences of a passage, their terms and those of the
    title and headings above, each uint64 ascending."""

    spans: tuple[_Span, ...]
    keys: tuple[np.ndarray, ...]
    above: np.ndarray


def score_sentences(retriever: Retriever, search: Search, hit: Hit) -> list[Sentence]:
    """The sentences of a passage with their scores; headings, table headers and rules left out."""
    chunk = hit.chunk
    query, text = search.query, chunk.text
    above = " ".join((hit.document.title, *chunk.heading))
    passage = _analysed(text, chunk.heading[-1] if chunk.heading else "", above)
    late = retriever.sentence_scores(
        search, hit, [(span.start, span.end) for span in passage.spans]
    )
    present = np.array([query.present(keys) for keys in passage.keys])
    over = query.present(passage.above)
    whole = query.coverage(present.any(axis=0) | over, words_only=True) if len(present) else 0.0
    kind = expected_kind(query.text)
    found = []
    for number, span in enumerate(passage.spans):
        sentence = text[span.start : span.end]
        # A row says nothing of the next one; a sentence often leans on the one before it.
        beside = 0 if span.row else 1
        near = over | present[max(0, number - beside) : number + beside + 1].any(axis=0)
        features = {
            "passage": hit.score,
            "coverage": query.coverage(present[number]),
            "around": query.coverage(near),
            "late": float(late[number, 0]) if late is not None else 0.0,
            "late_around": float(late[number, 1]) if late is not None else 0.0,
            "late_weakest": float(late[number, 2]) if late is not None else 0.0,
            "words_in_passage": whole,
            "words_around": query.coverage(near, words_only=True),
            "expected": holds_kind(kind, sentence, query.text),
            "defines": _defines(query, sentence),
            "code": float(span.code),
        }
        score = sum(weight * features[name] for name, weight in SENTENCE_WEIGHTS.items())
        place = chunk.start + span.start, chunk.start + span.end
        found.append(Sentence(hit, *place, score, features, present[number]))
    return found


def without_marker(line: str) -> str:
    """A line without the bullet, number or quotation mark in front of it."""
    return _MARKER.sub("", line)


@lru_cache(maxsize=4096)  # some 5 kB a passage
def _analysed(text: str, heading: str, above: str) -> _Analysis:
    spans = tuple(_spans(text, heading))
    keys = tuple(terms(f"{span.header}\n{text[span.start : span.end]}").keys for span in spans)
    return _Analysis(spans, keys, terms(above).keys)


def _spans(text: str, heading: str) -> Iterator[_Span]:
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
        yield _Span(start + lead, end, header, is_row, fenced)


def _defines(query: Query, sentence: str) -> float:
    """How much a sentence is about what the question wants explained: 0…1. `CNIは…` is wholly about
    CNI; `CNIの代表的な実装は…` is about something else of it."""
    if not asks_what_it_is(query.text) or not (topic := topic_of(sentence)):
        return 0.0
    asked = {key for group in query.word_groups for keys, _ in group for key in keys}
    words = [key for key in terms(topic).keys.tolist() if key >> 62 == 0]
    return sum(key in asked for key in words) / len(words) if words else 0.0
