"""What every engine can do. The local files are the oracle that the others are tested by.

An engine keeps generations, one of which is served. It puts up the candidates of a question;
understanding the question, reading the candidates closely and adding up their scores is the
same code for all of them (`index.retrieve`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from index.cache import Embedding
from index.generation import Generation, Manifest, TokenVectors
from index.lexical import LexicalIndex
from index.query import Query
from index.records import Chunk, Document, DocumentSummary, Skipped
from index.sentence_words import PackedWords, SentenceWords

Collections = frozenset[str] | None  # names; None: all
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a question looks for: so many passages by words, so many by its vector if there is one, out
    of `collections`. `tokens` says whether to bring token vectors.

    `encoded` waits for the vector, which is made at the same time: an engine that has something to do
    without it does that first.
    """

    query: Query
    encoded: Callable[[], np.ndarray | None]
    lexical: int
    dense: int
    tokens: bool
    collections: Collections

    @property
    def vector(self) -> np.ndarray | None:
        """The vector, float32 (dimension,)."""
        return self.encoded()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that a leg put up, with what every leg says of it.

    `words` and `grams` are the sums of `LexicalIndex.score`, `dense` the best inner product. Ranks
    count from 1; None where that leg did not put it up. `row` is its place in
    `Candidates.tokens` and `Candidates.words`.
    """

    chunk: Chunk
    document: DocumentSummary
    words: float
    grams: float
    dense: float
    lexical_rank: int | None
    dense_rank: int | None
    row: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of one question, those by words first, their token vectors, and the words of
    their sentences."""

    found: list[Candidate]
    tokens: TokenVectors | None
    words: SentenceWords | PackedWords


class Searchable(Protocol):
    """One generation, open. Safe to share between threads."""

    @property
    def manifest(self) -> Manifest:
        """What it is made of."""
        ...

    def vocabulary(self, collections: Collections) -> LexicalIndex:
        """What the passages of `collections` hold: enough to understand a question."""
        ...

    def candidates(self, wanted: Wanted) -> Candidates:
        """The passages that the legs put up. Nothing outside `wanted.collections` leaves, nor
        does it move a score."""
        ...

    def documents(self, collections: Collections = None) -> list[DocumentSummary]:
        """What is indexed, in the order of its sources."""
        ...

    def document(self, identifier: str, collections: Collections = None) -> Document | None:
        """One document with its text; None where there is none, or none in `collections`."""
        ...

    def skipped(self) -> list[Skipped]:
        """What the build could not read."""
        ...

    def embedded(self) -> Iterator[tuple[Chunk, DocumentSummary, Embedding]]:
        """Every passage with what the encoder made of it, in order; for an index with vectors."""
        ...

    def close(self) -> None:
        """Lets go of what is open."""
        ...


class Engine(Protocol):
    """A place where generations lie.

    Every method raises IndexUnavailable when the place does not answer.
    """

    def served(self) -> str:
        """The id of the generation that is served. Raises IndexMissing when there is none."""
        ...

    def open(self) -> Searchable:
        """Opens the generation that is served. Raises IndexMissing or IndexDamaged."""
        ...

    def publish(self, generation: Generation, *, keep: int, progress: Progress) -> bool:
        """Copies a generation and makes it the one that is served, both or neither; `keep` of them
        are left. False where it was served already. Raises BuildRunning while another publishes."""
        ...

    def roll_back(self) -> str:
        """Serves the generation before the served one; its id. Raises IndexMissing."""
        ...

    def close(self) -> None:
        """Lets go of connections."""
        ...
