"""What is particular to Milvus: an alias, and what a publisher that died has left."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.build import build
from index.engines.milvus import MilvusEngine
from index.errors import IndexDamaged, IndexMissing, IndexUnavailable
from index.generation import Generation, current_generation
from index.retrieve import Retriever
from tests.fake_encoder import FakeEncoder
from tests.unit.test_retrieve import document


def silent(stage: str, done: int, total: int) -> None:
    """Nobody looks."""


def test_a_publisher_that_dies_leaves_what_was_served(
    tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    engine = MilvusEngine(f"milvus://{tmp_path / 'kiku.db'}")
    build(tmp_path, [document("a.md", "古い文書です。")], encoder=fake_encoder)
    old = Generation(current_generation(tmp_path))
    engine.publish(old, keep=2, progress=silent)
    long = "新しい文書です。\n\n" + "長い文書の続きです。\n\n" * 20_000  # more than one row holds
    build(tmp_path, [document("a.md", long)], encoder=None)
    new = Generation(current_generation(tmp_path))

    def die(stage: str, done: int, total: int) -> None:
        if done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.publish(new, keep=2, progress=die)
    assert engine.generations() == [old.manifest.id]
    assert engine.open().manifest.id == old.manifest.id
    assert engine.publish(new, keep=2, progress=silent)
    retriever = Retriever.over(engine.open(), encoder=None)
    assert retriever.documents() == Retriever.open(tmp_path, encoder=None).documents()
    found = retriever.document(retriever.documents()[0].id)
    assert found is not None
    assert found.text == long
    engine.close()


@pytest.mark.parametrize(
    "url", ["milvus://kiku:secret@127.0.0.1:1/kiku", "milvus://kiku:secret@host:port/kiku"]
)
def test_a_server_that_is_not_there_is_told_in_one_sentence(url: str) -> None:
    engine = MilvusEngine(url)
    for work in (engine.served, engine.open):
        with pytest.raises((IndexUnavailable, IndexMissing, IndexDamaged)) as failure:
            work()
        assert "secret" not in failure.value.message
        assert "\n" not in failure.value.message
