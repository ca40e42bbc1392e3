from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import drafting
from bot.drafting import QuestionFile, Review, Row
from index.errors import DatasetError
from index.evaluation import datasets, drafts
from index.records import Document


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        (
            "rktは、セキュリティを重視して作られたランタイムです。",
            "rktとは何ですか？",
            "セキュリティを重視して作られたランタイム",
        ),
        (
            "クローンの長所は、無料で使い続けられることである。",
            "クローンの長所は何ですか？",
            "無料で使い続けられること",
        ),
        (
            "- HashiCorp社は2025年2月にIBMの傘下に入りました。",
            "HashiCorp社はいつIBMの傘下に入りましたか？",
            "2025年2月",
        ),
        (
            "Ubuntuの最初の版は2004年10月に公開された。",
            "Ubuntuの最初の版が公開されたのはいつですか？",
            "2004年10月",
        ),
        (
            "このサーバーではなくマスターは3台の予備機を持ちます。",
            None,
            None,
        ),
        (
            "マスターは3台の予備機を持ちます。",
            "マスターは何台の予備機を持ちますか？",
            "3台の予備機",
        ),
        (
            "トークンの有効期間は既定で24時間です。",
            "トークンの有効期間は既定でどのくらいですか？",
            "24時間",
        ),
        (
            "DockerはCRIに対応していなかったため、開発者がdockershimという層を作りました。",
            "なぜ開発者がdockershimという層を作りましたか？",
            "DockerはCRIに対応していなかったため",
        ),
        (
            "OCIが設立されたのは、規格が分裂するのを防ぐためです。",
            "OCIが設立されたのはなぜですか？",
            "規格が分裂するのを防ぐため",
        ),
    ],
)
def test_a_sentence_becomes_a_natural_question(
    sentence: str, question: str | None, answer: str | None
) -> None:
    expected = None if question is None else (question, answer)
    assert drafts.question_for(sentence) == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "これは便利な機能のひとつです。",
        "また、rktは古いランタイムです。",
        "| rkt | セキュリティを重視したランタイム |",
        "# rktとは何か、その歴史",
        "主な仕事は次のとおりです。",
        "namespaceを操作するのはclone、unshare、setnsの3つです。",
        "短い文です。",
    ],
)
def test_what_no_rule_can_ask_well_is_left_alone(sentence: str) -> None:
    assert drafts.question_for(sentence) is None


@settings(deadline=None)
@given(
    st.text(
        alphabet="rkはがのにで、。年月12人個ためです公開されましたランタイム（）*`| \n",
        max_size=130,
    )
)
def test_an_answer_always_stands_in_its_sentence(sentence: str) -> None:
    made = drafts.question_for(sentence)
    if made:
        assert made[1] in sentence
        assert made[0].endswith("？")


def document(name: str, *sentences: str) -> Document:
    return Document(name, name, "\n\n".join(sentences), f"{name}.md")


DOCUMENTS = [
    document(
        "rkt",
        "rktは、安全を重視して作られたランタイムです。",
        "rktの開発は2020年2月に終了しました。",
        "LXCは、カーネルの隔離技術をまとめた仕組みです。",
    ),
    document(
        "lxd", "LXDの公開は2015年4月に始まりました。", "LXCは、低レベルのランタイムの一種です。"
    ),
]


def test_documents_take_turns_and_ambiguous_questions_are_left_out() -> None:
    picked = drafts.pick(DOCUMENTS, 10)
    assert {one.source for one in picked[:2]} == {"rkt.md", "lxd.md"}
    assert "LXCとは何ですか？" not in {one.question for one in picked}  # two sentences answer it
    assert len(picked) == 3
    assert drafts.pick(DOCUMENTS, 10) == picked
    assert drafts.pick(DOCUMENTS, 1) == picked[:1]
    rest = drafts.pick(DOCUMENTS, 10, known=[picked[0].id])
    assert {one.id for one in rest} == {one.id for one in picked[1:]}


class Shelf:
    """Documents to read, as a retriever gives them."""

    def documents(self) -> list[Document]:
        return DOCUMENTS

    def document(self, document_id: str) -> Document | None:
        return next((d for d in DOCUMENTS if d.id == document_id), None)


def files(tmp_path: Path) -> QuestionFile:
    return QuestionFile(tmp_path / "team" / "questions.jsonl", tmp_path / "skipped.txt")


def test_every_decision_is_kept_at_once_and_not_asked_again(tmp_path: Path) -> None:
    answers = iter(["accept", "skip", "stop"])
    seen: list[str] = []

    def person(review: Review) -> tuple[drafting.Decision, Row]:
        seen.append(review.row["id"])
        return next(answers), review.row  # type: ignore[return-value]

    file = files(tmp_path)
    waiting = drafting.reviews(Shelf(), file, 10)  # type: ignore[arg-type]
    assert drafting.decide(waiting, file, person) == (1, 1)
    assert [case.id for case in datasets.load(file.path).cases] == seen[:1]
    again = files(tmp_path)
    left = [r.row["id"] for r in drafting.reviews(Shelf(), again, 10)]  # type: ignore[arg-type]
    assert left == seen[2:]


def test_drafts_written_unseen_are_offered_first_and_mended_ones_replace_them(
    tmp_path: Path,
) -> None:
    file = files(tmp_path)
    for one in drafting.new_drafts(Shelf(), file, 2):  # type: ignore[arg-type]
        file.add_draft(drafting.row_of(one))
    with pytest.raises(DatasetError, match="下書きだけ"):
        datasets.load(file.path)
    reopened = files(tmp_path)
    first = next(drafting.reviews(Shelf(), reopened, 0))  # type: ignore[arg-type]
    reopened.accept(drafting.mended(first.row, " 直した質問？", ["答え "]))
    dataset = datasets.load(file.path)
    assert [(case.question, case.answers) for case in dataset.cases] == [
        ("直した質問？", ("答え",))
    ]
    assert dataset.drafts == 1


def test_a_file_that_is_no_question_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("大事なメモ\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="1 行目"):
        QuestionFile(tmp_path / "q.jsonl", tmp_path / "skipped.txt")
    assert (tmp_path / "q.jsonl").read_text(encoding="utf-8") == "大事なメモ\n"


def test_rows_keep_what_others_wrote_in_them(tmp_path: Path) -> None:
    row = {"id": "x", "question": "何？", "answers": ["a"], "review": True, "rating": "down"}
    (tmp_path / "q.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    file = QuestionFile(tmp_path / "q.jsonl", tmp_path / "skipped.txt")
    file.accept(file.pending[0])
    assert json.loads((tmp_path / "q.jsonl").read_text(encoding="utf-8"))["rating"] == "down"
