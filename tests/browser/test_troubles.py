"""What the page says when something is wrong, and that it goes on from there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("playwright", reason="the browser tests need the playwright package")
from playwright.sync_api import Page, Route, expect

from bot.http.auth import create_key
from bot.settings import Settings
from tests.browser.conftest import PHONE, Site, running
from tests.browser.steps import QUESTION, ask
from tests.fake_encoder import FakeEncoder

ASK = "**/ask/stream"


def refuse(
    status: int, code: str, message: str, hint: str = "", **headers: str
) -> Callable[[Route], None]:
    """A handler that answers with an error in the service's own form."""
    body = json.dumps({"error": {"code": code, "message": message, "hint": hint}})

    def handle(route: Route) -> None:
        route.fulfill(status=status, content_type="application/json", body=body, headers=headers)

    return handle


def try_to_ask(page: Page, question: str = QUESTION) -> None:
    page.fill("#question", question)
    page.press("#question", "Enter")


def test_an_error_of_the_service_is_told_and_can_be_tried_again(page: Page) -> None:
    page.route(
        ASK,
        refuse(
            500, "internal_error", "サーバー内部でエラーが起きました。", "管理者に伝えてください。"
        ),
    )
    try_to_ask(page)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("サーバー内部でエラーが起きました。")
    expect(alert).to_contain_text("管理者に伝えてください。")
    page.unroute(ASK)
    alert.get_by_role("button", name="もう一度送る").click()
    expect(page.locator(".turn .answer footer")).to_be_visible()
    expect(page.locator(".turn")).to_have_count(1)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_too_many_questions_count_down_to_the_next(page: Page) -> None:
    page.route(ASK, refuse(429, "rate_limited", "リクエストが多すぎます。", **{"Retry-After": "2"}))
    try_to_ask(page)
    retry = page.locator(".failed .retry")
    expect(page.get_by_role("alert")).to_contain_text("少しお待ちください")
    expect(retry).to_be_disabled()
    expect(retry).to_have_text(re.compile(r"あと[12]秒で送れます"))
    expect(retry).to_be_enabled()
    page.unroute(ASK)
    retry.click()
    expect(page.locator(".turn .answer footer")).to_be_visible()


def test_offline_is_said_and_ends(page: Page) -> None:
    first = ask(page, QUESTION).locator(".words").inner_text()
    page.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("オフラインです")
    try_to_ask(page, "chrootとは何ですか？")
    expect(page.get_by_role("alert")).to_contain_text("オフラインです。")
    assert page.locator(".words").first.inner_text() == first
    page.context.set_offline(False)
    expect(page.locator("#banner")).to_be_hidden()
    page.get_by_role("button", name="もう一度送る").click()
    expect(page.locator(".turn .answer footer")).to_have_count(2)


def test_a_service_that_is_down_is_not_called_offline(page: Page) -> None:
    page.route(ASK, lambda route: route.abort("connectionrefused"))
    try_to_ask(page)
    expect(page.get_by_role("alert")).to_contain_text("Kikuに接続できません。")


def test_a_cut_stream_keeps_the_question(page: Page, site: Site) -> None:
    site.stalling.cut()
    try:
        try_to_ask(page)
        expect(page.get_by_role("alert")).to_contain_text("途中で接続が切れました。")
    finally:
        site.stalling.release()
    page.get_by_role("button", name="もう一度送る").click()
    expect(page.locator(".turn .answer footer")).to_be_visible()


@pytest.mark.parametrize("how", ["button", "Escape"])
def test_an_answer_can_be_stopped(page: Page, site: Site, how: str) -> None:
    site.stalling.hold()
    try:
        try_to_ask(page)
        expect(page.locator(".words.arriving")).to_be_visible()
        if how == "button":
            page.get_by_role("button", name="回答を止める").click()
        else:
            page.keyboard.press(how)
        expect(page.locator(".turn .note")).to_contain_text("途中で止めました。")
        expect(page.locator("#send")).to_be_visible()
        assert page.locator(".words.arriving").count() == 0
    finally:
        site.stalling.release()
    page.get_by_role("button", name="もう一度送る").click()
    expect(page.locator(".turn .answer footer")).to_be_visible()


