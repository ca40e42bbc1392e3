"""What Slack sends → Delivery. Pure functions over the payloads of events and interactions."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bot.slack.ledger import Delivery

Payload = Mapping[str, Any]

# Subtypes of `message` that are still something a person wrote.
_WRITTEN = frozenset({None, "file_share", "thread_broadcast", "me_message"})
_ENTITY = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
_QUESTION = re.compile(
    r"[?？]|(か|かな|かね|ですか|ますか)[。.!！\s]*$|教えて|知りたい|わかる人|分かる人|とは[。\s]*$"
    r"|^(what|how|why|when|where|who|which|is|are|can|does|do)\b",
    re.IGNORECASE | re.MULTILINE,
)

# Whole messages that ask nothing of the documents, without emoji and final punctuation.
_SMALL_TALK: dict[Literal["help", "hello", "thanks"], re.Pattern[str]] = {
    "help": re.compile(r"help|ヘルプ|使い方(は|を教えて(ください)?)?|何ができ(ますか|るの)"),
    "hello": re.compile(
        r"こんにち[はわ]|おはよう(ございます)?|こんばん[はわ]|はじめまして|お疲れ(さま|様)です"
        r"|よろしく(お願い(します|いたします))?|hello|hi|hey|good (morning|afternoon)"
    ),
    "thanks": re.compile(
        r"(どうも)?ありがとう(ございま(す|した))?|助かり(ます|ました)|了解(です|しました)?"
        r"|承知(しました|いたしました)|[わ分]かりました|thanks?( you)?( very much)?|thx|ok|got it"
    ),
}
# An emoji as Slack sends it; not the middle of 10:30:45 or std::vector::size.
_EMOJI_NAME = re.compile(r"(?<![A-Za-z0-9:]):[a-z][a-z0-9_+'-]*(::skin-tone-\d)?:(?![A-Za-z0-9:])")
_EMOJI = re.compile(r"[\u2600-\u27bf\ufe0f\U0001f300-\U0001faff]")
_FINAL = " \t\n\u3000、。．，,.!！?？〜~ー…"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What has to be known about a workspace to read its events.

    `listens` says whether a channel is answered without a mention, `reply_to` gives message and
    answer id of the reply to a message (both empty for none yet), None where it was never taken as a
    question, `joined` says whether Kiku has a part in a thread.
    """

    team: str
    enterprise: str
    bot_user: str
    listens: Callable[[str, str], bool]
    reply_to: Callable[[str, str, str], tuple[str, str] | None]
    joined: Callable[[str], bool]


def lane_of(team: str, channel: str, thread_ts: str) -> str:
    """The thread as conversation id, and as the queue in which its questions wait."""
    return f"slack:{team}:{channel}:{thread_ts}"


def person(team: str, user: str) -> str:
    """The opaque name under which somebody's questions and ratings are kept."""
    return f"slack:{team}:{user}"


def from_event(body: Payload, around: Surroundings) -> Delivery | None:
    """The question, edit or deletion in an `app_mention` or `message` event; None for the rest:
    what bots write, joins and topics, and what is not meant for Kiku."""
    event: Payload = body["event"]
    subtype = event.get("subtype")
    if subtype == "message_deleted" or _is_tombstone(event):
        return _deletion(body, around)
    if subtype == "message_changed":
        return _edit(body, around)
    if subtype not in _WRITTEN or _by_bot(event) or not event.get("user"):
        return None
    addressed = event["type"] == "app_mention" or _is_addressed(event, event, around)
    version = str(event.get("edited", {}).get("ts", ""))
    if version and (reply := around.reply_to(around.team, event["channel"], event["ts"])):
        addressed = addressed or any(reply)
        return _question(body, event, around, addressed=addressed, version=version)
    if not addressed and not _is_overheard(event, around):
        return None
    return _question(body, event, around, addressed=addressed)


