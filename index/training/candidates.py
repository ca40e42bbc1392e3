"""What the close reader learns from: a question, the passages that answer it, and those that either leg
takes for them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from index.records import DocumentSummary, Hit, document_id
from index.retrieve import Mode, Retriever
from index.split import SplitSettings, split
from index.training.practice import Practice
from index.training.sources import Passage

log = logging.getLogger(__name__)

MINED = 3  # passages of each leg
LEGS: tuple[Mode, ...] = ("lexical", "dense")
# A question, its answers, and the id of the document that holds them.
Question = tuple[str, Sequence[str], str]


@dataclass(frozen=True)
class Case:
    """A question, its answers, the passages that hold one in the right document, and others."""

    question: str
    answers: Sequence[str]
    right: Sequence[Hit]
    others: Sequence[Hit]


def mined(retriever: Retriever, asked: Iterable[Question]) -> list[Case]:
    """The questions with what either leg finds for them."""
    cases = []
    summaries = {summary.id: summary for summary in retriever.documents()}
    for question, answers, document in asked:
        hits = [hit for leg in LEGS for hit in retriever.search(question, MINED, mode=leg)]
        found = list({hit.chunk.id: hit for hit in hits}.values())
        right = _answering(found, answers, document)
        if answers and not right and document in summaries:  # a blank one is not indexed
            passages = _passages(retriever, summaries[document])
            right = _answering(passages, answers, document)
        others = [hit for hit in found if hit not in right]
        cases.append(Case(question, answers, right, others))
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


def _passages(retriever: Retriever, document: DocumentSummary) -> list[Hit]:
    """All passages of a document."""
    whole = retriever.document(document.id)
    if whole is None:
        return []
    settings = SplitSettings(**retriever.manifest.split)
    return [Hit(chunk, document, 0.0) for chunk in split(whole, settings)]


def _answering(hits: Iterable[Hit], answers: Sequence[str], document: str) -> list[Hit]:
    """The hits of a document that hold one of the answers."""
    own = [hit for hit in hits if hit.document.id == document]
    return [hit for hit in own if any(answer in hit.chunk.text for answer in answers)]
