"""The embedded vector index: FAISS, exact up to what stays fast, HNSW past that."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from index.arrays import save_array
from index.errors import IndexDamaged

FILES = "vectors.faiss", "vectors.bounds.npy"
# 100,000 × 384 floats take about 10 ms on one core; past that a graph is worth its build time.
EXACT_UP_TO = 100_000
_HNSW_LINKS = 32
_HNSW_BUILD_EFFORT = 200
_HNSW_SEARCH_EFFORT = 128


def _faiss() -> Any:
    """FAISS, loaded when first used; its stubs do not know the Python layer, hence Any."""
    return import_module("faiss")


class FaissVectors:
    """Inner-product search over a FAISS index; opened from the two files written by `save`.

    The vectors of passage i are rows bounds[i]:bounds[i + 1] of the FAISS index.
    """

    def __init__(self, index: Any, bounds: np.ndarray) -> None:
        self._index = index
        self._bounds = bounds

    @classmethod
    def build(
        cls, vectors: np.ndarray, bounds: np.ndarray | None = None, *, kind: str = "auto"
    ) -> FaissVectors:
        """Indexes float32 (rows, dimension). `kind` is `exact`, `hnsw` or `auto` (by the rows).

        `bounds` int64 (passages + 1,) says whose the rows are; without it each is a passage's own.
        """
        faiss = _faiss()
        rows, dimension = vectors.shape
        bounds = np.arange(rows + 1) if bounds is None else bounds
        if bounds[0] != 0 or bounds[-1] != rows or (np.diff(bounds) < 1).any():
            raise ValueError("every vector belongs to a passage, and every passage has a vector")
        if kind == "exact" or (kind == "auto" and rows <= EXACT_UP_TO):
            index: Any = faiss.IndexFlatIP(dimension)
        else:
            index = faiss.IndexHNSWFlat(dimension, _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = _HNSW_BUILD_EFFORT
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(index, bounds)

    @classmethod
    def open(cls, folder: Path) -> FaissVectors:
        """Opens what `save` wrote, memory-mapped. Raises IndexDamaged when it cannot be read."""
        faiss = _faiss()
        index, bounds = (folder / name for name in FILES)
        path = index
        try:
            opened = faiss.read_index(str(index), faiss.IO_FLAG_MMAP_IFC)
            path = bounds
            return cls(opened, np.load(bounds, mmap_mode="r"))
        except (RuntimeError, OSError, ValueError):
            raise IndexDamaged(
                f"索引のファイル {path.name} が壊れています。",
                hint="kiku build で作り直してください。",
            ) from None

    def save(self, folder: Path) -> None:
        """Writes the index to two files. Raises OSError when they cannot be written."""
        faiss = _faiss()
        index, bounds = (folder / name for name in FILES)
        try:
            faiss.write_index(self._index, str(index))
        except RuntimeError as error:  # FAISS tells the system's reason in words only
            full = os.strerror(errno.ENOSPC) in str(error)
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(index)) from error
        save_array(bounds, self._bounds.astype(np.int64))

    @property
    def kind(self) -> str:
        """`exact` or `hnsw`, for the manifest."""
        return "hnsw" if "HNSW" in type(self._index).__name__ else "exact"

    def search(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex.search`."""
        passages, rows = len(self._bounds) - 1, int(self._bounds[-1])
        left = passages if allowed is None else int(np.count_nonzero(allowed))
        if allowed is not None and rows > passages:
            allowed = np.repeat(allowed, np.diff(self._bounds))
        if allowed is not None:
            rows = int(np.count_nonzero(allowed))
        k = min(k, left)
        wanted = k * -(-rows // max(1, left))
        while True:
            # Rows come best first, so that the first of a passage is its best one.
            ids, scores = self._nearest(vector, wanted, allowed, rows)
            owners = np.searchsorted(self._bounds, ids, side="right") - 1
            first = np.sort(np.unique(owners, return_index=True)[1])[:k]
            if len(first) == k or wanted == rows:
                return owners[first], scores[first]
            wanted = min(4 * wanted, rows)  # many of the nearest rows were of the same passages

    def scores(self, vector: np.ndarray, passages: Sequence[int]) -> np.ndarray:
        """See `VectorIndex.scores`."""
        if not len(passages):
            return np.empty(0, np.float32)
        chosen = np.asarray(passages, dtype=np.int64)
        starts = self._bounds[chosen]
        counts = self._bounds[chosen + 1] - starts
        firsts = np.cumsum(counts) - counts
        rows = np.repeat(starts - firsts, counts) + np.arange(counts.sum())
        products = self._index.reconstruct_batch(rows) @ vector
        best: np.ndarray = np.maximum.reduceat(products, firsts)
        return best

    def rows(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex.rows`."""
        bounds = self._bounds[first : end + 1]
        rows = np.arange(bounds[0], bounds[-1])
        return self._index.reconstruct_batch(rows), np.asarray(bounds[1:] - bounds[0])

    def _nearest(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None, left: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best `k` rows of the `left` rows that are `allowed`, and their scores."""
        faiss = _faiss()
        if not k:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if self.kind == "exact":
            return _found(self._index.search(vector[None, :], k, params=_scan(allowed)))
        if allowed is None or left > EXACT_UP_TO:
            effort = max(_HNSW_SEARCH_EFFORT, 2 * k)
            parameters = faiss.SearchParametersHNSW(efSearch=effort, sel=_selector(allowed))
            ids, scores = _found(self._index.search(vector[None, :], k, params=parameters))
            if len(ids) == min(k, left):
                return ids, scores
        # A filter cuts the graph up, and what is cut off is never reached: few rows are scanned.
        return _found(self._index.storage.search(vector[None, :], k, params=_scan(allowed)))


def _selector(allowed: np.ndarray | None) -> Any:
    if allowed is None:
        return None
    return _faiss().IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _scan(allowed: np.ndarray | None) -> Any:
    return _faiss().SearchParameters(sel=_selector(allowed))


def _found(result: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """FAISS' (scores, ids) of one query as (ids, scores), without the ids −1 that fill it up."""
    scores, ids = result[0][0], result[1][0]
    return ids[ids >= 0], scores[ids >= 0]