def from_thread_start(body: Payload, team: str, enterprise: str) -> Delivery:
    """A new thread in the assistant pane, to be greeted."""
    thread: Payload = body["event"]["assistant_thread"]
    channel, ts, user = thread["channel_id"], thread["thread_ts"], thread["user_id"]
    request = {"user": user, "user_team": team, "enterprise": enterprise, "thread_ts": ts}
    return Delivery(
        team,
        channel,
        f"greeting:{ts}",
        lane_of(team, channel, ts),
        "greeting",
        request,
        event_ts=body["event"].get("event_ts") or ts,
        event_id=body.get("event_id"),
    )


def from_first_look(body: Payload, team: str, enterprise: str) -> Delivery:
    """Somebody looks at the direct messages with Kiku: to be greeted there, once."""
    event: Payload = body["event"]
    request = {"user": event["user"], "user_team": team, "enterprise": enterprise}
    channel = event["channel"]
    lane = lane_of(team, channel, "")
    event_ts = event.get("event_ts", "")
    return Delivery(team, channel, "greeting", lane, "greeting", request, event_ts=event_ts)


def from_command(body: Payload) -> Delivery:
    """A slash command with a question; answered so that only its author sees it."""
    team, channel, trigger = body["team_id"], body["channel_id"], body["trigger_id"]
    request = {
        "text": readable(body.get("text", "")),
        "user": body["user_id"],
        "user_team": team,
        "enterprise": body.get("enterprise_id") or "",
        "command": body["command"],
        "response_url": body["response_url"],
    }
    lane = lane_of(team, channel, trigger)
    return Delivery(team, channel, trigger, lane, "command", request, event_ts=_serial(trigger))


def from_shortcut(body: Payload, bot_user: str) -> Delivery:
    """A message for which somebody chose the shortcut: a question in its thread.

    It has a version of its own: that the message is known says not that it got an answer which
    this person can see.
    """
    message: Payload = body["message"]
    team, channel = body["team"]["id"], body["channel"]["id"]
    thread = message.get("thread_ts") or message["ts"]
    request = {
        "text": readable(message.get("text", ""), bot_user),
        "user": body["user"]["id"],
        "user_team": body["user"].get("team_id") or team,
        "enterprise": (body.get("enterprise") or {}).get("id", ""),
        "thread_ts": thread,
        "addressed": True,
        "response_url": body["response_url"],
    }
    lane = lane_of(team, channel, thread)
    at = body["action_ts"]
    version = f"shortcut:{at}"
    return Delivery(
        team, channel, message["ts"], lane, "message", request, event_ts=at, version=version
    )


def from_publish(body: Payload) -> Delivery:
    """The button that shows a private answer to the whole channel."""
    answer_id = body["actions"][0]["value"]
    team, channel = body["team"]["id"], body["channel"]["id"]
    ts = f"publish:{answer_id}"
    request = {
        "answer_id": answer_id,
        "user": body["user"]["id"],
        "user_team": body["user"].get("team_id") or team,
        "enterprise": (body.get("enterprise") or {}).get("id", ""),
        "response_url": body["response_url"],
    }
    event_ts = body["actions"][0]["action_ts"]
    lane = lane_of(team, channel, ts)
    return Delivery(team, channel, ts, lane, "publish", request, event_ts=event_ts)


def readable(text: str, bot_user: str = "") -> str:
    """What the author meant by a message: names and links without Slack's markup.

    The mention of Kiku itself, of groups, and emoji go; `<#C1|general>` → `#general`,
    `<https://a.example|Guide>` → `Guide`.
    """

    def plain(match: re.Match[str]) -> str:
        mark, target, label = match.group(1), match.group(2), match.group(3)
        if mark == "!" or (mark == "@" and target == bot_user):
            return " "
        if mark in ("@", "#"):
            return mark + (label or target)
        return label or target

    written = _EMOJI_NAME.sub(" ", html.unescape(_ENTITY.sub(plain, text)))
    return re.sub(r"[ \t]+", " ", written).strip()


