"""The embedded vector index: FAISS, exact up to what stays fast, inverted lists past that."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from index.arrays import ArrayReader, ArrayWriter, Run, save_array
from index.errors import IndexDamaged
from index.vectors.inverted import (
    RowSource,
    TakenVectors,
    inverted_lists,
    load_faiss,
    whole_rows,
)

FILES = "vectors.faiss", "vectors.bounds.npy"
FINE = "vectors.fine.npy"  # of lists; see `index.vectors.inverted`
# Measured against the exact index up to a million passages; see docs/scale.md.
EXACT_UP_TO = 20_000  # 3 ms; past that lists find the same in half of the time
_PROBED = 6  # one list of so many is looked into,
_PROBED_LEAST = 64  # at least so many lists,
_PROBED_MOST = 500  # and at most so many: more find nothing more among seven million vectors;
_FEW = 100_000  # all lists where a collection leaves no more rows, since they may lie in any
_SPARE = 32  # rows that are looked at past those wanted: one byte may have put them too low


class FaissVectors:
    """Inner-product search over a FAISS index in the files that `write` writes.

    The vectors of passage i are rows bounds[i]:bounds[i + 1] of the FAISS index.
    """

    def __init__(self, index: Any, bounds: np.ndarray, fine: ArrayReader | None) -> None:
        self._index = index
        self._fine = fine
        self.bounds = bounds
        if self.kind == "ivf":
            index.parallel_mode = 1  # threads share the lists of one question: half of the time

    @staticmethod
    def write(
        folder: Path,
        vectors: np.ndarray | ArrayReader,
        bounds: np.ndarray | None = None,
        *,
        kind: str = "auto",
        taken: TakenVectors | None = None,
    ) -> None:
        """Indexes float32 or float16 (rows, dimension). `kind` is `exact`, `ivf` or `auto` (by the
        rows). Rows that are `taken` from another index come in between, and out of this one just
        as out of that.

        `bounds` int64 (passages + 1,) says whose the rows are; without it each is a passage's own.
        Raises OSError when the files cannot be written.
        """
        source = RowSource(vectors, taken)
        bounds = np.arange(source.rows + 1) if bounds is None else bounds
        if bounds[0] != 0 or bounds[-1] != source.rows or (np.diff(bounds) < 1).any():
            raise ValueError("every vector belongs to a passage, and every passage has a vector")
        if kind_for(source.rows, kind) == "ivf":
            with ArrayWriter(folder / FINE, np.int8, source.dimension) as fine:
                index = inverted_lists(source, fine)
        else:
            index = load_faiss().IndexFlatIP(source.dimension)
            for _, rows in source.batches():
                index.add(rows)
        _save(index, folder / FILES[0])
        save_array(folder / FILES[1], bounds.astype(np.int64))

    @classmethod
    def open(cls, folder: Path) -> FaissVectors:
        """Opens what `write` wrote, memory-mapped. Raises IndexDamaged when it cannot be read."""
        faiss = load_faiss()
        path = folder / FILES[0]
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
            path = folder / FILES[1]
            bounds = np.load(path, mmap_mode="r")
            path = folder / FINE
            fine = ArrayReader(path) if hasattr(index, "nlist") else None
            return cls(index, bounds, fine)
        except (RuntimeError, OSError, ValueError):
            raise IndexDamaged(
                f"索引のファイル {path.name} が壊れています。",
                hint="kiku build で作り直してください。",
            ) from None

    def taken(self, runs: Sequence[Run]) -> TakenVectors:
        """Some of its rows, for another index."""
        return TakenVectors(self._index, self._fine, runs)

    @property
    def rows_held(self) -> int:
        """How many vectors there are of all passages."""
        return int(self.bounds[-1])

    @property
    def kind(self) -> str:
        """`exact` or `ivf`, for the manifest."""
        return "ivf" if hasattr(self._index, "nlist") else "exact"

    def search(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex.search`."""
        passages, rows = len(self.bounds) - 1, int(self.bounds[-1])
        left = passages if allowed is None else int(np.count_nonzero(allowed))
        if allowed is not None and rows > passages:
            allowed = np.repeat(allowed, np.diff(self.bounds))
        if allowed is not None:
            rows = int(np.count_nonzero(allowed))
        k = min(k, left)
        wanted = k * -(-rows // max(1, left))
        while True:
            # Rows come best first, so that the first of a passage is its best one.
            ids, scores = self._nearest(vector, wanted, allowed, rows)
            owners = np.searchsorted(self.bounds, ids, side="right") - 1
            first = np.sort(np.unique(owners, return_index=True)[1])[:k]
            if len(first) == k or wanted == rows:
                return owners[first], scores[first]
            wanted = min(4 * wanted, rows)  # many of the nearest rows were of the same passages

    def scores(self, vector: np.ndarray, passages: Sequence[int]) -> np.ndarray:
        """See `VectorIndex.scores`."""
        if not len(passages):
            return np.empty(0, np.float32)
        chosen = np.asarray(passages, dtype=np.int64)
        starts = self.bounds[chosen]
        counts = self.bounds[chosen + 1] - starts
        firsts = np.cumsum(counts) - counts
        rows = np.repeat(starts - firsts, counts) + np.arange(counts.sum())
        products = whole_rows(self._index, self._fine, rows) @ vector
        best: np.ndarray = np.maximum.reduceat(products, firsts)
        return best

    def rows(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """See `VectorIndex.rows`."""
        bounds = self.bounds[first : end + 1]
        rows = np.arange(bounds[0], bounds[-1])
        return whole_rows(self._index, self._fine, rows), np.asarray(bounds[1:] - bounds[0])

    def _nearest(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None, left: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best `k` rows of the `left` rows that are `allowed`, and their scores."""
        if not k:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        faiss, selector = load_faiss(), _selector(allowed)
        if self.kind == "exact":
            parameters = faiss.SearchParameters(sel=selector)
            return _found(self._index.search(vector[None, :], k, params=parameters))
        lists = self._index.nlist
        probed = min(lists, max(_PROBED_LEAST, min(_PROBED_MOST, lists // _PROBED)))
        if allowed is not None and left <= _FEW:
            probed = lists
        for looked_into in (probed, lists):
            parameters = faiss.SearchParametersIVF(nprobe=looked_into, sel=selector)
            found = self._index.search(vector[None, :], k + _SPARE, params=parameters)
            rows, _ = _found(found)
            if len(rows) >= min(k, left):
                break
        rows.sort()
        scores = whole_rows(self._index, self._fine, rows) @ vector
        best = np.argsort(-scores, kind="stable")[:k]
        return rows[best], scores[best]


def _save(index: Any, path: Path) -> None:
    try:
        load_faiss().write_index(index, str(path))
    except RuntimeError as error:  # FAISS tells the system's reason in words only
        full = os.strerror(errno.ENOSPC) in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(path)) from error


def kind_for(rows: int, kind: str = "auto") -> str:
    """`exact` or `ivf`: what `build` makes of so many rows."""
    if kind == "auto":
        kind = "ivf" if rows > EXACT_UP_TO else "exact"
    return kind if rows else "exact"


def _selector(allowed: np.ndarray | None) -> Any:
    if allowed is None:
        return None
    return load_faiss().IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _found(result: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """FAISS' (scores, ids) of one query as (ids, scores), without the ids −1 that fill it up."""
    scores, ids = result[0][0], result[1][0]
    return ids[ids >= 0], scores[ids >= 0]
