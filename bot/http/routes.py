"""The endpoints of questions and documents. Each is two conversions and one call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from functools import partial
from time import perf_counter
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from bot.http.auth import Caller
from bot.http.depends import TheCaller, TheService, Turn
from bot.http.errors import ApiError, asked_in, language_of
from bot.http.gate import Gate
from bot.http.models import (
    MAX_TOP_K,
    AnswerBody,
    AskBody,
    ConversationBody,
    ConversationId,
    DocumentBody,
    DocumentList,
    DocumentListed,
    ErrorBody,
    FeedbackBody,
    HitBody,
    Name,
    Rated,
    SearchBody,
    SearchResult,
    Suggestions,
    Text,
    TurnShown,
)
from bot.http.service import Service
from bot.http.sse import Parts, Told, event
from bot.records import Question
from bot.store import StoredConversation

_MEANINGS = {
    400: "The request is not JSON, or its Host is not this service's",
    401: "An API key is required",
    403: "Not for this key, or a write from another site",
    404: "There is no such thing, or not for this caller",
    413: "The request is too large",
    422: "A field is missing, malformed or out of range, or the question cannot be searched for",
    429: "Too many requests; `Retry-After` says how long to wait",
    503: "No index is ready, or too much is asked at once; `Retry-After` says how long to wait",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": meaning} for status, meaning in _MEANINGS.items()
}

# The same for a route whose own answer is no JSON.
ERRORS_IN_JSON: dict[int | str, dict[str, Any]] = {
    status: {
        "description": meaning,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}},
    }
    for status, meaning in _MEANINGS.items()
}

router = APIRouter(responses=ERRORS)
streams = APIRouter()


def _ask(
    service: Service, caller: Caller, request: Request, body: AskBody, told: Told | None = None
) -> AnswerBody:
    request.state.language = asked_in(body.question)
    question = Question(
        text=body.question,
        conversation_id=body.conversation_id or "",
        history=service.history((turn.role, turn.content) for turn in body.history),
        top_k=body.top_k or service.settings.top_k,
        collections=seen_by(caller, body.collections),
        channel=_channel(request),
        asker=caller.id,
    )
    if told is None:
        return AnswerBody.of(service.ask(question, caller))
    return AnswerBody.of(service.ask(question, caller, said=told.said, found=told.found))


async def _begun(body: AskBody, service: TheService, caller: TheCaller, request: Request) -> Parts:
    """The stream of an answer that has begun, so that a failure still has a status of its own."""
    gate: Gate = request.app.state.gate
    told = Told(asked_in(body.question) or language_of(request))
    return await told.begin(partial(_ask, service, caller, request, body), gate)


@router.post("/ask", dependencies=[Turn], tags=["answers"], response_model=AnswerBody)
def ask(body: AskBody, service: TheService, caller: TheCaller, request: Request) -> Response:
    """Answers a question, with citations that are quoted word for word."""
    return _json(_ask(service, caller, request, body))


@router.get("/ask", dependencies=[Turn], tags=["answers"], response_model=AnswerBody)
def ask_by_address(
    service: TheService,
    caller: TheCaller,
    request: Request,
    q: Annotated[Text, Query(description="the question", examples=["Podmanとは？"])],
    conversation_id: ConversationId | None = None,
    top_k: Annotated[int | None, Query(ge=1, le=MAX_TOP_K)] = None,
    collections: Annotated[list[Name] | None, Query()] = None,
) -> Response:
    """The same for a browser or a bare curl: indented, with a line end."""
    body = AskBody(
        question=q, conversation_id=conversation_id, top_k=top_k, collections=collections
    )
    return _json(_ask(service, caller, request, body), indent=2)


@streams.post(
    "/ask/stream",
    tags=["answers"],
    response_class=EventSourceResponse,
    responses=ERRORS_IN_JSON,
)
async def ask_stream(told: Annotated[Parts, Depends(_begun)]) -> AsyncIterator[ServerSentEvent]:
    """Answers as server-sent events: `citations`, `token` with a piece of the text, `done` with
    the body of `POST /ask`, which is what counts; `error` where the answer breaks off."""
    async for name, data in told:
        yield event(name, data)


@router.post("/search", dependencies=[Turn], tags=["documents"], response_model=SearchResult)
def search(body: SearchBody, service: TheService, caller: TheCaller, request: Request) -> Response:
    """The passages nearest to a query, best first."""
    request.state.language = asked_in(body.query)
    began = perf_counter()
    seen = seen_by(caller, body.collections)
    hits = service.search(body.query, body.top_k, body.mode, seen)
    found = SearchResult(
        hits=[HitBody.of(rank, hit) for rank, hit in enumerate(hits, start=1)],
        took_ms=round((perf_counter() - began) * 1000, 2),
    )
    return _json(found)


@router.get("/documents", tags=["documents"], response_model=DocumentList)
def documents(
    service: TheService,
    caller: TheCaller,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """What is indexed, in the order of its sources."""
    all_documents = service.kiku.retriever.documents(caller.collections)
    page = all_documents[offset : offset + limit]
    listed = [DocumentListed.of(summary) for summary in page]
    return _json(DocumentList(documents=listed, total=len(all_documents)))


@router.get("/documents/{document_id}", tags=["documents"], response_model=DocumentBody)
def document(document_id: str, service: TheService, caller: TheCaller) -> Response:
    """One document. Offsets of citations and hits count the code points of its `text`."""
    return _json(DocumentBody.of(service.document(document_id, caller)))


@router.get("/suggestions", tags=["answers"])
def suggestions(service: TheService, caller: TheCaller, request: Request) -> Suggestions:
    """Questions to start with, which the documents answer."""
    found = service.suggestions(caller.collections, language_of(request))
    return Suggestions(questions=found)


@router.post("/feedback", tags=["answers"])
def feedback(body: FeedbackBody, service: TheService, caller: TheCaller) -> Rated:
    """Rates an answer; a second rating of the same caller replaces the first."""
    store = service.kiku.store
    answer = store.answer(body.answer_id)
    if answer is None or store.owner(answer.answer.conversation_id) != caller.id:
        raise ApiError(404, "answer_not_found")
    if not store.rate(body.answer_id, body.rating, body.comment, caller.id):
        raise ApiError(404, "answer_not_found")
    service.metrics.feedback(body.rating)
    return Rated(answer_id=body.answer_id, rating=body.rating)


@router.get("/conversations/{conversation_id}", tags=["conversations"])
def conversation(conversation_id: str, service: TheService, caller: TheCaller) -> ConversationBody:
    """A conversation of the caller's own."""
    stored = service.kiku.store.conversation(conversation_id, caller.id)
    if stored is None:
        raise ApiError(404, "conversation_not_found")
    return _conversation(stored)


