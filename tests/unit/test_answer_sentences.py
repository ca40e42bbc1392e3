"""Close reading where it is asked for: of passages and of sentences that are close to each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.compose import extractive
from bot.compose.extractive import extract
from index.answer_sentences import rank_sentences
from index.build import build
from index.close_reader import Candidate
from index.fuse import WEIGHTS
from index.records import Document, document_id
from index.retrieve import Retriever
from tests.fake_encoder import FakeEncoder

ALIKE = (
    "会議室Aの定員は十名です。予約は総務が受けます。",
    "会議室Bの定員は十名です。予約は総務が受けます。",
    "会議室Cの定員は十名です。予約は総務が受けます。",
)
ASKED = "会議室の定員と予約は？"


class Prefers:
    """A close reader that takes what holds a word for the answer."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.read_: list[list[Candidate]] = []

    def read(self, question: str, candidates: Sequence[Candidate]) -> np.ndarray:
        self.read_.append(list(candidates))
        odds = [9.0 if self.word in candidate.text else -9.0 for candidate in candidates]
        return np.array(odds, np.float32)


Opened = Callable[[Any], Retriever]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    home = tmp_path_factory.mktemp("rooms")
    documents = [
        Document(document_id(f"{n}.md"), f"案内{n}", text, f"{n}.md")
        for n, text in enumerate(ALIKE)
    ]
    build(home, documents, encoder=FakeEncoder())

    def open_with(reader: Any) -> Retriever:
        encoder = FakeEncoder()
        encoder.close_reader = reader
        return Retriever.open(home, encoder=encoder)

    return open_with


@pytest.mark.parametrize("room", ["A", "B", "C"])
def test_close_passages_stand_as_the_close_reader_says(opened: Opened, room: str) -> None:
    search = opened(Prefers(f"会議室{room}")).explain(ASKED, 3)
    assert f"会議室{room}" in search.hits[0].chunk.text
    assert f"会議室{room}" in search.sentences[0].text
    best, rest = search.hits[0], search.hits[1:]
    assert best.features["close"] == pytest.approx(0.9)
    assert all(hit.features["close"] < 0 for hit in rest)
    assert best.score - rest[0].score > WEIGHTS["close"]


@pytest.mark.parametrize("word", ["総務", "定員"])
def test_the_sentence_that_is_quoted_is_the_one_it_prefers(opened: Opened, word: str) -> None:
    retriever = opened(Prefers(word))
    found = extract(retriever, retriever.explain(ASKED, 3), 3)
    first = found.evidence[0]
    start = first.start - first.hit.chunk.start
    assert word in first.hit.chunk.text[start : first.end - first.hit.chunk.start]
    assert found.features["read_closely"] == 1.0
    assert found.features["close"] == pytest.approx(0.9)


def test_what_stands_in_several_passages_is_read_once_for_all(opened: Opened) -> None:
    reader = Prefers("総務")
    search = opened(reader).explain(ASKED, 3)
    (read,) = reader.read_
    texts = [candidate.text for candidate in read]
    assert len(set(texts)) == len(texts)
    same = [one for one in search.sentences if one.text == "予約は総務が受けます。"]
    assert len(same) == 3
    assert {round(one.features["close"], 3) for one in same} == {0.9}


def test_it_is_asked_once_for_search_and_answer(opened: Opened) -> None:
    reader = Prefers("定員")
    retriever = opened(reader)
    extract(retriever, retriever.explain(ASKED, 3), 3)
    assert len(reader.read_) == 1


def test_it_is_asked_in_english_too(opened: Opened) -> None:
    reader = Prefers("定員")
    retriever = opened(reader)
    extract(retriever, retriever.explain("What is the capacity of the meeting room?", 3), 3)
    assert reader.read_


def test_nothing_is_read_where_one_stands_out(tmp_path: Path) -> None:
    documents = [
        Document(document_id("a.md"), "給与", "給与は毎月25日に支払う。", "a.md"),
        Document(document_id("b.md"), "花壇", "花壇の水やりは当番が行う。", "b.md"),
    ]
    build(tmp_path, documents, encoder=FakeEncoder())
    reader = Prefers("水やり")
    encoder = FakeEncoder()
    encoder.close_reader = reader  # type: ignore[assignment]
    retriever = Retriever.open(tmp_path, encoder=encoder)
    found = extract(retriever, retriever.explain("給与は毎月何日に支払うか", 3), 3)
    assert not reader.read_
    assert found.features["read_closely"] == 0.0
    assert found.evidence[0].hit.document.title == "給与"


@pytest.mark.parametrize(
    ("below", "quoted"),
    [
        ((0, 1, 2, 9), "一つ目は赤い。二つ目は青い。三つ目は白い。"),
        ((0, 1, 9, 2), "一つ目は赤い。二つ目は青い。"),
        ((3, 0, 1, 2), "二つ目は青い。三つ目は白い。\n四つ目は黒い。"),
        ((0, 9, 1, 1), "一つ目は赤い。"),
    ],
)
def test_neighbours_that_score_nearly_as_well_are_quoted_with_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: tuple[int, ...], quoted: str
) -> None:
    text = "一つ目は赤い。二つ目は青い。三つ目は白い。\n四つ目は黒い。"
    build(tmp_path, [Document(document_id("a.md"), "色", text, "a.md")], encoder=FakeEncoder())
    retriever = Retriever.open(tmp_path, encoder=FakeEncoder())
    search = retriever.explain("色は？", 3)
    inline = sorted(rank_sentences(retriever, search, search.hits), key=lambda one: one.start)
    scored = [replace(one, score=-float(less)) for one, less in zip(inline, below, strict=True)]
    scored.sort(key=lambda one: -one.score)
    monkeypatch.setattr(extractive, "rank_sentences", lambda *_: scored)
    found = extract(retriever, search, 5)
    first = found.evidence[0]
    assert text[first.start : first.end] == quoted
    assert found.used == len({(piece.start, piece.end) for piece in found.evidence[: found.used]})
