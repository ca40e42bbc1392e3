"""The source page: the highlight is exact in any Markdown, and nothing hostile gets through."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.web.source_page import MARKDOWN_LIMIT, WINDOW, render_source
from index.records import Document, Heading

_VOID = {"meta", "link", "img", "br", "hr"}
_HAN = re.compile(r"[\u4e00-\u9fff]")


@dataclass
class Page(HTMLParser):
    """What a reader of the page sees: the article's text and the marked parts of it."""

    html: str
    text: str = ""
    marked: str = ""
    marks: int = 0
    ids: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.html)
        self.close()
        assert not self.stack, f"left open: {self.stack}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "mark":
            self.marks += 1
        if tag not in _VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if "article" not in self.stack or "page-break" in self.stack:
            return
        self.text += data
        if "mark" in self.stack:
            self.marked += data


def markdown(text: str, **changes: object) -> Document:
    document = Document(
        id="0123456789abcdef",
        title="題",
        text=text,
        source="docs/題.md",
        media_type="text/markdown",
    )
    return replace(document, **changes)  # type: ignore[arg-type]


def page(text: str, start: int | None = None, end: int | None = None, **changes: object) -> Page:
    return Page(render_source(markdown(text, **changes), start, end, language="ja"))


def quoted(text: str, quote: str, **changes: object) -> Page:
    start = text.index(quote)
    return page(text, start, start + len(quote), **changes)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


