"""What people do wrong, end to end: one clear sentence, a stable code, and nothing is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bot.answer import Answerer
from bot.records import Question
from bot.settings import Settings
from bot.store import Store
from bot.wiring import Kiku
from index.build import build_sources
from index.errors import IndexDamaged, IndexMismatch, IndexMissing, KikuError, QueryError
from index.generation import Manifest, current_generation
from index.retrieve import Retriever
from tests.conftest import NO_ENCODER, Cli, Ran
from tests.fake_encoder import FakeEncoder

GOOD = "CentOS Linux 7のサポートはいつ終了しましたか"
BAD_QUESTIONS = {
    "empty": ("", "空"),
    "blank": (" \t\n　", "空"),
    "100,000 characters": ("長い" * 50_000, "長すぎ"),
    "control characters": ("\x01\x07\x1b\x7f", "言葉"),
    "emoji": ("🙂🎉👩‍💻🇯🇵", "言葉"),
    "marks": ("？！…「」", "言葉"),
    "half a character": ("\udcff", "言葉"),
}
FOREIGN = {
    "Korean": "대한민국의 수도는 어디입니까?",
    "Russian": "Сколько стоит билет до Москвы?",
    "Thai": "ประเทศไทยมีกี่จังหวัด",
    "Arabic": "ما هي عاصمة مصر؟",
    "French": "Quelle est la hauteur de la tour Eiffel ?",
}


@pytest.fixture
def home(lexical_home: Path, tmp_path: Path) -> Path:
    """The home of `cli`, with an index in it, to be broken."""
    return Path(shutil.copytree(lexical_home, tmp_path / "home"))


def sentence(ran: Ran, *words: str) -> None:
    """One line on stderr for a person (beside the note that words alone are searched), status 1, nothing on stdout."""
    assert (ran.status, ran.out) == (1, "")
    assert len([line for line in ran.err.splitlines() if NO_ENCODER not in line]) == 1
    assert len(ran.err) < 400
    assert "Traceback" not in ran.err
    assert "Error" not in ran.err
    for word in words:
        assert word in ran.err


def answers(cli: Cli) -> None:
    """The index that was there is still served."""
    ran = cli("ask", GOOD)
    assert ran.status == 0
    assert "centos-linux.md" in ran.out


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("command", ["ask", "search"])
@pytest.mark.parametrize(("text", "word"), BAD_QUESTIONS.values(), ids=BAD_QUESTIONS)
def test_a_question_that_is_none(cli: Cli, command: str, text: str, word: str) -> None:
    sentence(cli(command, text), word)
    answers(cli)


@pytest.mark.parametrize(("text", "word"), BAD_QUESTIONS.values(), ids=BAD_QUESTIONS)
def test_a_question_that_is_none_has_a_code(kiku: Kiku, text: str, word: str) -> None:
    with pytest.raises(QueryError, match=word) as error:
        kiku.answerer.ask(Question(text))
    assert error.value.code == "bad_question"
    assert kiku.answerer.ask(Question(GOOD)).citations


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_a_language_that_the_documents_do_not_have(cli: Cli, text: str) -> None:
    ran = cli("ask", text, "--json")
    assert (ran.status, ran.err) == (0, "")
    told = json.loads(ran.out)
    assert told["status"] == "not_found"
    assert told["answer"]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "text",
    ["'; DROP TABLE chunks; --", "../../etc/passwd", "<script>alert(1)</script>", "%s%n{0}{x}",
     "\x00コンテナ\x00とは", "コンテナ\udcffとは", "a" * 4000, "[SEP][CLS][PAD]", "コ" * 3999],
)  # fmt: skip
def test_a_question_that_means_mischief_is_a_question(cli: Cli, text: str) -> None:
    ran = cli("ask", text, "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["status"] in ("answered", "not_found")
    answers(cli)


@pytest.mark.parametrize("command", ["ask", "search"])
def test_no_index(cli: Cli, command: str) -> None:
    sentence(cli(command, GOOD), "索引", "kiku build")


def test_no_index_has_a_code(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing) as error:
        Answerer(lambda: Retriever.open(tmp_path, encoder=None)).ask(Question(GOOD))
    assert error.value.code == "index_missing"


def test_an_index_of_another_encoder(built_home: Path, cli: Cli, tmp_path: Path) -> None:
    with pytest.raises(IndexMismatch, match=r"fake.*fake-other") as error:
        Retriever.open(built_home, encoder=FakeEncoder(seed="-other"))
    assert error.value.code == "index_mismatch"
    assert "kiku build" in error.value.hint


def test_another_encoder_is_told_on_the_command_line(
    built_home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(built_home, tmp_path / "home")
    other = FakeEncoder(seed="-other")
    monkeypatch.setattr("bot.wiring.open_encoder", lambda settings: (other, ""))
    sentence(cli("ask", GOOD), "fake", "fake-other", "kiku build")
    monkeypatch.setattr("bot.wiring.open_encoder", lambda settings: (FakeEncoder(), ""))
    answers(cli)


def test_an_index_file_that_was_cut_short(cli: Cli, home: Path) -> None:
    folder = current_generation(home)
    for name in Manifest.read(folder).files:
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 3])
        sentence(cli("ask", GOOD), name, "kiku build")
        with pytest.raises(IndexDamaged) as error:
            Retriever.open(home, encoder=None)
        assert error.value.code == "index_damaged"
        assert "✗ 索引" in cli("doctor").out
        path.write_bytes(whole)
    answers(cli)


def test_a_damaged_index_is_built_again(cli: Cli, home: Path, few_documents: list[Path]) -> None:
    (current_generation(home) / "records.sqlite").write_bytes(b"")
    sentence(cli("ask", GOOD), "records.sqlite")
    assert cli("build", *map(str, few_documents)).status == 0
    answers(cli)


def test_a_running_service_goes_on_when_a_bad_index_is_published(
    built_home: Path, tmp_path: Path, few_documents: list[Path]
) -> None:
    home = Path(shutil.copytree(built_home, tmp_path / "home"))
    settings = Settings(home=home, database=f"sqlite:///{tmp_path / 'kiku.sqlite'}")
    kiku = Kiku(settings, FakeEncoder(), Store.open(settings.database_url))
    served = kiku.retriever.generation
    build_sources(home, few_documents[:2], encoder=FakeEncoder(seed="-other"))
    assert kiku.retriever.generation == served
    assert kiku.answerer.ask(Question(GOOD)).citations
    (current_generation(home) / "manifest.json").write_text("{")
    assert kiku.answerer.ask(Question(GOOD)).citations
    (home / "current").write_text("")
    assert kiku.answerer.ask(Question(GOOD)).citations
    build_sources(home, few_documents, encoder=FakeEncoder())
    assert kiku.retriever.generation != served
    assert kiku.answerer.ask(Question(GOOD)).citations
    kiku.close()


@pytest.mark.usefixtures("home")
def test_a_path_that_does_not_exist(cli: Cli, tmp_path: Path) -> None:
    sentence(cli("build", str(tmp_path / "nowhere")), "nowhere")
    answers(cli)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "content", [None, b"", b" \n\t\xe3\x80\x80\n"], ids=["no", "empty", "blank"]
)
def test_a_path_with_nothing_to_read(cli: Cli, tmp_path: Path, content: bytes | None) -> None:
    folder = tmp_path / "nothing"
    folder.mkdir()
    if content is not None:
        (folder / "a.md").write_bytes(content)
    sentence(cli("build", str(folder)), "文書")
    answers(cli)


UNDECODABLE = bytes([*range(0x80, 0x100), 0x00, 0xFF, 0xFE, 0x81, 0x00]) * 40


@pytest.mark.usefixtures("home")
def test_a_path_that_holds_nothing_but_an_undecodable_file(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "noise"
    folder.mkdir()
    (folder / "noise.txt").write_bytes(UNDECODABLE)
    sentence(cli("build", str(folder)), "文書")
    answers(cli)


def test_an_undecodable_file_among_good_ones_is_left_out_and_told(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "noise.txt").write_bytes(UNDECODABLE)
    (folder / "good.txt").write_text("給与は毎月25日に支払う。", encoding="utf-8")
    (folder / "old.txt").write_bytes("休暇は年に20日ある。".encode("shift_jis"))
    ran = cli("build", str(folder), "--json")
    assert ran.status == 0
    told = json.loads(ran.out)
    assert told["documents"] == 2
    assert [item["source"] for item in told["skipped"]] == ["noise.txt"]
    assert told["skipped"][0]["code"]
    assert told["skipped"][0]["reason"]
    assert "25日" in cli("ask", "給与は毎月いつ支払う").out
    assert "20日" in cli("ask", "休暇は年に何日ある").out


def test_a_failed_build_forgets_no_folder(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.md").write_text("給与は毎月25日に支払う。", encoding="utf-8")
    assert cli("build", str(folder)).status == 0
    sentence(cli("build", str(tmp_path / "nowhere")), "nowhere")
    assert json.loads(cli("build", "--json").out)["documents"] == 1
    (tmp_path / "home" / "sources.json").write_text("{")
    sentence(cli("build"), "sources.json")


def test_every_error_has_a_code_of_its_own() -> None:
    def family(kind: type[KikuError]) -> list[type[KikuError]]:
        return [kind, *(one for child in kind.__subclasses__() for one in family(child))]

    kinds = [kind for kind in family(KikuError) if kind.__module__.startswith(("bot.", "index."))]
    codes = [kind.code for kind in kinds if "code" in vars(kind)]
    assert len(codes) == len(set(codes))
    assert all(code.isascii() and code == code.lower() and " " not in code for code in codes)
