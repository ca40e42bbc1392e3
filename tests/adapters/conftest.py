"""Kiku in a fake Slack: the real pipeline over a few documents, connected by Socket Mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bot.store import Store
from bot.wiring import Kiku
from tests.fake_slack import FakeSlack
from tests.slack_bot import Connection, build_slack_home, slack_settings


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as slack:
        yield slack


@pytest.fixture(scope="session")
def slack_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index over corpus documents (open to all), personnel rules (private) and a document that
    tries to misuse Slack's markup."""
    return build_slack_home(tmp_path_factory.mktemp("slack"))


@pytest.fixture
def connect(
    slack: FakeSlack, slack_home: Path, tmp_path: Path
) -> Iterator[Callable[..., Connection]]:
    """Connects Kiku to the fake Slack; keyword arguments are settings of `[slack]`. May be called
    again for another replica on the same database."""
    with ExitStack() as stack:

        def connect(home: Path = slack_home, **slack_values: object) -> Connection:
            settings = slack_settings(slack, home, tmp_path, **slack_values)
            store = Store.open(settings.database_url)
            kiku = Kiku(settings, None, store)
            return stack.enter_context(Connection(kiku))

        yield connect
