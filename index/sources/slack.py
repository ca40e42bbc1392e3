"""A Slack export: threads as documents, the rest of a channel a day, people by name, no bots.

Only the channels of `channels.json` are read. Private channels and direct messages lie in the same
archive; putting them where a whole team can search is a decision that nobody made by exporting.
"""

from __future__ import annotations

import html
import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import Any

from index.errors import UnreadableDocument
from index.records import Skipped
from index.sources.encoding import clean
from index.sources.types import Part

LONGEST_TITLE = 60
PRIVATE = {
    "groups.json": "非公開チャンネル",
    "dms.json": "ダイレクトメッセージ",
    "mpims.json": "グループDM",
}

_DAY = re.compile(r"\d{4}-\d\d-\d\d\.json")
# fmt: off
_SILENT = frozenset((
    "channel_join", "channel_leave", "channel_topic", "channel_purpose", "channel_name",
    "channel_archive", "channel_unarchive", "bot_message", "bot_add", "bot_remove",
    "pinned_item", "unpinned_item", "reminder_add", "tombstone", "huddle_thread",
))
# fmt: on
_MARKUP = re.compile(r"<([@#!]?)([^<>|]{0,2000})(?:\|([^<>]{0,2000}))?>")

Take = Callable[[str], bytes]


def recognises(members: Collection[str]) -> bool:
    """Whether the paths of an archive are those of a Slack export."""
    return {"users.json", "channels.json"} <= set(members)


def read_export(take: Take, members: Collection[str]) -> Iterator[Part | Skipped]:
    """One Part a thread, and one for the other messages of a channel's day."""
    people = {str(user.get("id")): _person(user) for user in _records(take, "users.json")}
    channels = {str(c.get("name")): str(c.get("id")) for c in _records(take, "channels.json")}
    names = {identity: name for name, identity in channels.items()}
    days = defaultdict(list)
    for path in sorted(members):
        folder, _, file = path.rpartition("/")
        if _DAY.fullmatch(file):
            days[folder].append(path)
    for file, what in PRIVATE.items():
        if file in members and (count := len(_records(take, file))):
            yield Skipped(file, "private", f"{what} {count} 件は読みません。")
    for channel in sorted(channels):
        messages: list[tuple[str, dict[str, Any]]] = []
        for path in days.get(channel, ()):
            try:
                found = _records(take, path)
            except UnreadableDocument as error:
                yield Skipped(path, error.code, error.message)
                continue
            messages += ((path[-15:-5], message) for message in found)
        yield from _documents(channel, messages, people, names)


def _documents(
    channel: str,
    messages: list[tuple[str, dict[str, Any]]],
    people: dict[str, str],
    names: dict[str, str],
) -> Iterator[Part]:
    groups: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for day, message in messages:
        if _said(message):
            thread = str(message.get("thread_ts") or "")
            groups[thread or day].append((day, message))
    for group, found in groups.items():
        found.sort(key=lambda item: str(item[1].get("ts", "")))
        lines = [_line(message, people, names) for _, message in found]
        text = clean("\n\n".join(line for line in lines if line))
        if not text:
            continue
        day = found[0][0]
        first = _words(str(found[0][1].get("text", "")), people, names).split("\n", 1)[0]
        title = f"#{channel} {day}" if group == day else f"#{channel}: {first[:LONGEST_TITLE]}"
        yield Part(text, title, name=f"{channel}/{group}", date=day, media_type="text/x-slack")


def _said(message: dict[str, Any]) -> bool:
    """Whether a person said something: no bot, no notice of who came and went."""
    return (
        message.get("type", "message") == "message"
        and message.get("subtype") not in _SILENT
        and not message.get("bot_id")
        and message.get("user") != "USLACKBOT"
        and bool(message.get("text") or message.get("files"))
    )


def _line(message: dict[str, Any], people: dict[str, str], names: dict[str, str]) -> str:
    user = str(message.get("user", ""))
    text = _words(str(message.get("text") or ""), people, names)
    files = message.get("files")
    attached = [
        str(file.get("title") or file.get("name"))
        for file in (files if isinstance(files, list) else [])
        if isinstance(file, dict) and (file.get("title") or file.get("name"))
    ]
    if attached:
        text = f"{text}\n（添付: {'、'.join(attached)}）".strip()
    return f"{people.get(user, user or '不明')}: {text}" if text else ""


def _words(text: str, people: dict[str, str], names: dict[str, str]) -> str:
    """Slack's markup as people see it: mentions by name, links by their words."""

    def shown(match: re.Match[str]) -> str:
        kind, target, label = match[1], match[2], match[3]
        if kind == "@":
            return f"@{label or people.get(target, target)}"
        if kind == "#":
            return f"#{label or names.get(target, target)}"
        if kind == "!":
            return label or f"@{target.split('^')[0]}"
        return f"{label} ({target})" if label and label != target else target

    return html.unescape(_MARKUP.sub(shown, text)).strip()


def _person(user: dict[str, Any]) -> str:
    profile = user.get("profile")
    profile = profile if isinstance(profile, dict) else {}
    names = (
        profile.get("display_name"),
        profile.get("real_name"),
        user.get("real_name"),
        user.get("name"),
    )
    return next(
        (str(name).strip() for name in names if name and str(name).strip()), str(user.get("id"))
    )


def _records(take: Take, path: str) -> list[dict[str, Any]]:
    """The objects of a JSON list; anything else in it is no record of Slack's."""
    try:
        found = json.loads(take(path))
    except (ValueError, RecursionError):
        raise UnreadableDocument(f"{path} は JSON として読めません。", code="damaged") from None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
