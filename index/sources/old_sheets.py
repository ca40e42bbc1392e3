"""XLS, the workbooks of Excel up to 2003, and what only calls itself so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from index.errors import UnreadableDocument
from index.records import Skipped
from index.sources import delimited, html, sheets
from index.sources.sheets import LOCKED, WIDEST, Sheet, compose, shown
from index.sources.types import Limits, Part, Reader

_OLE = b"\xd0\xcf\x11\xe0"  # the container of Office files up to 2003
_DATE, _TRUTH, _ERROR = 3, 4, 5  # kinds of cells, as xlrd numbers them


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """One Part, as of an XLSX. Programs write HTML, tables of text and XLSX under this name too;
    Excel opens them all, so they are read as what they are.

    Raises UnreadableDocument (`password`, `damaged`, `empty`, and what those formats raise).
    """
    if not data.startswith(_OLE):
        yield from _in_truth(data)(data, name, limits)
        return
    import xlrd

    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # xlrd prints whatever it finds odd
        try:
            with xlrd.open_workbook(
                file_contents=data, on_demand=True, ragged_rows=True, logfile=nowhere
            ) as book:
                yield from compose(_sheets(book), limits)
        except (UnreadableDocument, MemoryError):
            raise
        except Exception as error:  # of a damaged workbook xlrd raises whatever it trips over
            if "encrypted" in str(error):
                raise UnreadableDocument(LOCKED, code="password") from None
            raise UnreadableDocument(
                "Excel ファイルとして読めません（壊れています）。", code="damaged"
            ) from None


def _in_truth(data: bytes) -> Reader:
    """The reader of a file that is no old workbook."""
    if data.startswith(b"PK"):
        return sheets.read
    start = data[:1000].replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    return html.read if start.startswith(b"<") else delimited.read


def _sheets(book: Any) -> Iterator[Sheet]:
    for number in range(book.nsheets):
        sheet = book.sheet_by_index(number)
        yield Sheet(sheet.name, sheet.visibility == 0, _rows(book, sheet))
        book.unload_sheet(number)


def _rows(book: Any, sheet: Any) -> Iterator[list[str]]:
    for number in range(sheet.nrows):
        yield [_shown(book, cell) for cell in sheet.row(number)[:WIDEST]]


def _shown(book: Any, cell: Any) -> str:
    """A cell as people see it, near enough."""
    from xlrd.biffh import error_text_from_code
    from xlrd.xldate import XLDateError, xldate_as_datetime

    if cell.ctype == _DATE:
        try:
            return shown(xldate_as_datetime(cell.value, book.datemode))
        except (XLDateError, ValueError, OverflowError):
            return ""
    if cell.ctype == _TRUTH:
        return shown(bool(cell.value))
    if cell.ctype == _ERROR:
        return str(error_text_from_code.get(cell.value, ""))
    return shown(cell.value)
