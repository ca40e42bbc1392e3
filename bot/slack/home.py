"""The views around the answers: App Home and the two dialogs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bot.messages.slack import SLACK, SlackMessages
from bot.records import Language
from bot.slack.access import ChannelSettings
from bot.slack.blocks import Block, bullets, cut, linked, rich_text, section, words
from index.records import DEFAULT_COLLECTION, DocumentSummary

View = dict[str, Any]

DOCUMENTS_LISTED = 30
OPTIONS = 100  # of a select menu, at most


def home_view(
    documents: Sequence[DocumentSummary],
    recent: Sequence[str],
    language: Language,
    command: str,
    *,
    public_url: str = "",
    refusal: str = "",
) -> View:
    """App Home: how to ask, what is indexed, what this person asked. `refusal`: why this person is
    not answered, instead of all that."""
    texts = SLACK[language]
    if refusal:
        header = {"type": "header", "text": _plain(texts.home_title)}
        return {"type": "home", "blocks": [header, rich_text(section(refusal))]}
    shown: list[str | Block] = [
        linked(cut(one.title, 120), one.url, f"/sources/{one.id}", public_url)
        for one in documents[:DOCUMENTS_LISTED]
    ]
    if len(documents) > len(shown):
        shown.append(texts.home_more_documents.format(count=len(documents) - len(shown)))
    title = texts.home_documents.format(count=len(documents))
    blocks: list[Block] = [
        {"type": "header", "text": _plain(texts.home_title)},
        *_titled(texts.home_how, help_lines(texts, command)),
        {"type": "divider"},
        *_titled(title, shown or [texts.home_no_documents]),
        {"type": "divider"},
        *_titled(texts.home_recent, [cut(one, 200) for one in recent] or [texts.home_no_recent]),
    ]
    return {"type": "home", "blocks": blocks}


def help_lines(texts: SlackMessages, command: str) -> list[str]:
    """How to ask, a line a way."""
    return [line.format(command=command) for line in texts.help]


def comment_view(answer_id: str, language: Language) -> View:
    """The dialog that asks what was wrong with an answer."""
    texts = SLACK[language]
    comment = {
        "type": "input",
        "block_id": "comment",
        "optional": True,
        "label": _plain(texts.comment_label),
        "element": {
            "type": "plain_text_input",
            "action_id": "comment",
            "multiline": True,
            "max_length": 2000,
            "placeholder": _plain(texts.comment_hint),
        },
    }
    return {
        "type": "modal",
        "callback_id": "comment",
        "private_metadata": answer_id,
        "title": _plain(texts.comment_title),
        "submit": _plain(texts.send),
        "close": _plain(texts.close),
        "blocks": [comment],
    }


def settings_view(
    channel: str, chosen: ChannelSettings, collections: Sequence[str], language: Language
) -> View:
    """The dialog of `/kiku 設定`. `chosen`: what holds now; `collections`: those that this person
    may open to the channel."""
    texts = SLACK[language]
    listen = _option(texts.settings_listen_on, "on")
    blocks: list[Block] = [rich_text(section(texts.settings_intro))]
    names = [name for name in collections[:OPTIONS] if 0 < len(name) <= 75]
    options = [_option(_collection(name, texts), name) for name in names]
    if options:
        initial = [one for one in options if one["value"] in (chosen.collections or ())]
        blocks.append(
            {
                "type": "input",
                "block_id": "collections",
                "optional": True,
                "label": _plain(texts.settings_collections),
                "hint": _plain(texts.settings_collections_hint),
                "element": {
                    "type": "multi_static_select",
                    "action_id": "collections",
                    "options": options,
                    **({"initial_options": initial} if initial else {}),
                },
            }
        )
    blocks.append(
        {
            "type": "input",
            "block_id": "listen",
            "optional": True,
            "label": _plain(texts.settings_listen),
            "element": {
                "type": "checkboxes",
                "action_id": "listen",
                "options": [listen],
                **({"initial_options": [listen]} if chosen.listen else {}),
            },
        }
    )
    return {
        "type": "modal",
        "callback_id": "channel_settings",
        "private_metadata": json.dumps({"channel": channel}),
        "title": _plain(texts.settings_title),
        "submit": _plain(texts.save),
        "close": _plain(texts.close),
        "blocks": blocks,
    }


def saved_view(chosen: ChannelSettings, language: Language) -> View:
    """What the dialog becomes when the settings are saved: what holds from now on."""
    texts = SLACK[language]
    names = [_collection(name, texts) for name in chosen.collections or ()]
    listen = texts.settings_listen_on if chosen.listen else texts.settings_listen_off
    return {
        "type": "modal",
        "callback_id": "channel_settings_saved",
        "title": _plain(texts.settings_title),
        "close": _plain(texts.close),
        "blocks": [
            rich_text(section(texts.settings_saved)),
            *_titled(
                texts.settings_collections,
                [cut("、".join(names), 2_000)] if names else [texts.settings_all],
            ),
            *_titled(texts.settings_listen, [listen]),
        ],
    }


def chosen_settings(view: View) -> tuple[str, ChannelSettings]:
    """The channel and what was chosen for it, out of a submitted `settings_view`."""
    values = view["state"]["values"]
    selected = values.get("collections", {}).get("collections", {}).get("selected_options") or []
    listen = values["listen"]["listen"].get("selected_options") or []
    collections = [option["value"] for option in selected]
    channel = json.loads(view["private_metadata"])["channel"]
    return channel, ChannelSettings(collections or None, bool(listen))


def _collection(name: str, texts: SlackMessages) -> str:
    return texts.settings_default.format(name=name) if name == DEFAULT_COLLECTION else name


def _titled(title: str, lines: Sequence[str | Block]) -> list[Block]:
    return [rich_text(section(words(title, bold=True)), bullets(lines))]


def _option(label: str, value: str) -> Block:
    return {"text": _plain(cut(label, 75)), "value": value}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": False}
