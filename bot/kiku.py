"""The composed bot, as its doors see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bot.answer import Answerer
    from bot.records import Answer
    from bot.settings import Settings
    from bot.store import Store
    from index.retrieve import Retriever


class Kiku(Protocol):
    """What `bot.wiring.Kiku` is to HTTP and Slack. Safe to share between threads.

    `retriever` is the newest one, and raises IndexMissing and its kin while there is none. `ready`
    says `ok` of each part, or what is wrong with it.
    """

    @property
    def settings(self) -> Settings: ...
    @property
    def answerer(self) -> Answerer: ...
    @property
    def store(self) -> Store: ...
    @property
    def retriever(self) -> Retriever: ...
    def ready(self) -> dict[str, str]: ...
    def close(self) -> None: ...


class Tally(Protocol):
    """Counts what a door gave and got, for operators; see `bot.http.metrics.Metrics`."""

    def answer(self, answer: Answer, channel: str) -> None: ...
    def feedback(self, rating: str) -> None: ...
