"""The sentences of a passage, as candidates for an answer."""

from __future__ import annotations

import pytest

from index.sentences import _spans, without_marker


def spans(text: str, heading: str = "") -> list[tuple[str, str, bool]]:
    return [(text[s.start : s.end], s.header, s.row) for s in _spans(text, heading)]


def test_a_row_is_read_with_its_header() -> None:
    header = "| 版 | 終了 |"
    assert spans(f"{header}\n|---|---|\n| 8 | 2029年 |\n| 9 | 2032年 |") == [
        ("| 8 | 2029年 |", header, True),
        ("| 9 | 2032年 |", header, True),
    ]


def test_the_first_row_of_a_cut_table_is_no_header() -> None:
    assert spans("| 8 | 2029年 |\n| 9 | 2032年 |") == [
        ("| 8 | 2029年 |", "", True),
        ("| 9 | 2032年 |", "", True),
    ]


def test_a_header_ends_with_its_table() -> None:
    found = spans("| 版 |\n|---|\n| 8 |\n本文です。\n| 9 |")
    assert [header for _, header, _ in found] == ["| 版 |", "", ""]


def test_headings_and_rules_are_no_sentences() -> None:
    assert spans("# 手順\n---\n作ります。", "手順") == [("作ります。", "", False)]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("- 作ります。", "作ります。"),
        ("・作ります。", "作ります。"),
        ("-作ります。", "作ります。"),
        ("＃　手順", "＃　手順"),
        ("## 手順", "手順"),
        ("3. 作ります。", "作ります。"),
        ("（2）作ります。", "作ります。"),
        ("> 引用です。", "引用です。"),
    ],
)
def test_a_marker_is_no_part_of_the_sentence(line: str, text: str) -> None:
    assert without_marker(line) == text


@pytest.mark.parametrize(
    "line",
    [
        "--frozen を付けます。",
        "-5度まで使えます。",
        "#general に書きます。",
        "3.11 で加わりました。",
        "*args は組です。",
    ],
)
def test_what_begins_a_word_is_no_marker(line: str) -> None:
    assert without_marker(line) == line
