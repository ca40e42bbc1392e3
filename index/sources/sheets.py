"""XLSX: every visible sheet under its name, its tables row by row beside their column's names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time
from io import BytesIO
from typing import Any

from index.errors import UnreadableDocument
from index.records import Heading, Skipped
from index.sources.archive import BROKEN, opened
from index.sources.encoding import clean
from index.sources.tables import sheet_lines
from index.sources.types import Limits, Part

WIDEST = 500  # columns
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
    sheet.reset_dimensions()  # a file may claim a million rows, or one
    for row in sheet.iter_rows(values_only=True):
        yield [shown(value) for value in row[:WIDEST]]


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
