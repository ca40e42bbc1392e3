"""Reads files in a process of its own, bounded in memory and time, so that none can hurt a build.

The child is this module run by the same Python. It gets one JSON line a file, and answers one JSON
line a part. It has no secrets in its environment, may not write to a file, and is ended when it
takes too long; the next file then gets a fresh one.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from index.errors import UnreadableDocument
from index.records import Heading, Skipped
from index.sources.types import Limits, Part

LONGEST_ANSWER = 400 * 2**20  # bytes of one JSON line; the text limit is reached long before
PATIENCE = 10  # a file of many documents may take so many times the limit in all


class Worker:
    """A child process that reads files. Use it as a context manager, from one thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = bytearray()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child, if there is one."""
        process, self._process = self._process, None
        self._buffer.clear()
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def read(self, path: Path, source: str, limits: Limits) -> Iterator[Part | Skipped]:
        """What the reader for `source` finds in the file at `path`.

        Raises UnreadableDocument (`timeout`, `out_of_memory`, `crashed`, and the readers' own);
        what was found before that has been yielded already.
        """
        request = {"path": str(path), "source": source, "limits": asdict(limits)}
        try:
            self._send(json.dumps(request).encode("utf-8", "surrogateescape") + b"\n", limits)
            last = time.monotonic() + PATIENCE * limits.seconds
            while (answer := self._receive(min(time.monotonic() + limits.seconds, last))) != {}:
                if "error" in answer:
                    raise UnreadableDocument(answer["message"], code=answer["error"])
                yield _from_json(answer)
        except GeneratorExit:
            self.close()  # the rest of its answers is for nobody
            raise

    def _send(self, request: bytes, limits: Limits) -> None:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = _start(limits)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
        except BrokenPipeError:
            self.close()
            raise UnreadableDocument(CRASHED, code="crashed") from None

    def _receive(self, deadline: float) -> dict[str, Any]:
        """One JSON line of the child; ends it when it is late, gone, or says too much."""
        assert self._process is not None
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.close()
                raise UnreadableDocument("読むのに時間がかかりすぎます。", code="timeout")
            piece = os.read(pipe, 2**20)
            self._buffer += piece
            if not piece or len(self._buffer) > LONGEST_ANSWER:
                self.close()
                raise UnreadableDocument(CRASHED, code="crashed")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        answer: dict[str, Any] = json.loads(line)
        return answer


CRASHED = "読み取り中に異常終了しました（壊れているか、大きすぎます）。"


def _start(limits: Limits) -> subprocess.Popen[bytes]:
    """The child, with nothing of this process's environment but what Python needs to run."""
    kept = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    environment["OMP_NUM_THREADS"] = "1"
    return subprocess.Popen(  # noqa: S603 - this very Python, this very module
        [sys.executable, "-m", "index.sources.worker", str(limits.memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # ^C is for the build to answer, not for its child
    )


def _from_json(answer: dict[str, Any]) -> Part | Skipped:
    if "reason" in answer:
        return Skipped(**answer)
    answer["outline"] = tuple(Heading(*heading) for heading in answer["outline"])
    answer["pages"], answer["tags"] = tuple(answer["pages"]), tuple(answer["tags"])
    return Part(**answer)


def main() -> None:
    """The child: bounds itself, then answers requests until its input ends."""
    _bound(int(sys.argv[1]))
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # a library that prints must not speak into the answers
        for line in sys.stdin.buffer:
            for answer in _answers(json.loads(line)):
                text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
                answers.write(text.encode("utf-8", "replace") + b"\n")
                answers.flush()


def _bound(memory: int) -> None:
    """Limits of the system: address space, no files written, no core dumped, the low priority."""
    try:
        import resource
    except ImportError:  # Windows knows none of them
        return
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(kind, (limit, limit))
        except (ValueError, OSError):  # macOS refuses RLIMIT_AS
            continue


def _answers(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    from index.sources.formats import format_of
    from index.sources.load import bytes_of, read_parts

    limits, source = Limits(**request["limits"]), request["source"]
    try:
        form = format_of(source)
        assert form is not None
        data = bytes_of(Path(request["path"]), limits)
        for item in read_parts(form, data, source.rpartition("/")[2], limits):
            answer = asdict(item)
            if isinstance(item, Part):
                answer["outline"] = [[h.start, h.level, h.title] for h in item.outline]
            yield answer
    except UnreadableDocument as error:
        yield {"error": error.code, "message": error.message}
    except (MemoryError, RecursionError):
        yield {"error": "out_of_memory", "message": "読むのにメモリーが足りません。"}
    except Exception as error:  # parsers of hostile files raise anything
        message = f"読み取り中に失敗しました（{type(error).__name__}）。"
        yield {"error": "unreadable", "message": message}
    else:
        yield {}


if __name__ == "__main__":
    main()
