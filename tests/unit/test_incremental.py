"""A build that takes over what is unchanged makes what a build from nothing makes, byte by byte."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index import reading
from index.build import build_sources
from index.generation import current_generation
from index.records_file import Records
from index.sources import Rules
from index.versions import series_name
from tests.fake_encoder import FakeEncoder, PartsFakeEncoder

WORDS = ("総務部", "経理", "containerd", "すずらん", "手順", "dockershim", "休暇", "🙂", "ﾊﾝｶｸ")


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once, so that their times are proof; no test waits for the clock."""
    monkeypatch.setattr(reading, "SETTLED_NS", -1)


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def content(home: Path) -> dict[str, bytes | list[tuple[object, ...]]]:
    """What a generation holds: its arrays as bytes, its tables as rows but for the files' times."""
    folder = current_generation(home)
    found: dict[str, bytes | list[tuple[object, ...]]] = {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name not in ("manifest.json", "records.sqlite")
    }
    database = sqlite3.connect(folder / "records.sqlite")
    for table in ("documents", "chunks", "skipped"):
        found[table] = database.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()
    columns = "position, source, size, digest, encoding, first_document, documents"
    found["files"] = database.execute(f"SELECT {columns} FROM files ORDER BY position").fetchall()
    database.close()
    return found


def same_as_from_nothing(home: Path, folder: Path, encoder: FakeEncoder | None = None) -> None:
    fresh = home.with_name("fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    build_sources(fresh, [folder], encoder=encoder or FakeEncoder())
    assert content(home) == content(fresh)


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["write", "delete", "rename", "touch"]),
        st.integers(0, 5),
        st.lists(st.sampled_from(WORDS), max_size=6),
    ),
    min_size=1,
    max_size=5,
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(EDITS, min_size=1, max_size=3))
def test_any_edits(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, int, list[str]]]]
) -> None:
    base = tmp_path_factory.mktemp("edits")
    folder, home = base / "documents", base / "home"
    for number in range(4):
        text = f"# 題{number}\n\n" + "。\n\n".join(WORDS[number:]) + "。"
        write(folder, f"{number}.md", text)
    write(folder, "broken.pdf", "no")
    build_sources(home, [folder], encoder=FakeEncoder())
    for edits in rounds:
        for kind, number, words in edits:
            path = folder / f"{number}.md"
            if kind == "write":
                write(folder, path.name, f"# 題{number}\n\n" + "、".join(words) + "です。\n")
            elif kind == "delete" and number:
                path.unlink(missing_ok=True)
            elif kind == "rename" and path.exists():
                path.rename(folder / f"z{number}.md")
            elif kind == "touch" and path.exists():
                os.utime(path, ns=(time.time_ns(), time.time_ns()))
        write(folder, "always.md", "# 残る\n\nいつもある文書です。")
        build_sources(home, [folder], encoder=FakeEncoder())
        same_as_from_nothing(home, folder)


def test_nothing_changed_builds_nothing(tmp_path: Path) -> None:
    folder, home = tmp_path / "documents", tmp_path / "home"
    write(folder, "a.md", "# 題\n\n本文です。")
    write(folder, "b.exe", "x")
    first = build_sources(home, [folder], encoder=FakeEncoder())
    again = build_sources(home, [folder], encoder=FakeEncoder())
    assert (first.changed, again.changed) == (True, False)
    assert (again.generation, again.chunks, again.skipped) == (
        first.generation,
        first.chunks,
        first.skipped,
    )
    os.utime(folder / "a.md", ns=(1, 1))  # touched, not changed: told by its digest
    assert not build_sources(home, [folder], encoder=FakeEncoder()).changed
    write(folder, "c.exe", "x")  # nothing to read, but one more thing to report
    assert build_sources(home, [folder], encoder=FakeEncoder()).changed


@pytest.mark.parametrize("what", ["encoder", "no encoder", "rules", "split", "code"])
def test_what_decides_the_index_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    folder, home = tmp_path / "documents", tmp_path / "home"
    write(folder, "a.md", "# 題\n\n本文です。")
    build_sources(home, [folder], encoder=FakeEncoder())
    encoder: FakeEncoder | None = FakeEncoder("other" if what == "encoder" else "")
    rules = Rules({"hr": ["a.md"]}) if what == "rules" else Rules()
    if what == "code":
        monkeypatch.setattr("index.build.code_digest", lambda *names: "changed")
    if what == "split":
        from index.split import SplitSettings

        monkeypatch.setattr("index.build.SplitSettings", lambda: SplitSettings(size=100))
    if what == "no encoder":
        encoder = None
    report = build_sources(home, [folder], encoder=encoder, rules=rules)
    assert report.changed
    assert report.read == (1 if what in ("rules", "code") else 0)  # else only copied or split anew
    assert not build_sources(home, [folder], encoder=encoder, rules=rules).changed