def is_question(text: str) -> bool:
    """Whether a message reads like a question; decides alone whether an overheard message that
    found nothing is told so."""
    return _QUESTION.search(text) is not None


def small_talk(text: str) -> Literal["help", "hello", "thanks", ""]:
    """What a message is that asks nothing of the documents; "" for every other message."""
    said = _EMOJI.sub("", text.lower()).strip(_FINAL)
    return next((kind for kind, words in _SMALL_TALK.items() if words.fullmatch(said)), "")


def _question(
    body: Payload, event: Payload, around: Surroundings, *, addressed: bool, version: str = ""
) -> Delivery:
    channel, ts = event.get("channel") or body["event"]["channel"], event["ts"]
    thread = event.get("thread_ts") or ts
    request = {
        "text": readable(event.get("text", ""), around.bot_user),
        "user": event["user"],
        "user_team": event.get("user_team") or event.get("team") or around.team,
        "enterprise": around.enterprise,
        "thread_ts": thread,
        "addressed": addressed,
        "shared": bool(body.get("is_ext_shared_channel")),
    }
    return Delivery(
        around.team,
        channel,
        ts,
        lane_of(around.team, channel, thread),
        "edit" if version else "message",
        request,
        event_ts=body["event"].get("event_ts") or ts,
        version=version,
        event_id=body.get("event_id"),
    )


def _edit(body: Payload, around: Surroundings) -> Delivery | None:
    event: Payload = body["event"]
    message, before = event["message"], event.get("previous_message") or {}
    # Slack also sends this when it unfurls a link or guesses the language.
    if _by_bot(message) or not message.get("user") or message.get("text") == before.get("text"):
        return None
    addressed = _is_addressed(message, event, around)
    if reply := around.reply_to(around.team, event["channel"], message["ts"]):
        # What was only overheard and got no answer is still not meant for Kiku.
        version = str(message.get("edited", {}).get("ts") or event["ts"])
        addressed = addressed or any(reply)
        return _question(body, message, around, addressed=addressed, version=version)
    return _question(body, message, around, addressed=True) if addressed else None


def _deletion(body: Payload, around: Surroundings) -> Delivery | None:
    event: Payload = body["event"]
    before = event.get("previous_message") or {}
    ts = event.get("deleted_ts") or before.get("ts", "")
    channel = event["channel"]
    if around.reply_to(around.team, channel, ts) is None:
        return None
    lane = lane_of(around.team, channel, before.get("thread_ts") or ts)
    return Delivery(
        around.team,
        channel,
        ts,
        lane,
        "delete",
        {"enterprise": around.enterprise},
        event_ts=event.get("event_ts") or event["ts"],
        version="deleted",
        event_id=body.get("event_id"),
    )


def _is_addressed(message: Payload, event: Payload, around: Surroundings) -> bool:
    if event.get("channel_type") == "im" or str(event["channel"]).startswith("D"):
        return True
    return _mentions(message.get("text", ""), around.bot_user)


def _is_overheard(event: Payload, around: Surroundings) -> bool:
    """In a channel that Kiku listens to: a message to nobody in particular."""
    if not around.listens(around.team, event["channel"]) or "<@" in event.get("text", ""):
        return False
    thread = event.get("thread_ts")
    if thread and thread != event["ts"]:
        return around.joined(lane_of(around.team, event["channel"], thread))
    return True


def _mentions(text: str, user: str) -> bool:
    return f"<@{user}>" in text or f"<@{user}|" in text


def _by_bot(message: Payload) -> bool:
    return bool(message.get("bot_id")) or message.get("subtype") == "bot_message"


def _is_tombstone(event: Payload) -> bool:
    """A deleted message that has replies stays as a tombstone."""
    changed = event.get("subtype") == "message_changed"
    return changed and event.get("message", {}).get("subtype") == "tombstone"


def _serial(trigger: str) -> str:
    """A command has no timestamp; the middle of its trigger id grows with time."""
    parts = trigger.split(".")
    return parts[1] if len(parts) > 1 else trigger
