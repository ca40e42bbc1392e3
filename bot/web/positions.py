"""markdown-it-py, taught to say where in the source every visible character stands.

Block tokens carry line numbers, which gives the place of their content (`line_places`,
`cell_places`). The inline state below notes its position whenever it takes in text, in
`token.meta`: `runs` holds (place, length) pairs of plain text, `at` the place of anything else,
both counted in the content of the block.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal
from unicodedata import east_asian_width

from markdown_it import MarkdownIt
from markdown_it.common.utils import MD_TRIM_CHARS, isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_block import heading as heading_rule
from markdown_it.rules_block import table as table_rule
from markdown_it.rules_inline.state_inline import Scanned, StateInline

from bot.web.highlight import Run

if TYPE_CHECKING:
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

MAX_NESTING = 60  # markdown-it drops blocks that lie deeper
_LAST = 1 << 62  # after any place
BLANK = MD_TRIM_CHARS  # what markdown-it takes off the ends of a content; U+3000 among it


class _State(StateInline):
    """markdown-it's inline state that remembers where in its content every text came from."""

    def __init__(self, src: str, md: MarkdownIt, env: Any, tokens: list[Token], base: int) -> None:
        self.base = base
        self._runs: list[tuple[int, int]] = []
        self._last_text: tuple[int, Token] | None = None
        super().__init__(src, md, env, tokens)

    def append_pending(self, text: str) -> None:
        at = self.base + self.pos
        if self._runs and sum(self._runs[-1]) == at:
            self._runs[-1] = (self._runs[-1][0], self._runs[-1][1] + len(text))
        else:
            self._runs.append((at, len(text)))
        super().append_pending(text)

    @property
    def pending(self) -> str:
        return super().pending

    @pending.setter
    def pending(self, value: str) -> None:
        # Only ever emptied, or cut at its end (white space before a line break).
        left = len(value)
        kept: list[tuple[int, int]] = []
        for at, length in self._runs:
            if left <= 0:
                break
            kept.append((at, min(length, left)))
            left -= length
        self._runs = kept
        StateInline.pending.fset(self, value)  # type: ignore[attr-defined]

    def pushPending(self) -> Token:
        runs = self._runs
        token = super().pushPending()
        token.meta["runs"] = runs
        return token

    def push(self, ttype: str, tag: str, nesting: Literal[-1, 0, 1]) -> Token:
        token = super().push(ttype, tag, nesting)
        at = self.base + self.pos
        if ttype == "text":
            # `***` is three tokens pushed at one position.
            if self._last_text and self._last_text[0] == self.pos:
                previous = self._last_text[1]
                at = int(previous.meta["at"]) + len(previous.content)
            self._last_text = (self.pos, token)
        token.meta["at"] = at
        return token

    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:
        """CommonMark's flanking rules, except that 「」（）。 and kana do not keep ** from working:
        Japanese has no spaces around words, so `**「強調」**です` would stay unrendered."""
        end = start
        while end < self.posMax and self.src[end] == self.src[start]:
            end += 1
        last = self.src[start - 1] if start > 0 else " "
        following = self.src[end] if end < self.posMax else " "
        left = _flanks(following, last)
        right = _flanks(last, following)
        return Scanned(
            left and (canSplitWord or not right or _is_punctuation(last)),
            right and (canSplitWord or not left or _is_punctuation(following)),
            end - start,
        )


def _flanks(inside: str, outside: str) -> bool:
    if isWhiteSpace(ord(inside)):
        return False
    if not _is_punctuation(inside) or is_wide(inside):
        return True
    return isWhiteSpace(ord(outside)) or _is_punctuation(outside) or is_wide(outside)


def _is_punctuation(char: str) -> bool:
    return isMdAsciiPunct(ord(char)) or isPunctChar(char)


def is_wide(char: str) -> bool:
    return east_asian_width(char) in "WF"


