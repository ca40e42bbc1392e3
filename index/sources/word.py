"""DOCX: headings by style, numbers as Word counts them, tables row by row, ruby, footnotes."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from index.errors import UnreadableDocument
from index.records import Heading, Skipped
from index.sources.archive import BROKEN, opened
from index.sources.encoding import clean
from index.sources.outline import with_articles
from index.sources.ruby import without_ruby
from index.sources.tables import looks_like_header, table_lines
from index.sources.types import Limits, Part
from index.sources.word_numbers import Numbering

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
FOOTNOTES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
LONGEST_HEADING = 120
TITLES = frozenset(("title", "表題"))  # names of the style for a document's title
_BREAK = "\x1e"


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """One Part. Raises UnreadableDocument (`password`, `damaged`, `archive_bomb`, `empty`)."""
    document = _opened(data, limits)
    writer = _Writer(document)
    writer.walk(document.element.body)
    writer.footnotes()
    text, outline = writer.finish()
    if not text:
        raise UnreadableDocument("文章がありません。", code="empty")
    about = document.core_properties
    changed = about.modified or about.created
    first = next((heading.title for heading in outline if heading.level == 1), "")
    yield Part(
        text,
        title=writer.title or clean(about.title or "").strip() or first,
        outline=with_articles(text, outline),
        date=changed.date().isoformat() if changed else "",
    )


def _opened(data: bytes, limits: Limits) -> Any:
    from docx import Document
    from docx.opc.exceptions import OpcError
    from lxml.etree import LxmlError

    if data.startswith(b"\xd0\xcf\x11\xe0"):  # encrypted Office files are OLE containers
        reason = "パスワードで保護されているか、古い形式（.doc など）です。"
        raise UnreadableDocument(reason, code="password")
    opened(data, limits).close()
    try:
        return Document(BytesIO(data))
    except (*BROKEN, LxmlError, OpcError, KeyError, AttributeError, TypeError):
        reason = "Word ファイルとして読めません（壊れています）。"
        raise UnreadableDocument(reason, code="damaged") from None


class _Writer:
    """Walks the body and gathers blocks: (heading level or 0, text, whether a list or table)."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._blocks: list[tuple[int, str, bool]] = []
        self._levels = _heading_levels(document)
        self._titles = _title_styles(document)
        self._numbering = Numbering(document)
        self._notes: list[str] = []
        self.title = ""

    def walk(self, parent: Any) -> None:
        """The paragraphs and tables below `parent`, those inside content controls too."""
        for element in parent:
            if element.tag == W + "p":
                self._paragraph(element)
            elif element.tag == W + "tbl":
                rows = list(_rows(element))
                marked = element.find(f"{W}tr/{W}trPr/{W}tblHeader") is not None
                headed = len(rows) > 1 and (marked or looks_like_header(rows[0], rows[1]))
                lines = table_lines(rows[0] if headed else (), rows[1:] if headed else rows)
                self._blocks += ((0, line, True) for line in lines)
            elif element.tag in {W + "sdt", W + "sdtContent", W + "ins", W + "smartTag"}:
                self.walk(element)

    def footnotes(self) -> None:
        """The footnotes, in order, below the body."""
        from docx.oxml import parse_xml

        for relation in self._document.part.rels.values():
            if relation.reltype == FOOTNOTES and not relation.is_external:
                for note in parse_xml(relation.target_part.blob).iter(W + "footnote"):
                    text = "".join(_text(p) for p in note.iter(W + "p")).strip()
                    if note.get(W + "type") is None and text:
                        self._blocks.append((0, f"※{note.get(W + 'id')} {text}", False))

    def finish(self) -> tuple[str, tuple[Heading, ...]]:
        """The text and its headings."""
        texts = without_ruby(_BREAK.join(text for _, text, _ in self._blocks)).split(_BREAK)
        pieces: list[str] = []
        outline: list[Heading] = []
        length, tight_before = 0, False
        for (level, _, tight), text in zip(self._blocks, texts, strict=bool(self._blocks)):
            gap = "" if not pieces else "\n" if tight and tight_before else "\n\n"
            if level:
                outline.append(Heading(length + len(gap), level, " ".join(text.split())))
            pieces += (gap, text)
            length += len(gap) + len(text)
            tight_before = tight
        return "".join(pieces), tuple(outline)

    def _paragraph(self, paragraph: Any) -> None:
        style = paragraph.find(f"{W}pPr/{W}pStyle")
        style_id = style.get(W + "val") if style is not None else ""
        level = self._levels.get(style_id, 0)
        number = self._numbering.label(paragraph, style_id)
        text = clean(_text(paragraph)).strip()
        if not text or level < 0:
            return
        if style_id in self._titles and not self.title:
            self.title = text
        listed = bool(number) and not level
        text = f"{number} {text}" if number else text
        self._blocks.append((level if len(text) <= LONGEST_HEADING else 0, text, listed))


