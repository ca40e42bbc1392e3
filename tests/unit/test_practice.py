"""The practice documents: what training takes for right must be so."""

from __future__ import annotations

from pathlib import Path

from index.records import Document
from index.training.practice import Asked, read_practice, sections_of
from index.training.sources import LeakageFilter

KINDS = {"direct", "paraphrase", "reason", "confusable", "spoken", "english", "unanswerable"}


def _section(document: Document, number: int) -> str:
    start = document.outline[number].start
    after = document.outline[number + 1 :]
    own = document.text[start : after[0].start if after else None]
    return own.removeprefix(document.outline[number].title)


def _holding(document: Document, asked: Asked) -> int:
    sections = range(len(document.outline))
    return sum(asked.answer in _section(document, number) for number in sections)


def test_an_answer_stands_in_one_section_or_nowhere() -> None:
    trained, held_out = read_practice()
    for own in (*trained, *held_out):
        for asked in own.questions:
            assert asked.kind in KINDS
            assert bool(asked.answer) == (asked.kind != "unanswerable"), asked.question
            if asked.answer:
                assert _holding(own.document, asked) == 1, asked.question


def test_each_question_goes_to_the_section_that_answers_it() -> None:
    trained, _ = read_practice()
    for own in trained:
        answered = [asked.question for asked in own.questions if asked.answer]
        sections = sections_of([own])
        assert len(sections) == len(own.document.outline)
        assert sorted(q for one in sections for q, _ in one.questions) == sorted(answered)


def test_what_is_held_out_is_not_trained_on() -> None:
    trained, held_out = read_practice()
    assert len(trained) > 5 * len(held_out) > 0
    titles = {own.document.title for own in trained}
    assert not titles & {own.document.title for own in held_out}


def test_none_is_about_what_the_project_measures_with() -> None:
    corpus = Path(__file__).parents[2] / "corpus"
    pages = [path.read_text("utf-8") for path in (corpus / "documents").rglob("*.md")]
    asked = (corpus / "questions.jsonl").read_text("utf-8")
    leakage = LeakageFilter(pages)
    assert pages
    for part in read_practice():
        for own in part:
            assert leakage.share(own.document.text) < 0.05, own.document.title
            assert not any(one.question in asked for one in own.questions), own.document.title
            for name in ("docker", "kubernetes", "kubelet", "containerd", "cgroup"):
                assert name not in own.document.text.lower(), own.document.title
