"""Pieces of lines that stand below each other on a page are the cells of a table.

A PDF knows no tables. Where the lines of one have wide gaps at the same places, each is a row; a cell
of several lines cannot be told from several rows, and is left as the lines that it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from index.sources.tables import looks_like_header, table_lines

CELL_GAP = 0.9  # of the letters' size; between the words of a line it is less
WIDE_GAP = 24.0  # points; of two columns only a gap as wide as this makes a table


class Cell(NamedTuple):
    """A piece of a line: its words, and where it begins and ends, in points."""

    text: str
    left: float
    right: float


def rows_of(lines: Sequence[Sequence[Cell]]) -> dict[int, str]:
    """Place of a line → the text of its row, for the lines that are rows of a table.

    `lines` holds the cells of each line of a page. The line that names the columns has no text
    left, because every row below it says them.
    """
    rows: dict[int, str] = {}
    first = 0
    while first < len(lines):
        columns = list(lines[first])
        last = first
        while last + 1 < len(lines) and _continues(columns, lines[last], lines[last + 1]):
            last += 1
            columns = _widened(columns, lines[last])
        if last > first:
            table = [_placed(columns, line) for line in lines[first : last + 1]]
            rows.update(enumerate(_texts(table), first))
        first = last + 1
    return rows


def _continues(columns: Sequence[Cell], above: Sequence[Cell], line: Sequence[Cell]) -> bool:
    """Whether a line is a row below `above`: each of its cells stands in a column of its own."""
    if not 2 <= len(line) <= len(columns):
        return False
    if len(columns) == 2 and not all(
        there.left - here.right >= WIDE_GAP
        for row in (above, line)
        for here, there in pairwise(row)
    ):
        return False
    places = [_columns_under(columns, cell) for cell in line]
    return all(len(found) == 1 for found in places) and len({found[0] for found in places}) == len(
        line
    )


def _columns_under(columns: Sequence[Cell], cell: Cell) -> list[int]:
    return [
        place
        for place, column in enumerate(columns)
        if column.left < cell.right and cell.left < column.right
    ]


def _widened(columns: Sequence[Cell], line: Sequence[Cell]) -> list[Cell]:
    widened = list(columns)
    for cell in line:
        place = _columns_under(columns, cell)[0]
        column = columns[place]
        widened[place] = column._replace(
            left=min(column.left, cell.left), right=max(column.right, cell.right)
        )
    return widened


def _placed(columns: Sequence[Cell], line: Sequence[Cell]) -> list[str]:
    texts = [""] * len(columns)
    for cell in line:
        texts[_columns_under(columns, cell)[0]] = cell.text
    return texts


def _texts(table: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines. Names of columns hold no digits: a first row that does is one of values,
    whose names stand in cells of several lines above it."""
    names = "".join(table[0])
    if looks_like_header(table[0], table[1]) and not any(map(str.isdecimal, names)):
        return ["", *("".join(table_lines(table[0], [row])) for row in table[1:])]
    return ["".join(table_lines((), [row])) for row in table]
