"""The views around the answers: App Home, suggested questions, the two dialogs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from bot.messages.slack import SLACK, SlackMessages
from bot.records import Answer, Language, Question
from bot.slack.access import ChannelSettings, Collections
from bot.slack.blocks import Block, bullets, cut, linked, rich_text, section, words
from index.errors import KikuError
from index.records import DEFAULT_COLLECTION, Document, DocumentSummary

View = dict[str, Any]

DOCUMENTS_LISTED = 30
PROMPTS = 4
DOCUMENTS_TRIED = 12  # until there are as many prompts
HEADINGS_TRIED = 2
TITLE_CHARS = 40
_SUBTITLE = re.compile(r"[：:（(|｜―—–]| - ")
# Of 「コンテナの歴史」 nobody asks what it is.
_PHRASE = re.compile("[をのへにがでと]|から|まで|する|方$|法$|順$")
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


class Documents(Protocol):
    """Knows what is indexed; `index.retrieve.Retriever`."""

    @property
    def generation(self) -> str: ...

    def documents(self, collections: Collections = None) -> list[DocumentSummary]: ...

    def document(self, document_id: str) -> Document | None: ...


class Prompts:
    """Questions about the documents that Kiku can answer, looked for once a generation."""

    def __init__(
        self,
        index: Callable[[], Documents],
        try_out: Callable[[Question], Answer],
    ) -> None:
        """`index` gives the current one; `try_out` answers a question without keeping it."""
        self._index = index
        self._try_out = try_out
        self._found: tuple[object, list[str]] = None, []

    def __call__(self, visible: Collections, language: Language) -> list[str]:
        """At most four questions; none where there is nothing to ask about."""
        try:
            wanted = (self._index().generation, visible, language)
            if self._found[0] != wanted:
                self._found = wanted, self._look(visible, language)
            return self._found[1]
        except KikuError:  # no index yet: a greeting without suggestions
            return []

    def _look(self, visible: Collections, language: Language) -> list[str]:
        documents = [one for one in self._index().documents(visible) if not one.superseded_by]
        step = max(1, len(documents) // PROMPTS)
        spread = [one for first in range(step) for one in documents[first::step]]
        found: list[str] = []
        for document in spread[:DOCUMENTS_TRIED]:
            for question in self._about(document.id, document.title, language):
                asked = Question(question, collections=visible, top_k=1, channel="slack")
                if self._try_out(asked).status == "answered":
                    found.append(question)
                    break
            if len(found) == PROMPTS:
                break
        return found

    def _about(self, document_id: str, title: str, language: Language) -> Iterator[str]:
        """What one could ask of a document: what its title names, then what its headings say."""
        name = _SUBTITLE.split(title.strip())[0].strip()
        if 0 < len(name) <= TITLE_CHARS:
            yield _question(name, language)
        document = self._index().document(document_id)
        headings = [one.title for one in document.outline if one.level > 1] if document else []
        for heading in [one for one in headings if len(one) <= TITLE_CHARS][:HEADINGS_TRIED]:
            yield _question(heading, language)


def _question(topic: str, language: Language) -> str:
    """A title as somebody would ask for it."""
    texts = SLACK[language]
    if topic.endswith(("か", "？", "?")):
        return topic
    name = topic.removesuffix("とは")
    phrase = texts.prompt_about if name == topic and _PHRASE.search(topic) else texts.prompt
    return phrase.format(topic=name)


def _collection(name: str, texts: SlackMessages) -> str:
    return texts.settings_default.format(name=name) if name == DEFAULT_COLLECTION else name


def _titled(title: str, lines: Sequence[str | Block]) -> list[Block]:
    return [rich_text(section(words(title, bold=True)), bullets(lines))]


def _option(label: str, value: str) -> Block:
    return {"text": _plain(cut(label, 75)), "value": value}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": False}
