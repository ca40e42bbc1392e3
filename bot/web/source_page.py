"""The page of one document, scrolled to a quote that is highlighted in it."""

from __future__ import annotations

import re
from html import escape
from typing import Literal
from urllib.parse import urlencode

from bot.web.frame import framed
from bot.web.highlight import Highlight, Run, link_open, safe_link, text_html
from bot.web.markdown import render_markdown
from index.records import Document, heading_path

MARKDOWN_LIMIT = 200_000  # characters; a longer text is shown as it is, which takes no parsing
LINE_LIMIT = 20_000  # a longer line is data rather than prose, and slow to parse
WINDOW = 500_000  # characters of a very long text that are shown around the quote
_NEWLINE = re.compile(r"\r\n?")
_KANA = re.compile(r"[\u3041-\u30ff]")
# What HTML cannot hold, or a terminal would obey, becomes U+FFFD; the length stays the same.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)

_WORDS = {
    "ja": {
        "title": "出典",
        "page": "{} ページ",
        "copy_quote": "引用をコピー",
        "copy_all": "全文をコピー",
        "copied": "コピーしました",
        "failed": "コピーできませんでした",
        "open_original": "元の文書を開く",
        "to_quote": "引用箇所へ",
        "home": "Kiku で質問する",
        "cut": "長い文書のため、引用箇所の前後だけを表示しています。",
        "raw": "この引用は整形すると見えない部分にあるため、原文のまま表示しています。",
        "path": "見出し",
        "older": "これは古い版です。",
        "newer": "新しい版を開く",
    },
    "en": {
        "title": "Source",
        "page": "Page {}",
        "copy_quote": "Copy quote",
        "copy_all": "Copy full text",
        "copied": "Copied",
        "failed": "Could not copy",
        "open_original": "Open the original",
        "to_quote": "Go to the quote",
        "home": "Ask Kiku",
        "cut": "This document is long: only the part around the quote is shown.",
        "raw": "The quote lies where formatting would hide it, so the text is shown as it is.",
        "path": "Headings",
        "older": "This is an older version.",
        "newer": "Open the newer one",
    },
}


def render_source(
    document: Document, start: int | None, end: int | None, *, language: Literal["ja", "en"]
) -> str:
    """The whole HTML page of a document, the quote [start, end) in <mark>, the first with id quote.

    Offsets are code points of `document.text`; ones that lie outside of it are cut to it, and
    without a quote the page shows the document from its top. Links and copy buttons work without
    inline script. `language` is the language of the page's own words.
    """
    words = _WORDS[language]
    first, last = _bounds(document.text, start, end)
    text = _printable(document.text)
    quote = _printable(document.text[first:last])
    highlight = Highlight(_shift(document.text, first), _shift(document.text, last))
    pages = [
        (_shift(document.text, offset), number)
        for number, offset in enumerate(document.pages, start=1)
    ]
    body, notes = _body(document, text, highlight, pages, words)
    title = _printable(document.title) or document.source or words["title"]
    main = _MAIN.format(
        header=_header(document, title, first if quote else 0, quote, body, words),
        notes=_older(document, words)
        + "".join(f'<p class="note">{escape(words[note])}</p>' for note in notes),
        text_language="ja" if _KANA.search(text) else language,
        body=body,
    )
    return framed(main, title=title, home=words["home"], language=language, script="source.js")


def _body(
    document: Document,
    text: str,
    highlight: Highlight,
    pages: list[tuple[int, int]],
    words: dict[str, str],
) -> tuple[str, list[str]]:
    """The document's HTML, and the names of the notes that a reader should see above it."""
    breaks = [(offset, _page_label(number, words)) for offset, number in pages]
    wanted = highlight.start < highlight.end and text[highlight.start : highlight.end].strip()
    notes: list[str] = []
    if _is_markdown(document) and _is_parsable(text):
        html = render_markdown(text, highlight, breaks)
        if html is not None and (highlight.found or not wanted):
            return f'<div class="markdown">{html}</div>', notes
        notes = ["raw"] if html is not None else []
        highlight.found = False
    low, high = _window(text, highlight)
    if (low, high) != (0, len(text)):
        notes.append("cut")
    html = _plain(document, text, low, high, highlight, breaks)
    return f'<div class="plain">{html}</div>', notes


def _plain(
    document: Document,
    text: str,
    low: int,
    high: int,
    highlight: Highlight,
    breaks: list[tuple[int, str]],
) -> str:
    """The text as it stands, its headings and pages told apart, from offset `low` to `high`."""
    marks = [(offset, label, "") for offset, label in breaks if low <= offset < high]
    for heading in document.outline:
        at = _shift(document.text, heading.start)
        if low <= at < high:
            marks += [(at, "", f"h{min(heading.level + 1, 6)}")]
    marks.sort(key=lambda mark: (mark[0], mark[2]))
    out: list[str] = []
    position = low
    for at, label, tag in marks:
        if at > position:
            out.append(_text(text, position, at, highlight))
            position = at
        out.append(label)
        if tag and at == position:
            line_end = text.find("\n", at, high)
            stop = line_end if line_end >= 0 else high
            out.append(f"<{tag}>{_text(text, at, stop, highlight)}</{tag}>")
            position = min(stop + 1, high)
    out.append(_text(text, position, high, highlight))
    return "".join(out)


