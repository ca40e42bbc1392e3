from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest

from index import retrieve
from index.build import build
from index.encoder import Encoding
from index.engines.local import _best
from index.records import Document, document_id
from index.retrieve import Mode, Retriever
from index.split import sentences
from tests.fake_encoder import FakeEncoder, PartsFakeEncoder

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
COLLECTIONS = ("公開", "人事", "経理")
QUESTIONS = (
    "containerdとは何ですか",
    "CentOS Linux 7のサポートはいつまで？",
    "chrootはいつ生まれた？",
    "dockershim の削除",
    "1.24",
)


def document(source: str, text: str, collection: str = "default") -> Document:
    return Document(document_id(source), Path(source).stem, text, source, collection)


@pytest.fixture(scope="module")
def retriever(built_home: Path, fake_encoder: FakeEncoder) -> Retriever:
    return Retriever.open(built_home, encoder=fake_encoder)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, fake_encoder: FakeEncoder) -> Retriever:
    """Twelve documents that all say the same, four in each collection."""
    documents = [
        document(f"{name}/{number}.md", f"給与は毎月{number}日に支払う。規程の{name}版。", name)
        for number in range(4)
        for name in COLLECTIONS
    ]
    home = tmp_path_factory.mktemp("mixed")
    build(home, documents, encoder=fake_encoder)
    return Retriever.open(home, encoder=fake_encoder)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("question", QUESTIONS)
def test_hits_are_passages_in_order(retriever: Retriever, question: str, mode: Mode) -> None:
    hits = retriever.search(question, 7, mode=mode)
    assert 0 < len(hits) <= 7
    assert len({hit.chunk.id for hit in hits}) == len(hits)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    for hit in hits:
        found = retriever.document(hit.document.id)
        assert found is not None
        assert found.text[hit.chunk.start : hit.chunk.end] == hit.chunk.text
        assert hit.chunk.document_id == hit.document.id
        assert hit.document.source == found.source


@pytest.mark.parametrize("question", QUESTIONS)
def test_ranks_are_those_of_the_legs(retriever: Retriever, question: str) -> None:
    lexical = retriever.search(question, 10, mode="lexical")
    dense = retriever.search(question, 10, mode="dense")
    assert [hit.lexical_rank for hit in lexical] == list(range(1, len(lexical) + 1))
    assert [hit.dense_rank for hit in dense] == list(range(1, len(dense) + 1))
    assert {hit.dense_rank for hit in lexical} == {hit.lexical_rank for hit in dense} == {None}
    by_words = {hit.chunk.id: hit.lexical_rank for hit in lexical}
    by_meaning = {hit.chunk.id: hit.dense_rank for hit in dense}
    for hit in retriever.search(question, 10):
        assert hit.lexical_rank or hit.dense_rank, "neither leg found this passage"
        if hit.chunk.id in by_words:
            assert hit.lexical_rank == by_words[hit.chunk.id]
        if hit.chunk.id in by_meaning:
            assert hit.dense_rank == by_meaning[hit.chunk.id]


def test_a_passage_is_found_by_its_best_sentence(tmp_path: Path) -> None:
    """Whichever leg puts a passage up, its dense score is that of its best vector."""
    long = "".join(f"第{n}項では手続き{n}と書類{n}について定める。" for n in range(12))
    texts = {
        "long.md": f"{long}慶弔見舞金は総務が払う。",
        "near.md": "慶弔の見舞いは総務の金で払う係が決める。",
        "far.md": "会議室は受付で借りる。",
    }
    encoder = PartsFakeEncoder()
    build(tmp_path, [document(name, text) for name, text in texts.items()], encoder=encoder)
    retriever = Retriever.open(tmp_path, encoder=encoder)
    question = "慶弔見舞金は総務が払う"
    vector = encoder.encode_queries([question]).vectors[0]
    for mode in MODES[:2]:
        hits = retriever.search(question, 3, mode=mode)
        for hit in hits:
            parts = encoder.encode_documents([f"{hit.document.title}\n{hit.chunk.text}"]).parts
            assert parts is not None
            assert hit.features["dense"] == pytest.approx((parts[0] @ vector).max(), abs=1e-3)
        assert hits[0].document.source == "long.md"
    retriever.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("question", ["ψξ", "🙂", "", "　", "\x00\x07", "ψ" * 5000])
