from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.http.models import AnswerBody, CitationBody, HitBody
from tests.conftest import NO_ENCODER, Cli, Ran

QUESTION = "CentOS Linux 7のサポートはいつ終了しましたか"


@pytest.fixture
def home(lexical_home: Path, tmp_path: Path) -> Path:
    """The home of `cli`, with an index in it."""
    return Path(shutil.copytree(lexical_home, tmp_path / "home"))


def fails(ran: Ran, *words: str) -> None:
    """An expected failure: status 1, and one line on stderr that says what and what to do."""
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.endswith("\n")
    assert len([line for line in ran.err.splitlines() if NO_ENCODER not in line]) == 1
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err


def body(ran: Ran) -> Any:
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


@pytest.mark.usefixtures("home")
def test_ask_prints_the_answer_and_where_it_stands(cli: Cli) -> None:
    ran = cli("ask", QUESTION)
    assert (ran.status, ran.err) == (0, "")
    assert "[1]" in ran.out
    assert "centos-linux.md" in ran.out
    assert "確信度" in ran.out


def test_the_newer_version_comes_first_and_the_older_is_marked(cli: Cli, tmp_path: Path) -> None:
    added = "同乗した者の日当は、運転した者の半分とし、総務部が月末にまとめて支払う。"
    for year, sum_, more in ((2024, "2,500", ""), (2025, "3,000", added)):
        (tmp_path / f"旅費規程_{year}.md").write_text(
            f"---\ntitle: 旅費規程（{year}年4月改定）\ndate: {year}-04-01\n---\n"
            f"日当は{sum_}円とする。\n\n宿泊費は実費とし、領収書を添える。\n\n申請は前日までに行う。\n\n{more}\n",
            encoding="utf-8",
        )
    assert cli("build", str(tmp_path)).status == 0
    ran = cli("ask", "日当はいくらですか", "--json")
    newer, older = json.loads(ran.out)["citations"][:2]
    assert (newer["date"], newer["superseded_by"]) == ("2025-04-01", "")
    assert (older["date"], older["superseded_by"]) == ("2024-04-01", newer["document_id"])
    for command in ("ask", "search"):
        lines = [
            line for line in cli(command, "日当はいくらですか").out.splitlines() if ".md" in line
        ]
        assert [("旧版" in line, "2024" in line) for line in lines] == [
            (False, False),
            (True, True),
        ]


@pytest.mark.usefixtures("home")
def test_ask_json_is_the_body_of_the_http_answer(cli: Cli) -> None:
    told = body(cli("ask", QUESTION, "--json", "--top-k", "3"))
    assert list(told) == list(AnswerBody.model_fields)
    assert 0 < len(told["citations"]) <= 3
    for citation in told["citations"]:
        assert list(citation) == list(CitationBody.model_fields)
    assert AnswerBody.model_validate(told).model_dump(mode="json") == told
    for name in ("id", "status", "answer", "confidence", "conversation_id", "citations", "took_ms"):
        assert name in told


@pytest.mark.usefixtures("home")
def test_japanese_is_printed_as_it_is(cli: Cli) -> None:
    assert "\\u" not in cli("ask", QUESTION, "--json").out
    assert "\\u" not in cli("search", QUESTION, "--json").out


@pytest.mark.usefixtures("home")
def test_a_history_makes_a_follow_up(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    turns = [
        {"role": "user", "content": "chrootとは何ですか？"},
        {"role": "assistant", "content": "…"},
    ]
    path.write_text(json.dumps(turns), encoding="utf-8")
    told = body(cli("ask", "それはいつからありますか？", "--json", "--history", str(path)))
    assert told["citations"][0]["source"] == "chroot.md"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "text",
    ["", "{", "3", "[3]", '[{"role": "user"}]', '[{"role": "root", "content": "x"}]', "\udcff"],
)
def test_a_history_that_cannot_be_read_is_told(cli: Cli, tmp_path: Path, text: str) -> None:
    path = tmp_path / "history.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    fails(cli("ask", QUESTION, "--history", str(path)), "history.json", "role")
    fails(cli("ask", QUESTION, "--history", str(tmp_path / "none.json")), "none.json")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense"])
