"""`records.sqlite` of a generation: its files, documents, chunks, and what could not be read.

Positions count from 0 and are dense. The documents of a file, and the chunks of a document, have
positions in a row, so that an unchanged stretch of files is copied with three statements.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.records import Chunk, Document, DocumentSummary, Heading, Skipped

SCHEMA = """
CREATE TABLE files (
  position INTEGER PRIMARY KEY, source TEXT UNIQUE, size INTEGER, modified_ns INTEGER,
  changed_ns INTEGER, digest BLOB, encoding TEXT, first_document INTEGER, documents INTEGER);
CREATE TABLE documents (
  position INTEGER PRIMARY KEY, id TEXT UNIQUE, title TEXT, source TEXT, collection TEXT,
  revision TEXT, date TEXT, url TEXT, tags TEXT, media_type TEXT, characters INTEGER,
  first_chunk INTEGER, chunks INTEGER, superseded_by TEXT, outline TEXT, pages TEXT, text TEXT);
CREATE INDEX documents_of ON documents (collection);
CREATE TABLE chunks (
  position INTEGER PRIMARY KEY, document INTEGER, id TEXT, heading TEXT,
  start INTEGER, end INTEGER, text TEXT);
CREATE TABLE skipped (file INTEGER, source TEXT, code TEXT, reason TEXT);
"""
NO_FILE = -1  # `skipped.file` of what was never opened
DOCUMENT_COLUMNS = (
    "id, title, text, source, collection, revision, date, url, tags, media_type, outline, pages,"
    " superseded_by"
)
Names = Collection[str] | None  # of collections; None: all
SUMMARY_COLUMNS = "id, title, source, collection, date, url, characters, chunks, superseded_by"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as it was when it was read; `digest` is of its bytes, empty where it must be re-read."""

    source: str
    size: int
    modified_ns: int
    changed_ns: int
    digest: bytes
    encoding: str = ""
    position: int = NO_FILE


