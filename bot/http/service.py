"""What every door of the service shares: the bot behind it, and the counting of what it does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from math import nan
from time import perf_counter
from typing import Any, Literal

import structlog

from bot.errors import StoreUnavailable
from bot.http.auth import Caller
from bot.http.errors import ApiError
from bot.http.metrics import Metrics
from bot.http.models import BuildState, Readiness
from bot.kiku import Kiku
from bot.records import Answer, Citation, Language, Question, Turn
from bot.settings import Settings
from bot.suggestions import Suggestions
from index.errors import KikuError
from index.records import Document, Hit

RETRY_OPENING = 1.0  # seconds between two tries to open what was not there
_log = structlog.get_logger("kiku.service")


class Service:
    """The bot, opened in the background, and asked on behalf of a caller. Thread-safe."""

    def __init__(self, settings: Settings, connect: Callable[[], Kiku], metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self._connect = connect
        self._kiku: Kiku | None = None
        self._obstacle: KikuError | None = None
        self._stopping = threading.Event()
        self._build = _Build()
        self._suggestions = Suggestions(
            lambda: self.kiku.retriever, lambda question: self.kiku.answerer.ask(question)
        )
        metrics.watch_index(self._index_age, self._index_documents)

    def start(self) -> None:
        """Begins to open the bot; `/readyz` tells how far it is."""
        threading.Thread(target=self._open, name="kiku-open", daemon=True).start()

    def stop(self) -> None:
        """Closes what was opened. Answers under way have ended by now."""
        self._stopping.set()
        if self._kiku is not None:
            self._kiku.close()

    @property
    def kiku(self) -> Kiku:
        """The bot. Raises ApiError `starting`, or what keeps it from opening."""
        if self._kiku is not None:
            return self._kiku
        if self._obstacle is not None:
            raise self._obstacle
        raise ApiError(503, "starting", headers={"Retry-After": "2"})

    def ask(
        self,
        question: Question,
        caller: Caller,
        *,
        said: Callable[[str], None] | None = None,
        found: Callable[[tuple[Citation, ...]], None] | None = None,
    ) -> Answer:
        """The answer, written to the store; `said` and `found` are those of `Answerer.ask`.

        Raises ApiError and KikuError.
        """
        kiku = self.kiku
        self._check_owner(question, caller)
        with self._stage("answer"):
            answer = kiku.answerer.ask(question, said=said, found=found, spent=self.metrics.stage)
        self.metrics.answer(answer, question.channel)
        try:
            with self._stage("record"):
                kiku.store.record(question, answer)
        except StoreUnavailable as error:  # an answer is worth more than its record
            _log.error("not_recorded", code=error.code, message=error.message)
        text = {"question": question.text} if self.settings.log_questions else {}
        _log.info(
            "answered",
            answer=answer.id,
            status=answer.status,
            confidence=round(answer.confidence, 3),
            channel=question.channel,
            composer=answer.composer,
            **text,
        )
        return answer

    def history(self, said: Iterable[tuple[Literal["user", "assistant"], str]]) -> tuple[Turn, ...]:
        """What was said before a question, each turn cut to the length of a question: reading a
        conversation shall not cost more than answering."""
        longest = self.settings.max_question_chars
        return tuple(Turn(role, content[:longest]) for role, content in said)

    def search(
        self,
        query: str,
        k: int,
        mode: Literal["hybrid", "dense", "lexical"],
        collections: frozenset[str] | None,
    ) -> list[Hit]:
        """Passages, best first. Raises BadQuestion for a query that cannot be searched for."""
        query = self.kiku.answerer.check(query)
        with self._stage("search"):
            return self.kiku.retriever.search(query, k, mode=mode, collections=collections)

    def document(self, document_id: str, caller: Caller) -> Document:
        """A document that the caller may see. Raises ApiError `document_not_found`."""
        document = self.kiku.retriever.document(document_id, caller.collections)
        if document is None:
            raise ApiError(404, "document_not_found")
        return document

    def readiness(self) -> Readiness:
        """Whether questions can be answered, and each component with `ok` or a sentence."""
        try:
            components = self.kiku.ready()
            generation = self.kiku.retriever.generation if components["index"] == "ok" else ""
        except KikuError as error:
            components, generation = {error.code: f"{error.message} {error.hint}".strip()}, ""
        except ApiError as error:
            components, generation = {"index": error.code, "encoder": error.code}, ""
        wrong = {name for name, state in components.items() if state != "ok"}
        # Without an encoder words are still searched for: less than wished for, yet an answer.
        status: Literal["ready", "degraded", "not_ready"] = "not_ready"
        if wrong <= {"encoder"} and generation:
            status = "degraded" if wrong else "ready"
        return Readiness(status=status, components=components, generation=generation)

    def suggestions(self, collections: frozenset[str] | None, language: Language) -> list[str]:
        """Questions about the documents that the bot can answer; looked for once a generation."""
        return self._suggestions(collections, language)

    def rebuild(self) -> BuildState:
        """Begins to build the index anew, unless that is under way already."""
        build = getattr(self.kiku, "rebuild", None)
        if build is None:
            raise ApiError(501, "rebuild_unavailable")
        return self._build.begin(build)

    def build_state(self) -> BuildState:
        """Where the last build begun here stands."""
        return self._build.state

    def _open(self) -> None:
        while not self._stopping.is_set():
            try:
                self._kiku = self._connect()
                _log.info("opened")
                return
            except KikuError as error:
                if self._obstacle is None or self._obstacle.message != error.message:
                    _log.warning("not_opened", code=error.code, message=error.message)
                self._obstacle = error
            except Exception:
                _log.exception("not_opened")
                self._obstacle = KikuError("起動できませんでした。", hint="ログを見てください。")
            self._stopping.wait(RETRY_OPENING)

    def _index_age(self) -> float:
        """Seconds since the served index was built; not a number while there is none."""
        try:
            created = datetime.fromisoformat(self.kiku.retriever.manifest.created)
        except (KikuError, ApiError):
            return nan
        return (datetime.now(created.tzinfo) - created).total_seconds()

    def _index_documents(self) -> float:
        try:
            return float(self.kiku.retriever.manifest.documents)
        except (KikuError, ApiError):
            return 0.0

    def _check_owner(self, question: Question, caller: Caller) -> None:
        if question.conversation_id:
            owner = self.kiku.store.owner(question.conversation_id)
            if owner is None or owner != caller.id:
                raise ApiError(404, "conversation_not_found")

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = perf_counter()
        try:
            yield
        finally:
            self.metrics.stage(name, perf_counter() - began)


class _Build:
    """At most one build at a time, in a thread of its own."""

    def __init__(self) -> None:
        self.state = BuildState(state="idle")
        self._lock = threading.Lock()

    def begin(self, build: Callable[[], Any]) -> BuildState:
        with self._lock:
            if self.state.state != "running":
                self.state = BuildState(state="running", started_at=_now())
                threading.Thread(target=self._run, args=(build,), name="kiku-build").start()
            return self.state

    def _run(self, build: Callable[[], Any]) -> None:
        began = self.state.started_at
        try:
            report = build()
            done = BuildState(
                state="done",
                documents=report.documents,
                passages=report.chunks,
                read=report.read,
                embedded=report.embedded,
                skipped=len(report.skipped),
            )
        except KikuError as error:
            done = BuildState(state="failed", message=f"{error.message} {error.hint}".strip())
        except Exception:
            _log.exception("build_failed")
            done = BuildState(state="failed")
        self.state = done.model_copy(update={"started_at": began, "finished_at": _now()})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
