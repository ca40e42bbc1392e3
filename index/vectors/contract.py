"""What every vector index can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class VectorIndex(Protocol):
    """Finds the passages nearest to a vector. A passage has one vector or several, and its score is
    the highest inner product of any of them."""

    def search(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best `k` passages, best first: ids int64 (m,) and scores float32 (m,), m ≤ k.

        `vector` is float32 (dimension,). `allowed` is bool (passages,): those that may be found,
        None for all; it filters inside the search, so that m is k wherever k allowed ones exist.
        """
        ...

    def scores(self, vector: np.ndarray, passages: Sequence[int]) -> np.ndarray:
        """The scores of some passages, float32 (len(passages),)."""
        ...

    def rows(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of the passages `first` to `end` - 1, float32 (rows, dimension), and where
        those of each passage end, int64 (end - first,)."""
        ...
