from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.normalize import fold, has_words, is_english

ASCII = st.characters(min_codepoint=0x21, max_codepoint=0x7E)


@pytest.mark.parametrize(
    ("typed", "folded"),
    [
        ("ＤＯＣＫＥＲ　ｖ１．２４", "docker v1.24"),
        ("ﾄﾞｯｶｰ", "ドッカー"),
        ("㍿", "株式会社"),
        ("サ−バ―", "サーバー"),
        ("ラーメン〜", "ラーメンー"),
        ("v1.5〜v1.23", "v1.5〜v1.23"),
        ("cri‐dockerd", "cri-dockerd"),
        ("コンテナ　ランタイム", "コンテナランタイム"),
        ("コンテナ Docker 入門", "コンテナ docker 入門"),
        ("ド\u200bッカ\x00ー", "ドッカー"),
        ("Straße", "strasse"),
        ("一行目\n二行目", "一行目\n二行目"),
        ("", ""),
    ],
)
def test_what_differs_in_typing_only_is_the_same(typed: str, folded: str) -> None:
    assert fold(typed) == folded


@given(st.text(ASCII))
def test_full_width_letters_are_the_letters(text: str) -> None:
    wide = "".join(chr(ord(character) + 0xFEE0) for character in text)
    assert fold(wide) == fold(text)


@given(st.text())
def test_any_text_folds_to_something_printable(text: str) -> None:
    folded = fold(text)
    kept = {"\n", "\t", "\r"}
    assert not any(c < " " for c in folded if c not in kept)
    assert "\u200b" not in folded
    assert "\ufeff" not in folded


@given(st.text(st.characters(codec="utf-8")))
def test_composed_and_decomposed_letters_are_the_same(text: str) -> None:
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize("text", ["は", "1", "Docker", "漢字🙂", "한국어", "ไทย"])
def test_letters_and_digits_of_any_script_are_words(text: str) -> None:
    assert has_words(text)


@pytest.mark.parametrize(
    "text", ["", " \n\t　", "🙂🎉👩‍💻", "？！…", "\x00\x07\x1b", "\u200b\ufeff"]
)
def test_symbols_and_blanks_are_not(text: str) -> None:
    assert not has_words(text)


@pytest.mark.parametrize(
    ("question", "english"),
    [
        ("What is a container runtime?", True),
        ("ｗｈａｔ ｉｓ ｒｋｔ", True),
        ("Dockerとは", False),
        ("containerd の既定は", False),
        ("漢字", False),
        ("1.24", False),
        ("한국어", False),
    ],
)
def test_the_language_of_a_question(question: str, english: bool) -> None:
    assert is_english(question) is english
