"""XLSX: every visible sheet under its name, its tables row by row beside their column's names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from io import BytesIO
from typing import Any

from index.errors import UnreadableDocument
from index.records import Heading, Skipped
from index.sources.archive import BROKEN, opened
from index.sources.encoding import clean
from index.sources.tables import sheet_lines
from index.sources.types import Limits, Part

WIDEST = 500  # columns
LONGEST_FORM = 40  # characters of a number's format that is worth understanding
PIECE = 2**20  # bytes of a sheet looked through at a time
_MERGED = re.compile(rb'mergeCell[^>]{0,40}?ref="([A-Z]{1,3})([0-9]{1,7}):[A-Z]{1,3}([0-9]{1,7})"')
_WORDS = r'(?:"[^"]*"|\\.|_.|[¥￥$€円%/ -])*'  # what a number's format writes as it stands
_NUMBER = re.compile(rf"({_WORDS})([#,0?]*[0?])(?:\.([0?#]+))?({_WORDS})(?:;.*)?")
LOCKED = "パスワードで保護されています。保護を外して保存し直してください。"


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """One Part: the sheets one after the other, each headed by its name.

    Raises UnreadableDocument (`password`, `damaged`, `archive_bomb`, `empty`).
    """
    if data.startswith(b"\xd0\xcf\x11\xe0"):  # encrypted Office files are OLE containers
        raise UnreadableDocument(LOCKED, code="password")
    opened(data, limits).close()
    import openpyxl

    try:
        with closing(openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True)) as book:
            about = book.properties
            changed = about.modified or about.created if about else None
            yield from compose(
                (Sheet(s.title, s.sheet_state == "visible", _rows(s)) for s in book.worksheets),
                limits,
                title=clean(about.title or "") if about else "",
                date=changed.date().isoformat() if changed else "",
            )
    except (*BROKEN, KeyError, TypeError, AttributeError, IndexError, SyntaxError):
        raise UnreadableDocument(
            "Excel ファイルとして読めません（壊れています）。", code="damaged"
        ) from None


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a workbook: its name, whether people see it, its rows as they see them."""

    name: str
    visible: bool
    rows: Iterable[list[str]]


def compose(
    sheets: Iterable[Sheet], limits: Limits, *, title: str = "", date: str = ""
) -> Iterator[Part | Skipped]:
    """One Part of all visible sheets. Raises UnreadableDocument (`empty`)."""
    pieces: list[str] = []
    outline: list[Heading] = []
    length, left = 0, limits.rows
    for sheet in sheets:
        if not sheet.visible:
            yield Skipped(sheet.name, "hidden", "非表示のシートです。")
            continue
        lines = list(sheet_lines(_at_most(left, sheet.rows)))
        if not lines:
            continue
        left -= len(lines)
        name = clean(sheet.name)
        outline.append(Heading(length, 1, name))
        piece = f"{name}\n\n" + clean("\n".join(lines)) + "\n\n"
        pieces.append(piece)
        length += len(piece)
        if left <= 0:
            yield Skipped(name, "too_many_rows", f"{limits.rows:,} 行まで読みました。")
            break
    if not pieces:
        raise UnreadableDocument("文章がありません。", code="empty")
    yield Part("".join(pieces).rstrip("\n"), title=title, outline=tuple(outline), date=date)


def _rows(sheet: Any) -> Iterator[list[str]]:
    """The rows of a sheet; what stands in a merged cell stands in each of its rows that hold more."""
    sheet.reset_dimensions()  # a file may claim a million rows, or one
    merged = _merged(sheet)
    above: dict[int, tuple[int, str]] = {}  # column → last row of the merged cell, its words
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = [_formatted(cell) for cell in row[:WIDEST]]
        if merged:
            above = {column: cell for column, cell in above.items() if cell[0] >= number}
            if any(cells) and above:
                cells += [""] * (max(above) + 1 - len(cells))
                for column, (_, text) in above.items():
                    cells[column] = cells[column] or text
            for column, text in enumerate(cells):
                if last := merged.get((number, column)):
                    above[column] = last, text
        yield cells


def _merged(sheet: Any) -> Mapping[tuple[int, int], int]:
    """(row from 1, column from 0) of the first cell of a merged one → its last row, for those of
    several rows. openpyxl tells them only of sheets that it holds in memory as a whole."""
    from openpyxl.utils import column_index_from_string

    found: dict[tuple[int, int], int] = {}
    left = b""
    with sheet._get_source() as source:
        while piece := source.read(PIECE):
            for column, first, last in _MERGED.findall(left + piece):
                place = column_index_from_string(column.decode()) - 1
                if int(first) < int(last) and place < WIDEST:
                    found[int(first), place] = int(last)
            left = piece[-100:]
    return found


def _formatted(cell: Any) -> str:
    """A cell of openpyxl as people see it."""
    value = cell.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return shown(value)
    try:
        return number_shown(value, cell.number_format)
    except (IndexError, KeyError, AttributeError):  # a style that the file does not hold
        return shown(value)


def number_shown(value: float, form: str) -> str:
    """A number in a format of Excel (`#,##0"円"`, `0.0%`, `0000`); in an unusual one as it is."""
    match = _NUMBER.fullmatch(form) if len(form) <= LONGEST_FORM else None
    if not match or not 0 <= value < 1e15:
        return shown(value)
    before, core, decimals, after = match[1], match[2], match[3] or "", match[4]
    exact = Decimal(str(value)) * (100 if "%" in before + after else 1)
    rounded = exact.quantize(Decimal(1).scaleb(-len(decimals)), ROUND_HALF_UP)
    digits = f"{rounded:{',' if ',' in core else ''}f}"
    if optional := len(decimals) - len(decimals.rstrip("#?")):
        whole, _, fraction = digits.partition(".")
        fraction = fraction[:-optional] + fraction[-optional:].rstrip("0")
        digits = f"{whole}.{fraction}" if fraction else whole
    return f"{_literally(before)}{digits.zfill(core.count('0'))}{_literally(after)}".strip()


def _literally(words: str) -> str:
    """The words that a format writes: without quotes, and `_x` a space as wide as x."""
    return re.sub(r'"([^"]*)"|\\(.)|_(.)', lambda m: " " if m[3] else m[1] or m[2] or "", words)


def _at_most(most: int, rows: Iterable[list[str]]) -> Iterator[list[str]]:
    """Rows up to so many that hold something."""
    for row in rows:
        most -= any(row)
        if most < 0:
            return
        yield row


def shown(value: object) -> str:
    """A cell as people see it, near enough: no time of a bare date, no `.0` of a whole number."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return (
            value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
        )
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
