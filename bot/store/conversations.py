"""What Kiku remembers: conversations, answers with their citations, ratings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, Table, delete, func, select, text, update
from sqlalchemy.orm import Session, selectinload

from bot.records import Answer, Citation, Question, Turn
from bot.store.database import Database
from bot.store.insights import insights
from bot.store.tables import (
    AnswerRow,
    CitationRow,
    ConversationRow,
    RatingRow,
    SlackQuestionRow,
    storable,
)

CONVERSATIONS, ANSWERS, CITATIONS = (
    cast(Table, row.__table__) for row in (ConversationRow, AnswerRow, CitationRow)
)
_CITATION_FIELDS = tuple(field.name for field in fields(Citation))


@dataclass(frozen=True, slots=True)
class StoredRating:
    """What one person thought of an answer; `by` is an opaque name, empty where unknown."""

    rating: Literal["up", "down"]
    comment: str
    by: str
    rated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A question with the answer it got and what people thought of it."""

    question: str
    answer: Answer
    asked_at: datetime
    ratings: tuple[StoredRating, ...]


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A conversation, its answers oldest first. `owner` is who asked the first question."""

    id: str
    channel: str
    owner: str
    created_at: datetime
    updated_at: datetime
    answers: tuple[StoredAnswer, ...]


class Store:
    """Conversations and feedback in one database. Thread-safe; a method is one transaction.

    Every method raises StoreUnavailable when the database cannot be used.
    """

    def __init__(self, database: Database, *, retention_days: int = 0) -> None:
        self.database = database
        # Built once, and of tables rather than classes: it is written at every answer.
        conversation, answers = database.insert(CONVERSATIONS), database.insert(ANSWERS)
        self._touch = conversation.on_conflict_do_update(
            index_elements=["id"], set_={"updated_at": conversation.excluded.updated_at}
        )
        self._insert = answers.on_conflict_do_nothing().returning(ANSWERS.c.number)
        self._insert_citations = database.insert(CITATIONS)
        self._retention = timedelta(days=retention_days)
        self._cleaned = datetime.min.replace(tzinfo=UTC)
        self._cleaning = Lock()

    @classmethod
    def open(cls, url: str, *, retention_days: int = 0) -> Store:
        """The store at an SQLAlchemy URL, made and migrated if need be.

        With `retention_days` above 0, older conversations are removed now and once a day.
        """
        store = cls(Database.open(url), retention_days=retention_days)
        store._clean()
        return store

    def close(self) -> None:
        """Gives the connections back."""
        self.database.close()

    def check(self) -> None:
        """Raises StoreUnavailable when the database does not answer. Where nobody asks anything, the
        probes that call this see to the retention time."""
        self._clean()
        with self.database.read() as session:
            session.execute(text("SELECT 1 FROM conversations LIMIT 1"))

    def record(self, question: Question, answer: Answer) -> None:
        """Writes a question and its answer with all citations, or nothing. Again: no change."""
        now = datetime.now(UTC)
        # Nobody waits for the disk here: sixty answers a second would be more than many can sync.
        with self.database.write(quick=True) as session:
            connection = session.connection()  # tables have no use for the session's own work
            connection.execute(self._touch, _conversation_values(question, answer, now))
            number = connection.scalar(self._insert, _answer_values(question, answer, now))
            citations = [_citation_values(number, citation) for citation in answer.citations]
            if number is not None and citations:
                connection.execute(self._insert_citations, citations)
        self._clean()

    def turns(
        self, conversation_id: str, limit: int = 20, *, before: str | None = None
    ) -> tuple[Turn, ...]:
        """The last `limit` turns of a conversation, oldest first; only those before an answer id
        where `before` is given."""
        query = (
            select(AnswerRow.question, AnswerRow.answer)
            .where(AnswerRow.conversation_id == conversation_id)
            .order_by(AnswerRow.number.desc())
            .limit((limit + 1) // 2)
        )
        if before is not None:
            number = select(AnswerRow.number).where(AnswerRow.id == before).scalar_subquery()
            query = query.where(AnswerRow.number < number)
        with self.database.read() as session:
            rows = session.execute(query).all()
        turns = [
            turn
            for asked, answered in reversed(rows)
            for turn in (Turn("user", asked), Turn("assistant", answered))
        ]
        return tuple(turns[-limit:]) if limit > 0 else ()

    def conversation(
        self, conversation_id: str, owner: str | None = None
    ) -> StoredConversation | None:
        """A conversation, or None where there is none, or, with `owner`, it is somebody else's."""
        with self.database.read() as session:
            row = session.get(
                ConversationRow, conversation_id, options=[_WITH_EVERYTHING_BELOW_CONVERSATION]
            )
            if row is None or (owner is not None and row.owner != owner):
                return None
            return StoredConversation(
                row.id,
                row.channel,
                row.owner,
                row.created_at,
                row.updated_at,
                tuple(_stored_answer(answer) for answer in row.answers),
            )

    def owner(self, conversation_id: str) -> str | None:
        """Who asked the first question of a conversation; None where there is no such one."""
        query = select(ConversationRow.owner).where(ConversationRow.id == conversation_id)
        with self.database.read() as session:
            return session.scalar(query)

    def answer(self, answer_id: str) -> StoredAnswer | None:
        """One answer, or None."""
        with self.database.read() as session:
            row = session.scalar(
                select(AnswerRow).where(AnswerRow.id == answer_id).options(*_WITH_EVERYTHING)
            )
            return None if row is None else _stored_answer(row)

    def questions_of(self, asker: str, limit: int = 5) -> list[str]:
        """The last questions of one person, newest first, each once."""
        newest = func.max(AnswerRow.number)
        query = (
            select(AnswerRow.question)
            .where(AnswerRow.asker == asker)
            .group_by(AnswerRow.question)
            .order_by(newest.desc())
            .limit(limit)
        )
        with self.database.read() as session:
            return list(session.scalars(query))

    def rate(
        self, answer_id: str, rating: Literal["up", "down"], comment: str = "", by: str = ""
    ) -> bool:
        """Keeps what somebody thinks of an answer; the same person again replaces it.

        False where there is no such answer.
        """
        now = datetime.now(UTC)
        with self.database.write() as session:
            # Locked, so that two ratings of one person at once cannot both be the first.
            answer = select(AnswerRow.number).where(AnswerRow.id == answer_id).with_for_update()
            number = session.scalar(answer)
            if number is None:
                return False
            row = RatingRow(answer_number=number, by=storable(by), rating=rating, comment=comment)
            row.rated_at, row.day = now, _local_day(now)
            session.merge(row)
        return True

    def forget(self, *, conversation_id: str | None = None, before: datetime | None = None) -> int:
        """Removes one conversation, or all that were last used before a moment, with their
        answers, ratings and Slack messages. Gives how many conversations went; neither
        argument removes nothing."""
        matches: list[ColumnElement[bool]] = []
        if conversation_id is not None:
            matches.append(ConversationRow.id == conversation_id)
        if before is not None:
            matches.append(ConversationRow.updated_at < before)
        if not matches:
            return 0
        going = select(ConversationRow.id).where(*matches)
        with self.database.write() as session:
            session.execute(delete(SlackQuestionRow).where(SlackQuestionRow.lane.in_(going)))
            if before is not None:
                _forget_finished_slack_questions(session, before)
            count = _deleted(session, delete(ConversationRow).where(*matches))
        self.database.wipe()
        return count

    def forget_answer(self, answer_id: str) -> bool:
        """Removes one question and its answer; the rest of the conversation stays."""
        with self.database.write() as session:
            count = _deleted(session, delete(AnswerRow).where(AnswerRow.id == answer_id))
        self.database.wipe()
        return count > 0

    def move_answer(self, answer_id: str, conversation_id: str) -> None:
        """Lets another conversation go on from an answer: one that was private and is published."""
        now = datetime.now(UTC)
        with self.database.write() as session:
            owner = session.scalar(select(AnswerRow.asker).where(AnswerRow.id == answer_id))
            if owner is None:
                return
            values = {"id": storable(conversation_id), "channel": "slack", "owner": owner}
            moments = {"created_at": now, "updated_at": now}
            session.connection().execute(self._touch, values | moments)
            moved = update(AnswerRow).where(AnswerRow.id == answer_id)
            session.execute(moved.values(conversation_id=values["id"]))

    def judged(self) -> Iterator[tuple[tuple[Turn, ...], StoredAnswer]]:
        """Every answer that was rated or found nothing, oldest first, with the turns before it."""
        wanted = (AnswerRow.status == "not_found") | AnswerRow.ratings.any()
        query = select(AnswerRow).where(wanted).order_by(AnswerRow.number)
        with self.database.read() as session:
            answers = [
                _stored_answer(row) for row in session.scalars(query.options(*_WITH_EVERYTHING))
            ]
        for answer in answers:
            yield self.turns(answer.answer.conversation_id, before=answer.answer.id), answer

    def insights(self, days: int = 30) -> dict[str, Any]:
        """What people asked in the last `days` days; see `bot.store.insights.insights`."""
        with self.database.read() as session:
            return insights(session, days)

    def _clean(self) -> None:
        """Removes what is older than the retention time, at most once a day."""
        now = datetime.now(UTC)
        with self._cleaning:
            if not self._retention or now - self._cleaned < timedelta(days=1):
                return
            self._cleaned = now
        self.forget(before=now - self._retention)


