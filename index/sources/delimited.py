"""CSV and TSV in any Japanese encoding: row by row beside the names of the columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from itertools import islice

from index.records import Skipped
from index.sources.encoding import decode
from index.sources.tables import sheet_lines
from index.sources.types import Limits, Part

SAMPLE = 20_000  # characters from which the separator is told


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """One Part; a file that is no table after all is read as lines."""
    text, encoding = decode(data)
    try:
        rows = csv.reader(StringIO(text, newline=""), delimiter=_separator(text))
        lines = list(sheet_lines(islice(rows, limits.rows), least=2))
        cut = next(rows, None) is not None
    except csv.Error:  # a field beyond csv's own limit, a quote that never closes
        lines, cut = text.splitlines(), False
    yield Part("\n".join(lines), encoding=encoding)
    if cut:
        yield Skipped("", "too_many_rows", f"{limits.rows:,} 行まで読みました。")


def _separator(text: str) -> str:
    """The separator that parts the first lines into the most, and the same number of, cells."""
    lines = [line for line in text[:SAMPLE].splitlines() if line.strip()][:20]
    return max(
        (",", "\t", ";"),
        key=lambda mark: (min((line.count(mark) for line in lines), default=0), text.count(mark)),
    )