def test_a_service_that_gets_ready_is_waited_for(visit: Callable[..., Page]) -> None:
    not_ready = json.dumps(
        {
            "status": "not_ready",
            "generation": "",
            "components": {"index": "索引がありません。", "store": "ok"},
        }
    )

    def before(page: Page) -> None:
        for path in ("**/documents?*", "**/suggestions"):
            page.route(path, refuse(503, "index_missing", "索引がありません。"))
        page.route(
            "**/readyz",
            lambda route: route.fulfill(
                status=503, content_type="application/json", body=not_ready
            ),
        )

    page = visit(before=before)
    banner = page.locator("#banner")
    expect(banner).to_have_text("まだ質問に答えられません。索引がありません。")
    page.unroute_all()
    expect(banner).to_be_hidden()
    expect(page.locator("#documents-label")).to_have_text("文書（7件）")
    expect(page.locator(".starters button").first).to_be_visible()


def test_a_bad_question_is_explained_and_not_offered_again(page: Page) -> None:
    try_to_ask(page, "🐳🐳🐳")
    expect(page.get_by_role("alert")).to_contain_text("質問に言葉が含まれていません。")
    assert page.locator(".retry").count() == 0
    ask(page, QUESTION)


def test_a_key_is_asked_for_once(page: Page) -> None:
    keys: list[str] = []

    def guard(route: Route) -> None:
        key = route.request.headers.get("authorization", "")
        keys.append(key)
        if key == "Bearer kiku-right":
            route.continue_(
                headers={k: v for k, v in route.request.headers.items() if k != "authorization"}
            )
        else:
            refuse(401, "key_missing", "APIキーが必要です。")(route)

    page.route(ASK, guard)
    try_to_ask(page)
    dialog = page.get_by_role("dialog", name="APIキー")
    dialog.get_by_label("APIキー").fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("このキーでは使えません。")
    dialog.get_by_label("APIキー").fill("kiku-right")
    page.keyboard.press("Enter")
    expect(page.locator(".turn .answer footer")).to_be_visible()
    ask(page, "chrootとは何ですか？")
    expect(dialog).to_have_count(0)
    assert keys == ["", "Bearer wrong", "Bearer kiku-right", "Bearer kiku-right"]
    assert page.evaluate("localStorage.getItem('kiku.key')") is None


def test_a_key_may_be_declined(page: Page) -> None:
    page.route(ASK, refuse(401, "key_missing", "APIキーが必要です。", "管理者に尋ねてください。"))
    try_to_ask(page)
    page.get_by_role("dialog", name="APIキー").get_by_role("button", name="閉じる").click()
    expect(page.get_by_role("alert")).to_contain_text("APIキーが必要です。")
    expect(page.locator("#send")).to_be_visible()


def test_a_page_opened_with_a_key_needs_no_other(
    visit: Callable[..., Page], make_settings: Callable[..., Settings], fake_encoder: FakeEncoder
) -> None:
    """With keys configured, the browser's own sign-in serves the page and everything it fetches."""
    key, entry = create_key("営業", admin=True)
    with running(make_settings(api_keys=entry), fake_encoder) as locked:
        page = visit(base_url=locked.url, http_credentials={"username": "kiku", "password": key})
        turn = ask(page, QUESTION)
        turn.locator(".cite").first.click()
        expect(page.locator("#source-body mark#quote")).to_be_visible()
        assert page.locator("dialog").count() == 0
        turn.get_by_role("button", name="役に立った", exact=True).click()
        expect(turn.get_by_role("status")).to_contain_text("ありがとうございます")
        page.goto("/insights")
        expect(page.locator(".figures dd").first).to_have_text("1回")


def test_a_source_that_cannot_be_opened_still_shows_the_quote(page: Page) -> None:
    turn = ask(page, QUESTION)
    page.route("**/sources/**", refuse(404, "document_not_found", "この文書はありません。"))
    turn.locator(".cite").first.click()
    alert = page.locator("#source-body").get_by_role("alert")
    expect(alert).to_contain_text("この文書は索引からなくなりました。")
    assert len(alert.locator("blockquote").inner_text()) > 10
    page.unroute_all()
    page.get_by_role("button", name="次の出典").click()
    expect(page.locator("#source-body mark#quote")).to_be_visible()