def test_search_ranks_passages(cli: Cli, mode: str) -> None:
    hits = body(cli("search", QUESTION, "--json", "--top-k", "4", "--mode", mode))["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4]
    for hit in hits:
        assert list(hit) == list(HitBody.model_fields)
    ran = cli("search", QUESTION, "--top-k", "4", "--mode", mode)
    assert ran.out.startswith("1. ")
    assert hits[0]["source"] in ran.out


@pytest.mark.usefixtures("home")
def test_search_says_when_there_is_nothing(cli: Cli) -> None:
    assert "ありません" in cli("search", "ψξ").out
    assert body(cli("search", "ψξ", "--json"))["hits"] == []


@pytest.mark.usefixtures("home")
def test_a_chat_goes_on_until_an_empty_line(cli: Cli) -> None:
    ran = cli("chat", stdin=f"chrootとは何ですか\n🙂\n{QUESTION}\n\n")
    assert ran.status == 0
    assert ran.out.count("確信度") == 2
    assert "言葉が含まれていません" in ran.err
    assert cli("chat", stdin="").status == 0


def test_build_says_what_it_did(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.md").write_text("# 給与\n\n給与は毎月25日に支払う。", encoding="utf-8")
    (folder / "b.bin").write_bytes(b"\x00")
    ran = cli("build", str(folder))
    assert ran.status == 0
    assert "文書 1 件" in ran.out
    assert "b.bin" in ran.err
    told = body(cli("build", str(folder), "--json"))
    assert told["documents"] == 1
    assert told["skipped"][0]["code"] == "unknown_format"
    assert body(cli("build", "--json"))["documents"] == 1
    assert "25日" in cli("ask", "給与は毎月いつ支払う").out


def test_the_default_of_build_is_the_corpus(cli: Cli, tmp_path: Path) -> None:
    fails(cli("build"), "corpus/documents")
    folder = tmp_path / "corpus" / "documents"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("給与は毎月25日に支払う。", encoding="utf-8")
    assert body(cli("build", "--json"))["documents"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["ask"],
        ["ask", "問い", "余分"],
        ["ask", "問い", "--top-k", "0"],
        ["ask", "問い", "--top-k", "many"],
        ["ask", "問い", "--no-such-option"],
        ["search", "問い", "--mode", "magic"],
        ["serve", "--port", "http"],
        ["keys", "create", ""],
        ["keys", "create", "総務", "--collections", ""],
        ["keys", "create", "総務", "--collections", " , "],
        ["forget"],
        ["forget", "--before", "きのう"],
        ["forget", "--before", "2026-01-01", "--conversation", "x"],
        ["keys"],
    ],
)
def test_wrong_usage_is_status_2(cli: Cli, arguments: list[str]) -> None:
    ran = cli(*arguments)
    assert ran.status == 2
    assert "Traceback" not in ran.err


def test_help_is_status_0(cli: Cli) -> None:
    ran = cli("--help")
    assert ran.status == 0
    for command in ("build", "ask", "search", "chat", "serve", "slack", "eval", "doctor"):
        assert command in ran.out


@pytest.mark.usefixtures("home")
def test_doctor_is_content_with_a_good_index(cli: Cli) -> None:
    ran = cli("doctor")
    assert ran.status == 0
    assert "✗" not in ran.out
    assert "✓ 索引" in ran.out


def test_doctor_says_what_is_wrong_and_how_to_mend_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = cli("doctor")
    assert ran.status == 1
    assert "✗ 索引" in ran.out
    assert "kiku build" in ran.out
    monkeypatch.setenv("KIKU_TYPO", "1")
    assert cli("doctor").out.startswith("✗ 設定")


@pytest.mark.usefixtures("home")
def test_doctor_says_that_there_is_no_japanese_font(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.sources.pdf.has_japanese_font", lambda: False)
    ran = cli("doctor")
    assert ran.status == 0
    assert "・ PDF" in ran.out
    assert "fonts-ipafont-gothic" in ran.out


def test_a_mistake_in_the_settings_stops_every_command(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIKU_THRESHHOLD", "0.5")
    for arguments in (["ask", "問い"], ["search", "問い"], ["build"], ["chat"], ["serve"]):
        fails(cli(*arguments), "KIKU_THRESHHOLD", "KIKU_THRESHOLD")


def test_an_encoder_that_is_named_must_be_there(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("KIKU_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KIKU_ENCODER", str(tmp_path / "no-model"))
    fails(cli("ask", "問い"), "no-model")


@pytest.mark.usefixtures("home")
def test_keys_and_forget(cli: Cli) -> None:
    made = cli("keys", "create", "総務", "--collections", "人事,公開")
    assert made.status == 0
    assert "KIKU_API_KEYS" in made.out
    assert "0 件" in cli("forget", "--conversation", "none").out


def test_the_real_command_fails_in_one_sentence(tmp_path: Path) -> None:
    """Once in a process of its own, as a user would: no index is there."""
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", "ask", "コンテナとは"]
        if not (Path(sys.executable).parent / "kiku").exists()
        else [str(Path(sys.executable).parent / "kiku"), "ask", "コンテナとは"],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    fails(Ran(done.returncode, done.stdout, done.stderr), "索引", "kiku build")
