"""What is indexed and asked: JSQuAD-valid alone, or among many other passages.

The other passages are sections of manuals, Wikipedia passages of JaQuAD-train and segments of
translated manuals joined to about the same length: real Japanese text of at most `LONGEST`
characters, in an order that a seed decides.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.peers.adapter import Passage
from index.evaluation.datasets import load, sample

LONGEST, SHORTEST = 400, 60  # characters
JOINED = 200  # characters of segments that are joined
SEED = 7


@dataclass(frozen=True)
class Task:
    """Passages, and questions each with the id of the passage it was written on.

    `builds` and `rounds` say how often is indexed and asked, `slice_s` and `load_s` how long a
    round may ask one by one and all at once. With `encode_once` the peers' encoder runs once.
    """

    name: str
    passages: list[Passage]
    questions: list[tuple[str, str]]
    setups: tuple[str, ...]
    builds: int
    rounds: int
    slice_s: float
    load_s: float
    encode_once: bool

    @property
    def digest(self) -> str:
        """Eight hex digits that stand for what is indexed and asked."""
        told = json.dumps([[asdict(passage) for passage in self.passages], self.questions])
        return sha256(told.encode()).hexdigest()[:8]

    def write(self, path: Path) -> None:
        """Writes the passages as JSON lines."""
        with path.open("w", encoding="utf-8") as lines:
            for passage in self.passages:
                lines.write(json.dumps(asdict(passage), ensure_ascii=False) + "\n")


def jsquad(data: Path, questions: int, rounds: int, first: int | None = None) -> Task:
    """All passages of JSQuAD-valid, or the first few, and some of the questions on them."""
    passages, asked = _jsquad(data, questions, first)
    setups = ("passages", "answers", "documented", "japanese")
    return Task("jsquad", passages, asked, setups, rounds, rounds, 120, 5, encode_once=False)


def large(data: Path, questions: int, rounds: int, count: int) -> Task:
    """JSQuAD-valid among others, `count` passages in all; the peers' better set-up only."""
    passages, asked = _jsquad(data, questions)
    others = list(_others(data))
    random.Random(SEED).shuffle(others)
    passages += others[: max(0, count - len(passages))]
    if len(passages) < count:
        raise SystemExit(f"There are {len(passages):,} passages at most.")
    setups = ("passages", "answers", "japanese")
    return Task(f"large-{count}", passages, asked, setups, 1, rounds, 8, 4, encode_once=True)


def _jsquad(
    data: Path, questions: int, first: int | None = None
) -> tuple[list[Passage], list[tuple[str, str]]]:
    found = load(data / "jsquad-valid")
    passages = [Passage(one.id, one.title, one.text) for one in found.passages[:first]]
    kept = {passage.id for passage in passages}
    found = replace(found, cases=tuple(case for case in found.cases if kept & set(case.relevant)))
    asked = [(case.question, next(iter(case.relevant))) for case in sample(found, questions).cases]
    random.Random(SEED).shuffle(asked)
    return passages, asked


def _others(data: Path) -> Iterator[Passage]:
    rows = _rows(data / "sections.ja.jsonl.gz")
    found = [(f"{row['title']} › {row['heading']}", row["text"]) for row in rows]
    found += [("", row["text"]) for row in _rows(data / "jaquad-train" / "corpus.jsonl.gz")]
    found += [("", text) for text in _segments(data / "parallel.en-ja.jsonl.gz")]
    seen = set()
    for number, (title, text) in enumerate(found):
        if SHORTEST <= len(text) <= LONGEST and text not in seen:
            seen.add(text)
            yield Passage(f"other-{number}", title, text)


def _segments(path: Path) -> Iterator[str]:
    """Neighbouring segments of one source joined; the sentences of Tanaka stand in no context."""
    text, source = "", ""
    for row in _rows(path):
        if row["source"] != source or len(text) >= JOINED:
            yield text
            text, source = "", row["source"]
        if source != "tanaka":
            text += row["ja"]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