def test_the_page_works_without_storage(visit: Callable[..., Page]) -> None:
    page = visit(
        init="Storage.prototype.getItem = Storage.prototype.setItem = () => { throw new Error('denied') }"
    )
    ask(page, QUESTION)
    expect(page.locator("#conversations a")).to_have_text([QUESTION])


def test_data_never_becomes_markup(visit: Callable[..., Page]) -> None:
    """Every text that the service sends, dressed up as an attack, is shown as the text it is."""
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    link = "[bad](javascript:alert) [good](https://a.example/)"
    citation: dict[str, Any] = {
        "number": 1, "document_id": "x", "title": evil, "heading": [evil], "source": evil, "start": 0,
        "end": len(evil), "quote": evil, "passage": evil + evil, "passage_start": 0, "score": 1.0,
        "url": "/sources/x?start=0&end=9", "link": "javascript:alert(1)", "page": 1, "date": evil, "collection": "",
    }  # fmt: skip
    answer = {
        "id": "a", "status": "answered", "answer": f"{evil}[1]\n{link} [99]\n| {evil} |", "confidence": 0.9,
        "conversation_id": evil, "citations": [citation], "took_ms": 1.0, "language": "ja", "composer": "extractive",
    }  # fmt: skip
    stream = "".join(
        f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n"
        for name, data in [("citations", [citation]), ("token", {"text": evil}), ("done", answer)]
    )

    def before(page: Page) -> None:
        page.route(ASK, lambda route: route.fulfill(content_type="text/event-stream", body=stream))
        page.route("**/suggestions", lambda route: route.fulfill(json={"questions": [evil]}))
        page.route(
            "**/documents?*", lambda route: route.fulfill(json={"documents": [], "total": 3})
        )

    page = visit(before=before)
    expect(page.locator(".starters button")).to_have_text([evil])
    turn = ask(page, evil)
    assert turn.locator("img, script").count() == 0
    expect(turn.locator(".words p").first).to_contain_text(evil)
    expect(turn.locator(".card .where strong")).to_have_text(evil)
    expect(turn.locator(".words p").nth(1)).to_have_text("bad good [99]")
    assert turn.locator(".words a[href]:not(.cite)").evaluate_all(
        "all => all.map(a => a.href)"
    ) == ["https://a.example/"]
    expect(page.locator("#conversations a")).to_have_text([evil[:80]])
    page.wait_for_timeout(200)
    assert page.title() != "owned"


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_event_streams_of_any_line_end_and_cut(page: Page, ends: str) -> None:
    """The parser, fed one byte at a time."""
    text = ends.join(
        [
            ": hello",
            "event: token",
            'data: {"text":',
            'data: "答え🐳"}',
            "id: 7",
            "",
            "data: last",
            "",
            "data: lost",
        ]
    )
    found = page.evaluate(
        """async (text) => {
          const { events } = await import("/static/api.js");
          const bytes = new TextEncoder().encode(text);
          let at = 0;
          const stream = new ReadableStream({ pull(control) {
            if (at === bytes.length) control.close(); else control.enqueue(bytes.slice(at, ++at));
          }});
          const all = [];
          for await (const one of events(stream)) all.push(one);
          return all;
        }""",
        text,
    )
    assert found == [
        {"event": "token", "data": '{"text":\n"答え🐳"}'},
        {"event": "message", "data": "last"},
    ]


def test_the_back_button_of_a_phone_closes_the_source(visit: Callable[..., Page]) -> None:
    page = visit(viewport=PHONE, has_touch=True, is_mobile=True)
    turn = ask(page, QUESTION)
    turn.locator(".cite").first.click()
    expect(page.locator("#source-body mark#quote")).to_be_in_viewport()
    page.go_back()
    expect(page.locator("#source")).to_be_hidden()
    expect(turn.locator(".words")).to_be_visible()
