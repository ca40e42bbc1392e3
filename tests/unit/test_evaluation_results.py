"""Rows of answers and searches, the result file, floors and comparisons, with tiny fakes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bot import evaluation as answer_evaluation
from bot.records import Answer, Citation, Question
from index.errors import DatasetError, QueryError
from index.evaluation import compare, floors, records, retrieval
from index.evaluation.datasets import Case, Dataset, Passage
from index.evaluation.records import AnswerLeg, Evaluation, SearchLeg
from index.records import Chunk, Document, DocumentSummary, Hit

TEXTS = {"d1": "梅雨は雨季の一種。", "d2": "晴れの日。", "d3": "雪の日は寒い。"}


def hit(document: str, *, start: int = 0) -> Hit:
    text = TEXTS[document]
    chunk = Chunk(f"{document}:{start}", document, (), start, len(text), text[start:])
    summary = DocumentSummary(document, document.upper(), document, "default", "", "", 9, 1)
    return Hit(chunk, summary, 1.0)


class FixedSearch:
    """Finds what it was told to find."""

    def __init__(self, found: dict[str, list[Hit]]) -> None:
        self.found = found

    def search(self, query: str, k: int = 10, **_: object) -> list[Hit]:
        if query == "😀":
            raise QueryError("検索できる言葉がありません。")
        return self.found.get(query, [])


class FixedAnswers:
    """Answers what it was told to answer and remembers the questions."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[Question] = []

    def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        if question.text not in self.answers:
            raise QueryError("質問が空です。")
        return self.answers[question.text]

    def document(self, document_id: str, collections: frozenset[str] | None = None) -> Document:
        return Document(document_id, document_id, TEXTS[document_id], document_id)


def answer(
    document: str, start: int, end: int, *, confidence: float = 0.9, quote: str = ""
) -> Answer:
    text = quote or TEXTS[document][start:end]
    citation = Citation(
        1, document, document, (), document, start, end, text, TEXTS[document], 0, 0.9, ""
    )
    return Answer("id", "answered", f"{text}[1]", confidence, "c", (citation,), 1.0)


SAME = {id_: id_ for id_ in TEXTS}
PASSAGES = tuple(Passage(id_, id_.upper(), text) for id_, text in TEXTS.items())


def test_a_passage_stands_where_its_best_chunk_stands() -> None:
    dataset = Dataset("s", (Case("q", "雪？", relevant={"p3": 1}),), PASSAGES)
    search = FixedSearch({"雪？": [hit("d1"), hit("d1", start=4), hit("d3")]})
    ids = {"d1": "p1", "d2": "p2", "d3": "p3"}
    leg = retrieval.evaluate(search, dataset, "hybrid", passage_ids=ids)
    row = leg.rows[0]
    assert row.rank == 2  # the second chunk of d1 takes no place
    assert row.values["RR@10"] == 0.5
    assert [found.document for found in row.found] == ["p1", "p3"]
    assert leg.measures["R@1"].value == 0


def test_a_query_that_is_refused_or_finds_nothing_counts_zero() -> None:
    cases = tuple(Case(q, q, relevant={"d1": 1}) for q in ("雨季？", "😀", "無い"))
    leg = retrieval.evaluate(
        FixedSearch({"雨季？": [hit("d1")]}),
        Dataset("s", cases, PASSAGES),
        "lexical",
        passage_ids=SAME,
    )
    assert leg.measures["R@1"].value == pytest.approx(1 / 3)
    assert leg.measures["R@1"].n == 3
    assert [row.rank for row in leg.rows] == [1, None, None]


def test_without_judgements_a_passage_is_right_when_an_answer_is_in_it() -> None:
    cases = (
        Case("a", "何の一種？", answers=("雨季",)),
        Case("b", "それは？", answers=("雨季",), history=("梅雨は？",)),
        Case("c", "知らない", answerable=False),
    )
    search = FixedSearch({"何の一種？": [hit("d2"), hit("d1")]})
    leg = retrieval.evaluate(search, Dataset("q", cases), "hybrid")
    assert [(row.id, row.rank) for row in leg.rows] == [("a", 2)]
    assert leg.measures["Success@5"].value == 1


