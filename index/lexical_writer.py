"""Writes the lexical leg in bounded memory, however many chunks there are.

Postings (key, chunk, count) are gathered into runs sorted by key, which are merged range by range:
an external merge sort. Idf and length normalisation are known at the end, and are applied then.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from index.arrays import ArrayWriter
from index.lexical import CONTEXT_WEIGHT, FILES, K1, NAMES_FILE, TAG_SHIFT, WORD, B, Terms

RUN = 4_000_000  # postings sorted at once: 16 bytes each, and 8 for their order
_KINDS = (np.uint64, np.int64, np.int32, np.float32, np.float32)  # of FILES, in order
_TYPES = {"keys": np.uint64, "chunks": np.int32, "counts": np.float32}


class LexicalWriter:
    """Takes the terms of one chunk after the other; `finish` writes what `LexicalIndex` opens."""

    def __init__(self, folder: Path, *, run: int = RUN) -> None:
        self._folder = folder
        self._run = run
        self._rows = 0
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._first = 0  # the chunk of the first pending terms
        self._held = 0
        self._runs: list[dict[str, Path]] = []
        self._lengths: list[np.ndarray] = []  # float64 (chunks, 2): words and n-grams of a run
        self._names: set[str] = set()

    def add(self, body: Terms, context: Terms) -> None:
        """The next chunk: the terms of its text, and of its title and headings."""
        keys, counts = _weighted(body, context)
        self._names.update(body.names, context.names)
        self._pending.append((keys, counts))
        self._rows += 1
        self._held += len(keys)
        if self._held >= self._run:
            self._sort_pending()

    def finish(self) -> None:
        """Merges the runs into the five arrays and the list of names, and removes the runs."""
        self._sort_pending()
        lengths = np.concatenate([np.empty((0, 2)), *self._lengths])
        mean = lengths.sum(axis=0) / max(1, self._rows)
        norm = K1 * (1 - B + B * lengths / np.where(mean > 0, mean, 1.0))
        outputs = {
            name: ArrayWriter(self._folder / f"lexical.{name}.npy", kind)
            for name, kind in zip(FILES, _KINDS, strict=True)
        }
        written = 0
        outputs["bounds"].append(np.zeros(1, np.int64))
        for keys, chunks, counts in self._ranges():
            vocabulary, first = np.unique(keys, return_index=True)
            ends = np.append(first[1:], len(keys))
            frequency = ends - first
            idf = np.log(1 + (self._rows - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
            kind = (keys >> TAG_SHIFT != WORD).astype(np.int8)
            scores = (counts * (K1 + 1) / (counts + norm[chunks, kind])).astype(np.float32)
            outputs["keys"].append(vocabulary)
            outputs["bounds"].append((written + ends).astype(np.int64))
            outputs["chunks"].append(chunks)
            outputs["scores"].append(scores * np.repeat(idf, frequency))
            outputs["idf"].append(idf)
            written += len(keys)
        for output in outputs.values():
            output.close()
        names = "\n".join(sorted(self._names))
        (self._folder / NAMES_FILE).write_text(names, encoding="utf-8")
        for run in self._runs:
            for path in run.values():
                path.unlink()

    def _sort_pending(self) -> None:
        """Writes the pending postings as a run: in order of key, and of chunk where keys are equal."""
        if not self._pending:
            return
        sizes = np.array([len(keys) for keys, _ in self._pending])
        places = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        keys = np.concatenate([keys for keys, _ in self._pending])
        counts = np.concatenate([counts for _, counts in self._pending])
        lengths = np.empty((len(sizes), 2))
        for kind, of_kind in enumerate((keys >> TAG_SHIFT == WORD, keys >> TAG_SHIFT != WORD)):
            lengths[:, kind] = np.bincount(
                places[of_kind], weights=counts[of_kind], minlength=len(sizes)
            )
        self._lengths.append(lengths)
        order = np.argsort(keys, kind="stable")
        arrays = {
            "keys": keys[order],
            "chunks": places[order] + np.int32(self._first),
            "counts": counts[order],
        }
        number = len(self._runs)
        run = {name: self._folder / f".run-{number}.{name}" for name in arrays}
        for name, path in run.items():
            path.write_bytes(arrays[name].data)
        self._runs.append(run)
        self._pending.clear()
        self._first, self._held = self._rows, 0

    def _ranges(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """All postings in order, a range of keys at a time: keys, chunks and counts (postings,)."""
        runs = [
            {name: np.memmap(path, _TYPES[name], mode="r") for name, path in run.items()}
            for run in self._runs
            if run["keys"].stat().st_size
        ]
        total = sum(len(run["keys"]) for run in runs)
        if not total:
            return
        sample = np.sort(
            np.concatenate([run["keys"][:: max(1, self._run // 1000)] for run in runs])
        )
        parts = -(-total // self._run)
        cuts = np.unique(sample[np.linspace(0, len(sample) - 1, parts + 1)[1:-1].astype(int)])
        starts = [0] * len(runs)
        for cut in (*cuts, None):
            ends = [
                len(run["keys"]) if cut is None else int(np.searchsorted(run["keys"], cut))
                for run in runs
            ]
            slices = [
                {name: run[name][start:end] for name in _TYPES}
                for run, start, end in zip(runs, starts, ends, strict=True)
            ]
            starts = ends
            keys = np.concatenate([piece["keys"] for piece in slices])
            if not len(keys):
                continue
            order = np.argsort(keys, kind="stable")  # runs come in the order of their chunks
            yield (
                keys[order],
                np.concatenate([piece["chunks"] for piece in slices])[order],
                np.concatenate([piece["counts"] for piece in slices])[order],
            )


def _weighted(body: Terms, context: Terms) -> tuple[np.ndarray, np.ndarray]:
    """The keys of a chunk, ascending, and how much each counts."""
    keys, place = np.unique(np.concatenate([body.keys, context.keys]), return_inverse=True)
    weighted = np.concatenate([body.counts, CONTEXT_WEIGHT * context.counts])
    return keys, np.bincount(place, weights=weighted, minlength=len(keys)).astype(np.float32)
