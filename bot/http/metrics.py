"""What Prometheus reads at `/metrics`. No question, name or key ever becomes a label."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from bot.records import Answer

# Seconds: an answer takes milliseconds, one that an LLM writes takes seconds.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TENTHS = tuple(tenth / 10 for tenth in range(1, 11))


class Metrics:
    """The measures of one service, in a registry of its own so that two can live in a process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = Counter(
            "kiku_requests",
            "Requests by route and status",
            ["route", "method", "status"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "kiku_request_seconds",
            "Time to the end of a response",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._stage_seconds = Histogram(
            "kiku_stage_seconds",
            "Time spent in a stage of answering",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._answers = Counter(
            "kiku_answers",
            "Answers by outcome, channel and composer",
            ["status", "channel", "composer"],
            registry=registry,
        )
        self._confidence = Histogram(
            "kiku_confidence",
            "Confidence of answers",
            buckets=_TENTHS,
            registry=registry,
        )
        self._feedback = Counter("kiku_feedback", "Ratings", ["rating"], registry=registry)
        self.running = Gauge("kiku_answers_running", "Answers worked on", registry=registry)
        self.waiting = Gauge("kiku_answers_waiting", "Requests in the queue", registry=registry)
        self.overloaded = Counter(
            "kiku_overloaded", "Requests refused because of load", registry=registry
        )
        self._index_age = Gauge(
            "kiku_index_age_seconds", "Time since the served index was built", registry=registry
        )
        self._documents = Gauge("kiku_documents", "Documents served", registry=registry)

    def watch_index(self, age: Callable[[], float], documents: Callable[[], float]) -> None:
        """Reads the index's age (seconds) and its number of documents whenever it is scraped."""
        self._index_age.set_function(age)
        self._documents.set_function(documents)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Counts a response."""
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def stage(self, stage: str, seconds: float) -> None:
        """Adds the time that a stage took."""
        self._stage_seconds.labels(stage).observe(seconds)

    def answer(self, answer: Answer, channel: str) -> None:
        """Counts an answer."""
        self._answers.labels(answer.status, channel, answer.composer).inc()
        self._confidence.observe(answer.confidence)

    def feedback(self, rating: str) -> None:
        """Counts a rating."""
        self._feedback.labels(rating).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
