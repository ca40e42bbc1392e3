"""Inverted lists: vectors in lists by what is near, one byte for each component, and beside them, in
a file of its own, a second byte, which is read for the few rows that a search finds.

Built by hand where FAISS would do it alone, for two reasons. A list that grows row by row takes up
to twice its memory, so that all are given their size first. And what another index holds is copied
code by code: a build after a small change takes seconds, and no row is rounded twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from index.arrays import ArrayReader, ArrayWriter, Run, segments

# Measured against the exact index up to a million passages; see docs/scale.md.
_LISTS_PER_ROOT = 4  # lists for each √rows
_TRAINED_ON = 32  # rows for each list
_BATCH = 16_384  # rows at once
_FINEST = 127
# Lists that were made for half as many rows, or twice as many, still serve.
_OUTGROWN = 2.0


@cache
def load_faiss() -> Any:
    """FAISS, loaded when first used; its stubs do not know the Python layer, hence Any. Threads that
    it has no work for sleep, which OpenMP is told before it is loaded or never: they would spin, and
    keep a core from whoever else has work."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return import_module("faiss")


@dataclass(frozen=True, slots=True)
class TakenVectors:
    """Rows of another FAISS index, with its second bytes where it has lists: `runs` of (first there,
    first here, how many), in order."""

    index: Any
    fine: ArrayReader | None
    runs: Sequence[Run]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows of an index to be, `first` to `end` - 1, and where they begin: among the new ones, or in
    the other index."""

    first: int
    end: int
    new: int
    there: int | None


class RowSource:
    """All rows of an index to be: those of another one, and the new ones in between."""

    def __init__(self, new: np.ndarray | ArrayReader, taken: TakenVectors | None) -> None:
        self._new = new
        self.runs = taken.runs if taken else ()
        self.old = taken.index if taken else None
        self.old_fine = taken.fine if taken else None
        self.rows = len(new) + sum(count for *_, count in self.runs)
        self.dimension = new.shape[1]

    def batches(self, *, taken: bool = True) -> Iterator[tuple[int, np.ndarray]]:
        """(its first row, float32 (n, dimension)) of all rows in order, or of the new ones alone."""
        for batch in self.places():
            if taken or batch.there is None:
                yield batch.first, self.read(batch)

    def places(self) -> Iterator[_Batch]:
        """All rows in order, at most `_BATCH` at once."""
        new = 0
        for first, end, there in segments(self.rows, self.runs):
            for start in range(first, end, _BATCH):
                stop = min(end, start + _BATCH)
                yield _Batch(start, stop, new, None if there is None else there + start - first)
                new += stop - start if there is None else 0

    def read(self, batch: _Batch) -> np.ndarray:
        """The rows of a batch, float32 (n, dimension)."""
        count = batch.end - batch.first
        if batch.there is None or self.old is None:
            return np.ascontiguousarray(self._new[batch.new : batch.new + count], np.float32)
        return whole_rows(self.old, self.old_fine, np.arange(batch.there, batch.there + count))

    def sample(self, wanted: int) -> np.ndarray:
        """Some `wanted` rows, evenly spread: float32 (n, dimension)."""
        step = max(1, self.rows // wanted)
        chosen = np.empty((-(-self.rows // step), self.dimension), np.float32)
        for first, rows in self.batches():  # copied: a slice would keep its whole batch
            mine = rows[-first % step :: step]
            start = -(-first // step)
            chosen[start : start + len(mine)] = mine
        return chosen


def whole_rows(index: Any, fine: ArrayReader | None, rows: np.ndarray) -> np.ndarray:
    """Some rows, int64 (n,), as they went into the index, float32 (n, dimension)."""
    found: np.ndarray = index.reconstruct_batch(rows)
    if fine is not None and len(rows):
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
        left = np.concatenate([fine[int(run[0]) : int(run[-1]) + 1] for run in runs])
        found += left * _fine_units(index)
    return found


def inverted_lists(source: RowSource, fine: ArrayWriter) -> Any:
    """An inverted file of one byte for each component; `fine` is given what the rounding left. A code
    does not depend on the list that it lies in, so that the codes of another index are copied into
    the lists where they lay there, while these lists serve."""
    count = min(source.rows, round(_LISTS_PER_ROOT * source.rows**0.5))
    known = source.old if hasattr(source.old, "nlist") else None
    if known is not None and not 1 / _OUTGROWN <= known.nlist**2 / count**2 <= _OUTGROWN:
        known = None
    index = _trained(source, count) if known is None else _like(known)
    lists = index.invlists
    kept = [] if known is None else _kept(known, source)
    counts = np.array([len(places) for places, _ in kept] or [0] * index.nlist)
    found = [
        (first, index.quantizer.assign(rows, 1)[:, 0])
        for first, rows in source.batches(taken=known is None)
    ]
    for _, of_rows in found:
        counts += np.bincount(of_rows, minlength=index.nlist)
    for number, size in enumerate(counts.tolist()):  # all at once: a list that grows takes double
        lists.resize(number, size)
    filled = [0] * index.nlist

    def put(number: int, ids: np.ndarray, codes: np.ndarray) -> None:
        if len(ids):
            ids, codes = np.ascontiguousarray(ids, np.int64), np.ascontiguousarray(codes)
            pointers = load_faiss().swig_ptr(ids), load_faiss().swig_ptr(codes)
            lists.update_entries(number, filled[number], len(ids), *pointers)
            filled[number] += len(ids)

    for number, (places, ids) in enumerate(kept):
        put(number, ids, _codes(known, number)[places])
    batches = source.batches(taken=known is None)
    for (first, of_rows), (_, rows) in zip(found, batches, strict=True):
        codes, order = index.sq.compute_codes(rows), np.argsort(of_rows, kind="stable")
        cuts = np.flatnonzero(np.diff(of_rows[order])) + 1
        for places in np.split(order, cuts):
            put(int(of_rows[places[0]]), first + places, codes[places])
    index.ntotal = source.rows
    index.make_direct_map()
    _write_fine(fine, index, source, copied=known is not None)
    return index


def _write_fine(fine: ArrayWriter, index: Any, source: RowSource, *, copied: bool) -> None:
    """What each row's code leaves of it, row by row; `copied` where the codes are those of the other
    index."""
    units = _fine_units(index)
    units[units == 0] = 1.0  # a component that is the same everywhere
    for batch in source.places():
        if copied and batch.there is not None and source.old_fine is not None:
            fine.append(source.old_fine[batch.there : batch.there + batch.end - batch.first])
            continue
        rows = source.read(batch)
        left = (rows - index.sq.decode(index.sq.compute_codes(rows))) / units
        fine.append(np.rint(left).clip(-_FINEST, _FINEST).astype(np.int8))


def _fine_units(index: Any) -> np.ndarray:
    """What 1 of the second byte is worth in each component, float32 (dimension,): a code leaves at
    most half a step, of which 255 span what was seen."""
    spans: np.ndarray = load_faiss().vector_to_array(index.sq.trained)[index.d :]
    return spans / np.float32(255 * 2 * _FINEST)


def _trained(source: RowSource, count: int) -> Any:
    """`count` empty lists that learned of the rows."""
    index = _empty(load_faiss().IndexFlatIP(source.dimension), count)
    index.sq.rangestat_arg = 0.1  # what lies a tenth outside of what was seen is not cut off
    index.cp.niter = 8
    index.cp.max_points_per_centroid = _TRAINED_ON
    index.cp.min_points_per_centroid = 1  # says nothing where rows are few
    index.train(source.sample(_TRAINED_ON * count))
    return index


def _like(known: Any) -> Any:
    """Empty lists that learned what `known` did."""
    faiss = load_faiss()
    quantizer = faiss.IndexFlatIP(known.d)
    centres = faiss.downcast_index(known.quantizer)
    quantizer.add(centres.reconstruct_n(0, centres.ntotal))
    index = _empty(quantizer, known.nlist)
    faiss.copy_array_to_vector(faiss.vector_to_array(known.sq.trained), index.sq.trained)
    index.is_trained = True
    return index


def _empty(quantizer: Any, count: int) -> Any:
    faiss = load_faiss()
    kind = faiss.ScalarQuantizer.QT_8bit
    return faiss.IndexIVFScalarQuantizer(
        quantizer, quantizer.d, count, kind, faiss.METRIC_INNER_PRODUCT, False
    )


def _kept(known: Any, source: RowSource) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each list of `known` the places that are taken over, and the rows that they become."""
    here = np.full(known.ntotal, -1, np.int64)
    for there, first, count in source.runs:
        here[there : there + count] = np.arange(first, first + count)
    found = []
    for number in range(known.nlist):
        size = known.invlists.list_size(number)
        if not size:
            found.append((np.empty(0, np.int64), np.empty(0, np.int64)))
            continue
        ids = here[load_faiss().rev_swig_ptr(known.invlists.get_ids(number), size)]
        places = np.flatnonzero(ids >= 0)
        found.append((places, ids[places]))
    return found


def _codes(known: Any, number: int) -> np.ndarray:
    """The codes of a list: uint8 (n, dimension)."""
    lists, width = known.invlists, known.code_size
    size = lists.list_size(number)
    if not size:
        return np.empty((0, width), np.uint8)
    codes = load_faiss().rev_swig_ptr(lists.get_codes(number), size * width)
    rows: np.ndarray = codes.reshape(size, width)
    return rows
