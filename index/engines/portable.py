"""A generation taken apart: what an engine has to store of it, in bounded memory.

The files hold the lexical leg by term; an engine stores it by passage.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from index.engines.words import Passage, Vocabulary
from index.generation import Generation
from index.lexical import FILES, NAMES_FILE, LexicalIndex, Statistics, kind_of

_PASSAGES = 20_000  # taken out of the lexical files at once
_POSTINGS = 16_000_000  # looked through at once
# What an engine keeps of the lexical files as they are, and what stays with the passages.
_KEPT = ("keys", "owners", "bounds", "idf", "totals")
_EMPTY = {"chunks": np.int32, "scores": np.float32, "counts": np.float16}


@dataclass(frozen=True, slots=True)
class Posting:
    """The lexical side of a passage: what is stored of it, and its saturations under the
    statistics of all collections, float32 (terms,)."""

    position: int
    collection: int
    passage: Passage
    saturations: np.ndarray


def vocabulary_blob(generation: Generation) -> bytes:
    """The terms of a generation with what understanding a question needs, as one file."""
    arrays = _arrays(generation)
    _, first = _terms(arrays["keys"])
    peaks = np.zeros(len(arrays["keys"]), np.float32)
    bounds = arrays["bounds"]
    for start in range(0, len(peaks), _PASSAGES):
        end = min(start + _PASSAGES, len(peaks))
        low = int(bounds[start])
        scores = arrays["scores"][low : int(bounds[end])]
        highest = np.maximum.reduceat(scores, (bounds[start:end] - low).astype(np.int64))
        peaks[start:end] = highest / arrays["idf"][start:end]
    names = (generation.folder / NAMES_FILE).read_text(encoding="utf-8")
    file = io.BytesIO()
    np.savez(
        file,
        allow_pickle=False,
        peaks=np.maximum.reduceat(peaks, first) if len(first) else peaks,
        names=np.frombuffer(names.encode(), np.uint8),
        **{name: arrays[name] for name in _KEPT},
    )
    return file.getvalue()


def read_vocabulary(blob: bytes, passages: int) -> tuple[Vocabulary, LexicalIndex]:
    """What `vocabulary_blob` wrote. The index knows terms, not passages: it cannot score."""
    with np.load(io.BytesIO(blob), allow_pickle=False) as file:
        arrays = {name: file[name] for name in (*_KEPT, "peaks", "names")}
    names = json.loads(arrays.pop("names").tobytes().decode())
    peaks = arrays.pop("peaks")
    arrays |= {name: np.empty(0, kind) for name, kind in _EMPTY.items()}
    arrays["lengths"] = np.empty((0, 2))
    keys, first = _terms(arrays["keys"])
    held = np.diff(arrays["bounds"])
    frequency = np.add.reduceat(held, first) if len(first) else held
    vocabulary = Vocabulary(keys, peaks, frequency, Statistics.of(arrays["totals"]))
    return vocabulary, LexicalIndex(arrays, passages, names)


def postings(generation: Generation) -> Iterator[Posting]:
    """The lexical side of every passage, in order."""
    arrays = _arrays(generation)
    everything = Statistics.of(arrays["totals"])
    keys, first = _terms(arrays["keys"])
    kinds = kind_of(keys)
    numbers = np.repeat(
        np.arange(len(keys), dtype=np.int32), np.diff(np.append(first, len(arrays["keys"])))
    )
    collections = generation.chunk_collections
    rows = generation.manifest.chunks
    for start in range(0, rows, _PASSAGES):
        end = min(start + _PASSAGES, rows)
        places = _places(arrays["chunks"], start, end)
        piece = np.searchsorted(arrays["bounds"], places, side="right") - 1
        terms, owners = numbers[piece], arrays["chunks"][places]
        order = np.lexsort((terms, owners))
        terms, owners = terms[order], owners[order]
        counts = arrays["counts"][places][order].astype(np.float32)
        kind = kinds[terms]
        saturated = everything.saturated(counts, arrays["lengths"][owners, kind], kind)
        cuts = np.searchsorted(owners, np.arange(start, end + 1))
        for position in range(start, end):
            span = slice(*cuts[position - start : position - start + 2])
            passage = Passage(terms[span], counts[span], arrays["lengths"][position])
            yield Posting(position, int(collections[position]), passage, saturated[span])


def passage_vectors(generation: Generation) -> Iterator[tuple[int, np.ndarray]]:
    """Every vector of a generation with the passage it belongs to, in order."""
    assert generation.vectors is not None
    chunks, step = generation.manifest.chunks, 4096
    for first in range(0, chunks, step):
        end = min(first + step, chunks)
        vectors, ends = generation.vectors.rows(first, end)
        owners = np.repeat(np.arange(first, end), np.diff(ends, prepend=0))
        yield from zip(owners.tolist(), vectors, strict=True)


def _places(chunks: np.ndarray, first: int, end: int) -> np.ndarray:
    """Where the postings of the passages `first` to `end` - 1 lie, int64."""
    found = []
    for start in range(0, len(chunks), _POSTINGS):
        part = chunks[start : start + _POSTINGS]
        found.append(start + np.flatnonzero((part >= first) & (part < end)))
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _arrays(generation: Generation) -> dict[str, np.ndarray]:
    return {
        name: np.load(generation.folder / f"lexical.{name}.npy", mmap_mode="r") for name in FILES
    }


def _terms(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys of the pieces, ascending, and the first piece of each."""
    distinct, first = np.unique(keys, return_index=True)
    return distinct, first
