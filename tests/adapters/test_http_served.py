"""The service over the real bot: an index of corpus documents, swapped while it is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import sleep

import httpx
import pytest
from fastapi.testclient import TestClient
from openai import OpenAI

from bot.compose.llm import LlmComposer
from bot.http.app import create_app
from bot.settings import Settings
from bot.store import Store
from bot.wiring import Kiku
from index.build import build_sources
from index.split import sentences
from tests.fake_encoder import FakeEncoder
from tests.fake_kiku import listening, wait_for
from tests.fake_llm import FakeLlm, chunk, running

QUESTION = "chrootとは何ですか？"


@pytest.fixture
def client(kiku: Kiku) -> Iterator[TestClient]:
    app = create_app(kiku)
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        yield client


def test_citations_are_verbatim_through_every_door(client: TestClient) -> None:
    asked = client.post("/ask", json={"question": QUESTION, "top_k": 8}).json()
    assert asked["citations"]
    completion = client.post(
        "/v1/chat/completions",
        json={"model": "kiku", "messages": [{"role": "user", "content": QUESTION}]},
    ).json()
    hits = client.post("/search", json={"query": QUESTION}).json()["hits"]
    quotes = [
        *(
            (one["document_id"], one["start"], one["end"], one["quote"])
            for one in asked["citations"]
        ),
        *(
            (one["document_id"], one["start"], one["end"], one["quote"])
            for one in completion["citations"]
        ),
        *((hit["document_id"], hit["start"], hit["end"], hit["text"]) for hit in hits),
    ]
    texts: dict[str, str] = {}
    for name, start, end, quote in quotes:
        if name not in texts:
            texts[name] = client.get(f"/documents/{name}").json()["text"]
        assert texts[name][start:end] == quote


def test_every_source_page_marks_its_quote(client: TestClient) -> None:
    for citation in client.post("/ask", json={"question": QUESTION}).json()["citations"]:
        page = client.get(citation["url"])
        assert page.status_code == 200
        assert "<mark" in page.text


def test_modes_and_collections_are_those_of_the_index(client: TestClient) -> None:
    for mode in ("hybrid", "dense", "lexical"):
        body = client.post("/search", json={"query": "chroot", "mode": mode, "top_k": 3}).json()
        assert 1 <= len(body["hits"]) <= 3
        ranks = {"hybrid": "rank", "dense": "dense_rank", "lexical": "lexical_rank"}
        assert body["hits"][0][ranks[mode]] is not None
    closed = client.post("/search", json={"query": "chroot", "collections": ["nothing"]}).json()
    assert closed["hits"] == []


def test_a_follow_up_is_read_in_its_conversation(client: TestClient) -> None:
    first = client.post("/ask", json={"question": "CRI-Oとは何ですか？"}).json()
    name = first["conversation_id"]
    follow_up = client.post(
        "/ask", json={"question": "それは誰が作りましたか？", "conversation_id": name}
    ).json()
    assert follow_up["conversation_id"] == name
    assert any("cri-o" in one["source"] for one in follow_up["citations"])


def test_the_time_of_an_answer_is_measured_by_stage(client: TestClient) -> None:
    for _ in range(2):
        assert client.post("/ask", json={"question": QUESTION}).status_code == 200
    lines = dict(
        line.rsplit(" ", 1)
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("kiku_stage_seconds")
    )
    seconds = {
        stage: float(lines[f'kiku_stage_seconds_sum{{stage="{stage}"}}'])
        for stage in ("wait", "answer", "retrieve", "extract", "cite", "record")
    }
    assert float(lines['kiku_stage_seconds_count{stage="retrieve"}']) == 2
    parts = seconds["retrieve"] + seconds["extract"] + seconds["cite"]
    assert 0 < parts <= seconds["answer"]


def test_suggestions_come_from_the_documents(client: TestClient) -> None:
    questions = client.get("/suggestions").json()["questions"]
    for question in questions:
        assert client.post("/ask", json={"question": question}).json()["status"] == "answered"


def test_a_generation_is_swapped_without_one_failed_request(
    built_home: Path, few_documents: list[Path], fake_encoder: FakeEncoder, tmp_path: Path
) -> None:
    home, sources = tmp_path / "home", tmp_path / "documents"
    shutil.copytree(built_home, home)
    sources.mkdir()
    for path in few_documents:
        shutil.copy(path, sources)
    settings = Settings(home=home, database=f"sqlite:///{tmp_path / 'kiku.sqlite'}")
    kiku = Kiku(settings, fake_encoder, Store.open(settings.database_url))
    stop = Event()

    def keep_asking(base: str) -> list[int]:
        codes = []
        with httpx.Client(base_url=base, timeout=60) as client:
            while not stop.is_set():
                codes.append(client.post("/ask", json={"question": QUESTION}).status_code)
                codes.append(client.post("/search", json={"query": "chroot"}).status_code)
                codes.append(client.get("/documents").status_code)
        return codes

    with listening(create_app(kiku)) as base, ThreadPoolExecutor(3) as pool:
        wait_for(lambda: httpx.get(base + "/readyz").status_code == 200)
        asking = [pool.submit(keep_asking, base) for _ in range(3)]
        served = {httpx.get(base + "/readyz").json()["generation"]}
        for number in range(3):
            (sources / f"new-{number}.md").write_text(f"# 追加{number}\n\n新しい文書です。\n")
            build_sources(home, [sources], encoder=fake_encoder, keep=1)
            ready = httpx.get(base + "/readyz").json()
            assert ready["status"] == "ready"
            served.add(ready["generation"])
        stop.set()
        codes = [code for future in asking for code in future.result()]
        listed = httpx.get(base + "/documents").json()
    assert len(served) == 4
    assert listed["total"] == len(few_documents) + 3
    assert codes
    assert set(codes) == {200}


@pytest.fixture
def llm() -> Iterator[FakeLlm]:
    with running() as fake:
        yield fake


@pytest.fixture
def written(kiku: Kiku, fake_encoder: FakeEncoder, llm: FakeLlm, tmp_path: Path) -> Iterator[str]:
    """The address of a service whose answers a language model writes."""
    store = Store.open(f"sqlite:///{tmp_path / 'written.sqlite'}")
    composer = LlmComposer(llm.url, "small", timeout=20)
    composer.open()
    with listening(create_app(Kiku(kiku.settings, fake_encoder, store, composer=composer))) as base:
        wait_for(lambda: httpx.get(base + "/readyz").status_code == 200)
        yield base


def first_sentence(quote: str) -> str:
    """The first sentence of a quote, without its full stop."""
    start, end = sentences(quote)[0]
    return quote[start:end].rstrip("。")


def say_slowly(llm: FakeLlm, quote: str) -> Event:
    """The model says the quote, waits for this event (20 s at most), and says what no quote holds."""
    go_on = Event()

    def slowly() -> Iterator[bytes]:
        yield chunk({"content": f"{quote}。[1]ほかの"})
        go_on.wait(20)
        yield chunk({"content": "文です。[99]"}, "stop")

    llm.raw = slowly
    return go_on


def test_a_model_is_heard_sentence_by_sentence(written: str, llm: FakeLlm) -> None:
    plain = httpx.post(f"{written}/ask", json={"question": QUESTION}, timeout=60).json()
    assert plain["composer"] == "extractive", "the model said nothing"
    quote = first_sentence(plain["citations"][0]["quote"])
    go_on = say_slowly(llm, quote)
    names = []
    body = {"question": QUESTION}
    with httpx.stream("POST", f"{written}/ask/stream", json=body, timeout=60) as reply:
        lines = reply.iter_lines()
        for line in lines:
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
            if names == ["citations", "token"]:
                go_on.set()  # the sentence came while the model was still writing
            if names and names[-1] == "done" and line.startswith("data: "):
                done = json.loads(line.removeprefix("data: "))
    assert names == ["citations", "token", "done"]
    assert done["composer"] == "llm"
    assert done["answer"] == f"{quote}[1]。"


def test_a_model_is_heard_by_openai_clients_too(written: str, llm: FakeLlm) -> None:
    plain = httpx.post(f"{written}/ask", json={"question": QUESTION}, timeout=60).json()
    quote = first_sentence(plain["citations"][0]["quote"])
    go_on = say_slowly(llm, quote)
    text = ""
    with OpenAI(base_url=f"{written}/v1", api_key="any", max_retries=0, timeout=60) as client:
        for part in client.chat.completions.create(
            model="kiku", messages=[{"role": "user", "content": QUESTION}], stream=True
        ):
            text += part.choices[0].delta.content or ""
            if text:
                go_on.set()  # the sentence came while the model was still writing
    assert text.startswith(f"{quote}[1]。\n\n[1] [")
    assert "[99]" not in text


def test_a_model_that_breaks_off_is_completed_by_the_quotes(written: str, llm: FakeLlm) -> None:
    body = {"model": "kiku", "messages": [{"role": "user", "content": QUESTION}]}
    url = f"{written}/v1/chat/completions"
    plain = httpx.post(url, json=body, timeout=60).json()
    whole = plain["choices"][0]["message"]["content"]
    quote = first_sentence(plain["citations"][0]["quote"])

    def breaks() -> Iterator[bytes]:
        yield chunk({"content": f"{quote}。[1]次の"})
        yield b"data: {broken\n\n"

    llm.raw = breaks
    reply = httpx.post(url, json=body | {"stream": True}, timeout=60).text
    chunks = [json.loads(line[6:]) for line in reply.splitlines() if line.startswith("data: {")]
    text = "".join(one["choices"][0]["delta"].get("content", "") for one in chunks)
    assert text == f"{quote}[1]。\n\n{whole}"
    assert reply.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ask/stream", {"question": QUESTION}),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": QUESTION}], "stream": True},
        ),
    ],
)
def test_a_model_is_left_when_nobody_listens(
    written: str, llm: FakeLlm, path: str, body: dict[str, object]
) -> None:
    plain = httpx.post(f"{written}/ask", json={"question": QUESTION}, timeout=60).json()
    quote = first_sentence(plain["citations"][0]["quote"])
    stopped = Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield chunk({"content": f"{quote}。[1]"})
                sleep(0.05)
        finally:
            stopped.set()

    llm.raw = endless
    with httpx.stream("POST", f"{written}{path}", json=body, timeout=60) as reply:
        next(reply.iter_lines())
    assert stopped.wait(10), "the model's stream is closed"
    wait_for(lambda: "kiku_answers_running 0.0" in httpx.get(f"{written}/metrics").text)


def test_a_stream_that_breaks_says_so(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> str:
        raise RuntimeError("secret")

    monkeypatch.setattr(LlmComposer, "compose", breaks)
    text = httpx.post(f"{written}/ask/stream", json={"question": QUESTION}, timeout=60).text
    assert text.startswith("event: citations")
    assert "event: error" in text
    assert "internal_error" in text
    assert "secret" not in text


def test_an_index_is_picked_up_when_it_is_first_built(
    few_documents: list[Path], fake_encoder: FakeEncoder, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path / "home", database=f"sqlite:///{tmp_path / 'kiku.sqlite'}")
    kiku = Kiku(settings, fake_encoder, Store.open(settings.database_url))
    app = create_app(kiku)
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        refused = client.post("/ask", json={"question": QUESTION})
        assert refused.status_code == 503
        assert client.get("/readyz").status_code == 503
        build_sources(settings.home, few_documents, encoder=fake_encoder)
        assert client.get("/readyz").status_code == 200
        assert client.post("/ask", json={"question": QUESTION}).status_code == 200