def test_answers_are_judged_by_their_first_quote_and_by_the_threshold() -> None:
    cases = (
        Case("right", "何の一種？", answers=("雨季",), kind="direct"),
        Case("wrong", "天気は？", answers=("雪",), kind="direct"),
        Case("refused", "", answers=("雪",), kind="direct"),
        Case("silent", "寒い？", answers=("寒い",), kind="direct"),
        Case("known", "株価は？", answerable=False, kind="unanswerable"),
        Case("fooled", "給料は？", answerable=False, kind="unanswerable"),
    )
    bot = FixedAnswers(
        {
            "何の一種？": answer("d1", 0, 9, confidence=0.95),
            "天気は？": answer("d2", 0, 5, confidence=0.8),
            "寒い？": replace(answer("d3", 0, 7, confidence=0.3), status="not_found"),
            "株価は？": replace(answer("d2", 0, 5, confidence=0.1), status="not_found"),
            "給料は？": answer("d2", 0, 5, confidence=0.6),
        }
    )
    leg = answer_evaluation.evaluate(bot, bot, Dataset("q", cases))
    value = {name: estimate.value for name, estimate in leg.measures.items()}
    assert value["right_first"] == pytest.approx(1 / 4)
    assert value["right_any"] == pytest.approx(2 / 4)  # as found, whatever the threshold said
    assert value["answer_holds"] == pytest.approx(1 / 4)
    assert value["recall"] == pytest.approx(2 / 4)
    assert value["not_found"] == pytest.approx(1 / 2)
    assert value["precision"] == pytest.approx(2 / 3)
    assert value["right_when_answered"] == pytest.approx(1 / 3)
    assert value["exact_citations"] == 1
    # answerable .95 .8 .0 .3 against .1 .6: 2 + 2 + 0 + 1 of 8 pairs
    assert value["auroc"] == pytest.approx(5 / 8)
    # by confidence: right, wrong, wrong, right, wrong, wrong
    risks = [0, 1 / 2, 2 / 3, 2 / 4, 3 / 5, 4 / 6]
    assert value["aurc"] == pytest.approx(sum(risks) / 6)
    assert leg.rows[2].status == "error"
    assert leg.kinds["unanswerable"]["right"].value == 0.5


def test_a_quote_that_is_not_what_the_document_says_is_not_exact() -> None:
    bot = FixedAnswers({"雨？": answer("d1", 0, 9, quote="梅雨は雨季の一種だ")})
    dataset = Dataset("q", (Case("a", "雨？", answers=("雨季",)),))
    leg = answer_evaluation.evaluate(bot, bot, dataset)
    assert leg.measures["exact_citations"].value == 0


def test_a_follow_up_is_asked_after_the_turns_before_it() -> None:
    bot = FixedAnswers({"梅雨とは？": answer("d1", 0, 9), "それは寒い？": answer("d3", 0, 7)})
    case = Case("f", "それは寒い？", answers=("寒い",), history=("梅雨とは？",))
    leg = answer_evaluation.evaluate(bot, bot, Dataset("q", (case,)))
    turns = bot.asked[-1].history
    assert [(turn.role, turn.content) for turn in turns] == [
        ("user", "梅雨とは？"),
        ("assistant", "梅雨は雨季の一種。[1]"),
    ]
    assert leg.rows[0].right


def test_without_known_answers_the_cited_passage_decides() -> None:
    cases = (
        Case("a", "雪？", relevant={"p3": 1}),
        Case("b", "梅雨？", relevant={"p2": 1}),
    )
    bot = FixedAnswers({"雪？": answer("d3", 0, 7), "梅雨？": answer("d1", 0, 9)})
    ids = {"d1": "p1", "d2": "p2", "d3": "p3"}
    leg = answer_evaluation.evaluate(bot, bot, Dataset("s", cases, PASSAGES), passage_ids=ids)
    assert [row.right for row in leg.rows] == [True, False]
    assert leg.measures["right_passage"].value == 0.5
    assert "right_first" not in leg.measures


def evaluation(found: dict[str, list[Hit]], confidence: float = 0.9) -> Evaluation:
    cases = (
        Case("q1", "雪？", relevant={"d3": 1}, answers=("寒い",)),
        Case("q2", "梅雨？", relevant={"d1": 1}, answers=("雨季",)),
        Case("q3", "株価？", answerable=False),
    )
    dataset = Dataset("set", cases, PASSAGES)
    bot = FixedAnswers(
        {
            "雪？": answer("d3", 0, 7, confidence=confidence),
            "梅雨？": answer("d1", 0, 9, confidence=0.7),
            "株価？": replace(answer("d2", 0, 5, confidence=0.4), status="not_found"),
        }
    )
    return Evaluation(
        dataset="set",
        digest=dataset.digest,
        cases=3,
        passages=3,
        version="0.1.0",
        created="2026-11-23T00:00:00+00:00",
        generation="g",
        threshold=0.5,
        legs={
            "hybrid": retrieval.evaluate(FixedSearch(found), dataset, "hybrid", passage_ids=SAME)
        },
        answers=answer_evaluation.evaluate(bot, bot, dataset, passage_ids=SAME),
    )


