"""Generations in PostgreSQL with pgvector: one database, any number of replicas of Kiku.

Reading goes wherever the URL leads: `postgresql://kiku@one,two/kiku?target_session_attrs=
prefer-standby` asks a standby while there is one. Writing goes to the host that can be written to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any

from index.engines.contract import Progress
from index.engines.postgres_search import Dense, PostgresGeneration, Rows
from index.engines.postgres_tables import EXACT_UP_TO, SHARED, schema_of, write_generation
from index.errors import BuildRunning, IndexMissing, IndexUnavailable
from index.generation import Generation, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection
    from psycopg_pool import ConnectionPool

_LOCK = 0x4B696B7501  # "Kiku" and a number, for pg_advisory_xact_lock: who publishes
_ATTEMPTS = 3
_CONNECTIONS = 16  # of one process, at most
_WAIT = 5.0  # seconds to wait for a connection
_FRESH = 1.0  # seconds for which the served generation is not looked up again
# Questions are short: starting helpers and compiling would take longer than the search. An index
# scan that a filter has emptied goes on until enough is found.
_SESSION = """
SET jit = off; SET max_parallel_workers_per_gather = 0; SET plan_cache_mode = force_custom_plan;
SET statement_timeout = '30s'; SET hnsw.iterative_scan = relaxed_order; SET hnsw.ef_search = 200;
"""


class PostgresEngine:
    """See `index.engines.contract.Engine`. Thread-safe; connections are opened when first needed."""

    def __init__(self, url: str, *, exact_up_to: int = EXACT_UP_TO) -> None:
        self._url = url
        self._exact_up_to = exact_up_to
        self._opened: ConnectionPool[Any] | None = None
        self._opening = Lock()
        self._served = (-_FRESH, "")

    def served(self) -> str:
        """See `Engine.served`. What another process publishes is seen within a second."""
        looked, name = self._served
        if time.monotonic() - looked < _FRESH:
            return name
        rows = self._read(
            lambda connection: connection.execute("SELECT generation FROM kiku.served").fetchall()
        )
        if not rows:
            raise _missing()
        name = str(rows[0][0])
        self._served = (time.monotonic(), name)
        return name

    def open(self) -> PostgresGeneration:
        """See `Engine.open`."""
        rows = self._read(
            lambda connection: connection.execute(
                "SELECT g.id, g.manifest::text, g.vocabulary, g.vectors, g.graph"
                " FROM kiku.served s JOIN kiku.generations g ON g.id = s.generation",
                binary=True,
            ).fetchall()
        )
        if not rows:
            raise _missing()
        name, text, vocabulary, vectors, graph = rows[0]
        manifest = Manifest.parse(text, name)
        dense = Dense(vectors, manifest.encoder.dimension, graph)
        return PostgresGeneration(self._read, manifest, vocabulary, dense)

    def publish(self, generation: Generation, *, keep: int, progress: Progress) -> bool:
        """See `Engine.publish`. One generation more than the served one is always left, for the
        questions that are under way."""
        identifier = generation.manifest.id
        with connected(self._url) as connection:
            with connection.transaction():
                _lock(connection)
                connection.execute(SHARED)
                served = _served(connection)
                if served == identifier:
                    return False
                known = connection.execute(
                    "SELECT 1 FROM kiku.generations WHERE id = %s", (identifier,)
                )
                new = not known.fetchone()
                if new:
                    write_generation(connection, generation, progress, self._exact_up_to)
                _serve(connection, identifier)
            if new:  # or the first questions would do what this does, each for what it reads
                schema = schema_of(identifier)
                connection.execute(f"VACUUM {schema}.postings, {schema}.documents, {schema}.chunks")
            self._served = (-_FRESH, "")
            self._remove_old(connection, max(2, keep))
        return True

    def roll_back(self) -> str:
        """See `Engine.roll_back`."""
        with connected(self._url) as connection, connection.transaction():
            _lock(connection)
            found = connection.execute(
                "SELECT id FROM kiku.generations WHERE number < (SELECT number FROM kiku.generations"
                " JOIN kiku.served ON id = generation) ORDER BY number DESC LIMIT 1"
            ).fetchone()
            if not found:
                raise IndexMissing(
                    "戻せる古い索引がありません。",
                    hint="残す数は KIKU_KEEP_GENERATIONS で決まります。",
                )
            _serve(connection, found[0])
        self._served = (-_FRESH, "")
        return str(found[0])

    def generations(self) -> list[str]:
        """The ids of all generations, oldest first."""
        rows = self._read(
            lambda connection: connection.execute(
                "SELECT id FROM kiku.generations ORDER BY number"
            ).fetchall()
        )
        return [str(row[0]) for row in rows]

    def close(self) -> None:
        """Closes the connections."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _remove_old(self, connection: Connection[Any], keep: int) -> None:
        """Removes what is no longer kept, one by one: each waits for the questions that read it."""
        rows = connection.execute(
            "SELECT id FROM kiku.generations WHERE id <> (SELECT generation FROM kiku.served)"
            " ORDER BY number DESC OFFSET %s",
            (keep - 1,),
        ).fetchall()
        for (identifier,) in rows:
            schema = schema_of(identifier)
            with connection.transaction():
                connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
                connection.execute("DELETE FROM kiku.generations WHERE id = %s", (identifier,))

    def _read(self, work: Callable[[Connection[Any]], Rows]) -> Rows:
        """Does some reading. Another connection, and with it perhaps another host, gets its chance
        when one is lost."""
        psycopg = _driver()
        failure = ""
        for _ in range(_ATTEMPTS):
            try:
                pool = self._pool()
                with pool.connection() as connection:
                    return work(connection)
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                raise _missing() from None
            except psycopg.errors.InsufficientPrivilege as error:
                raise _unavailable(error) from None
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                failure = error
                pool.check()
        raise _unavailable(failure) from None

    def _pool(self) -> ConnectionPool[Any]:
        with self._opening:
            if self._opened is None:
                psycopg = _driver()
                pool = import_module("psycopg_pool").ConnectionPool
                try:
                    self._opened = pool(
                        self._url,
                        min_size=1,
                        max_size=_CONNECTIONS,
                        timeout=_WAIT,
                        configure=_configure,
                        kwargs={"autocommit": True, "connect_timeout": int(_WAIT)},
                        open=True,
                    )
                except psycopg.ProgrammingError:
                    raise _bad_url() from None
            return self._opened


