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
from typing import Any, Literal, cast

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Row,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    func,
    or_,
    select,
    text,
    update,
)

from bot.store.database import Database
from bot.store.tables import SlackQuestionRow, storable

Kind = Literal["message", "edit", "delete", "command", "publish", "greeting"]
TOLD_AT_ONCE = 50  # people who are told at once that they wait
_TABLE = cast(Table, SlackQuestionRow.__table__)
_T = _TABLE.c
_OWED = ("queued", "running", "posting")  # `state != 'done'`, by the index


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


def _next() -> Select[tuple[int]]:
    """The oldest row that is due, or whose owner is gone, in a thread where nothing is running and
    nothing older waits, and in a channel that is not `busy`."""
    other = _TABLE.alias().c
    older = or_(
        other.event_ts < _T.event_ts,
        and_(other.event_ts == _T.event_ts, other.number < _T.number),
    )
    before = (
        select(other.number)
        .where(other.lane == _T.lane, other.number != _T.number, other.state.in_(_OWED))
        .where(or_(other.state != "queued", older))
        .exists()
    )
    now: BindParameter[Any] = bindparam("now")
    due = or_(
        and_(_T.state == "queued", or_(_T.until.is_(None), _T.until <= now)),
        and_(_T.state.in_(("running", "posting")), _T.until <= now),
    )
    query = select(_T.number).where(due, ~before)
    query = query.where(_T.channel.not_in(bindparam("busy", expanding=True)))
    return query.order_by(_T.event_ts, _T.number).limit(1)


def _waiting() -> Select[Any]:
    """The rows that wait since `before` and were not told so, with what is owed before each."""
    place = func.row_number().over(order_by=(_T.event_ts, _T.number)).label("place")
    owed = select(_T.number, place).where(_T.state.in_(_OWED)).subquery()
    query = select(_TABLE, owed.c.place).join(owed, owed.c.number == _T.number)
    query = query.where(_T.state == "queued", _T.attempts == 0, _T.notice == "")
    query = query.where(_T.received_at < bindparam("before"))
    return query.order_by(owed.c.place).limit(TOLD_AT_ONCE)


# Built once: building one takes longer than running it, and they run at every question.
_NEXT = _next()
_CLAIM = (
    update(_TABLE)
    .where(_T.number == _NEXT.scalar_subquery())
    .values(
        state="running",
        owner=bindparam("me"),
        until=bindparam("lease"),
        attempts=_T.attempts + 1,
    )
    .returning(_TABLE)
)
_POST = (
    update(_TABLE)
    .where(_T.number == bindparam("job"), _T.owner == bindparam("me"))
    .values(state="posting", answer_id=bindparam("answer"))
)
_FINISH = (
    update(_TABLE)
    .where(_T.number == bindparam("job"))
    .values(
        state="done",
        finished_at=bindparam("now"),
        reply_ts=bindparam("reply"),
        answer_id=bindparam("answer"),
        owner="",
        request={},
    )
)
_WAITING = _waiting()
_UNFINISHED = select(func.count()).where(_T.state.in_(_OWED))
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(1265200000)")  # an arbitrary number


