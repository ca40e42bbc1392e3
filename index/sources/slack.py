"""A Slack export: threads as documents, the rest of a channel a day, people by name, no bots.

Each document links to its first message in Slack; each message says when it was written.

Only the channels of `channels.json` are read. Private channels and direct messages lie in the same
archive; putting them where a whole team can search is a decision that nobody made by exporting.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
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

JAPAN = 9 * 3600  # seconds east of Greenwich, where an export says nothing of its people's clocks
_DAY = re.compile(r"\d{4}-\d\d-\d\d\.json")
_TS = re.compile(r"(\d{1,11})\.(\d{1,6})")
# Files are the only ones in an export whose address names the workspace. / may be written \/.
_WORKSPACE = re.compile(
    rb'"permalink"\s*:\s*"https:(?:\\?/){2}([a-z0-9][a-z0-9-]{0,80}(?:\.enterprise)?\.slack\.com)\\?/'
)
_ID = re.compile(r"[A-Z0-9]{1,40}")
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
    users = _records(take, "users.json")
    channels = {str(c.get("name")): str(c.get("id")) for c in _records(take, "channels.json")}
    days = defaultdict(list)
    for path in sorted(members):
        folder, _, file = path.rpartition("/")
        if _DAY.fullmatch(file):
            days[folder].append(path)
    team = _Team.of(users, channels, _workspace(take, [days[name] for name in sorted(channels)]))
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
        yield from _documents(channel, channels[channel], messages, team)


@dataclass(frozen=True, slots=True)
class _Team:
    """Whose export it is: people and channels by id, what most of their clocks show, the team's id
    and the host of its workspace, each empty where the export does not say."""

    people: dict[str, str]
    channels: dict[str, str]
    clock: timezone
    id: str
    workspace: str

    @classmethod
    def of(cls, users: Sequence[dict[str, Any]], channels: dict[str, str], workspace: str) -> _Team:
        """What `users.json` says; nothing in it is taken on trust."""
        people = [user for user in users if not user.get("is_bot")]
        offsets = Counter(
            offset
            for user in people
            if isinstance(offset := user.get("tz_offset"), int) and abs(offset) < 86_400
        )
        clock = offsets.most_common(1)[0][0] if offsets else JAPAN
        teams = Counter(str(user["team_id"]) for user in people if user.get("team_id"))
        return cls(
            {str(user.get("id")): _person(user) for user in users},
            {identity: name for name, identity in channels.items()},
            timezone(timedelta(seconds=clock)),
            teams.most_common(1)[0][0] if teams else "",
            workspace,
        )

    def time(self, message: dict[str, Any]) -> str:
        """When a message was written, as `09:15`; empty where it does not say."""
        match = _TS.fullmatch(str(message.get("ts", "")))
        return f"{datetime.fromtimestamp(int(match[1]), self.clock):%H:%M}" if match else ""

    def link(self, channel: str, message: dict[str, Any]) -> str:
        """The address of a message, or of its channel's place in Slack's own app; empty where the
        export does not say enough."""
        match = _TS.fullmatch(str(message.get("ts", "")))
        if not match or not _ID.fullmatch(channel):
            return ""
        if self.workspace:
            return f"https://{self.workspace}/archives/{channel}/p{match[1]}{match[2]:0<6}"
        if not _ID.fullmatch(self.id):
            return ""
        return f"https://app.slack.com/client/{self.id}/{channel}/thread/{channel}-{match[0]}"


def _documents(
    channel: str, identity: str, messages: list[tuple[str, dict[str, Any]]], team: _Team
) -> Iterator[Part]:
    groups: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for day, message in messages:
        if _said(message):
            thread = str(message.get("thread_ts") or "")
            groups[thread or day].append((day, message))
    for group, found in groups.items():
        found.sort(key=lambda item: str(item[1].get("ts", "")))
        lines = [_line(message, team) for _, message in found]
        text = clean("\n\n".join(line for line in lines if line))
        if not text:
            continue
        day, begins = found[0]
        first = _words(str(begins.get("text", "")), team).split("\n", 1)[0]
        title = f"#{channel} {day}" if group == day else f"#{channel}: {first[:LONGEST_TITLE]}"
        yield Part(
            text,
            title,
            name=f"{channel}/{group}",
            date=day,
            url=team.link(identity, begins),
            media_type="text/x-slack",
        )


def _workspace(take: Take, channels: Sequence[Sequence[str]]) -> str:
    """The host of the workspace, as the first file that somebody shared names it."""
    for path in (path for paths in channels for path in paths):
        try:
            found = _WORKSPACE.search(take(path))
        except UnreadableDocument:
            continue
        if found:
            return found[1].decode()
    return ""


def _said(message: dict[str, Any]) -> bool:
    """Whether a person said something: no bot, no notice of who came and went."""
    return (
        message.get("type", "message") == "message"
        and message.get("subtype") not in _SILENT
        and not message.get("bot_id")
        and message.get("user") != "USLACKBOT"
        and bool(message.get("text") or message.get("files"))
    )


def _line(message: dict[str, Any], team: _Team) -> str:
    user = str(message.get("user", ""))
    text = _words(str(message.get("text") or ""), team)
    files = message.get("files")
    attached = [
        str(file.get("title") or file.get("name"))
        for file in (files if isinstance(files, list) else [])
        if isinstance(file, dict) and (file.get("title") or file.get("name"))
    ]
    if attached:
        text = f"{text}\n（添付: {'、'.join(attached)}）".strip()
    time = f"（{said}）" if (said := team.time(message)) else ""
    return f"{team.people.get(user, user or '不明')}{time}: {text}" if text else ""


def _words(text: str, team: _Team) -> str:
    """Slack's markup as people see it: mentions by name, links by their words."""

    def shown(match: re.Match[str]) -> str:
        kind, target, label = match[1], match[2], match[3]
        if kind == "@":
            return f"@{label or team.people.get(target, target)}"
        if kind == "#":
            return f"#{label or team.channels.get(target, target)}"
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
