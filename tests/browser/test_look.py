"""Widths, colours, names for screen readers, languages, paper."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("playwright", reason="the browser tests need the playwright package")
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESK, PHONE
from tests.browser.steps import QUESTION, UNANSWERABLE, ask

NARROWEST = {"width": 360, "height": 640}
TOUCH = {"has_touch": True, "is_mobile": True}
# Text and the ground it stands on, by the variables of base.css.
PAIRS = [
    ("--ink", "--paper"),
    ("--ink-soft", "--paper"),
    ("--ink-soft", "--surface"),
    ("--ink-soft", "--sunken"),
    ("--accent", "--paper"),
    ("--accent", "--accent-soft"),
    ("--accent-ink", "--accent"),
    ("--mark-ink", "--mark"),
    ("--danger", "--surface"),
    ("--good", "--paper"),
    ("--ink", "--danger-soft"),
    ("--ink-soft", "--danger-soft"),
]


def sideways(page: Page) -> int:
    """How far the page can be moved sideways; it never should."""
    return int(
        page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )


@pytest.mark.parametrize("viewport", [NARROWEST, PHONE, {"width": 1024, "height": 700}, DESK])
def test_nothing_sticks_out_at_any_width(
    visit: Callable[..., Page], viewport: dict[str, int]
) -> None:
    page = visit(viewport=viewport, **(TOUCH if viewport["width"] < 500 else {}))
    expect(page.locator(".starters button").first).to_be_visible()
    assert sideways(page) == 0
    ask(page, "https://example.com/" + "a" * 300 + " " + "コンテナ" * 40)
    turn = ask(page, QUESTION)
    expect(turn.locator(".words")).to_be_in_viewport()
    expect(page.locator("#question")).to_be_in_viewport()
    assert sideways(page) == 0
    for box in page.locator(".turn .card:visible, .turn .words").all():
        place = box.bounding_box()
        assert place
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= viewport["width"]
    turn.locator(".cite").first.click()
    expect(page.locator("#source-body mark").first).to_be_in_viewport()
    assert sideways(page) == 0
    assert page.evaluate("document.scrollingElement.scrollTop") == 0


def test_sources_stand_beside_the_answer_on_a_desk_and_below_it_on_a_phone(
    visit: Callable[..., Page],
) -> None:
    def boxes(page: Page) -> tuple[dict[str, float], dict[str, float]]:
        turn = ask(page, QUESTION)
        words, card = (
            turn.locator(".words").bounding_box(),
            turn.locator(".card").first.bounding_box(),
        )
        assert words
        assert card
        return dict(words), dict(card)

    words, card = boxes(visit())
    assert card["x"] > words["x"] + words["width"]
    words, card = boxes(visit(viewport=PHONE, **TOUCH))
    assert card["y"] > words["y"] + words["height"]
    assert abs(card["x"] - words["x"]) < 2


def test_the_source_opens_beside_the_chat_on_a_desk_and_over_it_on_a_phone(
    visit: Callable[..., Page],
) -> None:
    page = visit()
    ask(page, QUESTION).locator(".cite").first.click()
    expect(page.locator("#source-body mark").first).to_be_in_viewport()
    expect(page.locator(".turn .words")).to_be_in_viewport()
    phone = visit(viewport=PHONE, **TOUCH)
    ask(phone, QUESTION).locator(".cite").first.click()
    panel = phone.locator("#source").bounding_box()
    assert panel
    assert (panel["width"], panel["height"]) == (PHONE["width"], PHONE["height"])


def test_the_list_is_a_drawer_on_a_phone(visit: Callable[..., Page]) -> None:
    page = visit(viewport=PHONE, **TOUCH)
    ask(page, QUESTION)
    expect(page.locator("#sidebar")).to_be_hidden()
    page.get_by_role("button", name="会話の一覧を開く").click()
    expect(page.locator("#conversations a")).to_be_visible()
    page.locator("#scrim").click(position={"x": 370, "y": 400})
    expect(page.locator("#sidebar")).to_be_hidden()
    page.get_by_role("button", name="新しい質問").last.click()
    page.get_by_role("button", name="会話の一覧を開く").click()
    page.locator("#conversations a").click()
    expect(page.locator(".turn .answer footer")).to_be_visible()
    expect(page.locator("#sidebar")).to_be_hidden()


def test_a_touch_screen_has_room_for_fingers(visit: Callable[..., Page]) -> None:
    page = visit(viewport=PHONE, **TOUCH)
    turn = ask(page, QUESTION)
    for button in page.locator("button:visible, a.card:visible").all():
        box = button.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 32, button.evaluate(
            "node => node.outerHTML.slice(0, 120)"
        )
    # The number itself is small, what a finger hits around it is not.
    box = turn.locator(".cite").first.bounding_box()
    assert box
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] - 5)
    expect(page.locator("#source")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(visit: Callable[..., Page], scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    page = visit(color_scheme=scheme)
    for ink, ground in PAIRS:
        ratio = page.evaluate(
            """([ink, ground]) => {
              const probe = document.body.appendChild(document.createElement("p"));
              const luminance = (name) => {
                probe.style.color = `var(${name})`;
                const rgb = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255);
                const [r, g, b] = rgb.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              };
              const [a, b] = [luminance(ink), luminance(ground)].sort((x, y) => y - x);
              probe.remove();
              return (a + 0.05) / (b + 0.05);
            }""",
            [ink, ground],
        )
        assert ratio >= 4.5, f"{ink} on {ground} in {scheme}: {ratio:.2f}"


def test_the_theme_follows_the_device_until_somebody_chooses(visit: Callable[..., Page]) -> None:
    page = visit(color_scheme="dark")

    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    dark = ground()
    page.emulate_media(color_scheme="light")
    light = ground()
    assert light != dark
    theme = page.locator("#theme")
    expect(theme).to_have_text("配色: 端末に合わせる")
    theme.click()
    theme.click()
    expect(theme).to_have_text("配色: ダーク")
    assert ground() == dark
    page.reload()
    assert ground() == dark
    expect(theme).to_have_text("配色: ダーク")


def test_english_for_english_browsers_and_on_request(visit: Callable[..., Page]) -> None:
    page = visit(locale="en-GB")
    expect(page.locator("#welcome h1")).to_have_text("Ask your documents.")
    assert page.evaluate("document.documentElement.lang") == "en"
    turn = ask(page, UNANSWERABLE)
    expect(turn.locator(".state")).to_have_text("Not in the documents")
    assert turn.locator(".quote").first.get_attribute("lang") == "ja"
    page.get_by_role("button", name="日本語").click()
    expect(page.locator(".turn .state")).to_have_text("文書に見つかりません")
    page.reload()
    expect(page.locator("#question")).to_have_attribute("placeholder", "文書に質問する")
    assert page.evaluate("document.documentElement.lang") == "ja"


def test_everything_that_can_be_used_has_a_name(page: Page) -> None:
    turn = ask(page, QUESTION)
    turn.locator(".sources summary").click()
    turn.locator(".cite").first.click()
    expect(page.locator("#source-body mark").first).to_be_visible()
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
    usable = {
        "button",
        "link",
        "textbox",
        "searchbox",
        "checkbox",
        "dialog",
        "complementary",
        "img",
    }
    nameless = [
        node
        for node in tree["nodes"]
        if not node["ignored"]
        and node.get("role", {}).get("value") in usable
        and not node.get("name", {}).get("value", "").strip()
    ]
    assert nameless == []
    headings = page.evaluate(
        "[...document.querySelectorAll('#stage h1, #stage h2, #stage h3')].map(h => h.tagName)"
    )
    assert headings
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(node => node.id)")
    assert len(ids) == len(set(ids))


def test_a_conversation_prints_with_its_quotes(page: Page) -> None:
    ask(page, QUESTION)
    page.emulate_media(media="print", color_scheme="dark")
    for hidden in ("#sidebar", "#composer", ".tools", "#bar"):
        expect(page.locator(hidden).first).to_be_hidden()
    expect(page.locator(".turn .words")).to_be_visible()
    expect(page.locator(".turn .card .quote").first).to_be_visible()
    assert (
        page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        == "rgb(255, 255, 255)"
    )
    assert len(page.pdf()) > 5_000


def test_nothing_is_loaded_from_elsewhere_and_little_of_it(visit: Callable[..., Page]) -> None:
    addresses: list[str] = []
    page = visit(
        before=lambda page: page.on("request", lambda request: addresses.append(request.url))
    )
    ask(page, QUESTION).locator(".cite").first.click()
    expect(page.locator("#source-body mark").first).to_be_visible()
    own = page.url.split("/#")[0]
    assert [url for url in addresses if not url.startswith(own)] == []
    files = {url for url in addresses if "/static/" in url}
    weight = sum(len(page.request.get(url).body()) for url in files)
    assert weight < 150_000
