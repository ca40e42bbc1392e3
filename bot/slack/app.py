"""The Slack app: listeners that write down what arrives, and the ways to connect them."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import structlog
from slack_bolt import Ack, App, BoltContext
from slack_bolt.authorization import AuthorizeResult

from bot.kiku import Kiku, Tally
from bot.messages.slack import SLACK
from bot.records import Language
from bot.settings import Settings
from bot.slack.access import Access, Collections
from bot.slack.answering import Responder
from bot.slack.blocks import plain
from bot.slack.home import help_lines
from bot.slack.inbox import Inbox
from bot.slack.intake import (
    Surroundings,
    from_command,
    from_event,
    from_first_look,
    from_publish,
    from_shortcut,
    from_thread_start,
    person,
)
from bot.slack.ledger import Ledger, process_name
from bot.slack.manifest import manifest
from bot.slack.posting import SLACK_ERRORS, code_of
from bot.slack.replies import Manner, Replies
from bot.slack.screens import SETTINGS_WORDS, Screens, workspace
from bot.slack.workspaces import Workspaces, missing_token
from bot.suggestions import Suggestions
from index.errors import KikuError, SettingsError

if TYPE_CHECKING:
    from slack_bolt.adapter.socket_mode import SocketModeHandler

HELP_WORDS = ("", "help", "ヘルプ", "使い方")

__all__ = ["SlackApp", "manifest", "run", "socket_mode"]

log = structlog.get_logger(__name__)


class SlackApp:
    """Bolt's App over the inbox; `bolt` takes what Slack sends, by whatever way it came."""

    def __init__(self, kiku: Kiku, tally: Tally | None = None) -> None:
        """`tally` counts answers and ratings, where somebody reads such counts.

        Raises SettingsError when the tokens that it needs are not set."""
        settings = kiku.settings
        self._kiku = kiku
        self._tally = tally
        self._store = kiku.store
        workspaces = self._workspaces = Workspaces(settings, kiku.store)
        self.oauth_flow = workspaces.oauth_flow
        self.bolt = _bolt(settings, workspaces)
        self.ledger = Ledger(kiku.store.database, process_name(), lease=settings.slack.lease)
        self._access = Access(settings.slack, kiku.store, workspaces.client, self._collections)
        self._suggestions = Suggestions(lambda: kiku.retriever, kiku.answerer.ask)
        self._screens = Screens(kiku, self._access, self._suggested)
        # Extractive answers keep a core busy each; those of an LLM mostly wait for it.
        at_once = settings.slack.workers if settings.llm_url else max(2, os.cpu_count() or 1)
        manner = Manner(
            settings.public_url,
            settings.top_k,
            settings.slack.queue,
            settings.slack.command,
            settings.log_questions,
            settings.max_answers or at_once,
        )
        self.responder = Responder(
            Replies(kiku.answerer.ask, kiku.store, self._access, self.ledger, manner, tally),
            kiku.store,
            self._access,
            workspaces.client,
            self.ledger,
            self._suggested,
            stream=bool(settings.llm_url),
        )
        self._inbox = Inbox(self.ledger, self.responder, workers=settings.slack.workers)
        self._listen(settings.slack.command)

    def start(self) -> None:
        """Begins to answer, first what an earlier process left behind."""
        try:  # opened now rather than at the first question
            log.info("slack_index_open", documents=len(self._kiku.retriever.documents()))
        except KikuError as error:
            log.warning("slack_index_not_ready", reason=error.message, hint=error.hint)
        self._inbox.start()

    def stop(self) -> None:
        """Finishes the answers under way; what waits stays in the database for the next start."""
        self._inbox.stop()

    # --- listeners --------------------------------------------------------------------------------

    def _listen(self, command: str) -> None:
        """Acknowledgement follows the listeners below (`process_before_response`), so they do no
        more than write down; what calls Slack is lazy."""
        app = self.bolt
        app.event("app_mention")(self._take_event)
        app.event("message")(self._take_event)
        app.event("assistant_thread_started")(self._take_thread_start)
        app.event("assistant_thread_context_changed")(_nothing)
        app.event("app_home_opened")(ack=self._take_look, lazy=[self._screens.show_home])
        app.event("app_uninstalled")(self._take_farewell)
        app.event("tokens_revoked")(self._take_farewell)
        app.command(command)(ack=self._take_command, lazy=[self._screens.open_settings])
        app.shortcut("answer_message")(self._take_shortcut)
        app.action("publish")(self._take_publish)
        app.action("feedback")(ack=self._take_rating, lazy=[self._screens.ask_why])
        app.view("comment")(self._screens.take_comment)
        app.view("channel_settings")(self._screens.take_settings)

    def _take_event(self, body: dict[str, Any], context: BoltContext) -> None:
        delivery = from_event(body, self._surroundings(context))
        if delivery:
            self._inbox.put(delivery)

    def _take_thread_start(self, body: dict[str, Any], context: BoltContext) -> None:
        team, enterprise = workspace(context)
        self._inbox.put(from_thread_start(body, team, enterprise))

    def _take_look(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        if body["event"].get("tab") == "messages":
            self._inbox.put(from_first_look(body, *workspace(context)))
        ack()

    def _take_farewell(self, body: dict[str, Any], context: BoltContext) -> None:
        """Slack sends both when the app is removed, one of them also when single tokens go."""
        event = body["event"]
        if event["type"] == "app_uninstalled" or event.get("tokens", {}).get("bot"):
            self._workspaces.forget(*workspace(context))

    def _take_command(self, ack: Ack, body: dict[str, Any]) -> None:
        words = body.get("text", "").strip().lower()
        if words in HELP_WORDS:
            ack(text=plain("\n".join(help_lines(SLACK["ja"], body["command"]))))
            return
        if words not in SETTINGS_WORDS:
            self._inbox.put(from_command(body))
        ack()

    def _take_shortcut(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        self._inbox.put(from_shortcut(body, context.bot_user_id or ""))
        ack()

    def _take_publish(self, ack: Ack, body: dict[str, Any]) -> None:
        self._inbox.put(from_publish(body))
        ack()

    def _take_rating(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        rating, _, answer_id = body["actions"][0]["value"].partition(":")
        if rating in ("up", "down"):
            self._store.rate(
                answer_id, rating, by=person(workspace(context)[0], body["user"]["id"])
            )
            if self._tally:
                self._tally.feedback(rating)
        ack()

    # --- what the parts ask of each other ---------------------------------------------------------

    def _surroundings(self, context: BoltContext) -> Surroundings:
        team, enterprise = workspace(context)
        return Surroundings(
            team=team,
            enterprise=enterprise,
            bot_user=context.bot_user_id or "",
            listens=self._access.listens,
            reply_to=self.ledger.reply_to,
            joined=lambda lane: bool(self._store.turns(lane, 1)),
        )

    def _suggested(self, visible: Collections, language: Language) -> list[str]:
        try:
            return self._suggestions(visible, language)
        except KikuError:  # no index yet: a greeting without suggestions
            return []

    def _collections(self) -> frozenset[str]:
        try:
            return frozenset(document.collection for document in self._kiku.retriever.documents())
        except KikuError:  # nothing is indexed yet, and nobody may see any of it
            return frozenset()


def run(kiku: Kiku) -> None:
    """Answers in Socket Mode until SIGINT or SIGTERM.

    Raises SettingsError when a token is missing or refused.
    """
    app_token = kiku.settings.slack_app_token.get_secret_value()
    if not app_token:
        raise missing_token("SLACK_APP_TOKEN", "xapp-")
    slack = SlackApp(kiku)
    handler = socket_mode(slack, app_token)
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


def socket_mode(slack: SlackApp, app_token: str) -> SocketModeHandler:
    """The connection by Socket Mode, not opened yet."""
    from slack_bolt.adapter.socket_mode import SocketModeHandler

    # The SDK reads recursively, a buffer at a time: with its default of 1 KB a long message of
    # Japanese (six bytes of JSON a character) takes seconds, and a very long one ends it.
    return SocketModeHandler(slack.bolt, app_token, receive_buffer_size=65_536)


def _bolt(settings: Settings, workspaces: Workspaces) -> App:
    logger = logging.getLogger("kiku.slack.bolt")
    # Bolt warns of the environment variables that it would have read itself.
    logger.setLevel(logging.ERROR)

    def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult | None:
        return workspaces.authorize(enterprise_id, team_id)

    return App(
        name="kiku",
        logger=logger,
        client=workspaces.bare_client(),
        authorize=authorize,  # type: ignore[arg-type]  # None: not installed
        signing_secret=settings.slack_signing_secret.get_secret_value() or None,
        process_before_response=True,
    )


def _nothing(ack: Ack) -> None:
    ack()
