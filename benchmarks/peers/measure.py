"""Runs the systems in turn, round after round, so that whatever the machine does hits all of them.

Every step is saved when it is done: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import PLACE, ROOT, prepare
from benchmarks.peers.passages import Task
from benchmarks.peers.session import Session, SystemFailed

WARM_UP = 20  # questions before the ones that count
CHOSEN_ON, CHOSEN_IN_S = 200, 100  # questions, and seconds at most, to choose a set-up's weights
CLIENTS = 8


@dataclass(frozen=True)
class Column:
    """One set-up of one system. Set-ups of one `index` are built once."""

    system: str
    setup: str

    @property
    def name(self) -> str:
        """As it is called in file names and on the command line."""
        return f"{self.system}-{self.setup}"

    @property
    def index(self) -> str:
        """The index that it asks."""
        return "kiku" if self.system == "kiku" else self.name


class Run:
    """The figures of one task with one encoder, in a folder of their own."""

    def __init__(self, task: Task, encoder: Path) -> None:
        self._task, self._encoder = task, encoder
        weights = sha256()
        for path in sorted(encoder.rglob("*")):
            if path.is_file():
                weights.update(path.read_bytes())
        place = f"{task.name}-{task.digest}-{weights.hexdigest()[:8]}"
        self.folder = PLACE / "runs" / place
        self.folder.mkdir(parents=True, exist_ok=True)
        self._passages = self.folder / "passages.jsonl"
        task.write(self._passages)

    def forget(self, columns: Sequence[Column]) -> None:
        """Throws away the figures and indexes of some set-ups, and the machine's load."""
        for column in columns:
            for name in (column.name, f"{column.index}.index"):
                (self.folder / f"{name}.json").unlink(missing_ok=True)
            shutil.rmtree(self.folder / column.index, ignore_errors=True)
        (self.folder / "load.json").unlink(missing_ok=True)

    def figures(self, name: str) -> dict[str, Any]:
        """What is known of a set-up (`Column.name`) or of an index (`Column.index` + `.index`)."""
        path = self.folder / f"{name}.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        return found

    def measure(self, columns: Sequence[Column]) -> None:
        """Does what is not done yet, and says on stderr how far it is."""
        pythons = {column.system: prepare(column.system) for column in columns}
        if not self.figures("load"):
            self._save("load", {"before": os.getloadavg()[0], "day": time.strftime("%Y-%m-%d")})
        vectors = self._vectors(prepare("langchain")) if self._task.encode_once else None
        rounds = max(self._task.builds, self._task.rounds)
        for number in range(rounds):
            began = time.monotonic()
            for place in range(len(columns)):
                column = columns[(place + number) % len(columns)]
                try:
                    self._build(column, pythons[column.system], number, vectors)
                    self._ask(column, pythons[column.system], number)
                except SystemFailed as failure:
                    print(f"{column.name}: {failure}", file=sys.stderr)
            left = (rounds - number - 1) * (time.monotonic() - began) / 60
            print(f"round {number + 1} of {rounds}; about {left:.0f} min to go", file=sys.stderr)

    def _vectors(self, python: Path) -> Path:
        """The passages' vectors, encoded once in a process that does nothing else."""
        path = self.folder / "vectors.npy"
        if not path.is_file() or not self.figures("encode"):
            print(f"encoding {len(self._task.passages):,} passages once", file=sys.stderr)
            done = subprocess.run(
                [python, "-m", "benchmarks.peers.encode", self._encoder, self._passages, path],
                cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
                env=os.environ | {"HF_HUB_OFFLINE": "1"},
            )  # fmt: skip
            self._save("encode", {"seconds": json.loads(done.stdout)})
        return path

    def _session(self, column: Column, python: Path, choice: int = 0) -> Session:
        return Session(
            python, column.system, column.setup, self.folder / column.index, self._encoder,
            self.folder / f"{column.name}.log", choice,
        )  # fmt: skip

    def _build(self, column: Column, python: Path, number: int, vectors: Path | None) -> None:
        name = f"{column.index}.index"
        builds = self.figures(name).get("builds", [])
        if len(builds) > number or len(builds) >= self._task.builds:
            return
        print(f"{column.index}: indexing", file=sys.stderr)
        place = self.folder / column.index
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        with self._session(column, python) as session:
            build = session.say(
                "build", passages=str(self._passages), vectors=str(vectors) if vectors else None
            )
            build["wall_s"], build["peak_mib"] = session.seconds, session.peak_mib
        size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        build["disk_mib"] = size / 2**20
        self._save(name, {"builds": [*builds, build]})

    def _ask(self, column: Column, python: Path, number: int) -> None:
        known = self.figures(column.name)
        sessions = known.get("sessions", [])
        if len(sessions) > number or number >= self._task.rounds:
            return
        print(f"{column.name}: asking, round {number + 1}", file=sys.stderr)
        if "choice" not in known:
            known["choice"] = self._choose(column, python)
        asked = self._task.questions
        own = asked[number :: self._task.rounds]
        rest = [question for question, _ in asked[-WARM_UP:]]
        with self._session(column, python, known["choice"]["choice"]) as session:
            session.say("ask", question=rest[number % WARM_UP])
            cold = session.seconds
            session.say("time", questions=rest, seconds=self._task.slice_s)
            told = session.say(
                "time", questions=[question for question, _ in own], seconds=self._task.slice_s
            )
            together = self._together(session, column)
            peak = session.peak_mib
        ranks = [
            found.index(right) + 1 if right in found else 0
            for found, (_, right) in zip(told["found"], own, strict=False)
        ]
        best = max(together, key=lambda one: (not one["failed"], one["per_s"]))
        done = {
            "cold_s": cold,
            "ms": told["ms"],
            "ranks": ranks,
            "together": best,
            "peak_mib": peak,
        }
        self._save(column.name, known | {"sessions": [*sessions, done]})

    def _together(self, session: Session, column: Column) -> list[dict[str, Any]]:
        """All clients at once, the peers with PyTorch on all cores and on one. A process that dies of
        it has answered nothing."""
        questions = [question for question, _ in self._task.questions]
        found: list[dict[str, Any]] = []
        try:
            found.extend(
                session.say(
                    "load", questions=questions, clients=CLIENTS,
                    seconds=self._task.load_s, threads=threads,
                )
                for threads in ((0,) if column.system == "kiku" else (0, 1))
            )  # fmt: skip
        except SystemFailed as failure:
            found.append({"per_s": 0.0, "failed": [str(failure).split(";")[0]]})
        return found

    def _choose(self, column: Column, python: Path) -> dict[str, Any]:
        """The weights that are right most often on some of the very questions that are asked."""
        if column.setup != "japanese":
            return {"choice": 0}
        asked = self._task.questions[:CHOSEN_ON]
        with self._session(column, python) as session:
            return session.say(
                "choose", questions=[question for question, _ in asked],
                right=[right for _, right in asked], seconds=CHOSEN_IN_S,
            )  # fmt: skip

    def _save(self, name: str, figures: dict[str, Any]) -> None:
        temporary = self.folder / f".{name}.tmp"
        temporary.write_text(json.dumps(figures))
        temporary.replace(self.folder / f"{name}.json")
