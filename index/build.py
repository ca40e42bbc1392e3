"""Documents → a new generation, published at the end. Nothing that is served is ever written to.

What a build writes lies in a folder of its own until one rename; what it takes over from the
served generation it reads. Every stage streams, so that memory does not grow with the documents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
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
        if previous:
            previous.records.close()
        return _finish(
            home, folder, writer, encoder, settings, started, progress,
            roots=roots, reading=reading, opened=opened,
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
    embedded = 0
    try:
        _write_lexical(folder, records, cache, writer.chunks, progress)
        if encoder:
            embedded = _write_vectors(folder, records, encoder, cache, writer.chunks, progress)
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
    folder: Path, records: Records, cache: Cache, chunks: int, progress: Progress
) -> None:
    maker = f"{analyzer_version()} {code_digest('words.py', 'normalize.py', 'lexical.py')}"
    writer = LexicalWriter(folder)
    done = 0
    for _, passages in groupby(records.passages(), key=lambda passage: passage[0]):
        while group := list(islice(passages, _GROUP)):
            contexts = [passage_context(title, heading) for _, title, heading, _ in group]
            texts = [text for *_, text in group]
            known = cache.words(maker, [*contexts, *texts])
            if known is None:
                known = [word_terms(text) for text in (*contexts, *texts)]
                cache.put_words(maker, [*contexts, *texts], known)
            for context, text, of_context, of_text in zip(
                contexts, texts, known, known[len(group) :], strict=False
            ):
                writer.add(with_grams(of_text, text), with_grams(of_context, context))
            if done // _SHOWN_EVERY != (done + len(group)) // _SHOWN_EVERY:
                cache.save()
                progress("words", done, chunks)
            done += len(group)
    cache.save()
    progress("words", chunks, chunks)
    writer.finish()


def _write_vectors(
    folder: Path,
    records: Records,
    encoder: Encoder,
    cache: Cache,
    chunks: int,
    progress: Progress,
) -> int:
    """Embeds every chunk that the cache does not know; how many those were."""
    embedded = done = 0
    bounds = np.zeros(chunks + 1, np.int64)
    passages = records.passages()
    rows = folder / ".vectors.npy"
    with (
        ArrayWriter(rows, np.float32, encoder.dimension) as vectors,
        ArrayWriter(
            folder / "tokens.vectors.npy", np.int8, max(1, encoder.token_dimension)
        ) as tokens,
        ArrayWriter(folder / "tokens.starts.npy", np.uint16) as starts,
        ArrayWriter(folder / "tokens.bounds.npy", np.int64) as places,
    ):
        while group := list(islice(passages, _BATCH)):
            batch = [(passage_context(title, heading), text) for _, title, heading, text in group]
            found, new = _embed(batch, encoder, cache)
            embedded += new
            for embedding in found:
                vectors.append(embedding.vector[None])
                tokens.append(embedding.tokens)
                starts.append(embedding.starts)
                done += 1
                bounds[done] = tokens.rows
            progress("encode", done, chunks)
        places.append(bounds)
    FaissVectors.build(np.load(rows, mmap_mode="r")).save(folder / "vectors.faiss")
    rows.unlink()
    if not encoder.token_dimension:
        for path in folder.glob("tokens.*.npy"):
            path.unlink()
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
    return [embedding for embedding in found if embedding is not None], len(missing)
