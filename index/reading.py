"""Files → `records.sqlite`: what is unchanged since the last generation is copied, the rest read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path

from index.errors import KikuError
from index.generation import Manifest, current_generation, file_digest
from index.records_file import FileRecord, Records, RecordsWriter
from index.sources import Discovery, Loader, Rules, SourceFile
from index.split import SplitSettings, split

RECORDS = "records.sqlite"
# A file changed less than this before it was read may change again within the clock's step, and
# keep its size: its times are then no proof of anything.
SETTLED_NS = 2 * 10**9


@dataclass(frozen=True, slots=True)
class Previous:
    """The generation that a build starts from, its records known to be whole."""

    folder: Path
    manifest: Manifest
    records: Records

    @classmethod
    def open(cls, home: Path, reading: str) -> Previous | None:
        """The served generation if the same code and rules read it, else None."""
        try:
            folder = current_generation(home)
            manifest = Manifest.read(folder)
            size, digest = manifest.files[RECORDS]
            path = folder / RECORDS
            good = path.stat().st_size == size and file_digest(path) == digest
        except (KikuError, OSError, KeyError):
            return None
        return (
            cls(folder, manifest, Records(path)) if good and manifest.reading == reading else None
        )


@dataclass(frozen=True, slots=True)
class Changes:
    """How the files found compare with the previous generation.

    `known` holds, for each file of the discovery, its record there if its content is the same.
    `same` says that nothing at all has changed.
    """

    known: list[FileRecord | None]
    same: bool


def compare(found: Discovery, previous: Previous | None) -> Changes:
    """Tells changed files by size and times, and by their digest where times are no proof."""
    if previous is None:
        return Changes([None] * len(found.files), False)
    before = {file.source: file for file in previous.records.files()}
    known = [_same(file, before.get(file.source)) for file in found.files]
    same = (
        len(known) == len(before)
        and all(record is not None for record in known)
        and previous.records.never_opened() == found.skipped
    )
    return Changes(known, same)


def read(
    writer: RecordsWriter,
    found: Discovery,
    changes: Changes,
    previous: Previous | None,
    rules: Rules,
    settings: SplitSettings,
    progress: Callable[[int, int], None],
) -> int:
    """Fills the writer with everything found; the number of files that had to be read."""
    copied = previous is not None and previous.manifest.split == asdict(settings)
    count = len(found.files)
    number = opened = 0
    writer.skip(found.skipped, opened=False)
    with Loader(rules) as loader:
        while number < count:
            record = changes.known[number]
            if record is None:
                _read_file(writer, loader, found.files[number], settings)
                opened += 1
                number += 1
            elif previous is not None and copied:
                last = _run(changes.known, number)
                writer.copy(
                    previous.folder / RECORDS, record.position, record.position + last - number
                )
                for file, old in zip(
                    found.files[number : last + 1], changes.known[number:], strict=False
                ):
                    _touch(writer, file, old)
                number = last + 1
            elif previous is not None:
                _split_again(writer, previous.records, found.files[number], record, settings)
                number += 1
            progress(number, count)
    return opened


def _same(file: SourceFile, before: FileRecord | None) -> FileRecord | None:
    """The record of a file if its content is as it was."""
    if before is None or before.size != file.size:
        return None
    if (before.modified_ns, before.changed_ns) == (file.modified_ns, file.changed_ns):
        return before
    return before if before.digest and _digest(file.path) == before.digest else None


def _run(known: Sequence[FileRecord | None], first: int) -> int:
    """The last of the known files that follow each other in the old generation as they do now."""
    last = first
    while last + 1 < len(known):
        here, there = known[last], known[last + 1]
        if here is None or there is None or there.position != here.position + 1:
            break
        last += 1
    return last


def _read_file(
    writer: RecordsWriter, loader: Loader, file: SourceFile, settings: SplitSettings
) -> None:
    digest = _digest(file.path)  # before reading: a later change is then seen the next time
    loaded = loader.load(file)
    writer.add_file(_record(file, digest, loaded.encoding))
    for document in loaded.documents:
        writer.add(document, split(document, settings))
    writer.skip(loaded.skipped)


def _split_again(
    writer: RecordsWriter,
    records: Records,
    file: SourceFile,
    old: FileRecord,
    settings: SplitSettings,
) -> None:
    writer.add_file(_record(file, old.digest, old.encoding))
    for document in records.documents_of(old.position):
        document = replace(document, superseded_by="")
        writer.add(document, split(document, settings))
    writer.skip(records.skipped_of(old.position))


def _touch(writer: RecordsWriter, file: SourceFile, old: FileRecord | None) -> None:
    """Notes the new times of a file that was copied, so that they tell enough the next time."""
    if old and (old.modified_ns, old.changed_ns) != (file.modified_ns, file.changed_ns):
        writer.touch(_record(file, old.digest, old.encoding))


def _record(file: SourceFile, digest: bytes, encoding: str) -> FileRecord:
    settled = time.time_ns() - max(file.modified_ns, file.changed_ns) > SETTLED_NS
    times = (file.modified_ns, file.changed_ns) if settled else (0, 0)
    return FileRecord(file.source, file.size, *times, digest, encoding)


def _digest(path: Path) -> bytes:
    """16 bytes that stand for a file's content, none for a file that cannot be opened."""
    digest = blake2b(digest_size=16)
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError:
        return b""
    return digest.digest()
