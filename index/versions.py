"""Which documents are older versions of others: the same title but for its date, the same words.

Minutes of one meeting share a title too; what tells a version from a sequel is that most of the
older one's lines stand in the newer one still.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable

SHARED = 0.5  # share of the lines of the shorter text that both must hold
SHORTEST_LINE = 8  # characters; shorter lines are headings and numbers that any text may hold
MOST_VERSIONS = 50  # documents of one title that are compared

_MARK = re.compile(
    r"(?:(?:19|20)\d\d|令和|平成|昭和|[rhs](?=\d{1,2}[.年])|元|\d+)(?:年度?|[-./_]?\d+|月|日|時点|[-./_])*"
    r"|第?\d+(?:\.\d+)*版|(?:ver\.?|version|v|rev\.?)\s*\d+(?:\.\d+)*"
    r"|改訂|改定|改正|最新|旧|新|版|案|施行|現行|廃止|コピー|copy|final|draft"
)


def superseded(
    documents: Iterable[tuple[str, str, str, str]], text: Callable[[str], str]
) -> dict[str, str]:
    """Id of an older version → id of the next newer one.

    `documents` are (id, title, date, collection); `text` gives the text of an id, and is called
    only for documents whose titles make them candidates. Documents without a date, and those of
    different collections, are never compared.
    """
    series: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for identifier, title, date, collection in documents:
        if date and (name := series_name(title)):
            series[name, collection].append((date, identifier))
    newer: dict[str, str] = {}
    for versions in series.values():
        if not 2 <= len(versions) <= MOST_VERSIONS:
            continue
        lines = {identifier: _lines(text(identifier)) for _, identifier in versions}
        ordered = sorted(versions)
        for place, (date, identifier) in enumerate(ordered):
            for later, candidate in ordered[place + 1 :]:
                if later > date and _alike(lines[identifier], lines[candidate]):
                    newer[identifier] = candidate
                    break
    return newer


def series_name(title: str) -> str:
    """A title without dates, version numbers and words for versions; empty if nothing is left."""
    name = unicodedata.normalize("NFKC", title).lower()
    return re.sub(r"[\W_]+", "", _MARK.sub("", name))


def _lines(text: str) -> frozenset[str]:
    lines = ("".join(line.split()) for line in re.split(r"[\n。]", text))
    return frozenset(line for line in lines if len(line) >= SHORTEST_LINE)


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    shorter = min(len(one), len(other))
    return shorter > 0 and len(one & other) >= SHARED * shorter
