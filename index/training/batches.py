"""What one training step sees. Every batch holds texts of one kind, so that its negatives are
hard: neighbouring passages of an article, sections of one manual, segments of one project."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from index.training.noise import QueryNoise
from index.training.sources import Pair, Passage, Section, TrainingData, fold, sentences

CHUNK_CHARACTERS = 230  # about 128 pieces
SECTION_CHARACTERS = 600
NEIGHBOURS = 4  # passages that stand together in a batch


@dataclass
class Batch:
    """`documents[positive[i]]` answers `queries[i]`; a document is a list of parts (title line,
    sentences) whose concatenation is its text."""

    kind: str
    queries: list[str] = field(default_factory=list)
    documents: list[list[str]] = field(default_factory=list)
    positive: list[int] = field(default_factory=list)
    sentence: list[int] = field(default_factory=list)  # part with the answer, -1 when unknown
    ignore: list[tuple[int, int]] = field(default_factory=list)  # neither positive nor negative
    answers: list[Sequence[str]] = field(default_factory=list)  # in the document's words, if known
    passages: list[int] = field(default_factory=list)  # of each document: its passage's number

    def texts(self) -> list[str]:
        return ["".join(parts) for parts in self.documents]


def chunks(parts: Sequence[str], limit: int) -> list[list[str]]:
    """Sentences gathered into chunks of at most `limit` characters (a longer one stands alone)."""
    gathered: list[list[str]] = []
    size = 0
    for part in parts:
        if not gathered or size + len(part) > limit:
            gathered.append([])
            size = 0
        gathered[-1].append(part)
        size += len(part)
    return gathered


def _with_hard_negatives(
    numbers: Sequence[int], hard_negatives: np.ndarray, rng: random.Random
) -> list[list[int]]:
    """Each of `numbers` once, in runs of one, its right neighbour and up to four that deceive it."""
    free = dict.fromkeys(numbers)
    runs = []
    for first in rng.sample(numbers, len(numbers)):
        if first not in free:
            continue
        near = [first, first + 1, *hard_negatives[first].tolist()]
        runs.append([n for n in dict.fromkeys(near) if n in free][:6])
        for number in runs[-1]:
            del free[number]
    return runs


class Batches:
    """An endless, seeded source of batches; its state is one dictionary of numbers.

    Half of a batch of passages are what deceives its first group (hard negatives that cost no
    extra encoding): neighbours by words, `hard_negatives` as `index.training.mining` gives them for each
    kind, and from the second epoch on by vectors, for which `memory` keeps the last one seen of every
    passage. Sections and practice documents stand beside what deceives them and beside their neighbours by turns.
    `pages` are sections with questions on them: those made of manuals (`index.training.questions`), and
    those written on practice documents (`index.training.practice`).
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        seed: int,
        scale: float = 1.0,
        memory_size: int = 384,
        hard_negatives: Mapping[str, np.ndarray] | None = None,
        pages: Mapping[str, Sequence[Passage]] | None = None,
    ) -> None:
        self._data = data
        self._seed = seed
        self._scale = scale
        self._noise = QueryNoise()
        self._plans: dict[str, tuple[int, list[list[int]]]] = {}
        self._make: dict[str, Callable[[list[int], random.Random], Batch]] = {
            "passages": self._passages,
            "sections": self._sections,
            "pairs": self._pairs,
        }
        self._pages = pages or {}
        self._make |= {kind: partial(self._asked_pages, kind) for kind in self._pages}
        self._hard_negatives = hard_negatives or {}
        self.position = dict.fromkeys(self._make, (0, 0))  # (epoch, batch)
        self.memory = np.zeros((len(data.passages), memory_size), np.float32)

    def next(self, step: int, weights: dict[str, float]) -> Batch:
        """The batch of this step; `weights` are the shares of the kinds."""
        rng = random.Random(f"{self._seed}:{step}")
        kind = rng.choices(list(weights), list(weights.values()))[0]
        epoch, at = self.position[kind]
        planned, plan = self._plans.get(kind, (-1, []))
        if planned != epoch:
            plan = self._plan(kind, epoch)
            self._plans[kind] = (epoch, plan)
        self.position[kind] = (epoch, at + 1) if at + 1 < len(plan) else (epoch + 1, 0)
        return self._make[kind](plan[at], rng)

    def remember(self, batch: Batch, vectors: np.ndarray) -> None:
        for number, vector in zip(batch.passages, vectors, strict=True):
            self.memory[number] = vector

    def _plan(self, kind: str, epoch: int) -> list[list[int]]:
        rng = random.Random(f"{self._seed}:{kind}:{epoch}")
        if kind == "passages":
            return self._plan_passages(rng, round(8 * self._scale))
        deceiving = kind in self._hard_negatives and epoch % 2 == 0
        by_source: dict[str, list[int]] = {}
        for number, source in enumerate(self._sources(kind)):
            # What is taken for a practice document's section may be of any other document.
            at = kind if deceiving and kind in self._pages else source
            by_source.setdefault(at, []).append(number)
        size = round({"sections": 48, "practice": 48, "pairs": 72}.get(kind, 32) * self._scale)
        run = 2 if kind == "pairs" else 8  # neighbours stay together
        plan = []
        for numbers in by_source.values():
            if deceiving:
                runs = _with_hard_negatives(numbers, self._hard_negatives[kind], rng)
            else:
                runs = [numbers[i : i + run] for i in range(0, len(numbers), run)]
            rng.shuffle(runs)
            flat = [n for r in runs for n in r]
            plan += [flat[i : i + size] for i in range(0, len(flat) - size // 2, size)]
        rng.shuffle(plan)
        return plan

    def _sources(self, kind: str) -> list[str]:
        """What is mixed in a batch only with its like."""
        if kind in self._pages:
            return [page.id.split("/")[0] for page in self._pages[kind]]
        items: Sequence[Section | Pair] = getattr(self._data, kind)
        return [item.source for item in items]

    def _plan_passages(self, rng: random.Random, groups_in_batch: int) -> list[list[int]]:
        count = len(self._data.passages)
        shift = rng.randrange(NEIGHBOURS)
        starts = [0, *range(shift or NEIGHBOURS, count, NEIGHBOURS)]
        groups = [
            list(range(a, b)) for a, b in zip(starts, [*starts[1:], count], strict=True) if a < b
        ]
        rng.shuffle(groups)
        centres = np.stack([self.memory[g].mean(0) for g in groups])
        known = bool(np.abs(centres).sum() > 0)
        group_of = np.repeat(np.arange(len(groups)), [len(g) for g in groups])
        places = np.empty(count, np.int64)
        places[[n for g in groups for n in g]] = group_of
        free = np.ones(len(groups), bool)
        plan = []
        for first in range(len(groups)):
            if not free[first]:
                continue
            chosen = [first]
            free[first] = False
            half = groups_in_batch // 2
            if "passages" in self._hard_negatives:
                named = self._hard_negatives["passages"][groups[first]].ravel()
                met = Counter(places[named[named >= 0]].tolist())
                near = [g for g, _ in met.most_common() if free[g]]
                chosen += near[: half // 2 if known else half]
                free[chosen] = False
            if known:
                score = np.where(free, centres @ centres[first], -np.inf)
                near = np.argsort(-score)[: half + 1 - len(chosen)].tolist()
                chosen += [g for g in near if free[g]]
                free[chosen] = False
            rest = [int(g) for g in np.flatnonzero(free)]
            chosen += rng.sample(rest, min(groups_in_batch - len(chosen), len(rest)))
            free[chosen] = False
            plan.append([n for g in chosen for n in groups[g]])
        rng.shuffle(plan)
        return plan

    def _passages(self, numbers: list[int], rng: random.Random) -> Batch:
        batch = Batch("passages")
        whole = rng.random() < 0.35
        for number in numbers:
            passage = self._data.passages[number]
            parts = sentences(passage.text)
            limit = 10_000 if whole else rng.choice((120, CHUNK_CHARACTERS, CHUNK_CHARACTERS))
            first = len(batch.documents)
            pieces = chunks(parts, limit)
            prefix = f"{passage.title}\n" if passage.title and rng.random() < 0.6 else ""
            batch.documents += [[prefix, *piece] for piece in pieces]
            batch.passages += [number] * len(pieces)
            for question, answers in passage.questions:
                self._ask(batch, question, answers, range(first, len(batch.documents)), rng)
        return batch

    def _asked_pages(self, kind: str, numbers: list[int], rng: random.Random) -> Batch:
        batch = Batch(kind)
        for number in numbers:
            page = self._pages[kind][number]
            title = f"{page.title}\n" if rng.random() < 0.8 else ""
            batch.documents.append([title, *sentences(page.text[:SECTION_CHARACTERS])])
            batch.passages.append(number)
            at = len(batch.documents) - 1
            for question, answers in page.questions:
                self._ask(batch, question, answers, range(at, at + 1), rng)
        return batch

    def _ask(
        self,
        batch: Batch,
        question: str,
        answers: Sequence[str],
        documents: range,
        rng: random.Random,
    ) -> None:
        """Add a question; its document is the one that holds the answer and, where several do,
        shares most characters with the question."""
        wanted = set(fold(question))
        places = [
            (len(wanted & set(fold(part))), d, p)
            for d in documents
            for p, part in enumerate(batch.documents[d])
            if p and any(a in part for a in answers)
        ]
        if not places:
            return
        _, document, part = max(places)
        row = len(batch.queries)
        batch.queries.append(self._noise(question, rng, strength=0.5))
        batch.positive.append(document)
        batch.sentence.append(part)
        batch.answers.append(answers)
        batch.ignore += [(row, d) for _, d, _ in places if d != document]

    def _sections(self, numbers: list[int], rng: random.Random) -> Batch:
        batch = Batch("sections")
        for number in numbers:
            section = self._data.sections[number]
            asked = [section.title, section.heading]
            if section.title == section.heading or not section.title or rng.random() < 0.15:
                asked = [section.heading]
            elif rng.random() < 0.2:
                asked.reverse()
            joint = rng.choice((" ", " ", "の", "\n"))
            batch.queries.append(self._noise(joint.join(asked), rng, strength=0.5))
            batch.documents.append(["", *sentences(section.text[:400])])
            batch.passages.append(number)
            batch.positive.append(len(batch.documents) - 1)
            batch.sentence.append(-1)
        return batch

    def _pairs(self, numbers: list[int], rng: random.Random) -> Batch:
        batch = Batch("pairs")
        for number in numbers:
            pair = self._data.pairs[number]
            batch.queries.append(pair.english)
            batch.documents.append(["", pair.japanese])
            batch.positive.append(len(batch.documents) - 1)
            batch.sentence.append(-1)
        return batch
