"""The oracle: every row compared with NumPy. Slow, short and right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class ExactVectors:
    """Exact inner-product search over float32 (rows, dimension)."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    def search(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex.search`; equal scores come in the order of their rows."""
        scores = self._vectors @ vector
        ids = np.arange(len(scores)) if allowed is None else np.flatnonzero(allowed)
        best = ids[np.argsort(-scores[ids], kind="stable")[:k]]
        return best.astype(np.int64), scores[best].astype(np.float32)

    def rows(self, ids: Sequence[int]) -> np.ndarray:
        """See `VectorIndex.rows`."""
        return self._vectors[list(ids)]
