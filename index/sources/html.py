"""HTML: web pages and wiki exports → text with headings, lists, and tables row by row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from index.errors import UnreadableDocument
from index.records import Heading, Skipped
from index.sources.encoding import clean, decode
from index.sources.ruby import without_ruby
from index.sources.tables import table_lines
from index.sources.types import Limits, Part

if TYPE_CHECKING:
    from lxml.html import HtmlElement

# fmt: off
NEVER_SHOWN = frozenset((
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "embed", "head",
    "form", "button", "select", "input", "textarea", "canvas", "audio", "video", "rp",
))
AROUND = frozenset(("nav", "header", "footer", "aside"))  # not the page's words unless inside main
BLOCKS = AROUND | frozenset((
    "address", "article", "blockquote", "body", "caption", "center", "dd", "details", "dialog",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "hr", "html", "li", "main", "ol",
    "p", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
))
# fmt: on
HEADINGS = {f"h{level}": level for level in range(1, 7)}
MAIN = (
    "//main|//*[@role='main']",
    "//*[@id='main-content' or @id='mw-content-text' or @id='content-body']",
    "//*[contains(concat(' ', @class, ' '), ' wiki ') or contains(@class, 'wiki-content')]",
    "//article",
)
DATES = (  # names of meta elements, what tells of the latest change first
    *("article:modified_time", "datemodified", "last-modified"),
    *("article:published_time", "date", "dc.date"),
)
LINKED = 0.8  # share of a block's letters inside links, from which on it may be a menu
MENU = 4  # so many linked blocks make it worth asking whether they are one
MOST_LINKED = 1_000  # beyond, a page is an index, and asking would take too long

_CHARSET = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w-]{1,30})|encoding=[\"']([\w-]{1,30})[\"']", re.I
)
_LAYOUT = ".//table|.//h1|.//h2|.//h3|.//h4|.//pre|.//ul|.//ol"  # no table of data holds these
_PROLOG = re.compile(r"^\s*<\?xml[^>]*\?>")
_SPACES = re.compile(r"[ \t\r\n\u00a0]+")
_WIDE = "\\u3000-\\u30ff\\u3400-\\u9fff\\uff01-\\uff60"
_WIDE_BREAK = re.compile(rf"(?<=[{_WIDE}])[ \t]*\n[ \t\n]*(?=[{_WIDE}])")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_SHIFT_JIS = frozenset({"shift_jis", "shift-jis", "x-sjis", "sjis", "windows-31j", "ms_kanji"})
_BREAK = "\x1e"  # between blocks while readings are put in order; clean() removed it from the text
_LINE = "\x1d"  # stands for <br>


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """One Part: the page's own words without navigation, scripts and forms.

    Raises UnreadableDocument (`empty`) for a page without words.
    """
    source, encoding = _source(data)
    yield part_of(source, encoding)


def part_of(source: str, encoding: str = "") -> Part:
    """The Part of an HTML source; `encoding` is what it was decoded from."""
    from lxml import etree, html

    parser = html.HTMLParser(remove_comments=True, remove_pis=True, huge_tree=False)
    try:
        tree = html.document_fromstring(_PROLOG.sub("", source), parser=parser)
    except (etree.LxmlError, ValueError):
        raise UnreadableDocument("HTML に本文がありません。", code="empty") from None
    title, date, url, tags = _about(tree)
    blocks = _Writer().walk(_body(tree))
    text, outline = _text(_without_menus(blocks, source))
    if not text:
        raise UnreadableDocument("HTML に本文がありません。", code="empty")
    title = next((heading.title for heading in outline if heading.level == 1), "") or title
    return Part(text, title, outline=outline, date=date, url=url, tags=tags, encoding=encoding)


@dataclass(frozen=True, slots=True)
class _Block:
    """A piece of text of one kind: p, pre, item, row, h1…h6; `linked` is its share of links."""

    kind: str
    text: str
    linked: float = 0.0


def _text(blocks: Sequence[_Block]) -> tuple[str, tuple[Heading, ...]]:
    """Blocks → the text, and the headings, whose `start` refers to it."""
    texts = without_ruby(_BREAK.join(block.text for block in blocks)).split(_BREAK)
    pieces: list[str] = []
    outline: list[Heading] = []
    length, before = 0, ""
    for block, text in zip(blocks, texts, strict=bool(blocks)):
        tight = block.kind == before and block.kind in {"item", "row"}
        gap = "" if not pieces else "\n" if tight else "\n\n"
        if block.kind in HEADINGS:
            title = " ".join(text.split())
            outline.append(Heading(length + len(gap), HEADINGS[block.kind], title))
        pieces += (gap, text)
        length += len(gap) + len(text)
        before = block.kind
    return "".join(pieces), tuple(outline)


def _without_menus(blocks: list[_Block], source: str) -> list[_Block]:
    """Without the blocks of links that trafilatura does not take for the page's own words.

    A block that says anything beside its links always stays: nothing of the body may be lost.
    """
    linked = [block for block in blocks if block.linked >= LINKED]
    if not MENU <= len(linked) <= MOST_LINKED:
        return blocks
    from trafilatura import extract

    try:
        own = extract(source, favor_recall=True, include_comments=False, output_format="txt") or ""
    except (ValueError, TypeError, AttributeError, RecursionError):
        return blocks
    said = "".join(own.split())
    return [
        block
        for block in blocks
        if block.linked < LINKED or "".join(block.text.lstrip(" -0123456789.").split()) in said
    ]


def _source(data: bytes) -> tuple[str, str]:
    """The decoded page: by what it declares when its bytes agree, else by detection."""
    declared = _CHARSET.search(data[:4096])
    if declared and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        name = (declared[1] or declared[2]).decode("ascii", "replace").lower()
        name = "cp932" if name in _SHIFT_JIS else name
        try:
            return clean(data.decode(name)), name
        except (LookupError, UnicodeError):
            pass
    return decode(data)


def _about(tree: HtmlElement) -> tuple[str, str, str, tuple[str, ...]]:
    """Title, date, address and tags as the head of the page gives them."""
    meta: dict[str, str] = {}
    for element in tree.iter("meta"):
        name = element.get("property") or element.get("name") or element.get("itemprop") or ""
        meta.setdefault(name.lower(), (element.get("content") or "").strip())
    title = " ".join((tree.findtext(".//title") or meta.get("og:title") or "").split())
    date = next((meta[name] for name in DATES if meta.get(name)), "")
    canonical = tree.xpath("string(//link[translate(@rel,'CANOIL','canoil')='canonical']/@href)")
    tags = tuple(tag.strip() for tag in re.split("[,、]", meta.get("keywords", "")) if tag.strip())
    return title, date, str(canonical) or meta.get("og:url", ""), tags[:20]


def _body(tree: HtmlElement) -> HtmlElement:
    """The element that holds the page's own words: the one that says so, else all of it."""
    for path in MAIN:
        found = tree.xpath(path)
        if len(found) == 1 and found[0].text_content().strip():
            return found[0]
    body = tree.find("body")
    return tree if body is None else body


