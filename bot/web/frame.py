"""What stands around a page that the server writes: its head, and the way to the chat."""

from __future__ import annotations

from html import escape
from typing import Literal


def framed(
    main: str, *, title: str, home: str, language: Literal["ja", "en"], script: str = ""
) -> str:
    """A whole HTML page around `main`, which is HTML already; `title` and `home`, the words of the
    link to the chat, are plain text. `script` names a module under /static."""
    module = f'<script type="module" src="/static/{script}"></script>\n' if script else ""
    return _PAGE.format(
        language=language, title=escape(title), home=escape(home), module=module, main=main
    )


_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>{title} — Kiku</title>
<link rel="icon" href="/static/favicon.svg" type="image/svg+xml">
<script src="/static/theme.js"></script>
<link rel="stylesheet" href="/static/base.css">
<link rel="stylesheet" href="/static/source.css">
{module}</head>
<body class="source-page">
<nav><a href="/"><img src="/static/favicon.svg" alt="" width="24" height="24"> {home}</a></nav>
{main}
</body>
</html>
"""
