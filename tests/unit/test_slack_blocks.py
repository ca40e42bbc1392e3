from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.records import Answer, Citation
from bot.slack.access import ChannelSettings
from bot.slack.blocks import answer_message, link_of, plain, streamed, text_message
from bot.slack.home import comment_view, home_view, saved_view, settings_view
from index.records import DocumentSummary
from tests.fake_slack import pings
from tests.fake_slack_blocks import check_message, check_view, words_of

PASSAGE = "## 支払日\n\n前の文です。**給与**は毎月25日に支払います。次の文です。"
QUOTE = "**給与**は毎月25日に支払います。"
READ = "給与は毎月25日に支払います。"  # as people read it
START = 100 + PASSAGE.index(QUOTE)
CITATION = Citation(
    number=1,
    document_id="d1",
    title="給与規程",
    heading=("給与規程", "支払日"),
    source="rules.md",
    start=START,
    end=START + len(QUOTE),
    quote=QUOTE,
    passage=PASSAGE,
    passage_start=100,
    score=0.9,
    url="/sources/d1?start=1&end=2",
    page=3,
    date="2026-04-01",
)
ANSWER = Answer("a1", "answered", "給与は毎月25日に支払います。[1]", 0.9, "c1", (CITATION,), 1.0)


def bold(blocks: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            if value.get("style") == {"bold": True}:
                found.append(value["text"])
            for item in value.values():
                walk(item)

    walk(blocks)
    return found


def test_the_quote_is_bold_in_its_passage_under_its_place() -> None:
    text, blocks = answer_message(ANSWER, public_url="https://kiku.example/")
    assert text == "給与は毎月25日に支払います。[1]"
    assert bold(blocks) == [READ]
    seen = words_of(blocks)
    assert "前の文です。" + READ + "次の文です。" in seen
    assert "給与規程 › 支払日" in seen
    assert "3ページ" in seen
    assert "2026-04-01" in seen
    assert "## " not in seen
    assert "https://kiku.example/sources/d1?start=1&end=2" in json.dumps(blocks)


@pytest.mark.parametrize(("language", "mark"), [("ja", "旧版"), ("en", "older version")])
def test_an_older_version_is_marked(language: Any, mark: str) -> None:
    older = replace(CITATION, superseded_by="d2")
    also = replace(older, number=2, title="旅費規程")
    _, blocks = answer_message(replace(ANSWER, citations=(older, also), language=language))
    assert words_of(blocks).count(mark) == 2
    _, blocks = answer_message(replace(ANSWER, language=language))
    assert mark not in words_of(blocks)


def passage_around(before: str, quote: str, after: str) -> str:
    """What stands in the quotation of a message."""
    citation = replace(
        CITATION,
        passage=before + quote + after,
        quote=quote,
        start=100 + len(before),
        end=100 + len(before) + len(quote),
    )
    _, blocks = answer_message(replace(ANSWER, citations=(citation,)))
    quotation = blocks[1]["elements"][1]
    assert quotation["type"] == "rich_text_quote"
    return words_of([quotation])


def test_the_surroundings_of_a_quote_are_whole_sentences() -> None:
    sentence = "これは前後にある、やや長めの文です。"
    seen = passage_around(sentence * 40, "答えの文です。", sentence * 40)
    before, after = seen.split("答えの文です。")
    assert before.startswith("…これは")
    assert after.endswith("文です。…")
    assert 200 < len(before) < 320
    assert passage_around("", "答え。", "あ" * 900) == "答え。" + "あ" * 300 + "…"
    assert passage_around("あ" * 900, "答え。", "") == "…" + "あ" * 300 + "答え。"


def test_tables_are_read_without_their_strokes() -> None:
    seen = passage_around("| 版 | 終了 |\n|---|---|\n", "| 7 | 2024年 |", "\n| 8 | 2021年 |")
    assert seen == "版 / 終了\n7 / 2024年\n8 / 2021年"
    text, blocks = answer_message(replace(ANSWER, answer="表のとおりです。\n| 7 | 2024年 |[1]"))
    assert text == "表のとおりです。\n7 / 2024年 [1]"
    assert words_of(blocks[:1]) == text


def test_what_was_found_and_not_used_comes_in_a_line_each() -> None:
    other = replace(CITATION, number=2, title="旅費規程", heading=(), quote="旅費は\n別です。" * 30)
    far = replace(other, number=3, title="慶弔規程", score=0.1)
    _, blocks = answer_message(replace(ANSWER, citations=(CITATION, other, far)))
    seen = words_of(blocks)
    assert "[2] 旅費規程\u3000旅費は 別です。" in seen
    assert seen.count("旅費は") < 30
    assert "慶弔規程" not in seen


def test_not_found_shows_the_nearest_and_how_to_ask() -> None:
    answer = replace(ANSWER, status="not_found", answer="見つかりませんでした。")
    _, blocks = answer_message(answer)
    assert READ in words_of(blocks)
    assert READ not in bold(blocks)
    assert "見つけやすくするには" in words_of(blocks)
    english = words_of(answer_message(replace(answer, language="en"))[1])
    assert "To find more" in english
    assert "page 3" in english


@pytest.mark.parametrize(
    ("link", "public_url", "expected"),
    [
        ("https://wiki.example/a", "https://kiku.example", "https://wiki.example/a"),
        ("", "https://kiku.example", "https://kiku.example/sources/d1?start=1&end=2"),
        ("", "", ""),
        ("javascript:alert(1)", "", ""),
        ("javascript:alert(1)", "https://k.example", "https://k.example/sources/d1?start=1&end=2"),
        ("https://wiki.example/a b|c", "", ""),
        ("https://wiki.example/" + "a" * 3000, "", ""),
    ],
)
def test_links_lead_to_the_document_or_to_kiku_or_nowhere(
    link: str, public_url: str, expected: str
) -> None:
    assert link_of(replace(CITATION, link=link), public_url) == expected
    _, blocks = answer_message(
        replace(ANSWER, citations=(replace(CITATION, link=link),)), public_url=public_url
    )
    assert check_message(blocks) == ""


@pytest.mark.parametrize(
    "text", ["<!here>", "<!channel> & <@U1>", "<https://a.example|b>", ":tada:", ":+1: :a-b:"]
)
def test_notifications_and_streams_ping_and_link_nothing(text: str) -> None:
    assert pings({"text": plain(text)}) == []
    assert pings({"text": streamed(text)}) == []
    assert "https://" not in streamed(text)
    said, blocks = text_message(text)
    assert words_of(blocks) == text
    assert pings({"text": said, "blocks": blocks}) == []


@pytest.mark.parametrize("text", ["&" * 5_000, ":a:" * 2_000, "<あ>" * 2_000, "あ" * 9_000])
def test_a_notification_is_within_its_limit_as_it_is_sent(text: str) -> None:
    assert 2_900 <= len(plain(text)) <= 3_000
    assert len(plain(text, 500)) <= 500
    assert (
        not plain(text).rstrip("…").endswith(("&", "&a", "&am", "&amp", "&l", "&lt", "&g", "&gt"))
    )


NASTY = st.text(st.characters(codec=None), max_size=300) | st.sampled_from(
    ["<!here>", "*", "\n\n\n", "[1]", "a" * 20_000, "あ" * 5_000, "| a | b |", "```\n", ""]
)
NUMBERS = st.integers(0, 30_000)


@st.composite
def citations(draw: st.DrawFn) -> Citation:
    before, quote, after = draw(NASTY), draw(NASTY), draw(NASTY)
    shift = draw(st.integers(-3, 3))  # a passage may not be where it is said to be
    return replace(
        CITATION,
        number=draw(st.integers(1, 12)),
        title=draw(NASTY),
        heading=tuple(draw(st.lists(NASTY, max_size=4))),
        passage=before + quote + after,
        quote=quote,
        start=100 + len(before) + shift,
        end=100 + len(before) + len(quote) + shift,
        url="/sources/" + draw(NASTY),
        link=draw(NASTY),
        date=draw(NASTY),
        page=draw(st.none() | NUMBERS),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=NASTY,
    found=st.booleans(),
    some=st.lists(citations(), max_size=12),
    notes=st.lists(NASTY, max_size=2),
    publish=st.booleans(),
)
def test_slack_takes_whatever_a_document_holds(
    text: str, found: bool, some: list[Citation], notes: list[str], publish: bool
) -> None:
    answer = replace(
        ANSWER,
        status="answered" if found else "not_found",
        answer=text + "".join(f"[{one.number}]" for one in some),
        citations=tuple(some),
    )
    said, blocks = answer_message(
        answer, public_url="https://kiku.example", notes=notes, publish=publish
    )
    assert check_message(blocks) == ""
    assert 0 < len(said) <= 3_000
    assert pings({"text": said, "blocks": blocks}) == []
    _, below = answer_message(answer, said=True)
    assert check_message(below, above=min(len(answer.answer), 3_000)) == ""


@settings(max_examples=20, deadline=None)
@given(titles=st.lists(NASTY, max_size=150), recent=st.lists(NASTY, max_size=5))
def test_slack_takes_whatever_the_views_hold(titles: list[str], recent: list[str]) -> None:
    documents = [
        DocumentSummary(str(number), title, "s", "default", "", "", 1, 1)
        for number, title in enumerate(titles)
    ]
    assert check_view(home_view(documents, recent, "ja", "/kiku")) == ""
    linked = home_view(documents, recent, "en", "/kiku", public_url="https://kiku.example")
    assert check_view(linked) == ""
    assert check_view(saved_view(ChannelSettings(titles[:50], None), "ja")) == ""
    view = settings_view("C1", ChannelSettings(titles[:3], True), titles, "ja")
    assert check_view(view) == ""


def test_the_dialog_for_comments_is_one_that_slack_takes() -> None:
    assert check_view(comment_view("a1", "ja")) == ""
    assert check_view(comment_view("a1", "en")) == ""
