"""Generations in Milvus, for more passages than one database carries.

`milvus://user:password@host:19530/database`, or `milvuss://…` with TLS. `milvus:///path/file.db` is
Milvus Lite in this process: for trying out and for tests, not what serves a cluster's load.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

from index.engines.contract import Progress
from index.engines.milvus_search import MilvusGeneration
from index.engines.milvus_tables import (
    ALIAS,
    EXACT_UP_TO,
    PREFIX,
    name_of,
    remove_generation,
    write_generation,
)
from index.errors import IndexMissing, IndexUnavailable
from index.generation import Generation, Manifest
from index.records import Skipped

_FRESH = 1.0  # seconds for which the served generation is not looked up again
_WAIT = 10.0  # seconds to wait for an answer
_SLICE = 4_096  # rows asked for at once; Milvus gives 16,384 and 64 MB at most


class MilvusEngine:
    """See `index.engines.contract.Engine`. Thread-safe; connected when first needed.

    Publishing is not locked: one process builds.
    """

    def __init__(self, url: str, *, exact_up_to: int = EXACT_UP_TO) -> None:
        self._url = url
        self._exact_up_to = exact_up_to
        self._opened: Any = None
        self._opening = Lock()
        self._served = (-_FRESH, "")

    def served(self) -> str:
        """See `Engine.served`. What another process publishes is seen within a second."""
        looked, name = self._served
        if monotonic() - looked < _FRESH:
            return name
        with self._told():
            name = self._alias()
        if not name:
            raise _missing()
        self._served = (monotonic(), name)
        return name

    def open(self) -> MilvusGeneration:
        """See `Engine.open`."""
        with self._told():
            name = self._alias()
            if not name:
                raise _missing()
            texts = self._texts(name)
        manifest = Manifest.parse(texts.get("manifest", ""), name)
        skipped = [Skipped(**item) for item in json.loads(texts["skipped"])]
        vocabulary = b64decode(texts["vocabulary"])
        return MilvusGeneration(self._client(), self._told, manifest, vocabulary, skipped)

    def publish(self, generation: Generation, *, keep: int, progress: Progress) -> bool:
        """See `Engine.publish`. One generation more than the served one is always left, for the
        questions that are under way."""
        identifier = generation.manifest.id
        with self._told():
            if self._alias() == identifier:
                return False
            if identifier not in self._whole():
                write_generation(self._client(), generation, progress, self._exact_up_to)
            self._serve(identifier)
            others = [name for name in self._whole() if name != identifier]
            for name in others[: max(0, len(others) - max(2, keep) + 1)]:
                remove_generation(self._client(), name)
        return True

    def roll_back(self) -> str:
        """See `Engine.roll_back`."""
        with self._told():
            served = self._alias()
            older = [name for name in self._whole() if name < served]
            if not older:
                raise IndexMissing(
                    "戻せる古い索引がありません。",
                    hint="残す数は KIKU_KEEP_GENERATIONS で決まります。",
                )
            self._serve(older[-1])
        return older[-1]

    def generations(self) -> list[str]:
        """The ids of all generations, oldest first."""
        with self._told():
            return self._whole()

    def close(self) -> None:
        """Closes the connection."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _alias(self) -> str:
        client = self._client()
        for name in client.list_collections():
            if name.startswith(f"{PREFIX}passages_"):
                aliases = client.list_aliases(name).get("aliases", [])
                if ALIAS in aliases:
                    return str(name.removeprefix(f"{PREFIX}passages_"))
        return ""

    def _serve(self, identifier: str) -> None:
        """Points the alias at a generation; readers see the old one or the new one."""
        change = self._client().alter_alias if self._alias() else self._client().create_alias
        change(name_of("passages", identifier), ALIAS)
        self._served = (-_FRESH, "")

    def _whole(self) -> list[str]:
        """The ids of the generations that were written to the end, oldest first."""
        prefix = f"{PREFIX}parts_"
        found = sorted(
            name.removeprefix(prefix)
            for name in self._client().list_collections()
            if name.startswith(prefix)
        )
        return [name for name in found if "manifest" in self._names(name)]

    def _names(self, identifier: str) -> set[str]:
        rows = self._client().query(
            name_of("parts", identifier),
            filter='name == "manifest"',
            output_fields=["name"],
            consistency_level="Strong",
        )
        return {row["name"] for row in rows}

    def _texts(self, identifier: str) -> dict[str, str]:
        """The parts of a generation, put together."""
        rows: list[dict[str, Any]] = []
        while True:
            more = self._client().query(
                name_of("parts", identifier),
                filter=f"position >= {len(rows)} and position < {len(rows) + _SLICE // 8}",
                output_fields=["position", "name", "data"],
                consistency_level="Strong",
            )
            if not more:
                break
            rows += more
        texts: dict[str, str] = {}
        for row in sorted(rows, key=lambda row: int(row["position"])):
            texts[row["name"]] = texts.get(row["name"], "") + row["data"]
        return texts

    def _client(self) -> Any:
        with self._opening:
            if self._opened is None:
                self._opened = _driver().MilvusClient(**_target(self._url), timeout=_WAIT)
            return self._opened

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A failure of Milvus, in one sentence and without the URL: it may hold a password."""
        error_of_milvus = _driver().MilvusException
        try:
            yield
        except error_of_milvus as error:
            reason = str(error.message or error).strip().splitlines() or ["?"]
            raise IndexUnavailable(
                f"索引の Milvus を使えません: {reason[0][:200]}。",
                hint="KIKU_STORE と、サーバーの状態を確かめてください。",
            ) from None


def _driver() -> Any:
    try:
        return import_module("pymilvus")
    except ImportError as error:
        raise IndexUnavailable(
            f"Milvus のための部品がありません（{error.name}）。",
            hint="pip install 'kiku[milvus]' で入ります。",
        ) from None


def _target(url: str) -> dict[str, str]:
    """What pymilvus wants to know instead of a URL."""
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            return {"uri": unquote(parts.path)}
        scheme = "https" if parts.scheme == "milvuss" else "http"
        target = {"uri": f"{scheme}://{parts.hostname}:{parts.port or 19530}"}
        if parts.username:
            target["token"] = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        if parts.path.strip("/"):
            target["db_name"] = parts.path.strip("/")
        return target
    except ValueError:
        raise IndexUnavailable(
            "KIKU_STORE が Milvus の URL ではありません。",
            hint="例: milvus://kiku@milvus:19530/kiku",
        ) from None


def _missing() -> IndexMissing:
    return IndexMissing(
        "Milvus に索引がまだありません。", hint="kiku build を実行すると作られます。"
    )
