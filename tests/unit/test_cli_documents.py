"""`kiku documents`, the bars of a build, and builds that go on or are cut short."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.progress import Progress

from bot.cli.progress import building
from tests.conftest import ROOT, Cli

PATIENCE = 120.0  # seconds that a process of its own may take for a step


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "文書"
    folder.mkdir()
    (folder / "就業規則.md").write_text(
        "---\ndate: 令和8年4月1日\nurl: https://wiki.example.com/rules\ncollection: hr\n---\n"
        "# 就業規則\n\n給与は毎月25日に支払う。\n",
        encoding="utf-8",
    )
    (folder / "手順.txt").write_bytes("再起動の手順は次のとおりです。\n".encode("cp932"))
    (folder / "古い.doc").write_bytes(b"\xd0\xcf\x11\xe0")
    return folder


def test_what_is_indexed_can_be_looked_at(cli: Cli, folder: Path) -> None:
    assert cli("build", str(folder)).status == 0
    listed = cli("documents", "list").out
    assert "就業規則（就業規則.md）\n    hr 2026-04-01 22 文字 1 箇所 utf-8\n" in listed
    assert "（手順.txt）\n    default 16 文字 1 箇所 cp932\n" in listed
    assert listed.endswith("文書 2 件\n")
    assert "手順" not in cli("documents", "list", "--collection", "hr").out
    told = {one["source"]: one for one in json.loads(cli("documents", "list", "--json").out)}
    assert {name: one["encoding"] for name, one in told.items()} == {
        "就業規則.md": "utf-8",
        "手順.txt": "cp932",
    }
    for name in ("手順.txt", told["手順.txt"]["id"]):
        shown = cli("documents", "show", name).out
        assert "文字コード: cp932\n" in shown
        assert shown.endswith("\n\n再起動の手順は次のとおりです。\n\n")
    one = json.loads(cli("documents", "show", "就業規則.md", "--json").out)
    assert (one["encoding"], one["collection"], one["date"]) == ("utf-8", "hr", "2026-04-01")
    missing = cli("documents", "show", "ない.md")
    assert missing.status == 1
    assert "ない.md" in missing.err


def test_what_could_not_be_read_is_named_with_the_reason(cli: Cli, folder: Path) -> None:
    cli("build", str(folder))
    ran = cli("documents", "skipped")
    assert "古い.doc: 対応していない形式です（.doc）。" in ran.out
    assert ran.out.endswith("読めなかったもの 1 件\n")
    (skipped,) = json.loads(cli("documents", "skipped", "--json").out)
    assert (skipped["source"], skipped["code"]) == ("古い.doc", "unknown_format")


def test_a_bar_tells_the_rate_and_the_time_left() -> None:
    clock = [0.0]
    progress = Progress(get_time=lambda: clock[0], disable=True)
    report = building(progress)
    for second in range(6):
        clock[0] = float(second)
        report("encode", 10 * second, 100)
    (task,) = progress.tasks
    assert (task.description, task.completed, task.total) == ("意味を読む", 50, 100)
    assert task.fields["rate"] == "10 件/秒"
    assert task.time_remaining == 5


def process(tmp_path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """`kiku …` in a process of its own, writing to `out` and `err`."""
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("KIKU_")}
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "bot.cli", *arguments],
            cwd=tmp_path,
            env=environment | {"KIKU_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=err,
        )


def until(true: Callable[[], bool], running: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.timeout(600)
def test_watching_builds_at_every_change_until_it_is_ended(tmp_path: Path, folder: Path) -> None:
    def said(name: str, words: str) -> bool:
        return words in (tmp_path / name).read_text(encoding="utf-8")

    watching = process(tmp_path, "build", "--watch", str(folder))
    try:
        until(lambda: said("out", "文書 2 件"), watching)
        # whether the watch has begun by now is not known, and must not matter
        (folder / "旅費.md").write_text("# 旅費\n\n日当は三千円とする。\n", encoding="utf-8")
        until(lambda: said("out", "文書 3 件"), watching)
        until(lambda: said("err", "文書の変更を待っています"), watching)
        (folder / "旅費.md").unlink()
        until(lambda: (tmp_path / "out").read_text("utf-8").count("文書 2 件") == 2, watching)
        (folder / ".draft.md.swp").write_bytes(b"x")  # an editor's own file is no change
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 130
    finally:
        watching.kill()
        watching.wait()
    assert (tmp_path / "err").read_text("utf-8").count("古い.doc") == 1  # told once
    assert "Traceback" not in (tmp_path / "err").read_text("utf-8")


@pytest.mark.timeout(600)
def test_a_build_cut_short_says_so_and_leaves_things_clean(
    cli: Cli, tmp_path: Path, folder: Path
) -> None:
    assert cli("build", str(folder)).status == 0
    many = tmp_path / "many"
    many.mkdir()
    for number in range(3_000):
        text = f"# 題{number}\n\n" + f"文書{number}の本文です。" * 30
        (many / f"{number}.md").write_text(text, encoding="utf-8")
    generations = tmp_path / "home" / "generations"
    running = process(tmp_path, "build", str(many))
    try:
        until(lambda: bool(list(generations.glob(".building-*"))), running)
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 130
    finally:
        running.kill()
        running.wait()
    assert "中断しました。索引は前のままです。" in (tmp_path / "err").read_text("utf-8")
    assert not list(generations.glob(".building-*"))
    assert "25日" in cli("ask", "給与は毎月いつ支払う").out
    assert "変わった文書はありません" in cli("build").out  # of the folder that was remembered
