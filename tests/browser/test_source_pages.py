"""The source page and the insights page on their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

pytest.importorskip("playwright", reason="the browser tests need the playwright package")
from playwright.sync_api import Page, expect

from bot.records import Question
from tests.browser.conftest import PHONE, Site
from tests.browser.steps import QUESTION, UNANSWERABLE, squeezed, unmarked


def cited(site: Site) -> tuple[str, str]:
    """The address of a citation's source, and its quote."""
    citation = site.kiku.answerer.ask(Question(QUESTION)).citations[0]
    return citation.url, citation.quote


def test_the_source_page_comes_to_the_quote(visit: Callable[..., Page], site: Site) -> None:
    url, quote = cited(site)
    page = visit(url)
    mark = page.locator("mark#quote")
    expect(mark).to_be_in_viewport()
    expect(mark).to_be_focused()
    assert squeezed("".join(page.locator("mark").all_text_contents())) == unmarked(quote)
    expect(page.locator("article")).to_have_attribute("lang", "ja")


def test_without_script_the_fragment_leads_to_the_quote(
    visit: Callable[..., Page], site: Site
) -> None:
    url, quote = cited(site)
    page = visit(f"{url}#quote", java_script_enabled=False)
    expect(page.locator("mark#quote")).to_be_in_viewport()
    assert squeezed("".join(page.locator("mark").all_text_contents())) == unmarked(quote)


def test_quote_and_text_are_copied(visit: Callable[..., Page], site: Site) -> None:
    url, quote = cited(site)
    page = visit(url)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="引用をコピー").click()
    expect(page.get_by_role("button", name="コピーしました")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == quote
    expect(page.get_by_role("button", name="引用をコピー")).to_be_visible()
    page.get_by_role("button", name="全文をコピー").click()
    expect(page.get_by_role("button", name="コピーしました")).to_be_visible()
    assert squeezed(unmarked(quote)) in squeezed(page.evaluate("navigator.clipboard.readText()"))


def test_every_document_fits_a_phone(visit: Callable[..., Page], site: Site) -> None:
    page = visit("/", viewport=PHONE, has_touch=True, is_mobile=True)
    for document in site.kiku.retriever.documents():
        page.goto(f"/sources/{document.id}")
        expect(page.locator("main article")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], (
            document.source
        )


def test_the_insights_show_what_was_asked(visit: Callable[..., Page], site: Site) -> None:
    answer = site.kiku.answerer.ask(Question(QUESTION))
    site.kiku.store.record(Question(QUESTION), answer)
    site.kiku.store.rate(answer.id, "down", "古い情報です", "")
    missed = site.kiku.answerer.ask(Question(UNANSWERABLE))
    site.kiku.store.record(Question(UNANSWERABLE), missed)
    page = visit("/insights")
    expect(page.locator(".figures")).to_contain_text("質問")
    asked = int(re.sub(r"\D", "", page.locator(".figures dd").first.inner_text()))
    assert asked == sum(day["asked"] for day in site.kiku.store.insights()["days"]) >= 2
    bars = page.locator("svg.chart rect.answered, svg.chart rect.missed")
    assert bars.count() >= 2
    often = page.locator("section", has_text="よく尋ねられた質問").last
    expect(often.locator("tr", has_text=QUESTION)).to_be_visible()
    page.get_by_label("期間").select_option("7日間")
    begins = (datetime.now().astimezone() - timedelta(days=6)).date().isoformat()
    expect(page.locator("#period")).to_contain_text(begins)
    table = page.locator("section", has_text="答えのなかった質問").last
    expect(table).to_contain_text(UNANSWERABLE)
    low = page.locator("section", has_text="評価の低かった答え").last
    expect(low).to_contain_text(QUESTION)
    expect(low.locator("blockquote").filter(has_text="古い情報です").first).to_be_visible()
    assert len(page.pdf()) > 5_000


def test_empty_insights_say_so(visit: Callable[..., Page]) -> None:
    empty = {"days": [], "questions": [], "unanswered": [], "low_rated": [], "top_documents": []}
    page = visit(
        "/insights",
        locale="en-US",
        before=lambda page: page.route(
            "**/insights/data?*", lambda route: route.fulfill(json=empty)
        ),
    )
    expect(page.locator("#report")).to_contain_text("Nothing has been asked yet.")
