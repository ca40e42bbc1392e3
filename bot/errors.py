"""What `bot` raises on purpose, beside the errors of `index`.

KikuError (index.errors)
└── StoreUnavailable     the database of conversations and feedback cannot be used
"""

from __future__ import annotations

from index.errors import KikuError


class StoreUnavailable(KikuError):
    """The database of conversations, feedback and Slack events cannot be reached or used."""

    code = "store_unavailable"
