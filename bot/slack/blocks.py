"""Answer → Block Kit. Pure functions.

Words of documents and of people go into `rich_text` alone: Slack does not interpret it, so that
`<!here>`, links, emoji names and `& < >` in a document come out as they are written. The one
exception is the notification text, which `plain` makes harmless.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from bot.messages.slack import SLACK, SlackMessages
from bot.records import Answer, Citation

Block = dict[str, Any]

# Slack says 50 blocks and nothing of their size, and refuses more than about 13,000 characters of
# blocks with msg_blocks_too_long (https://github.com/slackapi/bolt-js/issues/2509).
MESSAGE_CHARS = 11_500
NOTIFICATION_CHARS = 3_000  # `text` of more than 4,000 is refused with msg_too_long
ANSWER_CHARS = 3_000
QUOTE_CHARS = 1_200
LABEL_CHARS = 150
LINK_CHARS = 3_000
BUTTON_CHARS = 2_000
RELATED = 3  # places listed that were found too, if they score half as high as what was used
RELATED_SCORE = 0.5
RELATED_CHARS = 80
NEAREST, NEAREST_CONTEXT = 3, 80  # what is shown of the nearest passages, where none answers
# How many citations are shown, with how many characters around each quote: the first that fits.
DETAIL = ((8, 300), (8, 120), (8, 0), (4, 0), (2, 0), (1, 0), (0, 0))

# Characters that no reader sees and that turn the direction of the text around them.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_HEADING = re.compile(r"^ {0,3}#{1,6} .*\n?", re.MULTILINE)
# Fences, the line under the head of a table, bold, code.
_MARKS = re.compile(r"^ {0,3}(?:```|~~~).*\n?|^[|: -]*-[|: -]*$\n?|\*\*|`", re.MULTILINE)
_ROW = re.compile(r"^ *\|.*\|? *$", re.MULTILINE)
_SENTENCE = re.compile(r"[。！？!?\n][」』）)]*")
_EMOJI = re.compile(r":(?=[\w+'-]+:)")


def answer_message(
    answer: Answer,
    *,
    public_url: str = "",
    notes: Sequence[str] = (),
    publish: bool = False,
    said: bool = False,
) -> tuple[str, list[Block]]:
    """The notification text and the blocks of an answer, within Slack's limits whatever it holds.

    `public_url` is where people reach the service: without it, citations link only to addresses of
    the documents' own. `notes` are lines above the answer. `publish` adds the button for it.
    `said`: the answer itself stands above the blocks already.
    """
    texts = SLACK[answer.language]
    head = [note_block(*notes)] if notes else []
    head.append(_answer_block(answer))
    tail = [_feedback_block(answer, texts)]
    if publish:
        tail.append(_publish_block(answer, texts))
    for count, context in DETAIL:
        blocks = [*head, *_citation_blocks(answer, texts, public_url, count, context), *tail]
        if len(json.dumps(blocks, ensure_ascii=False)) <= MESSAGE_CHARS:
            break
    if said:  # what stands above counts all the same
        blocks.pop(len(head) - 1)
    return plain(_readable(answer.answer)), blocks


def text_message(text: str) -> tuple[str, list[Block]]:
    """The notification text and the blocks of a sentence of Kiku's own."""
    return plain(text), [rich_text(section(text))]


