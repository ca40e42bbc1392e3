"""XLSX: every visible sheet under its name, its tables row by row beside their column's names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
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


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """One Part: the sheets one after the other, each headed by its name.

    Raises UnreadableDocument (`password`, `damaged`, `archive_bomb`, `empty`).
    """
    if data.startswith(b"\xd0\xcf\x11\xe0"):  # encrypted Office files are OLE containers
        reason = "パスワードで保護されているか、古い形式（.xls など）です。"
        raise UnreadableDocument(reason, code="password")
    opened(data, limits).close()
    import openpyxl

    try:
        with closing(openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True)) as book:
            yield from _sheets(book, limits)
    except (*BROKEN, KeyError, TypeError, AttributeError, IndexError, SyntaxError):
        raise UnreadableDocument(
            "Excel ファイルとして読めません（壊れています）。", code="damaged"
        ) from None


def _sheets(book: Any, limits: Limits) -> Iterator[Part | Skipped]:
    pieces: list[str] = []
    outline: list[Heading] = []
    length, left = 0, limits.rows
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            yield Skipped(sheet.title, "hidden", "非表示のシートです。")
            continue
        lines = list(sheet_lines(_rows(sheet, left)))
        if not lines:
            continue
        left -= len(lines)
        title = clean(sheet.title)
        outline.append(Heading(length, 1, title))
        piece = f"{title}\n\n" + clean("\n".join(lines)) + "\n\n"
        pieces.append(piece)
        length += len(piece)
        if left <= 0:
            yield Skipped(title, "too_many_rows", f"{limits.rows:,} 行まで読みました。")
            break
    if not pieces:
        raise UnreadableDocument("文章がありません。", code="empty")
    about = book.properties
    changed = about.modified or about.created if about else None
    yield Part(
        "".join(pieces).rstrip("\n"),
        title=clean(about.title or "") if about else "",
        outline=tuple(outline),
        date=changed.date().isoformat() if changed else "",
    )


def _rows(sheet: Any, most: int) -> Iterator[list[str]]:
    sheet.reset_dimensions()  # a file may claim a million rows, or one
    for row in sheet.iter_rows(values_only=True):
        cells = [_shown(value) for value in row[:WIDEST]]
        if any(cells):
            most -= 1
        if most < 0:
            return
        yield cells


def _shown(value: object) -> str:
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