BEFORE = {"雪？": [hit("d1"), hit("d3")], "梅雨？": [hit("d1")]}
AFTER = {"雪？": [hit("d3")], "梅雨？": [hit("d2"), hit("d3")]}


def test_a_result_file_reads_back_as_it_was(tmp_path: Path) -> None:
    before = evaluation(BEFORE)
    records.save(before, tmp_path / "new" / "a.json")
    assert records.load(tmp_path / "new" / "a.json") == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', "\x00"])
def test_a_file_that_is_no_result_is_one_clear_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DatasetError, match="結果ではありません") as raised:
        records.load(tmp_path / "a.json")
    assert "\n" not in raised.value.message


def test_a_missing_or_newer_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="読めません"):
        records.load(tmp_path / "none.json")
    records.save(replace(evaluation(BEFORE), format=99), tmp_path / "b.json")
    with pytest.raises(DatasetError, match="99"):
        records.load(tmp_path / "b.json")


def test_a_comparison_lists_what_got_better_and_worse() -> None:
    found = compare.compare(evaluation(BEFORE), evaluation(AFTER, confidence=0.2))
    leg = found.legs["hybrid"]
    assert [(c.id, c.before, c.after) for c in leg.better] == [("q1", "2 位", "1 位")]
    assert [(c.id, c.before, c.after) for c in leg.worse] == [("q2", "1 位", "圏外")]
    assert leg.differences["R@1"].value == 0
    assert leg.differences["R@10"].value == -0.5
    # answerable .9 .7 against .4 wins both pairs; .2 .7 against .4 one of two
    assert found.legs["answers"].differences["auroc"].value == pytest.approx(-0.5)
    assert found.legs["answers"].better == found.legs["answers"].worse == ()
    assert (found.shared, found.only_a, found.only_b, found.same_set) == (3, 0, 0, True)


def test_an_evaluation_compared_with_itself_shows_no_difference() -> None:
    found = compare.compare(evaluation(BEFORE), evaluation(BEFORE))
    for leg in found.legs.values():
        assert leg.better == leg.worse == ()
        assert all(d.value == 0 and d.p == 1 for d in leg.differences.values())


def test_evaluations_without_a_shared_question_cannot_be_compared() -> None:
    a = evaluation(BEFORE)
    other = replace(
        a,
        answers=None,
        legs={
            "hybrid": SearchLeg({}, {}, tuple(replace(r, id="x") for r in a.legs["hybrid"].rows))
        },
    )
    with pytest.raises(DatasetError, match="共通する質問がない"):
        compare.compare(a, other)
    with pytest.raises(DatasetError, match="共通する質問がない"):
        compare.compare(replace(a, legs={}), replace(a, answers=None))


def test_floors_name_measure_bound_and_value() -> None:
    found = evaluation(BEFORE)
    assert floors.breaches(found, {"hybrid.R@10": 1.0, "answers.auroc": 1, "answers.ece": 1}) == []
    (sentence,) = floors.breaches(found, {"hybrid.R@1": 0.75})
    assert sentence == "hybrid.R@1 が下限 0.75 を下回りました: 0.5000"
    (sentence,) = floors.breaches(found, {"answers.p95_ms": -1.0})
    assert sentence.startswith("answers.p95_ms が上限 -1 を上回りました")
    for unknown in ("dense.R@1", "hybrid.nonsense", "R@1"):
        (sentence,) = floors.breaches(found, {unknown: 0.5})
        assert sentence == f"{unknown} は測られていません（下限 0.5）。"


def test_a_measure_that_is_not_a_number_does_not_hold_a_floor() -> None:
    broken = records.Estimate(float("nan"), 0, 0, 0)
    leg = AnswerLeg({"auroc": broken}, {}, ())
    found = replace(evaluation(BEFORE), answers=leg)
    assert floors.breaches(found, {"answers.auroc": 0.0})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"a": "b"}', '{"a": true}', "[" * 100_000])
def test_a_malformed_floor_file_is_one_clear_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "f.json").write_text(content)
    with pytest.raises(DatasetError, match="下限のファイル"):
        floors.load(tmp_path / "f.json")
    with pytest.raises(DatasetError, match="読めません"):
        floors.load(tmp_path / "none.json")


def test_floors_load(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text(json.dumps({"answers.right_first": 0.9}))
    assert floors.load(tmp_path / "f.json") == {"answers.right_first": 0.9}
