"""PDF with page numbers: lines put together to paragraphs, running heads and page numbers removed.

pdfium tells lines and their boxes; what a line means is told by where it stands, how large it is and
where it has gaps.
Vertical pages are turned, so that the same rules hold for them.
"""

from __future__ import annotations

import ctypes
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from math import hypot
from typing import Any

from index.errors import UnreadableDocument
from index.records import Heading, Skipped
from index.sources.encoding import clean
from index.sources.grid import CELL_GAP, Cell
from index.sources.layout import Line, Page, compose
from index.sources.types import Limits, Part

PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD of fpdfview.h
UNMAPPED = 0.3  # share of characters without a meaning from which on a page is unreadable
SCRIPTS = 5  # so many scripts on one page are numbers of glyphs that pdfium took for characters
MOST_CELLS = 100  # of a line; more are no table that anybody reads
BEGINNING = 100  # characters of a text; a running head may come first
LETTERS_OF_A_SCAN = 5  # a page with fewer letters and a picture is the picture of a page

_NO_MEANING = re.compile(r"[\ue000-\uf8ff\ufffd\x00-\x08\x0e-\x1f]|[\U000f0000-\U0010ffff]")
_RARE = re.compile("[\u0300-\u036f\u0530-\u1dff]")  # Armenian to Phonetic Extensions
_NO_TITLE = re.compile(
    r"^(?:microsoft |untitled|無題|.*\.(?:docx?|xlsx?|pptx?|indd|pdf|tex|jtd|html?)$|$)", re.I
)
_RADICAL = re.compile("[\u2e80-\u2fd5]")  # many a font's map gives these for the kanji themselves
_LINE_ENDS = re.compile(r"[\r\n]+")
# A page with 鍵 alone on it, in a font that the file does not bring along.
_FONT_NOT_EMBEDDED = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 50 50]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj
4 0 obj<</Length 32>>stream
BT /F 9 Tf 9 9 Td <8CAE> Tj ET
endstream endobj
5 0 obj<</Type/Font/Subtype/Type0/BaseFont/HeiseiKakuGo-W5/Encoding/90ms-RKSJ-H/DescendantFonts[6 0 R]>>endobj
6 0 obj<</Type/Font/Subtype/CIDFontType0/BaseFont/HeiseiKakuGo-W5
/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 2>>>>endobj
trailer<</Root 1 0 R>>
"""


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """One Part with `pages`; pages that are pictures, or in fonts without a map, are reported.

    Raises UnreadableDocument: `password`, `damaged`, `scanned`, `no_character_map`, `empty`.
    """
    with closing(_opened(data)) as document:
        count = len(document)
        pages, scans, unmapped = [], [], []
        for number in range(min(count, limits.pages)):
            page, picture = _page(document, number)
            letters = sum(len(line.text) for line in page.lines)
            if picture and letters < LETTERS_OF_A_SCAN:
                scans.append(number + 1)
            elif letters and _unmapped(page):
                unmapped.append(number + 1)
                page = Page([], page.height)
            pages.append(page)
        text, starts, outline = compose(pages, list(_bookmarks(document)))
        if not text.strip():
            raise _nothing(scans, unmapped)
        about = document.get_metadata_dict()
    title = clean(about.get("Title", "")).strip()
    yield Part(
        text,
        title=_first(outline) if _NO_TITLE.match(title) else title,
        outline=outline,
        pages=starts,
        date=(about.get("ModDate") or about.get("CreationDate") or "").removeprefix("D:")[:8],
    )
    if scans:
        yield Skipped(f"p.{_ranges(scans)}", "scanned", SCANNED)
    if unmapped:
        yield Skipped(f"p.{_ranges(unmapped)}", "no_character_map", UNMAPPED_FONTS)
    if count > limits.pages:
        reason = f"ページが多すぎます。{limits.pages} ページまで読みました（全 {count} ページ）。"
        yield Skipped(f"p.{limits.pages + 1}-{count}", "too_many_pages", reason)


SCANNED = "文字ではなく画像のページです。OCR で文字を付けてから読み込んでください。"
UNMAPPED_FONTS = "文字の対応表がないフォントのため、文字を取り出せません。"


def _opened(data: bytes) -> Any:
    import pypdfium2 as pdfium

    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == PASSWORD_ERROR:
            reason = "パスワードで保護されています。保護を外して保存し直してください。"
            raise UnreadableDocument(reason, code="password") from None
        raise UnreadableDocument("PDF として読めません（壊れています）。", code="damaged") from None


def has_japanese_font() -> bool:
    """Whether pdfium finds a font of this machine for Japanese in a PDF that brings none along. Without
    one, its letters have no height there, and pdfium leaves out those that stand alone."""
    with (
        closing(_opened(_FONT_NOT_EMBEDDED)) as document,
        closing(document[0]) as page,
        closing(page.get_textpage()) as text,
    ):
        return bool(text.count_chars())


def _page(document: Any, number: int) -> tuple[Page, bool]:
    """The lines of a page, and whether it shows a picture. A broken page is an empty one."""
    import pypdfium2 as pdfium
    from pypdfium2 import raw

    try:
        with closing(document[number]) as page, closing(page.get_textpage()) as text:
            height = page.get_height()
            lines = list(_lines(text))
            picture = not lines and any(
                True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3)
            )
    except pdfium.PdfiumError:
        return Page([], 0.0), False
    return _turned(lines, height), picture


def _lines(text: Any) -> Iterator[Line]:
    """pdfium's lines with their boxes in points, y upwards; `size` is that of the letters."""
    from pypdfium2 import raw

    count = text.count_chars()
    letters = [raw.FPDFText_GetUnicode(text, i) for i in range(count)]
    start = 0
    for end in [*(i for i, letter in enumerate(letters) if letter == 0x0A), count]:
        ink = [i for i in range(start, end) if letters[i] > 0x20 and letters[i] != 0x3000]
        if ink:
            first, last = (
                text.get_charbox(ink[0], loose=True),
                text.get_charbox(ink[-1], loose=True),
            )
            middle = text.get_charbox(ink[len(ink) // 2], loose=True)
            left, bottom, right, top = _around((first, middle, last))
            vertical = len(ink) > 1 and (top - bottom) > 1.5 * (right - left)
            size = _size(text, ink[len(ink) // 2]) or (
                middle[2] - middle[0] if vertical else middle[3] - middle[1]
            )
            tidy, hyphen = _tidy(letters[start:end])
            if tidy:
                cells = () if vertical else _cells(text, letters, ink, size)
                yield Line(tidy, left, bottom, right, top, size, vertical, hyphen, cells)
        start = end + 1


def _size(text: Any, letter: int) -> float:
    """The size of a letter in points as it stands on the page; 0 where pdfium does not know it."""
    from pypdfium2 import raw

    matrix = raw.FS_MATRIX()
    if not raw.FPDFText_GetMatrix(text, letter, ctypes.byref(matrix)):
        return 0.0
    return float(raw.FPDFText_GetFontSize(text, letter)) * hypot(matrix.c, matrix.d)


def _cells(text: Any, letters: list[int], ink: list[int], size: float) -> tuple[Cell, ...]:
    """The pieces of a line between wide gaps, none where there is no such gap, or far too many."""
    cuts: list[tuple[int, float, float]] = []  # place in `ink` after the gap, the edges of the gap
    for place in range(1, len(ink)):
        if ink[place] - ink[place - 1] > 1:  # pdfium writes a space where it sees a gap
            before = text.get_charbox(ink[place - 1], loose=True)[2]
            after = text.get_charbox(ink[place], loose=True)[0]
            if after - before > CELL_GAP * size:
                cuts.append((place, before, after))
    if not 0 < len(cuts) < MOST_CELLS:
        return ()
    lefts = [text.get_charbox(ink[0], loose=True)[0], *(after for _, _, after in cuts)]
    rights = [*(before for _, before, _ in cuts), text.get_charbox(ink[-1], loose=True)[2]]
    places = [0, *(place for place, _, _ in cuts), len(ink)]
    return tuple(
        Cell(_tidy(letters[ink[first] : ink[last - 1] + 1])[0], left, right)
        for first, last, left, right in zip(places, places[1:], lefts, rights, strict=False)
    )


def _tidy(codes: Sequence[int]) -> tuple[str, bool]:
    """The words of a piece of a line, and whether it was cut inside a Latin word."""
    words = _words(codes)
    return clean(_LINE_ENDS.sub("", words)).strip(), words.rstrip()[-1:] == "\x02"


def _words(codes: Sequence[int]) -> str:
    """Characters of pdfium, which speaks UTF-16, with radicals (⼈) as the kanji they stand for."""
    wide = "".join(chr(code) for code in codes if 0 < code < 0x110000)
    text = wide.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return _RADICAL.sub(lambda radical: unicodedata.normalize("NFKC", radical[0]), text)


def _around(boxes: Iterable[tuple[float, ...]]) -> tuple[float, float, float, float]:
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


def _turned(lines: list[Line], height: float) -> Page:
    """The page; one of vertical lines as if it were horizontal, its columns from the right."""
    upright = sum(len(line.text) for line in lines if line.vertical)
    if upright * 2 <= sum(len(line.text) for line in lines):
        return Page(lines, height)
    turned = [
        Line(
            line.text, height - line.top, line.left, height - line.bottom, line.right,
            line.size, False, line.hyphen,
        )
        for line in lines
    ]  # fmt: skip
    turned.sort(key=lambda line: (-round(line.top), line.left))
    return Page(turned, 0.0)


def _unmapped(page: Page) -> bool:
    """Whether the fonts of a page do not tell its characters: they have none, or their glyphs'
    numbers stand for them, which lie all over the scripts that no page has side by side."""
    words = "".join(line.text for line in page.lines)
    rare = _RARE.findall(words)
    scattered = len({ord(letter) >> 8 for letter in rare}) >= SCRIPTS
    return max(len(_NO_MEANING.findall(words)), len(rare) * scattered) > UNMAPPED * len(words)


def _first(outline: Sequence[Heading]) -> str:
    """The heading near the beginning of a document, if it stands above all others."""
    highest = [heading for heading in outline if heading.level == 1]
    return highest[0].title if len(highest) == 1 and highest[0].start < BEGINNING else ""


def _bookmarks(document: Any) -> Iterator[tuple[int, int, str]]:
    """The document's own outline as (level from 1, page from 0, title)."""
    import pypdfium2 as pdfium

    try:
        for mark in document.get_toc(max_depth=6):
            target = mark.get_dest()
            page = target.get_index() if target else None
            title = clean(mark.get_title() or "").strip()
            if page is not None and title:
                yield mark.level + 1, page, title
    except (pdfium.PdfiumError, AttributeError, ValueError):
        return


def _nothing(scans: list[int], unmapped: list[int]) -> UnreadableDocument:
    if scans and len(scans) >= len(unmapped):
        return UnreadableDocument(SCANNED, code="scanned")
    if unmapped:
        return UnreadableDocument(UNMAPPED_FONTS, code="no_character_map")
    return UnreadableDocument("文章がありません。", code="empty")


def _ranges(numbers: list[int]) -> str:
    """1, 2, 3, 7 → `1-3,7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)
