"""Tables as lines of text that stand alone: every cell beside the name of its column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

LONGEST_NAME = 30  # characters of a column's name

_VALUE = re.compile(r"[\d\s.,:/%¥￥$+-]+")


def table_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """One line a row, `column: cell | column: cell`; without a header the cells alone.

    Empty cells and empty rows are left out. A row of two cells without a header reads as
    `name: value`.
    """
    for row in rows:
        line = _line(header, row)
        if line:
            yield line


def looks_like_header(row: Sequence[str], below: Sequence[str], *, least: int = 3) -> bool:
    """Whether a row names columns: `least` cells or more, short, distinct, none of them a value.

    Two columns are more often a name and its value than a table with a header.
    """
    names = [" ".join(cell.split()) for cell in row if cell.strip()]
    return (
        len(names) >= least
        and len(names) == len(set(names))
        and sum(bool(cell.strip()) for cell in below) >= 2
        and all(len(name) <= LONGEST_NAME and not _VALUE.fullmatch(name) for name in names)
        and not any(name.endswith("。") for name in names)
    )


def sheet_lines(rows: Iterable[Sequence[str]], *, least: int = 3) -> Iterator[str]:
    """The lines of a sheet: empty rows part its tables, whose headers are told by their looks."""
    header: Sequence[str] | None = None
    held: Sequence[str] | None = None  # a row that the next one may show to be a header
    for row in rows:
        if not any(cell.strip() for cell in row):
            yield from table_lines((), [] if held is None else [held])
            header = held = None
        elif header is not None:
            yield from table_lines(header, [row])
        elif held is not None and looks_like_header(held, row, least=least):
            header, held = held, None
            yield from table_lines(header, [row])
        else:
            yield from table_lines((), [] if held is None else [held])
            held = row
    yield from table_lines((), [] if held is None else [held])


def _line(header: Sequence[str], row: Sequence[str]) -> str:
    cells = [" ".join(cell.split()) for cell in row]
    filled = [cell for cell in cells if cell]
    if not header and len(filled) == 2 and len(filled[0]) <= LONGEST_NAME:
        return f"{filled[0]}: {filled[1]}"
    named = []
    for column, cell in enumerate(cells):
        name = " ".join(header[column].split()) if column < len(header) else ""
        if cell:
            named.append(f"{name}: {cell}" if name and name != cell else cell)
    return " | ".join(named)
