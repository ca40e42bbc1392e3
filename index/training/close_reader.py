"""Stage 7: the close reader learns where answers begin and end (see `index.close_reader`).

A question is shown with a few sentences: some of the passage that answers it, and some of passages that
either leg takes for it, those that share most with the question first, as the answer stage will choose
them. The network learns, over all their tokens and "not here" at once, where an answer begins and where
one ends (Clark & Gardner 2018, arXiv 1710.10723: passages compared with each other are judged alike).
Every eighth time the passage that answers is left out.

Questions with marked answers are nearly all about an encyclopedia. So that technical texts and English
questions are not new to it, some examples are made of manuals: the heading of a section beside sentences
of it and of its neighbours, an English segment beside its translation and those next to it. There whole
sentences answer. And some are of documents such as teams have, which `index.training.practice` holds.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers.masking_utils import create_bidirectional_mask

from index.close_reader import CONTEXT, LAYERS, SENTENCE, TOGETHER, Excerpt, sequenced
from index.embedding import passage_context
from index.int8 import change_of, packed, step_of
from index.records import Hit
from index.training.candidates import MINED, Case
from index.training.reader_network import NEVER
from index.training.sources import SEED, Pair, Section, sentences
from index.training.student import Student

log = logging.getLogger(__name__)

BATCH = 32
STEPS = 2000
BODY_RATE, HEAD_RATE = 2.5e-4, 1e-3
WARMUP = 100
SAVE_EVERY = 100
LEFT_OUT = 0.12  # share of the examples without the passage that answers
MANUALS = 14_000  # sections of manuals that questions are made of
CHECKED = 600  # questions that are not trained on
# Shares of the examples that are made of manuals, and of practice documents.
OF_SECTIONS, OF_PAIRS, OF_PRACTICE = 0.15, 0.1, 0.35
BESIDE = 4  # pairs to either side of one
FILLED = 512  # examples that are sorted by length, so that a batch is little padding
# What a heading is asked for with.
HEADINGS = (
    "{title}の{heading}は？", "{heading}", "{title} {heading}", "{heading}について教えてください",
    "{heading}とは何ですか", "{heading}の方法は？", "{title}で{heading}するにはどうすればいいですか",
    "{heading}について知りたい", "{title}の{heading}を教えて",
)  # fmt: skip
Told = tuple[str, bool]  # a sentence, and whether it may answer
_MARK = re.compile(r"[？?。]$")


@dataclass(frozen=True)
class Example:
    """A sequence; where its passages begin; the tokens that are judged; where answers begin and end."""

    ids: list[int]
    passages: int
    judged: list[tuple[int, int]]
    begins: list[int]
    ends: list[int]


class Packer:
    """Makes examples of cases, each time another one."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._begin, self._end = (
            int(tokenizer.token_to_id(name) or 0) for name in ("[CLS]", "[SEP]")
        )

    def example(self, case: Case, chooser: random.Random) -> Example | None:
        """None where no sentence is to be shown."""
        question = _MARK.sub("", case.question) if chooser.random() < 0.1 else case.question
        shown: list[tuple[Excerpt, list[Told]]] = []
        room = TOGETHER
        right = case.right[:1] if chooser.random() >= LEFT_OUT else []
        others = list(case.others)
        chooser.shuffle(others)
        others = others[: chooser.choice((0, 1, 2, 2, 3, 3)) if right else MINED]
        for hit, answering in [(hit, True) for hit in right] + [(hit, False) for hit in others]:
            if shown and room < TOGETHER // 4:
                break
            excerpt, told = self._excerpt(case, hit, answering, room, chooser)
            room -= len(excerpt.context) + 2 + sum(map(len, excerpt.sentences))
            shown.append((excerpt, told))
        chooser.shuffle(shown)
        return self._example(case, question, shown)

    def _excerpt(
        self, case: Case, hit: Hit, answering: bool, room: int, chooser: random.Random
    ) -> tuple[Excerpt, list[Told]]:
        """Some sentences of a hit, and each as text with whether it may answer."""
        parts = [part for part in sentences(hit.chunk.text) if part.strip()]
        asked = _bigrams(case.question)
        liked = [len(asked & _bigrams(part)) + 2 * chooser.random() for part in parts]
        holding = [any(answer in part for answer in case.answers) for part in parts]
        order = sorted(range(len(parts)), key=lambda place: -liked[place])
        if answering and any(holding):
            first = next(place for place in order if holding[place])
            count = chooser.choice((0, 1, 1, 2, 2, 3))
            taken = [first, *[place for place in order if place != first][:count]]
        else:
            taken = order[: chooser.choice((1, 1, 2))]
        ids = {place: self._ids(parts[place]) for place in taken}
        kept: list[int] = []
        for place in taken:
            if not kept or room >= len(ids[place]):
                kept.append(place)
                room -= len(ids[place])
        kept.sort()
        context = self._ids(passage_context(hit.document.title, hit.chunk.heading))
        told = [(parts[place], answering) for place in kept]
        return Excerpt(context, [ids[place] for place in kept]), told

    def _example(
        self, case: Case, question: str, shown: list[tuple[Excerpt, list[Told]]]
    ) -> Example | None:
        read = sequenced(
            self._ids(question), [excerpt for excerpt, _ in shown], self._begin, self._end
        )
        told = [one for _, texts in shown for one in texts]
        judged, begins, ends = [], [], []
        for (start, end), (text, answering) in zip(read.spans, told, strict=True):
            found = list(_tokens_of(self._offsets(text)[: end - start], text, case.answers))
            if answering or not found:  # an answer's words in another passage say nothing
                judged.append((start, end))
            if answering:
                begins += [start + first for first, _ in found]
                ends += [start + last for _, last in found]
        return Example(read.ids, read.passages, judged, begins, ends) if judged else None

    def whole(self, question: str, shown: Sequence[tuple[str, Sequence[Told]]]) -> Example | None:
        """Of (context, sentences) where whole sentences answer, as many as there is room for."""
        room = TOGETHER
        excerpts: list[Excerpt] = []
        answering: list[bool] = []
        for context, told in shown:
            above = self._ids(context)[:CONTEXT]
            room -= len(above) + 2
            kept: list[list[int]] = []
            for text, right in told:
                ids = self._ids(text)[:SENTENCE]
                if ids and (len(ids) <= room or not answering):
                    room -= len(ids)
                    kept.append(ids)
                    answering.append(right)
            excerpts.append(Excerpt(above, kept))
        read = sequenced(self._ids(question), excerpts, self._begin, self._end)
        begins = [start for (start, _), right in zip(read.spans, answering, strict=True) if right]
        ends = [end - 1 for (_, end), right in zip(read.spans, answering, strict=True) if right]
        return Example(read.ids, read.passages, read.spans, begins, ends) if read.spans else None

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _offsets(self, text: str) -> np.ndarray:
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return np.array(offsets, np.int64).reshape(-1, 2)


