"""What a person does on the chat page."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

QUESTION = "dockershimはいつ削除されましたか？"
FOLLOW_UP = "その理由は？"
UNANSWERABLE = "社員食堂の営業時間は何時までですか？"


def ask(page: Page, question: str) -> Locator:
    """Types a question, presses Enter, and waits for its answer. Returns the turn."""
    turns = page.locator(".turn").count()
    page.fill("#question", question)
    page.press("#question", "Enter")
    turn = page.locator(".turn").nth(turns)
    expect(turn.locator(".answer footer")).to_be_visible()
    return turn


def squeezed(text: str) -> str:
    """Text without white space, which line breaks make and take away."""
    return re.sub(r"\s+", "", text)


def unmarked(text: str) -> str:
    """A Markdown quote as it reads."""
    return squeezed(re.sub(r"\*\*|`", "", text))