def plain(text: str, limit: int = NOTIFICATION_CHARS) -> str:
    """`text` for fields that Slack interprets: without mentions, links, or emoji names; no longer
    than `limit` as it is sent."""
    shown = cut(text, limit)
    while len(escaped := _harmless(shown)) > limit:
        shown = cut(shown, len(shown) * limit // len(escaped) - 1)
    return escaped


def streamed(sentence: str) -> str:
    """A sentence for `markdown_text`: its addresses do not become links, nor its brackets."""
    return plain(sentence).replace("://", ":\u2060//").replace("](", "]\u2060(")


def cut(text: str, limit: int) -> str:
    """`text` without invisible characters, no longer than `limit`, never empty."""
    seen = _INVISIBLE.sub("", text).strip()
    return (seen if len(seen) <= limit else seen[: limit - 1].rstrip() + "…") or "…"


def rich_text(*elements: Block) -> Block:
    return {"type": "rich_text", "elements": list(elements)}


def section(*parts: str | Block) -> Block:
    return {"type": "rich_text_section", "elements": [_part(part) for part in parts]}


def bullets(lines: Sequence[str | Block]) -> Block:
    return {
        "type": "rich_text_list",
        "style": "bullet",
        "elements": [section(line) for line in lines],
    }


def words(text: str, **style: bool) -> Block:
    """A piece of rich text, for example `words("12月", bold=True)`."""
    return {"type": "text", "text": text, **({"style": style} if style else {})}


def note_block(*lines: str) -> Block:
    """Small grey text above or below an answer."""
    return {
        "type": "context",
        "elements": [
            {"type": "plain_text", "text": cut(line, 2_000), "emoji": False} for line in lines
        ],
    }


def link_of(citation: Citation, public_url: str) -> str:
    """Where a citation leads: the document's own address or its page in Kiku; "" for nowhere."""
    return _address(citation.link, citation.url, public_url)


def linked(label: str, own: str, page: str, public_url: str) -> Block:
    """A label that leads to the address `own`, else to a `page` of the service, if to anywhere."""
    url = _address(own, page, public_url)
    return {"type": "link", "url": url, "text": label} if url else words(label)


def _harmless(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _EMOJI.sub(":\u2060", escaped)  # a word joiner: invisible, and no longer an emoji


def _address(own: str, page: str, public_url: str) -> str:
    for url in (own, public_url and public_url.rstrip("/") + page):
        if re.match(r"https?://[^\s<>|]+$", url) and len(url) <= LINK_CHARS:
            return url
    return ""


def _part(part: str | Block) -> Block:
    return words(part) if isinstance(part, str) else part


def _answer_block(answer: Answer) -> Block:
    return rich_text(section(cut(_readable(answer.answer), ANSWER_CHARS)))


def _citation_blocks(
    answer: Answer, texts: SlackMessages, public_url: str, count: int, context: int
) -> list[Block]:
    """What the answer stands on, quoted; what else was found, as links. Without an answer, the
    nearest passages and how to ask better."""
    found = answer.status == "answered"
    used = {int(number) for number in re.findall(r"\[(\d+)\]", answer.answer)}
    if not found:
        count, context = min(count, NEAREST), min(context, NEAREST_CONTEXT)
    quoted = [one for one in answer.citations if not found or one.number in used]
    blocks = [_citation_block(one, answer, public_url, context) for one in quoted[:count]]
    if not found and blocks:
        blocks.insert(0, rich_text(section(words(texts.nearest, bold=True))))
    if found and len(quoted) > count:
        blocks.append(note_block(texts.more_sources.format(count=len(quoted) - count)))
    least = RELATED_SCORE * max((one.score for one in quoted), default=1.0)
    others = [one for one in answer.citations if one not in quoted]
    related = [one for one in others if one.score >= least]
    if related and count:
        blocks.append(_related_block(related[:RELATED], texts, public_url))
    if not found:
        title = section(words(texts.rephrase_title, bold=True))
        blocks.append(rich_text(title, bullets(texts.rephrase)))
    return blocks


def _citation_block(citation: Citation, answer: Answer, public_url: str, context: int) -> Block:
    about = [_page(citation, answer), citation.date and cut(citation.date, 40)]
    details = "".join(f"　{detail}" for detail in about if detail)
    return rich_text(
        section(
            words(f"[{citation.number}] "),
            _place(citation, public_url),
            *([words(details)] if details else []),
            *_older(citation, SLACK[answer.language]),
        ),
        {"type": "rich_text_quote", "elements": _passage(citation, answer, context)},
    )


def _related_block(related: Sequence[Citation], texts: SlackMessages, public_url: str) -> Block:
    """Places that the answer does not stand on, each with what is said there, cut short."""
    lines = [
        section(
            words(f"[{one.number}] "),
            _place(one, public_url),
            *_older(one, texts),
            words("　" + cut(_line(one.quote), RELATED_CHARS)),
        )
        for one in related
    ]
    title = section(words(texts.related, bold=True))
    return rich_text(title, {"type": "rich_text_list", "style": "bullet", "elements": lines})


def _place(citation: Citation, public_url: str) -> Block:
    """Title › heading, linked where there is somewhere to go."""
    place = [citation.title, *(title for title in citation.heading if title != citation.title)]
    label = cut(" › ".join(place), LABEL_CHARS)
    return linked(label, citation.link, citation.url, public_url)


def _older(citation: Citation, texts: SlackMessages) -> list[Block]:
    """The mark of a document of which there is a newer version."""
    return [words(f"　{texts.older}", italic=True)] if citation.superseded_by else []


def _readable(text: str) -> str:
    """Text of a document to the letter, but for what Markdown draws and does not say: bold, code,
    the strokes of a table."""
    text = _MARKS.sub("", _INVISIBLE.sub("", text))
    text = _ROW.sub(lambda row: " / ".join(_cells(row[0])), text)
    text = re.sub(r" / (\[\d+\])$", r" \1", text, flags=re.MULTILINE)
    return re.sub(r"\n{2,}", "\n", text)


def _tidy(surroundings: str) -> str:
    """The text around a quote, without its headings too."""
    return _readable(_HEADING.sub("", surroundings))


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.split("|") if cell.strip()]


def _line(text: str) -> str:
    return " ".join(_readable(text).split())


def _page(citation: Citation, answer: Answer) -> str:
    if citation.page is None:
        return ""
    return f"{citation.page}ページ" if answer.language == "ja" else f"page {citation.page}"


def _passage(citation: Citation, answer: Answer, context: int) -> list[Block]:
    """The quote in bold (the nearest passages of `not_found` are not), in its surroundings."""
    bold = {"bold": True} if answer.status == "answered" else {}
    quote = words(cut(_readable(citation.quote), QUOTE_CHARS), **bold)
    first, last = (place - citation.passage_start for place in (citation.start, citation.end))
    if context == 0 or citation.passage[first:last] != citation.quote:
        return [quote]
    before, after = _before(citation.passage[:first], context), citation.passage[last:]
    after = _after(after, context)
    return [*([words(before)] if before else []), quote, *([words(after)] if after else [])]


def _before(text: str, limit: int) -> str:
    """The last sentences of `text` within `limit`; where the last is longer, its end."""
    if len(text) <= limit:
        return _tidy(text).lstrip()
    near = text[-limit:]
    end = _SENTENCE.search(near)
    return "…" + _tidy(near[end.end() :] if end and end.end() < len(near) else near).lstrip()


def _after(text: str, limit: int) -> str:
    """The first sentences of `text` within `limit`; where the first is longer, its beginning."""
    if len(text) <= limit:
        return _tidy(text).rstrip()
    near = text[:limit]
    ends = [end.end() for end in _SENTENCE.finditer(near)]
    return _tidy(near[: ends[-1]] if ends else near).rstrip() + "…"


def _feedback_block(answer: Answer, texts: SlackMessages) -> Block:
    def button(rating: str, label: str, face: str) -> Block:
        return {
            "text": {"type": "plain_text", "text": face, "emoji": True},
            "accessibility_label": cut(label, 75),
            "value": f"{rating}:{answer.id}"[:BUTTON_CHARS],
        }

    buttons = {
        "type": "feedback_buttons",
        "action_id": "feedback",
        "positive_button": button("up", texts.helpful, texts.helpful),
        "negative_button": button("down", texts.not_helpful, texts.not_helpful),
    }
    return {"type": "context_actions", "elements": [buttons]}


def _publish_block(answer: Answer, texts: SlackMessages) -> Block:
    button = {
        "type": "button",
        "action_id": "publish",
        "text": {"type": "plain_text", "text": texts.publish},
        "value": answer.id[:BUTTON_CHARS],
    }
    return {"type": "actions", "elements": [button]}