_WITH_EVERYTHING = (selectinload(AnswerRow.citations), selectinload(AnswerRow.ratings))
_WITH_EVERYTHING_BELOW_CONVERSATION = selectinload(ConversationRow.answers).options(
    *_WITH_EVERYTHING
)


def _local_day(moment: datetime) -> str:
    return moment.astimezone().date().isoformat()


def _deleted(session: Session, statement: Any) -> int:
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def _forget_finished_slack_questions(session: Session, before: datetime) -> None:
    session.execute(
        delete(SlackQuestionRow).where(
            SlackQuestionRow.state == "done", SlackQuestionRow.finished_at < before
        )
    )


def _conversation_values(question: Question, answer: Answer, now: datetime) -> dict[str, Any]:
    return {
        "id": answer.conversation_id,
        "channel": question.channel,
        "owner": question.asker,
        "created_at": now,
        "updated_at": now,
    }


def _answer_values(question: Question, answer: Answer, now: datetime) -> dict[str, Any]:
    return {
        "id": answer.id,
        "conversation_id": answer.conversation_id,
        "question": question.text,
        "answer": answer.answer,
        "status": answer.status,
        "confidence": answer.confidence,
        "language": answer.language,
        "composer": answer.composer,
        "channel": question.channel,
        "asker": question.asker,
        "took_ms": answer.took_ms,
        "asked_at": now,
        "day": _local_day(now),
    }


def _citation_values(answer_number: int | None, citation: Citation) -> dict[str, Any]:
    values = {name: getattr(citation, name) for name in _CITATION_FIELDS}
    heading = [storable(title) for title in citation.heading]
    return {**values, "heading": heading, "answer_number": answer_number}


def _stored_answer(row: AnswerRow) -> StoredAnswer:
    answer = Answer(
        id=row.id,
        status=row.status,  # type: ignore[arg-type]
        answer=row.answer,
        confidence=row.confidence,
        conversation_id=row.conversation_id,
        citations=tuple(_citation(citation) for citation in row.citations),
        took_ms=row.took_ms,
        language=row.language,  # type: ignore[arg-type]
        composer=row.composer,  # type: ignore[arg-type]
    )
    ratings = tuple(
        StoredRating(rating.rating, rating.comment, rating.by, rating.rated_at)  # type: ignore[arg-type]
        for rating in row.ratings
    )
    return StoredAnswer(row.question, answer, row.asked_at, ratings)


def _citation(row: CitationRow) -> Citation:
    values = {name: getattr(row, name) for name in _CITATION_FIELDS}
    return Citation(**{**values, "heading": tuple(row.heading)})
