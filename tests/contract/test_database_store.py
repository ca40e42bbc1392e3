"""`KIKU_STORE=postgresql://…` as its user meets it: the same commands, the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from bot.settings import load_settings
from bot.wiring import connect
from index.errors import SettingsError
from tests.conftest import CORPUS, Cli
from tests.postgres_server import PostgresServer, fresh_database


@pytest.fixture
def store(postgres: PostgresServer) -> str:
    """The URL of an empty database."""
    return fresh_database(postgres)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for name in ("chroot.md", "debian.md"):
        (folder / name).write_text((CORPUS / name).read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def test_a_build_goes_to_the_database_and_is_served_from_there(
    cli: Cli, store: str, documents: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    local = cli("build", str(documents))
    assert local.status == 0, local.err
    expected = json.loads(cli("search", "chrootとは", "--json").out)["hits"]
    monkeypatch.setenv("KIKU_STORE", store)
    assert "kiku build" in cli("search", "chroot").err, "nothing was built there yet"

    built = cli("build")
    assert (built.status, built.err.count("\n")) == (0, 1)
    again = json.loads(cli("build", "--json").out)
    assert (again["changed"], again["embedded"], again["read"]) == (False, 0, 0)
    monkeypatch.setenv("KIKU_HOME", str(tmp_path / "a-replica"))  # which has nothing of its own
    assert json.loads(cli("search", "chrootとは", "--json").out)["hits"] == expected
    assert "文書 2 件" in cli("documents", "list").out
    assert "索引に入っていません" not in cli("documents", "show", "chroot.md").err
    assert "✓ 索引: 文書 2 件" in cli("doctor").out
    assert cli("ask", "chrootはいつ生まれた？").status == 0


def test_what_changed_is_built_and_taken_back(
    cli: Cli, store: str, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIKU_STORE", store)
    cli("build", str(documents))
    (documents / "new.md").write_text("# 給湯室\n\n給湯室は三階にあります。\n", encoding="utf-8")
    report = json.loads(cli("build", "--json").out)
    assert (report["read"], report["changed"]) == (1, True)
    assert "三階" in cli("search", "給湯室").out
    assert cli("rollback").status == 0
    assert "三階" not in cli("search", "給湯室").out
    assert cli("rollback").status == 1
    assert cli("build").status == 0
    assert "三階" in cli("search", "給湯室").out, "the documents are what they are"


def test_an_index_is_copied_as_it_is(
    cli: Cli, store: str, documents: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cli("build", str(documents))
    expected = cli("search", "debian", "--json").out
    copied = cli("migrate", "--to", store)
    assert (copied.status, "写しました" in copied.out) == (0, True)
    assert "もうそこに" in cli("migrate", "--to", store).out
    monkeypatch.setenv("KIKU_STORE", store)
    assert cli("search", "debian", "--json").out == expected
    monkeypatch.setenv("KIKU_HOME", str(tmp_path / "new"))  # and back, where nothing was
    assert cli("migrate", "--to", "local").status == 0
    monkeypatch.setenv("KIKU_STORE", "local")
    assert cli("search", "debian", "--json").out == expected


def test_a_replica_notices_a_new_generation(
    cli: Cli, postgres: PostgresServer, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fresh_database(postgres)
    monkeypatch.setenv("KIKU_STORE", store)
    kiku = connect(load_settings())
    assert "kiku build" in kiku.ready()["index"]
    cli("build", str(documents))
    _until(lambda: kiku.ready()["index"] == "ok")
    first = kiku.retriever.generation
    (documents / "new.md").write_text("給湯室は三階にあります。\n", encoding="utf-8")
    cli("build")
    _until(lambda: kiku.retriever.generation != first)
    assert kiku.retriever.search("給湯室")
    kiku.close()


def test_a_backup_brings_index_and_conversations_back(
    cli: Cli, postgres: PostgresServer, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What docs/deploy.md says: pg_dump while Kiku runs, pg_restore into an empty database."""
    old, new = fresh_database(postgres), fresh_database(postgres)
    for name in ("KIKU_STORE", "KIKU_DATABASE"):
        monkeypatch.setenv(name, old)
    cli("build", str(documents))
    expected = cli("search", "chrootとは", "--json").out
    said = cli("chat", stdin="chrootはいつ生まれた？\n\n").out
    assert "[1]" in said
    answers = "SELECT question, answer FROM answers"
    with psycopg.connect(old) as connection:
        remembered = connection.execute(answers).fetchall()
    assert remembered

    login = ("-h", str(postgres.folder), "-U", "postgres")
    dump = str(postgres.folder / "kiku.dump")
    postgres.run("pg_dump", *login, "--format=custom", f"--file={dump}", _name(old))
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{_name(old)}"')
    postgres.run("pg_restore", *login, "--exit-on-error", f"--dbname={_name(new)}", dump)

    for name in ("KIKU_STORE", "KIKU_DATABASE"):
        monkeypatch.setenv(name, new)
    assert cli("search", "chrootとは", "--json").out == expected
    with psycopg.connect(new) as connection:
        assert connection.execute(answers).fetchall() == remembered
    assert cli("build").status == 0, "and the next build goes on from there"


def _name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


@pytest.mark.parametrize(
    "value", ["elsewhere", "mysql://kiku@db/kiku", "localhost", "/srv/index", ""]
)
def test_another_store_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("KIKU_STORE", value)
    with pytest.raises(SettingsError, match="KIKU_STORE"):
        load_settings()


def test_a_password_is_never_shown(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.setenv("KIKU_STORE", "postgresql://kiku:verysecret@127.0.0.1:1/kiku")
    for command in (["search", "x"], ["doctor"], ["rollback"], ["documents", "list"]):
        done = cli(*command)
        assert done.status == 1
        assert "verysecret" not in done.out + done.err + repr(load_settings())


def _until(condition: object) -> None:
    import time

    end = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.1)
