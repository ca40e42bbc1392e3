"""Chromium on a phone and on a desk, in front of the real service over a few corpus documents."""

from __future__ import annotations

import logging
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from bot.http.app import create_app
from bot.settings import Settings
from bot.store import Store
from bot.wiring import Kiku
from tests.browser.stalling import Stalling
from tests.fake_encoder import FakeEncoder

pytest.importorskip("playwright", reason="the browser tests need the playwright package")
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).parents[2]
CHROMIUM = next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None
)
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


expect.set_options(timeout=20_000)  # a busy machine, not a slow page


class Site:
    """The service as a browser finds it: its address, its store, and its stalling stream."""

    def __init__(self, url: str, kiku: Kiku, stalling: Stalling) -> None:
        self.url = url
        self.kiku = kiku
        self.stalling = stalling


@contextmanager
def running(settings: Settings, encoder: FakeEncoder) -> Iterator[Site]:
    """The real application on a port of its own."""
    import uvicorn

    kiku = Kiku(settings, encoder, Store.open(settings.database_url))
    stalling = Stalling(create_app(kiku))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(stalling, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    # A line that is dropped is logged with its traceback, which the development renderer of
    # structlog makes so much of that the event loop stands still for half a minute.
    logging_before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", kiku, stalling)
    finally:
        stalling.release()
        server.should_exit = True
        thread.join()
        structlog.configure(**logging_before)


@pytest.fixture(scope="session")
def make_settings(
    built_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Settings]:
    """Settings over `built_home` with a database of their own."""

    def make(**changes: Any) -> Settings:
        database = tmp_path_factory.mktemp("page") / "kiku.sqlite"
        values = {"home": built_home, "database": f"sqlite:///{database}", "rate_limit": ""}
        return Settings(**values | changes)

    return make


@pytest.fixture(scope="session")
def site(make_settings: Callable[..., Settings], fake_encoder: FakeEncoder) -> Iterator[Site]:
    with running(make_settings(), fake_encoder) as site:
        yield site


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("the browser tests need Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Opens a page in a fresh profile. A script error, or anything that the content security
    policy had to stop, fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Content-Security-Policy" in message.text:
            complaints.append(message.text)

    def visit(
        path: str = "/",
        *,
        init: str = "",
        before: Callable[[Page], None] | None = None,
        **options: Any,
    ) -> Page:
        options = {"viewport": DESK, "locale": "ja-JP", "base_url": site.url} | options
        context = browser.new_context(**options)
        contexts.append(context)
        if init:
            context.add_init_script(init)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", listen)
        if before:
            before(page)
        page.goto(path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(visit: Callable[..., Page]) -> Page:
    """The chat page at a desk, in Japanese."""
    return visit()
