"""Documents → a new generation, published at the end. Nothing that is served is ever written to.

What a build writes lies in a folder of its own until one rename; what it takes over from the
served generation it reads. Every stage streams, so that memory does not grow with the documents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

from index.arrays import save_array, segments
from index.cache import CACHE, Cache, SharedEmbeddings
from index.embedding import Taken, identity, write_vectors
from index.errors import KikuError, SourceError
from index.generation import COLLECTIONS, Generation, Manifest, file_digests
from index.lexical import Terms, analyzer_version, joined, with_grams, word_terms
from index.lexical_writer import LexicalWriter
from index.reading import RECORDS, Previous, compare, read
from index.records import Document, Skipped, context_parts, passage_context
from index.records_file import Records, RecordsWriter
from index.sentence_words import SentenceWordsWriter, lines_of
from index.sources import Rules, discover, read_rules
from index.split import SplitSettings, split
from index.vectors.faiss import FaissVectors, kind_for
from index.versions import superseded
from index.workplace import publishing

if TYPE_CHECKING:
    import numpy as np

    from index.encoder import Encoder

_COPIED = 4096  # chunks copied at once from the previous generation
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
    vectors: str = "auto",
    shared: SharedEmbeddings | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> BuildReport:
    """Reads the files under `roots` and builds from them; bad ones are in the report's `skipped`.

    Only files that changed are read, and only texts that changed are analysed and embedded. Where
    nothing changed at all, the served generation stays and `changed` is False.

    `vectors` is the kind of the vector index; see `FaissVectors.write`. Raises SourceError when a
    root does not exist, and what `build` raises.
    """
    started = time.monotonic()
    settings = SplitSettings()
    rules = rules or read_rules(roots)
    found = discover(roots, limits=rules.limits)
    reading = f"{rules.digest} {code_digest('sources')} {code_digest('split.py')}"
    with publishing(home, keep) as folder:
        previous = Previous.open(home, reading)
        changes = compare(found, previous)
        if previous and changes.same and _up_to_date(previous, encoder, settings, vectors):
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
            roots=roots, reading=reading, opened=opened, taken=taken, vectors=vectors, shared=shared,
        )  # fmt: skip


def code_digest(*names: str) -> str:
    """A digest of modules of this package, or all of them: whoever changes what is built from a
    text need not think of raising a version."""
    root = Path(__file__).parent
    digest = blake2b(digest_size=8)
    for path in [root / name for name in names] or [root, root / "vectors", root / "sources"]:
        for module in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(module.name.encode() + b"\0" + module.read_bytes())
    return digest.hexdigest()


def _up_to_date(
    previous: Previous, encoder: Encoder | None, settings: SplitSettings, vectors: str
) -> bool:
    """Whether the served generation is whole, and what would be built now."""
    manifest = previous.manifest
    if (
        manifest.encoder != identity(encoder)
        or manifest.split != asdict(settings)
        or manifest.code != code_digest()
    ):
        return False
    try:
        generation = Generation(previous.folder)
        held = generation.vectors
        generation.close()
    except KikuError:
        return False
    return not isinstance(held, FaissVectors) or held.kind == kind_for(held.rows_held, vectors)


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
    vectors: str = "auto",
    shared: SharedEmbeddings | None = None,
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
    cache = Cache(home / CACHE, shared=shared)
    made_by = code_digest("words.py", "normalize.py", "lexical.py", "sentence_words.py", "split.py")
    maker = f"{analyzer_version()} {made_by}"
    embedded = 0
    try:
        of_chunks = records.collections_of_chunks(collections)
        save_array(folder / COLLECTIONS, of_chunks)
        _write_words(folder, records, cache, of_chunks, maker, progress, taken)
        if encoder:
            embedded = write_vectors(
                folder, records, encoder, cache, writer.chunks, progress, taken, vectors
            )
        if taken is None:  # what is taken over is not asked of the cache
            cache.prune()
        skipped = tuple(records.skipped())
    finally:
        cache.close()
        records.close()
    written = sorted(folder.iterdir())
    manifest = Manifest(
        id=folder.name.removeprefix(".building-"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        analyzer=analyzer_version(),
        split=asdict(settings),
        encoder=identity(encoder),
        documents=writer.documents,
        chunks=writer.chunks,
        vectors=FaissVectors.open(folder).kind if encoder else "",
        collections=tuple(collections),
        roots=tuple(str(root) for root in roots),
        reading=reading,
        words=maker,
        code=code_digest(),
        files={
            path.name: (path.stat().st_size, digest)
            for path, digest in zip(written, file_digests(written), strict=True)
        },
    )
    manifest.write(folder)
    seconds = time.monotonic() - started
    return BuildReport(
        manifest.id, writer.documents, writer.chunks, embedded, skipped, seconds, opened
    )


def _write_words(
    folder: Path,
    records: Records,
    cache: Cache,
    collections: np.ndarray,
    maker: str,
    progress: Progress,
    taken: Taken | None,
) -> None:
    if taken and taken.generation.manifest.words != maker:
        taken = None
    chunks = len(collections)
    lexical = LexicalWriter(folder)
    if taken:
        lexical.take(taken.generation.folder, taken.chunks)
    with SentenceWordsWriter(folder) as sentences:
        for first, end, there in segments(chunks, taken.chunks if taken else ()):
            if taken and there is not None:
                for start in range(first, end, _COPIED):
                    old = taken.generation.sentence_words
                    sentences.take(old, start - first + there, min(_COPIED, end - start))
                continue
            for done in _add_words(lexical, sentences, records, cache, maker, first, end):
                if done % _SHOWN_EVERY < _GROUP:
                    cache.save()
                    progress("words", done, chunks)
            cache.save()
    progress("words", chunks, chunks)
    lexical.finish(collections)


def _add_words(
    lexical: LexicalWriter,
    sentences: SentenceWordsWriter,
    records: Records,
    cache: Cache,
    maker: str,
    first: int,
    end: int,
) -> Iterator[int]:
    """Adds the words of the chunks at `first` to `end` - 1; yields how far it is now and then."""
    chunk = first
    for _, passages in groupby(records.passages(first, end), key=lambda passage: passage[0]):
        while group := list(islice(passages, _GROUP)):
            lines = [lines_of(title, heading, text) for _, title, heading, text in group]
            every = list(chain.from_iterable(lines))
            known = cache.words(maker, every)
            if known is None:
                known = [_line_terms(line) for line in every]
                cache.put_words(maker, every, known)
            found = iter(known)
            for (_, title, heading, text), own in zip(group, lines, strict=True):
                words = list(islice(found, len(own)))
                above = len(context_parts(title, heading))
                body = with_grams(joined(words[above:]), text)
                context = with_grams(joined(words[:above]), passage_context(title, heading))
                lexical.add(body, context, chunk=chunk)
                sentences.add(words)
                chunk += 1
            yield chunk


@lru_cache(maxsize=4096)  # titles, headings and set phrases come again and again
def _line_terms(line: str) -> Terms:
    return word_terms(line)
