from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from index.build import build, build_sources
from index.errors import BuildRunning, SourceError
from index.generation import Generation, current_generation
from index.records import Document, Skipped, document_id
from index.retrieve import Retriever
from tests.fake_encoder import FakeEncoder

TEXTS = {
    "a.md": "# 給与\n\n給与は毎月25日に支払う。賞与は年に2回ある。\n",
    "b.md": "# 休暇\n\n休暇は年に20日ある。届けは前日までに出す。\n",
    "c.txt": "経費は月末に申請する。領収書を付ける。\n",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three documents."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def document(number: int) -> Document:
    source = f"{number}.md"
    return Document(document_id(source), f"第{number}", f"本文の{number}番。", source)


def found(home: Path, encoder: FakeEncoder | None, question: str) -> list[tuple[str, float]]:
    retriever = Retriever.open(home, encoder=encoder)
    hits = retriever.search(question, 5)
    retriever.close()
    return [(hit.chunk.text, hit.score) for hit in hits]


def folders(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "generations").iterdir())


def test_what_is_read_is_found(home: Path, folder: Path) -> None:
    encoder = FakeEncoder()
    report = build_sources(home, [folder], encoder=encoder)
    assert report.documents == 3
    assert report.chunks == report.embedded == encoder.encoded == 3
    assert report.skipped == ()
    assert report.generation == current_generation(home).name
    assert "25日" in found(home, encoder, "給与はいつ支払う？")[0][0]


def test_only_what_changed_is_encoded_again(home: Path, folder: Path) -> None:
    encoder = FakeEncoder()
    build_sources(home, [folder], encoder=encoder)
    again = build_sources(home, [folder], encoder=encoder)
    assert again.embedded == 0
    assert encoder.encoded == 3
    (folder / "b.md").write_text(TEXTS["b.md"].replace("20日", "25日"), encoding="utf-8")
    (folder / "d.txt").write_text("新しい文書。", encoding="utf-8")
    changed = build_sources(home, [folder], encoder=encoder)
    assert changed.embedded == 2
    assert encoder.encoded == 5
    assert changed.chunks == 4
    assert any("25日ある" in text for text, _ in found(home, encoder, "休暇は何日？"))
    assert not any("20日ある" in text for text, _ in found(home, encoder, "休暇は何日？"))


def test_what_was_taken_from_the_cache_is_what_would_be_made(home: Path, folder: Path) -> None:
    encoder = FakeEncoder()
    build_sources(home, [folder], encoder=encoder)
    (folder / "c.txt").unlink()
    build_sources(home, [folder], encoder=encoder)
    fresh = home.with_name("fresh")
    build_sources(fresh, [folder], encoder=encoder)
    for question in ("給与", "休暇の届け", "経費の申請"):
        assert found(home, encoder, question) == found(fresh, encoder, question)


def test_another_encoder_reads_everything_again(home: Path, folder: Path) -> None:
    build_sources(home, [folder], encoder=FakeEncoder())
    other = FakeEncoder(seed="-other")
    assert build_sources(home, [folder], encoder=other).embedded == 3
    assert found(home, other, "給与はいつ支払う？")
    assert build_sources(home, [folder], encoder=None).embedded == 0
    assert found(home, None, "給与はいつ支払う？")


def test_a_lost_cache_costs_time_only(home: Path, folder: Path) -> None:
    encoder = FakeEncoder()
    build_sources(home, [folder], encoder=encoder)
    for path in home.glob("cache*"):
        path.write_bytes(b"noise" * 1000)
    (folder / "d.txt").write_text("新しい文書。", encoding="utf-8")
    assert build_sources(home, [folder], encoder=encoder).documents == 4
    assert found(home, encoder, "給与はいつ支払う？")


def test_two_builds_at_once_are_refused(home: Path) -> None:
    refused: list[BuildRunning] = []

    def documents() -> Iterator[Document]:
        with pytest.raises(BuildRunning) as running:
            build(home, [document(2)], encoder=None)
        refused.append(running.value)
        yield document(1)

    build(home, documents(), encoder=None)
    assert refused[0].code == "build_running"
    assert refused[0].hint
    build(home, [document(2)], encoder=None)


