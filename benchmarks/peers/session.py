"""One process of one system: started, spoken to, its memory watched (Linux)."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.peers.environments import ROOT

WATCHED_EVERY = 0.05  # seconds
# Nothing is downloaded, nothing reported; what Kiku is set to on this machine does not count.
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
    "TOKENIZERS_PARALLELISM": "true",
}
_DROPPED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")


class SystemFailed(Exception):
    """The process of a system ended; the message says where its last words are."""


class Session:
    """`with Session(…) as session: session.say("ask", question=…)`."""

    def __init__(
        self, python: Path, system: str, setup: str, folder: Path, encoder: Path, log: Path,
        choice: int = 0,
    ) -> None:  # fmt: skip
        environment = {
            name: value for name, value in os.environ.items()
            if name not in _DROPPED and not name.startswith("KIKU_")
        }  # fmt: skip
        self._log = log
        self.started = time.perf_counter()
        with log.open("a") as words:
            self._process = subprocess.Popen(
                [python, "-m", f"benchmarks.peers.systems.{system}", setup, "--encoder", encoder,
                 "--folder", folder, "--choice", str(choice)],
                cwd=ROOT, env=environment | _OFFLINE, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words,
            )  # fmt: skip
        self._peak = 0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._watched, daemon=True)

    def __enter__(self) -> Session:
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._watch.join()
        self._process.communicate()

    def say(self, do: str, **command: Any) -> dict[str, Any]:
        """Sends a command and waits for its reply. Raises SystemFailed."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps({"do": do, **command}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            raise SystemFailed(f"it ended with {status} while asked to {do}; see {self._log}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    @property
    def seconds(self) -> float:
        """Since the process was started."""
        return time.perf_counter() - self.started

    @property
    def peak_mib(self) -> float:
        """The most resident memory so far, of the process and its children together."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
            highest = next(line for line in status.splitlines() if line.startswith("VmHWM"))
            self._peak = max(self._peak, 1024 * int(highest.split()[1]))
        except (OSError, StopIteration):
            pass
        return self._peak / 2**20

    def _watched(self) -> None:
        while not self._over.wait(WATCHED_EVERY):
            self._peak = max(self._peak, _resident(self._process.pid))


def _resident(pid: int) -> int:
    """Resident bytes of a process and its children."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    own = pages * os.sysconf("SC_PAGE_SIZE")
    return own + sum(_resident(int(child)) for child in children)
