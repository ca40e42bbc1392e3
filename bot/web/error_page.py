"""What a browser shows where a page cannot be opened."""

from __future__ import annotations

from html import escape
from typing import Literal

from bot.web.frame import framed

_HOME = {"ja": "Kiku で質問する", "en": "Ask Kiku"}


def render_error(message: str, hint: str, *, language: Literal["ja", "en"]) -> str:
    """The whole HTML page of an error: what happened, what to do, and the way to the chat."""
    what_to_do = f"<p>{escape(hint)}</p>" if hint else ""
    main = f'<main class="broken">\n<h1>{escape(message)}</h1>\n{what_to_do}\n</main>'
    return framed(main, title=message, home=_HOME[language], language=language)
