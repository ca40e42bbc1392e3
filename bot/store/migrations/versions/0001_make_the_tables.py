"""Make the tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
    )
    op.create_index(op.f("ix_conversations_updated_at"), "conversations", ["updated_at"])

    op.create_table(
        "slack_channels",
        sa.Column("team", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("collections", sa.JSON(), nullable=True),
        sa.Column("listen", sa.Boolean(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("team", "channel", name=op.f("pk_slack_channels")),
    )
    op.create_table(
        "slack_questions",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("team", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("ts", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("event_ts", sa.String(length=64), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("notice", sa.String(length=16), nullable=False),
        sa.Column("reply_ts", sa.String(length=64), nullable=False),
        sa.Column("answer_id", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_slack_questions")),
        sa.UniqueConstraint("event_id", name=op.f("uq_slack_questions_event_id")),
        sa.UniqueConstraint("team", "channel", "ts", "version", name="uq_slack_questions_message"),
    )
    op.create_index(op.f("ix_slack_questions_finished_at"), "slack_questions", ["finished_at"])
    op.create_index("ix_slack_questions_lane", "slack_questions", ["lane", "state"])
    op.create_index("ix_slack_questions_state", "slack_questions", ["state", "event_ts"])

    op.create_table(
        "answers",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("composer", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("asker", sa.Text(), nullable=False),
        sa.Column("took_ms", sa.Double(), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_answers_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_answers")),
        sa.UniqueConstraint("id", name=op.f("uq_answers_id")),
    )
    op.create_index(op.f("ix_answers_asked_at"), "answers", ["asked_at"])
    op.create_index(op.f("ix_answers_conversation_id"), "answers", ["conversation_id"])
    op.create_index(op.f("ix_answers_day"), "answers", ["day"])

    op.create_table(
        "citations",
        sa.Column("answer_number", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("heading", sa.JSON(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("quote", sa.Text(), nullable=False),
        sa.Column("passage", sa.Text(), nullable=False),
        sa.Column("passage_start", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("date", sa.Text(), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["answer_number"],
            ["answers.number"],
            name=op.f("fk_citations_answer_number"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("answer_number", "number", name=op.f("pk_citations")),
    )
    op.create_table(
        "ratings",
        sa.Column("answer_number", sa.Integer(), nullable=False),
        sa.Column("rated_by", sa.Text(), nullable=False),
        sa.Column("rating", sa.String(length=4), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("rated_at", sa.DateTime(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(
            ["answer_number"],
            ["answers.number"],
            name=op.f("fk_ratings_answer_number"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("answer_number", "rated_by", name=op.f("pk_ratings")),
    )
    op.create_index(op.f("ix_ratings_day"), "ratings", ["day"])


def downgrade() -> None:
    op.drop_index(op.f("ix_ratings_day"), "ratings")

    op.drop_table("ratings")
    op.drop_table("citations")
    op.drop_index(op.f("ix_answers_day"), "answers")
    op.drop_index(op.f("ix_answers_conversation_id"), "answers")
    op.drop_index(op.f("ix_answers_asked_at"), "answers")

    op.drop_table("answers")
    op.drop_index("ix_slack_questions_state", "slack_questions")
    op.drop_index("ix_slack_questions_lane", "slack_questions")
    op.drop_index(op.f("ix_slack_questions_finished_at"), "slack_questions")

    op.drop_table("slack_questions")
    op.drop_table("slack_channels")
    op.drop_index(op.f("ix_conversations_updated_at"), "conversations")

    op.drop_table("conversations")
