"""Mark citations of documents of which there was a newer version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "citations", sa.Column("superseded_by", sa.Text(), server_default="", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("citations", "superseded_by")
