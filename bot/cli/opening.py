"""What a command works with, opened by the settings and closed behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bot.settings import load_settings

if TYPE_CHECKING:
    from bot.store import Store
    from bot.wiring import Kiku, Reader


@contextmanager
def open_kiku() -> Iterator[Kiku]:
    """The bot. Raises what `bot.wiring.connect` raises, and SettingsError."""
    from bot.wiring import connect

    kiku = connect(load_settings())
    try:
        yield kiku
    finally:
        kiku.close()


@contextmanager
def open_reader() -> Iterator[Reader]:
    """The bot without what it remembers, for a single question. Raises what
    `bot.wiring.open_reader` raises, and SettingsError."""
    from bot.wiring import open_reader as opened

    reader = opened(load_settings())
    try:
        yield reader
    finally:
        reader.close()


@contextmanager
def open_store() -> Iterator[Store]:
    """What is remembered, without the rest of the bot. Raises StoreUnavailable, SettingsError."""
    from bot.store import Store

    settings = load_settings()
    store = Store.open(settings.database_url, retention_days=settings.retention_days)
    try:
        yield store
    finally:
        store.close()
