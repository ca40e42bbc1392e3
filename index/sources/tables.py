"""Tables as lines of text that stand alone: every cell beside the name of its column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def table_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """One line a row, `column: cell | column: cell`; without a header the cells alone.

    Empty cells and empty rows are left out. A row of two cells without a header reads as
    `name: value`.
    """
    for row in rows:
        line = _line(header, row)
        if line:
            yield line


def _line(header: Sequence[str], row: Sequence[str]) -> str:
    cells = [" ".join(cell.split()) for cell in row]
    if not header and len(cells) == 2 and all(cells) and len(cells[0]) <= 30:
        return f"{cells[0]}: {cells[1]}"
    named = []
    for column, cell in enumerate(cells):
        name = " ".join(header[column].split()) if column < len(header) else ""
        if cell:
            named.append(f"{name}: {cell}" if name and name != cell else cell)
    return " | ".join(named)
