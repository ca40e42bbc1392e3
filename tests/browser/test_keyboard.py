"""Typing Japanese, and everything without a mouse."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("playwright", reason="the browser tests need the playwright package")
from playwright.sync_api import Page, expect

from tests.browser.steps import QUESTION, ask


def test_the_enter_that_ends_a_conversion_does_not_send(page: Page) -> None:
    """Keys as Chromium gets them from an input method."""
    page.focus("#question")
    keys = page.context.new_cdp_session(page)
    composing = {
        "type": "rawKeyDown",
        "windowsVirtualKeyCode": 229,
        "key": "Process",
        "code": "Enter",
    }
    keys.send(
        "Input.imeSetComposition", {"text": "こんてな", "selectionStart": 4, "selectionEnd": 4}
    )
    keys.send("Input.dispatchKeyEvent", composing)
    keys.send("Input.insertText", {"text": "コンテナ"})
    keys.send("Input.dispatchKeyEvent", composing | {"type": "keyUp"})
    page.wait_for_timeout(100)
    assert page.input_value("#question") == "コンテナ"
    assert page.locator(".turn").count() == 0
    page.keyboard.press("Enter")
    expect(page.locator(".turn .asked")).to_contain_text("コンテナ")


@pytest.mark.parametrize(
    "events",
    [
        # Chrome, Firefox: the Enter belongs to the composition.
        "start(); key({isComposing: true, keyCode: 229}); end()",
        # input methods that only say 229
        "key({keyCode: 229})",
        # Safari: the composition has ended just before its Enter arrives
        "start(); end(); key({keyCode: 13})",
    ],
)
def test_conversion_enters_of_other_browsers_do_not_send(page: Page, events: str) -> None:
    page.fill("#question", "コンテナとは")
    page.evaluate(
        """(events) => {
          const field = document.getElementById("question");
          const start = () => field.dispatchEvent(new CompositionEvent("compositionstart"));
          const end = () => field.dispatchEvent(new CompositionEvent("compositionend"));
          const key = (how) => {
            const event = new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true, ...how});
            Object.defineProperty(event, "keyCode", {get: () => how.keyCode});
            field.dispatchEvent(event);
          };
          for (const step of events.split(";")) {
            if (step.includes("start")) start();
            else if (step.includes("end")) end();
            else key({isComposing: step.includes("true"), keyCode: step.includes("229") ? 229 : 13});
          }
        }""",
        events,
    )
    page.wait_for_timeout(100)
    assert page.locator(".turn").count() == 0
    assert page.input_value("#question") == "コンテナとは"
    page.press("#question", "Enter")
    expect(page.locator(".turn")).to_have_count(1)


def test_shift_enter_makes_a_line(page: Page) -> None:
    page.focus("#question")
    page.keyboard.type("chrootとは")
    before = page.locator("#question").bounding_box()
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("何ですか？")
    assert page.input_value("#question") == "chrootとは\n何ですか？"
    after = page.locator("#question").bounding_box()
    assert before
    assert after
    assert after["height"] > before["height"]
    assert page.locator(".turn").count() == 0


def test_blank_questions_are_not_sent(page: Page) -> None:
    expect(page.locator("#send")).to_be_disabled()
    page.fill("#question", " 　\n")
    expect(page.locator("#send")).to_be_disabled()
    page.press("#question", "Enter")
    assert page.locator(".turn").count() == 0


def test_shortcuts(page: Page) -> None:
    expect(page.locator("#question")).to_be_focused()
    page.locator("#help").focus()
    page.keyboard.press("/")
    expect(page.locator("#question")).to_be_focused()
    assert page.input_value("#question") == ""
    page.keyboard.type("/?")  # in the field they are characters
    assert page.input_value("#question") == "/?"
    page.fill("#question", "")
    ask(page, QUESTION)
    page.keyboard.press("ArrowUp")
    assert page.input_value("#question") == QUESTION
    page.keyboard.press("Control+Shift+O")
    expect(page.locator("#welcome h1")).to_be_visible()
    page.locator("#help").focus()
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="使い方")
    expect(help_).to_contain_text("送信（変換の確定では送りません）")
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()


def test_sources_by_arrow_keys(page: Page) -> None:
    turn = ask(page, QUESTION)
    turn.locator(".sources summary").click()
    cards = turn.locator("a.card")
    cards.nth(0).focus()
    page.keyboard.press("ArrowDown")
    expect(cards.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#source-count")).to_contain_text("出典 1/")
    expect(page.locator("#source-body mark#quote")).to_be_focused()
    first = page.locator("#source-body mark#quote").text_content() or ""
    page.keyboard.press("ArrowRight")
    expect(page.locator("#source-count")).to_contain_text("出典 2/")
    expect(page.locator("#source-body mark#quote")).to_be_focused()
    expect(page.locator("#source-body mark#quote")).not_to_have_text(first)
    expect(cards.nth(1)).to_have_attribute("aria-current", "true")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#source-count")).to_contain_text("出典 1/")
    page.keyboard.press("Escape")
    expect(cards.nth(0)).to_be_focused()


def test_the_skip_link_and_the_order_of_focus(visit: Callable[..., Page]) -> None:
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    expect(page.locator("#welcome h1")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="質問欄へ移動")).to_be_focused()
    page.keyboard.press("Tab")
    # The closed drawer cannot be reached.
    expect(page.get_by_role("button", name="会話の一覧を開く")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="会話の一覧を閉じる")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="会話の一覧を開く")).to_be_focused()


def test_a_screen_reader_hears_the_answer_once(page: Page) -> None:
    turn = ask(page, QUESTION)
    live = page.locator("#live")
    expect(live).to_have_attribute("aria-live", "polite")
    expect(live).to_contain_text("回答: ")
    answer = turn.locator(".words").inner_text().split("。")[0]
    expect(live).to_contain_text(answer)
