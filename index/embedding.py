"""The vectors of a build: taken over from the last generation, from the cache, or computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.arrays import ArrayWriter
from index.cache import Cache, Embedding
from index.errors import KikuError
from index.generation import EncoderIdentity, Generation
from index.reading import Previous
from index.records_file import Records
from index.vectors.faiss import FaissVectors

if TYPE_CHECKING:
    from index.encoder import Encoder

_BATCH = 64  # chunks encoded at once
_COPIED = 4096  # chunks copied at once from the previous generation
Progress = Callable[[str, int, int], None]


def passage_context(title: str, heading: Sequence[str]) -> str:
    """What is said above a chunk: the document's title and the headings, once each, as one line."""
    return " › ".join(dict.fromkeys(part for part in (title, *heading) if part))


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
    chunks: list[tuple[int, int, int]]

    @classmethod
    def of(cls, previous: Previous | None, chunks: list[tuple[int, int, int]]) -> Taken | None:
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


def segments(total: int, taken: Taken | None) -> Iterator[tuple[int, int, int | None]]:
    """The chunks in order, as (first, end, first in the previous generation or None)."""
    position = 0
    for there, here, count in taken.chunks if taken else ():
        if position < here:
            yield position, here, None
        yield here, here + count, there
        position = here + count
    if position < total:
        yield position, total, None


def write_vectors(
    folder: Path,
    records: Records,
    encoder: Encoder,
    cache: Cache,
    chunks: int,
    progress: Progress,
    taken: Taken | None,
) -> int:
    """Embeds every chunk that nobody has embedded yet; how many those were."""
    if taken and taken.generation.manifest.encoder != identity(encoder):
        taken = None
    embedded = 0
    rows = folder / ".vectors.npy"
    with (
        ArrayWriter(rows, np.float16, encoder.dimension) as vectors,
        ArrayWriter(
            folder / "tokens.vectors.npy", np.int8, max(1, encoder.token_dimension)
        ) as tokens,
        ArrayWriter(folder / "tokens.starts.npy", np.uint16) as starts,
        ArrayWriter(folder / "tokens.bounds.npy", np.int64) as bounds,
    ):
        bounds.append(np.zeros(1, np.int64))
        owned = [np.zeros(1, np.int64)]
        for first, end, there in segments(chunks, taken):
            for start in range(first, end, _BATCH if there is None else _COPIED):
                stop = min(end, start + (_BATCH if there is None else _COPIED))
                if taken and there is not None:
                    found = [_taken_over(taken.generation, start - first + there, stop - start)]
                else:
                    passages = records.passages(start, stop)
                    batch = [
                        (passage_context(title, path), text) for _, title, path, text in passages
                    ]
                    found, new = embed(batch, encoder, cache)
                    embedded += new
                for embedding in found:
                    owned.append(vectors.rows + embedding.vector_ends)
                    vectors.append(embedding.vectors)
                    bounds.append(tokens.rows + embedding.token_ends)
                    tokens.append(embedding.tokens)
                    starts.append(embedding.starts)
                progress("encode", stop, chunks)
    known = taken.generation.vectors if taken else None
    like = known if isinstance(known, FaissVectors) else None
    FaissVectors.build(np.load(rows, mmap_mode="r"), np.concatenate(owned), like=like).save(folder)
    rows.unlink()
    if not encoder.token_dimension:
        for path in folder.glob("tokens.*.npy"):
            path.unlink()
    return embedded


@dataclass(frozen=True, slots=True)
class _Rows:
    """The vectors of n chunks, one after the other, and their tokens; and where each chunk's
    vectors and tokens end, int64 (n,) each."""

    vectors: np.ndarray
    vector_ends: np.ndarray
    tokens: np.ndarray
    starts: np.ndarray
    token_ends: np.ndarray


def _taken_over(old: Generation, first: int, count: int) -> _Rows:
    """The rows of `count` chunks of another generation."""
    assert old.vectors is not None
    vectors = old.vectors.rows(first, first + count)
    if old.tokens is None:
        return _Rows(*vectors, np.empty((0, 1)), np.empty(0), np.zeros(count, np.int64))
    bounds = old.tokens.bounds[first : first + count + 1]
    start, end = int(bounds[0]), int(bounds[-1])
    return _Rows(
        *vectors, old.tokens.vectors[start:end], old.tokens.starts[start:end], bounds[1:] - start
    )


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
    vectors, tokens = np.array([len(of.vectors)]), np.array([len(of.tokens)])
    return _Rows(of.vectors, vectors, of.tokens, of.starts, tokens)