class _Writer:
    """Walks the elements of a page once and gathers its blocks."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._line: list[str] = []
        self._linked = 0  # letters inside links, of the block under way
        self._lists: list[int] = []  # for each open list its last number, -1 without numbers
        self._marker = ""

    def walk(self, root: HtmlElement) -> list[_Block]:
        """The blocks below `root`, visited without recursion: its depth is the document's."""
        from lxml import etree

        walker = etree.iterwalk(root, events=("start", "end"))
        outer, left_out = root.tag in {"body", "html"}, None
        for event, element in walker:
            tag = element.tag if isinstance(element.tag, str) else ""
            if event == "start":
                if self._skipped(element, tag, outer) or self._whole(element, tag):
                    walker.skip_subtree()  # its end comes next
                    left_out = element
                    continue
                self._open(tag)
                self._line.append(element.text or "")
            else:
                if element is not left_out:
                    self._close(tag, element)
                if element is not root:
                    self._line.append(element.tail or "")
        self._flush()
        return self._blocks

    def _skipped(self, element: HtmlElement, tag: str, outer: bool) -> bool:
        if tag in NEVER_SHOWN or not tag:
            return tag != "form" or not element.xpath("boolean(.//p|.//h1|.//h2|.//table)")
        if outer and tag in AROUND:
            return not any(True for _ in element.iterancestors("main", "article"))
        return (
            element.get("hidden") is not None
            or element.get("role") == "navigation"
            or bool(_HIDDEN.search(element.get("style") or ""))
        )

    def _whole(self, element: HtmlElement, tag: str) -> bool:
        """Elements written in one piece: `pre` as it is, a table of data row by row."""
        if tag == "pre":
            self._flush()
            if text := element.text_content().strip("\n").rstrip():
                self._blocks.append(_Block("pre", text))
            return True
        if tag == "table" and not element.xpath(f"boolean({_LAYOUT})"):
            self._flush()
            self._blocks += (_Block("row", line) for line in table_lines(*_cells(element)))
            return True
        return False

    def _open(self, tag: str) -> None:
        if tag in BLOCKS or tag in HEADINGS:
            self._flush()
        if tag == "br":
            self._line.append(_LINE)
        elif tag in {"ul", "ol"}:
            self._lists.append(0 if tag == "ol" else -1)
        elif tag == "li":
            self._marker = self._next_marker()
        elif tag == "ruby":
            self._line.append("｜")
        elif tag == "rt":
            self._line.append("《")

    def _close(self, tag: str, element: HtmlElement) -> None:
        if tag == "a":
            self._linked += len(element.text_content().strip())
        if tag == "rt":
            self._line.append("》")
        elif tag in HEADINGS:
            self._flush(tag)
        elif tag in BLOCKS:
            self._flush("item" if tag in {"li", "dt", "dd"} else "p")
        if tag in {"ul", "ol"} and self._lists:
            self._lists.pop()

    def _next_marker(self) -> str:
        if not self._lists:
            return "- "
        indent = "  " * (len(self._lists) - 1)
        if self._lists[-1] < 0:
            return f"{indent}- "
        self._lists[-1] += 1
        return f"{indent}{self._lists[-1]}. "

    def _flush(self, kind: str = "p") -> None:
        """Ends the block under way. Line ends of the source are spaces, gone between kana."""
        text, linked = "".join(self._line), self._linked
        self._line.clear()
        self._linked = 0
        lines = (
            _SPACES.sub(" ", _WIDE_BREAK.sub("", line)).strip() if line else ""
            for line in text.split(_LINE)
        )
        text = "\n".join(lines).strip("\n")
        if not text:
            return
        if self._lists and kind == "p":
            kind = "item"
        share = linked / len(text)
        if kind == "item":
            text, self._marker = self._marker + text, ""
        self._blocks.append(_Block(kind, text, share))


