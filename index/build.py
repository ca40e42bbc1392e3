"""Documents → a new generation, published at the end. Nothing that is served is ever written to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from index.cache import Cache, Embedding
from index.errors import BuildRunning, SourceError
from index.generation import (
    EncoderIdentity,
    Manifest,
    RecordsWriter,
    file_digest,
    publish,
    sync_folder,
)
from index.lexical import LexicalIndex, Terms, analyzer_version, terms
from index.records import Chunk, Document, Skipped
from index.sources import Rules, discover, load, read_rules
from index.split import SplitSettings, split
from index.vectors.faiss import FaissVectors

if TYPE_CHECKING:
    from index.encoder import Encoder

_BATCH = 64
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did. `embedded` counts the chunks that the encoder had to read."""

    generation: str
    documents: int
    chunks: int
    embedded: int
    skipped: tuple[Skipped, ...]
    seconds: float


def build(
    home: Path,
    documents: Iterable[Document],
    *,
    encoder: Encoder | None,
    skipped: Sequence[Skipped] = (),
    roots: Sequence[Path] = (),
    split_settings: SplitSettings | None = None,
    keep: int = 2,
    progress: Progress = lambda stage, done, total: None,
) -> BuildReport:
    """Builds a generation from `documents` and publishes it.

    Raises BuildRunning while another build of the same home runs, SourceError when there is no
    passage at all. Whatever happens before the last rename, the old generation stays the served one.
    """
    started = datetime.now(UTC)
    settings = split_settings or SplitSettings()
    with _lock(home), _workplace(home, started) as folder:
        cache = Cache(home / "cache.sqlite")
        try:
            manifest, embedded = _write(
                folder, documents, encoder, cache, skipped, roots, settings, progress
            )
        finally:
            cache.close()
        final = home / "generations" / manifest.id
        manifest.write(folder)
        sync_folder(folder)
        os.rename(folder, final)
        publish(home, final)
        _remove_old(home, keep)
    seconds = (datetime.now(UTC) - started).total_seconds()
    return BuildReport(
        manifest.id, manifest.documents, manifest.chunks, embedded, tuple(skipped), seconds
    )


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

    Raises SourceError when a root does not exist, and what `build` raises.
    """
    rules = rules or read_rules(roots)
    found = discover(roots, limits=rules.limits)
    skipped = list(found.skipped)

    def documents() -> Iterator[Document]:
        for file in found.files:
            loaded = load(file, rules=rules)
            skipped.extend(loaded.skipped)
            yield from loaded.documents

    return build(
        home,
        documents(),
        encoder=encoder,
        skipped=skipped,
        roots=roots,
        keep=keep,
        progress=progress,
    )


def passage_context(document: Document, chunk: Chunk) -> str:
    """What is said above a chunk: the document's title and the headings, once each, as one line."""
    parts = dict.fromkeys(part for part in (document.title, *chunk.heading) if part)
    return " › ".join(parts)


def _write(
    folder: Path,
    documents: Iterable[Document],
    encoder: Encoder | None,
    cache: Cache,
    skipped: Sequence[Skipped],
    roots: Sequence[Path],
    settings: SplitSettings,
    progress: Progress,
) -> tuple[Manifest, int]:
    records = RecordsWriter(folder / "records.sqlite")
    texts: list[tuple[str, str]] = []  # (context, text) of every chunk
    collections: dict[str, None] = {}
    for document in documents:
        chunks = split(document, settings)
        records.add(document, chunks)
        collections.setdefault(document.collection)
        texts.extend((passage_context(document, chunk), chunk.text) for chunk in chunks)
        progress("read", records.documents, 0)
    records.close(skipped)
    if not texts:
        raise SourceError(
            "索引に入れられる文書がひとつもありません。",
            hint="読める文書のあるフォルダーを kiku build に渡してください。",
        )
    _write_lexical(folder, texts, cache, progress)
    embedded = _write_vectors(folder, texts, encoder, cache, progress) if encoder else 0
    return _manifest(folder, records, encoder, settings, collections, roots), embedded


