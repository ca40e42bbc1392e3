"""Answers, measured: every question of a set asked as a user would, follow-ups as conversations."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from bot.records import Answer, Citation, Question, Turn
from index.errors import KikuError
from index.evaluation import abstention
from index.evaluation.datasets import Case, Dataset
from index.evaluation.records import AnswerLeg, AnswerRow, Excerpt
from index.evaluation.retrieval import Progress, around
from index.records import Document

KEPT = 3
_MARKER = re.compile(r"\s*\[\d+\]")


class Asks(Protocol):
    """What is measured; `bot.answer.Answerer` is one."""

    def ask(self, question: Question) -> Answer: ...


class Reads(Protocol):
    """Where quotes are looked up; `index.retrieve.Retriever` is one."""

    def document(
        self, document_id: str, collections: frozenset[str] | None = None
    ) -> Document | None: ...


def evaluate(
    answerer: Asks,
    documents: Reads,
    dataset: Dataset,
    *,
    passage_ids: Mapping[str, str] | None = None,
    progress: Progress = iter,
) -> AnswerLeg:
    """Asks every question and measures the answers.

    `passage_ids` maps document ids to passage ids where the set judges passages (BEIR).
    """
    texts = {passage.id: passage for passage in dataset.passages}
    rows = []
    for case in progress(dataset.cases):
        gold = tuple(
            Excerpt(id_, texts[id_].title, around(texts[id_].text, case.answers))
            for id_ in list(case.relevant)[:KEPT]
            if id_ in texts
        )
        rows.append(_row(answerer, documents, case, gold, passage_ids or {}))
    return abstention.leg(rows)


def _row(
    answerer: Asks,
    documents: Reads,
    case: Case,
    gold: tuple[Excerpt, ...],
    passage_ids: Mapping[str, str],
) -> AnswerRow:
    started = time.perf_counter()
    answer: Answer | None = None
    try:
        history = _conversation(answerer, case.history)
        started = time.perf_counter()
        answer = answerer.ask(Question(case.question, history=history, channel="eval"))
    except KikuError:
        pass  # a question that is refused is a question without an answer: the row says so
    ms = (time.perf_counter() - started) * 1000
    citations = answer.citations if answer else ()
    held = [_holds(citation, case, passage_ids) for citation in citations]
    return AnswerRow(
        id=case.id,
        question=case.question,
        kind=case.kind,
        values=_values(case, answer, held, documents, passage_ids),
        ms=ms,
        answerable=case.answerable,
        status=answer.status if answer else "error",
        confidence=answer.confidence if answer else 0.0,
        right=held[:1] == [True],
        answer=answer.answer if answer else "",
        quotes=tuple(Excerpt(c.document_id, c.title, c.quote) for c in citations[:KEPT]),
        gold=gold,
        answers=case.answers,
        history=case.history,
    )


def _conversation(answerer: Asks, questions: Sequence[str]) -> tuple[Turn, ...]:
    """The turns that asking `questions` one after the other leaves behind."""
    turns: tuple[Turn, ...] = ()
    for text in questions:
        answer = answerer.ask(Question(text, history=turns, channel="eval"))
        turns += (Turn("user", text), Turn("assistant", answer.answer))
    return turns


def _values(
    case: Case,
    answer: Answer | None,
    held: Sequence[bool],
    documents: Reads,
    passage_ids: Mapping[str, str],
) -> dict[str, float]:
    citations = answer.citations if answer else ()
    answered = answer is not None and answer.status == "answered"
    values: dict[str, float] = {}
    if not case.answerable:
        abstained = answer is not None and answer.status == "not_found"
        values = {"right": float(abstained), "not_found": float(abstained)}
    else:
        right = answered and held[:1] == [True]
        values = {"right": float(right), "recall": float(answered)}
        if case.answers:
            text = _MARKER.sub("", answer.answer) if answer else ""
            holds = answered and any(accepted in text for accepted in case.answers)
            values |= {
                "right_first": float(right),
                "right_any": float(any(held)),
                "answer_holds": float(holds),
            }
        if case.relevant:
            cited = passage_ids.get(citations[0].document_id) if citations else None
            values["right_passage"] = float(answered and cited in case.relevant)
    if citations:
        exact = all(_exact(citation, documents) for citation in citations)
        values["exact_citations"] = float(exact)
    return values


def _holds(citation: Citation, case: Case, passage_ids: Mapping[str, str]) -> bool:
    """Whether a quote is right: an accepted answer is in it, or it is out of a relevant passage
    where no accepted answers are known."""
    if case.answers:
        return any(accepted in citation.quote for accepted in case.answers)
    return passage_ids.get(citation.document_id) in case.relevant


def _exact(citation: Citation, documents: Reads) -> bool:
    """Whether the quote is what the document says at that place."""
    document = documents.document(citation.document_id)
    quote = citation.quote
    return (
        bool(quote)
        and document is not None
        and (document.text[citation.start : citation.end] == quote)
    )