def _bigrams(text: str) -> set[str]:
    return {text[place : place + 2] for place in range(len(text) - 1)}


def _tokens_of(offsets: np.ndarray, text: str, answers: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The first and the last token of each answer that stands in a text."""
    for answer in answers:
        start = text.find(answer)
        while answer and start >= 0:
            inside = np.flatnonzero((offsets[:, 0] < start + len(answer)) & (offsets[:, 1] > start))
            if len(inside):
                yield int(inside[0]), int(inside[-1])
            start = text.find(answer, start + 1)


class Examples:
    """Draws examples of every kind."""

    def __init__(
        self,
        packer: Packer,
        cases: Sequence[Case],
        sections: Sequence[Section] = (),
        pairs: Sequence[Pair] = (),
        practice: Sequence[Case] = (),
    ) -> None:
        pages: dict[tuple[str, str], list[Section]] = {}
        for section in sections:
            pages.setdefault((section.source, section.title), []).append(section)
        self._pages = [page for page in pages.values() if len(page) > 2]
        self._packer, self._cases, self._pairs, self._practice = packer, cases, pairs, practice

    def draw(self, chooser: random.Random) -> Example | None:
        """None where nothing is to be shown."""
        kind = chooser.random()
        if kind < OF_SECTIONS and self._pages:
            return self._of_section(chooser.choice(self._pages), chooser)
        if kind > 1 - OF_PAIRS and len(self._pairs) > 2 * BESIDE:
            place = chooser.randrange(BESIDE, len(self._pairs) - BESIDE)
            return self._of_pair(place, chooser)
        practising = self._practice and OF_SECTIONS <= kind < OF_SECTIONS + OF_PRACTICE
        cases = self._practice if practising else self._cases
        return self._packer.example(chooser.choice(cases), chooser)

    def _of_section(self, page: Sequence[Section], chooser: random.Random) -> Example | None:
        """A section's heading, its first sentences, and some of other sections of its page."""
        own = chooser.choice(page)
        asked = chooser.choice(HEADINGS).format(title=own.title[:40], heading=own.heading[:40])
        named = chooser.random() < 0.5
        others = [section for section in page if section is not own]
        chooser.shuffle(others)
        chosen = [] if chooser.random() < LEFT_OUT else [own]
        shown: list[tuple[str, list[Told]]] = []
        for section in (*chosen, *others[: chooser.choice((1, 2, 3, 3))]):
            texts = [text for text in sentences(section.text) if len(text.strip()) > 6][:6]
            if texts:
                count = chooser.choice((1, 1, 2))
                first = chooser.randrange(max(1, min(3, len(texts) - count + 1)))
                told = [(text, section is own) for text in texts[first : first + count]]
                above = f"{section.title} › {section.heading}" if named else section.title
                shown.append((above, told))
        chooser.shuffle(shown)
        return self._packer.whole(asked, shown)

    def _of_pair(self, place: int, chooser: random.Random) -> Example | None:
        """An English segment, its translation, and some of those that stand next to it."""
        own = self._pairs[place]
        near = [
            pair
            for pair in self._pairs[place - BESIDE : place + BESIDE + 1]
            if pair is not own and pair.source == own.source
        ]
        chooser.shuffle(near)
        told = [] if chooser.random() < LEFT_OUT else [(own.japanese, True)]
        told += [(pair.japanese, False) for pair in near[: chooser.choice((1, 2, 3, 4))]]
        chooser.shuffle(told)
        shown = [("", told)] if chooser.random() < 0.3 else [("", [one]) for one in told]
        return self._packer.whole(own.english[:200], shown)


class CloseReaderNetwork(nn.Module):
    """The network that `index.close_reader.CloseReader` runs."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.body = student.body
        self.body.encoder.layer = self.body.encoder.layer[:LAYERS]
        size = self.body.config.hidden_size
        self.segment = nn.Parameter(torch.zeros(size))
        self.head = nn.Linear(size, 2)
        for parameter in self.body.embeddings.parameters():  # they are the encoder's
            parameter.requires_grad = False

    def forward(
        self, ids: torch.Tensor, real: torch.Tensor, in_passage: torch.Tensor
    ) -> torch.Tensor:
        """The log odds (n, t, 2) that an answer begins and ends at each token; `real` (n, t) marks
        what is no padding, `in_passage` (n, t) what is behind the question."""
        hidden = self.body.embeddings(input_ids=ids)
        hidden = hidden + in_passage[..., None].to(hidden.dtype) * self.segment
        mask = create_bidirectional_mask(self.body.config, hidden, real.long())
        for layer in self.body.encoder.layer:
            hidden = layer(hidden, mask)
        odds: torch.Tensor = self.head(hidden.float())
        return odds

    def changes(self, student: Student) -> dict[str, np.ndarray]:
        """What the model folder holds, by name: of each matrix how it differs from the encoder's, in
        four bits, everything else in float16."""
        before = student.body.state_dict()
        found = {
            "segment": self.segment, "head.weight": self.head.weight, "head.bias": self.head.bias,
        }  # fmt: skip
        plain = {name: value.detach().numpy().astype(np.float16) for name, value in found.items()}
        for name, value in self.body.state_dict().items():
            if name.startswith("encoder.layer."):
                if value.ndim == 2:
                    change = (value - before[name]).float().numpy()
                    plain[change_of(name)], plain[step_of(name)] = packed(change)
                else:
                    plain[name] = value.numpy().astype(np.float16)
        return plain


@dataclass(frozen=True)
class _Padded:
    ids: torch.Tensor
    real: torch.Tensor
    in_passage: torch.Tensor
    judged: torch.Tensor
    right: torch.Tensor  # (n, t, 2)


def _padded(examples: Sequence[Example]) -> _Padded:
    n, t = len(examples), max(len(example.ids) for example in examples)
    ids = torch.zeros(n, t, dtype=torch.long)
    real, in_passage, judged = (torch.zeros(n, t, dtype=torch.bool) for _ in range(3))
    right = torch.zeros(n, t, 2, dtype=torch.bool)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        real[row, : len(example.ids)] = True
        in_passage[row, example.passages :] = True
        for start, end in example.judged:
            judged[row, start:end] = True
        right[row, example.begins, 0] = True
        right[row, example.ends, 1] = True
    return _Padded(ids, real, in_passage, judged, right)


def loss_of(odds: torch.Tensor, batch: _Padded) -> torch.Tensor:
    """−log of the share that the right tokens have among all that are judged and "not here"."""
    every = odds.masked_fill(~batch.judged[..., None], NEVER)
    whole = torch.logaddexp(every.logsumexp(1), torch.zeros(()))
    best = every.masked_fill(~batch.right, NEVER).logsumexp(1)
    return torch.where(batch.right.any(1), whole - best, whole).mean()


@torch.no_grad()
def first_right(network: CloseReaderNetwork, examples: Sequence[Example]) -> float:
    """The share of answerable examples whose likeliest token is where an answer begins."""
    network.eval()
    judged = [example for example in examples if example.begins]
    good = []
    for start in range(0, len(judged), BATCH):
        batch = _padded(judged[start : start + BATCH])
        odds = network(batch.ids, batch.real, batch.in_passage)[..., 0]
        best = odds.masked_fill(~batch.judged, NEVER).argmax(1)
        good += batch.right[torch.arange(len(best)), best, 0].tolist()
    network.train()
    return float(np.mean(good))


def train_close_reader(
    network: CloseReaderNetwork,
    examples: Examples,
    checked: Sequence[Example],
    folder: Path,
    *,
    steps: int = STEPS,
) -> CloseReaderNetwork:
    """Trains; goes on where `folder` says that it stopped. What it reaches on `checked` is logged."""
    head = [network.segment, *network.head.parameters()]
    rest = [p for p in network.body.encoder.parameters() if p.requires_grad]
    rates = (BODY_RATE, HEAD_RATE)
    optimizer = torch.optim.AdamW(
        [{"params": rest}, {"params": head}], lr=BODY_RATE, weight_decay=0.01, betas=(0.9, 0.98)
    )
    step = _resumed(folder, network, optimizer)
    factor = _factor(steps)
    total, counted = 0.0, 0
    for batch in _batches(examples, first=step, last=steps):
        with torch.autocast("cpu", torch.bfloat16):
            odds = network(batch.ids, batch.real, batch.in_passage)
        loss = loss_of(odds.float(), batch)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_([*rest, *head], 1.0)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor(step)
        optimizer.step()
        step, total, counted = step + 1, total + loss.item(), counted + 1
        if step % SAVE_EVERY == 0 or step == steps:
            state = {
                "step": step,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            torch.save(state, folder / "state.tmp")
            (folder / "state.tmp").rename(folder / "state.pt")
            log.info(
                "close reader step %d of %d: loss %.4f, answer first %.4f",
                step, steps, total / counted, first_right(network, checked),
            )  # fmt: skip
            total, counted = 0.0, 0
    return network


def _factor(steps: int) -> Callable[[int], float]:
    """Of the learning rate: up, then down to a fiftieth."""
    return lambda step: min(1.0, (step + 1) / WARMUP) * max(0.02, 1 - step / steps)


def _resumed(folder: Path, network: CloseReaderNetwork, optimizer: torch.optim.Optimizer) -> int:
    """The step that an earlier run came to."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "state.pt").exists():
        return 0
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _batches(examples: Examples, *, first: int, last: int) -> Iterator[_Padded]:
    """The batches `first` to `last` - 1 of examples of about one length; the same every time."""
    filled: list[list[Example]] = []
    for step in range(last):
        if not filled:
            chooser = random.Random(SEED + step)
            drawn = [one for _ in range(FILLED) if (one := examples.draw(chooser))]
            drawn.sort(key=lambda example: len(example.ids))
            filled = [drawn[i : i + BATCH] for i in range(0, len(drawn), BATCH)]
            chooser.shuffle(filled)
        batch = filled.pop()
        if step >= first:
            yield _padded(batch)
