"""The parts of a passage that get vectors of their own."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.parts import SHORTEST, part_ends, part_of_tokens

LONG = "隔離されたプロセスを一つずつ動かす仕組みのことです。"


def parts(text: str) -> list[str]:
    ends = part_ends(text)
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def test_sentences_are_parts() -> None:
    assert parts(LONG + LONG) == [LONG, LONG]


def test_clauses_are_parts() -> None:
    first, second = (
        "コンテナはホストのカーネルを共有しながら、",
        "隔離されたプロセスを一つずつ動かす仕組みです。",
    )
    assert parts(first + second) == [first, second]


def test_latin_punctuation_ends_a_clause_before_a_space() -> None:
    assert parts("A container shares the kernel, 1,000 of them fit. They start fast enough.") == [
        "A container shares the kernel, ",
        "1,000 of them fit. They start fast enough.",
    ]


def test_a_short_title_goes_with_what_it_names() -> None:
    assert parts("コンテナ\n" + LONG + LONG) == ["コンテナ\n" + LONG, LONG]


def test_a_short_end_goes_with_what_stands_before() -> None:
    assert parts(LONG + "以上。") == [LONG + "以上。"]


def test_nothing_has_no_parts() -> None:
    assert part_ends("") == []


@given(st.text(alphabet="あ漢a。、！.,\n 」", max_size=300))
def test_the_parts_are_the_text(text: str) -> None:
    found = parts(text)
    assert "".join(found) == text
    assert all(len(part) >= SHORTEST for part in found[:-1])


@given(st.text(alphabet="あ漢a。\n", min_size=1, max_size=300))
def test_every_character_is_in_the_part_that_holds_it(text: str) -> None:
    owner = part_of_tokens(text, np.arange(len(text)))
    assert [len(part) for part in parts(text)] == np.bincount(owner).tolist()
