"""What `bot` raises on purpose, beside the errors of `index`.

KikuError (index.errors)
├── QueryError (index.errors)
│   └── BadQuestion      the same, told in Japanese and in English
└── StoreUnavailable     the database of conversations and feedback cannot be used
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.records import Language
from index.errors import KikuError, QueryError


class StoreUnavailable(KikuError):
    """The database of conversations, feedback and Slack events cannot be reached or used."""

    code = "store_unavailable"


class BadQuestion(QueryError):
    """The question cannot be searched for: `told` says why, and what to do, in each language."""

    def __init__(self, told: Mapping[Language, tuple[str, str]], language: Language) -> None:
        message, hint = told[language]
        super().__init__(message, hint=hint)
        self.told = told
