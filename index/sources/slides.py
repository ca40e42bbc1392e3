"""PPTX: a slide is a page; its title is a heading; tables row by row; notes below."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any
from zipfile import BadZipFile

from index.errors import UnreadableDocument
from index.records import Heading, Skipped
from index.sources.archive import BROKEN, opened
from index.sources.encoding import clean
from index.sources.tables import looks_like_header, table_lines
from index.sources.types import Limits, Part

DEEPEST = 8  # groups inside each other


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """One Part with a page for each slide. Raises UnreadableDocument (`password`, `damaged`, …)."""
    presentation = _opened(data, limits)
    pieces: list[str] = []
    outline: list[Heading] = []
    starts: list[int] = []
    length = 0
    for number, slide in enumerate(presentation.slides):
        if number >= limits.pages:
            yield Skipped(
                f"p.{number + 1}-", "too_many_pages", f"{limits.pages} 枚まで読みました。"
            )
            break
        starts.append(length)
        title, lines = _slide(slide)
        if title:
            outline.append(Heading(length, 1, title))
        piece = "\n".join(line for line in ((title, "", *lines) if title else lines))
        if piece.strip():
            pieces.append(piece.strip("\n") + "\n\n")
            length += len(pieces[-1])
    text = "".join(pieces).rstrip("\n")
    if not text:
        raise UnreadableDocument("文章がありません（画像だけのスライドです）。", code="empty")
    about = presentation.core_properties
    changed = about.modified or about.created
    yield Part(
        text,
        title=_title(about.title) or (outline[0].title if outline else ""),
        outline=tuple(outline),
        pages=tuple(min(start, len(text)) for start in starts),
        date=changed.date().isoformat() if changed else "",
    )


def _opened(data: bytes, limits: Limits) -> Any:
    from lxml.etree import LxmlError
    from pptx import Presentation
    from pptx.exc import PythonPptxError

    if data.startswith(b"\xd0\xcf\x11\xe0"):  # encrypted Office files are OLE containers
        reason = "パスワードで保護されているか、古い形式（.ppt など）です。"
        raise UnreadableDocument(reason, code="password")
    opened(data, limits).close()
    try:
        return Presentation(BytesIO(data))
    except (*BROKEN, BadZipFile, LxmlError, PythonPptxError, KeyError, AttributeError, TypeError):
        reason = "PowerPoint ファイルとして読めません（壊れています）。"
        raise UnreadableDocument(reason, code="damaged") from None


def _title(title: str | None) -> str:
    """The title in the properties, unless it is PowerPoint's own."""
    words = clean(title or "").strip()
    return "" if words.lower().startswith("powerpoint") else words


def _slide(slide: Any) -> tuple[str, list[str]]:
    """The title of a slide and its lines, from the top left to the bottom right."""
    head = slide.shapes.title
    title = " ".join(clean(head.text_frame.text).split()) if head is not None else ""
    shapes = [shape for shape in slide.shapes if head is None or shape.shape_id != head.shape_id]
    shapes.sort(key=lambda shape: (shape.top or 0, shape.left or 0))
    lines = [line for shape in shapes for line in _lines(shape, DEEPEST)]
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
        lines += ["", *(line for line in clean(notes.text).split("\n") if line.strip())]
    return title, lines


def _lines(shape: Any, depth: int) -> Iterator[str]:
    if shape.shape_type == 6 and depth:  # MSO_SHAPE_TYPE.GROUP
        for inner in sorted(shape.shapes, key=lambda inner: (inner.top or 0, inner.left or 0)):
            yield from _lines(inner, depth - 1)
    elif getattr(shape, "has_table", False) and shape.has_table:
        rows = [[clean(cell.text) for cell in row.cells] for row in shape.table.rows]
        headed = len(rows) > 1 and (shape.table.first_row or looks_like_header(rows[0], rows[1]))
        yield from table_lines(rows[0] if headed else (), rows[1:] if headed else rows)
        yield ""
    elif shape.has_text_frame:
        for paragraph in shape.text_frame.paragraphs:
            text = clean("".join(run.text for run in paragraph.runs) or paragraph.text).strip()
            if text:
                indent = "  " * (paragraph.level or 0)
                yield f"{indent}- {text}" if paragraph.level else text
        yield ""
