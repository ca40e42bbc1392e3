"""Documents → a new generation, published at the end. Nothing that is served is ever written to.

What a build writes lies in a folder of its own until one rename; what it takes over from the
served generation it reads. Every stage streams, so that memory does not grow with the documents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.arrays import ArrayWriter
from index.cache import Cache, Embedding
from index.errors import KikuError, SourceError
from index.generation import EncoderIdentity, Generation, Manifest, file_digest
from index.lexical import analyzer_version, with_grams, word_terms
from index.lexical_writer import LexicalWriter
from index.reading import RECORDS, Previous, compare, read
from index.records import Document, Skipped
from index.records_file import Records, RecordsWriter
from index.sources import Rules, discover, read_rules
from index.split import SplitSettings, split
from index.vectors.faiss import FaissVectors
from index.versions import superseded
from index.workplace import publishing

if TYPE_CHECKING:
    from index.encoder import Encoder

_BATCH = 64  # chunks encoded at once
_GROUP = 32  # chunks of one document whose words are kept together
_SHOWN_EVERY = 256  # chunks between two reports of progress
_COPIED = 4096  # chunks copied at once from the previous generation
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. `embedded` counts the chunks that the encoder had to read, `read` the files
    that were opened. `changed` is False where the served generation was found to be up to date."""

    generation: str
    documents: int
    chunks: int
    embedded: int
    skipped: tuple[Skipped, ...]
    seconds: float
    read: int = 0
    changed: bool = True


def build(
    home: Path,
    documents: Iterable[Document],
    *,
    encoder: Encoder | None,
    skipped: Sequence[Skipped] = (),
    split_settings: SplitSettings | None = None,
    keep: int = 2,
    progress: Progress = lambda stage, done, total: None,
) -> BuildReport:
    """Builds a generation from `documents` and publishes it.

    Raises BuildRunning while another build of the same home runs, SourceError when there is no
    passage at all, HomeUnwritable when the disk is full or read-only. Whatever happens before the
    last rename, the old generation stays the served one.
    """
    started = time.monotonic()
    settings = split_settings or SplitSettings()
    with publishing(home, keep) as folder:
        writer = RecordsWriter(folder / RECORDS)
        for document in documents:
            writer.add(document, split(document, settings))
            progress("read", writer.documents, 0)
        writer.skip(skipped, opened=False)
        return _finish(home, folder, writer, encoder, settings, started, progress)


def build_sources(
    home: Path,
    roots: Sequence[Path],
    *,
    encoder: Encoder | None,
    rules: Rules | None = None,
    keep: int = 2,
    progress: Progress = lambda stage, done, total: None,
) -> BuildReport:
    """Reads the files under `roots` and builds from them; bad ones are in the report's `skipped`.

    Only files that changed are read, and only texts that changed are analysed and embedded. Where
    nothing changed at all, the served generation stays and `changed` is False.

    Raises SourceError when a root does not exist, and what `build` raises.
    """
    started = time.monotonic()
    settings = SplitSettings()
    rules = rules or read_rules(roots)
    found = discover(roots, limits=rules.limits)
    reading = f"{rules.digest} {code_digest('sources')} {code_digest('split.py')}"
    with publishing(home, keep) as folder:
        previous = Previous.open(home, reading)
        changes = compare(found, previous)
        if previous and changes.same and _up_to_date(previous, encoder, settings):
            manifest = previous.manifest
            skipped = tuple(previous.records.skipped())
            return BuildReport(
                manifest.id, manifest.documents, manifest.chunks, 0, skipped,
                time.monotonic() - started, changed=False,
            )  # fmt: skip
        writer = RecordsWriter(folder / RECORDS)

        def shown(done: int, total: int) -> None:
            progress("read", done, total)

        opened = read(writer, found, changes, previous, rules, settings, shown)
        taken = Taken.of(previous, writer.taken)
        return _finish(
            home, folder, writer, encoder, settings, started, progress,
            roots=roots, reading=reading, opened=opened, taken=taken,
        )  # fmt: skip


def passage_context(title: str, heading: Sequence[str]) -> str:
    """What is said above a chunk: the document's title and the headings, once each, as one line."""
    return " › ".join(dict.fromkeys(part for part in (title, *heading) if part))


