"""Alembic's entry: runs on the connection that `bot.store.database` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from bot.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
context.run_migrations()
