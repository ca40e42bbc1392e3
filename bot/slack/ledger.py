"""The durable list of what Slack delivered and Kiku still owes: nothing is lost or done twice."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from secrets import token_hex
from typing import Any, Literal

from sqlalchemy import Select, and_, func, or_, select, text, update
from sqlalchemy.orm import aliased

from bot.store.database import Database
from bot.store.tables import SlackQuestionRow as Row
from bot.store.tables import storable

Kind = Literal["message", "edit", "delete", "command", "publish", "greeting"]
TOLD_AT_ONCE = 50  # people who are told at once that they wait
_TAKING = 0x4B696B76  # an arbitrary number for pg_advisory_xact_lock


@dataclass(frozen=True, slots=True)
class Delivery:
    """What Slack delivered. `ts` names the message, `version` its edit; `lane` is the thread.

    `request` is what the reply is made from, as JSON: `text`, `user`, `thread_ts`, …
    """

    team: str
    channel: str
    ts: str
    lane: str
    kind: Kind
    request: dict[str, Any]
    event_ts: str
    version: str = ""
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A delivery that this process has taken on. `recovered` says that somebody had it before and
    may have posted already; `answer_id` is the answer that was about to be posted."""

    number: int
    kind: Kind
    team: str
    channel: str
    ts: str
    version: str
    lane: str
    request: dict[str, Any] = field(repr=False)
    attempts: int
    recovered: bool
    notice: str
    reply_ts: str
    answer_id: str
    received_at: datetime

    @property
    def key(self) -> str:
        """Names this delivery in the metadata of the reply, so that it can be found again."""
        return sha256(
            "\n".join((self.team, self.channel, self.ts, self.version)).encode()
        ).hexdigest()


