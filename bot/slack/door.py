"""Slack's door in the HTTP service: signed events, and installation into further workspaces."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from slack_bolt.adapter.starlette.handler import to_bolt_request, to_starlette_response
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.kiku import Kiku, Tally
from bot.slack.app import SlackApp
from bot.slack.workspaces import INSTALL_PATH, REDIRECT_PATH

EVENTS_PATH = "/slack/events"
RETRY_SECONDS = 2.0

log = structlog.get_logger(__name__)


class SlackDoor:
    """Opens the Slack app as soon as the bot behind it is there, and hands it what Slack posts.

    Until then Slack is answered 503 and sends its events again. Not to be used without
    SLACK_SIGNING_SECRET: nobody could tell Slack from others then.
    """

    def __init__(self, kiku: Callable[[], Kiku], tally: Tally | None = None) -> None:
        """`kiku` gives the bot, or raises while it is not open; `tally` as `SlackApp` has it."""
        self._kiku = kiku
        self._tally = tally
        self._app: SlackApp | None = None
        self._stopping = threading.Event()
        self._opener = threading.Thread(target=self._open, name="slack-open", daemon=True)

    @property
    def routes(self) -> list[Route]:
        """`/slack/events` for everything that Slack sends, and the two pages of the installation."""
        return [
            Route(EVENTS_PATH, self._events, methods=["POST"]),
            Route(INSTALL_PATH, self._install, methods=["GET"]),
            Route(REDIRECT_PATH, self._install, methods=["GET"]),
        ]

    def start(self) -> None:
        """Begins to open the app."""
        self._opener.start()

    def stop(self) -> None:
        """Finishes the answers under way. To be called before the bot is closed."""
        self._stopping.set()
        self._opener.join()
        if self._app is not None:
            self._app.stop()

    def _open(self) -> None:
        told = ""
        while not self._stopping.is_set():
            try:
                app = SlackApp(self._kiku(), self._tally)
                app.start()
            except Exception as error:  # whatever it is, Slack waits and the log tells
                if str(error) != told:
                    told = str(error)
                    log.warning("slack_not_opened", reason=told)
                self._stopping.wait(RETRY_SECONDS)
            else:
                self._app = app
                log.info("slack_opened")
                return

    async def _events(self, request: Request) -> Response:
        if self._app is None:
            return Response(status_code=503, headers={"Retry-After": "5"})
        bolt_request = to_bolt_request(request, await request.body())
        response = await run_in_threadpool(self._app.bolt.dispatch, bolt_request)
        return to_starlette_response(response)

    async def _install(self, request: Request) -> Response:
        flow = self._app and self._app.oauth_flow
        if not flow:
            return Response("Not Found", 404)
        begins = request.url.path == INSTALL_PATH
        handle = flow.handle_installation if begins else flow.handle_callback
        bolt_request = to_bolt_request(request, b"")
        return to_starlette_response(await run_in_threadpool(handle, bolt_request))
