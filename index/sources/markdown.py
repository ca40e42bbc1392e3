"""Markdown with front matter. The text is the body as it was written, without the front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from index.records import Heading, Skipped
from index.sources.encoding import decode
from index.sources.ruby import without_ruby
from index.sources.types import Limits, Part

LONGEST_FRONT_MATTER = 64_000
LONGEST_TITLE = 200
MOST_BRACKETS = 200

_FRONT_MATTER = re.compile(
    r"\A(?:---[ \t]*\n(?P<yaml>.*?)^(?:---|\.\.\.)|\+\+\+[ \t]*\n(?P<toml>.*?)^\+\+\+)[ \t]*(?:\n|\Z)",
    re.S | re.M,
)
# Begins with the line end before it, which the regular expression engine finds fast.
_STRUCTURE = re.compile(
    r"\n(?: {0,3}(?:(?P<fence>`{3,}|~{3,})[^\n]*"
    r"|(?P<mark>\#{1,6})(?:[ \t]+(?P<title>[^\n]*)|(?<=\#\#)(?P<tight>[぀-ヿ一-鿿][^\n]*)))"
    r"|(?P<comment><!--)"
    r"|(?P<rule>={2,}|-{2,})[ \t]*(?=\n|\Z))"
)
_UNDERLINED = re.compile(r"(?![ \t]|[-*+>|] ?|\d+[.)] )[^\n]{1,120}")
_INLINE = re.compile(r"!?\[([^\]\[]{0,200})\]\([^()\s]{0,500}\)|(?<!\\)(?:\*\*|__|`+)")
_CLOSING_HASHES = re.compile(r"[ \t]+#+[ \t]*$")


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """One Part; title, date, url, tags and collection from the front matter where it says so."""
    text, encoding = decode(data)
    fields, body = front_matter(text)
    body = without_ruby(body)
    outline = headings(body)
    title = _words(fields.get("title")) or next((h.title for h in outline if h.level == 1), "")
    yield Part(
        body,
        title=title[:LONGEST_TITLE],
        outline=outline,
        date=_date(fields),
        url=_words(fields.get("url") or fields.get("source_url")),
        tags=_tags(fields.get("tags")),
        collection=_words(fields.get("collection")),
        encoding=encoding,
    )


def front_matter(text: str) -> tuple[Mapping[str, Any], str]:
    """The fields between `---` (YAML) or `+++` (TOML) at the head of a text, and the text below.

    What does not parse as a mapping is left in the text: it is the author's, not ours to drop.
    """
    if not text.startswith(("---", "+++")):
        return {}, text
    match = _FRONT_MATTER.match(text[:LONGEST_FRONT_MATTER])
    if match is None:
        return {}, text
    fields = _toml(match["toml"]) if match["toml"] is not None else _yaml(match["yaml"])
    return (fields, text[match.end() :]) if isinstance(fields, dict) else ({}, text)


def headings(text: str) -> tuple[Heading, ...]:
    """The `#` and underlined headings of Markdown, outside code fences and comments."""
    found = []
    text = "\n" + text  # offsets in it are one more than in the text
    position, last_comment = 0, text.rfind("-->")
    while match := _STRUCTURE.search(text, position):
        position = match.end()
        if match["fence"]:
            mark, length = match["fence"][0], len(match["fence"])
            end = re.compile(rf"^ {{0,3}}{mark}{{{length},}}[ \t]*$", re.M).search(text, position)
            position = end.end() if end else len(text)
        elif match["comment"]:
            after = text.find("-->", position) if position < last_comment else -1
            position = after + 3 if after >= 0 else position
        elif match["rule"]:
            start = text.rfind("\n", 0, match.start()) + 1
            above = _UNDERLINED.fullmatch(text, start, match.start())
            if above and text[max(0, start - 2) : start].strip("\n") == "":
                level = 1 if match["rule"][0] == "=" else 2
                found.append(_heading(start - 1, level, above[0]))
        else:
            title = match["title"] or match["tight"] or ""
            found.append(_heading(match.start(), len(match["mark"]), title))
    return tuple(heading for heading in found if heading.title)


def _heading(start: int, level: int, title: str) -> Heading:
    title = _CLOSING_HASHES.sub("", title.strip())
    title = _INLINE.sub(lambda match: match[1] or "", title).strip()
    return Heading(start, level, title[:LONGEST_TITLE])


def _yaml(text: str) -> Any:
    import yaml

    if re.search(r"(?:^|[\s:\[,-])&\w", text):  # anchors: a few lines may stand for gigabytes
        return None
    if text.count("[") + text.count("{") > MOST_BRACKETS:  # nesting costs the square of its depth
        return None
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _toml(text: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _date(fields: Mapping[str, Any]) -> str:
    for name in ("updated", "lastmod", "modified", "date"):
        if value := fields.get(name):
            return str(value)
    return ""


def _words(value: Any) -> str:
    return " ".join(str(value).split()) if isinstance(value, str | int | float) else ""


def _tags(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(tag for tag in re.split(r"[,、\s]+", value) if tag)
    if isinstance(value, list):
        return tuple(word for item in value if (word := _words(item)))
    return ()