# --- Markdown made of unique characters: whatever of them the quote holds must be marked ---------


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Markdown whose visible text is Han characters, each used once; markup is ASCII."""
    position = 0x4E00

    def han(least: int = 1, most: int = 4) -> str:
        nonlocal position
        length = draw(st.integers(least, most))
        text = "".join(chr(position + offset) for offset in range(length))
        position += length
        return text

    def inline() -> str:
        forms = [
            lambda: han(),
            lambda: f"**{han()}**",
            lambda: f"*{han()}*",
            lambda: f"***{han()}***",
            lambda: f"**「{han()}」**",
            lambda: f"{han()}**{han()}*{han()}*{han()}**",
            lambda: f"~~{han()}~~",
            lambda: f"`{han()}`",
            lambda: f"`` {han()}`{han()} ``",
            lambda: f"[{han()}](https://a.example/x_y?z=1)",
            lambda: f"[**{han()}** {han()}](<b c> 'ti*tle')",
            lambda: f"![{han()}*{han()}*](pic.png)",
            lambda: f"{han()}\\*{han()}\\_{han()}",
            lambda: f"{han()}&amp;{han()}&#x2a;{han()}",
            lambda: f"{han()} https://e.example/a_b {han()}",
            lambda: f"<https://{han()}.example/>",
            lambda: f"{han()}<b>{han()}</b>",
            lambda: f"{han()}* {han()} _{han()}",
            lambda: f"{han()}~~~{han()}~~~ ",
            lambda: f"[{han()}] ![{han()}",
        ]
        return "".join(draw(st.sampled_from(forms))() for _ in range(draw(st.integers(1, 3))))

    def paragraph() -> list[str]:
        breaks = ["", "  ", "\\", " "]
        lines = [inline() for _ in range(draw(st.integers(1, 3)))]
        return [line + draw(st.sampled_from(breaks)) for line in lines[:-1]] + lines[-1:]

    def table() -> list[str]:
        width = draw(st.integers(1, 3))
        edge = draw(st.booleans()) or width == 1

        def row() -> str:
            cells = [
                draw(st.sampled_from([inline, lambda: f"{han()}\\|{han()}\\|", lambda: ""]))()
                for _ in range(width)
            ]
            if not edge:
                cells = [cell or han() for cell in cells]
            line = " | ".join(cells)
            return f"| {line} |" if edge else line

        rule = "|".join(draw(st.sampled_from(["---", ":--", "--:", ":-:"])) for _ in range(width))
        first = row()
        return [first, f"|{rule}|", *(row() for _ in range(draw(st.integers(0, 2))))]

    def block(depth: int) -> list[str]:
        kinds = ["paragraph", "heading", "setext", "table", "fence", "indented", "rule"]
        kind = draw(st.sampled_from(kinds + ["bullets", "numbers", "quote"] * (depth < 3)))
        if kind == "paragraph":
            return paragraph()
        if kind == "heading":
            tail = draw(st.sampled_from(["", " ##", " "]))
            return [f"{'#' * draw(st.integers(1, 6))} {inline()}{tail}"]
        if kind == "setext":
            return [*paragraph(), draw(st.sampled_from(["===", "---"]))]
        if kind == "table":
            return table()
        if kind == "fence":
            return ["```python", *(f"{' ' * (n % 3)}{han()}*{han()}" for n in range(2)), "", "```"]
        if kind == "indented":
            return [f"    {han()}<{han()}", f"\t\t{han()}"]
        if kind == "rule":
            return ["* * *"]
        inner = blocks(depth + 1)
        if kind == "quote":
            return [f"> {line}".rstrip() if line else ">" for line in inner]
        marker = draw(
            st.sampled_from(["- ", "*   ", "+ "] if kind == "bullets" else ["1. ", "7) "])
        )
        indent = " " * len(marker)
        return [(marker if n == 0 else indent) + line for n, line in enumerate(inner)]

    def blocks(depth: int) -> list[str]:
        lines: list[str] = []
        for number in range(draw(st.integers(1, 3))):
            lines += ([""] if number else []) + block(depth)
        return lines

    text = "\n".join(blocks(0))
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def visible_han(text: str, start: int, end: int) -> str:
    """The Han characters of a stretch; none of them stands in a link's address or a title."""
    return "".join(_HAN.findall(text[start:end]))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_marks_are_the_quote_without_its_markup(data: st.DataObject) -> None:
    text = data.draw(documents())
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    shown = page(text, start, end)
    assert "".join(_HAN.findall(shown.marked)) == visible_han(text, start, end)
    assert "".join(_HAN.findall(shown.text)) == visible_han(text, 0, len(text))
    if shown.marks:
        assert shown.ids.count("quote") == 1


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_highlight_changes_nothing_but_the_marks(data: st.DataObject) -> None:
    """On any text at all: marking removes and adds no character, and leaves no hole."""
    alphabet = st.sampled_from("あ漢aB1 \t\n\n\r\xa0#*_~`[]()<>!|-+>:\\&;.'\"=&\x00\u3000。")
    text = data.draw(st.text(st.one_of(alphabet, st.characters()), max_size=80))
    start = data.draw(st.integers(-2, len(text) + 2))
    end = data.draw(st.integers(-2, len(text) + 2))
    plain, shown = page(text), page(text, start, end)
    if not raw(shown):
        assert shown.text == plain.text
    first, last = max(start, 0), min(end, len(text))
    if (
        first < last
        and re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "\ufffd", text[first:last]).strip()
    ):
        assert shown.marks
        if re.search(r"[あ漢]", text[first:last]) and "\\" not in text and "&" not in text:
            assert squeezed(shown.marked) in squeezed(shown.text)
    else:
        assert not shown.marked.strip()


def raw(shown: Page) -> bool:
    return "このため" in shown.html or "原文のまま" in shown.html


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from('ab1 \n\t#*_~`[]()<>!|-+:\\&;."='), max_size=100))
def test_renders_what_markdown_it_renders(text: str) -> None:
    """Our own renderer says the same as the library's, where no rule of ours differs."""
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    oracle = Page(f"<article>{parser.render(text)}</article>")
    expected = squeezed(oracle.text)
    if "<img" in oracle.html:
        return  # the library shows no text for an image, the page shows its label
    assert squeezed(page(text).text) == expected


