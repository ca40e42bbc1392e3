"""Fixtures of the tests that every engine has to pass."""

from __future__ import annotations

from tests.postgres_server import postgres

__all__ = ["postgres"]
