from __future__ import annotations

import pytest

from index.english import in_japanese, is_function_word, names, stems


@pytest.mark.parametrize(
    ("word", "stem"),
    [("layers", "layer"), ("shared", "share"), ("dependencies", "dependency"), ("running", "run")],
)
def test_a_word_without_its_ending(word: str, stem: str) -> None:
    assert next(iter(stems(word))) == word
    assert stem in stems(word)


def test_an_english_word_in_japanese() -> None:
    assert "公開" in in_japanese("released")
    assert in_japanese("released") == in_japanese("release")
    assert in_japanese("kubernetes") == ()


def test_function_words() -> None:
    assert all(map(is_function_word, "what did the from".split()))
    assert not any(map(is_function_word, ("docker", "default")))


def test_a_name_has_a_capital_where_no_sentence_begins() -> None:
    assert names("Which company acquired VMware?") == {"vmware"}
    assert names("Does The Harbor scan images?") == {"harbor"}