# --- cases that a reader can check by eye -------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quote", "marked"),
    [
        ("前置き。**LXC**は古い。後。", "**LXC**は古い。", "LXCは古い。"),
        ("前置き。**LXCは古い。後。**", "LXCは古い。", "LXCは古い。"),
        (
            "- **cgroup v1**: 木が分かれる。\n- 次。",
            "- **cgroup v1**: 木が分かれる。",
            "cgroup v1: 木が分かれる。",
        ),
        ("1. 一つ目。\n2. 二つ目。\n3. 三つ目。", "2. 二つ目。", "二つ目。"),
        ("| a | b |\n|---|---|\n| `x` | 1\\|2 |\n| y | 3 |", "| `x` | 1\\|2 |", "x1|2"),
        ("> 引用\n> の中。", "引用\n> の中。", "引用の中。"),
        ("## 見出し ##\n本文。", "## 見出し ##\n本文。", "見出し本文。"),
        ("[名前](https://a.example/(b)) と [名前](c)", "[名前](c)", "名前"),
        ("A&amp;B &lt;C&gt;", "&lt;C&gt;", "<C>"),
        ("a `  x  ` b", "`  x  `", " x "),
        ("同じ。\n\n同じ。\n\n- 同じ。", "- 同じ。", "同じ。"),
        ("```sh\nstat -fc %T\n```\n", "stat -fc %T", "stat -fc %T"),
        ("一行目\r\n二行目\r\n\r\n三行目", "三行目", "三行目"),
        ("- [ ] やること", "やること", "やること"),
        ("#　見出し　\n本文", "見出し", "見出し"),
        ("# 　見出し　##\n本文", "見出し", "見出し"),
        ("　字下げした段落。　\n次の行。　", "次の行。", "次の行。"),
        ("| a | b |\n|---|---|\n|　全角　| 値　|　", "全角", "全角"),
        ("**「Kubernetes」**です", "「Kubernetes」", "「Kubernetes」"),
    ],
)
def test_marks_by_eye(text: str, quote: str, marked: str) -> None:
    shown = quoted(text, quote)
    assert squeezed(shown.marked) == squeezed(marked)
    assert not raw(shown)


def test_the_marked_place_is_the_one_asked_for_not_its_double() -> None:
    text = "同じ文。\n\n同じ文。\n\n同じ文。"
    shown = page(text, 6, 10)
    assert shown.html.count("<mark") == 1
    assert re.search(
        r"<p>同じ文。</p>\s*<p><mark[^>]*>同じ文。</mark></p>\s*<p>同じ文。</p>", shown.html
    )


def test_an_older_version_leads_to_the_newer_one() -> None:
    older = page("日当は2,500円とする。", superseded_by="fedcba9876543210")
    assert ("a", "href", "/sources/fedcba9876543210") in older.attributes
    assert "古い版" in older.html
    assert "古い版" not in page("日当は3,000円とする。").html


def test_emphasis_works_beside_japanese_brackets() -> None:
    assert "<strong>「強調」</strong>です" in page("**「強調」**です").html


def test_a_quote_that_formatting_hides_is_shown_in_the_raw_text() -> None:
    text = "[名前](https://a.example/hidden) です"
    shown = quoted(text, "a.example/hidden")
    assert shown.marked == "a.example/hidden"
    assert raw(shown)
    assert squeezed(shown.text) == squeezed(text)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_plain_text_is_marked_to_the_letter(data: st.DataObject) -> None:
    text = data.draw(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60))
    text = data.draw(st.sampled_from([text, f"見出し\n{text}\nhttps://a.example/{text}"]))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    breaks = tuple(sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=3))))
    shown = page(text, start, end, media_type="text/plain", pages=breaks)
    clean = re.sub(r"[\u202a-\u202e\u2066-\u2069\ufffe\uffff]", "\ufffd", text[start:end])
    assert shown.marked == clean


def test_pages_are_labelled_and_the_quote_names_its_own() -> None:
    text = "表紙の文。\n二枚目の文。\n三枚目の文。"
    shown = quoted(text, "二枚目の文。", media_type="application/pdf", pages=(0, 6, 13))
    assert shown.html.count("page-break") == 3
    head = shown.html.split("<article")[0]
    assert "2 ページ" in head
    assert "3 ページ" not in head


