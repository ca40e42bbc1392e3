"""What the close reader is shown: a question with a few sentences, as token ids, of every kind that there is
(see `index.training.close_reader`). Each time an example is drawn it is another one."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from index.close_reader import CONTEXT, SENTENCE, TOGETHER, Excerpt, sequenced
from index.records import Hit, passage_context
from index.training.candidates import MINED, Case
from index.training.sources import Pair, Section, sentences

LEFT_OUT = 0.12  # share of the examples without the passage that answers
# Shares of the examples that are made of manuals, and of practice documents.
OF_SECTIONS, OF_PAIRS, OF_PRACTICE = 0.15, 0.1, 0.35
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
        judged: list[tuple[int, int]] = []
        begins: list[int] = []
        ends: list[int] = []
        for (start, end), (text, answering) in zip(read.spans, told, strict=True):
            found = list(_tokens_of(self._offsets(text)[: end - start], text, case.answers))
            if answering or not found:  # an answer's words in another passage say nothing
                judged.append((start, end))
            for first, last in found if answering else ():
                if last - first + 1 >= WHOLE * (end - start):
                    begins += range(start, end)
                    ends += range(start, end)
                else:
                    begins.append(start + first)
                    ends.append(start + last)
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
