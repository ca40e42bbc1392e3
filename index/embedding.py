"""The vectors of a build: taken over from the last generation, from the cache, or computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.arrays import ArrayReader, ArrayWriter, Run, segments
from index.cache import Cache, Embedding
from index.errors import KikuError
from index.generation import EncoderIdentity, Generation
from index.reading import Previous
from index.records import passage_context
from index.records_file import Records
from index.vectors.faiss import FaissVectors
from index.vectors.inverted import TakenVectors

if TYPE_CHECKING:
    from index.encoder import Encoder

_BATCH = 64  # chunks encoded at once
_COPIED = 4096  # chunks copied at once from the previous generation
Progress = Callable[[str, int, int], None]


def identity(encoder: Encoder | None) -> EncoderIdentity:
    """What the manifest says of an encoder."""
    if encoder is None:
        return EncoderIdentity()
    return EncoderIdentity(
        encoder.name, encoder.fingerprint, encoder.dimension, encoder.token_dimension
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """What can be taken over from the previous generation, and the chunks that are as they were:
    (place there, place here, how many) each, in order."""

    generation: Generation
    chunks: list[Run]

    @classmethod
    def of(cls, previous: Previous | None, chunks: list[Run]) -> Taken | None:
        """Nothing where there is no previous generation, or one that is damaged."""
        if previous is None or not chunks:
            return None
        previous.records.close()
        try:
            generation = Generation(previous.folder)
            generation.verify()
        except KikuError:
            return None
        return cls(generation, chunks)


def write_vectors(
    folder: Path,
    records: Records,
    encoder: Encoder,
    cache: Cache,
    chunks: int,
    progress: Progress,
    taken: Taken | None,
    kind: str = "auto",
) -> int:
    """Embeds every chunk that nobody has embedded yet; how many those were. For `kind` see
    `FaissVectors.write`."""
    if taken and taken.generation.manifest.encoder != identity(encoder):
        taken = None
    old = _Old.of(taken)
    runs = taken.chunks if taken and old else []
    embedded = 0
    new_rows = folder / ".vectors.npy"
    with (
        ArrayWriter(new_rows, np.float16, encoder.dimension) as vectors,
        ArrayWriter(
            folder / "tokens.vectors.npy", np.int8, max(1, encoder.token_dimension)
        ) as tokens,
        ArrayWriter(folder / "tokens.starts.npy", np.uint16) as starts,
        ArrayWriter(folder / "tokens.bounds.npy", np.int64) as bounds,
    ):
        bounds.append(np.zeros(1, np.int64))
        counts: list[np.ndarray] = []  # of the vectors of each chunk
        for first, end, there in segments(chunks, runs):
            step = _BATCH if there is None else _COPIED
            for start in range(first, end, step):
                stop = min(end, start + step)
                if old and there is not None:
                    found = [old.rows(start - first + there, stop - start)]
                else:
                    passages = records.passages(start, stop)
                    batch = [
                        (passage_context(title, path), text) for _, title, path, text in passages
                    ]
                    found, new = embed(batch, encoder, cache)
                    embedded += new
                for rows in found:
                    counts.append(rows.counts)
                    vectors.append(rows.vectors)
                    bounds.append(tokens.rows + rows.token_ends)
                    tokens.append(rows.tokens)
                    starts.append(rows.starts)
                progress("encode", stop, chunks)
    owned = np.concatenate([np.zeros(1, np.int64), *counts]).cumsum()
    same = old.vectors(runs, owned) if old else None
    FaissVectors.write(folder, ArrayReader(new_rows), owned, kind=kind, taken=same)
    new_rows.unlink()
    if not encoder.token_dimension:
        for path in folder.glob("tokens.*.npy"):
            path.unlink()
    return embedded


@dataclass(frozen=True, slots=True)
class _Rows:
    """How many vectors each of n chunks has, int64 (n,), and those of them that are new; their
    tokens one after the other, and where each chunk's tokens end, int64 (n,)."""

    counts: np.ndarray
    vectors: np.ndarray
    tokens: np.ndarray
    starts: np.ndarray
    token_ends: np.ndarray


class _Old:
    """What the previous generation holds."""

    def __init__(self, vectors: FaissVectors, generation: Generation) -> None:
        self._vectors = vectors
        self._tokens = self._starts = self._bounds = None
        if generation.manifest.encoder.token_dimension:
            self._tokens, self._starts, self._bounds = (
                ArrayReader(generation.folder / f"tokens.{name}.npy")
                for name in ("vectors", "starts", "bounds")
            )

    @classmethod
    def of(cls, taken: Taken | None) -> _Old | None:
        vectors = taken.generation.vectors if taken else None
        if taken is None or not isinstance(vectors, FaissVectors):
            return None
        return cls(vectors, taken.generation)

    def rows(self, first: int, count: int) -> _Rows:
        """The rows of `count` chunks. Their vectors stay where they are until all are known."""
        none, counts = np.empty((0, 1)), np.diff(self._vectors.bounds[first : first + count + 1])
        if self._tokens is None or self._starts is None or self._bounds is None:
            return _Rows(counts, none, none, np.empty(0), np.zeros(count, np.int64))
        bounds = self._bounds[first : first + count + 1]
        inside = slice(int(bounds[0]), int(bounds[-1]))
        return _Rows(
            counts, none, self._tokens[inside], self._starts[inside], bounds[1:] - bounds[0]
        )

    def vectors(self, chunks: Sequence[Run], owned: np.ndarray) -> TakenVectors:
        """The vectors of chunks that are as they were; `owned` says whose the rows are here."""
        bounds = self._vectors.bounds
        runs = [
            (int(bounds[there]), int(owned[here]), int(owned[here + count] - owned[here]))
            for there, here, count in chunks
        ]
        return self._vectors.taken(runs)


def embed(
    batch: Sequence[tuple[str, str]], encoder: Encoder, cache: Cache
) -> tuple[list[_Rows], int]:
    """The embeddings of a batch, and how many of them had to be computed."""
    whole = [f"{context}\n{text}" for context, text in batch]
    found = cache.embeddings(encoder.fingerprint, whole, encoder.token_dimension)
    missing = [place for place, embedding in enumerate(found) if embedding is None]
    if missing:
        encoding = encoder.encode_documents([whole[place] for place in missing])
        for row, place in enumerate(missing):
            tokens = np.empty((0, max(1, encoder.token_dimension)), np.int8)
            starts = np.empty(0, np.uint16)
            if encoding.tokens is not None and encoding.offsets is not None:
                tokens = np.rint(encoding.tokens[row] * 127).astype(np.int8)
                body = len(batch[place][0]) + 1
                starts = np.clip(encoding.offsets[row][:, 0] - body + 1, 0, 65535).astype(np.uint16)
            vectors = encoding.parts[row] if encoding.parts else encoding.vectors[row][None]
            embedding = Embedding(vectors.astype(np.float16), tokens, starts)
            cache.put_embedding(encoder.fingerprint, whole[place], embedding)
            found[place] = embedding
        cache.save()
    rows = [_one(embedding) for embedding in found if embedding is not None]
    return rows, len(missing)


def _one(of: Embedding) -> _Rows:
    counts, ends = np.array([len(of.vectors)]), np.array([len(of.tokens)])
    return _Rows(counts, of.vectors, of.tokens, of.starts, ends)
