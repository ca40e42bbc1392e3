"""Fixtures of the Slack tests."""

from __future__ import annotations

from tests.slack_bot import connect, slack, slack_home

__all__ = ["connect", "slack", "slack_home"]