@router.delete("/conversations/{conversation_id}", tags=["conversations"], status_code=204)
def forget_conversation(conversation_id: str, service: TheService, caller: TheCaller) -> None:
    """Forgets a conversation of the caller's own, with its answers and ratings."""
    store = service.kiku.store
    if store.owner(conversation_id) != caller.id:
        raise ApiError(404, "conversation_not_found")
    store.forget(conversation_id=conversation_id)


def seen_by(caller: Caller, wanted: Iterable[str] | None) -> frozenset[str] | None:
    """The collections to look in. Raises ApiError when all that were asked for are closed."""
    seen = caller.may_see(wanted)
    if wanted is not None and seen == frozenset() and frozenset(wanted):
        raise ApiError(403, "collection_forbidden")
    return seen


def _json(body: BaseModel, indent: int | None = None) -> Response:
    """A reply written in the endpoint's own thread; FastAPI would check it in another one, and write
    it in the event loop, where everybody waits for a long one. Indented, it ends in a line end."""
    end = "" if indent is None else "\n"
    return Response(body.model_dump_json(indent=indent) + end, media_type="application/json")


def _channel(request: Request) -> str:
    """`page` where a browser asks from a page of this service, so that the insights can tell."""
    site = request.headers.get("sec-fetch-site")
    origin = urlsplit(request.headers.get("origin", "")).netloc
    own = site == "same-origin" if site else origin and origin == request.headers.get("host")
    return "page" if own else "http"


def _conversation(stored: StoredConversation) -> ConversationBody:
    return ConversationBody(
        id=stored.id,
        created_at=stored.created_at.isoformat(),
        updated_at=stored.updated_at.isoformat(),
        turns=[
            TurnShown(
                question=answer.question,
                answer=AnswerBody.of(answer.answer),
                asked_at=answer.asked_at.isoformat(),
            )
            for answer in stored.answers
        ],
    )
