"""What Slack refuses in Block Kit, as its reference says, for the fake Slack server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
MESSAGE_CHARS = 13_000  # of all blocks; undocumented, see slackapi/bolt-js#2509
RICH_TEXT = ("rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted")


class Invalid(Exception):
    """A block that Slack would refuse; says where."""


def check_message(blocks: list[dict[str, Any]], above: int = 0) -> str:
    """The error with which Slack would refuse these blocks of a message; empty for none. `above`:
    characters that were streamed into the message before."""
    if len(json.dumps(blocks, ensure_ascii=False)) + above > MESSAGE_CHARS:
        return "msg_blocks_too_long"
    return _check(blocks, MESSAGE_BLOCKS, MESSAGE_TYPES)


def check_view(view: dict[str, Any]) -> str:
    """The error with which Slack would refuse a view; empty for none."""
    try:
        if view["type"] == "modal":
            asks = any(block["type"] == "input" for block in view["blocks"])
            for field in ("title", "close", *(["submit"] if asks else [])):
                _plain(view[field], 24)
            _size(view.get("private_metadata", "x"), 3000)
            _size(view["callback_id"], 255)
        elif view["type"] != "home":
            return "invalid_arguments"
    except (Invalid, KeyError):
        return "invalid_arguments"
    return _check(view["blocks"], VIEW_BLOCKS, VIEW_TYPES)


def _check(blocks: Any, limit: int, types: dict[str, Callable[[dict[str, Any]], None]]) -> str:
    if not isinstance(blocks, list):
        return "invalid_blocks_format"
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if not 1 <= len(blocks) <= limit or len(ids) != len(set(ids)):
        return "invalid_blocks"
    try:
        for block in blocks:
            types[block["type"]](block)
    except (Invalid, KeyError, TypeError, AttributeError) as error:
        return f"invalid_blocks: {type(error).__name__} {error} in {json.dumps(block)[:300]}"
    return ""


def _size(text: Any, limit: int, least: int = 1) -> None:
    if not isinstance(text, str) or not least <= len(text) <= limit:
        raise Invalid(f"a text of {least} to {limit} characters: {str(text)[:60]!r}")


def _count(items: Any, limit: int) -> None:
    if not isinstance(items, list) or not 1 <= len(items) <= limit:
        raise Invalid(f"1 to {limit} elements")


def _plain(text: dict[str, Any], limit: int) -> None:
    if text["type"] != "plain_text":
        raise Invalid("plain_text")
    _size(text["text"], limit)


def _text(text: dict[str, Any], limit: int) -> None:
    if text["type"] not in ("plain_text", "mrkdwn") or (
        text["type"] == "mrkdwn" and "emoji" in text
    ):
        raise Invalid("a text object")
    _size(text["text"], limit)


def _section(block: dict[str, Any]) -> None:
    _text(block["text"], 3000)


def _header(block: dict[str, Any]) -> None:
    _plain(block["text"], 150)


def _context(block: dict[str, Any]) -> None:
    _count(block["elements"], 10)
    for element in block["elements"]:
        _text(element, 2000)


def _rich_text(block: dict[str, Any]) -> None:
    if not block["elements"]:
        raise Invalid("elements")
    for element in block["elements"]:
        if element["type"] not in RICH_TEXT:
            raise Invalid(element["type"])
        for part in element["elements"]:
            if element["type"] == "rich_text_list":
                if element["style"] not in ("bullet", "ordered") or part["type"] != RICH_TEXT[0]:
                    raise Invalid("a list of sections")
                for inner in part["elements"]:
                    _part(inner)
            else:
                _part(part)


def _part(part: dict[str, Any]) -> None:
    if not set(part.get("style", {})) <= {"bold", "italic", "strike", "code", "underline"}:
        raise Invalid("style")
    match part["type"]:
        case "text":
            _size(part["text"], 40_000)
        case "link":
            _size(part["url"], 3000)
            if urlsplit(part["url"]).scheme not in ("http", "https", "mailto"):
                raise Invalid(part["url"])
            if "text" in part:
                _size(part["text"], 40_000)
        case "user":
            _size(part["user_id"], 64)
        case _:
            raise Invalid(part["type"])


def _actions(block: dict[str, Any]) -> None:
    _count(block["elements"], 25)
    for element in block["elements"]:
        if element["type"] != "button":
            raise Invalid(element["type"])
        _plain(element["text"], 75)
        _size(element["action_id"], 255)
        _size(element["value"], 2000)


def _context_actions(block: dict[str, Any]) -> None:
    _count(block["elements"], 5)
    for element in block["elements"]:
        if element["type"] != "feedback_buttons":
            raise Invalid(element["type"])
        _size(element["action_id"], 255)
        for button in (element["positive_button"], element["negative_button"]):
            _plain(button["text"], 75)
            _size(button["value"], 2000)
            _size(button.get("accessibility_label", "x"), 75)


def _input(block: dict[str, Any]) -> None:
    _plain(block["label"], 2000)
    if "hint" in block:
        _plain(block["hint"], 2000)
    element = block["element"]
    _size(element["action_id"], 255)
    match element["type"]:
        case "plain_text_input":
            _plain(element["placeholder"], 150)
            if not 1 <= element["max_length"] <= 3000:
                raise Invalid("max_length")
        case "multi_static_select":
            _options(element, 100)
        case "checkboxes":
            _options(element, 10)
        case _:
            raise Invalid(element["type"])


def _options(element: dict[str, Any], limit: int) -> None:
    _count(element["options"], limit)
    for option in element["options"]:
        _plain(option["text"], 75)
        _size(option["value"], 150)
    if "initial_options" in element:
        _count(element["initial_options"], limit)
        if not all(option in element["options"] for option in element["initial_options"]):
            raise Invalid("initial_options")


def _divider(block: dict[str, Any]) -> None:
    pass


MESSAGE_TYPES: dict[str, Callable[[dict[str, Any]], None]] = {
    "section": _section,
    "context": _context,
    "rich_text": _rich_text,
    "actions": _actions,
    "context_actions": _context_actions,
    "divider": _divider,
    "header": _header,
}
VIEW_TYPES = {**MESSAGE_TYPES, "input": _input}
VIEW_TYPES.pop("context_actions")


def words_of(blocks: list[dict[str, Any]]) -> str:
    """All text of blocks as a reader sees it, elements joined without anything between."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            if value.get("type") in ("text", "link", "plain_text", "mrkdwn"):
                found.append(value.get("text", ""))
            else:
                for item in value.values():
                    walk(item)

    walk(blocks)
    return "".join(found)
