"""The embedded vector index: FAISS, exact up to what stays fast, inverted lists past that."""

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
# 100,000 × 384 floats take about 10 ms on one core; past that the rows are shared out among lists.
EXACT_UP_TO = 100_000
# Measured against the exact index up to a million passages; see docs/scale.md.
_LISTS_PER_ROOT = 2  # lists for each √rows
_PROBED = 32  # one list of so many is looked into,
_PROBED_LEAST = 24  # and at least so many lists
_TRAINED_ON = 48  # rows for each list
_ADDED = 65_536  # rows at once
# Lists that were made for half as many rows, or twice as many, still serve.
_OUTGROWN = 2.0


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
        cls,
        vectors: np.ndarray,
        bounds: np.ndarray | None = None,
        *,
        kind: str = "auto",
        like: FaissVectors | None = None,
    ) -> FaissVectors:
        """Indexes float32 or float16 (rows, dimension), which may lie on disk. `kind` is `exact`,
        `ivf` or `auto` (by the rows).

        `bounds` int64 (passages + 1,) says whose the rows are; without it each is a passage's own.
        What `like` learned of its rows serves these too where their number is alike: nothing is
        learned anew, and rows that came out of `like` come out of this index just the same.
        """
        faiss = _faiss()
        rows, dimension = vectors.shape
        bounds = np.arange(rows + 1) if bounds is None else bounds
        if bounds[0] != 0 or bounds[-1] != rows or (np.diff(bounds) < 1).any():
            raise ValueError("every vector belongs to a passage, and every passage has a vector")
        index: Any = faiss.IndexFlatIP(dimension)
        if rows and (kind == "ivf" or (kind == "auto" and rows > EXACT_UP_TO)):
            index = _lists(vectors, like)
        for first in range(0, rows, _ADDED):
            index.add(np.ascontiguousarray(vectors[first : first + _ADDED], dtype=np.float32))
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
        """`exact` or `ivf`, for the manifest."""
        return "ivf" if hasattr(self._index, "nlist") else "exact"

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
        selector = _selector(allowed)
        if self.kind == "exact":
            parameters = faiss.SearchParameters(sel=selector)
        else:
            lists = self._index.nlist
            probed = max(_PROBED_LEAST, lists // _PROBED)
            if left <= EXACT_UP_TO:  # few are allowed, and they may lie in any list
                probed = lists
            parameters = faiss.SearchParametersIVF(nprobe=min(lists, probed), sel=selector)
        ids, scores = _found(self._index.search(vector[None, :], k, params=parameters))
        if len(ids) == min(k, left) or self.kind == "exact":
            return ids, scores
        parameters = faiss.SearchParametersIVF(nprobe=self._index.nlist, sel=selector)
        return _found(self._index.search(vector[None, :], k, params=parameters))


def _lists(vectors: np.ndarray, like: FaissVectors | None) -> Any:
    """An inverted file of one byte for each component, without rows. A code does not depend on the
    list that it lies in, so that decoding and encoding again does not wear a row off."""
    faiss = _faiss()
    rows, dimension = vectors.shape
    count = min(rows, round(_LISTS_PER_ROOT * rows**0.5))
    known = like._index if like and like.kind == "ivf" else None
    if known is not None and not 1 / _OUTGROWN <= known.nlist**2 / count**2 <= _OUTGROWN:
        known = None
    quantizer = faiss.IndexFlatIP(dimension) if known is None else _copied(known.quantizer)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, dimension, known.nlist if known is not None else count,
        faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False,
    )  # fmt: skip
    if known is None:
        index.sq.rangestat_arg = 0.1  # what lies a tenth outside of what was seen is not cut off
        index.cp.niter = 10
        index.cp.max_points_per_centroid = _TRAINED_ON
        index.cp.min_points_per_centroid = 1  # says nothing where rows are few
        step = max(1, rows // (_TRAINED_ON * count))
        index.train(np.ascontiguousarray(vectors[::step], dtype=np.float32))
    else:
        faiss.copy_array_to_vector(faiss.vector_to_array(known.sq.trained), index.sq.trained)
        index.is_trained = True
    index.make_direct_map()
    return index


def _copied(quantizer: Any) -> Any:
    faiss = _faiss()
    copy = faiss.IndexFlatIP(quantizer.d)
    copy.add(faiss.downcast_index(quantizer).reconstruct_n(0, quantizer.ntotal))
    return copy


def _selector(allowed: np.ndarray | None) -> Any:
    if allowed is None:
        return None
    return _faiss().IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _found(result: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """FAISS' (scores, ids) of one query as (ids, scores), without the ids −1 that fill it up."""
    scores, ids = result[0][0], result[1][0]
    return ids[ids >= 0], scores[ids >= 0]
