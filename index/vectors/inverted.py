"""Inverted lists: vectors in lists by what is near, one byte for each component.

Built by hand where FAISS would do it alone, for two reasons. A list that grows row by row takes up
to twice its memory, so that all are given their size first. And what another index holds is copied
code by code: a build after a small change takes seconds, and no row is rounded twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from index.arrays import ArrayReader, Run, segments

# Measured against the exact index up to a million passages; see docs/scale.md.
_LISTS_PER_ROOT = 4  # lists for each √rows
_TRAINED_ON = 32  # rows for each list
_BATCH = 16_384  # rows at once
# Lists that were made for half as many rows, or twice as many, still serve.
_OUTGROWN = 2.0


def _faiss() -> Any:
    return import_module("faiss")


@dataclass(frozen=True, slots=True)
class TakenVectors:
    """Rows of another FAISS index: `runs` of (first there, first here, how many), in order."""

    index: Any
    runs: Sequence[Run]


class RowSource:
    """All rows of an index to be: those of another one, and the new ones in between."""

    def __init__(self, new: np.ndarray | ArrayReader, taken: TakenVectors | None) -> None:
        self._new = new
        self.runs = taken.runs if taken else ()
        self.old = taken.index if taken else None
        self.rows = len(new) + sum(count for *_, count in self.runs)
        self.dimension = new.shape[1]

    def batches(self, *, taken: bool = True) -> Iterator[tuple[int, np.ndarray]]:
        """(its first row, float32 (n, dimension)) of all rows in order, or of the new ones alone."""
        new = 0
        for first, end, there in segments(self.rows, self.runs):
            if there is not None and not taken:
                continue
            for start in range(first, end, _BATCH):
                count = min(end - start, _BATCH)
                if there is None or self.old is None:
                    yield start, np.ascontiguousarray(self._new[new : new + count], np.float32)
                    new += count
                else:
                    rows = np.arange(start, start + count) + (there - first)
                    yield start, self.old.reconstruct_batch(rows)

    def sample(self, wanted: int) -> np.ndarray:
        """Some `wanted` rows, evenly spread: float32 (n, dimension)."""
        step = max(1, self.rows // wanted)
        chosen = np.empty((-(-self.rows // step), self.dimension), np.float32)
        for first, rows in self.batches():  # copied: a slice would keep its whole batch
            mine = rows[-first % step :: step]
            start = -(-first // step)
            chosen[start : start + len(mine)] = mine
        return chosen


def inverted_lists(source: RowSource) -> Any:
    """An inverted file of one byte for each component. A code does not depend on the list that it
    lies in, so that the codes of another index are copied into the lists where they lay there,
    while these lists serve."""
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
            pointers = _faiss().swig_ptr(ids), _faiss().swig_ptr(codes)
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
    return index


def _trained(source: RowSource, count: int) -> Any:
    """`count` empty lists that learned of the rows."""
    index = _empty(_faiss().IndexFlatIP(source.dimension), count)
    index.sq.rangestat_arg = 0.1  # what lies a tenth outside of what was seen is not cut off
    index.cp.niter = 8
    index.cp.max_points_per_centroid = _TRAINED_ON
    index.cp.min_points_per_centroid = 1  # says nothing where rows are few
    index.train(source.sample(_TRAINED_ON * count))
    return index


def _like(known: Any) -> Any:
    """Empty lists that learned what `known` did."""
    faiss = _faiss()
    quantizer = faiss.IndexFlatIP(known.d)
    centres = faiss.downcast_index(known.quantizer)
    quantizer.add(centres.reconstruct_n(0, centres.ntotal))
    index = _empty(quantizer, known.nlist)
    faiss.copy_array_to_vector(faiss.vector_to_array(known.sq.trained), index.sq.trained)
    index.is_trained = True
    return index


def _empty(quantizer: Any, count: int) -> Any:
    faiss = _faiss()
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
        ids = here[_faiss().rev_swig_ptr(known.invlists.get_ids(number), size)]
        places = np.flatnonzero(ids >= 0)
        found.append((places, ids[places]))
    return found


def _codes(known: Any, number: int) -> np.ndarray:
    """The codes of a list: uint8 (n, dimension)."""
    lists, width = known.invlists, known.code_size
    size = lists.list_size(number)
    if not size:
        return np.empty((0, width), np.uint8)
    codes = _faiss().rev_swig_ptr(lists.get_codes(number), size * width)
    rows: np.ndarray = codes.reshape(size, width)
    return rows
