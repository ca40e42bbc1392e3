"""The data that the shipped encoder is trained on: reading, filtering, holding out.

The folder given on the command line holds (see docs/encoder.md for where each is from):

    jaquad-train/                  BEIR files of JaQuAD's train part          CC BY-SA 3.0
    parallel.en-ja.jsonl.gz        aligned segments: Microsoft docs (CC BY 4.0), Python docs
                                   (PSF-2.0), Docker docs (Apache-2.0), Tanaka corpus (CC BY 2.0 FR)
    sections.ja.jsonl.gz           sections of Japanese Microsoft docs        CC BY 4.0
    jsquad-valid/, jaquad-dev/     benchmarks: read only to keep their text *out* of training
"""

from __future__ import annotations

import gzip
import json
import logging
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

SHINGLE = 20
LEAK_SHARE = 0.3
BENCHMARKS = ("jsquad-valid", "jaquad-dev")
HELD_OUT = 10_000  # targets of each held-out evaluation
HELD_OUT_QUERIES = 1_000
VALIDATION_SHARE = 0.05
SEED = 20261123

_SENTENCE = re.compile(r"[^。！？!?\n]*[。！？!?]+[」』）)\"]*\n*|[^。！？!?\n]*\n+|[^。！？!?\n]+")
_LEAD_TITLE = re.compile(r"^([^、。()（）「」\s]{2,20})[(（][^。]{2,120}?[)）]は")


@dataclass(frozen=True)
class Passage:
    """One passage with the questions written on it; `title` is "" when it has none."""

    id: str
    title: str
    text: str
    questions: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (question, its answer strings)


@dataclass(frozen=True)
class Section:
    source: str
    title: str
    heading: str
    text: str


@dataclass(frozen=True)
class Pair:
    source: str
    english: str
    japanese: str


@dataclass(frozen=True)
class TrainingData:
    """Everything training may see, and the parts of it that only evaluation may see."""

    passages: list[Passage]
    validation: list[Passage]
    sections: list[Section]
    sections_held_out: list[Section]  # the first HELD_OUT_QUERIES of them are asked for
    pairs: list[Pair]
    pairs_held_out: list[Pair]  # likewise
    dropped: dict[str, int]  # how many items of each source the leakage filter removed


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def read_beir(folder: Path) -> list[Passage]:
    """Passages of a BEIR folder in file order, each with its questions and answers."""
    questions: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    passage_of = dict(
        line.split("\t")[:2] for line in (folder / "qrels.tsv").read_text("utf-8").splitlines()[1:]
    )
    for record in read_jsonl(folder / "queries.jsonl.gz"):
        answers = tuple(record.get("metadata", {}).get("answers", ()))
        questions.setdefault(passage_of[record["_id"]], []).append((record["text"], answers))
    return [
        Passage(r["_id"], r["title"], r["text"], tuple(questions.get(r["_id"], ())))
        for r in read_jsonl(folder / "corpus.jsonl.gz")
    ]


def fold(text: str) -> str:
    """The form in which texts are compared: NFKC, case-folded, without white space."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(text: str) -> set[str]:
    folded = fold(text)
    return {folded[i : i + SHINGLE] for i in range(max(1, len(folded) - SHINGLE + 1))}


class LeakageFilter:
    """Finds texts that share at least `LEAK_SHARE` of their 20-character shingles with a
    benchmark passage. A text shorter than one shingle leaks only when a benchmark passage
    is exactly that text."""

    def __init__(self, benchmark_texts: Iterable[str]) -> None:
        self._seen: set[str] = set()
        for text in benchmark_texts:
            self._seen |= shingles(text)

    def share(self, text: str) -> float:
        own = shingles(text)
        return sum(s in self._seen for s in own) / len(own)

    def leaks(self, text: str) -> bool:
        return self.share(text) >= LEAK_SHARE


def sentences(text: str) -> list[str]:
    """Cut after 。！？ (with closing brackets) and line ends; the parts join back to `text`."""
    return _SENTENCE.findall(text)


def with_titles(passages: Sequence[Passage]) -> list[Passage]:
    """JaQuAD gives no titles: an article's opening ("X(…)は") names the passages after it."""
    titled, title, age = [], "", 0
    for passage in passages:
        opening = _LEAD_TITLE.match(passage.text)
        if opening:
            title, age = opening.group(1), 0
        elif title and title not in passage.text and age > 3:
            title = ""  # probably another article by now
        age += 1
        titled.append(Passage(passage.id, title, passage.text, passage.questions))
    return titled


