"""Asking, reading, checking, going on, coming back: the chat page against the real service."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("playwright", reason="the browser tests need the playwright package")
from playwright.sync_api import Page, Request, Route, expect

from tests.browser.conftest import Site
from tests.browser.steps import FOLLOW_UP, QUESTION, UNANSWERABLE, ask, squeezed, unmarked


def sent(page: Page) -> list[Request]:
    """The questions that the page has sent, as they are sent."""
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request) if "/ask" in request.url else None)
    return requests


def test_an_answer_quotes_its_source_and_opens_it_at_the_sentence(page: Page, site: Site) -> None:
    turn = ask(page, QUESTION)
    number = turn.locator(".cite").first
    expect(number).to_have_text("1")
    card = turn.locator(".card").first
    quote = card.locator(".quote").text_content() or ""
    number.click()
    panel = page.get_by_role("complementary", name="出典", exact=True)
    mark = panel.locator("mark")
    expect(mark.first).to_be_in_viewport()
    marked = squeezed("".join(mark.all_text_contents()))
    assert len(marked) > 10
    assert marked in squeezed(quote)
    start, end = map(int, re.findall(r"(?:start|end)=(\d+)", card.get_attribute("href") or ""))
    document_id = (card.get_attribute("href") or "").split("?")[0].removeprefix("/sources/")
    document = site.kiku.retriever.document(document_id)
    assert document is not None
    assert marked == unmarked(document.text[start:end])
    assert page.evaluate("document.activeElement.id") == "quote"
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(number).to_be_focused()


def test_a_card_is_a_real_link(page: Page) -> None:
    turn = ask(page, QUESTION)
    with page.context.expect_page() as opened:
        turn.locator(".card").first.click(modifiers=["ControlOrMeta"])
    expect(opened.value.locator("mark#quote")).to_be_in_viewport()
    expect(page.locator("#source")).to_be_hidden()


def test_the_answer_is_shown_before_it_is_whole(page: Page, site: Site) -> None:
    site.stalling.hold()
    try:
        page.fill("#question", QUESTION)
        page.press("#question", "Enter")
        words = page.locator(".turn .words.arriving")
        expect(words).to_have_text(re.compile(r"^\S{5,}"))
        assert page.locator(".turn footer").count() == 0
        expect(page.locator("#stop")).to_be_visible()
    finally:
        site.stalling.release()
    expect(page.locator(".turn .answer footer")).to_be_visible()
    expect(page.locator("#send")).to_be_visible()
    assert words.count() == 0


def test_what_the_documents_do_not_say_is_said_to_be_missing(page: Page) -> None:
    turn = ask(page, UNANSWERABLE)
    expect(turn.locator(".state")).to_have_text("文書に見つかりません")
    expect(turn.get_by_text("近い記述（答えではありません）")).to_be_visible()
    expect(turn.locator(".card.near").first).to_be_visible()
    assert "確からしさ" not in turn.inner_text()


def test_a_conversation_goes_on_and_is_there_after_a_reload(
    page: Page, visit: Callable[..., Page]
) -> None:
    requests = sent(page)
    first = ask(page, QUESTION).locator(".words").inner_text()
    second = ask(page, FOLLOW_UP).locator(".words").inner_text()
    assert "conversation_id" not in (requests[0].post_data_json or {})
    conversation = (requests[1].post_data_json or {})["conversation_id"]
    assert page.url.endswith(f"#/c/{conversation}")
    page.reload()
    expect(page.locator(".turn")).to_have_count(2)
    assert page.locator(".words").all_inner_texts() == [first, second]
    expect(page.locator("#conversations a")).to_have_text([QUESTION])
    expect(page.locator("#conversations a")).to_have_attribute("aria-current", "page")
    stranger = visit()
    expect(stranger.locator("#conversations a")).to_have_count(0)
    expect(stranger.locator("#conversations")).to_contain_text("この端末だけ")


def test_conversations_can_be_found_left_and_deleted(page: Page, site: Site) -> None:
    requests = sent(page)
    ask(page, QUESTION)
    ask(page, FOLLOW_UP)
    conversation = (requests[1].post_data_json or {})["conversation_id"]
    page.get_by_role("button", name="新しい質問").first.click()
    expect(page.locator("#welcome h1")).to_be_visible()
    ask(page, "chrootとは何ですか？")
    expect(page.locator("#conversations a")).to_have_text(["chrootとは何ですか？", QUESTION])
    page.keyboard.press("Control+k")
    page.keyboard.type("DOCKER")
    expect(page.locator("#conversations a")).to_have_text([QUESTION])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_count(2)
    page.get_by_role("button", name=f"「{QUESTION}」を削除").click()
    page.get_by_role("button", name="やめる").click()
    assert site.kiku.store.conversation(conversation, "") is not None
    page.get_by_role("button", name=f"「{QUESTION}」を削除").click()
    page.get_by_role("button", name="削除する").click()
    expect(page.locator("#welcome h1")).to_be_visible()
    assert site.kiku.store.conversation(conversation, "") is None
    page.locator("#filter").fill("")
    expect(page.locator("#conversations a")).to_have_text(["chrootとは何ですか？"])


def test_a_question_in_a_conversation_that_is_gone_begins_a_new_one(page: Page, site: Site) -> None:
    ask(page, QUESTION)
    conversation = page.url.split("#/c/")[1]
    site.kiku.store.forget(conversation_id=conversation)
    ask(page, "chrootとは何ですか？")
    assert page.url.split("#/c/")[1] != conversation
    page.goto(f"/#/c/{conversation}")
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("この会話はサーバーに残っていません。")
    page.get_by_role("button", name="一覧から消す").click()
    expect(page.locator("#welcome h1")).to_be_visible()


def test_ratings_reach_the_store(page: Page, site: Site) -> None:
    turn = ask(page, QUESTION)
    conversation = page.url.split("#/c/")[1]

    def rating() -> tuple[str, str]:
        stored = site.kiku.store.conversation(conversation, "")
        assert stored is not None
        return tuple((r.rating, r.comment) for r in stored.answers[0].ratings)[-1]

    up = turn.get_by_role("button", name="役に立った")
    down = turn.get_by_role("button", name="役に立たなかった")
    turn.get_by_role("button", name="役に立った", exact=True).click()
    expect(up.first).to_have_attribute("aria-pressed", "true")
    assert rating() == ("up", "")
    down.click()
    expect(up.first).to_have_attribute("aria-pressed", "false")
    field = turn.get_by_label("どこが違いましたか")
    expect(field).to_be_focused()
    field.fill("日付が古いです")
    turn.get_by_role("button", name="送る").click()
    expect(turn.get_by_role("status")).to_have_text("ありがとうございます。改善に使います。")
    assert rating() == ("down", "日付が古いです")
    page.reload()
    expect(page.get_by_role("button", name="役に立たなかった")).to_have_attribute(
        "aria-pressed", "true"
    )


def test_an_answer_is_copied_as_markdown_with_its_quotes(page: Page, site: Site) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    turn = ask(page, QUESTION)
    turn.get_by_role("button", name="Markdownでコピー").click()
    expect(turn.get_by_role("button", name="コピーしました")).to_be_visible()
    text = page.evaluate("navigator.clipboard.readText()")
    href = turn.locator(".card").first.get_attribute("href") or ""
    start, end = map(int, re.findall(r"(?:start|end)=(\d+)", href))
    document = site.kiku.retriever.document(href.split("?")[0].removeprefix("/sources/"))
    assert document is not None
    assert text.startswith(f"**{QUESTION}**\n\n")
    assert f"> {document.text[start:end].splitlines()[0]}\n" in text
    assert f"]({site.url}{href.removesuffix('#quote')})" in text
    assert "[1]" in text.split("\n> ")[0]


def test_copying_works_without_the_clipboard_api(visit: Callable[..., Page]) -> None:
    """As on plain http in a company network, where browsers withhold it."""
    page = visit(init="Object.defineProperty(window, 'isSecureContext', {get: () => false})")
    turn = ask(page, QUESTION)
    turn.get_by_role("button", name="Markdownでコピー").click()
    expect(turn.get_by_role("button", name="コピーしました")).to_be_visible()
    page.focus("#question")
    page.keyboard.press("Control+v")
    assert page.input_value("#question").startswith(f"**{QUESTION}**")


def test_the_suggested_questions_are_answered(page: Page) -> None:
    suggestion = page.locator(".starters button").first
    question = suggestion.inner_text().strip()
    suggestion.click()
    turn = page.locator(".turn")
    expect(turn.locator(".answer footer")).to_be_visible()
    expect(turn.locator(".asked")).to_contain_text(question)
    assert turn.locator(".state").count() == 0


def test_the_documents_can_be_looked_through(page: Page) -> None:
    page.get_by_role("button", name=re.compile("文書（7件）")).click()
    dialog = page.get_by_role("dialog", name="答えのもとになる文書")
    expect(dialog.locator("li")).to_have_count(7)
    page.keyboard.type("cri-o")
    dialog.get_by_role("button", name=re.compile("CRI-O")).click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#source-body article")).to_contain_text("CRI-O")
    assert page.locator("#source-body mark").count() == 0


def test_the_last_of_many_documents_can_be_found(visit: Callable[..., Page]) -> None:
    total = 12_000

    def listed(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query)
        first = int(asked.get("offset", ["0"])[0])
        last = min(first + int(asked["limit"][0]), total)
        documents = [
            {"id": f"d{n}", "title": f"規程第{n}号", "source": "", "date": "", "superseded_by": "", "characters": n}
            for n in range(first, last)
        ]  # fmt: skip
        route.fulfill(json={"documents": documents, "total": total})

    page = visit(before=lambda page: page.route("**/documents?*", listed))
    page.get_by_role("button", name="文書（12,000件）").click()
    dialog = page.get_by_role("dialog", name="答えのもとになる文書")
    dialog.get_by_role("searchbox").fill("規程第11999号")
    expect(dialog.locator("li strong")).to_have_text(["規程第11999号"])
