"""What the close reader is shown: a question with a few sentences, as token ids, of every kind that there is
(see `index.training.close_reader`). Each time an example is drawn it is another one."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from index.close_reader import (
    CONTEXT,
    SENTENCE,
    TOGETHER,
    Excerpt,
    grouped_by_passage,
    sequenced,
    those_that_fit,
)
from index.training.candidates import Case, Ranked
from index.training.sources import Pair, Section, sentences

LEFT_OUT = 0.12  # share of the examples without the sentences that answer
PUT_IN = 0.7  # of those for which none was put up, the share that is shown one
DROPPED, JITTER = (
    0.15,
    1.2,
)  # share of the other sentences that are left out; points that chance adds
ROOMS = (TOGETHER, TOGETHER, 150, 110)  # tokens
# Shares of the examples that are made of manuals, and of practice documents.
OF_SECTIONS, OF_PAIRS, OF_PRACTICE = 0.13, 0.09, 0.58
# From this share of a sentence on, an answer is the sentence: which of its tokens begins it is no matter.
WHOLE = 0.7
BESIDE = 4  # pairs to either side of one
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
    """A sequence as token ids, and places in it: where its passages begin, the spans (start, end) of the
    sentences that are judged, the tokens at which an answer begins and those at which one ends."""

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
        """The sentences as the answer stage would have them read, but for what chance changes; None where
        none is to be shown."""
        question = _MARK.sub("", case.question) if chooser.random() < 0.1 else case.question
        ranked = list(case.ranked)
        if case.missed and chooser.random() < PUT_IN:
            beside = chooser.choice(ranked[:5])
            ranked.append(Ranked(chooser.choice(case.missed), beside.score, own=True, right=True))
        if chooser.random() < LEFT_OUT:
            ranked = [one for one in ranked if not one.right]
        ranked = [one for one in ranked if one.right or chooser.random() > DROPPED]
        ranked.sort(key=lambda one: -one.score - chooser.gauss(0, JITTER))
        candidates = [one.candidate for one in ranked]
        chosen = those_that_fit(candidates, self._ids, chooser.choice(ROOMS))
        passages = grouped_by_passage(candidates, chosen)
        if chooser.random() < 0.5:  # which passage is the best is not always to be trusted
            chooser.shuffle(passages)
        return self._example(question, case.answers, [[ranked[n] for n in own] for own in passages])

    def _example(
        self, question: str, answers: Sequence[str], passages: Sequence[Sequence[Ranked]]
    ) -> Example | None:
        excerpts = [
            Excerpt(
                self._ids(own[0].candidate.context), [self._ids(one.candidate.text) for one in own]
            )
            for own in passages
        ]
        read = sequenced(self._ids(question), excerpts, self._begin, self._end)
        shown = [one for own in passages for one in own]
        judged: list[tuple[int, int]] = []
        begins: list[int] = []
        ends: list[int] = []
        for (start, end), one in zip(read.spans, shown, strict=True):
            text = one.candidate.text
            found = list(_tokens_of(self._offsets(text)[: end - start], text, answers))
            if one.own or not found:  # an answer's words in another document say nothing
                judged.append((start, end))
            marks = _marks(found, end - start) if one.right else []
            begins += [start + first for first, _ in marks]
            ends += [start + last for _, last in marks]
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
        answers = [span for span, right in zip(read.spans, answering, strict=True) if right]
        tokens = [token for start, end in answers for token in range(start, end)]
        return Example(read.ids, read.passages, read.spans, tokens, tokens) if read.spans else None

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _offsets(self, text: str) -> np.ndarray:
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return np.array(offsets, np.int64).reshape(-1, 2)


def _tokens_of(offsets: np.ndarray, text: str, answers: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The first and the last token of each answer that stands in a text."""
    for answer in answers:
        start = text.find(answer)
        while answer and start >= 0:
            inside = np.flatnonzero((offsets[:, 0] < start + len(answer)) & (offsets[:, 1] > start))
            if len(inside):
                yield int(inside[0]), int(inside[-1])
            start = text.find(answer, start + 1)


def _marks(found: Sequence[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """Where answers begin and end in a sentence of `count` tokens: each token does where an answer is the
    sentence, or longer."""
    if not found or any(last - first + 1 >= WHOLE * count for first, last in found):
        return [(token, token) for token in range(count)]
    return list(found)


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
