"""Markdown → safe HTML in which one stretch of the source is highlighted, wherever it runs.

A quote that begins inside bold text, crosses a table cell and ends in the next list item is
marked character by character; markup that is not visible is simply not there to be marked.
HTML in the source stays text, images are never loaded, links lead to http, https and mailto only.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from bot.web.highlight import Highlight, Run, link_open, safe_link, text_html
from bot.web.positions import (
    BLANK,
    MAX_NESTING,
    Places,
    cell_places,
    is_wide,
    line_places,
    markdown_parser,
)

if TYPE_CHECKING:
    from markdown_it.token import Token

_BLOCK_TAGS = {
    "paragraph": "p",
    "bullet_list": "ul",
    "ordered_list": "ol",
    "list_item": "li",
    "blockquote": "blockquote",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "th": "th",
    "td": "td",
}
_INLINE_TAGS = {"em": "em", "strong": "strong", "s": "s"}


def render_markdown(
    text: str, highlight: Highlight, page_breaks: Sequence[tuple[int, str]] = ()
) -> str | None:
    """`text` as HTML with `highlight` marked in it; None where it is nested too deeply to render.

    `text` has "\\n" line ends and no NUL. `page_breaks` holds (offset, HTML), put before the
    first top-level block that begins at the offset or after it.
    """
    return _Renderer(text, highlight, page_breaks).render()


class _Renderer:
    """One pass over the tokens of one text; `out` collects the HTML."""

    def __init__(
        self, text: str, highlight: Highlight, page_breaks: Sequence[tuple[int, str]]
    ) -> None:
        self.text = text
        self.highlight = highlight
        self.page_breaks = list(page_breaks)
        self.out: list[str] = []
        self.lines: list[tuple[int, str]] = []
        self.content = ""  # of the block being rendered
        self.cells: list[Places] | None = None  # of the table row being rendered
        self.column = 0
        self.closers: list[str] = []  # of the links that are open

    def render(self) -> str | None:
        start = 0
        for line in self.text.split("\n"):
            self.lines.append((start, line))
            start += len(line) + 1
        tokens = markdown_parser().parse(self.text)
        if any(token.level >= MAX_NESTING - 2 for token in tokens):
            return None
        for token in tokens:
            if token.level == 0 and token.map and token.nesting >= 0:
                self._break_pages(self.lines[token.map[0]][0])
            self._block(token)
        return "".join(self.out)

    def _break_pages(self, offset: int) -> None:
        while self.page_breaks and self.page_breaks[0][0] <= offset:
            self.out.append(self.page_breaks.pop(0)[1])

    def _block(self, token: Token) -> None:
        kind, _, side = token.type.rpartition("_")
        if token.type == "inline":
            self.content = token.content
            self._inline(token.children or [], self._places(token))
        elif token.type in ("fence", "code_block"):
            self._code_block(token)
        elif token.type == "hr":
            self.out.append("<hr>\n")
        elif token.hidden:
            self.out.append("\n" if side == "close" else "")
        elif kind == "table":
            opening = '<div class="table" tabindex="0"><table>\n'
            self.out.append(opening if side == "open" else "</table></div>\n")
        elif kind == "heading":
            level = min(int(token.tag[1]) + 1, 6)
            self.out.append(f"<h{level}>" if side == "open" else f"</h{level}>\n")
        elif kind in _BLOCK_TAGS:
            self._row(token)
            tag = _BLOCK_TAGS[kind]
            self.out.append(f"<{tag}{_attributes(token)}>" if side == "open" else f"</{tag}>\n")

    def _row(self, token: Token) -> None:
        if token.type == "tr_open" and token.map:
            number = token.map[0]
            start = int(token.meta["start"])
            line_start, line = self.lines[number]
            self.cells = cell_places(line[start - line_start :], start)
            self.column = 0
        elif token.type == "tr_close":
            self.cells = None

    def _places(self, token: Token) -> Places:
        """Where the content of an inline token stands in the source."""
        first = token.map[0] if token.map else 0
        if self.cells is not None:
            self.column += 1
            if self.column <= len(self.cells):
                return self.cells[self.column - 1]
            return Places([(0, 0)])  # a missing cell is empty
        if "start" in token.meta:  # `# heading`
            place = int(token.meta["start"])
            while self.text[place : place + 1] == "#":
                place += 1
            line_end = place + len(self.lines[first][1])
            place += len(self.text[place:line_end]) - len(self.text[place:line_end].lstrip(BLANK))
            return Places([(0, place)])
        return line_places(token.content, self.lines, first)

    def _code_block(self, token: Token) -> None:
        first = token.map[0] if token.map else 0
        if token.type == "fence":
            first += 1
        content = token.content.removesuffix("\n")
        places = line_places(content, self.lines, first)
        code = "".join(self.highlight.html(run) for run in places.runs(content, 0))
        language = token.info.split()[0] if token.info.strip() else ""
        label = f' data-language="{escape(language)}"' if language else ""
        self.out.append(f'<pre tabindex="0"{label}><code>{code}</code></pre>\n')

    def _inline(self, tokens: list[Token], places: Places) -> None:
        waiting: list[Run] = []  # text not yet written, so that a bare URL is seen whole
        for index, token in enumerate(tokens):
            if token.type in ("text", "text_special"):
                waiting += self._text_runs(tokens, index, places)
                continue
            last = waiting[-1].text[-1:] if waiting else ""
            self._flush(waiting)
            if token.type in ("softbreak", "hardbreak"):
                self._line_break(token, last, tokens[index + 1 :])
            elif token.type == "code_inline":
                code = "".join(map(self.highlight.html, self._code_runs(token, places)))
                self.out.append(f"<code>{code}</code>")
            elif token.type == "image":
                self._image(token, places)
            elif token.type.startswith("link"):
                self._link(token)
            else:
                kind, _, side = token.type.rpartition("_")
                tag = _INLINE_TAGS.get(kind)
                if tag:
                    self.out.append(f"<{tag}>" if side == "open" else f"</{tag}>")
        self._flush(waiting)

    def _flush(self, waiting: list[Run]) -> None:
        if self.closers:
            self.out += map(self.highlight.html, waiting)
        else:
            self.out.append(text_html(waiting, self.highlight))
        waiting.clear()

    def _text_runs(self, tokens: list[Token], index: int, places: Places) -> list[Run]:
        token = tokens[index]
        if token.type == "text_special":  # an escape or an entity stands for its whole markup
            at = int(token.meta["at"])
            return [_atomic(token.content, at, at + len(token.markup), places)]
        if "runs" in token.meta:
            runs: list[Run] = []
            done = 0
            for at, length in token.meta["runs"]:
                runs += places.runs(token.content[done : done + length], at)
                done += length
            return runs
        at = int(token.meta["at"])
        opening = tokens[index - 1] if index else None
        if opening and opening.type == "link_open" and opening.info == "auto":
            end = self.content.index(">", at)
            if self.content[at + 1 : end] != token.content:
                return [_atomic(token.content, at + 1, end, places)]
            at += 1
        return list(places.runs(token.content, at))

    def _code_runs(self, token: Token, places: Places) -> list[Run]:
        at = int(token.meta["at"]) + len(token.markup)
        raw = self.content[at : at + len(token.content)].replace("\n", " ")
        if raw != token.content:  # one blank was taken off at each side
            at += 1
        return list(places.runs(token.content, at))

    def _line_break(self, token: Token, last: str, following: list[Token]) -> None:
        if token.type == "hardbreak":
            self.out.append("<br>\n")
            return
        upcoming = next((t.content[:1] for t in following if t.content), "")
        # A line end inside Japanese text is no space between words.
        joined = last and upcoming and is_wide(last) and is_wide(upcoming)
        self.out.append("" if joined else "\n")

    def _image(self, token: Token, places: Places) -> None:
        url = str(token.attrs.get("src", ""))
        linked = safe_link(url) and not self.closers
        self.out.append(link_open(url, "image") if linked else '<span class="image">')
        self.closers.append("</a>" if linked else "</span>")
        self._inline(token.children or [], places)
        self.out.append(self.closers.pop())

    def _link(self, token: Token) -> None:
        if token.nesting < 0:
            self.out.append(self.closers.pop())
            return
        url = str(token.attrs.get("href", ""))
        linked = safe_link(url) and not self.closers
        self.out.append(link_open(url) if linked else "<span>")
        self.closers.append("</a>" if linked else "</span>")


def _atomic(text: str, first: int, last: int, places: Places) -> Run:
    return Run(text, places.source(first), places.source(last - 1) + 1, atomic=True)


def _attributes(token: Token) -> str:
    """The attributes that are kept: where a numbered list starts, how a column is aligned."""
    start = token.attrs.get("start")
    if token.type == "ordered_list_open" and start is not None:
        return f' start="{int(start)}"'
    align = str(token.attrs.get("style", "")).removeprefix("text-align:")
    return f' class="{align}"' if align in ("left", "center", "right") else ""
