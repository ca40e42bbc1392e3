"""Writes the lexical leg in bounded memory, however many chunks there are.

Postings (key, chunk, count) are gathered into runs sorted by key, which are merged range by range:
an external merge sort. Idf and length normalisation are known at the end, and are applied then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from index.arrays import ArrayReader, ArrayWriter, save_array
from index.lexical import (
    CONTEXT_WEIGHT,
    NAMES_FILE,
    Statistics,
    Terms,
    kind_of,
    word_key,
)

RUN = 4_000_000  # postings sorted at once: 16 bytes each, and 8 for their order
_OUTPUTS = {
    "keys": np.uint64, "owners": np.int16, "bounds": np.int64, "idf": np.float32,
    "chunks": np.int32, "scores": np.float32, "counts": np.float16,
}  # fmt: skip
_TYPES: dict[str, type[np.generic]] = {"keys": np.uint64, "chunks": np.int32, "counts": np.float32}


class LexicalWriter:
    """Takes the terms of one chunk after the other; `finish` writes what `LexicalIndex` opens."""

    def __init__(self, folder: Path, *, run: int = RUN) -> None:
        self._folder = folder
        self._run = run
        self._rows = 0
        self._pending: list[tuple[int, np.ndarray, np.ndarray]] = []  # chunk, keys, counts
        self._held = 0
        self._runs: list[dict[str, Path]] = []
        self._lengths: list[tuple[np.ndarray, np.ndarray]] = []  # chunks, float64 (chunks, 2)
        self._names: set[str] = set()

    def add(self, body: Terms, context: Terms, *, chunk: int | None = None) -> None:
        """A chunk's terms: of its text, and of its title and headings. Chunks come in order;
        without a number it is the next one."""
        keys, counts = _weighted(body, context)
        self._names.update(body.names, context.names)
        chunk = self._rows if chunk is None else chunk
        self._pending.append((chunk, keys, counts))
        self._rows = max(self._rows, chunk + 1)
        self._held += len(keys)
        if self._held >= self._run:
            self._sort_pending()

    def take(self, folder: Path, taken: Sequence[tuple[int, int, int]]) -> None:
        """Takes over chunks of the index in `folder`: (place there, place here, how many) each, in
        an order that is the same there and here."""
        old = {
            name: ArrayReader(folder / f"lexical.{name}.npy")
            for name in ("keys", "bounds", "chunks", "counts")
        }
        bounds = old["bounds"][:]
        lengths = ArrayReader(folder / "lexical.lengths.npy")[:]
        places = np.full(len(lengths), -1, np.int32)
        for there, here, count in taken:
            span = len(places[there : there + count])
            places[there : there + span] = np.arange(here, here + span, dtype=np.int32)
            self._lengths.append((places[there : there + span], lengths[there : there + span]))
            self._rows = max(self._rows, here + count)
        run = self._new_run()
        with (
            run["keys"].open("wb") as keys,
            run["chunks"].open("wb") as chunks,
            run["counts"].open("wb") as counts,
        ):
            for first, last in _spans(bounds, self._run):
                start, end = bounds[first], bounds[last]
                here = places[old["chunks"][start:end]]
                kept = here >= 0
                frequency = np.diff(bounds[first : last + 1])
                of_key = np.repeat(old["keys"][first:last], frequency)[kept]
                here, of_chunk = here[kept], old["counts"][start:end][kept].astype(np.float32)
                for file, array in ((keys, of_key), (chunks, here), (counts, of_chunk)):
                    file.write(array.data)
        self._names.update(*json.loads((folder / NAMES_FILE).read_text(encoding="utf-8")))

    def finish(self, collections: np.ndarray | None = None) -> None:
        """Merges the runs into the arrays and the lists of names, and removes the runs.

        `collections` says in which each chunk is, int16 (chunks,) counting from 0; None: all in one.
        """
        self._sort_pending()
        if collections is None:
            collections = np.zeros(self._rows, np.int16)
        lengths = self._all_lengths()
        totals = _totals(lengths, collections)
        statistics = Statistics.of(totals)
        outputs = {name: ArrayWriter(self._path(name), kind) for name, kind in _OUTPUTS.items()}
        wanted = {word_key(name): name for name in self._names}
        names: list[list[str]] = [[] for _ in totals]
        written = 0
        outputs["bounds"].append(np.zeros(1, np.int64))
        for keys, chunks, counts in self._ranges(_order(collections)):
            owners, kind = collections[chunks], kind_of(keys)
            starts = _starts(keys, owners)
            ends = np.append(starts[1:], len(keys))
            frequency = np.diff(np.append(_starts(keys), len(keys)))
            idf = np.repeat(statistics.idf(frequency), frequency)
            scores = statistics.saturated(counts, lengths[chunks, kind], kind)
            outputs["keys"].append(keys[starts])
            outputs["owners"].append(owners[starts])
            outputs["bounds"].append((written + ends).astype(np.int64))
            outputs["idf"].append(idf[starts])
            outputs["chunks"].append(chunks)
            outputs["scores"].append(scores * idf)
            outputs["counts"].append(counts)
            words = starts[kind[starts] == 0]
            for key, owner in zip(keys[words].tolist(), owners[words].tolist(), strict=True):
                if key in wanted:  # a name that went away with its last chunk is not
                    names[owner].append(wanted[key])
            written += len(keys)
        for output in outputs.values():
            output.close()
        save_array(self._path("lengths"), lengths)
        save_array(self._path("totals"), totals)
        text = json.dumps([sorted(of_one) for of_one in names], ensure_ascii=False)
        (self._folder / NAMES_FILE).write_text(text, encoding="utf-8")
        for run in self._runs:
            for path in run.values():
                path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"lexical.{name}.npy"

    def _all_lengths(self) -> np.ndarray:
        lengths = np.zeros((self._rows, 2))
        for chunks, of_chunks in self._lengths:
            lengths[chunks] = of_chunks
        return lengths

    def _sort_pending(self) -> None:
        """Writes the pending postings as a run: in order of key, and of chunk where keys are equal."""
        if not self._pending:
            return
        sizes = np.array([len(keys) for _, keys, _ in self._pending])
        numbers = np.array([chunk for chunk, _, _ in self._pending], np.int32)
        places = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        keys = np.concatenate([keys for _, keys, _ in self._pending])
        counts = np.concatenate([counts for _, _, counts in self._pending])
        counts = counts.astype(np.float16).astype(np.float32)  # as they are kept for the next build
        self._lengths.append((numbers, _lengths(keys, places, counts, len(sizes))))
        order = np.argsort(keys, kind="stable")
        arrays = {"keys": keys[order], "chunks": numbers[places[order]], "counts": counts[order]}
        for name, path in self._new_run().items():
            path.write_bytes(arrays[name].data)
        self._pending.clear()
        self._held = 0

    def _new_run(self) -> dict[str, Path]:
        number = len(self._runs)
        self._runs.append({name: self._folder / f".run-{number}.{name}" for name in _TYPES})
        return self._runs[-1]

    def _ranges(self, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """All postings by key and by their chunks' place in `order`, a range of keys at a time:
        keys, chunks and counts (postings,)."""
        runs = [run for run in self._runs if run["keys"].stat().st_size]
        keys_of = [np.memmap(run["keys"], _TYPES["keys"], mode="r") for run in runs]
        total = sum(len(keys) for keys in keys_of)
        if not total:
            return
        sample = np.sort(np.concatenate([keys[:: max(1, self._run // 1000)] for keys in keys_of]))
        parts = -(-total // self._run)
        cuts = np.unique(sample[np.linspace(0, len(sample) - 1, parts + 1)[1:-1].astype(int)])
        starts = [0] * len(runs)
        for cut in (*cuts, None):
            ends = [
                len(keys) if cut is None else int(np.searchsorted(keys, cut)) for keys in keys_of
            ]
            slices = [
                {name: _read(run[name], _TYPES[name], start, end) for name in _TYPES}
                for run, start, end in zip(runs, starts, ends, strict=True)
            ]
            starts = ends
            keys = np.concatenate([piece["keys"] for piece in slices])
            if not len(keys):
                continue
            chunks = np.concatenate([piece["chunks"] for piece in slices])
            counts = np.concatenate([piece["counts"] for piece in slices])
            if len(runs) > 1:
                merged = np.argsort(keys, kind="stable")  # the runs, each in order itself
                keys, chunks, counts = keys[merged], chunks[merged], counts[merged]
            places = order[chunks]
            if ((keys[1:] == keys[:-1]) & (places[1:] < places[:-1])).any():
                inside = np.lexsort((places, keys))
                chunks, counts = chunks[inside], counts[inside]
            yield keys, chunks, counts


def _read(path: Path, kind: type[np.generic], start: int, end: int) -> np.ndarray:
    """Values `start` to `end` - 1 of a file of nothing else."""
    return np.fromfile(path, kind, end - start, offset=start * np.dtype(kind).itemsize)


def _order(collections: np.ndarray) -> np.ndarray:
    """The place of each chunk where the chunks of a collection stand together: int32 (chunks,)."""
    order = np.empty(len(collections), np.int32)
    order[np.argsort(collections, kind="stable")] = np.arange(len(collections), dtype=np.int32)
    return order


def _totals(lengths: np.ndarray, collections: np.ndarray) -> np.ndarray:
    """Of each collection its chunks, words and n-grams: float64 (collections, 3)."""
    return np.stack(
        [np.bincount(collections), *(np.bincount(collections, of_kind) for of_kind in lengths.T)],
        axis=1,
    ).astype(np.float64)


def _starts(*columns: np.ndarray) -> np.ndarray:
    """The places where sorted rows differ from the one before; the first place too."""
    new = np.zeros(max(0, len(columns[0]) - 1), bool)
    for column in columns:
        new |= column[1:] != column[:-1]
    return np.append(0, np.flatnonzero(new) + 1)


def _lengths(keys: np.ndarray, places: np.ndarray, counts: np.ndarray, rows: int) -> np.ndarray:
    """How long each chunk is in words and in n-grams, float64 (rows, 2)."""
    word = kind_of(keys) == 0
    return np.stack(
        [
            np.bincount(places[of_kind], weights=counts[of_kind], minlength=rows)
            for of_kind in (word, ~word)
        ],
        axis=1,
    )


def _spans(bounds: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of the vocabulary that hold at most `most` postings, or a single key."""
    first, last = 0, len(bounds) - 1
    while first < last:
        end = int(np.searchsorted(bounds, bounds[first] + most, side="right")) - 1
        end = min(max(end, first + 1), last)
        yield first, end
        first = end


def _weighted(body: Terms, context: Terms) -> tuple[np.ndarray, np.ndarray]:
    """The keys of a chunk, ascending, and how much each counts."""
    keys, place = np.unique(np.concatenate([body.keys, context.keys]), return_inverse=True)
    weighted = np.concatenate([body.counts, CONTEXT_WEIGHT * context.counts])
    return keys, np.bincount(place, weights=weighted, minlength=len(keys)).astype(np.float32)