class Records:
    """Reads the file of a generation. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def chunks(self, positions: Sequence[int]) -> list[tuple[Chunk, DocumentSummary]]:
        """The chunks at these positions, in the order asked for, with their documents."""
        marks = ",".join("?" * len(positions))
        summary = ", ".join(f"d.{name}" for name in SUMMARY_COLUMNS.split(", "))
        rows = self._database.execute(
            f"SELECT c.position, c.id, c.heading, c.start, c.end, c.text, {summary} FROM chunks c"  # noqa: S608
            f" JOIN documents d ON d.position = c.document WHERE c.position IN ({marks})",
            [int(position) for position in positions],
        )
        found = {}
        for position, identifier, heading, start, end, text, *rest in rows:
            document = DocumentSummary(*rest)
            path = tuple(json.loads(heading))
            chunk = Chunk(identifier, document.id, path, start, end, text)
            found[position] = chunk, document
        return [found[int(position)] for position in positions]

    def document(self, identifier: str, collections: Names = None) -> Document | None:
        """One document with its text; None where there is none, or none in `collections`."""
        row = self._database.execute(
            f"SELECT {DOCUMENT_COLUMNS} FROM documents WHERE id = ?{_within(collections)}",  # noqa: S608
            [identifier, *(collections or ())],
        ).fetchone()
        return None if row is None else document_of(row)

    def documents(self, collections: Names = None) -> Iterator[DocumentSummary]:
        """The documents of `collections` (None: all), in the order of their sources."""
        rows = self._database.execute(
            f"SELECT {SUMMARY_COLUMNS} FROM documents WHERE TRUE{_within(collections)} ORDER BY position",  # noqa: S608
            [*(collections or ())],
        )
        return (DocumentSummary(*row) for row in rows)

    def passages(self, first: int, end: int) -> Iterator[tuple[int, str, tuple[str, ...], str]]:
        """(document's position, its title, heading, text) of the chunks at `first` to `end` - 1."""
        rows = self._database.execute(
            "SELECT c.document, d.title, c.heading, c.text FROM chunks c"
            " JOIN documents d ON d.position = c.document"
            " WHERE c.position >= ? AND c.position < ? ORDER BY c.position",
            (first, end),
        )
        for document, title, heading, text in rows:
            yield document, title, tuple(json.loads(heading)), text

    def collections_of_chunks(self, names: Sequence[str]) -> np.ndarray:
        """Which collection each chunk is in: int16 (chunks,), places in `names`."""
        place = {name: number for number, name in enumerate(names)}
        rows = self._database.execute("SELECT collection, chunks FROM documents ORDER BY position")
        found = [(place[name], count) for name, count in rows]
        numbers, counts = zip(*found, strict=True) if found else ((), ())
        return np.repeat(np.array(numbers, np.int16), np.array(counts, np.int64))

    def skipped(self) -> list[Skipped]:
        """What the build could not read."""
        rows = self._database.execute("SELECT source, code, reason FROM skipped ORDER BY source")
        return [Skipped(*row) for row in rows]

    def never_opened(self) -> list[Skipped]:
        """What of it was never opened, its name or its size being enough."""
        rows = self._database.execute(
            "SELECT source, code, reason FROM skipped WHERE file = ? ORDER BY rowid", [NO_FILE]
        )
        return [Skipped(*row) for row in rows]

    def files(self) -> Iterator[FileRecord]:
        """The files that were read, in the order of their sources."""
        rows = self._database.execute(
            "SELECT source, size, modified_ns, changed_ns, digest, encoding, position FROM files"
            " ORDER BY position"
        )
        return (FileRecord(*row) for row in rows)

    def encodings(self) -> dict[str, str]:
        """Id of a document → the character encoding its file was read in, for files that are one
        document and a text."""
        rows = self._database.execute(
            "SELECT d.id, f.encoding FROM files f JOIN documents d ON d.position = f.first_document"
            " WHERE f.documents = 1 AND f.encoding <> ''"
        )
        return dict(rows.fetchall())

    def documents_of(self, file: int) -> list[Document]:
        """The documents of the file at a position."""
        rows = self._database.execute(
            f"SELECT {DOCUMENT_COLUMNS} FROM documents WHERE position >= (SELECT first_document FROM files"  # noqa: S608
            " WHERE position = ?1) AND position < (SELECT first_document + documents FROM files"
            " WHERE position = ?1) ORDER BY position",
            [file],
        )
        return [document_of(row) for row in rows]

    def skipped_of(self, file: int) -> list[Skipped]:
        """What could not be read of the file at a position."""
        rows = self._database.execute(
            "SELECT source, code, reason FROM skipped WHERE file = ? ORDER BY rowid", [file]
        )
        return [Skipped(*row) for row in rows]


class RecordsWriter:
    """Writes the file that `Records` reads; files, and their documents, are added in order."""

    def __init__(self, path: Path) -> None:
        # autocommit: there is no journal, and a build that dies leaves nothing behind
        uri = path.resolve().as_uri()
        self._database = sqlite3.connect(uri, uri=True, isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;"
            + SCHEMA
            + "BEGIN;"
        )
        self._attached: Path | None = None
        self._file = NO_FILE
        self.taken: list[tuple[int, int, int]] = []  # chunks copied: from where, to where, how many
        self.files = 0
        self.documents = 0
        self.chunks = 0

    def add_file(self, file: FileRecord) -> None:
        """Begins a file; what is added next is of it."""
        self._file = self.files
        self._database.execute(
            "INSERT INTO files VALUES (?,?,?,?,?,?,?,?,0)",
            (
                *(self.files, file.source, file.size, file.modified_ns, file.changed_ns),
                *(file.digest, file.encoding, self.documents),
            ),
        )
        self.files += 1

    def add(self, document: Document, chunks: Sequence[Chunk]) -> None:
        """Adds a document and its chunks."""
        self._database.execute(
            "INSERT INTO documents VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                *(self.documents, document.id, document.title, document.source),
                *(document.collection, document.revision, document.date, document.url),
                *(json.dumps(document.tags, ensure_ascii=False), document.media_type),
                *(len(document.text), self.chunks, len(chunks), ""),
                json.dumps([(h.start, h.level, h.title) for h in document.outline]),
                *(json.dumps(document.pages), document.text),
            ),
        )
        self._database.executemany(
            "INSERT INTO chunks VALUES (?,?,?,?,?,?,?)",
            (
                (
                    *(self.chunks + number, self.documents, chunk.id),
                    json.dumps(chunk.heading, ensure_ascii=False),
                    *(chunk.start, chunk.end, chunk.text),
                )
                for number, chunk in enumerate(chunks)
            ),
        )
        if self._file != NO_FILE:
            self._database.execute(
                "UPDATE files SET documents = documents + 1 WHERE position = ?", [self._file]
            )
        self.documents += 1
        self.chunks += len(chunks)

    def skip(self, skipped: Iterable[Skipped], *, opened: bool = True) -> None:
        """Adds what could not be read: of the file begun last, or `opened=False` of none."""
        file = self._file if opened else NO_FILE
        self._database.executemany(
            "INSERT INTO skipped VALUES (?,?,?,?)",
            ((file, item.source, item.code, item.reason) for item in skipped),
        )

    def copy(self, other: Path, first: int, last: int) -> None:
        """Adds the files at positions `first` to `last` of another generation's records, with all
        that belongs to them, as they are."""
        self._attach(other)
        run = self._database.execute
        document, documents = run(
            "SELECT MIN(first_document), SUM(documents) FROM old.files WHERE position BETWEEN ? AND ?",
            (first, last),
        ).fetchone()
        end = document + documents
        chunk, chunks = run(
            "SELECT COALESCE(MIN(first_chunk), 0), COALESCE(SUM(chunks), 0) FROM old.documents"
            " WHERE position >= ? AND position < ?",
            (document, end),
        ).fetchone()
        by_file, by_document = self.files - first, self.documents - document
        by_chunk = self.chunks - chunk
        run(
            "INSERT INTO files SELECT position + ?, source, size, modified_ns, changed_ns, digest,"
            " encoding, first_document + ?, documents FROM old.files WHERE position BETWEEN ? AND ?",
            (by_file, by_document, first, last),
        )
        run(
            "INSERT INTO documents SELECT position + ?, id, title, source, collection, revision,"
            " date, url, tags, media_type, characters, first_chunk + ?, chunks, '', outline, pages,"
            " text FROM old.documents WHERE position >= ? AND position < ?",
            (by_document, by_chunk, document, end),
        )
        run(
            "INSERT INTO chunks SELECT position + ?, document + ?, id, heading, start, end, text"
            " FROM old.chunks WHERE position >= ? AND position < ?",
            (by_chunk, by_document, chunk, chunk + chunks),
        )
        run(
            "INSERT INTO skipped SELECT file + ?, source, code, reason FROM old.skipped"
            " WHERE file BETWEEN ? AND ?",
            (by_file, first, last),
        )
        if chunks:
            self.taken.append((chunk, self.chunks, chunks))
        self.files += last - first + 1
        self.documents += documents
        self.chunks += chunks
        self._file = NO_FILE

    def touch(self, file: FileRecord) -> None:
        """Notes new times of a file whose content is as it was."""
        self._database.execute(
            "UPDATE files SET modified_ns = ?, changed_ns = ? WHERE source = ?",
            (file.modified_ns, file.changed_ns, file.source),
        )

    def dated(self) -> Iterator[tuple[str, str, str, str, str]]:
        """(id, title, source, date, collection) of every document added so far."""
        yield from self._database.execute(
            "SELECT id, title, source, date, collection FROM documents"
        )

    def text(self, identifier: str) -> str:
        """The text of a document added before."""
        found = self._database.execute("SELECT text FROM documents WHERE id = ?", [identifier])
        return str(found.fetchone()[0])

    def supersede(self, newer: Mapping[str, str]) -> None:
        """Marks documents (ids) as superseded by others (ids)."""
        self._database.executemany(
            "UPDATE documents SET superseded_by = ? WHERE id = ?",
            ((new, old) for old, new in newer.items()),
        )

    def collections(self) -> list[str]:
        """The collections of the documents, in the order in which they first appear."""
        rows = self._database.execute(
            "SELECT collection FROM documents GROUP BY collection ORDER BY MIN(position)"
        )
        return [row[0] for row in rows]

    def finish(self) -> None:
        """Writes what is left and closes the file."""
        self._database.execute("COMMIT")
        self._database.close()

    def close(self) -> None:
        """Closes the file as it is."""
        self._database.close()

    def _attach(self, other: Path) -> None:
        if self._attached != other:
            self._database.execute("COMMIT")
            if self._attached:
                self._database.execute("DETACH old")
            uri = f"{other.resolve().as_uri()}?mode=ro&immutable=1"
            self._database.execute("ATTACH ? AS old", [uri])
            self._database.execute("BEGIN")
            self._attached = other


def _within(collections: Names) -> str:
    """What keeps a query within collections. It does so inside, so that what is left out costs no
    time that could be measured."""
    if collections is None:
        return ""
    return f" AND collection IN ({','.join('?' * len(collections))})"


def document_of(row: tuple[str, ...]) -> Document:
    """The document of a row of `DOCUMENT_COLUMNS`."""
    *plain, tags, media_type, outline, pages, superseded_by = row
    identifier, title, text, source, collection, revision, date, url = plain
    return Document(
        id=identifier,
        title=title,
        text=text,
        source=source,
        collection=collection,
        revision=revision,
        date=date,
        url=url,
        tags=tuple(json.loads(tags)),
        media_type=media_type,
        outline=tuple(Heading(*heading) for heading in json.loads(outline)),
        pages=tuple(json.loads(pages)),
        superseded_by=superseded_by,
    )
