"""The tables of conversations, feedback and Slack questions. `bot/store/migrations` makes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Moment(TypeDecorator[datetime]):
    """A point in time, kept in UTC without a zone: SQLite has none, and PostgreSQL then agrees."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Words(TypeDecorator[str]):
    """Text that people wrote. NUL (refused by PostgreSQL) and lone surrogates are dropped."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """`text` without the characters that no database takes."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


class Base(DeclarativeBase):
    """All tables of Kiku's database."""

    metadata = MetaData(
        naming_convention={  # a migration can only change a constraint that has a name
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - declared by SQLAlchemy
        datetime: Moment,
        str: Words,
        list[str]: JSON,
        dict[str, Any]: JSON,
    }


class ConversationRow(Base):
    """A conversation: a chat on the page, a thread in Slack."""

    __tablename__ = "conversations"

    id: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str]
    owner: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime] = mapped_column(index=True)
    answers: Mapped[list[AnswerRow]] = relationship(
        order_by="AnswerRow.number", cascade="all, delete-orphan", passive_deletes=True
    )


class AnswerRow(Base):
    """A question and its answer. `number` orders them; `day` is the local date, for counting."""

    __tablename__ = "answers"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    conversation_id: Mapped[str] = mapped_column(
        ForeignKey("conversations.id", ondelete="CASCADE"), index=True
    )
    question: Mapped[str]
    answer: Mapped[str]
    status: Mapped[str] = mapped_column(String(16))
    confidence: Mapped[float]
    language: Mapped[str] = mapped_column(String(8))
    composer: Mapped[str] = mapped_column(String(16))
    channel: Mapped[str]
    asker: Mapped[str]
    took_ms: Mapped[float]
    asked_at: Mapped[datetime] = mapped_column(index=True)
    day: Mapped[str] = mapped_column(String(10), index=True)
    citations: Mapped[list[CitationRow]] = relationship(
        order_by="CitationRow.number", cascade="all, delete-orphan", passive_deletes=True
    )
    ratings: Mapped[list[RatingRow]] = relationship(
        order_by="RatingRow.rated_at", cascade="all, delete-orphan", passive_deletes=True
    )


class CitationRow(Base):
    """A citation as it was shown."""

    __tablename__ = "citations"

    answer_number: Mapped[int] = mapped_column(
        ForeignKey("answers.number", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document_id: Mapped[str]
    title: Mapped[str]
    heading: Mapped[list[str]]
    source: Mapped[str]
    start: Mapped[int]
    end: Mapped[int]
    quote: Mapped[str]
    passage: Mapped[str]
    passage_start: Mapped[int]
    score: Mapped[float]
    url: Mapped[str]
    link: Mapped[str]
    page: Mapped[int | None]
    date: Mapped[str]
    collection: Mapped[str]
    superseded_by: Mapped[str] = mapped_column(server_default="")


class RatingRow(Base):
    """What one person (`by`, opaque) thought of an answer."""

    __tablename__ = "ratings"

    answer_number: Mapped[int] = mapped_column(
        ForeignKey("answers.number", ondelete="CASCADE"), primary_key=True
    )
    by: Mapped[str] = mapped_column("rated_by", primary_key=True)
    rating: Mapped[str] = mapped_column(String(4))
    comment: Mapped[str]
    rated_at: Mapped[datetime]
    day: Mapped[str] = mapped_column(String(10), index=True)


class SlackQuestionRow(Base):
    """Something that Slack delivered and Kiku owes an answer to, until it is done.

    (`team`, `channel`, `ts`, `version`) names it: a message and, in `version`, its edits. A message
    that arrives twice, or as two events, or at two replicas, has one row. `lane` is the thread: its
    rows are worked on one after another in order of `event_ts`. `state` goes queued → running →
    posting → done; `until` is when a queued row becomes due or when `owner` loses a running one.
    """

    __tablename__ = "slack_questions"
    __table_args__ = (
        UniqueConstraint("team", "channel", "ts", "version", name="uq_slack_questions_message"),
        Index("ix_slack_questions_lane", "lane", "state"),
        Index("ix_slack_questions_state", "state", "event_ts"),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event_id: Mapped[str | None] = mapped_column(unique=True)
    team: Mapped[str] = mapped_column(String(64))
    channel: Mapped[str] = mapped_column(String(64))
    ts: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    event_ts: Mapped[str] = mapped_column(String(64))
    lane: Mapped[str]
    kind: Mapped[str] = mapped_column(String(16))
    request: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str]
    until: Mapped[datetime | None]
    attempts: Mapped[int]
    notice: Mapped[str] = mapped_column(String(16))
    reply_ts: Mapped[str] = mapped_column(String(64))
    answer_id: Mapped[str]
    received_at: Mapped[datetime]
    finished_at: Mapped[datetime | None] = mapped_column(index=True)


class SlackChannelRow(Base):
    """What `/kiku 設定` set for a channel; it wins over kiku.toml."""

    __tablename__ = "slack_channels"

    team: Mapped[str] = mapped_column(String(64), primary_key=True)
    channel: Mapped[str] = mapped_column(String(64), primary_key=True)
    collections: Mapped[list[str] | None]
    listen: Mapped[bool]
    changed_by: Mapped[str]
    changed_at: Mapped[datetime]
