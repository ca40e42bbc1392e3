"""The oracle: every vector compared with NumPy. Slow, short and right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class ExactVectors:
    """Exact inner-product search over float32 (rows, dimension).

    The vectors of passage i are rows bounds[i]:bounds[i + 1]; without bounds, row i is.
    """

    def __init__(self, vectors: np.ndarray, bounds: np.ndarray | None = None) -> None:
        self._vectors = vectors
        self._bounds = np.arange(len(vectors) + 1) if bounds is None else bounds

    def search(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex.search`; equal scores come in the order of their passages."""
        passages = len(self._bounds) - 1
        ids = np.arange(passages) if allowed is None else np.flatnonzero(allowed)
        scores = self.scores(vector, range(passages))
        best = ids[np.argsort(-scores[ids], kind="stable")[:k]]
        return best.astype(np.int64), scores[best]

    def scores(self, vector: np.ndarray, passages: Sequence[int]) -> np.ndarray:
        """See `VectorIndex.scores`."""
        products = self._vectors @ vector
        spans = [(self._bounds[passage], self._bounds[passage + 1]) for passage in passages]
        return np.array([products[start:end].max() for start, end in spans], np.float32)

    def rows(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex.rows`."""
        bounds = self._bounds[first : end + 1].astype(np.int64)
        return self._vectors[bounds[0] : bounds[-1]], bounds[1:] - bounds[0]