class _Inline(ParserInline):
    """The inline parser over `_State`. The label of an image is parsed by a state of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._open: list[_State] = []

    def parse(self, src: str, md: MarkdownIt, env: Any, tokens: list[Token]) -> list[Token]:
        base = self._open[-1].base + self._open[-1].pos + len("![") if self._open else 0
        state = _State(src, md, env, tokens, base)
        self._open.append(state)
        self.tokenize(state)
        self._open.pop()
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


def _with_line_starts(
    rule: Callable[[StateBlock, int, int, bool], bool],
) -> Callable[[StateBlock, int, int, bool], bool]:
    """The block rule, its tokens knowing where their line begins behind `> ` and list markers."""

    def noted(state: StateBlock, first: int, last: int, silent: bool) -> bool:
        before = len(state.tokens)
        if not rule(state, first, last, silent):
            return False
        for token in state.tokens[before:]:
            if token.map:
                line = token.map[0]
                token.meta["start"] = state.bMarks[line] + state.tShift[line]
        return True

    return noted


def markdown_parser() -> MarkdownIt:
    """A parser for one text (it keeps state while it parses): CommonMark, tables, ~~strike~~."""
    parser = MarkdownIt("commonmark")
    parser.inline = _Inline()
    parser.configure("commonmark", {"html": False, "maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    # Joining text tokens would lose their places; nothing below needs them joined.
    parser.inline.ruler2.disable("fragments_join")
    parser.core.ruler.disable("text_join")
    ends = ["paragraph", "reference"]  # what these blocks may interrupt
    parser.block.ruler.at("table", _with_line_starts(table_rule), {"alt": ends})
    parser.block.ruler.at(
        "heading", _with_line_starts(heading_rule), {"alt": [*ends, "blockquote"]}
    )
    return parser


@dataclass(slots=True)
class Places:
    """Where each character of a block's content stands in the source: sorted (content, source)."""

    pairs: list[tuple[int, int]] = field(default_factory=list)

    def source(self, at: int) -> int:
        index = bisect_right(self.pairs, (at, _LAST)) - 1
        content, source = self.pairs[max(index, 0)]
        return source + max(at - content, 0)

    def runs(self, text: str, at: int) -> Iterator[Run]:
        """`text`, which stands at `at` in the content, cut where the source is not contiguous."""
        end = at + len(text)
        low, high = bisect_right(self.pairs, (at, _LAST)), bisect_left(self.pairs, (end, -1))
        cuts = [at, *(content for content, _ in self.pairs[low:high]), end]
        for first, last in pairwise(cuts):
            place = self.source(first)
            yield Run(text[first - at : last - at], place, place + last - first)


def line_places(content: str, lines: list[tuple[int, str]], first: int) -> Places:
    """Places of content whose lines are the ends of source lines `first`, `first + 1`, ….

    A line of content lacks the indentation and the markers before it, and the last one may lack
    its trailing blanks; a tab cut in half leaves spaces that stand nowhere.
    """
    places = Places()
    at = 0
    for number, text in enumerate(content.split("\n"), start=first):
        start, line = lines[number] if number < len(lines) else (lines[-1][0], "")
        if not line.endswith(text):
            line = line.rstrip(BLANK)
        known = text if line.endswith(text) else text.lstrip(" ")
        places.pairs.append((at + len(text) - len(known), start + len(line) - len(known)))
        at += len(text) + 1
    return places


def cell_places(line: str, start: int) -> list[Places]:
    r"""Places of the cells of one table row; `\|` in a cell is one character of its content."""
    end = len(line.rstrip(BLANK))
    bounds: list[tuple[int, int]] = []
    escapes: list[int] = []
    first = 0
    for index in range(end):
        if line[index] == "|":
            if index and line[index - 1] == "\\":
                escapes.append(index)
            else:
                bounds.append((first, index))
                first = index + 1
    bounds.append((first, end))
    if bounds and bounds[0][0] == bounds[0][1]:
        bounds.pop(0)
    if bounds and bounds[-1][0] == bounds[-1][1]:
        bounds.pop()
    cells: list[Places] = []
    for low, high in bounds:
        low += len(line[low:high]) - len(line[low:high].lstrip(BLANK))
        places = Places([(0, start + low)])
        for skipped, bar in enumerate((e for e in escapes if low < e < high), start=1):
            places.pairs.append((bar - low - skipped, start + bar))
        cells.append(places)
    return cells
