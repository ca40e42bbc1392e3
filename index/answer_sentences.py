"""The sentences that may answer, each with what speaks for it, and a close reading of the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from index.answer_type import asks_what_it_is, expected_kind, holds_kind, topic_of
from index.close_reader import Candidate
from index.lexical import word_terms
from index.query import Query
from index.records import Hit, passage_context

if TYPE_CHECKING:
    from index.retrieve import Retriever, Search

# `passage` is the score of the passage itself, `coverage` the share of the question that the
# sentence holds, `around` the same with its neighbours and headings, `late` and `late_around` its
# MaxSim likewise, `reads` how likely the reader finds the answer in it, `close` how likely the close
# reader does, where the choice is close enough to ask it, `expected` whether it holds
# the kind of thing asked for, `defines` whether it is about what the question wants explained, `code`
# whether it is a line of a program. Fitted on held-out articles and practice documents together, which
# weigh the same (half of the way from one round's fit to the next one's); the last three are set by hand:
# `expected` weighs more than what was fitted, since notes are answered worse with less, and the others
# are too rare there. See docs/retrieval.md.
SENTENCE_WEIGHTS: Mapping[str, float] = {
    "passage": 0.6,
    "coverage": 0.5,
    "around": 2.4,
    "late": 5.5,
    "late_around": 9.0,
    "reads": 1.8,
    "close": 6.0,
    "expected": 2.5,
    "defines": 1.0,
    "code": -2.0,
}

# The best sentences are read closely where the first is no further than this above the second, and of
# them those no further than this below the first.
CLOSE_CALL = 2.5
_WITHIN = 4.0
UNLIKELY = -1.0  # what counts for a sentence beside those that were read


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage: offsets into the document's text, and why it was chosen.

    `present` says which of the query's keys it holds (`Query.present`), a table row with its header.
    """

    hit: Hit
    start: int
    end: int
    score: float
    features: dict[str, float]
    present: np.ndarray = field(compare=False)

    @property
    def text(self) -> str:
        """The sentence as it stands in the document."""
        first = self.hit.chunk.start
        return self.hit.chunk.text[self.start - first : self.end - first]

    @property
    def candidate(self) -> Candidate:
        """The sentence as the close reader is given it."""
        context = passage_context(self.hit.document.title, self.hit.chunk.heading)
        return Candidate(self.hit.chunk.id, context, self.start, self.text)

    def read(self, likely: float = UNLIKELY) -> Sentence:
        """The sentence with how likely the close reader finds that it answers, −1…1."""
        features = {**self.features, "close": likely, "read_closely": 1.0}
        return replace(
            self, score=self.score + SENTENCE_WEIGHTS["close"] * likely, features=features
        )


def rank_sentences(retriever: Retriever, search: Search, hits: Sequence[Hit]) -> list[Sentence]:
    """The sentences of some hits, best first."""
    found = [sentence for hit in hits for sentence in score_sentences(retriever, search, hit)]
    return sorted(found, key=lambda sentence: -sentence.score)


def read_closely(
    retriever: Retriever, search: Search, ranked: list[Sentence]
) -> list[Sentence] | None:
    """Ranked sentences, best first, as they rank when the best are read closely together with the
    question; None without a close reader."""
    near = near_the_best(ranked)
    candidates = [sentence.candidate for sentence in near]
    read = retriever.read_closely(search, candidates)
    if read is None:
        return None
    said = dict(zip((sentence.text for sentence in near), read.tolist(), strict=True))
    told = [sentence.read(said.get(sentence.text, UNLIKELY)) for sentence in ranked]
    return sorted(told, key=lambda sentence: -sentence.score)


def near_the_best(ranked: Sequence[Sentence], within: float = _WITHIN) -> list[Sentence]:
    """Those no further than this below the first; what stands in several passages once, for all of them."""
    near: dict[str, Sentence] = {}
    for sentence in ranked:
        if sentence.score >= ranked[0].score - within:
            near.setdefault(sentence.text, sentence)
    return list(near.values())


def score_sentences(retriever: Retriever, search: Search, hit: Hit) -> list[Sentence]:
    """The sentences of a passage with their scores; headings, table headers and rules left out."""
    chunk = hit.chunk
    query = search.query
    passage = retriever.read(search, hit)
    late = retriever.sentence_scores(
        search, hit, [(span.start, span.end) for span in passage.spans]
    )
    everywhere = passage.own.any(axis=0) | passage.above
    whole = float(query.coverage(everywhere, words_only=True))
    coverage = query.coverage(passage.own).tolist()
    around = query.coverage(passage.near).tolist()
    words_around = query.coverage(passage.near, words_only=True).tolist()
    kind = expected_kind(query.text)
    found = []
    for number, span in enumerate(passage.spans):
        features = {
            "passage": hit.score,
            "coverage": coverage[number],
            "around": around[number],
            "late": float(late[number, 0]) if late is not None else 0.0,
            "late_around": float(late[number, 1]) if late is not None else 0.0,
            "late_weakest": float(late[number, 2]) if late is not None else 0.0,
            "reads": float(late[number, 3]) if late is not None else 0.0,
            "words_in_passage": whole,
            "words_around": words_around[number],
            "expected": holds_kind(kind, span.folded, query.text),
            "defines": _defines(query, span.folded),
            "code": float(span.code),
        }
        score = sum(weight * features.get(name, 0.0) for name, weight in SENTENCE_WEIGHTS.items())
        place = chunk.start + span.start, chunk.start + span.end
        found.append(Sentence(hit, *place, score, features, passage.own[number]))
    return found


def _defines(query: Query, folded: str) -> float:
    """How much a sentence is about what the question wants explained: 0…1. `CNIは…` is wholly about
    CNI; `CNIの代表的な実装は…` is about something else of it."""
    if not asks_what_it_is(query.text) or not (topic := topic_of(folded)):
        return 0.0
    words = _words_of(topic)
    return sum(key in query.word_keys for key in words) / len(words) if words else 0.0


@lru_cache(maxsize=10_000)
def _words_of(topic: str) -> list[int]:
    words: list[int] = word_terms(topic).keys.tolist()
    return words