def code_digest(*names: str) -> str:
    """A digest of modules of this package, or all of them: whoever changes what is built from a
    text need not think of raising a version."""
    root = Path(__file__).parent
    digest = blake2b(digest_size=8)
    for path in [root / name for name in names] or [root, root / "vectors", root / "sources"]:
        for module in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(module.name.encode() + b"\0" + module.read_bytes())
    return digest.hexdigest()


def _up_to_date(previous: Previous, encoder: Encoder | None, settings: SplitSettings) -> bool:
    """Whether the served generation is whole, and what would be built now."""
    manifest = previous.manifest
    if (
        manifest.encoder != _identity(encoder)
        or manifest.split != asdict(settings)
        or manifest.code != code_digest()
    ):
        return False
    try:
        Generation(previous.folder).close()
    except KikuError:
        return False
    return True


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


def _segments(total: int, taken: Taken | None) -> Iterator[tuple[int, int, int | None]]:
    """The chunks in order, as (first, end, first in the previous generation or None)."""
    position = 0
    for there, here, count in taken.chunks if taken else ():
        if position < here:
            yield position, here, None
        yield here, here + count, there
        position = here + count
    if position < total:
        yield position, total, None


def _finish(
    home: Path,
    folder: Path,
    writer: RecordsWriter,
    encoder: Encoder | None,
    settings: SplitSettings,
    started: float,
    progress: Progress,
    *,
    roots: Sequence[Path] = (),
    reading: str = "",
    opened: int = 0,
    taken: Taken | None = None,
) -> BuildReport:
    """The stages after reading: versions, words, vectors, and the manifest last."""
    writer.supersede(superseded(writer.dated(), writer.text))
    collections = writer.collections()
    writer.finish()
    if not writer.chunks:
        raise SourceError(
            "索引に入れられる文書がひとつもありません。",
            hint="読める文書のあるフォルダーを kiku build に渡してください。",
        )
    records = Records(folder / RECORDS)
    cache = Cache(home / "cache.sqlite")
    maker = f"{analyzer_version()} {code_digest('words.py', 'normalize.py', 'lexical.py')}"
    embedded = 0
    try:
        _write_lexical(folder, records, cache, writer.chunks, maker, progress, taken)
        if encoder:
            embedded = _write_vectors(
                folder, records, encoder, cache, writer.chunks, progress, taken
            )
        if taken is None:  # what is taken over is not asked of the cache
            cache.prune()
        skipped = tuple(records.skipped())
    finally:
        cache.close()
        records.close()
    manifest = Manifest(
        id=folder.name.removeprefix(".building-"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        analyzer=analyzer_version(),
        split=asdict(settings),
        encoder=_identity(encoder),
        documents=writer.documents,
        chunks=writer.chunks,
        vectors=FaissVectors.open(folder / "vectors.faiss").kind if encoder else "",
        collections=tuple(collections),
        roots=tuple(str(root) for root in roots),
        reading=reading,
        words=maker,
        code=code_digest(),
        files={
            path.name: (path.stat().st_size, file_digest(path)) for path in sorted(folder.iterdir())
        },
    )
    manifest.write(folder)
    seconds = time.monotonic() - started
    return BuildReport(
        manifest.id, writer.documents, writer.chunks, embedded, skipped, seconds, opened
    )


def _identity(encoder: Encoder | None) -> EncoderIdentity:
    if encoder is None:
        return EncoderIdentity()
    return EncoderIdentity(
        encoder.name, encoder.fingerprint, encoder.dimension, encoder.token_dimension
    )


def _write_lexical(
    folder: Path,
    records: Records,
    cache: Cache,
    chunks: int,
    maker: str,
    progress: Progress,
    taken: Taken | None,
) -> None:
    if taken and taken.generation.manifest.words != maker:
        taken = None
    writer = LexicalWriter(folder)
    if taken:
        writer.take(taken.generation.folder, taken.chunks)
    for first, end, there in _segments(chunks, taken):
        if there is None:
            for done in _add_terms(writer, records, cache, maker, first, end):
                if done % _SHOWN_EVERY < _GROUP:
                    cache.save()
                    progress("words", done, chunks)
            cache.save()
    progress("words", chunks, chunks)
    writer.finish()


def _add_terms(
    writer: LexicalWriter, records: Records, cache: Cache, maker: str, first: int, end: int
) -> Iterator[int]:
    """Adds the terms of the chunks at `first` to `end` - 1; yields how far it is now and then."""
    chunk = first
    for _, passages in groupby(records.passages(first, end), key=lambda passage: passage[0]):
        while group := list(islice(passages, _GROUP)):
            contexts = [passage_context(title, heading) for _, title, heading, _ in group]
            texts = [text for *_, text in group]
            known = cache.words(maker, [*contexts, *texts])
            if known is None:
                known = [word_terms(text) for text in (*contexts, *texts)]
                cache.put_words(maker, [*contexts, *texts], known)
            of_contexts, of_texts = known[: len(group)], known[len(group) :]
            for context, text, of_context, of_text in zip(
                contexts, texts, of_contexts, of_texts, strict=True
            ):
                terms = with_grams(of_text, text), with_grams(of_context, context)
                writer.add(*terms, chunk=chunk)
                chunk += 1
            yield chunk


def _write_vectors(
    folder: Path,
    records: Records,
    encoder: Encoder,
    cache: Cache,
    chunks: int,
    progress: Progress,
    taken: Taken | None,
) -> int:
    """Embeds every chunk that nobody has embedded yet; how many those were."""
    if taken and taken.generation.manifest.encoder != _identity(encoder):
        taken = None
    embedded = 0
    rows = folder / ".vectors.npy"
    with (
        ArrayWriter(rows, np.float32, encoder.dimension) as vectors,
        ArrayWriter(
            folder / "tokens.vectors.npy", np.int8, max(1, encoder.token_dimension)
        ) as tokens,
        ArrayWriter(folder / "tokens.starts.npy", np.uint16) as starts,
        ArrayWriter(folder / "tokens.bounds.npy", np.int64) as bounds,
    ):
        bounds.append(np.zeros(1, np.int64))
        for first, end, there in _segments(chunks, taken):
            for start in range(first, end, _BATCH if there is None else _COPIED):
                stop = min(end, start + (_BATCH if there is None else _COPIED))
                if taken and there is not None:
                    found = [_taken_over(taken.generation, start - first + there, stop - start)]
                else:
                    passages = records.passages(start, stop)
                    batch = [
                        (passage_context(title, path), text) for _, title, path, text in passages
                    ]
                    found, new = _embed(batch, encoder, cache)
                    embedded += new
                for embedding in found:
                    bounds.append(tokens.rows + embedding.ends)
                    vectors.append(embedding.vectors)
                    tokens.append(embedding.tokens)
                    starts.append(embedding.starts)
                progress("encode", stop, chunks)
    FaissVectors.build(np.load(rows, mmap_mode="r")).save(folder / "vectors.faiss")
    rows.unlink()
    if not encoder.token_dimension:
        for path in folder.glob("tokens.*.npy"):
            path.unlink()
    return embedded


@dataclass(frozen=True, slots=True)
class _Rows:
    """The vectors of some chunks, float32 (n, dimension), their tokens one after the other, and
    where each chunk's tokens end, int64 (n,)."""

    vectors: np.ndarray
    tokens: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def _taken_over(old: Generation, first: int, count: int) -> _Rows:
    """The rows of `count` chunks of another generation."""
    assert old.vectors is not None
    vectors = old.vectors.rows(range(first, first + count))
    if old.tokens is None:
        return _Rows(vectors, np.empty((0, 1)), np.empty(0), np.zeros(count, np.int64))
    bounds = old.tokens.bounds[first : first + count + 1]
    start, end = int(bounds[0]), int(bounds[-1])
    return _Rows(
        vectors, old.tokens.vectors[start:end], old.tokens.starts[start:end], bounds[1:] - start
    )


def _embed(
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
            embedding = Embedding(encoding.vectors[row], tokens, starts)
            cache.put_embedding(encoder.fingerprint, whole[place], embedding)
            found[place] = embedding
        cache.save()
    rows = [
        _Rows(one.vector[None], one.tokens, one.starts, np.array([len(one.tokens)]))
        for one in found
        if one is not None
    ]
    return rows, len(missing)
