"""The sentences of a passage, as candidates for an answer."""

from __future__ import annotations

from index.sentences import _spans


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