def test_a_change_within_the_step_of_the_clock_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SETTLED_NS", 2 * 10**9)
    folder, home = tmp_path / "documents", tmp_path / "home"
    write(folder, "a.md", "# 題\n\n合言葉はすずらん。")
    before = (folder / "a.md").stat()
    build_sources(home, [folder], encoder=FakeEncoder())
    write(folder, "a.md", "# 題\n\n合言葉はりんどう。")
    os.utime(folder / "a.md", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert build_sources(home, [folder], encoder=FakeEncoder()).read == 1


def test_renames_and_moves_embed_nothing(tmp_path: Path) -> None:
    folder, home = tmp_path / "documents", tmp_path / "home"
    write(folder, "a.md", "# 題\n\n本文です。")
    write(folder, "b.md", "# 別\n\n別の本文です。")
    build_sources(home, [folder], encoder=FakeEncoder())
    (folder / "deep").mkdir()
    (folder / "a.md").rename(folder / "deep" / "moved.md")
    encoder = FakeEncoder()
    report = build_sources(home, [folder], encoder=encoder)
    assert (report.documents, report.embedded, encoder.encoded) == (2, 0, 0)
    same_as_from_nothing(home, folder)


def test_every_vector_of_a_passage_is_taken_over(tmp_path: Path) -> None:
    folder, home = tmp_path / "documents", tmp_path / "home"
    for number in range(6):
        text = f"# 題{number}\n\n" + "。".join(WORDS[: number + 1]) + "。"
        write(folder, f"{number}.md", text)
    encoder = PartsFakeEncoder()
    build_sources(home, [folder], encoder=encoder)
    write(folder, "2.md", "# 題\n\n一つ目。二つ目です。三つ目。")
    (folder / "4.md").unlink()
    encoded = encoder.encoded
    assert build_sources(home, [folder], encoder=encoder).embedded == encoder.encoded - encoded == 1
    same_as_from_nothing(home, folder, PartsFakeEncoder())
    shutil.rmtree(home / "generations")  # now from the cache
    (home / "current").unlink()
    assert build_sources(home, [folder], encoder=encoder).embedded == 0
    same_as_from_nothing(home, folder, PartsFakeEncoder())


# Older and newer versions of a document

RULE = "第1条　日当は{}円とする。\n第2条　宿泊費は実費とする。領収書を添える。\n第3条　申請は前日までに行う。\n"


def superseded(home: Path) -> dict[str, str]:
    records = Records(current_generation(home) / "records.sqlite")
    sources = {document.id: document.source for document in records.documents()}
    found = {d.source: sources[d.superseded_by] for d in records.documents() if d.superseded_by}
    records.close()
    return found


def test_older_versions_are_marked_and_sequels_are_not(tmp_path: Path) -> None:
    folder, home = tmp_path / "documents", tmp_path / "home"
    for year, sum_ in ((2023, 2000), (2024, 2500), (2025, 3000)):
        head = f"---\ntitle: 旅費規程（{year}年4月改定）\ndate: {year}-04-01\n---\n"
        write(folder, f"旅費規程_{year}.md", head + RULE.format(sum_))
    for day in ("05", "12"):
        head = f"---\ntitle: 定例会議 2026-01-{day}\ndate: 2026-01-{day}\n---\n"
        write(
            folder,
            f"minutes-{day}.md",
            f"{head}{day}日は予算{day}について話し合い、案{day}を採った。\n",
        )
    build_sources(home, [folder], encoder=FakeEncoder())
    assert superseded(home) == {
        "旅費規程_2023.md": "旅費規程_2024.md",
        "旅費規程_2024.md": "旅費規程_2025.md",
    }
    (folder / "旅費規程_2025.md").unlink()
    build_sources(home, [folder], encoder=FakeEncoder())
    assert superseded(home) == {"旅費規程_2023.md": "旅費規程_2024.md"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("旅費規程（2024年4月改定）", "旅費規程 2025年度版"),
        ("就業規則 第3版", "就業規則　第１２版"),
        ("手順書_v1.2", "手順書 Ver.2.0"),
        ("令和5年度 情報セキュリティ方針", "令和6年度情報セキュリティ方針"),
    ],
)
def test_names_of_a_series(one: str, other: str) -> None:
    assert series_name(one) == series_name(other) != ""


def test_a_title_that_is_only_a_date_is_of_no_series() -> None:
    assert series_name("2026年1月5日") == ""
