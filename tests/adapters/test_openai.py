"""The OpenAI-compatible face, asked with OpenAI's own client library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI, UnprocessableEntityError

from bot.http.app import create_app
from bot.http.chat_completions import MODEL
from tests.fake_kiku import FakeKiku, listening, wait_for

QUESTION = "CentOSのサポートはいつまで？"


@pytest.fixture
def kiku(tmp_path: Path) -> FakeKiku:
    return FakeKiku(tmp_path)


@pytest.fixture
def base(kiku: FakeKiku) -> Iterator[str]:
    with listening(create_app(kiku)) as base:
        wait_for(lambda: httpx.get(base + "/readyz").status_code == 200)
        yield base


@pytest.fixture
def client(base: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=base + "/v1", api_key="anything", max_retries=0) as client:
        yield client


def test_there_is_one_model(client: OpenAI) -> None:
    assert [model.id for model in client.models.list().data] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(NotFoundError):
        client.models.retrieve("gpt-4")


def test_a_completion_answers_the_last_message(client: OpenAI, base: str) -> None:
    reply = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}]
    )
    choice = reply.choices[0]
    assert choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    assert choice.message.content is not None
    assert "2024年6月30日" in choice.message.content
    assert f"]({base}/sources/" in choice.message.content
    citations = reply.model_extra["citations"]  # type: ignore[index]
    text = httpx.get(f"{base}/documents/{citations[0]['document_id']}").json()["text"]
    assert citations[0]["quote"] == text[citations[0]["start"] : citations[0]["end"]]
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_a_stream_joins_to_the_completion(client: OpenAI) -> None:
    whole = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}]
    )
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].model_extra["citations"]  # type: ignore[index]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


def test_earlier_messages_are_the_history(client: OpenAI, kiku: FakeKiku) -> None:
    client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "You are a pirate."},
            {"role": "user", "content": "Podmanとは？"},
            {"role": "assistant", "content": "コンテナエンジンです。"},
            {"role": "user", "content": [{"type": "text", "text": "誰が作った？"}]},
        ],
        temperature=0.3,
        extra_body={"seed": 1},
    )
    asked = kiku.answerer.asked[-1]
    assert asked.text == "誰が作った？"
    assert [(turn.role, turn.content) for turn in asked.history] == [
        ("user", "Podmanとは？"),
        ("assistant", "コンテナエンジンです。"),
    ]
    assert asked.channel == "openai"


def test_what_cannot_be_answered_is_said_without_sources(client: OpenAI) -> None:
    reply = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "きのうの天気は晴れでしたか"}]
    )
    content = reply.choices[0].message.content
    assert content is not None
    assert "/sources/" not in content


def test_errors_reach_the_client_as_its_own(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as missing:
        client.chat.completions.create(
            model="gpt-4", messages=[{"role": "user", "content": QUESTION}]
        )
    assert missing.value.code == "model_not_found"
    with pytest.raises(UnprocessableEntityError):
        client.chat.completions.create(model=MODEL, messages=[])
    with pytest.raises((UnprocessableEntityError, BadRequestError)) as silent:
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "assistant", "content": "a"}]
        )
    assert silent.value.code == "no_user_message"


def test_links_cannot_be_broken_by_a_title(base: str, client: OpenAI, kiku: FakeKiku) -> None:
    from bot.http.chat_completions import _label

    label = _label("a](https://evil.example)\n[b", ["見出し"])
    assert "](" not in label
    assert "\n" not in label
