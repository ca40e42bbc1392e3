"""An evaluation as one HTML file that a person reads: scores, curves, and what went wrong.

Self-contained: style and charts are inside, nothing is loaded from anywhere. Texts out of the
documents are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup, escape

from index.errors import DatasetError
from index.evaluation import charts
from index.evaluation.abstention import reliability, risk_coverage
from index.evaluation.charts import Interval, Series
from index.evaluation.mistakes import Mistake, answer_mistakes, search_mistakes
from index.evaluation.records import (
    AnswerLeg,
    Estimate,
    Evaluation,
    Measures,
)

WORST = 20
KINDS_SHOWN = 12

NAMES = {
    "right": "正しい対応",
    "right_first": "先頭の引用が正解",
    "right_any": "引用のどれかが正解",
    "answer_holds": "回答文に正解がある",
    "right_passage": "先頭の引用が正解の文書",
    "recall": "答えるべき質問に答えた",
    "not_found": "正しく「わかりません」",
    "precision": "答えた質問は答えられる質問",
    "right_when_answered": "答えたときに正解",
    "exact_citations": "引用が原文どおり",
    "auroc": "確信度の識別力 AUROC",
}
"""Measures of answers that are shares: their Japanese names, in the order of the report."""
DEFINITIONS = (
    (
        "R@k",
        "正解の文書のうち、上位 k 件に入ったものの割合。正解が 1 件なら「入ったか」と同じです。",
    ),
    ("Success@k", "正解の語句を含む文書が上位 k 件に 1 つでもあった質問の割合。"),
    ("RR@10", "最初の正解の順位の逆数（1 位なら 1、2 位なら 0.5、11 位以下は 0）。"),
    ("nDCG@10", "正解が上にあるほど高くなる順位の良さ。理想の順位を 1 とします。"),
    ("先頭の引用が正解", "答えた上で、最初の引用に正解の語句が含まれていた質問の割合。"),
    ("回答文に正解がある", "答えた上で、回答の文のどこかに正解の語句が含まれていた質問の割合。"),
    ("正しい対応", "答えられる質問は先頭の引用が正解、答えられない質問は「わかりません」。"),
    (
        "AUROC",
        "答えられる質問の確信度が、答えられない質問の確信度より高い確率。1 が最良、0.5 は無作為。",
    ),
    (
        "リスク–カバレッジ",
        "確信度の高い順に答えたとき、答えた割合に対して間違いがどれだけ混じるか。",
    ),
    ("信頼度曲線", "確信度 0.8 の質問は 8 割が正しいか。対角線に近いほど、確信度を信じられます。"),
    ("95 % 区間", "質問を選び直したときに値がどれだけ揺れるか（ブートストラップ法）。"),
)


@dataclass(frozen=True, slots=True)
class Operating:
    """What a threshold does: the share of questions answered, of right ones among those, of
    answerable ones answered and of unanswerable ones refused; None where there are none."""

    threshold: float
    current: bool
    answered: float
    right: float | None
    recall: float | None
    refused: float | None


def write(evaluation: Evaluation, path: Path) -> None:
    """Writes the report. Raises DatasetError where the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(evaluation), encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{path} に書けません（{error.strerror}）。") from None


