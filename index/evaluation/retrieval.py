"""Retrieval, measured: every question of a set against an index, in one mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from index.errors import QueryError
from index.evaluation import measures
from index.evaluation.datasets import Case, Dataset
from index.evaluation.records import Excerpt, SearchLeg, SearchRow
from index.records import Hit
from index.retrieve import Mode

MODES: tuple[Mode, ...] = ("lexical", "dense", "hybrid")
DEPTH = 10
KEPT = 3
"""Found passages kept in a row, for the report and for comparisons."""
EXCERPT = 240

Progress = Callable[[Sequence[Case]], Iterable[Case]]
"""Passes the cases on one by one, showing how far it is."""


class Searches(Protocol):
    """What is measured; `index.retrieve.Retriever` is one."""

    def search(self, query: str, k: int, *, mode: Mode) -> list[Hit]: ...


def evaluate(
    searcher: Searches,
    dataset: Dataset,
    mode: Mode,
    *,
    passage_ids: dict[str, str] | None = None,
    progress: Progress = iter,
) -> SearchLeg:
    """Searches for every answerable question and measures the ranking.

    With judgements (BEIR), `passage_ids` maps document ids of the index to passage ids, and a
    passage stands where its best chunk stands. Without, a passage is right when an accepted answer
    is in it, and follow-ups are left out, since a search knows no conversation.
    """
    cases = [case for case in dataset.cases if case.answerable and not case.history]
    rows = list(_rows(searcher, cases, mode, dataset, passage_ids, progress))
    return SearchLeg(
        measures=measures.averages(rows) | measures.latency([row.ms for row in rows]),
        kinds=measures.by_kind(rows),
        rows=tuple(rows),
    )


def _rows(
    searcher: Searches,
    cases: list[Case],
    mode: Mode,
    dataset: Dataset,
    passage_ids: dict[str, str] | None,
    progress: Progress,
) -> Iterator[SearchRow]:
    found: dict[str, list[Hit]] = {}
    took: dict[str, float] = {}
    for case in progress(cases):
        started = time.perf_counter()
        try:
            found[case.id] = searcher.search(case.question, DEPTH, mode=mode)
        except QueryError:
            found[case.id] = []  # nothing to search for is nothing found: the row scores 0
        took[case.id] = (time.perf_counter() - started) * 1000
    ranked = {case.id: _ranking(found[case.id], passage_ids) for case in cases}
    relevant = {
        case.id: dict(case.relevant) if dataset.judged else _holding(case, ranked[case.id])
        for case in cases
    }
    values = measures.retrieval(
        relevant,
        {case: list(ranking) for case, ranking in ranked.items()},
        measures.JUDGED if dataset.judged else measures.MATCHED,
    )
    texts = {passage.id: passage for passage in dataset.passages}
    for case in cases:
        rank = next(
            (n for n, id_ in enumerate(ranked[case.id], start=1) if id_ in relevant[case.id]), None
        )
        gold = [texts[id_] for id_ in relevant[case.id] if id_ in texts] if rank != 1 else []
        yield SearchRow(
            id=case.id,
            question=case.question,
            kind=case.kind,
            values=values[case.id],
            ms=took[case.id],
            rank=rank,
            found=tuple(
                _excerpt(id_, hit, case.answers, short=rank == 1)
                for id_, hit in list(ranked[case.id].items())[:KEPT]
            ),
            gold=tuple(Excerpt(p.id, p.title, around(p.text, case.answers)) for p in gold[:KEPT]),
            answers=case.answers,
        )


def _ranking(hits: list[Hit], passage_ids: dict[str, str] | None) -> dict[str, Hit]:
    """The best hit of each distinct passage, best first."""
    ranking: dict[str, Hit] = {}
    for hit in hits:
        id_ = passage_ids.get(hit.document.id, hit.document.id) if passage_ids else hit.chunk.id
        ranking.setdefault(id_, hit)
    return ranking


def _holding(case: Case, ranking: dict[str, Hit]) -> dict[str, int]:
    """Found passages that hold an accepted answer; one that cannot be found where none does."""
    right = {
        id_: 1
        for id_, hit in ranking.items()
        if any(answer in hit.chunk.text for answer in case.answers)
    }
    return right or {"": 1}


def _excerpt(id_: str, hit: Hit, answers: tuple[str, ...], *, short: bool) -> Excerpt:
    return Excerpt(id_, hit.document.title, "" if short else around(hit.chunk.text, answers))


def around(text: str, answers: Sequence[str], length: int = EXCERPT) -> str:
    """At most `length` characters of `text`, about the first answer in it, cut ends marked `…`."""
    if len(text) <= length:
        return text
    place = min((text.find(answer) for answer in answers if answer in text), default=0)
    start = max(0, min(place - length // 3, len(text) - length))
    end = start + length
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