def test_what_nothing_speaks_for_is_not_found(mixed: Retriever, question: str, mode: Mode) -> None:
    assert mixed.search(question, 10, mode=mode) == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_passage_without_any_score_never_enters(retriever: Retriever, question: str) -> None:
    for hit in retriever.search(question, 1000):
        assert hit.features["lexical"] > 0 or hit.features["dense"] > 0


class MuteEncoder(FakeEncoder):
    """Says the same of every text."""

    def _encode(self, texts: Sequence[str]) -> Encoding:
        return super()._encode(["同じ"] * len(texts))


class Translator(FakeEncoder):
    """Knows what one question in another language means."""

    def encode_queries(self, texts: Sequence[str]) -> Encoding:
        return super().encode_queries(["給与の支払い日" if t == "ψξ" else t for t in texts])


TEXTS = (
    "給与は毎月25日に支払う。",
    "休暇は年に20日ある。",
    "経費は月末に申請する。",
    "在宅の日を届け出る。",
)


def over(tmp_path: Path, encoder: FakeEncoder) -> Retriever:
    build(tmp_path, [document(f"{n}.md", t) for n, t in enumerate(TEXTS)], encoder=encoder)
    return Retriever.open(tmp_path, encoder=encoder)


def test_a_leg_that_says_nothing_changes_no_order(tmp_path: Path) -> None:
    mute = over(tmp_path, MuteEncoder(seed="-mute"))
    for question in ("給与の支払い", "休暇は何日", "月末の申請", "日"):
        words = [hit.chunk.id for hit in mute.search(question, 10, mode="lexical")]
        both = [hit.chunk.id for hit in mute.search(question, 10)]
        assert both[: len(words)] == words


def test_meaning_alone_finds_what_words_cannot(tmp_path: Path) -> None:
    translator = over(tmp_path, Translator(seed="-translator"))
    assert translator.search("ψξ", mode="lexical") == []
    found = translator.search("ψξ")
    assert [hit.chunk.id for hit in found] == [
        hit.chunk.id for hit in translator.search("ψξ", mode="dense")
    ]
    assert found[0].chunk.text == TEXTS[0]
    assert found[0].lexical_rank is None


def test_without_an_encoder_every_mode_searches_words(built_home: Path) -> None:
    retriever = Retriever.open(built_home, encoder=None)
    for mode in MODES:
        hits = retriever.search(QUESTIONS[0], 5, mode=mode)
        assert len(hits) == 5
        assert all(hit.lexical_rank and not hit.dense_rank and hit.score > 0 for hit in hits)
    assert retriever.search(QUESTIONS[0], 5, mode="dense") == retriever.search(
        QUESTIONS[0], 5, mode="lexical"
    )
    retriever.close()


@pytest.mark.parametrize("mode", MODES)
def test_a_collection_never_leaks(mixed: Retriever, mode: Mode) -> None:
    for chosen in chain.from_iterable(combinations(COLLECTIONS, n) for n in range(4)):
        seen = frozenset(chosen)
        hits = mixed.search("給与の支払い日", 5, mode=mode, collections=seen)
        assert {hit.document.collection for hit in hits} <= seen
        assert len(hits) == min(5, 4 * len(seen)), "the filter works after the search"
        summaries = mixed.documents(seen)
        assert {summary.collection for summary in summaries} == seen
        for summary in mixed.documents():
            visible = summary.collection in seen
            assert (mixed.document(summary.id, seen) is not None) is visible


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_collection_holds_nothing(mixed: Retriever, mode: Mode) -> None:
    unknown = frozenset({"ない"})
    assert mixed.search("給与", mode=mode, collections=unknown) == []
    assert mixed.documents(unknown) == []
    both = mixed.search("給与", 12, mode=mode, collections=unknown | {"人事"})
    assert {hit.document.collection for hit in both} == {"人事"}


