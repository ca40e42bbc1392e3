"""Lines on pages → one text: running heads out, wrapped lines joined, large lines as headings.

The rules are those of Japanese typesetting: a line that reaches the right margin goes on in the
next one unless that is indented, and between wide characters lines join without a space.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from index.records import Heading
from index.sources.grid import Cell, rows_of
from index.sources.outline import with_articles

EDGE_LINES = 2  # so many lines at the top and bottom of a page may be a running head
REPEATED = 0.3  # share of pages on which such a line must recur, and
LEAST_PAGES = 3  # the least number of them; of two pages both must have the very same line
LARGER = 1.15  # a heading's letters against those of the body
LEVELS = 4
LONGEST_HEADING = 60
GAP = 1.7  # a step between lines of so many usual steps begins a paragraph

WIDE = re.compile(r"[\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff60\uffe0-\uffe6]")
_SENTENCE_END = re.compile(r"[。．！？!?：:；;][」』）)】]*$")
_PAGE_NUMBER = re.compile(
    r"[-‐–—―~〜・( （\[]*(?:p\.?|page|ページ|頁)?\s*\d{1,4}\s*"
    r"(?:[/／∕]\s*\d{1,4}|of\s+\d{1,4}|ページ|頁)?[-‐–—―~〜・) ）\]]*",
    re.I,
)
_ITEM = re.compile(
    r"[•・●○■□◆◇▪➢※☆★→*‣-]|[①-⑳㉑-㉟㊱-㊿]|[(（][0-9０-９一二三四五六七八九十ア-ンa-zA-Z]{1,3}[)）]"
    r"|[0-9０-９]{1,3}[.．、)）]|第[0-9０-９一二三四五六七八九十百]+[編部章節款条項]|[ア-ン][.．、)）]|附\s*則"
)
_DIGITS = re.compile(r"[0-9０-９]+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its box in points, y upwards. `hyphen`: it was cut inside a Latin word.

    `cells` are its pieces where it has wide gaps; `row` says that it is a row of a table.
    """

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float
    vertical: bool = False
    hyphen: bool = False
    cells: tuple[Cell, ...] = ()
    row: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """The lines of a page in reading order."""

    lines: list[Line]
    height: float


def compose(
    pages: Sequence[Page], bookmarks: Sequence[tuple[int, int, str]] = ()
) -> tuple[str, tuple[int, ...], tuple[Heading, ...]]:
    """The text of all pages, the offset at which each begins, and its headings.

    `bookmarks` are (level, page from 0, title); where most of them are found in the text they are
    the headings, else lines in large letters are, and else what a plain text would show.
    """
    body = _body_size(pages)
    pages = _without_running_heads(pages, body)
    writer = _Writer(body)
    for page in pages:
        writer.add(_with_rows(page))
    text = writer.text
    outline = _from_bookmarks(text, writer.starts, bookmarks) or _from_sizes(writer.large)
    return text, tuple(writer.starts), with_articles(text, outline)


def _with_rows(page: Page) -> Page:
    """The page with the lines of its tables as rows, every cell beside the name of its column."""
    rows = rows_of([line.cells for line in page.lines])
    lines = (
        replace(line, text=rows[place], row=True) if place in rows else line
        for place, line in enumerate(page.lines)
    )
    return replace(page, lines=[line for line in lines if line.text])


def _without_running_heads(pages: Sequence[Page], body: float) -> list[Page]:
    """Without lines set apart at the edge that recur there on many pages, and page numbers."""
    mask = _place if len(pages) < LEAST_PAGES else _mask
    counts: Counter[tuple[str, int]] = Counter()
    edges = [_edge(page, body) for page in pages]
    for page, edge in zip(pages, edges, strict=True):
        counts.update({mask(page.lines[i]) for i in edge})
    least = max(2, min(LEAST_PAGES, len(pages)), REPEATED * len(pages))
    kept = []
    for page, edge in zip(pages, edges, strict=True):
        out = {
            i
            for i in edge
            if counts[mask(page.lines[i])] >= least or _PAGE_NUMBER.fullmatch(page.lines[i].text)
        }
        kept.append(replace(page, lines=[x for i, x in enumerate(page.lines) if i not in out]))
    return kept


def _edge(page: Page, body: float) -> set[int]:
    """The places of the lines above the first gap and below the last one, if they are few."""
    order = sorted(range(len(page.lines)), key=lambda i: -page.lines[i].top)
    lines = [page.lines[i] for i in order]
    step = _usual_step(lines)
    found: set[int] = set()
    for places in (range(len(lines)), range(len(lines) - 1, -1, -1)):
        for count, (here, there) in enumerate(pairwise(places), 1):
            if count > EDGE_LINES or lines[here].size > body * LARGER:
                break
            if abs(lines[here].bottom - lines[there].bottom) > 1.2 * step:
                found |= {order[place] for place in places[:count]}
                break
    return found


def _mask(line: Line) -> tuple[str, int]:
    """A line but for its digits and a few points of its height."""
    words, height = _place(line)
    return _DIGITS.sub("0", words), height


def _place(line: Line) -> tuple[str, int]:
    return "".join(line.text.split()), round(line.bottom / 6)