def _cells(table: HtmlElement) -> tuple[list[str], list[list[str]]]:
    """The header of a table, empty if it has none, and its rows with spanned cells repeated."""
    grid: list[list[str]] = []
    heads: list[bool] = []
    pending: dict[int, tuple[int, str]] = {}  # column → rows still to fill, text
    for row in table.iter("tr"):
        cells: list[str] = []
        own = [cell for cell in row if cell.tag in {"td", "th"}]
        heads.append(bool(own) and all(cell.tag == "th" for cell in own))
        for cell in own:
            _fill(cells, pending)
            text = _SPACES.sub(" ", _WIDE_BREAK.sub("", cell.text_content())).strip()
            span = _span(cell, "rowspan")
            for _ in range(_span(cell, "colspan")):
                if span > 1:
                    pending[len(cells)] = (span - 1, text)
                cells.append(text)
        _fill(cells, pending)
        grid.append(cells)
    header = grid[0] if grid and heads[0] and len(grid) > 1 else []
    return header, grid[1:] if header else grid


def _fill(cells: list[str], pending: dict[int, tuple[int, str]]) -> None:
    while (at := len(cells)) in pending:
        rows, text = pending.pop(at)
        if rows > 1:
            pending[at] = (rows - 1, text)
            cells.append(text)
            continue
        cells.append(text)


def _span(cell: HtmlElement, name: str) -> int:
    value = cell.get(name) or ""
    return min(max(int(value), 1), 100) if re.fullmatch("[0-9]{1,5}", value) else 1
