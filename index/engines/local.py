"""Generations as files in the home folder: the default, and the oracle of the other engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from index.cache import Embedding
from index.engines.contract import Candidate, Candidates, Collections, Progress, Wanted
from index.generation import Generation, Manifest, changed, current_generation, publish, roll_back
from index.lexical import LexicalIndex
from index.records import Chunk, Document, DocumentSummary, Skipped

_MOST_PARTS = 64  # sets of collections that stay open
_BLOCK = 1024  # scores of which the best one is looked at first


@dataclass(frozen=True, slots=True)
class _Seen:
    """The words of what may be seen, and which chunks that is: bool (chunks,), None for all."""

    lexical: LexicalIndex
    allowed: np.ndarray | None


class LocalGeneration:
    """A generation's files, open; see `index.engines.contract.Searchable`."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._parts: dict[frozenset[int], _Seen] = {}
        self._lock = Lock()

    @property
    def manifest(self) -> Manifest:
        """What it is made of."""
        return self._generation.manifest

    def close(self) -> None:
        """Closes the files."""
        self._generation.close()

    def vocabulary(self, collections: Collections) -> LexicalIndex:
        """See `Searchable.vocabulary`."""
        return self._seen(collections).lexical

    def candidates(self, wanted: Wanted) -> Candidates:
        """See `Searchable.candidates`."""
        seen = self._seen(wanted.collections)
        words = seen.lexical.score(wanted.query.word_groups)
        grams = seen.lexical.score(wanted.query.gram_groups)
        by_words = _best(words + grams, wanted.lexical)
        texts = self._texts(by_words)
        near, scores = self._nearest(wanted, seen)
        positions = list(dict.fromkeys([*by_words, *near]))
        texts |= self._texts([position for position in near if position not in texts])
        lexical_rank = {position: rank for rank, position in enumerate(by_words, 1)}
        dense_rank = {position: rank for rank, position in enumerate(near, 1)}
        dense = self._dense(wanted, positions, dict(zip(near, scores, strict=True)))
        found = [
            Candidate(
                *texts[position],
                float(words[position]),
                float(grams[position]),
                dense.get(position, 0.0),
                lexical_rank.get(position),
                dense_rank.get(position),
                position,
            )
            for position in positions
        ]
        tokens = self._generation.tokens if wanted.tokens else None
        return Candidates(found, tokens, self._generation.sentence_words)

    def documents(self, collections: Collections = None) -> list[DocumentSummary]:
        """See `Searchable.documents`."""
        return list(self._generation.records.documents(collections))

    def document(self, identifier: str, collections: Collections = None) -> Document | None:
        """See `Searchable.document`."""
        return self._generation.records.document(identifier, collections)

    def skipped(self) -> list[Skipped]:
        """See `Searchable.skipped`."""
        return self._generation.records.skipped()

    def embedded(self) -> Iterator[tuple[Chunk, DocumentSummary, Embedding]]:
        """See `Searchable.embedded`."""
        vectors, tokens = self._generation.vectors, self._generation.tokens
        assert vectors is not None
        for place in range(self.manifest.chunks):
            ((chunk, document),) = self._generation.records.chunks([place])
            rows, starts = np.empty((0, 1), np.int8), np.empty(0, np.uint16)
            if tokens is not None:
                first, last = tokens.bounds[place : place + 2]
                rows, starts = tokens.vectors[first:last], tokens.starts[first:last]
            yield chunk, document, Embedding(vectors.rows(place, place + 1)[0], rows, starts)

    def _seen(self, collections: Collections) -> _Seen:
        """The index of what may be seen. What the rest says must change nothing: neither how rare
        a word is, nor which names it may be a spelling of, nor what anything takes."""
        names = self.manifest.collections
        if collections is None or collections.issuperset(names):
            return _Seen(self._generation.lexical, None)
        numbers = frozenset(place for place, name in enumerate(names) if name in collections)
        with self._lock:
            if numbers not in self._parts:
                allowed = np.isin(self._generation.chunk_collections, sorted(numbers))
                if len(self._parts) >= _MOST_PARTS:
                    self._parts.clear()
                self._parts[numbers] = _Seen(self._generation.lexical.within(numbers), allowed)
            return self._parts[numbers]

    def _texts(self, positions: list[int]) -> dict[int, tuple[Chunk, DocumentSummary]]:
        return dict(zip(positions, self._generation.records.chunks(positions), strict=True))

    def _nearest(self, wanted: Wanted, seen: _Seen) -> tuple[list[int], list[float]]:
        vectors = self._generation.vectors
        if wanted.vector is None or vectors is None or not wanted.dense:
            return [], []
        ids, scores = vectors.search(wanted.vector, wanted.dense, seen.allowed)
        return ids[scores > 0].tolist(), scores[scores > 0].tolist()

    def _dense(
        self, wanted: Wanted, positions: list[int], known: dict[int, float]
    ) -> dict[int, float]:
        """The dense score of every candidate, not only of those that the dense leg put up."""
        vectors = self._generation.vectors
        missing = [position for position in positions if position not in known]
        if wanted.vector is None or vectors is None or not missing:
            return known
        scores = vectors.scores(wanted.vector, missing)
        return known | dict(zip(missing, scores.tolist(), strict=True))


class LocalEngine:
    """The generations of a home folder; see `index.engines.contract.Engine`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: tuple[tuple[int, int], str] | None = None

    def served(self) -> str:
        """See `Engine.served`. Every question asks: the file that names it is replaced by another one
        whenever it changes, and is read again only then."""
        seen = self._seen
        stamp = changed(self._home)
        if seen is None or seen[0] != stamp:
            seen = self._seen = stamp, current_generation(self._home).name
        return seen[1]

    def open(self) -> LocalGeneration:
        """See `Engine.open`."""
        generation = Generation(current_generation(self._home))
        generation.open()
        return LocalGeneration(generation)

    def publish(self, generation: Generation, *, keep: int, progress: Progress) -> bool:
        """Serves a generation of this home; `index.build` has written it there, and removed old ones."""
        if self.served() == generation.manifest.id:
            return False
        publish(self._home, generation.folder)
        return True

    def roll_back(self) -> str:
        """See `Engine.roll_back`."""
        return roll_back(self._home)

    def close(self) -> None:
        """There is nothing to close."""


def _best(scores: np.ndarray, k: int) -> list[int]:
    """The places of the `k` highest scores above zero, best first, ties in order of place."""
    among = np.flatnonzero(scores > _least(scores, k))
    k = min(k, len(among))
    if not k:
        return []
    own = -scores[among]
    top = np.argpartition(own, k - 1)[:k]
    # Of those that tie with the last one the first ones are kept.
    top = np.flatnonzero(own <= own[top].max())
    best: list[int] = among[top[np.lexsort((among[top], own[top]))][:k]].tolist()
    return best


def _least(scores: np.ndarray, k: int) -> float:
    """Something that at least `k` scores are above, 0 where that is not easily told: among a million
    scores the best are found in a thirtieth of the time."""
    whole = len(scores) // _BLOCK
    if not k or whole < 4 * k:
        return 0.0
    best = scores[: whole * _BLOCK].reshape(-1, _BLOCK).max(axis=1)
    kth = np.partition(best, whole - k)[whole - k]
    return max(0.0, float(np.nextafter(kth, np.float32(-np.inf), dtype=np.float32)))
