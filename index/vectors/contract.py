"""What every vector index can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class VectorIndex(Protocol):
    """Finds the rows nearest to a vector by inner product; rows are L2-normalised."""

    def search(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best `k` rows, best first: ids int64 (m,) and scores float32 (m,), m ≤ k.

        `vector` is float32 (dimension,). `allowed` is bool (rows,): rows that may be found, None
        for all; it filters inside the search, so that m is k wherever k allowed rows exist.
        """
        ...

    def rows(self, ids: Sequence[int]) -> np.ndarray:
        """The stored vectors float32 (len(ids), dimension)."""
        ...
