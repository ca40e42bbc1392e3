"""What was computed for a text once and need not be computed again: its words and its vectors.

One SQLite file in the home folder, keyed by what made the value and by the text's digest. Losing
it costs time and nothing else.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np

from index.lexical import Terms

CACHE = "cache.sqlite"  # in the home folder
# Of the tables below: a cache of another version is thrown away.
_VERSION = 4
_SCHEMA = """
CREATE TABLE IF NOT EXISTS words (maker TEXT, digest BLOB, lengths BLOB, keys BLOB, counts BLOB,
  names TEXT, UNIQUE (maker, digest));
CREATE TABLE IF NOT EXISTS embeddings (maker TEXT, digest BLOB, dimension INTEGER,
  vectors BLOB, tokens BLOB, starts BLOB, UNIQUE (maker, digest));
"""
_PUT = "INSERT OR REPLACE INTO embeddings VALUES (?,?,?,?,?,?)"
SPARE = 10_000  # rows that may lie unused before they are removed


@dataclass(frozen=True, slots=True)
class Embedding:
    """The vectors of one chunk: float16 (vectors, dimension), int8 (tokens, token dimension) and
    uint16 (tokens,); see `TokenVectors` for the last two."""

    vectors: np.ndarray
    tokens: np.ndarray
    starts: np.ndarray


# Digest, dimension, vectors, tokens and starts: the columns of an embedding.
Row = tuple[bytes, int, bytes, bytes, bytes]


class SharedEmbeddings(Protocol):
    """Embeddings that several machines put together, in a database."""

    def get(self, maker: str, digests: Sequence[bytes]) -> list[Row]:
        """Those that are there."""
        ...

    def put(self, maker: str, rows: Sequence[Row]) -> None:
        """Keeps some; what is there already stays."""
        ...


class Cache:
    """Opened by the one build that runs, or by processes that encode a share each; `save` makes
    what was put in last. What is not here is looked for in `shared`, and what is put goes there too
    where the cache is `giving`."""

    def __init__(
        self, path: Path, *, shared: SharedEmbeddings | None = None, giving: bool = False
    ) -> None:
        self._shared = shared
        self._giving = giving
        self._given: dict[str, list[Row]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(path.parent):
            self._database = _opened_or_new(path)
        self._used: dict[str, set[bytes]] = {"words": set(), "embeddings": set()}

    def words(self, maker: str, texts: Sequence[str]) -> list[Terms] | None:
        """The words of some texts that were put together, None if they are not known."""
        digest = _digest(texts)
        self._used["words"].add(digest)
        row = self._database.execute(
            "SELECT lengths, keys, counts, names FROM words WHERE maker = ? AND digest = ?",
            (maker, digest),
        ).fetchone()
        if row is None:
            return None
        lengths, keys, counts = (
            np.frombuffer(data, kind)
            for data, kind in zip(row, (np.int32, np.uint64, np.float32), strict=False)
        )
        cuts = np.cumsum(lengths)[:-1]
        names = [tuple(line.split()) for line in row[3].split("\n")]
        return [
            Terms(*found)
            for found in zip(np.split(keys, cuts), np.split(counts, cuts), names, strict=True)
        ]

    def put_words(self, maker: str, texts: Sequence[str], words: Sequence[Terms]) -> None:
        """Keeps the words of some texts, to be asked for together."""
        self._database.execute(
            "INSERT OR REPLACE INTO words VALUES (?,?,?,?,?,?)",
            (
                maker,
                _digest(texts),
                np.array([len(found.keys) for found in words], np.int32).tobytes(),
                np.concatenate([found.keys for found in words]).tobytes(),
                np.concatenate([found.counts for found in words]).tobytes(),
                "\n".join(" ".join(found.names) for found in words),
            ),
        )

    def embeddings(
        self, maker: str, texts: Sequence[str], token_dimension: int
    ) -> list[Embedding | None]:
        """The embeddings of some texts, None where one is not known."""
        digests = [_digest([text]) for text in texts]
        self._used["embeddings"].update(digests)
        found = [self._embedding(maker, digest, token_dimension) for digest in digests]
        missing = [d for d, one in zip(digests, found, strict=True) if one is None]
        if self._shared is None or not missing:
            return found
        for row in self._shared.get(maker, missing):
            self._database.execute(_PUT, (maker, *row))
        return [self._embedding(maker, digest, token_dimension) for digest in digests]

    def _embedding(self, maker: str, digest: bytes, token_dimension: int) -> Embedding | None:
        row = self._database.execute(
            "SELECT dimension, vectors, tokens, starts FROM embeddings"
            " WHERE maker = ? AND digest = ?",
            (maker, digest),
        ).fetchone()
        return None if row is None else _embedding(row, token_dimension)

    def put_embedding(self, maker: str, text: str, embedding: Embedding) -> None:
        """Keeps the vectors of a text."""
        row = (
            _digest([text]),
            embedding.vectors.shape[1],
            embedding.vectors.astype(np.float16).tobytes(),
            embedding.tokens.tobytes(),
            embedding.starts.tobytes(),
        )
        self._database.execute(_PUT, (maker, *row))
        if self._giving:
            self._given.setdefault(maker, []).append(row)

    def save(self) -> None:
        """Makes everything put so far survive a crash."""
        self._database.commit()
        if self._shared is not None:
            for maker, rows in self._given.items():
                self._shared.put(maker, rows)
        self._given.clear()

    def prune(self) -> None:
        """Removes what was not asked for since the cache was opened, once it is the larger part."""
        for table, used in self._used.items():
            rows = self._database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608
            if not used or rows <= 2 * len(used) + SPARE:
                continue
            self._database.execute("CREATE TEMP TABLE used (digest BLOB PRIMARY KEY)")
            self._database.executemany("INSERT INTO used VALUES (?)", ((d,) for d in used))
            self._database.execute(
                f"DELETE FROM {table} WHERE digest NOT IN (SELECT digest FROM used)"  # noqa: S608
            )
            self._database.execute("DROP TABLE used")
        self._database.commit()

    def close(self) -> None:
        """Saves and closes."""
        self._database.commit()
        self._database.close()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time: half made by one, a cache looks damaged to the next, who would remove it."""
    import fcntl

    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def _opened_or_new(path: Path) -> sqlite3.Connection:
    """The cache; an empty one in the place of one that is damaged or of another version."""
    try:
        return _opened(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise  # a disk that is full or read-only, not a damaged file
        for end in ("", "-wal", "-shm"):
            path.with_name(f"{path.name}{end}").unlink(missing_ok=True)
        return _opened(path)


def _opened(path: Path) -> sqlite3.Connection:
    fresh = not path.exists() or path.stat().st_size == 0
    database = sqlite3.connect(path, timeout=60)  # others may be putting in their share
    try:
        if not fresh and database.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            raise sqlite3.DatabaseError("made by another version of Kiku")
        database.executescript(
            f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA user_version={_VERSION};"
            + _SCHEMA
        )
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database


def _digest(texts: Sequence[str]) -> bytes:
    """16 bytes that stand for a list of texts."""
    digest = blake2b(digest_size=16)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()


def _embedding(row: tuple[int, bytes, bytes, bytes], token_dimension: int) -> Embedding:
    dimension, vectors, tokens, starts = row
    return Embedding(
        np.frombuffer(vectors, np.float16).reshape(-1, dimension),
        np.frombuffer(tokens, np.int8).reshape(-1, max(1, token_dimension)),
        np.frombuffer(starts, np.uint16),
    )
