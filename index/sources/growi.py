"""The data archive of a GROWI wiki: `pages.json` with paths, `revisions.json` with Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

from index.errors import UnreadableDocument
from index.records import Skipped
from index.sources.encoding import clean
from index.sources.markdown import headings
from index.sources.types import Part

PUBLIC = 1  # GRANT_PUBLIC of GROWI; other grants are for some people only


def recognises(members: Collection[str]) -> bool:
    """Whether the paths of an archive are those of a GROWI export."""
    return {"pages.json", "revisions.json"} <= set(members)


def read_export(take: Callable[[str], bytes], members: Collection[str]) -> Iterator[Part | Skipped]:
    """One Part a page that everyone may read, in its newest revision; others are counted."""
    bodies = {
        _id(revision.get("_id")): revision.get("body")
        for revision in _records(take, "revisions.json")
    }
    restricted = 0
    for page in _records(take, "pages.json"):
        path, body = str(page.get("path") or ""), bodies.get(_id(page.get("revision")))
        if page.get("grant", PUBLIC) != PUBLIC:
            restricted += 1
        elif path and isinstance(body, str) and body.strip() and page.get("status") != "deleted":
            text = clean(body)
            yield Part(
                text,
                title=path.rstrip("/").rpartition("/")[2] or path,
                name=path.strip("/") or "index",
                outline=headings(text),
                date=str(_plain(page.get("updatedAt")) or ""),
                media_type="text/markdown",
            )
    if restricted:
        yield Skipped(
            "pages.json", "private", f"閲覧制限のあるページ {restricted} 件は読みません。"
        )


def _id(value: Any) -> str:
    return str(_plain(value))


def _plain(value: Any) -> Any:
    """A value of MongoDB's extended JSON, `{"$oid": …}` or `{"$date": …}`, as a bare one."""
    return (
        next(iter(value.values()), None) if isinstance(value, dict) and len(value) == 1 else value
    )


def _records(take: Callable[[str], bytes], path: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(take(path))
    except (ValueError, RecursionError):
        raise UnreadableDocument(f"{path} は JSON として読めません。", code="damaged") from None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
