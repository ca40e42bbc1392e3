"""The embedded vector index: FAISS, exact up to what stays fast, HNSW past that."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import IndexDamaged

# 100,000 × 384 floats take about 10 ms on one core; past that a graph is worth its build time.
EXACT_UP_TO = 100_000
_HNSW_LINKS = 32
_HNSW_BUILD_EFFORT = 200
_HNSW_SEARCH_EFFORT = 128


def _faiss() -> Any:
    """FAISS, loaded when first used; its stubs do not know the Python layer, hence Any."""
    return import_module("faiss")


class FaissVectors:
    """Inner-product search over a FAISS index file written by `save`."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: np.ndarray, *, kind: str = "auto") -> FaissVectors:
        """Indexes float32 (rows, dimension). `kind` is `exact`, `hnsw` or `auto` (by the rows)."""
        faiss = _faiss()
        rows, dimension = vectors.shape
        if kind == "exact" or (kind == "auto" and rows <= EXACT_UP_TO):
            index: Any = faiss.IndexFlatIP(dimension)
        else:
            index = faiss.IndexHNSWFlat(dimension, _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
            index.hnsw.efConstruction = _HNSW_BUILD_EFFORT
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(index)

    @classmethod
    def open(cls, path: Path) -> FaissVectors:
        """Opens a saved index, memory-mapped. Raises IndexDamaged when FAISS cannot read it."""
        faiss = _faiss()
        try:
            return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))
        except RuntimeError:
            raise IndexDamaged(
                f"索引のファイル {path.name} が壊れています。",
                hint="kiku build で作り直してください。",
            ) from None

    def save(self, path: Path) -> None:
        """Writes the index to one file. Raises OSError when it cannot be written."""
        faiss = _faiss()
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:  # FAISS tells the system's reason in words only
            full = os.strerror(errno.ENOSPC) in str(error)
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(path)) from error

    @property
    def kind(self) -> str:
        """`exact` or `hnsw`, for the manifest."""
        return "hnsw" if "HNSW" in type(self._index).__name__ else "exact"

    def search(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex.search`."""
        faiss = _faiss()
        if self.kind == "exact":
            return _found(self._index.search(vector[None, :], k, params=_scan(allowed)))
        left = self._index.ntotal if allowed is None else int(np.count_nonzero(allowed))
        if allowed is None or left > EXACT_UP_TO:
            effort = max(_HNSW_SEARCH_EFFORT, 2 * k)
            parameters = faiss.SearchParametersHNSW(efSearch=effort, sel=_selector(allowed))
            ids, scores = _found(self._index.search(vector[None, :], k, params=parameters))
            if len(ids) == min(k, left):
                return ids, scores
        # A filter cuts the graph up, and what is cut off is never reached: few rows are scanned.
        return _found(self._index.storage.search(vector[None, :], k, params=_scan(allowed)))

    def rows(self, ids: Sequence[int]) -> np.ndarray:
        """See `VectorIndex.rows`."""
        stored: np.ndarray = self._index.reconstruct_batch(np.asarray(ids, dtype=np.int64))
        return stored


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
