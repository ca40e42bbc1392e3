"""What endpoints ask for: the service, the caller, a turn at answering.

Coroutines all of them: FastAPI would call plain functions in a worker thread, and under load each
way there and back is a wait for the interpreter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from bot.http.auth import Caller
from bot.http.errors import ApiError
from bot.http.gate import Gate
from bot.http.service import Service


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def _admin(request: Request) -> Caller:
    caller = await _caller(request)
    if not caller.admin:
        raise ApiError(403, "admins_only")
    return caller


async def _turn(request: Request) -> AsyncIterator[None]:
    gate: Gate = request.app.state.gate
    async with gate.turn():
        yield


TheService = Annotated[Service, Depends(_service)]
TheCaller = Annotated[Caller, Depends(_caller)]
AnAdmin = Annotated[Caller, Depends(_admin)]
# Given back when the endpoint has returned: a client that reads slowly holds no turn.
Turn = Depends(_turn, scope="function")
