"""The second stage: late interaction over the encoder's token vectors, for the best candidates.

MaxSim (Khattab & Zaharia 2020, "ColBERT", arXiv 2004.12832): every token of the question looks for
its nearest token of the passage. Kiku weighs the question's tokens by an importance that the encoder
learned, so that particles count for little, and the score lies in −1…1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.generation import TokenVectors
from index.reader import weightier

# What a match in the title line, or in a sentence next to the one that is judged, counts for.
_ABOVE = 0.9
_NEAR = 0.8


@dataclass(frozen=True, slots=True)
class QueryTokens:
    """A question's token vectors float32 (q, dimension) and weights float32 (q,), summing to 1;
    `weightier`, bool (q,), marks the half of them that weighs more."""

    vectors: np.ndarray
    weights: np.ndarray
    weightier: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray, weights: np.ndarray) -> QueryTokens:
        """Scales the weights so that they sum to 1."""
        total = float(weights.sum())
        weights = weights / total if total > 0 else weights
        return cls(vectors, weights, weightier(weights))


def max_similarity(query: QueryTokens, tokens: TokenVectors, chunks: Sequence[int]) -> np.ndarray:
    """The weighted MaxSim of each chunk, float32 (len(chunks),); 0 for a chunk without tokens."""
    scores = np.zeros(len(chunks), dtype=np.float32)
    if not len(query.vectors):
        return scores
    rows, lengths = tokens.rows(chunks)
    filled = np.flatnonzero(lengths)
    if not len(filled):
        return scores
    similarity = (query.vectors / np.float32(127)) @ rows.astype(np.float32).T
    firsts = np.cumsum([0, *lengths[:-1]])[filled]
    scores[filled] = query.weights @ np.maximum.reduceat(similarity, firsts, axis=1)
    return scores


def token_rows(tokens: TokenVectors, chunk: int) -> np.ndarray:
    """The token vectors of a chunk, float32 (t, dimension)."""
    rows: np.ndarray = tokens.rows([chunk])[0].astype(np.float32) / np.float32(127)
    return rows


def sentence_similarity(
    query: QueryTokens, tokens: TokenVectors, chunk: int, spans: Sequence[tuple[int, int]]
) -> np.ndarray:
    """The weighted MaxSim of each sentence of a chunk, alone and in its place, and how well its
    place meets the weightier half of the question where it meets it worst: float32 (len(spans), 3).

    `spans` are (start, end) in the chunk's text, ascending. In its place, a token of the question
    may also be met by the title line and by the sentences next to this one, at a discount: a
    sentence seldom repeats what it is about.
    """
    scores = np.zeros((len(spans), 3), dtype=np.float32)
    first, last = int(tokens.bounds[chunk]), int(tokens.bounds[chunk + 1])
    if first == last or not len(query.vectors) or not spans:
        return scores
    rows = token_rows(tokens, chunk)
    # One column more, where no token is: a range may begin there.
    similarity = np.full((len(query.vectors), last - first + 1), -np.inf, dtype=np.float32)
    np.matmul(query.vectors, rows.T, out=similarity[:, :-1])
    places = tokens.starts[first:last].astype(np.int64) - 1
    bounds = np.searchsorted(places, np.array([(0, 0), *spans]).ravel())
    bounds[0] = 0  # the title line, before all that is in the text
    best = np.maximum.reduceat(similarity, bounds, axis=1)[:, ::2].T
    best[bounds[::2] >= bounds[1::2]] = -np.inf
    above, best = _ABOVE * best[0], best[1:]
    alone = np.where(np.isfinite(best), best, 0.0)
    near = np.full_like(best, -np.inf)
    near[1:] = np.maximum(near[1:], best[:-1])
    near[:-1] = np.maximum(near[:-1], best[1:])
    scores[:, 0] = alone @ query.weights
    met = np.maximum(alone, np.maximum(_NEAR * near, above))
    scores[:, 1] = met @ query.weights
    scores[:, 2] = met[:, query.weightier].min(axis=1)
    return scores
