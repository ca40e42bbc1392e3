"""The report stands alone, escapes what documents say, and shows what the rows hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from index.errors import DatasetError
from index.evaluation import abstention, charts, measures, mistakes, report
from index.evaluation.charts import Interval, Series
from index.evaluation.records import (
    AnswerRow,
    Estimate,
    Evaluation,
    Excerpt,
    SearchLeg,
    SearchRow,
)

EVIL = '<script>alert(1)</script> & "引用"'


def answer_row(number: int, status: str, *, right: bool, answerable: bool = True) -> AnswerRow:
    answered = status == "answered"
    good = right and answered if answerable else status == "not_found"
    return AnswerRow(
        id=f"a{number}",
        question=f"質問{number}は？",
        kind="direct" if answerable else "unanswerable",
        values={"right": float(good), "exact_citations": 1.0},
        ms=10.0 + number,
        answerable=answerable,
        status="answered" if answered else "not_found" if status == "not_found" else "error",
        confidence=number / 10,
        right=right,
        answer="",
        quotes=(Excerpt("d", EVIL, f"雨季は{EVIL}"),),
        answers=("雨季",) if answerable else (),
        history=("前の質問",) if number == 3 else (),
    )


def evaluation() -> Evaluation:
    rows = (
        answer_row(9, "answered", right=True),
        answer_row(8, "answered", right=False),
        answer_row(7, "answered", right=False, answerable=False),
        answer_row(3, "not_found", right=True),
        answer_row(2, "not_found", right=False, answerable=False),
        answer_row(0, "error", right=False),
    )
    searched = tuple(
        SearchRow(
            f"q{n}",
            f"検索{n}",
            "",
            {"R@1": float(rank == 1), "RR@10": 1 / rank if rank else 0.0},
            5.0,
            rank,
            (Excerpt("d", "題", EVIL),),
            (Excerpt("g", "正解", "雨季の話"),),
            ("雨季",),
        )
        for n, rank in enumerate((1, 3, None))
    )
    leg = SearchLeg(measures.averages(searched) | measures.latency([5.0] * 3), {}, searched)
    return Evaluation(
        "set", "d", 6, 3, "0.1.0", "2026-11-23T07:00:00+00:00", "g1", 0.5,
        legs={"lexical": leg, "hybrid": leg}, answers=abstention.leg(rows),
    )  # fmt: skip


def test_the_report_loads_nothing_from_anywhere_and_escapes_documents(tmp_path: Path) -> None:
    report.write(evaluation(), tmp_path / "out" / "report.html")
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert not re.search(r"https?://|src=|url\(|@import", html)
    assert "&lt;script&gt;" in html
    assert "<mark>雨季</mark>" in html


def test_the_worst_come_first_and_say_what_went_wrong() -> None:
    answers = evaluation().answers
    assert answers
    assert [(m.id, m.verdict) for m in mistakes.answer_mistakes(answers.rows)] == [
        ("a0", "質問を受け付けなかった"),
        ("a8", "正解と違う引用（確信度 0.80）"),
        ("a7", "文書にないのに答えた（確信度 0.70）"),
        ("a3", "正解を見つけたのに黙った（確信度 0.30）"),
    ]


def test_searches_are_shown_by_how_far_down_the_right_passage_was() -> None:
    html = report.render(evaluation())
    assert html.index("正解は 10 位までになし") < html.index("正解は 3 位")
    assert "前の質問" in html


@pytest.mark.parametrize("part", ["legs", "answers"])
def test_either_half_alone_makes_a_report(part: str) -> None:
    whole = evaluation()
    half = replace(whole, legs={}) if part == "legs" else replace(whole, answers=None)
    assert "の評価</h1>" in report.render(half)


def test_a_report_that_cannot_be_written_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="書けません"):
        report.write(evaluation(), tmp_path / "file" / "report.html")


def test_highlighting_marks_whole_answers_and_escapes_the_rest() -> None:
    assert report.highlight("a<b雨季", ("雨", "雨季")) == "a&lt;b<mark>雨季</mark>"
    assert report.highlight("1+1=2", ("+",)) == "1<mark>+</mark>1=2"
    assert report.highlight("<", ()) == "&lt;"
    assert report.highlight("# 題\n\n本文", ("本文",)) == "# 題\n<mark>本文</mark>"


def svg(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart[: chart.index("</svg>") + 6])


def test_a_dot_lies_inside_its_interval_and_inside_the_drawing() -> None:
    drawn = svg(
        charts.intervals(
            [
                [Interval(EVIL, Estimate(0.5, 0.4, 0.6, 10)), Interval("b", Estimate(1, 1, 1, 1))],
                [Interval("c", Estimate(0, 0, 0.1, 3), 1)],
            ]
        )
    )
    for group in drawn.iter("g"):
        whisker = next(group.iter("line"))
        dot = next(group.iter("circle"))
        left, right = float(whisker.attrib["x1"]), float(whisker.attrib["x2"])
        assert left <= float(dot.attrib["cx"]) <= right
        assert left > 0
        assert right < charts.ROW_WIDTH


def test_a_histogram_draws_every_value_also_the_largest() -> None:
    values = np.array([0.0, 0.5, 1.0, 7.0])
    drawn = svg(charts.histogram([("a", values)], "x", top=1.0, bins=4))
    counts = [int((next(r.iter("title")).text or "").split()[-1]) for r in drawn.iter("rect")]
    assert sum(counts) == len(values)
    assert counts[-1] == 2


def test_a_long_curve_keeps_its_ends() -> None:
    xs = [n / 999 for n in range(1000)]
    drawn = svg(charts.lines([Series("a", xs, xs)], "x", "y"))
    points = (next(drawn.iter("polyline")).attrib["points"]).split()
    assert len(points) <= charts.CURVE_POINTS
    assert points[0].startswith(f"{charts.LEFT}.0,")
    assert points[-1].startswith(f"{charts.WIDTH - charts.RIGHT}.0,")
