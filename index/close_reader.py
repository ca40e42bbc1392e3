"""Close reading: a question and the sentences that may answer it, read together in one sequence, so that
each word of the one is seen beside each word of the other (Nogueira & Cho 2019, arXiv 1901.04085).

Vectors that are made apart say what a sentence is about; this says whether it answers. It costs as much
as encoding a passage, so it is asked only where the choice between the best sentences is close. Its network
is the lower layers of the encoder with their weights changed a little, so that the model folder holds
only the changes; `index.training.close_reader` trains it, docs/retrieval.md says what it brought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CHANGES = "close_reader.safetensors"
GRAPH = "close_reader.onnx"
LAYERS = 6
# The longest that is read, in tokens: of a question, of the line above a passage, of a sentence, and of
# all passages together.
QUESTION, CONTEXT, SENTENCE, TOGETHER = 40, 16, 90, 190
_AMONG = 12  # sentences


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may answer: the passage it stands in and where, and the line above that."""

    passage: str
    context: str
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Sentences of one passage in their order, as token ids, under their line of context."""

    context: list[int]
    sentences: list[list[int]]


@dataclass(frozen=True, slots=True)
class Sequenced:
    """What the network reads: token ids; where the passages begin; where each sentence of each excerpt
    stands, (start, end)."""

    ids: list[int]
    passages: int
    spans: list[tuple[int, int]]


def sequenced(question: list[int], excerpts: Sequence[Excerpt], begin: int, end: int) -> Sequenced:
    """[CLS] question [SEP] context [SEP] sentence … [SEP] context [SEP] sentence … [SEP]; `begin` and
    `end` are the ids of [CLS] and [SEP]."""
    ids = [begin, *question[:QUESTION], end]
    passages, spans = len(ids), []
    for excerpt in excerpts:
        ids += [*excerpt.context[:CONTEXT], end]
        for sentence in excerpt.sentences:
            spans.append((len(ids), len(ids) + len(sentence[:SENTENCE])))
            ids += sentence[:SENTENCE]
        ids.append(end)
    return Sequenced(ids, passages, spans)


class CloseReader:
    """The network as onnxruntime runs it. Safe to share between threads."""

    def __init__(
        self, session: Any, pieces: Callable[[str], list[int]], begin: int, end: int
    ) -> None:
        """`pieces` gives the token ids of a text; `begin` and `end` are those of [CLS] and [SEP]."""
        self._session = session
        self._pieces = pieces
        self._begin, self._end = begin, end

    def read(self, question: str, candidates: Sequence[Candidate]) -> np.ndarray:
        """The log odds that the answer stands in each candidate, against nowhere among them: float32
        (n,). The best come first; NaN for those that there was no room for."""
        odds = np.full(len(candidates), np.nan, np.float32)
        chosen = those_that_fit(candidates, self._pieces)
        passages = grouped_by_passage(candidates, chosen)
        excerpts = [
            Excerpt(self._pieces(candidates[held[0]].context), [chosen[place] for place in held])
            for held in passages
        ]
        read = sequenced(self._pieces(question), excerpts, self._begin, self._end)
        if not read.spans:
            return odds
        found = self._session.run(None, _inputs(read))[0][0]
        order = [place for held in passages for place in held]
        for place, (start, end) in zip(order, read.spans, strict=True):
            odds[place] = np.logaddexp.reduce(found[start:end], axis=0).mean()
        return odds


def those_that_fit(
    candidates: Sequence[Candidate], pieces: Callable[[str], list[int]], room: int = TOGETHER
) -> dict[int, list[int]]:
    """The first candidates for which there is `room`, in tokens: their places, with their token ids."""
    chosen: dict[int, list[int]] = {}
    passages: set[str] = set()
    for place, candidate in enumerate(candidates[:_AMONG]):
        ids = pieces(candidate.text)[:SENTENCE]
        room -= len(ids)
        if candidate.passage not in passages:
            room -= min(CONTEXT, len(pieces(candidate.context))) + 2
        if room < 0 and chosen:
            break
        if ids:
            chosen[place] = ids
            passages.add(candidate.passage)
    return chosen


def grouped_by_passage(candidates: Sequence[Candidate], chosen: Iterable[int]) -> list[list[int]]:
    """The places of those chosen: of each passage in the order of its text, that of the best first."""
    places = list(chosen)
    by_passage: dict[str, list[int]] = {candidates[place].passage: [] for place in places}
    for place in sorted(places, key=lambda place: candidates[place].start):
        by_passage[candidates[place].passage].append(place)
    return list(by_passage.values())


def _inputs(read: Sequenced) -> dict[str, np.ndarray]:
    ids = np.array(read.ids, np.int64)[None]
    kinds = (np.arange(len(read.ids)) >= read.passages).astype(np.float32)
    return {"input_ids": ids, "in_passage": kinds[:, None]}