def render(evaluation: Evaluation) -> str:
    """The report as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["highlight"] = highlight
    environment.filters["percent"] = charts.percent
    answers = evaluation.answers
    return environment.get_template("report.html").render(
        evaluation=evaluation,
        cards=_cards(evaluation),
        search_chart=_search_chart(evaluation),
        search_kinds=_kinds(evaluation.legs[_best_mode(evaluation)].kinds, "RR@10")
        if evaluation.legs
        else "",
        answer_chart=_answer_chart(answers.measures) if answers else "",
        answer_kinds=_kinds(answers.kinds, "right") if answers else "",
        thresholds=_thresholds(answers, evaluation.threshold) if answers else [],
        curves=_curves(answers, evaluation.threshold) if answers else [],
        latencies=_latencies(evaluation),
        mistakes=_mistakes(evaluation),
        definitions=DEFINITIONS,
        names=NAMES,
    )


def highlight(text: str, answers: Sequence[str]) -> Markup:
    """`text` escaped, every accepted answer in it marked, longest first; blank lines are dropped."""
    text = re.sub(r"\n\s*\n", "\n", text)
    wanted = sorted(filter(None, answers), key=len, reverse=True)
    if not wanted:
        return escape(text)
    pieces = re.split("(" + "|".join(map(re.escape, wanted)) + ")", text)
    return Markup("").join(
        Markup("<mark>{}</mark>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(pieces)
    )


def _mistakes(evaluation: Evaluation) -> list[tuple[str, int, list[Mistake]]]:
    """(heading, how many there are, the worst of them) for the answers and the best search."""
    found = []
    if evaluation.answers:
        wrong = answer_mistakes(evaluation.answers.rows)
        found.append(("回答", len(wrong), wrong[:WORST]))
    if evaluation.legs:
        mode = _best_mode(evaluation)
        missed = search_mistakes(evaluation.legs[mode].rows)
        found.append((f"検索（{mode}）", len(missed), missed[:WORST]))
    return found


def _best_mode(evaluation: Evaluation) -> str:
    return "hybrid" if "hybrid" in evaluation.legs else list(evaluation.legs)[-1]


def _cards(evaluation: Evaluation) -> list[tuple[str, str, Estimate]]:
    """The headline figures: (name, Japanese name, value)."""
    cards: list[tuple[str, str, Estimate]] = []
    if evaluation.legs:
        mode = _best_mode(evaluation)
        found = evaluation.legs[mode].measures
        wanted: tuple[str, ...] = ("R@1", "R@10", "Success@1", "Success@10")
        cards += [(f"{mode} {name}", "検索", found[name]) for name in wanted if name in found]
    if evaluation.answers:
        found = evaluation.answers.measures
        wanted = ("right_first", "answer_holds", "not_found", "auroc", "exact_citations")
        cards += [(name, NAMES[name], found[name]) for name in wanted if name in found]
    return cards


def _search_chart(evaluation: Evaluation) -> Markup:
    legs = evaluation.legs
    names = [n for n in next(iter(legs.values())).measures if not n.endswith("_ms")] if legs else []
    return _intervals(
        [
            [
                Interval(f"{name}　{mode}", leg.measures[name], series)
                for series, (mode, leg) in enumerate(legs.items())
                if name in leg.measures
            ]
            for name in names
        ]
    )


def _answer_chart(measures: Measures) -> Markup:
    return _intervals(
        [[Interval(label, measures[name])] for name, label in NAMES.items() if name in measures]
    )


def _kinds(kinds: dict[str, Measures], name: str) -> Markup:
    rows = [
        [Interval(kind or "（種類なし）", measures[name], 2)]
        for kind, measures in list(kinds.items())[:KINDS_SHOWN]
        if name in measures
    ]
    return _intervals(rows) if len(rows) > 1 else Markup("")


def _intervals(groups: list[list[Interval]]) -> Markup:
    return Markup(charts.intervals(groups) if groups else "")  # noqa: S704 - escaped there


def _thresholds(leg: AnswerLeg, threshold: float) -> list[Operating]:
    """What every tenth as the threshold, and the one in use, would do."""
    confidence = np.array([row.confidence for row in leg.rows])
    answerable = np.array([row.answerable for row in leg.rows], dtype=bool)
    right = np.array([row.right for row in leg.rows], dtype=bool)
    found = []
    for at in sorted({*(n / 10 for n in range(1, 10)), threshold}):
        answered = confidence >= at
        found.append(
            Operating(
                at,
                at == threshold,
                float(answered.mean()),
                _share(right, answered),
                _share(answered, answerable),
                _share(~answered, ~answerable),
            )
        )
    return found


def _share(of: np.ndarray, among: np.ndarray) -> float | None:
    return float(of[among].mean()) if among.any() else None


def _curves(leg: AnswerLeg, threshold: float) -> list[tuple[str, str, Markup]]:
    """(title, what it says, chart) of everything about the confidence."""
    confidence = np.array([row.confidence for row in leg.rows], dtype=np.float64)
    answerable = np.array([row.answerable for row in leg.rows], dtype=bool)
    right = np.array([row.right for row in leg.rows], dtype=bool)
    groups = [
        ("答えられる質問", confidence[answerable]),
        ("答えられない質問", confidence[~answerable]),
    ]
    coverage, risk = risk_coverage(confidence, right)
    answered = confidence >= threshold
    marks = []
    if answered.any():
        risk_there = float((~right[answered]).mean())
        marks = [(float(answered.mean()), risk_there, f"しきい値 {threshold:g}")]
    drawn = [
        (
            "確信度の分布",
            "2 つの山が離れているほど、知らないことを知っています。",
            charts.histogram(
                [(name, values) for name, values in groups if len(values)],
                "確信度",
                top=1.0,
                marks=[(threshold, f"しきい値 {threshold:g}")],
            ),
        ),
        (
            "リスク–カバレッジ",
            "左ほど自信のある質問だけに答えた場合。低いほど良い曲線です。",
            charts.lines(
                [Series("リスク", coverage.tolist(), risk.tolist())],
                "答えた割合 %",
                "間違いの割合 %",
                y_max=max(float(risk.max()) * 1.15, 0.05),
                marks=marks,
            ),
        ),
    ]
    lines = [_reliability("先頭の引用が正解", confidence, right)]
    if answerable.any() and not answerable.all():
        lines.insert(0, _reliability("文書に答えがある", confidence, answerable))
    drawn.append(
        (
            "信頼度曲線",
            "確信度が、そのとおりの割合で当たっているか。対角線が理想です。",
            charts.lines(lines, "確信度 %", "実際の割合 %", diagonal=True),
        )
    )
    return [(title, note, Markup(chart)) for title, note, chart in drawn]  # noqa: S704


def _reliability(name: str, confidence: np.ndarray, right: np.ndarray) -> Series:
    bins = reliability(confidence, right)
    return Series(
        name, [b.confidence for b in bins], [b.share for b in bins], [b.count for b in bins]
    )


def _latencies(evaluation: Evaluation) -> list[tuple[str, Measures, Markup]]:
    drawn = []
    for name, rows in evaluation.rows().items():
        leg = evaluation.answers if name == "answers" else evaluation.legs[name]
        values = np.array([row.ms for row in rows])
        if leg is None or not len(values):
            continue
        p50, p95 = leg.measures["p50_ms"].value, leg.measures["p95_ms"].value
        chart = charts.histogram(
            [(name, values)],
            "ミリ秒",
            top=max(float(np.percentile(values, 99)) * 1.1, 1.0),
            bins=30,
            marks=[(p50, f"p50 {p50:.1f} ms"), (p95, f"p95 {p95:.1f} ms")],
        )
        drawn.append((name, leg.measures, Markup(chart)))  # noqa: S704
    return drawn