def _manifest(
    folder: Path,
    records: RecordsWriter,
    encoder: Encoder | None,
    settings: SplitSettings,
    collections: Iterable[str],
    roots: Sequence[Path],
) -> Manifest:
    identity = EncoderIdentity()
    kind = ""
    if encoder:
        identity = EncoderIdentity(
            encoder.name, encoder.fingerprint, encoder.dimension, encoder.token_dimension
        )
        kind = FaissVectors.open(folder / "vectors.faiss").kind
    files = {
        path.name: (path.stat().st_size, file_digest(path)) for path in sorted(folder.iterdir())
    }
    return Manifest(
        id=folder.name.removeprefix(".building-"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        analyzer=analyzer_version(),
        split=asdict(settings),
        encoder=identity,
        documents=records.documents,
        chunks=records.chunks,
        vectors=kind,
        collections=tuple(collections),
        roots=tuple(str(root) for root in roots),
        files=files,
    )


def _write_lexical(
    folder: Path, texts: Sequence[tuple[str, str]], cache: Cache, progress: Progress
) -> None:
    analyzer = analyzer_version()
    bodies: list[Terms] = []
    contexts: list[Terms] = []
    for number, (context, text) in enumerate(texts):
        bodies.append(_terms(cache, analyzer, text))
        contexts.append(_terms(cache, analyzer, context))
        if number % _BATCH == 0:
            progress("words", number, len(texts))
    cache.save()
    progress("words", len(texts), len(texts))
    LexicalIndex.build(bodies, contexts).save(folder)


def _terms(cache: Cache, analyzer: str, text: str) -> Terms:
    known = cache.terms(analyzer, text)
    if known is None:
        known = terms(text)
        cache.put_terms(analyzer, text, known)
    return known


def _write_vectors(
    folder: Path,
    texts: Sequence[tuple[str, str]],
    encoder: Encoder,
    cache: Cache,
    progress: Progress,
) -> int:
    vectors = np.empty((len(texts), encoder.dimension), dtype=np.float32)
    tokens: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    embedded = done = 0
    for first in range(0, len(texts), _BATCH):
        batch = texts[first : first + _BATCH]
        found, new = _embed(batch, encoder, cache)
        embedded += new
        for embedding in found:
            vectors[done] = embedding.vector
            tokens.append(embedding.tokens)
            starts.append(embedding.starts)
            done += 1
        progress("encode", done, len(texts))
    FaissVectors.build(vectors).save(folder / "vectors.faiss")
    if encoder.token_dimension:
        lengths = [len(array) for array in tokens]
        np.save(folder / "tokens.vectors.npy", np.concatenate(tokens))
        np.save(folder / "tokens.starts.npy", np.concatenate(starts))
        np.save(folder / "tokens.bounds.npy", np.concatenate([[0], np.cumsum(lengths)]))
    return embedded


def _embed(
    batch: Sequence[tuple[str, str]], encoder: Encoder, cache: Cache
) -> tuple[list[Embedding], int]:
    """The embeddings of a batch, and how many of them had to be computed."""
    whole = [f"{context}\n{text}" for context, text in batch]
    found = cache.embeddings(encoder.fingerprint, whole, encoder.token_dimension)
    missing = [place for place, embedding in enumerate(found) if embedding is None]
    if missing:
        encoding = encoder.encode_documents([whole[place] for place in missing])
        for row, place in enumerate(missing):
            tokens = np.empty((0, 1), np.int8)
            starts = np.empty(0, np.uint16)
            if encoding.tokens is not None and encoding.offsets is not None:
                tokens = np.rint(encoding.tokens[row] * 127).astype(np.int8)
                body = len(batch[place][0]) + 1
                starts = np.clip(encoding.offsets[row][:, 0] - body + 1, 0, 65535).astype(np.uint16)
            embedding = Embedding(encoding.vectors[row], tokens, starts)
            cache.put_embedding(encoder.fingerprint, whole[place], embedding)
            found[place] = embedding
        cache.save()
    return [embedding for embedding in found if embedding is not None], len(missing)


@contextmanager
def _workplace(home: Path, started: datetime) -> Iterator[Path]:
    """A new directory to build in, removed unless it was renamed to its final name."""
    generations = home / "generations"
    generations.mkdir(parents=True, exist_ok=True)
    for left_over in generations.glob(".building-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    folder = generations / f".building-{started:%Y%m%dT%H%M%S%f}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock(home: Path) -> Iterator[None]:
    """Held while a build runs; the operating system lets go of it when the process ends."""
    import fcntl

    home.mkdir(parents=True, exist_ok=True)
    with (home / "build.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read().strip() or "?"
            raise BuildRunning(
                f"別の kiku build が実行中です（プロセス {owner}）。",
                hint="終わるのを待ってから、もう一度実行してください。",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _remove_old(home: Path, keep: int) -> None:
    served = (home / "current").read_text(encoding="utf-8").strip()
    others = sorted(
        folder
        for folder in (home / "generations").iterdir()
        if not folder.name.startswith(".") and folder.name != served
    )
    for folder in others[: max(0, len(others) - (keep - 1))]:
        shutil.rmtree(folder, ignore_errors=True)
