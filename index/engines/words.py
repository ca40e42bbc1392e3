"""The lexical leg for engines that multiply sparse vectors.

Such an engine holds what each term counts in a passage, and adds up products. That is less than
`LexicalIndex.score` does, where a group counts by its best alternative and a caller who sees some
collections gets their statistics. So the engine is asked with a vector whose product is never below
the true score, and the true score is computed here, for what comes back, from counts and lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from index.lexical import Group, LexicalIndex, Statistics, kind_of
from index.query import Query

# Products are added up in another order than here, in float32.
ROUNDING = 1.0001
# Which part of the best possible score may be left to terms that are not looked up at first: the
# more passages there are, the better is the last one that is wanted. Measured on 1,000 to 54,000
# passages; it decides how often a second look is needed, never what is found.
_SHARE_OF_THOUSAND, _SHARE_BY_TENFOLD, _MOST_SHARE = 0.06, 0.13, 0.5


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The terms of a generation. `keys` uint64 (terms,), ascending; a term's number is its place.
    `peaks` float32 (terms,) is the highest saturation that a term reaches in any passage,
    `frequency` int64 (terms,) in how many it is."""

    keys: np.ndarray
    peaks: np.ndarray
    frequency: np.ndarray
    everything: Statistics

    def numbers(self, keys: np.ndarray) -> np.ndarray:
        """The numbers of terms that are all there, int64."""
        found: np.ndarray = np.searchsorted(self.keys, keys)
        return found


@dataclass(frozen=True, slots=True)
class Passage:
    """What is stored of a passage: its terms' numbers int32 (n,), ascending, their counts float32
    (n,), and its lengths in words and in n-grams float64 (2,)."""

    terms: np.ndarray
    counts: np.ndarray
    lengths: np.ndarray


class SparseQuery:
    """A question as a sparse vector, and the true scores of passages for it.

    `numbers` int64 (m,) and `weights` float32 (m,) are the vector: times the saturations of a
    passage under the statistics of all collections, it gives at least the true score.
    """

    def __init__(self, query: Query, lexical: LexicalIndex, vocabulary: Vocabulary) -> None:
        self._query = query
        self._statistics = lexical.statistics
        self._keys = np.array(
            [key for key in query.keys.tolist() if lexical.holds(key)], dtype=np.uint64
        )
        self._place = {key: place for place, key in enumerate(self._keys.tolist())}
        self._idf = np.array([lexical.idf(key) for key in self._place], dtype=np.float32)
        self._kind = kind_of(self._keys)
        self.numbers = vocabulary.numbers(self._keys)
        most = np.zeros(len(self._keys))
        for group in query.groups:
            for keys, weight in group:
                if all(key in self._place for key in keys):
                    most[[self._place[key] for key in keys]] += weight / sqrt(len(keys))
        # Where passages are longer than the mean of all, they lose less under a longer mean.
        longer = self._statistics.mean / np.maximum(vocabulary.everything.mean, 1e-9)
        slack = np.maximum(1.0, longer)[self._kind] * ROUNDING
        self.weights = (most * self._idf * slack).astype(np.float32)
        self._most = self.weights * vocabulary.peaks[self.numbers]
        self._frequency = vocabulary.frequency[self.numbers]
        self._passages = vocabulary.everything.rows

    def __bool__(self) -> bool:
        return bool(len(self.numbers))

    def first(self, floor: float | None = None) -> tuple[list[int] | None, float]:
        """The numbers of the terms to look up, and the most that a passage without any of them can
        score: at most `floor`, or a share of the best possible score. None for the terms where
        most passages hold one of them, so that looking them up saves nothing."""
        order = np.argsort(-self._most / np.maximum(1, self._frequency), kind="stable")
        rest = np.append(np.cumsum(self._most[order][::-1])[::-1], 0.0)
        if floor is None:
            tenfold = np.log10(max(1_000, self._passages) / 1_000)
            share = _SHARE_OF_THOUSAND + _SHARE_BY_TENFOLD * tenfold
            floor = min(_MOST_SHARE, share) * rest[0]
        count = min(len(order), max(1, int(np.argmax(rest <= floor))))
        chosen = order[:count]
        if self._frequency[chosen].sum() > self._passages / 2:
            return None, 0.0
        return self.numbers[chosen].tolist(), float(rest[count])

    def scores(self, passages: Sequence[Passage]) -> tuple[np.ndarray, np.ndarray]:
        """The true scores by words and by n-grams: float32 (len(passages),) each."""
        held = np.zeros((len(self._keys), len(passages)), dtype=np.float32)
        for column, passage in enumerate(passages):
            if not len(passage.terms):
                continue
            place = np.minimum(np.searchsorted(passage.terms, self.numbers), len(passage.terms) - 1)
            here = np.flatnonzero(passage.terms[place] == self.numbers)
            kind = self._kind[here]
            saturated = self._statistics.saturated(
                passage.counts[place[here]], passage.lengths[kind], kind
            )
            held[here, column] = saturated * self._idf[here]
        return self._score(self._query.word_groups, held), self._score(
            self._query.gram_groups, held
        )

    def _score(self, groups: Sequence[Group], held: np.ndarray) -> np.ndarray:
        """`LexicalIndex.score` over a few passages. `held` is float32 (keys, passages)."""
        total = np.zeros(held.shape[1], dtype=np.float32)
        for group in groups:
            best = np.zeros(held.shape[1], dtype=np.float32)
            for keys, weight in group:
                if not all(key in self._place for key in keys):
                    continue
                rows = held[[self._place[key] for key in keys]]
                scores = rows[0]
                for row in rows[1:]:
                    scores = scores + row
                if len(keys) > 1:
                    scores = np.where((rows > 0).all(axis=0), scores / sqrt(len(keys)), 0.0)
                best = np.maximum(best, weight * scores)
            total += best.astype(np.float32)
        return total


def best(scores: np.ndarray, positions: np.ndarray, k: int) -> np.ndarray:
    """The places of the `k` highest scores above zero, best first, ties in order of position."""
    order = np.lexsort((positions, -scores))
    return order[scores[order] > 0][:k]
