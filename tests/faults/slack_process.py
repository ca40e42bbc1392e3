"""`kiku slack` for tests that kill it: without the encoder, which they do not need."""

from __future__ import annotations

from bot.settings import load_settings
from bot.slack.app import run
from bot.store import Store
from bot.wiring import Kiku


def main() -> None:
    settings = load_settings()
    kiku = Kiku(settings, None, Store.open(settings.database_url))
    run(kiku)
    kiku.close()
