"""The corpus that ships with Kiku, read by the encoder that ships with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.answer import Answerer
from bot.records import Question, Turn
from index.encoder import Encoder
from index.generation import Generation, current_generation
from index.query import Synonyms
from index.retrieve import Retriever

CORPUS = Path(__file__).parents[2] / "corpus"
EVERY = 9  # of the gold questions one in so many is asked here; `kiku eval` asks them all


@pytest.fixture(scope="module")
def retriever(corpus_home: Path, shipped_encoder: Encoder) -> Iterator[Retriever]:
    synonyms = Synonyms.read(CORPUS / "synonyms.toml")
    retriever = Retriever.open(corpus_home, encoder=shipped_encoder, synonyms=synonyms)
    yield retriever
    retriever.close()


def cases() -> list[dict[str, object]]:
    lines = (CORPUS / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines][::EVERY]


def test_the_whole_corpus_is_read(retriever: Retriever, corpus_home: Path) -> None:
    found = {summary.source for summary in retriever.documents()}
    assert found == {path.name for path in (CORPUS / "documents").glob("*.md")}
    assert retriever.skipped() == []
    assert retriever.dense
    generation = Generation(current_generation(corpus_home))
    generation.verify()


def test_whatever_is_asked_every_citation_is_verbatim(retriever: Retriever) -> None:
    answerer = Answerer(lambda: retriever)
    for case in cases():
        turns = tuple(Turn("user", str(text)) for text in case.get("history", ()))  # type: ignore[attr-defined]
        answer = answerer.ask(Question(str(case["question"]), history=turns))
        assert answer.citations, case
        for citation in answer.citations:
            document = retriever.document(citation.document_id)
            assert document is not None
            assert citation.quote == document.text[citation.start : citation.end]
        if answer.status == "answered":
            assert answer.answer.count("[") > 0


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("chrootはいつ頃からありますか？", "chroot.md"),
        ("コンテナーディーって何？", "containerd.md"),
        ("dokcershimはどうなった？", "dockershim.md"),
        ("What is rkt?", "rkt.md"),
    ],
)
def test_the_article_on_a_thing_is_found(retriever: Retriever, question: str, source: str) -> None:
    assert source in [hit.document.source for hit in retriever.search(question, 5)]
