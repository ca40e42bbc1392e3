"""Run with `interpose.c` preloaded: kills a build, or fills its disk, at every write in turn.

    python -m tests.faults.crashing_build FOLDER kill|full [STEP]

Each time a forked child builds over a good index and meets its fate; then this process, as a reader
and as the next build, looks at what is left. Prints one JSON line: the number of writes walked and
what went wrong, if anything did.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from index.build import build_sources
from index.errors import HomeUnwritable, IndexDamaged
from index.generation import Generation, current_generation
from index.retrieve import Retriever
from tests.fake_encoder import FakeEncoder

MODES = {"kill": 1, "full": 2}
OLD, NEW = "合言葉はすずらんです。", "合言葉はりんどうです。"


def main() -> None:
    folder, mode, step = Path(sys.argv[1]), sys.argv[2], int((sys.argv[3:] or ["1"])[0])
    counter = ctypes.CDLL(None)
    counter.interpose_arm.argtypes = (ctypes.c_long, ctypes.c_int)
    counter.interpose_seen.restype = ctypes.c_long
    documents, good = folder / "documents", folder / "good"
    documents.mkdir(parents=True)
    (documents / "kept.md").write_text(
        "# 総務\n\n総務部は本社の三階にあります。\n", encoding="utf-8"
    )
    (documents / "changed.md").write_text(f"# 警備\n\n{OLD}\n", encoding="utf-8")
    build(good, documents)
    (documents / "changed.md").write_text(f"# 警備\n\n{NEW}\n", encoding="utf-8")
    writes = counted(good, documents, folder / "counted", counter)
    wrong = []
    for at in range(1, writes + 1, step):
        home = folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(good, home)
        status = forked(lambda at=at, home=home: fate(home, documents, at, mode, counter))  # type: ignore[misc]
        if complaint := examined(home, documents, status, mode):
            wrong.append({"write": at, "status": status, "complaint": complaint})
    print(json.dumps({"writes": writes, "wrong": wrong}, ensure_ascii=False))


def build(home: Path, documents: Path) -> None:
    build_sources(home, [documents], encoder=FakeEncoder())


def forked(act: Callable[[], None]) -> int:
    """Runs `act` in a child; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException:
            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def counted(good: Path, documents: Path, home: Path, counter: ctypes.CDLL) -> int:
    """How often the build writes when it is left in peace."""
    read, write = os.pipe()
    shutil.copytree(good, home)

    def act() -> None:
        counter.interpose_arm(-1, 0)
        build(home, documents)
        os.write(write, str(counter.interpose_seen()).encode())

    assert forked(act) == 0
    return int(os.read(read, 100))


def fate(home: Path, documents: Path, at: int, mode: str, counter: ctypes.CDLL) -> None:
    counter.interpose_arm(at, MODES[mode])
    try:
        build(home, documents)
    except HomeUnwritable:
        os._exit(4)


def examined(home: Path, documents: Path, status: int, mode: str) -> str:
    """What is wrong with the index that is left, empty if nothing is."""
    if mode == "kill" and not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
        return "the build was not killed"
    if mode == "full" and os.waitstatus_to_exitcode(status) not in (0, 4):
        return "a full disk was not told in one sentence"
    try:
        Generation(current_generation(home)).verify()
        if found(home) not in (OLD, NEW):
            return f"the index serves neither: {found(home)}"
        build(home, documents)
        if found(home) != NEW:
            return f"the next build did not bring the new text: {found(home)}"
        Generation(current_generation(home)).verify()
    except IndexDamaged as error:
        return f"damaged: {error.message}"
    left = [path.name for path in home.rglob(".*")]
    return f"left behind: {left}" if left else ""


def found(home: Path) -> str:
    retriever = Retriever.open(home, encoder=FakeEncoder())
    try:
        hits = retriever.search("合言葉", 1)
        return hits[0].chunk.text.split("\n")[-1] if hits else ""
    finally:
        retriever.close()


if __name__ == "__main__":
    main()
