"""A build may be killed at any write, or find no room: the served index stays right."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from index.build import build_sources
from index.errors import BuildRunning, HomeUnwritable, IndexDamaged, IndexMissing
from index.generation import Generation, current_generation, generations, roll_back
from index.retrieve import Retriever
from tests.fake_encoder import FakeEncoder

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "a.md").write_text("# 警備\n\n合言葉はすずらんです。\n", encoding="utf-8")
    (documents / "b.md").write_text("# 総務\n\n総務部は三階にあります。\n", encoding="utf-8")
    return documents


@pytest.fixture
def home(tmp_path: Path, folder: Path) -> Path:
    build_sources(tmp_path / "home", [folder], encoder=FakeEncoder())
    return tmp_path / "home"


def rewrite(folder: Path, word: str) -> None:
    (folder / "a.md").write_text(f"# 警備\n\n合言葉は{word}です。\n", encoding="utf-8")


def found(home: Path, query: str = "合言葉") -> str:
    retriever = Retriever.open(home, encoder=FakeEncoder())
    try:
        return retriever.search(query, 1)[0].chunk.text
    finally:
        retriever.close()


@pytest.fixture(scope="module")
def interposer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`interpose.c` as a library to preload; skips where there is no compiler for it."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("interpose") / "interpose.so"
    source = HERE / "interpose.c"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True
    )
    return library


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fate", ["kill", "full"])
def test_a_build_may_meet_its_fate_at_every_write(
    interposer: Path, tmp_path: Path, fate: str
) -> None:
    """The index is whole and serves the old text or the new one; the next build brings the new one
    and leaves nothing lying about."""
    environment = os.environ | {"LD_PRELOAD": str(interposer), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.faults.crashing_build", str(tmp_path / "run"), fate],
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["writes"] > 80
    assert report["wrong"] == [], run.stderr


def test_a_killed_build_lets_go_of_the_lock(home: Path, folder: Path) -> None:
    """And the text that was embedded before it died need not be embedded again."""
    ready, say = os.pipe()
    child = os.fork()
    if child == 0:
        rewrite(folder, "りんどう")

        def wait(stage: str, done: int, total: int) -> None:
            if stage == "encode" and done == total:
                os.write(say, b"x")
                time.sleep(60)

        build_sources(home, [folder], encoder=FakeEncoder(), progress=wait)
        os._exit(0)
    os.read(ready, 1)
    with pytest.raises(BuildRunning, match=str(child)) as refused:
        build_sources(home, [folder], encoder=FakeEncoder())
    assert refused.value.hint
    assert "すずらん" in found(home)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert list((home / "generations").glob(".building-*"))
    encoder = FakeEncoder()
    report = build_sources(home, [folder], encoder=encoder)
    assert (report.embedded, encoder.encoded) == (0, 0)
    assert "りんどう" in found(home)
    assert not list((home / "generations").glob(".building-*"))


def test_interrupted_builds_leave_things_clean(home: Path, folder: Path) -> None:
    rewrite(folder, "りんどう")

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "words":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_sources(home, [folder], encoder=FakeEncoder(), progress=interrupt)
    assert "すずらん" in found(home)
    assert [path.name for path in home.rglob(".*")] == []
    assert build_sources(home, [folder], encoder=FakeEncoder()).changed


def test_what_a_dead_process_began_to_write_is_removed(home: Path, folder: Path) -> None:
    """`sources.json` and `calibration.json` are written beside builds, not under their lock."""
    died = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    for name in ("current", "sources.json", "calibration.json"):
        (home / f".{name}.{died}.tmp").write_text("ha")
    alive = home / f".sources.json.{os.getppid()}.tmp"
    alive.write_text("half")
    rewrite(folder, "りんどう")
    build_sources(home, [folder], encoder=FakeEncoder())
    assert list(home.glob(".*.tmp")) == [alive]


def as_nobody(act: Callable[[], None]) -> int:
    """Runs `act` in a child that may not write what is not its own; its exit status."""
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            act()
        except HomeUnwritable:
            os._exit(4)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_read_only_home_is_told_and_still_served(
    tmp_path_factory: pytest.TempPathFactory, home: Path, folder: Path
) -> None:
    rewrite(folder, "りんどう")
    for path in (home, *home.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for parent in home.parents:  # the child must be able to reach it
        if parent.is_relative_to(tmp_path_factory.getbasetemp().parent.parent):
            parent.chmod(0o755)
    try:
        assert as_nobody(lambda: build(home, folder)) == 4
        assert as_nobody(lambda: serves(home)) == 0
    finally:
        for path in (home, *home.rglob("*")):
            path.chmod(0o755)


def build(home: Path, folder: Path) -> None:
    build_sources(home, [folder], encoder=FakeEncoder())


def serves(home: Path) -> None:
    assert "すずらん" in found(home)


def test_a_home_that_is_a_file_is_told(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(HomeUnwritable, match="フォルダーではありません"):
            build_sources(place, [folder], encoder=FakeEncoder())


def test_every_damaged_file_is_noticed_and_mended_by_the_next_build(
    home: Path, folder: Path
) -> None:
    served = current_generation(home)
    for name in sorted(path.name for path in served.iterdir()):
        path = current_generation(home) / name
        data = path.read_bytes()
        for damaged in (
            data[: len(data) // 2],
            b"",
            bytes(byte ^ 1 for byte in data[:1]) + data[1:],
        ):
            path = current_generation(home) / name
            if damaged == data:
                continue  # an empty file cannot be cut
            path.write_bytes(damaged)
            with pytest.raises(IndexDamaged):
                Generation(current_generation(home)).verify()
            assert build_sources(home, [folder], encoder=FakeEncoder()).changed, name
            Generation(current_generation(home)).verify()
            assert "すずらん" in found(home)
            data = (current_generation(home) / name).read_bytes()


@pytest.mark.parametrize(
    "damage", [b"", b"SQLite format 3\x00" + b"\x01" * 5000, b"not a database" * 99]
)
def test_a_damaged_cache_is_made_anew(home: Path, folder: Path, damage: bytes) -> None:
    rewrite(folder, "りんどう")
    for part in home.glob("cache.sqlite*"):
        part.unlink()
    (home / "cache.sqlite").write_bytes(damage)
    build_sources(home, [folder], encoder=FakeEncoder())
    assert "りんどう" in found(home)


@pytest.mark.parametrize("pointer", ["", "none", "../../etc", "\x00", "x" * 5000])
def test_a_damaged_pointer_is_mended(home: Path, folder: Path, pointer: str) -> None:
    (home / "current").write_text(pointer)
    with pytest.raises((IndexDamaged, IndexMissing)):
        Retriever.open(home, encoder=FakeEncoder())
    build_sources(home, [folder], encoder=FakeEncoder())
    assert "すずらん" in found(home)


def test_a_clock_set_back_changes_nothing(home: Path, folder: Path) -> None:
    """A generation from the future stays older than the one that is built after it."""
    future = home / "generations" / "29991231T235959000000"
    current_generation(home).rename(future)
    (home / "current").write_text(future.name)
    rewrite(folder, "りんどう")
    report = build_sources(home, [folder], encoder=FakeEncoder())
    assert report.generation > future.name
    assert "りんどう" in found(home)
    assert roll_back(home) == future.name


def test_rolling_back_serves_the_newest_good_older_generation(home: Path, folder: Path) -> None:
    first = current_generation(home).name
    for word in ("りんどう", "ききょう", "なでしこ"):
        rewrite(folder, word)
        build_sources(home, [folder], encoder=FakeEncoder(), keep=4)
    (generations(home)[2] / "records.sqlite").write_bytes(b"damaged")
    assert roll_back(home) == generations(home)[1].name
    assert "りんどう" in found(home)
    assert roll_back(home) == first
    with pytest.raises(IndexMissing, match="戻せる"):
        roll_back(home)
    assert "すずらん" in found(home)


def test_a_reader_keeps_reading_what_it_opened(home: Path, folder: Path) -> None:
    reader = Retriever.open(home, encoder=FakeEncoder())
    for word in ("りんどう", "ききょう", "なでしこ"):
        rewrite(folder, word)
        build_sources(home, [folder], encoder=FakeEncoder(), keep=1)
        assert "すずらん" in reader.search("合言葉", 1)[0].chunk.text
    reader.close()
    assert "なでしこ" in found(home)
