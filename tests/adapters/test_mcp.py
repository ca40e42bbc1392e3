"""The MCP tools, called with the protocol's own client."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import mcp
import pytest

from bot.http.app import create_app
from bot.http.auth import create_key
from index.records import document_id
from tests.fake_kiku import FakeKiku, listening, wait_for

QUESTION = "CentOSのサポートはいつまで？"
CENTOS = document_id("centos.md")


@pytest.fixture
def kiku(tmp_path: Path) -> FakeKiku:
    return FakeKiku(tmp_path)


@pytest.fixture
def base(kiku: FakeKiku) -> Iterator[str]:
    with listening(create_app(kiku)) as base:
        wait_for(lambda: httpx.get(base + "/readyz").status_code == 200)
        yield base


def talk(base: str, work: Callable[[mcp.Client], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        async with mcp.Client(base + "/mcp") as client:
            return await work(client)

    return anyio.run(go)


def call(base: str, tool: str, **arguments: object) -> Any:
    return talk(base, lambda client: client.call_tool(tool, arguments))


def test_the_tools_say_what_they_want(base: str) -> None:
    tools = {tool.name: tool for tool in talk(base, lambda client: client.list_tools()).tools}
    assert set(tools) == {"ask", "search", "read_document"}
    for tool in tools.values():
        assert tool.description
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
    asked = tools["ask"].input_schema["properties"]
    assert set(asked) == {"question", "top_k", "conversation_id", "collections"}


def test_ask_answers_with_citations(base: str, kiku: FakeKiku) -> None:
    reply = call(base, "ask", question=QUESTION, top_k=2)
    assert not reply.is_error
    body = reply.structured_content
    assert body["status"] == "answered"
    assert "2024年6月30日" in body["answer"]
    citation = body["citations"][0]
    text = httpx.get(f"{base}/documents/{citation['document_id']}").json()["text"]
    assert citation["quote"] == text[citation["start"] : citation["end"]]
    assert json.loads(reply.content[0].text) == body
    assert (kiku.answerer.asked[-1].channel, kiku.answerer.asked[-1].top_k) == ("mcp", 2)


def test_search_and_read_lead_to_the_passage(base: str) -> None:
    hit = call(base, "search", query="Podman", top_k=1).structured_content["hits"][0]
    part = call(base, "read_document", document_id=hit["document_id"], start=hit["start"])
    body = part.structured_content
    assert body["text"].startswith(hit["text"])
    assert body["characters"] == hit["start"] + len(body["text"])
    short = call(base, "read_document", document_id=CENTOS, length=6).structured_content
    assert short["text"] == "CentOS"


def test_mistakes_are_told_in_words(base: str, kiku: FakeKiku) -> None:
    for tool, arguments, words in [
        ("ask", {"question": "🐳"}, "言葉"),
        ("ask", {"question": " "}, "question"),
        ("ask", {"question": QUESTION, "top_k": 0}, "top_k"),
        ("ask", {"question": QUESTION, "conversation_id": "stranger"}, "会話"),
        ("read_document", {"document_id": "nope"}, "文書"),
    ]:
        reply = call(base, tool, **arguments)
        assert reply.is_error, (tool, arguments)
        assert words in reply.content[0].text
    kiku.answerer.broken = RuntimeError("secret")
    broken = call(base, "ask", question=QUESTION)
    assert broken.is_error
    assert "secret" not in str(broken)
    kiku.answerer.broken = None
    kiku.index = None
    missing = call(base, "ask", question=QUESTION)
    assert missing.is_error
    assert "kiku build" in missing.content[0].text


def test_keys_hold_here_too(tmp_path: Path) -> None:
    key, entry = create_key("narrow", ["manuals"])
    kiku = FakeKiku(tmp_path, api_keys=entry)
    hidden = document_id("salary.md")
    request = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "read_document", "arguments": {"document_id": hidden}},
    }  # fmt: skip
    accept = {"Accept": "application/json, text/event-stream"}
    with listening(create_app(kiku)) as base:
        assert httpx.post(base + "/mcp", json=request, headers=accept).status_code == 401
        wait_for(lambda: httpx.get(base + "/readyz").status_code == 200)
        headers = accept | {"Authorization": f"Bearer {key}"}
        reply = httpx.post(base + "/mcp", json=request, headers=headers, timeout=30)
        assert reply.status_code == 200
        assert reply.json()["result"]["isError"] is True
        assert "25日" not in reply.text
        request["params"] = {"name": "search", "arguments": {"query": "給与"}}
        reply = httpx.post(base + "/mcp", json=request, headers=headers, timeout=30)
        assert "25日" not in reply.text
