"""Where `/mcp` is served from. Importing the MCP library takes longer than all the rest of the
service, so it is done beside the first requests rather than before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from starlette.types import Receive, Scope, Send

from bot.http.gate import Gate
from bot.http.service import Service

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager


class McpDoor:
    """An ASGI application; its requests wait until `run` has opened it."""

    def __init__(self, service: Service, gate: Gate, max_body: int) -> None:
        self._service = service
        self._gate = gate
        self._max_body = max_body
        self._manager: StreamableHTTPSessionManager | None = None
        self._opened = anyio.Event()

    async def run(self) -> None:
        """Serves until it is cancelled."""
        manager = await anyio.to_thread.run_sync(self._create)
        async with manager.run():
            self._manager = manager
            self._opened.set()
            await anyio.sleep_forever()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._opened.wait()
        assert self._manager is not None
        await self._manager.handle_request(scope, receive, send)

    def _create(self) -> StreamableHTTPSessionManager:
        from bot.http.mcp import create_mcp

        return create_mcp(self._service, self._gate, self._max_body)
