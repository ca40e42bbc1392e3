"""A backup taken while Kiku runs, and the same answers after it was restored elsewhere."""

from __future__ import annotations

import importlib.util
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from bot.records import Question
from bot.settings import Settings
from bot.store import Store
from bot.wiring import Kiku
from index.generation import Generation, current_generation
from tests.conftest import ROOT
from tests.fake_encoder import FakeEncoder


@pytest.fixture(scope="module")
def backup() -> ModuleType:
    """deploy/backup.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("backup", ROOT / "deploy" / "backup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def opened(home: Path, encoder: FakeEncoder) -> Kiku:
    """A bot that keeps its conversations in its home, as a real one does."""
    settings = Settings(home=home, synonyms=ROOT / "corpus" / "synonyms.toml")
    return Kiku(settings, encoder, Store.open(settings.database_url))


@pytest.fixture
def home(built_home: Path, tmp_path: Path) -> Path:
    """A home of one's own."""
    shutil.copytree(built_home, tmp_path / "home")
    return tmp_path / "home"


def test_a_restored_backup_answers_and_remembers_the_same(
    backup: ModuleType, home: Path, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    asked = Question("dockershimはいつKubernetesから削除されましたか？", conversation_id="c1")
    running = opened(home, fake_encoder)
    try:
        before = running.answerer.ask(asked)
        running.store.record(asked, before)
        # What was written last is still in SQLite's log beside the file: a plain copy would miss it.
        assert (home / "kiku.sqlite-wal").stat().st_size > 0
        backup.back_up(home, tmp_path / "backup")
    finally:
        running.close()
    shutil.rmtree(home)
    shutil.copytree(tmp_path / "backup", home)
    restored = opened(home, fake_encoder)
    try:
        after = restored.answerer.ask(asked)
        assert (after.status, after.answer) == (before.status, before.answer)
        assert [c.quote for c in after.citations] == [c.quote for c in before.citations]
        assert restored.store.answer(before.id) is not None
        assert asked.text in [turn.content for turn in restored.store.turns("c1")]
        assert restored.ready()["index"] == "ok"
    finally:
        restored.close()
    generation = Generation(current_generation(home))
    generation.verify()
    generation.close()


def test_the_cache_and_old_generations_stay_behind(
    backup: ModuleType, home: Path, tmp_path: Path
) -> None:
    (home / "generations" / "old").mkdir()
    (home / "cache.sqlite").touch()
    backup.back_up(home, tmp_path / "backup")
    served = current_generation(home).name
    copied = {str(path.relative_to(tmp_path / "backup")) for path in tmp_path.glob("backup/**/*")}
    assert {"current", f"generations/{served}"} <= copied
    assert not {"cache.sqlite", "generations/old", "build.lock"} & copied


def test_a_generation_that_goes_away_meanwhile_is_not_copied_in_part(
    backup: ModuleType, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, calls = shutil.copytree, []

    def removed_while_copied(source: Path, target: Path) -> Path:
        calls.append(source)
        copy(source, target)
        if len(calls) == 1:
            raise FileNotFoundError(source)
        return target

    monkeypatch.setattr(backup.shutil, "copytree", removed_while_copied)
    backup.back_up(home, tmp_path / "backup")
    assert len(calls) == 2
    generation = Generation(current_generation(tmp_path / "backup"))
    generation.verify()
    generation.close()


@pytest.mark.parametrize("wrong", ["nothing there", "target taken", "damaged database", "usage"])
def test_a_backup_that_cannot_be_made_says_so_in_one_sentence(
    backup: ModuleType,
    home: Path,
    tmp_path: Path,
    wrong: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [str(home), str(tmp_path / "backup")]
    match wrong:
        case "nothing there":
            arguments[0] = str(tmp_path / "nowhere")
        case "target taken":
            (tmp_path / "backup").mkdir()
        case "damaged database":
            (home / "kiku.sqlite").write_bytes(b"no database" * 1000)
        case "usage":
            arguments.pop()
    assert backup.main(arguments) == (2 if wrong == "usage" else 1)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "Traceback" not in said


def test_a_backup_is_a_whole_database(backup: ModuleType, home: Path, tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{home / 'kiku.sqlite'}")
    backup.back_up(home, tmp_path / "backup")
    store.close()
    assert not list((tmp_path / "backup").glob("*-wal"))
    with closing(sqlite3.connect(tmp_path / "backup" / "kiku.sqlite")) as copy:
        tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_master")}
    assert {"alembic_version", "answers"} <= tables
