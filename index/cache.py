"""What was computed for a text once and need not be computed again: its terms and its vectors.

One SQLite file in the home folder, keyed by what made the value and by the text's digest. Losing
it costs time and nothing else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from index.lexical import Terms

_SCHEMA = """
CREATE TABLE IF NOT EXISTS terms (analyzer TEXT, digest BLOB, keys BLOB, counts BLOB, names TEXT,
  PRIMARY KEY (analyzer, digest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS embeddings (encoder TEXT, digest BLOB, vector BLOB, tokens BLOB,
  starts BLOB, PRIMARY KEY (encoder, digest)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Embedding:
    """The vectors of one chunk: float32 (dimension,), int8 (tokens, token dimension) and uint16
    (tokens,); see `TokenVectors` for the last two."""

    vector: np.ndarray
    tokens: np.ndarray
    starts: np.ndarray


class Cache:
    """Opened by the one build that runs; `save` makes what was put in last."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path)
        self._database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA
        )

    def terms(self, analyzer: str, text: str) -> Terms | None:
        """The terms of a text."""
        row = self._database.execute(
            "SELECT keys, counts, names FROM terms WHERE analyzer = ? AND digest = ?",
            (analyzer, text_digest(text)),
        ).fetchone()
        if row is None:
            return None
        keys, counts, names = row
        return Terms(
            np.frombuffer(keys, np.uint64), np.frombuffer(counts, np.float32), tuple(names.split())
        )

    def put_terms(self, analyzer: str, text: str, terms: Terms) -> None:
        """Keeps the terms of a text."""
        self._database.execute(
            "INSERT OR REPLACE INTO terms VALUES (?,?,?,?,?)",
            (
                analyzer,
                text_digest(text),
                terms.keys.tobytes(),
                terms.counts.tobytes(),
                " ".join(terms.names),
            ),
        )

    def embeddings(
        self, encoder: str, texts: Sequence[str], token_dimension: int
    ) -> list[Embedding | None]:
        """The embeddings of some texts, None where one is not known."""
        found: list[Embedding | None] = []
        for text in texts:
            row = self._database.execute(
                "SELECT vector, tokens, starts FROM embeddings WHERE encoder = ? AND digest = ?",
                (encoder, text_digest(text)),
            ).fetchone()
            found.append(None if row is None else _embedding(row, token_dimension))
        return found

    def put_embedding(self, encoder: str, text: str, embedding: Embedding) -> None:
        """Keeps the vectors of a text."""
        self._database.execute(
            "INSERT OR REPLACE INTO embeddings VALUES (?,?,?,?,?)",
            (
                encoder,
                text_digest(text),
                embedding.vector.tobytes(),
                embedding.tokens.tobytes(),
                embedding.starts.tobytes(),
            ),
        )

    def save(self) -> None:
        """Makes everything put so far survive a crash."""
        self._database.commit()

    def close(self) -> None:
        """Saves and closes."""
        self._database.commit()
        self._database.close()


def text_digest(text: str) -> bytes:
    """16 bytes that stand for a text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _embedding(row: tuple[bytes, bytes, bytes], dimension: int) -> Embedding:
    vector, tokens, starts = row
    return Embedding(
        np.frombuffer(vector, np.float32),
        np.frombuffer(tokens, np.int8).reshape(-1, max(1, dimension)),
        np.frombuffer(starts, np.uint16),
    )