def _hold_out_blocks(
    passages: Sequence[Passage], share: float, block: int = 24
) -> tuple[list[Passage], list[Passage]]:
    """Contiguous blocks (neighbours are of one article) go to validation, the rest to training."""
    starts = list(range(0, len(passages), block))
    held = set(random.Random(SEED).sample(starts, max(1, round(len(starts) * share))))
    train: list[Passage] = []
    validation: list[Passage] = []
    for start in starts:
        (validation if start in held else train).extend(passages[start : start + block])
    return train, validation


def _hold_out(items: list[Any], keys: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """(training, held out): `HELD_OUT` items (a third of a small set) with distinct keys; what
    shares a key with them, up to digits and punctuation, leaves training too."""
    order = list(range(len(items)))
    random.Random(SEED).shuffle(order)
    held: list[int] = []
    taken: set[str] = set()
    for i in order:
        if len(held) == min(HELD_OUT, len(items) // 3):
            break
        if keys[i] not in taken:
            taken.add(keys[i])
            held.append(i)
    return [items[i] for i in range(len(items)) if keys[i] not in taken], [items[i] for i in held]


def hold_out_sections(sections: list[Section]) -> tuple[list[Section], list[Section]]:
    """(training, held out), as `load` splits them."""
    return _hold_out(sections, [fold(section.text) for section in sections])


def _skeleton(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", fold(text))


def read_sections(path: Path) -> list[Section]:
    """Sections with a heading and enough text to be found by it; one per (title, heading)."""
    found: dict[tuple[str, str], Section] = {}
    for r in read_jsonl(path):
        title = re.sub(r"\s*[|｜]\s*Microsoft Docs\s*$", "", r["title"]).strip()
        heading = r["heading"].split(" › ")[-1].strip()
        if len(r["text"]) >= 60 and heading:
            found.setdefault((title, heading), Section(r["source"], title, heading, r["text"]))
    return list(found.values())


def read_pairs(path: Path) -> list[Pair]:
    """Aligned segments, each Japanese side once, with something to translate in them."""
    found: dict[str, Pair] = {}
    for r in read_jsonl(path):
        if len(r["en"]) >= 12 and len(r["ja"]) >= 6 and fold(r["en"]) != fold(r["ja"]):
            found.setdefault(fold(r["ja"]), Pair(r["source"], r["en"], r["ja"]))
    return list(found.values())


def load_passages(folder: Path) -> tuple[list[Passage], list[Passage]]:
    """(training, validation) passages of JaQuAD-train, as `load` splits them, without the rest."""
    leak = _leakage_filter(folder)
    passages = with_titles(read_beir(folder / "jaquad-train"))
    return _hold_out_blocks([p for p in passages if not leak.leaks(p.text)], VALIDATION_SHARE)


def _leakage_filter(folder: Path) -> LeakageFilter:
    return LeakageFilter(p.text for name in BENCHMARKS for p in read_beir(folder / name))


def load(folder: Path) -> TrainingData:
    """Read, filter and split every source; the same folder gives the same split.

    Raises FileNotFoundError when a source is missing.
    """
    leak = _leakage_filter(folder)
    passages = with_titles(read_beir(folder / "jaquad-train"))
    sections = read_sections(folder / "sections.ja.jsonl.gz")
    pairs = read_pairs(folder / "parallel.en-ja.jsonl.gz")
    kept_passages = [p for p in passages if not leak.leaks(p.text)]
    kept_sections = [s for s in sections if not leak.leaks(s.text)]
    kept_pairs = [p for p in pairs if not leak.leaks(p.japanese)]
    dropped = {
        "jaquad-train": len(passages) - len(kept_passages),
        "sections": len(sections) - len(kept_sections),
        "parallel": len(pairs) - len(kept_pairs),
    }
    log.info("leakage filter dropped %s", dropped)
    train, validation = _hold_out_blocks(kept_passages, VALIDATION_SHARE)
    kept_sections, held_sections = hold_out_sections(kept_sections)
    kept_pairs, held_pairs = _hold_out(kept_pairs, [_skeleton(p.english) for p in kept_pairs])
    held_japanese = {_skeleton(p.japanese) for p in held_pairs}
    kept_pairs = [p for p in kept_pairs if _skeleton(p.japanese) not in held_japanese]
    return TrainingData(
        train, validation, kept_sections, held_sections, kept_pairs, held_pairs, dropped
    )
