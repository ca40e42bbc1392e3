"""What several machines encode, put together in the database until a build has taken it over."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from index.cache import Row
from index.engines.postgres import connected

if TYPE_CHECKING:
    from psycopg import Connection

_TABLE = """
CREATE SCHEMA IF NOT EXISTS kiku;
CREATE TABLE IF NOT EXISTS kiku.embeddings (
  maker text, digest bytea, dimension integer NOT NULL, vectors bytea NOT NULL, tokens bytea NOT NULL,
  starts bytea NOT NULL, PRIMARY KEY (maker, digest));
"""


class PostgresEmbeddings:
    """See `index.cache.SharedEmbeddings`. Raises IndexUnavailable when the database does not answer."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ready = False

    def get(self, maker: str, digests: Sequence[bytes]) -> list[Row]:
        """See `SharedEmbeddings.get`."""
        with connected(self._url) as connection:
            self._prepare(connection)
            return connection.execute(
                "SELECT digest, dimension, vectors, tokens, starts FROM kiku.embeddings"
                " WHERE maker = %s AND digest = ANY (%s)",
                (maker, list(digests)),
                binary=True,
            ).fetchall()

    def put(self, maker: str, rows: Sequence[Row]) -> None:
        """See `SharedEmbeddings.put`."""
        with connected(self._url) as connection:
            self._prepare(connection)
            connection.cursor().executemany(
                "INSERT INTO kiku.embeddings VALUES (%s, %s, %s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                [(maker, *row) for row in rows],
            )

    def clear(self) -> None:
        """Forgets everything: a build has it in its own cache, and in the index."""
        with connected(self._url) as connection:
            self._prepare(connection)
            connection.execute("TRUNCATE kiku.embeddings")

    def _prepare(self, connection: Connection[Any]) -> None:
        """Makes the table, once; two machines that begin at once both find it made."""
        if not self._ready:
            errors = import_module("psycopg").errors
            try:
                connection.execute(_TABLE)
            except (errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateSchema):
                connection.execute(_TABLE)
            self._ready = True