def _body_size(pages: Sequence[Page]) -> float:
    """The size that most letters have, rounded to half a point."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            sizes[round(line.size * 2) / 2] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


class _Writer:
    """Puts lines after each other, deciding at each whether it goes on, begins or stands apart."""

    def __init__(self, body: float) -> None:
        self._body = body
        self._pieces: list[str] = []
        self._length = 0
        self.starts: list[int] = []
        self.large: list[tuple[int, float, str]] = []  # offset, size, text
        self._full = False  # the last line reached its margin

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, page: Page) -> None:
        """One more page."""
        step = _usual_step(page.lines)
        last: Line | None = None
        for line, margin in zip(page.lines, _margins(page.lines), strict=True):
            gap = self._gap(last, line, step, margin)
            if last is None:
                self.starts.append(self._length + len(gap))
            self._write(gap, line)
            self._full = (
                line.right >= margin[1] - 1.6 * line.size
                and not self._is_large(line)
                and not line.row
            )
            last = line
        if last is None:
            self.starts.append(self._length)

    def _write(self, gap: str, line: Line) -> None:
        if self._is_large(line):
            if gap == "" and self.large and self._pieces:
                offset, size, title = self.large[-1]
                self.large[-1] = (offset, size, title + line.text)
            else:
                gap = gap and "\n\n"
                self.large.append((self._length + len(gap), line.size, line.text))
        self._pieces += (gap, line.text)
        self._length += len(gap) + len(line.text)
        self._last = line

    def _is_large(self, line: Line) -> bool:
        return (
            not line.row
            and line.size >= self._body * LARGER
            and len(line.text) <= LONGEST_HEADING
            and not _SENTENCE_END.search(line.text)
            and not _PAGE_NUMBER.fullmatch(line.text)
        )

    def _gap(self, last: Line | None, line: Line, step: float, margin: tuple[float, float]) -> str:
        """What stands between the last line and this one: nothing, a space, one or two line ends."""
        if not self._pieces:
            return ""
        previous = self._last
        if self._is_large(previous) != self._is_large(line) or previous.row != line.row:
            return "\n\n"
        if line.row:
            return "\n"
        if self._is_large(line):
            near = last is not None and abs(previous.size - line.size) < 0.5
            return "" if near and previous.bottom - line.top < 0.6 * line.size else "\n\n"
        apart = last is not None and step > 0 and previous.bottom - line.bottom > GAP * step
        indented = line.left > margin[0] + 0.6 * line.size
        goes_on = self._full and not indented and not _ITEM.match(line.text)
        if last is None:  # over the page's end only when the sentence plainly goes on
            goes_on = goes_on and not _SENTENCE_END.search(previous.text)
        if goes_on and not apart:
            return "" if previous.hyphen else joint(previous.text, line.text)
        return "\n\n" if apart or last is None else "\n"


def joint(before: str, after: str) -> str:
    """What joins two halves of a wrapped line: nothing beside a wide character, else a space."""
    return "" if WIDE.match(before[-1:]) or WIDE.match(after[:1]) else " "


def _usual_step(lines: Sequence[Line]) -> float:
    """The distance from line to line that is most common on a page, in points; of several the
    smallest, because lines are never closer than those of a paragraph. Feet are compared: the
    height of a line is that of the letters it happens to hold."""
    steps = Counter(
        round(above.bottom - below.bottom)
        for above, below in pairwise(lines)
        if 0 < above.bottom - below.bottom < 10 * above.size
    )
    return float(max(steps, key=lambda step: (steps[step], -step))) if steps else 0.0


def _margins(lines: Sequence[Line]) -> Iterator[tuple[float, float]]:
    """For each line the left and right margin of its column: lines of its size that begin near it."""
    column: dict[
        tuple[int, int], tuple[float, float]
    ] = {}  # the lines of a page begin at few places, however many lines there are
    for line in lines:
        if not line.row:
            key = round(line.left), round(line.size)
            left, right = column.get(key, (line.left, line.right))
            column[key] = min(left, line.left), max(right, line.right)
    for line in lines:
        near = [
            edges
            for (place, size), edges in column.items()
            if abs(place - line.left) < 3 * line.size and abs(size - line.size) <= 1
        ]
        near = near or [(line.left, line.right)]
        yield min(left for left, _ in near), max(right for _, right in near)


def _from_bookmarks(
    text: str, starts: Sequence[int], bookmarks: Sequence[tuple[int, int, str]]
) -> list[Heading]:
    found = []
    position = 0
    for level, page, title in bookmarks:
        if page >= len(starts):
            continue
        end = starts[page + 1] if page + 1 < len(starts) else len(text)
        pattern = r"\s*".join(map(re.escape, "".join(title.split())))
        place = re.compile(pattern).search(text, max(position, starts[page]), end)
        if place:
            found.append(Heading(place.start(), level, title))
            position = place.end()
    return found if len(found) >= max(2, 0.7 * len(bookmarks)) else []


def _from_sizes(large: Sequence[tuple[int, float, str]]) -> list[Heading]:
    """Headings by size, the largest at the top; sizes beyond LEVELS share the last level."""
    sizes = sorted({round(size) for _, size, _ in large}, reverse=True)
    return [
        Heading(offset, min(sizes.index(round(size)) + 1, LEVELS), title)
        for offset, size, title in large
    ]
