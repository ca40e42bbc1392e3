"""What a team says about its files beside the files: collections, addresses, dates, titles.

`kiku.toml` puts paths into collections; a `sources.toml` in a folder that is indexed says more:

    [[source]]
    path = "wiki/*"                               # `*` crosses folders; the first match wins
    url = "https://wiki.example.com/{below}"      # {path} {below} {name} {stem} {part}
    collection = "engineering"
    date = "2026-04-01"
    title = "Handbook"                            # for a path that names one file
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

from index.errors import SourceError
from index.sources.discover import RULES_FILE
from index.sources.types import Limits, SourceFile

_FIELDS = {"path", "url", "collection", "date", "title", "tags"}
_COLLECTION = re.compile(r"[^\s/\\\x00-\x1f\"'<>]{1,64}")


@dataclass(frozen=True)
class SourceRule:
    """One `[[source]]` table: what holds for the files whose path matches."""

    path: str
    url: str = ""
    collection: str = ""
    date: str = ""
    title: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rules:
    """Everything that turns a Part into a Document and is not in the file.

    `digest` changes whenever a rule could change a Document, so that a build knows to read again.
    """

    collections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sources: tuple[SourceRule, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def digest(self) -> str:
        """A digest of the rules, 16 hex digits."""
        said = {
            "collections": {name: list(paths) for name, paths in self.collections.items()},
            "sources": [asdict(rule) for rule in self.sources],
            "limits": asdict(self.limits),
        }
        return sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()[:16]

    def collection(self, file: SourceFile) -> str:
        """The collection that kiku.toml or sources.toml puts a file in, empty if none does."""
        for name, patterns in self.collections.items():
            if any(_matches(file, pattern) for pattern in patterns):
                return name
        rule = self.source(file)
        return rule.collection if rule else ""

    def source(self, file: SourceFile) -> SourceRule | None:
        """The first `[[source]]` that matches a file."""
        return next((rule for rule in self.sources if _matches(file, rule.path)), None)


def read_rules(
    roots: Sequence[Path],
    collections: Mapping[str, Sequence[str]] | None = None,
    limits: Limits | None = None,
) -> Rules:
    """The rules of kiku.toml together with every root's `sources.toml`.

    Raises SourceError naming the file and the field when a `sources.toml` is malformed.
    """
    rules: list[SourceRule] = []
    for root in roots:
        path = root.expanduser() / RULES_FILE
        if path.is_file():
            rules += _read(path)
    return Rules(dict(collections or {}), tuple(rules), limits or Limits())


def address(rule: SourceRule, file: SourceFile, part: str = "") -> str:
    """The address of a file by its rule; what stands before the first `*` is not in {below}.
    `part` is the place inside the file: a page of a wiki's archive."""
    inside = file.inside or file.source
    fixed = rule.path.split("*", 1)[0].rpartition("/")[0]
    below = inside[len(fixed) + 1 :] if fixed and inside.startswith(fixed + "/") else inside
    path = PurePosixPath(inside)
    parts = {"path": inside, "below": below, "name": path.name, "stem": path.stem}
    parts["part"] = part
    return web_address(re.sub(r"\{(\w+)\}", lambda m: quote(parts.get(m[1], m[0])), rule.url))


def web_address(url: str) -> str:
    """`url` if it is one that a reader may be sent to, else empty: no scripts, no local files."""
    url = url.strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    good = parts.scheme in {"http", "https"} and parts.netloc and not re.search(r"[\s<>\"\\]", url)
    return url if good and len(url) <= 2000 else ""


def collection_name(name: str) -> str:
    """`name` if a collection may be called so, else empty."""
    return name if _COLLECTION.fullmatch(name) else ""


def _matches(file: SourceFile, pattern: str) -> bool:
    """Whether a pattern names a file, by its path with or without the lead of its root."""
    pattern = pattern.removeprefix("./").removeprefix("/")
    if pattern.endswith("/"):
        pattern += "*"
    names = {file.source, file.inside or file.source}
    return any(fnmatchcase(name, pattern) or name.startswith(f"{pattern}/") for name in names)


def _read(path: Path) -> list[SourceRule]:
    import tomllib

    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} を読めません: {error}") from None
    unknown = sorted(set(tables) - {"source"})
    if unknown:
        raise SourceError(f"{path}: {unknown[0]} ではなく [[source]] を使ってください。")
    return [_rule(path, table) for table in tables.get("source", [])]


def _rule(path: Path, table: object) -> SourceRule:
    if not isinstance(table, dict) or not isinstance(table.get("path"), str):
        raise SourceError(f"{path}: [[source]] には path が必要です。")
    unknown = sorted(set(table) - _FIELDS)
    if unknown:
        raise SourceError(f"{path}: [[source]] に {unknown[0]} という項目はありません。")
    words = {name: str(value) for name, value in table.items() if name != "tags"}
    if words.get("url") and not web_address(re.sub(r"\{\w+\}", "x", words["url"])):
        raise SourceError(f"{path}: url は http:// か https:// で始めてください: {words['url']}")
    if words.get("collection") and not collection_name(words["collection"]):
        raise SourceError(f"{path}: collection の名前が正しくありません: {words['collection']}")
    tags = table.get("tags", [])
    return SourceRule(**words, tags=tuple(map(str, tags)) if isinstance(tags, list) else ())
