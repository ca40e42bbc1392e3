"""Works through the ledger: bounded, in order within a thread, and on after a crash."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import structlog

from bot.errors import StoreUnavailable
from bot.slack.ledger import Delivery, Job, Ledger

POLL_SECONDS = 1.0  # how soon the work of a crashed replica, or a retry that came due, is seen
# Deliveries of one moment are read by several threads; a short wait lets them line up by time.
SETTLE_SECONDS = 0.02
SLOW_SECONDS = 1.5  # after which people are told that they wait
PER_CHANNEL = 2  # Slack takes one message a second and channel; more workers there only wait
RETRY_SECONDS = 5.0  # after a failure that nobody answered for
ATTEMPTS = 12  # after which a delivery is given up, so that none can go round for ever
GIVING_UP = 3  # attempts to say so

log = structlog.get_logger(__name__)


class Handler(Protocol):
    """Answers for one job; finishes or postpones it in the ledger."""

    def handle(self, job: Job) -> None: ...

    def give_up(self, job: Job) -> None:
        """Finishes, with an excuse, a job that was begun `ATTEMPTS` times."""

    def waiting(self, job: Job, before: int) -> None:
        """The job has been waiting for a while, with `before` others before it."""

    def slow(self, job: Job) -> None:
        """The job is being worked on, and takes long."""


@dataclass(slots=True)
class _Running:
    job: Job
    since: float
    told: bool = False


class Inbox:
    """Hands what is in the ledger to a handler, at most `workers` jobs at a time."""

    def __init__(self, ledger: Ledger, handler: Handler, *, workers: int = 8) -> None:
        self._ledger = ledger
        self._handler = handler
        self._free = threading.Semaphore(workers)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="slack-worker")
        self._running: dict[int, _Running] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._dispatcher = threading.Thread(target=self._dispatch, name="slack-inbox", daemon=True)
        # What people are told goes through Slack, and leases cannot wait for Slack.
        self._keeper = self._thread("slack-lease", ledger.lease / 4, self._extend_leases)
        self._teller = self._thread("slack-notices", 0.5, self._tell_those_who_wait)

    def _thread(self, name: str, seconds: float, work: Callable[[], None]) -> threading.Thread:
        return threading.Thread(
            target=self._again_and_again, args=(seconds, work), name=name, daemon=True
        )

    def start(self) -> None:
        """Begins to work, with what an earlier process left behind."""
        self._ledger.take_over()
        self._dispatcher.start()
        self._keeper.start()
        self._teller.start()
        self._changed.set()

    def stop(self) -> None:
        """Takes nothing new on and returns when what is running is finished."""
        self._stopping.set()
        self._changed.set()
        self._dispatcher.join()
        self._pool.shutdown(wait=True)
        self._stopped.set()
        self._keeper.join()
        self._teller.join()

    def put(self, delivery: Delivery) -> bool:
        """Takes a delivery in, durably; False when it is known already.

        Raises StoreUnavailable: then it must not be acknowledged, so that Slack sends it again.
        """
        new = self._ledger.add(delivery)
        self._changed.set()
        return new

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            if self._changed.wait(POLL_SECONDS):
                self._changed.clear()
                self._stopping.wait(SETTLE_SECONDS)
            try:
                while not self._stopping.is_set() and self._start_one():
                    pass
            except StoreUnavailable as error:
                log.error("slack_inbox_stalled", reason=error.message)
                self._stopping.wait(POLL_SECONDS)

    def _start_one(self) -> bool:
        """Starts the next job; False when there is none to start or nobody to do it."""
        if not self._free.acquire(timeout=POLL_SECONDS):
            return False
        job = None
        try:
            job = self._ledger.take(busy_channels=self._full_channels())
        finally:
            if job is None:
                self._free.release()
        if job is None:
            return False
        with self._lock:
            ours = job.number in self._running
            if not ours:
                self._running[job.number] = _Running(job, time.monotonic())
        if ours:  # its lease ran out while the database was away; now it is extended
            self._free.release()
        else:
            self._pool.submit(self._run, job)
        return True

    def _full_channels(self) -> list[str]:
        with self._lock:
            busy = Counter(running.job.channel for running in self._running.values())
        return [channel for channel, count in busy.items() if count >= PER_CHANNEL]

    def _run(self, job: Job) -> None:
        try:
            if job.attempts <= ATTEMPTS:
                self._handler.handle(job)
            elif job.attempts <= ATTEMPTS + GIVING_UP:
                self._handler.give_up(job)
            else:
                log.error("slack_job_given_up", job=job.number, kind=job.kind)
                self._ledger.finish(job.number)
        except Exception:
            # The handler answers for what can go wrong with Slack and with the answer; this is a
            # defect of Kiku, or the database went away.
            log.exception("slack_job_failed", job=job.number, kind=job.kind)
            self._put_back(job)
        finally:
            with self._lock:
                del self._running[job.number]
            self._free.release()
            self._changed.set()

    def _put_back(self, job: Job) -> None:
        try:
            self._ledger.postpone(job.number, RETRY_SECONDS)
        except StoreUnavailable as error:  # its lease runs out, and it is taken again then
            log.error("slack_inbox_stalled", reason=error.message)

    def _again_and_again(self, seconds: float, work: Callable[[], None]) -> None:
        while not self._stopped.wait(seconds):
            try:
                work()
            except Exception:  # Slack or the database is away: the thread has to outlive that
                log.exception("slack_inbox_stalled")

    def _extend_leases(self) -> None:
        if running := self._now_running():
            self._ledger.extend([one.job.number for one in running])

    def _tell_those_who_wait(self) -> None:
        """Tells people who wait that they wait."""
        for one in self._now_running():
            if not one.told and time.monotonic() - one.since > SLOW_SECONDS:
                one.told = True
                self._ledger.note(one.job.number, notice="slow")
                self._handler.slow(one.job)
        for job, before in self._ledger.waiting(SLOW_SECONDS):
            if self._stopped.is_set():
                return
            self._ledger.note(job.number, notice="waiting")
            self._handler.waiting(job, before)

    def _now_running(self) -> list[_Running]:
        with self._lock:
            return list(self._running.values())