def test_headings_of_a_plain_text_stand_out() -> None:
    text = "はじめに\n本文。\n次\n続き。"
    outline = (Heading(0, 1, "はじめに"), Heading(9, 2, "次"))
    shown = quoted(text, "続き。", media_type="text/plain", outline=outline)
    assert "<h2>はじめに</h2>" in shown.html
    assert "<h3>次</h3>" in shown.html
    assert shown.marked == "続き。"
    trail = shown.html.split('class="trail"')[1].split("</ol>")[0]
    assert re.findall(r"<li>(.*?)</li>", trail) == ["はじめに", "次"]


# --- hostile documents --------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1)) [y](vbscript:x) [z](data:text/html,<script>1</script>) [f](file:///etc)",
    "![x](https://tracker.example/pixel.png) ![y](data:image/png;base64,AAAA)",
    '<javascript:alert(1)> [a](https://a.example/"onmouseover="x)',
    "[ref]: javascript:alert(1)\n\n[ref] [a](//evil.example) [b](\\\\evil)",
    "\x00\x01\x1b[31m\u202eevil\u2066\ud800",
    "</article></main><h1>x</h1><style>*{}</style>",
    '`</code><script>`\n\n```"><script>\n</code></pre><script>\n```',
    "| <b> | \n|---|\n| </td></table> |",
    "**" * 3000 + "[" * 3000 + "`" * 2999 + ">" * 3000,
    "> " * 400 + "深い",
    "- " * 300 + "深い",
    "x" * 300_000,
    "\n".join("#" * (n % 9) + " " + "a*" * 20 for n in range(400)),
]
ALLOWED = (
    "html head meta title link script body nav a img main header h1 h2 h3 h4 h5 h6 p span ol ul li"
    " button article div table thead tbody tr th td blockquote pre code em strong s br hr mark time"
)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:24]))
@pytest.mark.parametrize("kind", ["text/markdown", "text/plain"])
def test_hostile_documents_come_out_as_text(text: str, kind: str) -> None:
    shown = page(text, 0, len(text), media_type=kind, title=text[:200], url="javascript:alert(1)")
    shown.html.encode()
    assert set(shown.tags) <= set(ALLOWED.split())
    assert shown.tags.count("script") == 2  # ours, by address
    assert shown.tags.count("img") == 1  # the logo
    for tag, name, value in shown.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name != "style"
        if name in ("href", "src"):
            assert re.match(r"(/static/|/$|#quote$|https?://|mailto:)", value), value
            assert tag != "img" or value.startswith("/static/")
    assert "深い" not in text or "深い" in shown.marked


def test_very_long_texts_show_the_part_around_the_quote() -> None:
    text = "一行の文です。\n" * (WINDOW // 4)
    assert len(text) > MARKDOWN_LIMIT
    start = len(text) // 2 // 8 * 8
    shown = page(text, start, start + 7)
    assert shown.marked == "一行の文です。"
    assert len(shown.text) <= WINDOW + 100
    assert "前後だけ" in shown.html


@pytest.mark.parametrize(("start", "end"), [(None, None), (5, None), (-3, -1), (9, 2), (99, 200)])
def test_odd_offsets_show_the_document_without_a_quote(start: int | None, end: int | None) -> None:
    shown = page("短い文書。", start, end)
    assert shown.text.strip() == "短い文書。"
    assert shown.marked == ""
    assert "引用をコピー" not in shown.html


def test_the_head_says_where_the_text_comes_from() -> None:
    text = "# 題\n\n## 節\n\n本文です。"
    outline = (Heading(0, 1, "題"), Heading(5, 2, "節"))
    shown = quoted(
        text, "本文です。", outline=outline, date="2026-11-23", url="https://a.example/x?a=1&b=2"
    )
    head = shown.html.split("<article")[0]
    assert "docs/題.md" in head
    assert '<time datetime="2026-11-23">' in head
    assert 'href="https://a.example/x?a=1&amp;b=2"' in head
    assert 'data-copy="本文です。"' in head
    assert "引用をコピー" in head
    english = render_source(markdown(text), 0, 3, language="en")
    assert '<html lang="en">' in english
    assert '<article lang="ja">' in english
    assert "Copy quote" in english
