"""A small bot in memory for tests of the doors: real records, real store, simple searching.

It finds the sentences that share the most character pairs with the question. What it answers is
cited as the real one cites, so that every check of a reply holds here too.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from bot.answer import Answerer
from bot.http.app import create_app
from bot.http.protocol import TypedAddresses
from bot.records import Answer, Citation, Question
from bot.settings import Settings
from bot.store import Store
from index.errors import IndexMissing, KikuError
from index.normalize import fold, is_english
from index.records import Chunk, Document, DocumentSummary, Hit, chunk_id, document_id
from index.split import sentences

TEXTS = {
    "centos.md": (
        "CentOSの終了",
        "manuals",
        "CentOS Linux 7のサポートは2024年6月30日に終わりました。後継にはAlmaLinuxがあります。",
    ),
    "podman.md": (
        "Podman",
        "manuals",
        "Podmanはデーモンを使わないコンテナエンジンです。開発したのはRed Hatです。",
    ),
    "salary.md": ("給与規程", "personnel", "給与は毎月25日に支払います。賞与は年に2回です。"),
}


def document(source: str) -> Document:
    title, collection, text = TEXTS[source]
    return Document(document_id(source), title, text, source, collection)


class FakeRetriever:
    """Ranks sentences by shared character pairs."""

    generation = "g1"
    manifest = SimpleNamespace(created="2026-11-23T00:00:00+00:00", documents=len(TEXTS))

    def __init__(self, sources: Sequence[str] = tuple(TEXTS)) -> None:
        self._documents = {one.id: one for one in map(document, sources)}

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        mode: Literal["hybrid", "dense", "lexical"] = "hybrid",
        collections: frozenset[str] | None = None,
    ) -> list[Hit]:
        hits = []
        for one in self._documents.values():
            if collections is not None and one.collection not in collections:
                continue
            for start, end in sentences(one.text):
                text = one.text[start:end]
                score = overlap(query, one.title + text)
                if score > 0:
                    chunk = Chunk(chunk_id(one.id, start, end), one.id, (), start, end, text)
                    hits.append(Hit(chunk, summary(one), score, None, 1))
        return sorted(hits, key=lambda hit: -hit.score)[:k]

    def documents(self, collections: frozenset[str] | None = None) -> list[DocumentSummary]:
        return [
            summary(one)
            for one in self._documents.values()
            if collections is None or one.collection in collections
        ]

    def document(
        self, document_id: str, collections: frozenset[str] | None = None
    ) -> Document | None:
        found = self._documents.get(document_id)
        if found is None or (collections is not None and found.collection not in collections):
            return None
        return found


class FakeAnswerer:
    """Answers with the best sentence. `hold` makes it wait, `broken` makes it fail."""

    def __init__(self, kiku: FakeKiku) -> None:
        self._kiku = kiku
        self.hold: Event | None = None
        self.broken: Exception | None = None
        self.asked: list[Question] = []
        longest = kiku.settings.max_question_chars
        self.check = Answerer(lambda: None, max_question_chars=longest).check  # type: ignore[arg-type,return-value]

    def ask(
        self,
        question: Question,
        *,
        said: Callable[[str], None] | None = None,
        found: Callable[[tuple[Citation, ...]], None] | None = None,
        spent: Callable[[str, float], None] | None = None,
    ) -> Answer:
        self.asked.append(question)
        if self.hold is not None:
            self.hold.wait(60)
        if self.broken is not None:
            raise self.broken
        self.check(question.text)
        hits = self._kiku.retriever.search(
            question.text, question.top_k, collections=question.collections
        )
        citations = tuple(citation(number, hit) for number, hit in enumerate(hits, start=1))
        found = bool(hits) and hits[0].score >= 0.25
        return Answer(
            id=uuid.uuid4().hex,
            status="answered" if found else "not_found",
            answer=f"{hits[0].chunk.text}[1]" if found else "文書には書かれていません。",
            confidence=min(1.0, hits[0].score) if hits else 0.0,
            conversation_id=question.conversation_id or uuid.uuid4().hex,
            citations=citations,
            took_ms=1.0,
            language="en" if is_english(question.text) else "ja",
        )


class FakeKiku:
    """Everything that the doors need, as `bot.wiring.Kiku` gives it."""

    def __init__(self, home: Path, **settings: object) -> None:
        values = {"home": home, **settings}
        self.settings = Settings(**values)
        self.store = Store.open(self.settings.database_url)
        self.answerer = FakeAnswerer(self)
        self.index: FakeRetriever | None = FakeRetriever()
        self.closed = False

    @property
    def retriever(self) -> FakeRetriever:
        if self.index is None:
            raise IndexMissing("索引がまだありません。", hint="kiku build を実行してください。")
        return self.index

    def ready(self) -> dict[str, str]:
        try:
            index = "ok" if self.retriever else ""
        except KikuError as error:
            index = error.message
        return {"index": index, "encoder": "ok", "store": "ok"}

    def close(self) -> None:
        self.closed = True
        self.store.close()


def citation(number: int, hit: Hit) -> Citation:
    chunk, source = hit.chunk, hit.document
    return Citation(
        number=number,
        document_id=source.id,
        title=source.title,
        heading=chunk.heading,
        source=source.source,
        start=chunk.start,
        end=chunk.end,
        quote=chunk.text,
        passage=chunk.text,
        passage_start=chunk.start,
        score=min(1.0, hit.score),
        url=f"/sources/{source.id}?start={chunk.start}&end={chunk.end}",
        collection=source.collection,
    )


def summary(one: Document) -> DocumentSummary:
    count = len(sentences(one.text))
    return DocumentSummary(
        one.id, one.title, one.source, one.collection, one.date, one.url, len(one.text), count
    )


def overlap(query: str, text: str) -> float:
    """The share of the query's character pairs that the text has too."""
    asked, told = pairs(query), pairs(text)
    return len(asked & told) / len(asked) if asked else 0.0


def pairs(text: str) -> set[str]:
    folded = fold(text)
    return {folded[place : place + 2] for place in range(len(folded) - 1)}


@contextmanager
def opened(kiku: FakeKiku, **options: Any) -> Iterator[TestClient]:
    """A client of the service over `kiku`, as a caller on this machine."""
    values = {"base_url": "http://localhost", "client": ("127.0.0.1", 50000), **options}
    with TestClient(create_app(kiku), raise_server_exceptions=False, **values) as client:
        wait_for(lambda: client.get("/readyz").json()["components"].get("index") != "starting")
        yield client


@contextmanager
def listening(app: FastAPI, **options: Any) -> Iterator[str]:
    """The address of a real server for `app`, on a free port of this machine."""
    values = {"http": TypedAddresses, "log_config": None, "ws": "none", **options}
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **values))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits until `condition` holds; fails when it does not."""
    until = monotonic() + seconds
    while not condition():
        if monotonic() > until:
            raise AssertionError("waited in vain")
        sleep(0.02)
