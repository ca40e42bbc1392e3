"""What comes back from a database, scored and ranked like what the files give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock

import numpy as np

from index.cache import Embedding
from index.engines.contract import Candidate, Candidates, Collections, Wanted
from index.engines.words import Passage, SparseQuery
from index.generation import TokenVectors
from index.lexical import LexicalIndex
from index.records import Chunk, DocumentSummary
from index.sentence_words import PackedWords

_MOST_PARTS = 64  # sets of collections whose vocabulary stays open


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate as it comes back. `product` and `near` are what the legs gave it, None where a
    leg did not put it up; `tokens` and `starts` are the bytes of `TokenVectors`, `sentences` the words
    of the sentences as `index.sentence_words.packed` packs them."""

    position: int
    product: float | None
    near: float | None
    dense: float
    passage: Passage
    chunk: Chunk
    document: DocumentSummary
    tokens: bytes
    starts: bytes
    sentences: bytes


class Parts:
    """The vocabularies of the sets of collections that were asked for."""

    def __init__(self, lexical: LexicalIndex, names: Sequence[str]) -> None:
        self._lexical = lexical
        self._names = names
        self._parts: dict[frozenset[int], LexicalIndex] = {}
        self._lock = Lock()

    def numbers(self, collections: Collections) -> frozenset[int]:
        """The numbers of collections."""
        return frozenset(
            number
            for number, name in enumerate(self._names)
            if collections is None or name in collections
        )

    def within(self, collections: Collections) -> LexicalIndex:
        """The vocabulary of what somebody sees."""
        numbers = self.numbers(collections)
        if len(numbers) == len(self._names):
            return self._lexical
        with self._lock:
            if numbers not in self._parts:
                if len(self._parts) >= _MOST_PARTS:
                    self._parts.clear()
                self._parts[numbers] = self._lexical.within(numbers)
            return self._parts[numbers]


def unpack(stored: bytes, words: float, grams: float) -> Passage:
    """The passage that `pack` packed."""
    count = len(stored) // 6
    return Passage(
        np.frombuffer(stored, "<i4", count),
        np.frombuffer(stored, "<f2", count, offset=4 * count).astype(np.float32),
        np.array([words, grams]),
    )


def pack(passage: Passage) -> bytes:
    """The numbers and counts of a passage's terms: six bytes a term. Counts are halves exactly as
    they are kept in the files."""
    return passage.terms.astype("<i4").tobytes() + passage.counts.astype("<f2").tobytes()


class Found:
    """The rows of one question with their true scores."""

    def __init__(self, rows: Sequence[Row], sparse: SparseQuery, wanted: Wanted) -> None:
        self._rows = rows
        self._wanted = wanted
        self._words, self._grams = sparse.scores([row.passage for row in rows])
        totals = self._words + self._grams
        put_up = [place for place, row in enumerate(rows) if row.product is not None]
        by_words = [place for place in put_up if totals[place] > 0]
        by_words.sort(key=lambda place: (-totals[place], rows[place].position))
        self._lexical = by_words[: wanted.lexical]
        full = len(self._lexical) == wanted.lexical and wanted.lexical > 0
        self.floor = float(totals[self._lexical[-1]]) if full else 0.0
        products = [row.product for row in rows if row.product is not None]
        self.put_up, self.least = len(products), min(products, default=0.0)

    def candidates(self, token_dimension: int) -> Candidates:
        """What the legs put up, those by words first."""
        near = [
            (-row.near, row.position, place)
            for place, row in enumerate(self._rows)
            if row.near is not None and row.near > 0
        ]
        dense = [place for *_, place in sorted(near)][: self._wanted.dense]
        lexical_rank = {place: rank for rank, place in enumerate(self._lexical, 1)}
        dense_rank = {place: rank for rank, place in enumerate(dense, 1)}
        places = list(dict.fromkeys([*self._lexical, *dense]))
        found = [
            Candidate(
                self._rows[place].chunk,
                self._rows[place].document,
                float(self._words[place]),
                float(self._grams[place]),
                self._rows[place].dense,
                lexical_rank.get(place),
                dense_rank.get(place),
                row,
            )
            for row, place in enumerate(places)
        ]
        chosen = [self._rows[place] for place in places]
        tokens = _tokens(chosen, token_dimension) if self._wanted.tokens else None
        return Candidates(found, tokens, PackedWords([row.sentences for row in chosen]))


def chunk_of(row: Sequence[str | int], document: DocumentSummary) -> Chunk:
    """A chunk from its id, heading, start, end and text."""
    identifier, heading, start, end, text = row
    path = tuple(json.loads(str(heading)))
    return Chunk(str(identifier), document.id, path, int(start), int(end), str(text))


def embedding_of(
    vectors: Sequence[Sequence[float]], tokens: bytes, starts: bytes, token_dimension: int
) -> Embedding:
    """What the encoder made of a passage, from what is stored of it."""
    return Embedding(
        np.array(vectors, np.float32),
        np.frombuffer(tokens, np.int8).reshape(-1, max(1, token_dimension)),
        np.frombuffer(starts, np.uint16),
    )


def _tokens(rows: Sequence[Row], dimension: int) -> TokenVectors | None:
    """The token vectors of some passages, one after the other."""
    if not dimension:
        return None
    return TokenVectors(
        np.frombuffer(b"".join(row.tokens for row in rows), np.int8).reshape(-1, dimension),
        np.array([0, *accumulate(len(row.tokens) // dimension for row in rows)], np.int64),
        np.frombuffer(b"".join(row.starts for row in rows), np.uint16),
    )
