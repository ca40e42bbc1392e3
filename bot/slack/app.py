"""The Slack app: listeners that write down what arrives, and the ways to connect them."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from slack_bolt import Ack, App, BoltContext, BoltRequest, BoltResponse, Respond
from slack_sdk import WebClient

from bot.messages import SLACK
from bot.records import Answer, Question
from bot.settings import Settings
from bot.slack.access import DIRECT, Access, Asked
from bot.slack.answering import Manner, Responder
from bot.slack.blocks import plain
from bot.slack.home import (
    Prompts,
    chosen_settings,
    comment_view,
    help_lines,
    home_view,
    settings_view,
)
from bot.slack.inbox import Inbox
from bot.slack.intake import (
    Surroundings,
    from_command,
    from_event,
    from_publish,
    from_shortcut,
    from_thread_start,
    person,
)
from bot.slack.ledger import Ledger, process_name
from bot.slack.manifest import manifest
from bot.slack.posting import SLACK_ERRORS, code_of
from bot.slack.workspaces import INSTALL_PATH, REDIRECT_PATH, Workspaces, missing_token
from bot.store import Store
from index.errors import KikuError, SettingsError
from index.records import DocumentSummary

if TYPE_CHECKING:
    from starlette.routing import Route

SETTINGS_WORDS = ("設定", "settings")
HELP_WORDS = ("", "help", "ヘルプ", "使い方")

__all__ = ["SlackApp", "events_routes", "manifest", "run"]

log = structlog.get_logger(__name__)


class Answers(Protocol):
    """Answers questions; `bot.answer.Answerer`."""

    def ask(self, question: Question) -> Answer: ...


class Documents(Protocol):
    """Knows what is indexed; `index.retrieve.Retriever`."""

    @property
    def generation(self) -> str: ...

    def documents(self, collections: frozenset[str] | None = None) -> list[DocumentSummary]: ...


class Kiku(Protocol):
    """What the app needs of `bot.wiring.Kiku`."""

    @property
    def settings(self) -> Settings: ...
    @property
    def answerer(self) -> Answers: ...
    @property
    def store(self) -> Store: ...
    @property
    def retriever(self) -> Documents: ...


class SlackApp:
    """Bolt's App over the inbox. `dispatch` takes requests of Slack by whatever way they came."""

    def __init__(self, kiku: Kiku) -> None:
        """Raises SettingsError when the tokens that it needs are not set."""
        settings = kiku.settings
        self._kiku = kiku
        self._store = kiku.store
        workspaces = Workspaces(settings, kiku.store)
        self.oauth_flow = workspaces.oauth_flow
        self.bolt = _bolt(settings, workspaces)
        self._ledger = Ledger(kiku.store.database, process_name(), lease=settings.slack.lease)
        self._access = Access(settings.slack, kiku.store, workspaces.client, self._collections)
        prompts = Prompts(
            lambda visible: kiku.retriever.documents(visible),
            lambda: kiku.retriever.generation,
            self._try_out,
        )
        responder = Responder(
            kiku.answerer.ask,
            kiku.store,
            self._access,
            workspaces.client,
            self._ledger,
            prompts,
            Manner(
                settings.public_url,
                settings.top_k,
                settings.slack.queue,
                settings.slack.command,
                settings.log_questions,
            ),
        )
        self._prompts = prompts
        self._inbox = Inbox(self._ledger, responder, workers=settings.slack.workers)
        self._listen(settings.slack.command)

    def start(self) -> None:
        """Begins to answer, first what an earlier process left behind."""
        self._inbox.start()

    def stop(self) -> None:
        """Finishes the answers under way; what waits stays in the database for the next start."""
        self._inbox.stop()

    def dispatch(self, request: BoltRequest) -> BoltResponse:
        """Verifies and takes in one HTTP request of Slack."""
        return self.bolt.dispatch(request)

    # --- listeners --------------------------------------------------------------------------------

    def _listen(self, command: str) -> None:
        """Acknowledgement follows the listeners below (`process_before_response`), so they do no
        more than write down; what calls Slack is lazy."""
        app = self.bolt
        app.event("app_mention")(self._take_event)
        app.event("message")(self._take_event)
        app.event("assistant_thread_started")(self._take_thread_start)
        app.event("assistant_thread_context_changed")(_nothing)
        app.event("app_home_opened")(ack=_nothing, lazy=[self._show_home])
        app.command(command)(ack=self._take_command, lazy=[self._open_settings])
        app.shortcut("answer_message")(ack=self._take_shortcut)
        app.action("publish")(ack=self._take_publish)
        app.action("feedback")(ack=self._take_rating, lazy=[self._ask_why])
        app.view("comment")(ack=self._take_comment)
        app.view("channel_settings")(ack=self._take_settings)

    def _take_event(self, body: dict[str, Any], context: BoltContext) -> None:
        delivery = from_event(body, self._surroundings(context))
        if delivery:
            self._inbox.put(delivery)

    def _take_thread_start(self, body: dict[str, Any], context: BoltContext) -> None:
        team, enterprise = _workspace(context)
        self._inbox.put(from_thread_start(body, team, enterprise))

    def _take_command(self, ack: Ack, body: dict[str, Any]) -> None:
        words = body.get("text", "").strip().lower()
        if words in HELP_WORDS:
            ack(text=plain("\n".join(help_lines(SLACK["ja"], body["command"]))))
            return
        if words not in SETTINGS_WORDS:
            self._inbox.put(from_command(body))
        ack()

    def _take_shortcut(
        self, ack: Ack, body: dict[str, Any], context: BoltContext, respond: Respond
    ) -> None:
        if not self._inbox.put(from_shortcut(body, context.bot_user_id or "")):
            respond(text=SLACK["ja"].already_answered, replace_original=False)
        ack()

    def _take_publish(self, ack: Ack, body: dict[str, Any]) -> None:
        self._inbox.put(from_publish(body))
        ack()

    def _take_rating(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        rating, _, answer_id = body["actions"][0]["value"].partition(":")
        if rating in ("up", "down"):
            self._store.rate(
                answer_id, rating, by=person(_workspace(context)[0], body["user"]["id"])
            )
        ack()

    def _take_comment(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        view = body["view"]
        comment = view["state"]["values"]["comment"]["comment"].get("value") or ""
        by = person(_workspace(context)[0], body["user"]["id"])
        self._store.rate(view["private_metadata"], "down", comment, by)
        ack()

    def _take_settings(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        """Checks again who it is: a dialog can be open for a long time."""
        channel, chosen = chosen_settings(body["view"])
        asked = _asked(context, channel, body["user"])
        allowed = self._access.changeable(asked)
        if allowed is None or not set(chosen.collections or ()) <= set(allowed):
            ack(response_action="errors", errors={"listen": SLACK["ja"].settings_refused})
            return
        self._access.set_channel(asked.team, channel, chosen, person(asked.team, asked.user))
        ack()

    # --- what calls Slack, after the acknowledgement ----------------------------------------------

    def _show_home(self, body: dict[str, Any], context: BoltContext, client: WebClient) -> None:
        event = body["event"]
        team, enterprise = _workspace(context)
        user = event["user"]
        language = self._access.person(team, enterprise, user).language
        visible = self._access.visible_in(team, DIRECT)
        if event.get("tab") == "messages":
            texts = SLACK[language]
            questions = self._prompts(visible, language)
            if questions:
                prompts = [{"title": one[:60], "message": one} for one in questions]
                client.assistant_threads_setSuggestedPrompts(
                    channel_id=event["channel"], title=texts.prompts_title, prompts=prompts
                )
            return
        try:
            documents = self._kiku.retriever.documents(visible)
        except KikuError:  # nothing is indexed yet
            documents = []
        recent = self._store.questions_of(person(team, user))
        view = home_view(documents, recent, language, self._kiku.settings.slack.command)
        client.views_publish(user_id=user, view=view)

    def _open_settings(
        self, body: dict[str, Any], context: BoltContext, client: WebClient, respond: Respond
    ) -> None:
        if body.get("text", "").strip().lower() not in SETTINGS_WORDS:
            return
        channel = body["channel_id"]
        asked = _asked(context, channel, {"id": body["user_id"]})
        language = self._access.person(asked.team, asked.enterprise, asked.user).language
        texts = SLACK[language]
        if channel.startswith("D"):
            respond(text=texts.settings_only_channels.format(command=body["command"]))
            return
        try:
            allowed = self._access.changeable(asked)
        except SLACK_ERRORS as error:  # a private channel without Kiku cannot be looked at
            log.info("slack_settings_unknown", channel=channel, reason=code_of(error))
            allowed = None
        if allowed is None:
            respond(text=texts.settings_refused)
            return
        view = settings_view(channel, self._access.channel(asked.team, channel), allowed, language)
        client.views_open(trigger_id=body["trigger_id"], view=view)

    def _ask_why(self, body: dict[str, Any], client: WebClient) -> None:
        rating, _, answer_id = body["actions"][0]["value"].partition(":")
        stored = self._store.answer(answer_id) if rating == "down" else None
        if stored:
            view = comment_view(answer_id, stored.answer.language)
            client.views_open(trigger_id=body["trigger_id"], view=view)

    # --- what the parts ask of each other ---------------------------------------------------------

    def _surroundings(self, context: BoltContext) -> Surroundings:
        team, enterprise = _workspace(context)
        return Surroundings(
            team=team,
            enterprise=enterprise,
            bot_user=context.bot_user_id or "",
            listens=self._access.listens,
            asked_here=lambda *message: self._ledger.reply_to(*message) is not None,
            joined=lambda lane: bool(self._store.turns(lane, 1)),
        )

    def _collections(self) -> frozenset[str]:
        return frozenset(document.collection for document in self._kiku.retriever.documents())

    def _try_out(self, question: Question) -> Answer:
        answer = self._kiku.answerer.ask(question)
        self._store.forget(conversation_id=answer.conversation_id)
        return answer


def run(kiku: Kiku) -> None:
    """Answers in Socket Mode until SIGINT or SIGTERM.

    Raises SettingsError when a token is missing or refused.
    """
    from slack_bolt.adapter.socket_mode import SocketModeHandler

    app_token = kiku.settings.slack_app_token.get_secret_value()
    if not app_token:
        raise missing_token("SLACK_APP_TOKEN", "xapp-")
    slack = SlackApp(kiku)
    handler = SocketModeHandler(slack.bolt, app_token)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    slack.start()
    try:
        try:
            handler.connect()  # type: ignore[no-untyped-call]
        except SLACK_ERRORS as error:
            raise SettingsError(
                f"Socket Mode で接続できませんでした（{code_of(error) or type(error).__name__}）。",
                hint="SLACK_APP_TOKEN と、アプリの Socket Mode が有効なことを確かめてください。",
            ) from None
        log.info("slack_connected")
        stopped.wait()
    finally:
        handler.close()  # type: ignore[no-untyped-call]
        slack.stop()


def events_routes(slack: Callable[[], SlackApp]) -> list[Route]:
    """Routes of the HTTP service: `/slack/events` for everything that Slack sends, and the pages
    that install the app into further workspaces.

    `slack` gives the started app, or raises what the service answers with.
    """
    from slack_bolt.adapter.starlette.handler import to_bolt_request, to_starlette_response
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def events(request: Request) -> Response:
        bolt_request = to_bolt_request(request, await request.body())
        return to_starlette_response(await run_in_threadpool(slack().dispatch, bolt_request))

    async def install(request: Request) -> Response:
        flow = slack().oauth_flow
        if flow is None:
            return Response("Not Found", 404)
        bolt_request = to_bolt_request(request, b"")
        begins = request.url.path == INSTALL_PATH
        handle = flow.handle_installation if begins else flow.handle_callback
        return to_starlette_response(await run_in_threadpool(handle, bolt_request))

    return [
        Route("/slack/events", events, methods=["POST"]),
        Route(INSTALL_PATH, install, methods=["GET"]),
        Route(REDIRECT_PATH, install, methods=["GET"]),
    ]


def _bolt(settings: Settings, workspaces: Workspaces) -> App:
    logger = logging.getLogger("kiku.slack.bolt")
    # Bolt warns of the environment variables that it would have read itself.
    logger.setLevel(logging.ERROR)
    return App(
        name="kiku",
        logger=logger,
        client=workspaces.bare_client(),
        authorize=workspaces.authorize,  # type: ignore[arg-type]  # None: not installed
        signing_secret=settings.slack_signing_secret.get_secret_value() or None,
        process_before_response=True,
    )


def _workspace(context: BoltContext) -> tuple[str, str]:
    return context.team_id or "", context.enterprise_id or ""


def _asked(context: BoltContext, channel: str, user: dict[str, Any]) -> Asked:
    team, enterprise = _workspace(context)
    return Asked(team, enterprise, channel, user["id"], user.get("team_id") or team)


def _nothing(ack: Ack) -> None:
    ack()
