"""How many answers are worked on at once, and how long the others wait.

A queue that grows makes everybody wait; this one is short, and who does not get in is told so at
once (503 with Retry-After). Waiting holds no worker thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import anyio

from bot.http.errors import ApiError
from bot.http.metrics import Metrics

PATIENCE = 5.0  # seconds that a request waits for its turn
WAITING_PER_SLOT = 16


class Gate:
    """Lets `slots` answers run, `slots * WAITING_PER_SLOT` wait, and refuses the rest."""

    def __init__(self, slots: int, metrics: Metrics, patience: float = PATIENCE) -> None:
        self._slots = anyio.Semaphore(slots, max_value=slots)
        self._waiting = 0
        self._most_waiting = slots * WAITING_PER_SLOT
        self._metrics = metrics
        self._patience = patience

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for a slot and gives it back. Raises ApiError `overloaded`."""
        asked = perf_counter()
        await self._enter()
        self._metrics.stage("wait", perf_counter() - asked)
        self._metrics.running.inc()
        try:
            yield
        finally:
            self._metrics.running.dec()
            self._slots.release()

    async def _enter(self) -> None:
        if self._waiting >= self._most_waiting:
            raise self._overloaded()
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        try:
            with anyio.fail_after(self._patience):
                await self._slots.acquire()
        except TimeoutError:
            raise self._overloaded() from None
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)

    def _overloaded(self) -> ApiError:
        self._metrics.overloaded.inc()
        return ApiError(503, "overloaded", headers={"Retry-After": "1"})