@contextmanager
def connected(url: str) -> Iterator[Connection[Any]]:
    """A connection to the host that can be written to. Raises IndexUnavailable, whatever fails."""
    psycopg = _driver()
    try:
        target = psycopg.conninfo.make_conninfo(url, target_session_attrs="read-write")
    except psycopg.ProgrammingError:
        raise _bad_url() from None
    try:
        with psycopg.connect(target, autocommit=True) as connection:
            yield connection
    except psycopg.errors.UndefinedFile:
        raise _no_extension("サーバーに pgvector がありません。") from None
    except psycopg.errors.InsufficientPrivilege as error:
        if "extension" in str(error):
            raise _no_extension("拡張 vector を作る権限がありません。") from None
        raise _unavailable(error) from None
    except psycopg.Error as error:
        raise _unavailable(error) from None


def _driver() -> Any:
    try:
        import_module("pgvector")
        import_module("psycopg_pool")
        return import_module("psycopg")
    except ImportError as error:
        raise IndexUnavailable(
            f"PostgreSQL のための部品がありません（{error.name}）。",
            hint="pip install 'kiku[postgres]' で入ります。",
        ) from None


def _configure(connection: Connection[Any]) -> None:
    connection.execute(_SESSION)


def _lock(connection: Connection[Any]) -> None:
    row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (_LOCK,)).fetchone()
    if row is None or not row[0]:
        raise BuildRunning(
            "別の kiku build がデータベースに書き込んでいます。",
            hint="終わるのを待ってから、もう一度実行してください。",
        )


def _served(connection: Connection[Any]) -> str:
    row = connection.execute("SELECT generation FROM kiku.served").fetchone()
    return str(row[0]) if row else ""


def _serve(connection: Connection[Any], identifier: str) -> None:
    connection.execute(
        "INSERT INTO kiku.served (generation) VALUES (%s)"
        " ON CONFLICT (only_row) DO UPDATE SET generation = excluded.generation",
        (identifier,),
    )


def _missing() -> IndexMissing:
    return IndexMissing(
        "データベースに索引がまだありません。", hint="kiku build を実行すると作られます。"
    )


def _no_extension(reason: str) -> IndexUnavailable:
    return IndexUnavailable(
        reason, hint="管理者がデータベースで CREATE EXTENSION vector; を実行してください。"
    )


def _bad_url() -> IndexUnavailable:
    return IndexUnavailable(
        "KIKU_STORE が PostgreSQL の URL ではありません。",
        hint="例: postgresql://kiku@db1,db2/kiku?target_session_attrs=prefer-standby",
    )


def _unavailable(error: object) -> IndexUnavailable:
    """What went wrong, without the URL: it may hold a password."""
    reason = str(error).strip().splitlines()
    return IndexUnavailable(
        f"索引のデータベースを使えません: {reason[0] if reason else type(error).__name__}。",
        hint="KIKU_STORE と、サーバーの状態を確かめてください。",
    )
