"""The manifest of the Slack app."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

MANIFEST = Path(__file__).with_name("manifest.yaml")


def manifest() -> str:
    """The manifest to create the app from, as YAML."""
    return MANIFEST.read_text("utf-8")


@cache
def required_scopes() -> frozenset[str]:
    """The scopes of the bot token."""
    return frozenset(yaml.safe_load(manifest())["oauth_config"]["scopes"]["bot"])
