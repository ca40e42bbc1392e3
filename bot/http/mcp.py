"""The Model Context Protocol at `/mcp`: tools `ask`, `search`, `read_document`.

Stateless and with plain JSON replies: nothing is kept between two calls, no connection stays open.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from time import perf_counter
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from bot.http.auth import Caller
from bot.http.errors import ApiError, asked_in, told
from bot.http.gate import Gate
from bot.http.models import AnswerBody, ConversationId, HitBody, Mode, Name, SearchResult, TopK
from bot.http.models import Text as Words
from bot.http.routes import seen_by
from bot.http.service import Service
from bot.records import Question
from index.errors import KikuError

_READ_AT_ONCE = 20_000  # characters; a model's context is not to be filled by one document
_READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_T = TypeVar("_T")

Collections = Annotated[
    list[Name] | None, Field(description="look only in these collections; leave out for all")
]


class DocumentPart(BaseModel):
    """A piece of a document: `text` is the document's text from `start` on."""

    id: str
    title: str
    source: str
    date: str
    superseded_by: str = Field(description="id of a newer version, empty where this is the newest")
    text: str
    start: int
    characters: int = Field(description="length of the whole document")


def create_mcp(service: Service, gate: Gate, max_body: int) -> StreamableHTTPSessionManager:
    """The server with its tools, behind the ASGI handler of its session manager, which wants to
    be run."""
    server: MCPServer[Any] = MCPServer(
        "kiku",
        title="Kiku",
        version=version("kiku"),
        instructions=(
            "Answers questions out of the team's own documents, in Japanese or English, with "
            "passages quoted word for word. Ask whole questions; cite the sources that come back."
        ),
        subscriptions=False,
    )
    _add_tools(server, service, gate)
    server.streamable_http_app(
        json_response=True,
        stateless_http=True,
        max_request_body_size=max_body,
        # The guard has checked Host and Origin already, by the service's own settings.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return server.session_manager


def _add_tools(server: MCPServer[Any], service: Service, gate: Gate) -> None:
    async def run(context: Context[Any, Any], question: str, work: Callable[[Caller], _T]) -> _T:
        """Does `work` for the caller in a thread, when its turn has come."""
        request: Any = context.request_context.request
        caller: Caller = request.state.caller
        try:
            async with gate.turn():
                return await anyio.to_thread.run_sync(work, caller)
        except (KikuError, ApiError) as error:
            wrong = told(error, asked_in(question) or "ja")["error"]
            raise ToolError(f"{wrong['message']} {wrong['hint']}".strip()) from None

    @server.tool(title="Ask", annotations=_READ_ONLY)
    async def ask(
        context: Context[Any, Any],
        question: Annotated[Words, Field(description="a whole question, Japanese or English")],
        top_k: TopK | None = None,
        conversation_id: Annotated[
            ConversationId | None, Field(description="of an earlier answer, to follow up on it")
        ] = None,
        collections: Collections = None,
    ) -> AnswerBody:
        """Answers a question out of the documents. `answer` carries [n] marks, and `citations`
        quotes the passages word for word; `status` `not_found` means that the documents do not
        say."""

        def work(caller: Caller) -> AnswerBody:
            asked = Question(
                text=question,
                conversation_id=conversation_id or "",
                top_k=top_k or service.settings.top_k,
                collections=seen_by(caller, collections),
                channel="mcp",
                asker=caller.id,
            )
            return AnswerBody.of(service.ask(asked, caller))

        return await run(context, question, work)

    @server.tool(title="Search", annotations=_READ_ONLY)
    async def search(
        context: Context[Any, Any],
        query: Annotated[Words, Field(description="words or a question")],
        top_k: TopK = 10,
        mode: Mode = "hybrid",
        collections: Collections = None,
    ) -> SearchResult:
        """Finds the passages nearest to a query, best first."""

        def work(caller: Caller) -> SearchResult:
            began = perf_counter()
            found = service.search(query, top_k, mode, seen_by(caller, collections))
            hits = [HitBody.of(rank, hit) for rank, hit in enumerate(found, start=1)]
            return SearchResult(hits=hits, took_ms=round((perf_counter() - began) * 1000, 2))

        return await run(context, query, work)

    @server.tool(title="Read document", annotations=_READ_ONLY)
    async def read_document(
        context: Context[Any, Any],
        document_id: Annotated[Name, Field(description="of a citation or a hit")],
        start: Annotated[int, Field(ge=0, description="first character")] = 0,
        length: Annotated[int, Field(ge=1, le=_READ_AT_ONCE)] = _READ_AT_ONCE,
    ) -> DocumentPart:
        """Reads a document, or a part of a long one."""

        def work(caller: Caller) -> DocumentPart:
            document = service.document(document_id, caller)
            return DocumentPart(
                id=document.id,
                title=document.title,
                source=document.source,
                date=document.date,
                superseded_by=document.superseded_by,
                text=document.text[start : start + length],
                start=start,
                characters=len(document.text),
            )

        return await run(context, "", work)
