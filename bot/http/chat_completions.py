"""The OpenAI-compatible face: Open WebUI, SDKs and the like talk to Kiku as to a model.

The last user message is the question, the messages before it are its history. Sources stand below
the answer as Markdown links, and in `citations` for programs.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Literal
from uuid import uuid4

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel, ConfigDict, Field

from bot.http.auth import Caller
from bot.http.depends import TheCaller, TheService
from bot.http.errors import ApiError, asked_in, language_of
from bot.http.gate import Gate
from bot.http.models import AnswerBody, CitationBody
from bot.http.routes import ERRORS
from bot.http.service import Service
from bot.http.sse import Parts, Told, pieces
from bot.messages.answers import older_version
from bot.records import Question

MODEL = "kiku"
_MAX_MESSAGES = 1000
_KEPT_TURNS = 20  # of a long conversation; a follow-up hangs on the last few

router = APIRouter(prefix="/v1", tags=["openai"], responses=ERRORS)


class _Lenient(BaseModel):
    """Clients send more fields than are read here; those that are read must be right."""

    model_config = ConfigDict(strict=True)


class TextPart(_Lenient):
    """A part of a message. Only text is read."""

    type: str = Field(max_length=100)
    text: str = ""


class Message(_Lenient):
    """A message; those of roles other than user and assistant are not read."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class StreamOptions(_Lenient):
    """What a stream holds beside the answer."""

    include_usage: bool = False


class CompletionBody(_Lenient):
    """A chat completion; settings of sampling are accepted and mean nothing here."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": MODEL, "messages": [{"role": "user", "content": "Podmanとは？"}]}
            ]
        }
    )

    model: str = Field(MODEL, max_length=200)
    messages: list[Message] = Field(min_length=1, max_length=_MAX_MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None


class AnswerMessage(BaseModel):
    """The answer, its sources as Markdown links below it."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The one choice there is."""

    index: int = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class Usage(BaseModel):
    """Clients want token counts; no model need read or write here, so characters are counted."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    """A chat completion, with the citations that `POST /ask` gives."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str = MODEL
    choices: list[Choice]
    usage: Usage
    citations: list[CitationBody]


class Model(BaseModel):
    """The one model there is."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "kiku"


class ModelList(BaseModel):
    """The models of this service."""

    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/models")
def models() -> ModelList:
    """The models that may be asked."""
    return ModelList(data=[Model(id=MODEL)])


@router.get("/models/{model}")
def model(model: str) -> Model:
    """One model."""
    _check_model(model)
    return Model(id=MODEL)


@router.post(
    "/chat/completions",
    response_model=Completion,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def complete(
    body: CompletionBody, service: TheService, caller: TheCaller, request: Request
) -> Response:
    """Answers the last user message. `stream` gives chunks as server-sent events."""
    _check_model(body.model)
    text, history = _conversation(body.messages)
    request.state.language = asked_in(text)
    question = Question(
        text=text,
        history=service.history(history),
        top_k=service.settings.top_k,
        collections=caller.collections,
        channel="openai",
        asker=caller.id,
    )
    gate: Gate = request.app.state.gate
    base = service.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    ask = partial(_ask, service, caller, question)
    if body.stream:
        told = await Told(language_of(request)).begin(ask, gate)
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        chunks = _chunks(body, told, base)
        return StreamingResponse(chunks, media_type="text/event-stream", headers=headers)
    async with gate.turn():
        answer = await anyio.to_thread.run_sync(ask)
    return _completion(body, answer, base)


def _ask(
    service: Service, caller: Caller, question: Question, told: Told | None = None
) -> AnswerBody:
    if told is None:
        return AnswerBody.of(service.ask(question, caller))
    return AnswerBody.of(service.ask(question, caller, said=told.said, found=told.found))


def _completion(body: CompletionBody, answer: AnswerBody, base: str) -> Response:
    """The whole answer at once."""
    text = answer.answer + _sources(answer, base)
    completion = Completion(
        id=f"chatcmpl-{answer.id}",
        created=int(time.time()),
        choices=[Choice(message=AnswerMessage(content=text))],
        usage=_usage(body, text),
        citations=answer.citations,
    )
    return Response(completion.model_dump_json(), media_type="application/json")


async def _chunks(body: CompletionBody, told: Parts, base: str) -> AsyncIterator[bytes]:
    """The answer as it is told, its sources behind it."""
    head = {
        "id": f"chatcmpl-{uuid4().hex}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": MODEL,
    }

    def chunk(delta: dict[str, str], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event({**head, "choices": [choice], **more})

    text = ""
    async for name, data in told:
        if name == "citations":
            yield chunk({"role": "assistant", "content": ""}, citations=data)
        elif name == "token":
            text += data["text"]
            yield chunk({"content": data["text"]})
        elif name == "error":
            yield _event(data)
        else:
            answer = AnswerBody.model_validate(data)
            rest = _unsaid(text, answer.answer) + _sources(answer, base)
            for piece in pieces(rest):
                yield chunk({"content": piece})
            yield chunk({}, finish="stop")
            if body.stream_options is not None and body.stream_options.include_usage:
                yield _event(
                    {**head, "choices": [], "usage": _usage(body, text + rest).model_dump()}
                )
            yield b"data: [DONE]\n\n"


def _unsaid(told: str, answer: str) -> str:
    """What of an answer is still to be told: all of it where a model broke off, whose sentences,
    right as they are, gave way to the quotes."""
    if "".join(told.split()) == "".join(answer.split()):
        return ""
    return f"\n\n{answer}" if told else answer


def _event(value: dict[str, Any]) -> bytes:
    return format_sse_event(data_str=json.dumps(value, ensure_ascii=False))


def _conversation(
    messages: Sequence[Message],
) -> tuple[str, list[tuple[Literal["user", "assistant"], str]]]:
    """The last user message, and what was said before it. Raises ApiError where there is none."""
    said: list[tuple[Literal["user", "assistant"], str]] = [
        ("user" if message.role == "user" else "assistant", message.text)
        for message in messages
        if message.role in ("user", "assistant")
    ]
    while said and said[-1][0] != "user":
        said.pop()
    if not said or not said[-1][1].strip():
        raise ApiError(422, "no_user_message")
    return said[-1][1], said[:-1][-_KEPT_TURNS:]


def _check_model(name: str) -> None:
    if name != MODEL:
        raise ApiError(404, "model_not_found")


def _sources(answer: AnswerBody, base: str) -> str:
    """The sources as a Markdown list, numbered as in the answer."""
    if not answer.citations or answer.status != "answered":
        return ""
    lines = [
        f"[{citation.number}] [{_label(citation.title, citation.heading)}]({base}{citation.url})"
        + (older_version(answer.language) if citation.superseded_by else "")
        for citation in answer.citations
        if f"[{citation.number}]" in answer.answer
    ]
    return "\n\n" + "  \n".join(lines) if lines else ""


def _label(title: str, heading: list[str]) -> str:
    """Title and headings as the text of a link; brackets would end it."""
    parts = [title, *(part for part in heading if part != title)]
    return " › ".join(parts).translate({ord("["): "［", ord("]"): "］", ord("\n"): " "})


def _usage(body: CompletionBody, text: str) -> Usage:
    asked = sum(len(message.text) for message in body.messages)
    return Usage(prompt_tokens=asked, completion_tokens=len(text), total_tokens=asked + len(text))
