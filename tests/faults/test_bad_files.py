"""Every bad file is bounded in time and memory and reported, and the good one beside it is read."""

from __future__ import annotations

import json
import resource
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from index.errors import SourceError
from index.records import Document
from index.sources import Limits, Loader, Rules, discover
from index.split import split
from tests.faults import bad_files

SECONDS = 30.0  # for one file; a whole archive may take ten times as long, and none here does
RULES = Rules(limits=Limits(seconds=SECONDS, memory=2**30, text_chars=6_000_000, rows=50_000))
MUTATED = 240


def check(document: Document) -> None:
    """What everybody downstream relies on."""
    assert document.text.strip()
    assert document.title
    document.text.encode()  # no half characters
    document.source.encode()
    json.dumps(asdict(document))
    assert "\x00" not in document.text
    starts = [heading.start for heading in document.outline]
    assert starts == sorted(starts)
    assert all(0 <= start < len(document.text) for start in starts)
    assert all(heading.title and heading.level >= 1 for heading in document.outline)
    assert all(0 <= page <= len(document.text) for page in document.pages)
    if len(document.text) < 100_000:
        for chunk in split(document):
            assert chunk.text == document.text[chunk.start : chunk.end]


def read_all(folder: Path) -> dict[str, tuple[list[str], list[str]]]:
    """name → the sources of its documents, the codes of what could not be read."""
    found = discover([folder])
    results = {item.source: ([], [item.code]) for item in found.skipped}
    with Loader(RULES) as loader:
        for file in found.files:
            started = time.monotonic()
            loaded = loader.load(file)
            assert time.monotonic() - started < 3 * SECONDS, file.source
            assert loaded.documents or loaded.skipped, file.source
            for document in loaded.documents:
                check(document)
            codes = [item.code for item in loaded.skipped]
            assert all(item.reason and item.source for item in loaded.skipped)
            results[file.source] = [d.source for d in loaded.documents], codes
    return results


@pytest.mark.timeout(900)
def test_hostile_files(tmp_path: Path) -> None:
    files = bad_files.hostile()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "zz-good.md").write_text("# よい文書\n\n最後まで読めます。", encoding="utf-8")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = read_all(tmp_path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(files) >= 100
    assert results["zz-good.md"] == (["zz-good.md"], [])
    assert grown < 700 * 1024, f"{grown} KiB"
    expected = {
        "bomb.zip": "archive_bomb",
        "bomb.docx": "archive_bomb",
        "bomb.xlsx": "archive_bomb",
        "locked.zip": "password",
        "locked.pdf": "password",
        "encrypted.xlsx": "password",
        "scanned.pdf": "scanned",
        "binary.md": "binary",
        "many-members.zip": "archive_bomb",
        "nothing-but-nul.txt": "binary",
        "russian-doll.zip": "too_deep",
        "endless-line.txt": "too_long",
        "link.zip": "link_outside",
        "many-rows.csv": "too_many_rows",
        "a-hundred-thousand-pages.pdf": "empty",
    }
    assert {name: results[name][1][:1] for name in expected} == {
        n: [c] for n, c in expected.items()
    }
    assert results["traversal.zip"][0] == ["traversal.zip#good.md"]
    assert results["traversal.zip"][1] == ["unsafe_path"] * 5
    assert not any(
        "passwd" in source and ".." in source for s, _ in results.values() for source in s
    )
    read_out = [n for n, (_, codes) in results.items() if {"crashed", "timeout"} & set(codes)]
    assert not read_out, read_out  # every one of these is refused for what it is, none by force


@pytest.mark.timeout(900)
def test_mutated_files(tmp_path: Path) -> None:
    for name, data in bad_files.mutated(MUTATED):
        (tmp_path / name).write_bytes(data)
    results = read_all(tmp_path)
    assert len(results) == MUTATED
    assert sum(bool(documents) for documents, _ in results.values()) > MUTATED // 4
    assert sum(bool(codes) for _, codes in results.values()) > MUTATED // 4


def test_entities_are_never_fetched_or_expanded(tmp_path: Path) -> None:
    files = bad_files.hostile()
    for name in ("external.html", "external.docx", "external.pptx", "external.xlsx", "laughs.html"):
        (tmp_path / name).write_bytes(files[name])
    secret = Path("/etc/passwd").read_text().splitlines()[0]
    try:
        found = discover([tmp_path])
    except SourceError:
        return
    with Loader(RULES) as loader:
        for file in found.files:
            for document in loader.load(file).documents:
                assert secret not in document.text
                assert "hahahahahahaha" not in document.text


def test_a_reader_that_takes_for_ever_is_ended(tmp_path: Path) -> None:
    """The limits hold whatever the parser does: here they are too small for an honest file."""
    from tests import samples

    (tmp_path / "a.pdf").write_bytes(samples.pdf(pages=30))
    (tmp_path / "b.docx").write_bytes(samples.docx())
    files = discover([tmp_path]).files
    with Loader(Rules(limits=Limits(seconds=0.001))) as loader:
        assert [s.code for s in loader.load(files[0]).skipped] == ["timeout"]
    with Loader(Rules(limits=Limits(memory=40 * 2**20))) as loader:
        assert {s.code for s in loader.load(files[0]).skipped} <= {"crashed", "out_of_memory"}
    with Loader() as loader:
        assert [len(loader.load(file).documents) for file in files] == [1, 1]


def test_the_process_that_reads_has_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from index.sources import worker

    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    monkeypatch.setenv("KIKU_LLM_API_KEY", "secret")
    process = worker._start(Limits())
    try:
        environment = Path(f"/proc/{process.pid}/environ")
        if not environment.exists():
            pytest.skip("needs /proc")
        assert b"secret" not in environment.read_bytes()
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
