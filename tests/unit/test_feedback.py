from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.records import Answer, Citation, Question
from bot.store import Store
from bot.store.feedback import export_cases, report
from index.errors import KikuError
from index.evaluation.datasets import load

CITATION = Citation(
    1, "d", "規程", (), "rules.md", 0, 8, "毎月25日です。", "毎月25日です。", 0, 0.9, "/sources/d"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path}/kiku.sqlite")
    yield store
    store.close()


def ask(store: Store, answer_id: str, text: str, *, conversation: str, found: bool = True) -> None:
    citations = (CITATION, replace(CITATION, number=2, quote="使われなかった引用。"))
    answer = Answer(
        answer_id,
        "answered" if found else "not_found",
        "毎月25日です。[1]" if found else "文書には書かれていません。",
        0.9,
        conversation,
        citations,
        1.0,
    )
    store.record(Question(text), answer)


def exported(store: Store, path: Path) -> list[dict[str, Any]]:
    count = export_cases(store, path)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len(rows) == count
    return rows


def test_cases_hold_what_was_accepted_and_ask_a_person_about_the_rest(
    store: Store, tmp_path: Path
) -> None:
    ask(store, "a1", "給与はいつですか？", conversation="c1")
    ask(store, "a2", "賞与は？", conversation="c1")
    ask(store, "a3", "社員食堂は？", conversation="c2", found=False)
    ask(store, "a4", "誰も評価しない質問", conversation="c3")
    store.rate("a1", "up", by="u1")
    store.rate("a2", "down", "6月と12月です", by="u1")
    store.rate("a2", "up", by="u2")
    first, second, third = exported(store, tmp_path / "out" / "cases.jsonl")
    assert first == {
        "id": first["id"],
        "kind": "accepted",
        "question": "給与はいつですか？",
        "answers": ["毎月25日です。"],
    }
    assert second == {
        "id": second["id"],
        "kind": "rejected",
        "history": ["給与はいつですか？"],
        "question": "賞与は？",
        "answers": [],
        "review": True,
        "comment": "6月と12月です",
    }
    assert (third["kind"], third["question"], third["review"]) == (
        "unanswered",
        "社員食堂は？",
        True,
    )
    assert len({first["id"], second["id"], third["id"]}) == 3


def test_the_evaluation_reads_what_was_exported(store: Store, tmp_path: Path) -> None:
    ask(store, "a1", "給与はいつですか？", conversation="c1")
    ask(store, "a2", "社員食堂は？", conversation="c2", found=False)
    store.rate("a1", "up")
    export_cases(store, tmp_path / "cases.jsonl")
    dataset = load(tmp_path / "cases.jsonl")
    assert [case.question for case in dataset.cases] == ["給与はいつですか？"]
    assert dataset.drafts == 1


def test_a_question_asked_again_is_one_case_by_its_last_answer(
    store: Store, tmp_path: Path
) -> None:
    ask(store, "a1", "給与はいつですか？", conversation="c1", found=False)
    ask(store, "a2", "給与はいつですか？", conversation="c2")
    store.rate("a2", "up")
    [case] = exported(store, tmp_path / "cases.jsonl")
    assert case["kind"] == "accepted"


def test_an_export_that_cannot_be_written_is_told(store: Store) -> None:
    with pytest.raises(KikuError, match="書き出せません"):
        export_cases(store, Path("/proc/nowhere/cases.jsonl"))


def test_the_report_counts_and_lists(store: Store) -> None:
    ask(store, "a1", "給与はいつですか？", conversation="c1")
    ask(store, "a2", "社員食堂は\n何時までですか？", conversation="c2", found=False)
    store.rate("a1", "down", "古い")
    text = report(store, 7)
    assert "質問 2 件、回答 1 件（50%）、見つからず 1 件、👍 0、👎 1" in text
    often = text.partition("よく尋ねられた質問")[2].partition("答えが見つからなかった質問")[0]
    assert "給与はいつですか？" in often
    assert "社員食堂は 何時までですか？" in text
    assert "給与はいつですか？（古い）" in text
    assert "規程" in text


def test_the_report_of_nothing_is_no_failure(store: Store) -> None:
    assert "質問 0 件" in report(store)