class Ledger:
    """The table behind the inbox. `owner` names this process; what it has taken on is its own for
    `lease` seconds and must be extended before. Thread-safe, also between processes."""

    def __init__(self, database: Database, owner: str, *, lease: float = 30.0) -> None:
        self._database = database
        self._owner = owner
        self.lease = lease
        insert = database.insert(_TABLE)
        self._insert = insert.on_conflict_do_nothing().returning(_T.number)

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
            return session.scalar(self._insert, values) is not None

    def take(self, *, busy_channels: Collection[str] = ()) -> Job | None:
        """The oldest delivery that is due and whose thread is free, now this process's own."""
        now = datetime.now(UTC)
        asked = {"now": now, "busy": list(busy_channels)}
        with self._database.read() as session:  # mostly there is none, and nobody need wait for it
            if session.scalar(_NEXT, asked) is None:
                return None
        lease = {"me": self._owner, "lease": now + timedelta(seconds=self.lease)}
        with self._database.write(quick=True) as session:
            if session.get_bind().dialect.name == "postgresql":
                # Two replicas must not start two rows of one thread at the same moment.
                session.execute(_ONE_AT_A_TIME)
            row = session.execute(_CLAIM, {**asked, **lease}).first()
            return None if row is None else _job(row)

    def extend(self, numbers: Collection[int]) -> None:
        """Keeps what this process has taken on for another lease."""
        own = and_(_T.owner == self._owner, _T.number.in_(numbers), _T.state.in_(_OWED))
        self._change(own, until=datetime.now(UTC) + timedelta(seconds=self.lease))

    def take_over(self) -> None:
        """Makes due at once what dead processes of this host had taken on."""
        running = select(_T.owner).where(_T.state.in_(("running", "posting"))).distinct()
        with self._database.read() as session:
            dead = [owner for owner in session.scalars(running) if _dead(owner, self._owner)]
        if dead:
            self._change(and_(_T.owner.in_(dead), _T.state.in_(_OWED)), until=datetime.now(UTC))

    def posting(self, job: Job, answer_id: str) -> bool:
        """Writes down that the reply is about to be posted; False when the job was taken away."""
        values = {"job": job.number, "me": self._owner, "answer": answer_id}
        return self._run(_POST, values, quick=False) > 0

    def note(self, number: int, **values: str) -> None:
        """Writes down `notice` or `reply_ts` of a delivery."""
        self._run(update(_TABLE).where(_T.number == number).values(**values), {}, quick=False)

    def postpone(self, number: int, seconds: float) -> None:
        """Puts a delivery back, due again after `seconds`."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        self._change(_T.number == number, state="queued", owner="", until=until)

    def finish(self, number: int, *, reply_ts: str = "", answer_id: str = "") -> None:
        """Closes a delivery and drops its text; the row stays, to know the delivery again."""
        now = datetime.now(UTC)
        self._run(_FINISH, {"job": number, "now": now, "reply": reply_ts, "answer": answer_id})

    def reply_to(self, team: str, channel: str, ts: str) -> tuple[str, str] | None:
        """`ts` and answer id of the last reply to a message, None where it was never asked here.

        Both are empty for a message that is still waiting or that got no reply.
        """
        query = (
            select(_T.reply_ts, _T.answer_id)
            .where(_T.team == team, _T.channel == channel, _T.ts == _short(ts))
            .where(_T.kind.in_(("message", "edit")))
            .order_by((_T.reply_ts != "").desc(), _T.number.desc())
            .limit(1)
        )
        with self._database.read() as session:
            found = session.execute(query).first()
        return None if found is None else (found[0], found[1])

    def deleted(self, team: str, channel: str, ts: str) -> bool:
        """Whether the message was deleted in Slack since."""
        query = select(_T.number).where(
            _T.team == team, _T.channel == channel, _T.ts == _short(ts), _T.kind == "delete"
        )
        with self._database.read() as session:
            return session.scalar(query.limit(1)) is not None

    def unfinished(self) -> int:
        """How many deliveries are not done yet, of all processes."""
        with self._database.read() as session:
            return session.scalar(_UNFINISHED) or 0

    def waiting(self, longer_than: float) -> list[tuple[Job, int]]:
        """What has waited for `longer_than` seconds and was not told so, each with how many
        deliveries are before it."""
        before = datetime.now(UTC) - timedelta(seconds=longer_than)
        with self._database.read() as session:
            rows = session.execute(_WAITING, {"before": before}).all()
        return [(_job(row), row.place - 1) for row in rows]

    def _change(self, which: ColumnElement[bool], **values: Any) -> None:
        self._run(update(_TABLE).where(which).values(**values), {})

    def _run(self, change: Update, values: dict[str, Any], *, quick: bool = True) -> int:
        """Gives how many rows were changed. A quick one can be lost with the machine: then the
        reply, whose `posting` is not, is looked for in Slack before it is posted again."""
        with self._database.write(quick=quick) as session:
            done = session.execute(change, values)
            return int(done.rowcount)  # type: ignore[attr-defined]


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


def _job(row: Row[Any]) -> Job:
    return Job(
        number=row.number,
        kind=row.kind,
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