def _text(text: str, low: int, high: int, highlight: Highlight) -> str:
    return text_html([Run(text[low:high], low, high)], highlight)


def _header(
    document: Document, title: str, position: int, quote: str, body: str, words: dict[str, str]
) -> str:
    """Title, place and buttons above the text."""
    # A text that begins with its own title does not need a second one above it.
    own_title = f"<h2>{escape(title, quote=False)}</h2>" in body[:4000]
    path = [_printable(part) for part in heading_path(document.outline, position)]
    trail = [part for part in path if part != title] if quote else []
    out = [f"<h1{' class=visually-hidden' if own_title else ''}>{escape(title)}</h1>"]
    facts = [f'<span class="place">{escape(_printable(document.source))}</span>']
    if document.date:
        facts.append(f'<time datetime="{escape(document.date)}">{escape(document.date)}</time>')
    if quote and document.pages:
        page = sum(1 for offset in document.pages if offset <= position)
        facts.append(f"<span>{escape(words['page'].format(max(page, 1)))}</span>")
    out.append(f'<p class="facts">{"".join(facts)}</p>')
    if trail:
        steps = "".join(f"<li>{escape(part)}</li>" for part in trail)
        out.append(f'<ol class="trail" aria-label="{escape(words["path"])}">{steps}</ol>')
    out.append(f'<p class="actions">{_actions(document, quote, words)}</p>')
    return "\n".join(out)


def _older(document: Document, words: dict[str, str]) -> str:
    """The way to the newer version of a document, where there is one."""
    if not document.superseded_by:
        return ""
    link = f'<a href="/sources/{escape(document.superseded_by)}">{escape(words["newer"])}</a>'
    return f'<p class="note">{escape(words["older"])} {link}</p>'


def _actions(document: Document, quote: str, words: dict[str, str]) -> str:
    said = f'data-done="{escape(words["copied"])}" data-failed="{escape(words["failed"])}"'
    actions: list[str] = []
    if quote:
        actions.append(f'<a class="button" href="#quote">{escape(words["to_quote"])}</a>')
        actions.append(
            f'<button type="button" data-copy="{escape(quote)}" {said}>'
            f"{escape(words['copy_quote'])}</button>"
        )
    actions.append(
        f'<button type="button" data-copy-all {said}>{escape(words["copy_all"])}</button>'
    )
    if safe_link(document.url):
        opening = link_open(document.url, "button")
        actions.append(f"{opening}{escape(words['open_original'])}</a>")
    return "\n".join(actions)


def source_url(document_id: str, start: int, end: int) -> str:
    """The address of `render_source`'s page for one quote."""
    return f"/sources/{document_id}?{urlencode({'start': start, 'end': end})}"


def _page_label(number: int, words: dict[str, str]) -> str:
    return f'<div class="page-break"><span>{escape(words["page"].format(number))}</span></div>\n'


def _bounds(text: str, start: int | None, end: int | None) -> tuple[int, int]:
    """The quote's offsets inside the text; an empty stretch where there is none."""
    if start is None or end is None:
        return 0, 0
    first = min(max(start, 0), len(text))
    return first, max(first, min(end, len(text)))


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", _NEWLINE.sub("\n", text))


def _shift(text: str, offset: int) -> int:
    """Where an offset of the document lies once CR LF has become one character."""
    return len(_NEWLINE.sub("\n", text[:offset])) if "\r" in text else offset


def _is_markdown(document: Document) -> bool:
    return document.media_type.split(";")[0].strip().lower() in ("text/markdown", "text/x-markdown")


def _is_parsable(text: str) -> bool:
    return len(text) <= MARKDOWN_LIMIT and max(map(len, text.split("\n"))) <= LINE_LIMIT


def _window(text: str, highlight: Highlight) -> tuple[int, int]:
    """The part of a very long text that is shown, cut at line ends where there are any near."""
    if len(text) <= WINDOW:
        return 0, len(text)
    low = max(0, highlight.start - WINDOW // 2)
    high = min(len(text), max(low + WINDOW, highlight.end))
    line_start = text.rfind("\n", 0, low) + 1
    line_end = text.find("\n", high)
    if low - line_start < LINE_LIMIT:
        low = line_start
    if 0 <= line_end - high < LINE_LIMIT:
        high = line_end
    return low, high


_MAIN = """<main class="source">
<header class="source-head">
{header}
</header>
{notes}
<article lang="{text_language}">{body}</article>
</main>"""