def _text(paragraph: Any) -> str:
    """The words of a paragraph: nothing that was deleted or moved away, ruby as ｜漢字《かんじ》."""
    pieces: list[str] = []
    stack = [iter(paragraph)]
    while stack:
        element = next(stack[-1], None)
        if element is None:
            stack.pop()
            continue
        tag = element.tag
        if tag == W + "t":
            pieces.append(element.text or "")
        elif tag == W + "tab":
            pieces.append("\t")
        elif tag in {W + "br", W + "cr"}:
            pieces.append("\n")
        elif tag == W + "noBreakHyphen":
            pieces.append("-")
        elif tag == W + "ruby":
            base = "".join(t.text or "" for t in element.iterfind(f"{W}rubyBase//{W}t"))
            reading = "".join(t.text or "" for t in element.iterfind(f"{W}rt//{W}t"))
            pieces.append(f"｜{base}《{reading}》")
        elif tag not in {W + "pPr", W + "rPr", W + "del", W + "moveFrom", FALLBACK}:
            stack.append(iter(element))
    return "".join(pieces)


def _rows(table: Any) -> Iterator[list[str]]:
    """The cells of a table, merged ones repeated."""
    above: list[str] = []
    for row in table.iter(W + "tr"):
        if next(row.iterancestors(W + "tbl"), None) is not table:
            continue  # of a table inside a cell, whose words are in the cell
        cells: list[str] = []
        for cell in row.iter(W + "tc"):
            if next(cell.iterancestors(W + "tr"), None) is not row:
                continue
            merge = cell.find(f"{W}tcPr/{W}vMerge")
            if merge is not None and merge.get(W + "val") != "restart" and len(cells) < len(above):
                text = above[len(cells)]
            else:
                text = clean(" ".join(_text(p) for p in cell.iter(W + "p"))).strip()
            span = cell.find(f"{W}tcPr/{W}gridSpan")
            wide = span.get(W + "val") if span is not None else "1"
            cells += [text] * (min(int(wide), 100) if wide and wide.isdecimal() else 1)
        above = cells
        yield cells


def _title_styles(document: Any) -> frozenset[str]:
    """The ids of the style for a document's title: in Japanese Word they are a3 and the like."""
    names = ((s.get(W + "styleId") or "", s.find(W + "name")) for s in document.styles.element)
    return frozenset(
        identity
        for identity, name in names
        if name is not None and (name.get(W + "val") or "").lower() in TITLES
    )


def _heading_levels(document: Any) -> dict[str, int]:
    """Style id → level of heading from 1, 0 for body text, -1 for a table of contents."""
    levels: dict[str, int] = {}
    for style in document.styles.element.iter(W + "style"):
        identity = style.get(W + "styleId") or ""
        name = style.find(W + "name")
        words = (name.get(W + "val") if name is not None else "").lower()
        outline = style.find(f"{W}pPr/{W}outlineLvl")
        if words.startswith("toc ") or words.startswith("目次"):
            levels[identity] = -1
        elif words.startswith(("heading ", "見出し ")) and words[-1].isdecimal():
            levels[identity] = int(words[-1])
        elif outline is not None and (outline.get(W + "val") or "9") in "012345678":
            levels[identity] = int(outline.get(W + "val")) + 1
    return levels
