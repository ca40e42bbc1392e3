"""`kiku eval`: searches and answers of a whole set measured on an index, as a user would get them.

Nothing is remembered: no conversation, question or rating of an evaluation reaches the store.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import cast

import numpy as np

from bot.answer import Answerer
from bot.records import Answer, Citation, Question, Turn
from bot.settings import Settings
from bot.wiring import (
    CALIBRATION_FILE,
    multiply_on_one_thread,
    open_encoder,
    read_calibration,
    read_synonyms,
)
from index.engines.choose import choose_engine
from index.engines.local import LocalEngine
from index.errors import KikuError
from index.evaluation import abstention, retrieval
from index.evaluation.calibration import Calibrated, Logistic, refuse_too_few
from index.evaluation.calibration import calibrate as fit
from index.evaluation.corpus import FOLDER, build_corpus
from index.evaluation.datasets import Case, Dataset
from index.evaluation.records import AnswerLeg, AnswerRow, Evaluation, Excerpt
from index.evaluation.retrieval import Progress, around
from index.fuse import fuse
from index.generation import write_durably
from index.records import Hit
from index.retrieve import Mode, Retriever

FUSED = "fused"
"""A mode for evaluations only: the hybrid without its second stage."""
CANDIDATES = 64
KEPT = 3
BuildProgress = Callable[[str, int, int], None]
_MARKER = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True)
class Bench:
    """What a set is asked against; `passage_ids` is None where the set judges no passages."""

    retriever: Retriever
    answerer: Answerer
    passage_ids: dict[str, str] | None


def prepare(
    settings: Settings,
    dataset: Dataset,
    *,
    corpus: str = "",
    progress: BuildProgress = lambda stage, done, total: None,
) -> Bench:
    """Opens the current index for a set of questions, or builds one of the set's passages.

    `corpus` names the folder of that index in the home folder; sets that share one share what the
    encoder has read. Raises IndexMissing and the like, EncoderUnavailable, SettingsError.
    """
    encoder, _ = open_encoder(settings)
    multiply_on_one_thread()
    home, ids, engine = settings.home, None, choose_engine(settings.store, settings.home)
    if dataset.judged:
        home = settings.home / FOLDER / (corpus or dataset.corpus_digest)
        ids = build_corpus(home, dataset, encoder=encoder, progress=progress)
        engine = LocalEngine(home)
    synonyms = read_synonyms(settings)
    retriever = Retriever.over(engine.open(), encoder=encoder, synonyms=synonyms)
    answerer = Answerer(
        lambda: retriever,
        calibration=read_calibration(settings),
        threshold=settings.threshold,
        max_question_chars=settings.max_question_chars,
    )
    return Bench(retriever, answerer, ids)


def run(
    bench: Bench,
    dataset: Dataset,
    modes: Sequence[str],
    *,
    left_out: float = 0.0,
    answers: bool = True,
    progress: Callable[[str], Progress] = lambda label: iter,
) -> Evaluation:
    """Measures retrieval in `modes` (FUSED, or a mode of the retriever) and the answers.

    `progress` makes, for the name of a leg, what its questions are passed through.
    """
    started = time.perf_counter()
    legs = {
        mode: retrieval.evaluate(
            BeforeReading(bench.retriever) if mode == FUSED else bench.retriever,
            dataset,
            "hybrid" if mode == FUSED else cast(Mode, mode),
            passage_ids=bench.passage_ids,
            progress=progress(mode),
        )
        for mode in modes
    }
    answered = None
    if answers:
        answered = evaluate(
            bench.answerer,
            bench.retriever,
            dataset,
            passage_ids=bench.passage_ids,
            progress=progress("answers"),
        )
    return Evaluation(
        dataset=dataset.name,
        digest=dataset.digest,
        cases=len(dataset.cases),
        passages=len(dataset.passages),
        version=version("kiku"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        generation=bench.retriever.generation,
        threshold=bench.answerer.threshold,
        left_out=left_out,
        seconds=round(time.perf_counter() - started, 1),
        legs=legs,
        answers=answered,
    )


class BeforeReading:
    """The hybrid's candidates in the order they had before the second stage read them closely."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    def search(self, query: str, k: int, *, mode: Mode) -> list[Hit]:
        """The `k` best by the legs alone."""
        hits = self._retriever.search(query, CANDIDATES, mode=mode)
        return sorted(hits, key=lambda hit: -fuse({**hit.features, "late": 0.0}))[:k]


def evaluate(
    answerer: Answerer,
    documents: Retriever,
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
    answerer: Answerer,
    documents: Retriever,
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


def _conversation(answerer: Answerer, questions: Sequence[str]) -> tuple[Turn, ...]:
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
    documents: Retriever,
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


def _exact(citation: Citation, documents: Retriever) -> bool:
    """Whether the quote is what the document says at that place."""
    document = documents.document(citation.document_id)
    quote = citation.quote
    return (
        bool(quote)
        and document is not None
        and (document.text[citation.start : citation.end] == quote)
    )


def calibrate(bench: Bench, dataset: Dataset, *, progress: Progress = iter) -> Calibrated:
    """Fits the confidence of the bench to the set's questions; see `index.evaluation.calibration`.

    Raises DatasetError where the set is too small or does not hold both kinds of question.
    """
    refuse_too_few(np.array([case.answerable for case in dataset.cases], dtype=bool))
    asked: list[Mapping[str, float]] = []

    def with_features(cases: Sequence[Case]) -> Iterator[Case]:
        for case in progress(cases):
            asked.append(_features(bench.answerer, case))
            yield case

    leg = evaluate(
        bench.answerer,
        bench.retriever,
        dataset,
        passage_ids=bench.passage_ids,
        progress=with_features,
    )
    current = bench.answerer.calibration
    return fit(
        asked,
        np.array([row.answerable for row in leg.rows], dtype=bool),
        np.array([row.right for row in leg.rows], dtype=bool),
        Logistic(dict(current.weights), current.bias),
        bench.answerer.threshold,
    )


def save_calibration(home: Path, found: Calibrated) -> None:
    """Makes the next start of Kiku use what was fitted."""
    content = {**asdict(found.model), "threshold": found.threshold}
    home.mkdir(parents=True, exist_ok=True)
    write_durably(home / CALIBRATION_FILE, json.dumps(content, indent=1).encode())


def _features(answerer: Answerer, case: Case) -> Mapping[str, float]:
    try:
        history = _conversation(answerer, case.history)
        return answerer.features(Question(case.question, history=history, channel="eval"))
    except KikuError:
        return {}
