"""App Home and the dialogs: shown when somebody asks for them, read when they come back."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex
from typing import Any

import structlog
from slack_bolt import Ack, BoltContext, Respond
from slack_sdk import WebClient

from bot.kiku import Kiku
from bot.messages.slack import SLACK
from bot.records import Language
from bot.slack.access import DIRECT, Access, Asked, Collections
from bot.slack.home import chosen_settings, comment_view, home_view, saved_view, settings_view
from bot.slack.intake import person
from bot.slack.posting import SLACK_ERRORS, code_of
from index.errors import KikuError

SETTINGS_WORDS = ("設定", "settings")

log = structlog.get_logger(__name__)


class Screens:
    """Listeners of Bolt. Those named `take_…` acknowledge; the others run after that."""

    def __init__(
        self,
        kiku: Kiku,
        access: Access,
        suggested: Callable[[Collections, Language], list[str]],
    ) -> None:
        self._kiku = kiku
        self._access = access
        self._suggested = suggested

    def show_home(self, body: dict[str, Any], context: BoltContext, client: WebClient) -> None:
        """App Home, or questions to begin with where the direct messages were opened."""
        event = body["event"]
        team, enterprise = workspace(context)
        user = event["user"]
        language = self._access.person(team, enterprise, user).language
        texts, command = SLACK[language], self._kiku.settings.slack.command
        visible = self._access.visible_in(team, DIRECT)
        refusal = self._access.decide(Asked(team, enterprise, DIRECT, user, team)).refusal
        if event.get("tab") == "messages":
            questions = [] if refusal else self._suggested(visible, language)
            if questions:
                prompts = [{"title": one[:60], "message": one} for one in questions]
                client.assistant_threads_setSuggestedPrompts(
                    channel_id=event["channel"], title=texts.prompts_title, prompts=prompts
                )
            return
        if refusal in ("guest", "workspace"):
            why = getattr(texts, refusal)
            view = home_view([], [], language, command, refusal=why)
            client.views_publish(user_id=user, view=view)
            return
        try:
            documents = self._kiku.retriever.documents(visible)
        except KikuError:  # nothing is indexed yet
            documents = []
        recent = self._kiku.store.questions_of(person(team, user))
        public_url = self._kiku.settings.public_url
        view = home_view(documents, recent, language, command, public_url=public_url)
        client.views_publish(user_id=user, view=view)

    def ask_why(self, body: dict[str, Any], client: WebClient) -> None:
        """The dialog for somebody who found an answer unhelpful."""
        rating, _, answer_id = body["actions"][0]["value"].partition(":")
        stored = self._kiku.store.answer(answer_id) if rating == "down" else None
        if stored:
            view = comment_view(answer_id, stored.answer.language)
            client.views_open(trigger_id=body["trigger_id"], view=view)

    def take_comment(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        view = body["view"]
        comment = view["state"]["values"]["comment"]["comment"].get("value") or ""
        by = person(workspace(context)[0], body["user"]["id"])
        self._kiku.store.rate(view["private_metadata"], "down", comment, by)
        ack()

    def open_settings(
        self, body: dict[str, Any], context: BoltContext, client: WebClient, respond: Respond
    ) -> None:
        """The dialog of `/kiku 設定`, for those who may change something; a sentence for others."""
        if body.get("text", "").strip().lower() not in SETTINGS_WORDS:
            return
        try:
            told = self._open_settings(body, context, client)
        except SLACK_ERRORS as error:
            told = SLACK["ja"].failed.format(reference=_logged(error))
        if told:
            respond(text=told)

    def _open_settings(
        self, body: dict[str, Any], context: BoltContext, client: WebClient
    ) -> str | None:
        """What to say instead of opening the dialog; None where it is open."""
        channel = body["channel_id"]
        asked = _asked(context, channel, {"id": body["user_id"]})
        language = self._access.person(asked.team, asked.enterprise, asked.user).language
        texts = SLACK[language]
        if channel.startswith("D"):
            return texts.settings_only_channels.format(command=body["command"])
        try:
            allowed = self._access.changeable(asked)
        except SLACK_ERRORS as error:  # a private channel without Kiku cannot be looked at
            log.info("slack_settings_unknown", channel=channel, reason=code_of(error))
            allowed = None
        if allowed is None:
            return texts.settings_refused
        now = self._access.in_force(asked.team, channel)
        view = settings_view(channel, now, allowed, language)
        client.views_open(trigger_id=body["trigger_id"], view=view)
        return None

    def take_settings(self, ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        """Checks again who it is: a dialog can be open for a long time."""
        channel, chosen = chosen_settings(body["view"])
        asked = _asked(context, channel, body["user"])
        try:
            allowed = self._access.changeable(asked)
            language = self._access.person(asked.team, asked.enterprise, asked.user).language
        except SLACK_ERRORS as error:
            failed = SLACK["ja"].failed.format(reference=_logged(error))
            ack(response_action="errors", errors={"listen": failed})
            return
        if allowed is None or not set(chosen.collections or ()) <= set(allowed):
            ack(response_action="errors", errors={"listen": SLACK[language].settings_refused})
            return
        self._access.set_channel(asked.team, channel, chosen, person(asked.team, asked.user))
        ack(response_action="update", view=saved_view(chosen, language))


def workspace(context: BoltContext) -> tuple[str, str]:
    """Team and enterprise of a request; the latter is mostly empty."""
    return context.team_id or "", context.enterprise_id or ""


def _asked(context: BoltContext, channel: str, user: dict[str, Any]) -> Asked:
    team, enterprise = workspace(context)
    return Asked(team, enterprise, channel, user["id"], user.get("team_id") or team)


def _logged(error: BaseException) -> str:
    """Gives the reference under which the log tells more."""
    reference = token_hex(4).upper()
    reason = code_of(error) or type(error).__name__
    log.error("slack_settings_failed", reference=reference, reason=reason)
    return reference