@pytest.mark.parametrize("mode", MODES)
def test_as_many_are_found_as_are_asked_for(
    mixed: Retriever, retriever: Retriever, mode: Mode
) -> None:
    assert len(mixed.search("給与", 50, mode=mode)) == 12
    assert len(mixed.search("給与", 1, mode=mode)) == 1
    assert len(retriever.search("コンテナの版", 50, mode=mode)) == 50


def test_sentences_of_a_hit_are_scored(retriever: Retriever, built_home: Path) -> None:
    search = retriever.explain("CentOS Linux 7のサポートはいつまで？", 3)
    spans = sentences(search.hits[0].chunk.text)
    scores = retriever.sentence_scores(search, search.hits[0], spans)
    assert scores is not None
    assert scores.shape == (len(spans), 4)
    assert np.isfinite(scores).all()
    blind = Retriever.open(built_home, encoder=None)
    assert blind.sentence_scores(blind.explain("CentOS", 3), search.hits[0], spans) is None


def test_documents_come_in_the_order_of_their_sources(
    retriever: Retriever, few_documents: list[Path]
) -> None:
    assert [one.source for one in retriever.documents()] == [path.name for path in few_documents]
    assert retriever.document("0" * 16) is None
    assert retriever.skipped() == []


def test_threads_find_the_same(retriever: Retriever) -> None:
    questions = [*QUESTIONS, *(f"v1.{minor}のkubelet" for minor in range(5))] * 2

    def found(question: str) -> list[tuple[str, float]]:
        return [(hit.chunk.text, hit.score) for hit in retriever.search(question, 5)]

    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(found, questions))
    assert together == [found(question) for question in questions]


def test_no_more_search_at_a_time_than_there_are_turns(
    built_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.retrieve._TURN", threading.BoundedSemaphore(2))
    lock = threading.Lock()
    inside, most = 0, 0

    class Watched(FakeEncoder):
        def encode_queries(self, texts: Sequence[str]) -> Encoding:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with lock:
                inside -= 1
            return super().encode_queries(texts)

    watched = Retriever.open(built_home, encoder=Watched())
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(watched.search, [QUESTIONS[0]] * 12))
    assert all(found)
    assert most == 2


def test_threads_read_the_same_documents(built_home: Path, fake_encoder: FakeEncoder) -> None:
    shared = Retriever.open(built_home, encoder=fake_encoder)
    ids = [summary.id for summary in shared.documents()] * 30

    def read(identifier: str) -> tuple[str, str]:
        document = shared.document(identifier)
        assert document is not None
        return identifier, document.id

    with ThreadPoolExecutor(8) as pool:
        assert all(asked == got for asked, got in pool.map(read, ids))


@pytest.mark.parametrize("count", [0, 1, 50, 3000, 10_000, 300_000])
@pytest.mark.parametrize("levels", [0, 3, 10**6])
def test_the_best_scores_are_found_however_many_there_are(count: int, levels: int) -> None:
    """Few levels make many ties, of which the first ones count."""
    scores = np.random.default_rng(count).integers(0, levels + 1, count).astype(np.float32)
    wanted = sorted(np.flatnonzero(scores).tolist(), key=lambda place: (-scores[place], place))
    for k in (0, 1, 32):
        assert _best(scores, k) == wanted[:k]


def test_the_same_is_found_when_no_core_is_idle(retriever: Retriever) -> None:
    alone = [retriever.search(question, 7) for question in QUESTIONS]
    taken = 0
    while retrieve._TURN.acquire(blocking=False):
        taken += 1
    retrieve._TURN.release()  # one for the search itself
    try:
        assert [retriever.search(question, 7) for question in QUESTIONS] == alone
    finally:
        retrieve._TURN.release(taken - 1)


def test_an_encoder_that_fails_fails_the_question_and_no_other(built_home: Path) -> None:
    class Failing(FakeEncoder):
        def encode_queries(self, texts: Sequence[str]) -> Encoding:
            if "壊" in texts[0]:
                raise RuntimeError("no memory")
            return super().encode_queries(texts)

    retriever = Retriever.open(built_home, encoder=Failing())
    for _ in range(8):
        with pytest.raises(RuntimeError, match="no memory"):
            retriever.search("壊れた質問")
    assert retriever.search(QUESTIONS[0], 3)
