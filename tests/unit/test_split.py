from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.records import Document, Heading, chunk_id, document_id, heading_path
from index.sources import SourceFile, load
from index.split import SplitSettings, sentences, split

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "corpus" / "container-matome.txt"

# Pieces of what people write: headings, tables, lists, code, brackets that close late or never.
PIECES = st.sampled_from(
    [
        "コンテナはカーネルを共有する。", "「既定は runC です。」と書いてある。", "（参考：v1.24〜）",
        "それは何？", "はい！", "1.24.3", "e.g. Docker. Then CRI-O.", "、", "と", "「", "」", "\n", "\n\n",
        "\n\n\n", " ", "　", "\t", "\r\n", "\n# 見出し\n", "\n- 項目\n", "\n1. 手順\n", "\n・点\n",
        "\n```\ncode\n\n  more\n```\n", "\n| 版 | 日付 |\n|---|---|\n| 7 | 2024 |\n", "。。。", "…", "🙂",
        "あ" * 50, "word " * 20, "。" * 60, "\u2028", "\x85", "が", "か\u3099",
    ]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(PIECES, max_size=40).map("".join), st.text(st.characters(codec="utf-8"), max_size=400)
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A document with headings at places of its text."""
    text = draw(TEXTS)
    places = st.integers(0, max(0, len(text) - 1))
    starts = sorted(draw(st.sets(places, max_size=5))) if text else []
    outline = tuple(Heading(start, draw(st.integers(1, 4)), f"見出し{start}") for start in starts)
    return document(text, outline)


def document(text: str, outline: tuple[Heading, ...] = (), source: str = "a.md") -> Document:
    return Document(document_id(source), "題", text, source, outline=outline)


def real_documents() -> list[Document]:
    paths = sorted((ROOT / "corpus" / "documents").glob("*.md"))
    paths += [SHARED] if SHARED.is_file() else []
    found = [load(SourceFile(path, path.name, path.stat().st_size, 0)) for path in paths]
    return [one for loaded in found for one in loaded.documents]


def check(one: Document, size: int) -> None:
    """What holds of every split of every document."""
    chunks = split(one, SplitSettings(size=size))
    position = 0
    for chunk in chunks:
        assert chunk.text == one.text[chunk.start : chunk.end]
        assert chunk.text == chunk.text.strip() != ""
        assert len(chunk.text) <= size
        assert chunk.start >= position, "chunks overlap"
        assert not one.text[position : chunk.start].strip(), "text is lost between chunks"
        assert chunk.id == chunk_id(one.id, chunk.start, chunk.end)
        assert chunk.heading == heading_path(one.outline, chunk.start)
        position = chunk.end
    assert not one.text[position:].strip(), "text is lost at the end"
    for heading in one.outline:
        assert not any(chunk.start < heading.start < chunk.end for chunk in chunks)


def check_sentences(text: str) -> None:
    position = 0
    for start, end in sentences(text):
        assert position <= start < end
        assert text[start:end] == text[start:end].strip()
        assert not text[position:start].strip(), "text is lost between sentences"
        position = end
    assert not text[position:].strip(), "text is lost at the end"


@settings(max_examples=200, deadline=None)
@given(documents(), st.integers(1, 500))
def test_a_chunk_is_its_place_in_any_document(one: Document, size: int) -> None:
    check(one, size)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_sentences_cover_any_text(text: str) -> None:
    check_sentences(text)


def test_a_chunk_is_its_place_in_real_documents() -> None:
    found = real_documents()
    assert len(found) >= 30
    for one in found:
        check(one, SplitSettings().size)
        check_sentences(one.text)


@pytest.mark.skipif(not SHARED.is_file(), reason="../shared/corpus is not on this machine")
def test_the_first_source_text_is_cut_at_its_own_boundaries() -> None:
    (one,) = [one for one in real_documents() if one.source == SHARED.name]
    chunks = split(one)
    assert len(chunks) > 10
    for size in (40, 120, 1000):
        check(one, size)


@pytest.mark.parametrize(
    "block",
    [
        "| 版 | 日付 |\n|---|---|\n| 7 | 2024 |\n| 8 | 2021 |",
        "- 一つ目\n- 二つ目\n  - 内側\n- 三つ目",
        "1. 準備する\n2. 実行する\n3. 確かめる",
        "```sh\ndocker run x\n\n# 空行の後\ndocker ps\n```",
        "~~~\nkind: Pod\n\nspec: {}\n~~~",
    ],
    ids=["table", "bullets", "numbers", "code", "tildes"],
)
@pytest.mark.parametrize("before", [0, 30, 60, 95])
def test_a_block_stays_whole_where_it_fits(block: str, before: int) -> None:
    text = "文。" * (before // 2) + f"\n\n{block}\n\n" + "後の文。" * 20
    chunks = split(document(text), SplitSettings(size=100))
    assert any(block in chunk.text for chunk in chunks)


def test_a_block_that_does_not_fit_is_cut_between_its_rows() -> None:
    rows = [f"| v1.{number} | 2024年{number}月 |" for number in range(40)]
    chunks = split(document("\n".join(rows)), SplitSettings(size=100))
    assert len(chunks) > 1
    assert [row for chunk in chunks for row in chunk.text.split("\n")] == rows


def test_a_long_paragraph_is_cut_behind_its_sentences() -> None:
    text = "コンテナはカーネルを共有する。「速い。」と言う人もいる。本当か？" * 30
    chunks = split(document(text), SplitSettings(size=100))
    assert len(chunks) > 5
    for chunk in chunks:
        assert chunk.text.endswith(("。", "」", "？"))
        assert not chunk.text.startswith(("」", "。"))


def test_short_neighbours_are_joined_under_one_heading_only() -> None:
    text = "# 甲\n\n短い文。\n\nもう一つ。\n\n# 乙\n\n別の話。"
    outline = (Heading(0, 1, "甲"), Heading(text.index("# 乙"), 1, "乙"))
    chunks = split(document(text, outline))
    assert [chunk.heading for chunk in chunks] == [("甲",), ("乙",)]
    assert chunks[0].text == "# 甲\n\n短い文。\n\nもう一つ。"


def test_the_heading_path_is_that_of_the_place() -> None:
    outline = (
        Heading(0, 1, "一"),
        Heading(10, 2, "二"),
        Heading(20, 3, "三"),
        Heading(30, 2, "四"),
    )
    assert heading_path(outline, 25) == ("一", "二", "三")
    assert heading_path(outline, 30) == ("一", "四")
    assert heading_path((), 3) == ()


@pytest.mark.parametrize("text", ["", " \n\t　\n"])
def test_a_blank_document_has_no_chunks(text: str) -> None:
    assert split(document(text)) == []
    assert sentences(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("短い。長い！本当？", ["短い。", "長い！", "本当？"]),
        ("「速い。」という人もいる。", ["「速い。」という人もいる。"]),
        ("（注：v1.24で消えた。）次の文。", ["（注：v1.24で消えた。）", "次の文。"]),
        ("v1.24.3を使う。", ["v1.24.3を使う。"]),
        ("Docker is one. CRI-O is another.", ["Docker is one.", "CRI-O is another."]),
        ("行の途中で、\n続く文。次。", ["行の途中で、\n続く文。", "次。"]),
        ("見出しのような行\n次の行。", ["見出しのような行", "次の行。"]),
        ("- 一つ目は\n- 二つ目", ["- 一つ目は", "- 二つ目"]),
        ("| 版 | 日付 |\n| 7 | 2024 |", ["| 版 | 日付 |", "| 7 | 2024 |"]),
        ("何？！すごい。", ["何？！", "すごい。"]),
        ("閉じない「括弧。次の文。", ["閉じない「括弧。", "次の文。"]),
    ],
)
def test_where_a_sentence_ends(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected
