from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from bot.errors import StoreUnavailable
from bot.records import Question
from bot.settings import load_settings
from bot.wiring import build_index, connect, multiply_on_one_thread, open_reader
from index.build import build
from index.encoder import load_encoder
from index.errors import EncoderUnavailable
from index.generation import current_generation
from index.records import Document
from tests.fake_encoder import FakeEncoder


def test_numpy_multiplies_on_one_thread() -> None:
    assert np.ones((4, 4)) @ np.ones(4) is not None  # its library is loaded
    with threadpool_limits(limits=2, user_api="blas"):
        multiply_on_one_thread()
        found = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
    assert found
    assert set(found) == {1}


def test_a_single_question_is_answered_without_the_database(tmp_path: Path) -> None:
    settings = load_settings({"home": tmp_path, "database": f"sqlite:///{tmp_path}"})
    document = Document("d", "東京", "東京は日本の首都です。\n", "tokyo.md")
    build(tmp_path, [document], encoder=load_encoder())
    with pytest.raises(StoreUnavailable):
        connect(settings)
    reader = open_reader(settings)
    try:
        assert reader.retriever.dense
        answer = reader.answerer.ask(Question("日本の首都はどこですか"))
        assert answer.citations[0].quote == "東京は日本の首都です。"
    finally:
        reader.close()


def test_an_index_with_vectors_is_not_replaced_by_one_without(tmp_path: Path) -> None:
    settings = load_settings({"home": tmp_path / "home"})
    (tmp_path / "tokyo.md").write_text("東京は日本の首都です。", encoding="utf-8")
    built = build_index(settings, [tmp_path / "tokyo.md"], encoder=FakeEncoder())
    (tmp_path / "tokyo.md").write_text("東京は日本の首都であった。", encoding="utf-8")
    with pytest.raises(EncoderUnavailable, match="残しました"):
        build_index(settings, [], encoder=None)
    assert current_generation(settings.home).name == built.generation
    (settings.home / "current").unlink()
    assert build_index(settings, [], encoder=None).chunks == 1


def test_a_reader_does_not_load_what_the_database_needs() -> None:
    code = "import sys, bot.wiring; assert 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
