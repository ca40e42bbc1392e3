"""Which lines of a page are rows of a table, told by the gaps in them."""

from __future__ import annotations

import pytest

from index.sources.grid import Cell, rows_of


def line(*cells: tuple[float, str]) -> tuple[Cell, ...]:
    """Cells of letters ten points wide, by where they begin."""
    return tuple(Cell(text, left, left + 10.0 * len(text)) for left, text in cells)


HEAD = line((0, "品名"), (100, "台数"), (200, "保管場所"))


def test_every_cell_stands_beside_the_name_of_its_column() -> None:
    rows = rows_of([(), HEAD, line((0, "椅子"), (110, "12"), (200, "倉庫")), ()])
    assert rows == {1: "", 2: "品名: 椅子 | 台数: 12 | 保管場所: 倉庫"}


def test_a_row_may_lack_a_cell_but_not_share_a_column() -> None:
    rows = rows_of([HEAD, line((0, "椅子"), (200, "倉庫")), line((0, "机"), (20, "棚"))])
    assert rows == {0: "", 1: "品名: 椅子 | 保管場所: 倉庫"}


def test_values_are_not_taken_for_names() -> None:
    rows = rows_of([
        line((0, "契約書"), (100, "10年"), (200, "法務部")),
        line((0, "帳簿"), (100, "10年"), (200, "経理部")),
    ])  # fmt: skip
    assert rows == {0: "契約書 | 10年 | 法務部", 1: "帳簿 | 10年 | 経理部"}


@pytest.mark.parametrize(
    "lines",
    [
        [HEAD],  # one line alone
        [HEAD, (), line((0, "椅子"), (110, "12"), (200, "倉庫"))],  # not below each other
        [HEAD, line((10, "これは表の下の文です"), (230, "続き"))],  # a cell below two columns
        [line((0, "第一条"), (40, "本文")), line((0, "第二条"), (40, "本文"))],  # one narrow gap
    ],
)
def test_other_lines_are_left_alone(lines: list[tuple[Cell, ...]]) -> None:
    assert rows_of(lines) == {}


def test_two_columns_with_a_wide_gap_are_names_and_values() -> None:
    rows = rows_of([line((0, "日時"), (80, "十月五日")), line((0, "場所"), (80, "会議室"))])
    assert rows == {0: "日時: 十月五日", 1: "場所: 会議室"}