def test_a_build_that_fails_leaves_the_old_one_serving(home: Path) -> None:
    build(home, [document(1)], encoder=None)
    before, served = folders(home), current_generation(home)

    def documents() -> Iterator[Document]:
        yield document(2)
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="disk"):
        build(home, documents(), encoder=None)
    assert folders(home) == before
    assert current_generation(home) == served
    assert found(home, None, "本文の1番")
    build(home, [document(2)], encoder=None)


@pytest.mark.parametrize("text", ["", " \n　"])
def test_nothing_to_index_is_an_error(home: Path, text: str) -> None:
    build(home, [document(1)], encoder=None)
    blank = Document(document_id("x.md"), "空", text, "x.md")
    for documents in ([], [blank]):
        with pytest.raises(SourceError, match="文書"):
            build(home, documents, encoder=None)
    assert found(home, None, "本文の1番")


def test_old_generations_are_removed(home: Path) -> None:
    reports = [build(home, [document(n)], encoder=None, keep=2) for n in range(4)]
    assert folders(home) == [report.generation for report in reports[-2:]]
    last = build(home, [document(9)], encoder=None, keep=1)
    assert folders(home) == [last.generation]


def test_what_a_crash_left_over_is_removed(home: Path) -> None:
    build(home, [document(1)], encoder=None)
    left_over = home / "generations" / ".building-20200101T000000000000"
    left_over.mkdir()
    (left_over / "records.sqlite").write_bytes(b"half")
    build(home, [document(2)], encoder=None)
    assert not [name for name in folders(home) if name.startswith(".")]


def test_a_reader_goes_on_while_builds_publish(home: Path, folder: Path) -> None:
    encoder = FakeEncoder()
    build_sources(home, [folder], encoder=encoder)
    used, unused = (Retriever.open(home, encoder=encoder) for _ in range(2))
    before = used.search("給与はいつ支払う？", 5)
    for number in range(3):
        (folder / "a.md").write_text(f"書き換えた{number}。", encoding="utf-8")
        build_sources(home, [folder], encoder=encoder, keep=1)
    assert used.generation not in folders(home)
    assert used.search("給与はいつ支払う？", 5) == before
    assert unused.search("給与はいつ支払う？", 5) == before
    assert not any("25日" in text for text, _ in found(home, encoder, "給与はいつ支払う？"))


def test_what_could_not_be_read_is_kept_with_the_index(home: Path, folder: Path) -> None:
    (folder / "empty.md").write_bytes(b"")
    (folder / "noise.xyz").write_bytes(b"?")
    (folder / ".hidden.md").write_text("秘密")
    report = build_sources(home, [folder], encoder=None)
    assert {item.source: item.code for item in report.skipped} == {
        "empty.md": "empty", "noise.xyz": "unknown_format", ".hidden.md": "hidden",
    }  # fmt: skip
    retriever = Retriever.open(home, encoder=None)
    assert sorted(retriever.skipped(), key=lambda item: item.source) == sorted(
        report.skipped, key=lambda item: item.source
    )
    assert all(isinstance(item, Skipped) and item.reason for item in report.skipped)


def test_one_file_may_be_named_alone(home: Path, folder: Path) -> None:
    report = build_sources(home, [folder / "a.md"], encoder=None)
    assert report.documents == 1
    assert Retriever.open(home, encoder=None).documents()[0].source == "a.md"


def test_a_removed_home_is_simply_built_again(home: Path, folder: Path) -> None:
    build_sources(home, [folder], encoder=None)
    shutil.rmtree(home)
    assert build_sources(home, [folder], encoder=None).documents == 3


def test_every_file_of_a_generation_is_in_its_manifest(home: Path, folder: Path) -> None:
    build_sources(home, [folder], encoder=FakeEncoder())
    generation = Generation(current_generation(home))
    generation.verify()
    names = {path.name for path in generation.folder.iterdir()}
    assert names == {*generation.manifest.files, "manifest.json"}


def test_progress_counts_up_to_the_end(home: Path, folder: Path) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    build_sources(
        home,
        [folder],
        encoder=FakeEncoder(),
        progress=lambda stage, done, total: told.setdefault(stage, []).append((done, total)),
    )
    for stage in ("words", "encode"):
        counts = [done for done, _ in told[stage]]
        assert counts == sorted(counts)
        assert told[stage][-1] == (3, 3)
