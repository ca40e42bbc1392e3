"""Every engine finds what the local files give: the same passages, in the same order, for the same
people. The files are the oracle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest

from index.bringing import bring_home
from index.build import build
from index.encoder import Encoder
from index.engines.contract import Engine
from index.engines.milvus import MilvusEngine
from index.engines.postgres import PostgresEngine
from index.errors import IndexMismatch, IndexMissing
from index.generation import Generation, current_generation
from index.query import Synonyms
from index.records import Hit
from index.retrieve import Mode, Retriever
from tests.conftest import ROOT
from tests.fake_encoder import FakeEncoder
from tests.postgres_server import PostgresServer, fresh_database
from tests.unit.test_retrieve import COLLECTIONS, document

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")
JSQUAD = ROOT.parent / "shared" / "data" / "jsquad-valid"
Open = Callable[..., Any]  # an engine that tells its generations, too
SYNONYMS = Synonyms([["締め切り", "期限"], ["コンテナランタイム", "containerd", "CRI-O"]])


@pytest.fixture(scope="session", params=["postgres", "milvus"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Open]:
    """Opens a new, empty engine; `exact_up_to` says past how many vectors it uses a graph."""
    opened: list[Any] = []

    def open_engine(**options: int) -> Any:
        if request.param == "milvus":
            pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
            path = tmp_path_factory.mktemp("milvus") / "kiku.db"
            opened.append(MilvusEngine(f"milvus://{path}", **options))
            return opened[-1]
        server: PostgresServer = request.getfixturevalue("postgres")
        opened.append(PostgresEngine(fresh_database(server), **options))
        return opened[-1]

    yield open_engine
    for one in opened:
        one.close()


def published(engine: Engine, home: Path) -> Engine:
    generation = Generation(current_generation(home))
    assert engine.publish(generation, keep=2, progress=silent)
    return engine


def silent(stage: str, done: int, total: int) -> None:
    """Nobody looks."""


@pytest.fixture(scope="module")
def copied(engine: Open, built_home: Path) -> Engine:
    """The handful of documents in an engine."""
    return published(engine(), built_home)


def pair(home: Path, engine: Engine, encoder: Encoder) -> tuple[Retriever, Retriever]:
    """The files, and the engine."""
    here = Retriever.open(home, encoder=encoder, synonyms=SYNONYMS)
    return here, Retriever.over(engine.open(), encoder=encoder, synonyms=SYNONYMS)


def agree(expected: list[Hit], found: list[Hit]) -> None:
    """The same passages with the same values, in the same order but for ties."""
    assert [hit.score for hit in found] == pytest.approx(
        [hit.score for hit in expected], rel=1e-4, abs=1e-4
    )
    values = {hit.chunk.id: hit for hit in expected}
    last = expected[-1].score if expected else 0.0
    for hit in found:
        other = values.get(hit.chunk.id)
        if other is None:
            assert hit.score == pytest.approx(last, rel=1e-4, abs=1e-4), "better than the last"
            continue
        assert (hit.chunk, hit.document) == (other.chunk, other.document)
        both = hit.features.keys() & other.features.keys()  # of equals, any may be read closely
        assert {name: hit.features[name] for name in both} == pytest.approx(
            {name: other.features[name] for name in both}, rel=1e-4, abs=1e-4
        )


def questions() -> list[str]:
    """Questions on the corpus that comes with Kiku, and some that are none."""
    rows = (ROOT / "corpus" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [str(json.loads(row)["question"]) for row in rows][::15]
    return [*asked, "締め切りはいつ", "コンテナランタイムの contanierd とは", "日", "ψξ", "", "の"]


@pytest.mark.parametrize("mode", MODES)
def test_the_same_is_found(
    copied: Engine, built_home: Path, fake_encoder: FakeEncoder, mode: Mode
) -> None:
    here, there = pair(built_home, copied, fake_encoder)
    assert there.generation == here.generation
    assert there.manifest == here.manifest
    for question in questions():
        agree(here.search(question, 10, mode=mode), there.search(question, 10, mode=mode))
    agree(here.search("版", 1, mode=mode), there.search("版", 1, mode=mode))


def test_ranks_and_sentences_are_the_same(
    copied: Engine, built_home: Path, fake_encoder: FakeEncoder
) -> None:
    here, there = pair(built_home, copied, fake_encoder)
    for question in questions()[:10]:
        one, other = here.explain(question, 5), there.explain(question, 5)
        assert other.query == one.query
        ranks = {hit.chunk.id: (hit.dense_rank, hit.lexical_rank) for hit in other.hits}
        for hit in one.hits:
            assert ranks.get(hit.chunk.id) == (hit.dense_rank, hit.lexical_rank)
            spans = [(0, len(hit.chunk.text) // 2), (len(hit.chunk.text) // 2, len(hit.chunk.text))]
            expected = here.sentence_scores(one, hit, spans)
            found = there.sentence_scores(other, hit, spans)
            assert expected is not None
            assert found == pytest.approx(expected, abs=1e-5)


def test_documents_are_the_same(
    copied: Engine, built_home: Path, fake_encoder: FakeEncoder
) -> None:
    here, there = pair(built_home, copied, fake_encoder)
    assert there.documents() == here.documents()
    assert there.skipped() == here.skipped()
    for summary in here.documents():
        assert there.document(summary.id) == here.document(summary.id)
    assert there.document("0" * 16) is None
    assert there.document("\0'; DROP TABLE documents; --") is None


@pytest.fixture(scope="module")
def mixed(
    engine: Open, tmp_path_factory: pytest.TempPathFactory, fake_encoder: FakeEncoder
) -> tuple[Retriever, Retriever]:
    """Three collections of different size that share words and hold some of their own."""
    texts = [
        (
            name,
            number,
            f"給与は毎月{number}日に支払う。{'規程の長い説明が続く。' * (number % 3)}{own}",
        )
        for name, count, own in zip(
            COLLECTIONS,
            (3, 7, 12),
            ("公開資料", "人事考課の秘密", "経理のKubernetes請求"),
            strict=True,
        )
        for number in range(count)
    ]
    documents = [document(f"{name}/{number}.md", text, name) for name, number, text in texts]
    home = tmp_path_factory.mktemp("mixed")
    build(home, documents, encoder=fake_encoder)
    return pair(home, published(engine(), home), fake_encoder)


@pytest.mark.parametrize("mode", MODES)
def test_everybody_sees_what_they_may_and_its_scores(
    mixed: tuple[Retriever, Retriever], mode: Mode
) -> None:
    here, there = mixed
    chosen = chain.from_iterable(combinations((*COLLECTIONS, "ない"), n) for n in range(5))
    for names in chosen:
        seen = frozenset(names)
        for question in ("給与の支払い日", "人事考課の秘密", "Kubernets請求", "5日", "ψξ"):
            found = there.search(question, 12, mode=mode, collections=seen)
            assert {hit.document.collection for hit in found} <= seen
            agree(here.search(question, 12, mode=mode, collections=seen), found)
        assert there.documents(seen) == here.documents(seen)
        for summary in here.documents():
            visible = there.document(summary.id, seen)
            assert visible == here.document(summary.id, seen)
            assert (visible is not None) is (summary.collection in seen)


def test_without_an_encoder_words_are_searched(
    engine: Open, lexical_home: Path, copied: Engine
) -> None:
    here = Retriever.open(lexical_home, encoder=None)
    for there in (
        Retriever.over(published(engine(), lexical_home).open(), encoder=None),
        Retriever.over(copied.open(), encoder=None),
    ):
        assert not there.dense
        for mode in MODES:
            agree(
                here.search("containerdとは", 5, mode=mode),
                there.search("containerdとは", 5, mode=mode),
            )


def test_a_graph_finds_nearly_the_same(
    engine: Open, built_home: Path, fake_encoder: FakeEncoder
) -> None:
    here, there = pair(built_home, published(engine(exact_up_to=10), built_home), fake_encoder)
    asked = [question for question in questions() if here.search(question, 10, mode="dense")]
    shared = total = 0
    for question in asked:
        best = {hit.chunk.id for hit in here.search(question, 10, mode="dense")}
        shared += len(best & {hit.chunk.id for hit in there.search(question, 10, mode="dense")})
        total += len(best)
    assert shared / total > 0.97


def test_generations_follow_each_other(
    engine: Open, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    place = engine()
    with pytest.raises(IndexMissing):
        place.served()
    with pytest.raises(IndexMissing):
        place.open()
    names = []
    for number in range(4):
        build(tmp_path, [document("a.md", f"版{number}の文書です。")], encoder=fake_encoder)
        generation = Generation(current_generation(tmp_path))
        assert place.publish(generation, keep=2, progress=silent)
        assert not place.publish(generation, keep=2, progress=silent), "served already"
        names.append(generation.manifest.id)
        assert place.served() == names[-1]
        retriever = Retriever.over(place.open(), encoder=fake_encoder)
        assert retriever.search("版の文書")[0].chunk.text == f"版{number}の文書です。"
    assert place.generations() == names[-2:]
    assert place.roll_back() == names[-2]
    assert place.served() == names[-2]
    with pytest.raises(IndexMissing):
        place.roll_back()
    assert place.publish(generation, keep=2, progress=silent), "forwards again, without a copy"
    assert place.served() == names[-1]
    assert place.generations() == names[-2:]


def test_an_index_is_brought_home_without_encoding(
    copied: Engine, built_home: Path, tmp_path: Path
) -> None:
    encoder = FakeEncoder()
    report = bring_home(copied.open(), tmp_path, encoder=encoder, keep=2)
    assert (report.embedded, encoder.encoded) == (0, 0)
    here, back = (Retriever.open(home, encoder=encoder) for home in (built_home, tmp_path))
    assert back.documents() == here.documents()
    for question in questions():
        agree(here.search(question, 10), back.search(question, 10))
    with pytest.raises(IndexMismatch):
        bring_home(copied.open(), tmp_path, encoder=FakeEncoder(seed="-other"), keep=2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_same_is_found_in_jsquad(
    engine: Open, tmp_path_factory: pytest.TempPathFactory, shipped_encoder: Encoder
) -> None:
    """500 questions against 1,145 passages, with the encoder that is shipped."""
    if not JSQUAD.is_dir():
        pytest.skip("../shared/data/jsquad-valid is not there")
    from index.evaluation.corpus import build_corpus
    from index.evaluation.datasets import load, sample

    home = tmp_path_factory.mktemp("jsquad")
    dataset = load(JSQUAD)
    build_corpus(home, dataset, encoder=shipped_encoder)
    here, there = pair(home, published(engine(), home), shipped_encoder)
    for case in sample(dataset, 500).cases:
        agree(here.search(case.question, 10), there.search(case.question, 10))
