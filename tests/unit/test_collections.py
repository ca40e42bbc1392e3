"""What somebody may not see changes nothing for them: the answer is that of an index without it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.answer import Answerer
from bot.records import Question
from index.build import build
from index.lexical import LexicalIndex, terms
from index.query import Synonyms
from index.records import Document, Heading, document_id
from index.retrieve import Mode, Retriever
from tests.fake_encoder import FakeEncoder

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
NAMES = ("公開", "人事", "経理")
# Names that are spellings of one another, words that are parts of others, versions, common words.
PHRASES = (
    "containerdはコンテナを動かす。",
    "contanierdという名前は誤りである。",
    "コンテナディーは containerd の読みである。",
    "給与は毎月25日に支払う。",
    "給与規程は人事部が定める。",
    "解雇の対象者は 1.24 以降に決める。",
    "Kubernetes 1.23 まで使えた。",
    "クバネティスは Kubernetes のことである。",
    "休暇は年に20日ある。",
    "東京都の人事部と経理部。",
)
QUESTIONS = (
    "containerdとは何ですか",
    "contanerdとは？",
    "コンテナデー",
    "給与はいつ支払う？",
    "解雇の対象者は誰ですか",
    "クバネティスの版は1.24?",
    "人事部の給与規程と休暇",
    "東京都",
)
SYNONYMS = Synonyms([["給与", "給料", "サラリー"], ["Kubernetes", "k8s"]])
DOCUMENTS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(["規程", "手順 containerd", "Kubernetes"]),
        st.lists(st.sampled_from(PHRASES), min_size=1, max_size=4),
    ),
    min_size=3,
    max_size=14,
)


def document(number: int, collection: str, title: str, lines: list[str]) -> Document:
    source = f"{number:02}.md"
    text = f"{title}\n\n" + "\n\n".join(lines)
    return Document(
        document_id(source), title, text, source, collection,
        date=f"2026-01-{number + 1:02}", outline=(Heading(0, 1, title),),
    )  # fmt: skip


def opened(home: Path, documents: list[Document]) -> Retriever:
    build(home, documents, encoder=FakeEncoder())
    return Retriever.open(home, encoder=FakeEncoder(), synonyms=SYNONYMS)


def said(answerer: Answerer, question: str, collections: frozenset[str]) -> dict[str, Any]:
    answer = answerer.ask(Question(question, collections=collections))
    return asdict(replace(answer, id="", conversation_id="", took_ms=0.0))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(DOCUMENTS, st.sets(st.sampled_from(NAMES), min_size=1, max_size=2))
def test_an_answer_is_that_of_an_index_of_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, list[str]]],
    seen: set[str],
) -> None:
    documents = [document(number, *row) for number, row in enumerate(rows)]
    own = [one for one in documents if one.collection in seen]
    if not own:
        return
    base = tmp_path_factory.mktemp("collections")
    everything, alone = opened(base / "everything", documents), opened(base / "alone", own)
    collections = frozenset(seen)
    assert everything.documents(collections) == alone.documents()
    for question in QUESTIONS:
        for mode in MODES:
            found = everything.search(question, 10, mode=mode, collections=collections)
            assert found == alone.search(question, 10, mode=mode)
        answers = [
            said(Answerer(lambda retriever=retriever: retriever), question, collections)
            for retriever in (everything, alone)
        ]
        assert answers[0] == answers[1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PHRASES), st.integers(0, 3)), min_size=1, max_size=12),
    st.sets(st.integers(0, 3), max_size=4),
)
def test_words_of_some_collections_are_those_of_an_index_of_them(
    rows: list[tuple[str, int]], seen: set[int]
) -> None:
    bodies = [terms(text) for text, _ in rows]
    blank = terms("")
    last = max(number for _, number in rows)
    seen = {number for number in seen if number <= last}
    whole = LexicalIndex.build(bodies, [blank] * len(rows), [number for _, number in rows])
    own = [place for place, (_, number) in enumerate(rows) if number in seen]
    alone = LexicalIndex.build([bodies[place] for place in own], [blank] * len(own))
    part = whole.within(seen)
    assert list(part.names) == list(alone.names)
    for key in {key for body in bodies for key in body.keys.tolist()}:
        assert part.holds(key) == alone.holds(key)
        assert part.idf(key) == alone.idf(key)
        scores = part.score([[((key,), 1.0)]])
        np.testing.assert_array_equal(scores[own], alone.score([[((key,), 1.0)]]))
        assert not np.delete(scores, own).any()


def test_a_document_of_another_collection_is_not_there(tmp_path: Path) -> None:
    documents = [document(n, name, "規程", [PHRASES[3]]) for n, name in enumerate(NAMES)]
    retriever = opened(tmp_path, documents)
    for one in documents:
        assert retriever.document(one.id, frozenset({one.collection})) is not None
        assert retriever.document(one.id, frozenset(NAMES) - {one.collection}) is None
        assert retriever.document(one.id, frozenset()) is None
    assert retriever.documents(frozenset()) == []
    assert retriever.search("給与", collections=frozenset()) == []
    assert retriever.search("給与", collections=frozenset({"ない"})) == []
