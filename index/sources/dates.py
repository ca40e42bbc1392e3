"""Dates as Japanese documents write them → ISO 8601."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867}  # the year before
_LETTERS = {"R": "令和", "H": "平成", "S": "昭和"}

_WESTERN = re.compile(r"(?<!\d)((?:19|20)\d\d)[-/._年]\s?(\d{1,2})(?:[-/._月]\s?(\d{1,2}))?(?!\d)")
_COMPACT = re.compile(r"(?<!\d)((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d)")
_ERA = re.compile(
    r"(令和|平成|昭和|大正|明治|(?<![A-Za-z])[RHS])\s?(元|\d{1,2})[年.]\s?(\d{1,2})"
    r"(?:[月.]\s?(\d{1,2}))?"
)


def iso_date(text: str) -> str:
    """The first date in `text` as `2026-11-23`, or `2026-11` without a day; empty if none is."""
    text = unicodedata.normalize("NFKC", text[:1000])
    if match := _ERA.search(text):
        era = _LETTERS.get(match[1], match[1])
        year = ERAS[era] + (1 if match[2] == "元" else int(match[2]))
        return _checked(year, match[3], match[4])
    match = _WESTERN.search(text) or _COMPACT.search(text)
    return _checked(int(match[1]), match[2], match[3]) if match else ""


def _checked(year: int, month: str, day: str | None) -> str:
    try:
        whole = date(year, int(month), int(day or 1))
    except ValueError:
        return ""
    return whole.isoformat() if day else whole.isoformat()[:7]
