"""Opens Kiku's database: the engine, its pragmas, the migrations, errors in one sentence."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from bot.errors import StoreUnavailable
from bot.store.tables import Base

BUSY_TIMEOUT_MS = 10_000
MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0002"  # the newest migration; a test compares it with the folder
_MIGRATION_LOCK = 0x4B696B75  # "Kiku", an arbitrary number for pg_advisory_xact_lock


class Database:
    """Read and write transactions on one engine. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # SQLite lets one writer in and makes the others sleep and look again, so one waits up to
        # 0.1 s for a write of 1 ms and the order is lost; threads of one process line up here.
        self._line: AbstractContextManager[object] = (
            Lock() if engine.dialect.name == "sqlite" else nullcontext()
        )
        self._reader = sessionmaker(engine, expire_on_commit=False)
        self._writer = sessionmaker(
            engine.execution_options(kiku_write="FULL"), expire_on_commit=False
        )
        self._quick_writer = sessionmaker(
            engine.execution_options(kiku_write="NORMAL"), expire_on_commit=False
        )

    @classmethod
    def open(cls, url: str) -> Database:
        """The database at an SQLAlchemy URL, made and migrated if need be.

        Raises StoreUnavailable for a malformed URL, a missing driver, a file that is no database,
        a server that does not answer, or a database that a newer Kiku has migrated.
        """
        engine = _engine(_parsed(url))
        try:
            with _explained(engine.url):
                _migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        self._engine.dispose()

    @property
    def engine(self) -> Engine:
        return self._engine

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one consistent state."""
        with _explained(self._engine.url), self._reader() as session:
            yield session

    @contextmanager
    def write(self, *, quick: bool = False) -> Iterator[Session]:
        """A session that is committed at the end, or rolled back with the error.

        A `quick` one does not wait for SQLite's disk: the process may die without losing it, but a
        power failure takes what was written in the last moments.
        """
        writer = self._quick_writer if quick else self._writer
        with _explained(self._engine.url), self._line, writer.begin() as session:
            yield session

    def wipe(self) -> None:
        """Takes what was deleted out of SQLite's journal too, as far as nobody reads it just now."""
        if self._engine.dialect.name != "sqlite":
            return
        with (
            _explained(self._engine.url),
            self._line,
            closing(self._engine.raw_connection()) as raw,
        ):
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def insert(self, table: type[Base] | Table) -> Any:
        """An INSERT that knows `on_conflict_do_nothing`, which is spelled by dialect."""
        if self._engine.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        raise StoreUnavailable(
            "KIKU_DATABASE が SQLAlchemy の URL ではありません。",
            hint="例: sqlite:////var/lib/kiku/kiku.sqlite、postgresql://user@host/kiku",
        ) from None
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreUnavailable(
            "KIKU_DATABASE にメモリ上の SQLite は使えません。ファイルを指定してください。"
        )
    return parsed


def _engine(url: URL) -> Engine:
    arguments: dict[str, Any] = {"pool_pre_ping": True}
    if url.get_backend_name() == "sqlite":
        arguments["connect_args"] = {"timeout": BUSY_TIMEOUT_MS / 1000}
        folder = Path(str(url.database)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(
                f"データベースのフォルダー {folder} を作れません: {error.strerror}。"
            ) from None
    try:
        engine = create_engine(url, **arguments)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreUnavailable(
            f"データベース {url.drivername} のドライバーがありません: {error}。",
            hint="PostgreSQL には pip install 'psycopg[binary]' が要ります。",
        ) from None
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver starts transactions by itself and only before writes; Kiku says BEGIN itself.
    connection.isolation_level = None
    _switch_to_wal(connection)
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")  # what is forgotten is overwritten, not unlinked


def _switch_to_wal(connection: Any) -> None:
    """Once a file. SQLite does not wait for others here, whatever the busy timeout says."""
    until = monotonic() + BUSY_TIMEOUT_MS / 1000
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if monotonic() > until:
                raise
            sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads and then writes fails at once when another wrote in between
    # (SQLITE_BUSY_SNAPSHOT); taking the write lock first waits for busy_timeout instead.
    synchronous = connection.get_execution_options().get("kiku_write")
    if synchronous:
        connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if synchronous else "BEGIN")


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return  # the usual case, without the time that importing Alembic takes
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.execution_options(kiku_write="FULL").begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise StoreUnavailable(
                f"データベースは新しい版の Kiku のものです（{_revision(connection)}）。",
                hint="Kiku を更新するか、別の KIKU_DATABASE を指定してください。",
            ) from None


def _revision(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


@contextmanager
def _explained(url: URL) -> Iterator[None]:
    """Turns SQLAlchemy's errors into one sentence, without the SQL, its values or a password."""
    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        place = url.database if url.get_backend_name() == "sqlite" else url.host or "localhost"
        raise StoreUnavailable(
            f"データベース（{place}）を使えません: {reason}。",
            hint="KIKU_DATABASE と、ファイルの権限かサーバーの状態を確かめてください。",
        ) from error
