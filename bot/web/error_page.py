"""What a browser shows where a page cannot be opened."""

from __future__ import annotations

from html import escape
from typing import Literal

_HOME = {"ja": "Kiku で質問する", "en": "Ask Kiku"}


def render_error(message: str, hint: str, *, language: Literal["ja", "en"]) -> str:
    """The whole HTML page of an error: what happened, what to do, and the way to the chat."""
    return _PAGE.format(
        language=language,
        message=escape(message),
        hint=f"<p>{escape(hint)}</p>" if hint else "",
        home=escape(_HOME[language]),
    )


_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>{message} — Kiku</title>
<link rel="icon" href="/static/favicon.svg" type="image/svg+xml">
<script src="/static/theme.js"></script>
<link rel="stylesheet" href="/static/base.css">
<link rel="stylesheet" href="/static/source.css">
</head>
<body class="source-page">
<nav><a href="/"><img src="/static/favicon.svg" alt="" width="24" height="24"> {home}</a></nav>
<main class="broken">
<h1>{message}</h1>
{hint}
</main>
</body>
</html>
"""
