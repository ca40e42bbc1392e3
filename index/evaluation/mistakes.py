"""The questions that went wrong, the worst first, with what was found instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.evaluation.records import AnswerRow, Excerpt, SearchRow


@dataclass(frozen=True, slots=True)
class Mistake:
    """One question of the worst: `verdict` is what went wrong, `severity` orders the list."""

    id: str
    kind: str
    question: str
    verdict: str
    severity: float
    history: tuple[str, ...]
    answers: tuple[str, ...]
    found: tuple[Excerpt, ...]
    gold: tuple[Excerpt, ...]


def answer_mistakes(rows: Sequence[AnswerRow]) -> list[Mistake]:
    """Every question that was not handled rightly, the most confidently wrong first."""
    found = [
        Mistake(r.id, r.kind, r.question, *_verdict(r), r.history, r.answers, r.quotes[:2], r.gold)
        for r in rows
        if not r.values["right"]
    ]
    return sorted(found, key=lambda mistake: -mistake.severity)


def _verdict(row: AnswerRow) -> tuple[str, float]:
    """What went wrong, and how badly: to say something wrong is worse than to say nothing."""
    confidence = f"確信度 {row.confidence:.2f}"
    if row.status == "error":
        return "質問を受け付けなかった", 3.0
    if row.status == "answered":
        what = "正解と違う引用" if row.answerable else "文書にないのに答えた"
        return f"{what}（{confidence}）", 1 + row.confidence
    what = "正解を見つけたのに黙った" if row.right else "答えられるのに黙った"
    return f"{what}（{confidence}）", row.confidence


def search_mistakes(rows: Sequence[SearchRow]) -> list[Mistake]:
    """Every question whose first passage was not a right one, the deepest buried first."""
    found = [
        Mistake(
            row.id,
            row.kind,
            row.question,
            f"正解は {row.rank} 位" if row.rank else "正解は 10 位までになし",
            row.rank or 11,
            (),
            row.answers,
            row.found[:1],
            row.gold[:1],
        )
        for row in rows
        if row.rank != 1
    ]
    return sorted(found, key=lambda mistake: -mistake.severity)
