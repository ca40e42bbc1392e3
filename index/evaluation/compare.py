"""Two evaluations side by side: what differs by more than chance, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.errors import DatasetError
from index.evaluation import resampling
from index.evaluation.abstention import auroc
from index.evaluation.records import AnswerRow, Evaluation, Row, SearchRow
from index.evaluation.resampling import Difference

DECISIVE = ("right", "RR@10")
"""The value by which a question is called better or worse: of the answers, of a search."""
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """One question whose outcome differs; `before` and `after` say in words what came of it."""

    id: str
    kind: str
    question: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class LegComparison:
    """One leg in both evaluations: differences by measure, and the questions that changed."""

    differences: dict[str, Difference]
    better: tuple[Change, ...]
    worse: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`legs` by name. `only_a` and `only_b` count questions that the other does not have."""

    legs: dict[str, LegComparison]
    shared: int
    only_a: int
    only_b: int
    same_set: bool


def compare(a: Evaluation, b: Evaluation) -> Comparison:
    """What changed from `a` to `b` on the questions of both. Raises DatasetError without any."""
    rows_a, rows_b = a.rows(), b.rows()
    asked_a, asked_b = _asked(rows_a), _asked(rows_b)
    shared = asked_a & asked_b
    legs = {
        name: _leg([r for r in rows if _key(r) in shared], rows_b[name])
        for name, rows in rows_a.items()
        if name in rows_b
    }
    if not shared or not legs:
        raise DatasetError("2 つの評価結果に共通する質問がないため、比べられません。")
    return Comparison(
        legs, len(shared), len(asked_a - shared), len(asked_b - shared), a.digest == b.digest
    )


def _asked(legs: dict[str, Sequence[Row]]) -> set[tuple[str, str]]:
    return {_key(row) for rows in legs.values() for row in rows}


def _key(row: Row) -> tuple[str, str]:
    """A question is the same when id and wording are: ids such as q1 are in many sets."""
    return row.id, row.question


def _leg(rows_a: Sequence[Row], rows_b: Sequence[Row]) -> LegComparison:
    others = {_key(row): row for row in rows_b}
    pairs = [(row, others[_key(row)]) for row in rows_a if _key(row) in others]
    names = dict.fromkeys(name for row, _ in pairs for name in row.values)
    differences = {
        name: resampling.paired(
            np.array([x.values[name] for x, _ in both]), np.array([y.values[name] for _, y in both])
        )
        for name in names
        if (both := [(x, y) for x, y in pairs if name in x.values and name in y.values])
    }
    if (difference := _auroc(pairs)) is not None:
        differences["auroc"] = difference
    decisive = next((name for name in DECISIVE if name in differences), "")
    return LegComparison(
        differences,
        tuple(_change(x, y) for x, y in pairs if _gain(x, y, decisive) > 0),
        tuple(_change(x, y) for x, y in pairs if _gain(x, y, decisive) < 0),
    )


def _gain(a: Row, b: Row, name: str) -> float:
    return b.values.get(name, 0.0) - a.values.get(name, 0.0)


def _change(a: Row, b: Row) -> Change:
    return Change(a.id, a.kind, a.question, _outcome(a), _outcome(b))


def _outcome(row: Row) -> str:
    if isinstance(row, SearchRow):
        return f"{row.rank} 位" if row.rank else "圏外"
    if isinstance(row, AnswerRow):
        first = row.quotes[0].text if row.quotes else ""
        return f"{row.status} {row.confidence:.2f} {first}".strip()
    return ""


def _auroc(pairs: Sequence[tuple[Row, Row]]) -> Difference | None:
    """The difference in AUROC; None unless both classes are there."""
    answers = [(a, b) for a, b in pairs if isinstance(a, AnswerRow) and isinstance(b, AnswerRow)]
    positive = np.array([a.answerable for a, _ in answers], dtype=bool)
    if not answers or positive.all() or not positive.any():
        return None
    before = np.array([a.confidence for a, _ in answers])
    after = np.array([b.confidence for _, b in answers])
    return resampling.paired_statistic(
        lambda scores, rows: auroc(scores[rows], positive[rows]), before, after
    )