class Ledger:
    """The table behind the inbox. `owner` names this process; what it has taken on is its own for
    `lease` seconds and must be extended before. Thread-safe, also between processes."""

    def __init__(self, database: Database, owner: str, *, lease: float = 30.0) -> None:
        self._database = database
        self._owner = owner
        self.lease = lease

    def add(self, delivery: Delivery) -> bool:
        """Writes a delivery down; False when it is known already. Returns once it is durable."""
        values = {
            "event_id": delivery.event_id,
            "team": delivery.team,
            "channel": delivery.channel,
            "ts": _short(delivery.ts),
            "version": _short(delivery.version),
            "event_ts": _short(delivery.event_ts),
            "lane": delivery.lane,
            "kind": delivery.kind,
            "request": _clean(delivery.request),
            "received_at": datetime.now(UTC),
            "state": "queued",
            "attempts": 0,
            **dict.fromkeys(("owner", "notice", "reply_ts", "answer_id"), ""),
        }
        with self._database.write() as session:
            insert = self._database.insert(Row).values(**values).on_conflict_do_nothing()
            return session.scalar(insert.returning(Row.number)) is not None

    def take(self, *, busy_channels: Collection[str] = ()) -> Job | None:
        """The oldest delivery that is due and whose thread is free, now this process's own."""
        now = datetime.now(UTC)
        chosen = update(Row).where(Row.number == _next(now, busy_channels).scalar_subquery())
        claim = chosen.values(
            state="running",
            owner=self._owner,
            until=now + timedelta(seconds=self.lease),
            attempts=Row.attempts + 1,
        )
        with self._database.write() as session:
            if session.get_bind().dialect.name == "postgresql":
                # Two replicas must not start two rows of one thread at the same moment.
                session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _TAKING})
            row = session.scalar(claim.returning(Row).execution_options(synchronize_session=False))
            return None if row is None else _job(row)

    def extend(self, numbers: Collection[int]) -> None:
        """Keeps what this process has taken on for another lease."""
        own = and_(Row.owner == self._owner, Row.number.in_(numbers), Row.state != "done")
        with self._database.write() as session:
            session.execute(
                update(Row)
                .where(own)
                .values(until=datetime.now(UTC) + timedelta(seconds=self.lease))
            )

    def take_over(self) -> None:
        """Makes due at once what dead processes of this host had taken on."""
        running = select(Row.owner).where(Row.state.in_(("running", "posting"))).distinct()
        with self._database.read() as session:
            dead = [owner for owner in session.scalars(running) if _dead(owner, self._owner)]
        if dead:
            left = update(Row).where(Row.owner.in_(dead), Row.state != "done")
            with self._database.write() as session:
                session.execute(left.values(until=datetime.now(UTC)))

    def posting(self, job: Job, answer_id: str) -> bool:
        """Writes down that the reply is about to be posted; False when the job was taken away."""
        own = update(Row).where(Row.number == job.number, Row.owner == self._owner)
        with self._database.write() as session:
            done = session.execute(own.values(state="posting", answer_id=answer_id))
            return bool(done.rowcount)  # type: ignore[attr-defined]

    def note(self, number: int, **values: str) -> None:
        """Writes down `notice` or `reply_ts` of a delivery."""
        with self._database.write() as session:
            session.execute(update(Row).where(Row.number == number).values(**values))

    def postpone(self, number: int, seconds: float) -> None:
        """Puts a delivery back, due again after `seconds`."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        with self._database.write() as session:
            put_back = update(Row).where(Row.number == number)
            session.execute(put_back.values(state="queued", owner="", until=until))

    def finish(self, number: int, *, reply_ts: str = "", answer_id: str = "") -> None:
        """Closes a delivery and drops its text; the row stays, to know the delivery again."""
        values = {"reply_ts": reply_ts, "answer_id": answer_id, "owner": "", "request": {}}
        with self._database.write() as session:
            done = update(Row).where(Row.number == number)
            session.execute(done.values(state="done", finished_at=datetime.now(UTC), **values))

    def reply_to(self, team: str, channel: str, ts: str) -> tuple[str, str] | None:
        """`ts` and answer id of the last reply to a message, None where it was never asked here.

        Both are empty for a message that is still waiting or that got no reply.
        """
        query = (
            select(Row.reply_ts, Row.answer_id)
            .where(Row.team == team, Row.channel == channel, Row.ts == _short(ts))
            .where(Row.kind.in_(("message", "edit")))
            .order_by((Row.reply_ts != "").desc(), Row.number.desc())
            .limit(1)
        )
        with self._database.read() as session:
            found = session.execute(query).first()
        return None if found is None else (found[0], found[1])

    def deleted(self, team: str, channel: str, ts: str) -> bool:
        """Whether the message was deleted in Slack since."""
        query = select(Row.number).where(
            Row.team == team, Row.channel == channel, Row.ts == _short(ts), Row.kind == "delete"
        )
        with self._database.read() as session:
            return session.scalar(query.limit(1)) is not None

    def unfinished(self) -> int:
        """How many deliveries are not done yet, of all processes."""
        with self._database.read() as session:
            return session.scalar(select(func.count()).where(Row.state != "done")) or 0

    def waiting(self, longer_than: float) -> list[tuple[Job, int]]:
        """What has waited for `longer_than` seconds and was not told so, each with how many
        deliveries are before it."""
        before = datetime.now(UTC) - timedelta(seconds=longer_than)
        query = (
            select(Row)
            .where(Row.state == "queued", Row.attempts == 0, Row.received_at < before)
            .where(Row.notice == "")
            .order_by(Row.event_ts, Row.number)
            .limit(TOLD_AT_ONCE)
        )
        with self._database.read() as session:
            rows = session.scalars(query).all()
            return [(_job(row), place) for place, row in enumerate(rows)]


@cache
def process_name() -> str:
    """Names this process: host, process id, and something that a later process of that id lacks."""
    return f"{socket.gethostname()}:{os.getpid()}:{token_hex(4)}"


def _dead(owner: str, own: str) -> bool:
    host, pid, _ = owner.rsplit(":", 2)
    own_host, own_pid, _ = own.rsplit(":", 2)
    if host != own_host or owner == own:
        return False
    if pid == own_pid:
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _next(now: datetime, busy_channels: Collection[str]) -> Select[int]:
    """The oldest row that is due, or whose owner is gone, in a thread where nothing is running and
    nothing older waits."""
    other = aliased(Row)
    older = or_(
        other.event_ts < Row.event_ts,
        and_(other.event_ts == Row.event_ts, other.number < Row.number),
    )
    before = (
        select(other.number)
        .where(other.lane == Row.lane, other.number != Row.number, other.state != "done")
        .where(or_(other.state != "queued", older))
        .exists()
    )
    due = or_(
        and_(Row.state == "queued", or_(Row.until.is_(None), Row.until <= now)),
        and_(Row.state.in_(("running", "posting")), Row.until <= now),
    )
    query = select(Row.number).where(due, ~before)
    if busy_channels:
        query = query.where(Row.channel.not_in(busy_channels))
    return query.order_by(Row.event_ts, Row.number).limit(1)


def _job(row: Row) -> Job:
    return Job(
        number=row.number,
        kind=row.kind,  # type: ignore[arg-type]
        team=row.team,
        channel=row.channel,
        ts=row.ts,
        version=row.version,
        lane=row.lane,
        request=dict(row.request),
        attempts=row.attempts,
        recovered=row.attempts > 1,
        notice=row.notice,
        reply_ts=row.reply_ts,
        answer_id=row.answer_id,
        received_at=row.received_at,
    )


def _short(name: str) -> str:
    """A name that fits its column; Slack promises no length for the ids of commands."""
    return name if len(name) <= 64 else sha256(name.encode()).hexdigest()


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {key: _clean(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return value
