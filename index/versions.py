"""Which documents are older versions of others: the same title but for its date, the same words.

Which is the newer one, a version number or a date in their names says where all of a title have
one; else their dates do, which may be no more than when a file was saved.

Minutes of one meeting share a title too; what tells a version from a sequel is that most of the
older one's lines stand in the newer one still. Of rules with articles (第3条) only the numbers in them
may differ: amounts and days are what is revised, while reports that fill in a form have no articles.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from index.sources.dates import ERAS, iso_date

SHARED = 0.5  # share of the lines of the shorter text that both must hold
SHORTEST_LINE = 8  # characters; shorter lines are headings and numbers that any text may hold
MOST_VERSIONS = 50  # documents of one title that are compared

_MARK = re.compile(
    r"(?:(?:19|20)\d\d|令和|平成|昭和|[rhs](?=\d{1,2}[.年])|元|\d+)(?:年度?|[-./_]?\d+|月|日|時点|[-./_])*"
    r"|第?\d+(?:\.\d+)*版|(?:ver\.?|version|v|rev\.?)\s*\d+(?:\.\d+)*"
    r"|改訂|改定|改正|最新|旧|新|版|案|施行|現行|廃止|コピー|copy|final|draft"
)
_NUMBER = re.compile(r"第\s*(\d+(?:\.\d+)*)\s*版|(?:ver\.?|version|v|rev\.?)\s*(\d+(?:\.\d+)*)")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")
_ERA_YEAR = re.compile(rf"({'|'.join(ERAS)})\s*(元|\d{{1,2}})")
_ARTICLE = re.compile(r"^[ \t\u3000#*]*第\s*[0-9０-９一二三四五六七八九十百]+\s*条", re.M)
_AMOUNT = re.compile(r"[0-9０-９](?:[0-9０-９.,．，]*[0-9０-９])?|[〇一二三四五六七八九十百千万]+")

Age = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Version:
    """A document of a series, and what tells its age: each empty where nothing does."""

    id: str
    number: Age
    named: Age
    dated: Age


def superseded(
    documents: Iterable[tuple[str, str, str, str, str]], text: Callable[[str], str]
) -> dict[str, str]:
    """Id of an older version → id of the next newer one.

    `documents` are (id, title, source, date, collection); `text` gives the text of an id, and is
    called only for documents whose titles make them candidates. Documents of different
    collections, and those of which nothing tells the age, are never compared.
    """
    series: dict[tuple[str, str], list[_Version]] = defaultdict(list)
    for identifier, title, source, date, collection in documents:
        if name := series_name(title):
            series[name, collection].append(_version(identifier, title, source, date))
    newer: dict[str, str] = {}
    for versions in series.values():
        ordered = _by_age(versions) if 2 <= len(versions) <= MOST_VERSIONS else []
        lines = {identifier: _lines(text(identifier)) for _, identifier in ordered}
        for place, (age, identifier) in enumerate(ordered):
            for later, candidate in ordered[place + 1 :]:
                if later > age and _alike(lines[identifier], lines[candidate]):
                    newer[identifier] = candidate
                    break
    return newer


def _version(identifier: str, title: str, source: str, date: str) -> _Version:
    stem = PurePosixPath(source.rpartition("#")[2]).stem
    name = unicodedata.normalize("NFKC", f"{title} {stem}").lower()
    number = _NUMBER.search(name)
    return _Version(
        identifier,
        _numbers(number[1] or number[2]) if number else (),
        _numbers(iso_date(title) or iso_date(stem)) or _year(name),
        _numbers(date),
    )


def _by_age(versions: Sequence[_Version]) -> list[tuple[Age, str]]:
    """(age, id), the oldest first; nothing where no two differ in age."""
    for kind in ("number", "named", "dated"):
        ages = sorted((getattr(version, kind), version.id) for version in versions)
        if ages[0][0] and len({age for age, _ in ages}) > 1:
            return ages
    dated = sorted((version.dated, version.id) for version in versions if version.dated)
    return dated if len(dated) > 1 else []


def _year(name: str) -> Age:
    if match := _ERA_YEAR.search(name):
        return (ERAS[match[1]] + (1 if match[2] == "元" else int(match[2])),)
    years = _YEAR.findall(name)
    return (int(years[-1]),) if years else ()


def _numbers(text: str) -> Age:
    return tuple(map(int, re.findall(r"\d+", text)))


def series_name(title: str) -> str:
    """A title without dates, version numbers and words for versions; empty if nothing is left."""
    name = unicodedata.normalize("NFKC", title).lower()
    return re.sub(r"[\W_]+", "", _MARK.sub("", name))


def _lines(text: str) -> frozenset[str]:
    if len(_ARTICLE.findall(text)) > 1:
        text = _AMOUNT.sub("0", text)
    lines = ("".join(line.split()) for line in re.split(r"[\n。]", text))
    return frozenset(line for line in lines if len(line) >= SHORTEST_LINE)


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    shorter = min(len(one), len(other))
    return shorter > 0 and len(one & other) >= SHARED * shorter
