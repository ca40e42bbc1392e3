"""Text with one stretch of it highlighted, escaped for HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

_URL = re.compile(r"https?://[^\s<>\"'`|\\（）「」『』【】、。，！？]+")
_URL_TAIL = ".,;:!?)]}*_~"
_SAFE_LINK = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Run:
    """Visible text and the source it stands for: character by character, or as one (`atomic`)."""

    text: str
    start: int
    end: int
    atomic: bool = False

    def cut(self, first: int, last: int) -> Run:
        """The part from character `first` to `last` of the visible text."""
        if self.atomic:
            return Run(self.text[first:last], self.start, self.end, True)
        return Run(self.text[first:last], self.start + first, self.start + last)


@dataclass(slots=True)
class Highlight:
    """The stretch of source to mark. `found` says whether anything visible has been marked."""

    start: int = 0
    end: int = 0
    found: bool = False

    def html(self, run: Run) -> str:
        """The run as escaped text, its marked part in <mark>; the first mark has the id quote."""
        first, last = max(self.start, run.start), min(self.end, run.end)
        if first >= last or not run.text:
            return escape(run.text, quote=False)
        if run.atomic:
            first, last = run.start, run.start + len(run.text)
        before = run.text[: first - run.start]
        marked = run.text[first - run.start : last - run.start]
        after = run.text[last - run.start :]
        anchor = "" if self.found else ' id="quote" tabindex="-1"'
        self.found = True
        return (
            f"{escape(before, quote=False)}<mark{anchor}>{escape(marked, quote=False)}</mark>"
            f"{escape(after, quote=False)}"
        )


def text_html(runs: list[Run], highlight: Highlight) -> str:
    """Runs of plain text as HTML; bare web addresses become links."""
    text = "".join(run.text for run in runs)
    out: list[str] = []
    position = 0
    for match in _URL.finditer(text):
        url = match.group().rstrip(_URL_TAIL)
        end = match.start() + len(url)
        out += (highlight.html(run) for run in _slice(runs, position, match.start()))
        out.append(link_open(url))
        out += (highlight.html(run) for run in _slice(runs, match.start(), end))
        out.append("</a>")
        position = end
    out += (highlight.html(run) for run in _slice(runs, position, len(text)))
    return "".join(out)


def _slice(runs: Iterable[Run], first: int, last: int) -> Iterator[Run]:
    position = 0
    for run in runs:
        low, high = max(first - position, 0), min(last - position, len(run.text))
        if low < high:
            yield run.cut(low, high)
        position += len(run.text)


def safe_link(url: str) -> bool:
    """Whether a link may lead there: http, https and mailto only."""
    return bool(_SAFE_LINK.match(url))


def link_open(url: str, css: str = "") -> str:
    style = f' class="{css}"' if css else ""
    return f'<a{style} href="{escape(url)}" rel="noopener noreferrer nofollow" target="_blank">'
