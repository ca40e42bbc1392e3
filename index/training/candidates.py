"""What the close reader learns from: a question and the sentences that the answer stage would choose from, as
it would put them up without a close reader."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from index.answer_sentences import near_the_best, rank_sentences
from index.close_reader import Candidate
from index.records import DocumentSummary, Hit, document_id, passage_context
from index.retrieve import READ_CANDIDATES, READ_HITS, Retriever
from index.split import SplitSettings, split
from index.training.practice import Practice
from index.training.sources import Passage, sentences

log = logging.getLogger(__name__)

# How many sentences, and how many points below the best: somewhat more than are read closely, so that
# chance has some to choose from.
RANKED, WITHIN = 16, 6.0
_WHOLE = 12  # characters from which on a sentence that stands in a longer answer answers too
# A question, its answers, and the id of the document that holds them.
Question = tuple[str, Sequence[str], str]


@dataclass(frozen=True)
class Ranked:
    """A sentence that was put up, with its score; whether the document that answers says it, and whether it
    answers."""

    candidate: Candidate
    score: float
    own: bool
    right: bool


@dataclass(frozen=True)
class Case:
    """A question, its answers, the sentences put up for it, best first, and, where none of them
    answers, those that would have."""

    question: str
    answers: Sequence[str]
    ranked: Sequence[Ranked]
    missed: Sequence[Candidate]


def mined(retriever: Retriever, asked: Iterable[Question]) -> list[Case]:
    """The questions for which anything is put up."""
    cases = []
    summaries = {summary.id: summary for summary in retriever.documents()}
    for question, answers, document in asked:
        ranked = _ranked(retriever, question, answers, document)
        missed: list[Candidate] = []
        # A blank document is not indexed.
        if answers and document in summaries and not any(one.right for one in ranked):
            missed = _answering(_passages(retriever, summaries[document]), answers)
        if not ranked:
            continue
        cases.append(Case(question, answers, ranked, missed))
        if len(cases) % 5000 == 0:
            log.info("close reader: mined for %d questions", len(cases))
    return cases


def asked_of_passages(passages: Iterable[Passage]) -> Iterator[Question]:
    """The questions on some passages."""
    for passage in passages:
        for question, answers in passage.questions:
            yield question, answers, document_id(passage.id)


def asked_of_practice(practice: Iterable[Practice]) -> Iterator[Question]:
    """The questions on practice documents; those that none answers have no answers."""
    for own in practice:
        for one in own.questions:
            yield one.question, [one.answer] if one.answer else [], own.document.id


def _ranked(
    retriever: Retriever, question: str, answers: Sequence[str], document: str
) -> list[Ranked]:
    search = retriever.explain(question, READ_CANDIDATES)
    every = rank_sentences(retriever, search, search.hits[:READ_HITS])
    own = {one.text for one in every if one.hit.document.id == document}
    return [
        Ranked(
            one.candidate,
            one.score,
            one.text in own,
            one.text in own and _answers(one.text, answers),
        )
        for one in near_the_best(every, WITHIN)[:RANKED]
    ]


def _passages(retriever: Retriever, document: DocumentSummary) -> list[Hit]:
    """All passages of a document."""
    whole = retriever.document(document.id)
    if whole is None:
        return []
    settings = SplitSettings(**retriever.manifest.split)
    return [Hit(chunk, document, 0.0) for chunk in split(whole, settings)]


def _answering(hits: Iterable[Hit], answers: Sequence[str]) -> list[Candidate]:
    """The sentences of some passages that answer."""
    found = []
    for hit in hits:
        context = passage_context(hit.document.title, hit.chunk.heading)
        start = hit.chunk.start
        for text in sentences(hit.chunk.text):
            if _answers(text, answers):
                found.append(Candidate(hit.chunk.id, context, start, text.rstrip()))
            start += len(text)
    return found


def _answers(text: str, answers: Sequence[str]) -> bool:
    """Whether a sentence holds an answer, or is part of a longer one."""
    part = text.strip()
    return any(one in text or (len(part) > _WHOLE and part in one) for one in answers)
