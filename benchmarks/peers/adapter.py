"""The side of a benchmark that runs inside a system's own environment; the standard library alone.

A module of `benchmarks.peers.systems` ends in `serve(SETUPS)`. The runner starts it with the name of
a set-up and sends one JSON object a line; each gets one back:

    build   {"passages": FILE, "vectors": FILE or null}   index the passages and save to the folder
    ask     {"question": TEXT}                            one question; the index is opened for it
    time    {"questions": [...], "seconds": N}            one after the other, at most N seconds
    load    {"questions": [...], "clients": N, "seconds": N, "threads": N}   all at once
    choose  {"questions": [...], "right": [...], "seconds": N}   the choice that is right most often
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

K = 10  # passages asked for


@dataclass(frozen=True)
class Passage:
    """One passage, with the title of what it is from."""

    id: str
    title: str
    text: str

    @property
    def whole(self) -> str:
        """What the peers index: the title in a line of its own, then the text."""
        return f"{self.title}\n{self.text}" if self.title else self.text


class System(Protocol):
    """One set-up of one system. Its module imports the library.

    `choices` are settings that decide the ranking only, among which the best is chosen by
    Recall@1; `use` is told one of them before anything is asked.
    """

    choices: Sequence[Any]

    def load(self) -> None:
        """Loads what indexing needs: the encoder."""
        ...

    def use(self, choice: Any) -> None: ...

    def build(self, passages: Sequence[Passage], vectors: Any) -> None:
        """Indexes and saves; `vectors` float32 (passages, dimension) where they are given."""
        ...

    def open(self) -> None:
        """Loads what answering needs, and opens what `build` saved, in another process."""
        ...

    def search(self, question: str) -> list[str]:
        """The ids of the best passages, best first."""
        ...


Setups = Mapping[str, Callable[[str, Path], System]]


def serve(setups: Setups) -> None:
    """Answers the runner until it closes the pipe."""
    parser = argparse.ArgumentParser()
    parser.add_argument("setup", choices=list(setups))
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--choice", type=int, default=0)
    arguments = parser.parse_args()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the libraries print is not a reply
    loop = _Loop(setups[arguments.setup](arguments.encoder, arguments.folder), arguments.choice)
    for line in sys.stdin:
        command = json.loads(line)
        reply = getattr(loop, command.pop("do"))(**command)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


class _Loop:
    def __init__(self, system: System, choice: int) -> None:
        self._system = system
        self._choice = choice
        self._ready = False

    def build(self, passages: str, vectors: str | None) -> dict[str, Any]:
        started = time.perf_counter()
        self._system.load()
        loaded = time.perf_counter()
        with open(passages, encoding="utf-8") as lines:
            read = [Passage(**json.loads(line)) for line in lines]
        given = None
        if vectors:
            import numpy as np

            given = np.load(vectors)
        began = time.perf_counter()
        self._system.build(read, given)
        return {"load_s": loaded - started, "index_s": time.perf_counter() - began}

    def ask(self, question: str) -> dict[str, Any]:
        if not self._ready:
            self._system.open()
            self._system.use(self._system.choices[self._choice])
            self._ready = True
        return {"ids": self._system.search(question)}

    def time(self, questions: list[str], seconds: float) -> dict[str, Any]:
        milliseconds, found = [], []
        until = time.perf_counter() + seconds
        for question in questions:
            began = time.perf_counter()
            found.append(self._system.search(question)[:K])
            ended = time.perf_counter()
            milliseconds.append(1000 * (ended - began))
            if ended > until:
                break
        return {"ms": milliseconds, "found": found}

    def load(
        self, questions: list[str], clients: int, seconds: float, threads: int
    ) -> dict[str, Any]:
        if threads and "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        answered, failed = [0] * clients, [""] * clients
        until = time.perf_counter() + seconds

        def client(number: int) -> None:
            pick = random.Random(number)
            while time.perf_counter() < until and not failed[number]:
                try:
                    self._system.search(pick.choice(questions))
                    answered[number] += 1
                except Exception as error:  # whatever a library brings up when it is shared
                    failed[number] = f"{type(error).__name__}: {error}"

        began = time.perf_counter()
        workers = [threading.Thread(target=client, args=[number]) for number in range(clients)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        took = time.perf_counter() - began
        return {"per_s": sum(answered) / took, "failed": sorted({one for one in failed if one})}

    def choose(self, questions: list[str], right: list[str], seconds: float) -> dict[str, Any]:
        self.ask(questions[0])
        held = []
        count = len(questions)
        for choice in self._system.choices:
            self._system.use(choice)
            until = time.perf_counter() + seconds / len(self._system.choices)
            found = []
            for question in questions[:count]:
                found.append(self._system.search(question)[:1])
                if time.perf_counter() > until:
                    break
            count = len(found)
            held.append([found == [id_] for found, id_ in zip(found, right, strict=False)])
        shares = [sum(row[:count]) / count for row in held]
        best = max(range(len(shares)), key=lambda place: shares[place])
        self._system.use(self._system.choices[best])
        return {"choice": best, "recall": shares, "questions": count}
