"""Plain text: any Japanese encoding, headings by their looks, lines cut at a margin rejoined."""

from __future__ import annotations

from collections.abc import Iterator

from index.records import Skipped
from index.sources.encoding import decode
from index.sources.outline import find_headings
from index.sources.ruby import without_ruby
from index.sources.types import Limits, Part
from index.sources.wrapped import rejoined

LONGEST_TITLE = 60


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """One Part: the text, its headings, and its first heading or first short line as the title."""
    text, encoding = decode(data)
    text = without_ruby(text if name.endswith(".log") else rejoined(text))
    outline = find_headings(text)
    yield Part(text, title=_title(text), outline=outline, encoding=encoding)


def _title(text: str) -> str:
    first = text.lstrip().split("\n", 1)[0].strip()
    if not first or len(first) > LONGEST_TITLE or first[-1] in "。．.、,：:；;":
        return ""
    return first.lstrip("#■◆●□◇○ \t")
