"""Who may ask, and which collections an answer may come from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.records import Language
from bot.settings import SlackSettings
from bot.store import Store
from bot.store.tables import SlackChannelRow, storable

DIRECT = "im"  # stands for all direct messages where a channel id is asked for
PERSON_SECONDS = 600  # how long it may take until a person who became a guest is one here

Collections = frozenset[str] | None  # None: all
Refusal = Literal["workspace", "channel", "guest"]
Clients = Callable[[str, str], WebClient]  # (team, enterprise) → its client


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked and where; `shared`: people of another company are in the channel, None where the
    payload does not say."""

    team: str
    enterprise: str
    channel: str
    user: str
    user_team: str
    shared: bool | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What an answer may come from: `public` for all in the channel, `own` for the asker alone.

    `hidden`: nothing may be posted where others see it.
    """

    public: Collections
    own: Collections
    hidden: bool = False
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What a channel's administrators set; `collections` None: as kiku.toml says."""

    collections: list[str] | None = None
    listen: bool | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """What Slack says of somebody."""

    guest: bool
    admin: bool
    language: Language


class Access:
    """Decides by kiku.toml, by what `/kiku 設定` set, and by what Slack says of a person."""

    def __init__(
        self,
        settings: SlackSettings,
        store: Store,
        clients: Clients,
        collections: Callable[[], frozenset[str]],
    ) -> None:
        """`collections` gives the names of all collections that are indexed."""
        self._settings = settings
        self._database = store.database
        self._clients = clients
        self._collections = collections
        self._people = lru_cache(maxsize=4096)(self._look_up_person)
        self._shared = lru_cache(maxsize=4096)(self._look_up_shared)

    def decide(self, asked: Asked) -> Decision:
        """Whether somebody may ask, and what they and the channel may see.

        Raises SlackClientError when Slack does not tell who it is.
        """
        nothing: Collections = frozenset()
        refusal = self._refusal(asked)
        if refusal:
            return Decision(nothing, nothing, refusal=refusal)
        public = self.visible_in(asked.team, asked.channel)
        direct = self.visible_in(asked.team, DIRECT)
        own = None if public is None or direct is None else public | direct
        return Decision(public, own, hidden=self._is_shared(asked))

    def visible_in(self, team: str, channel: str) -> Collections:
        """The collections that everybody in a channel may see."""
        chosen = self.in_force(team, DIRECT if is_direct(channel) else channel).collections
        if chosen is not None:
            return frozenset(chosen)
        private = frozenset(self._settings.private_collections)
        return self._collections() - private if private else None

    def open_collections(self) -> list[str]:
        """The collections that are not private, by name."""
        return sorted(self._collections() - frozenset(self._settings.private_collections))

    def listens(self, team: str, channel: str) -> bool:
        """Whether messages without a mention are answered in a channel."""
        return bool(self.in_force(team, channel).listen)

    def in_force(self, team: str, channel: str) -> ChannelSettings:
        """What holds for a channel: what was set in Slack, else what kiku.toml says."""
        with self._database.read() as session:
            row = session.get(SlackChannelRow, (team, channel))
            chosen, listen = (None, None) if row is None else (row.collections, row.listen)
        if chosen is None:
            chosen = self._settings.channel_collections.get(channel)
        if listen is None:
            listen = channel in self._settings.listen_channels
        return ChannelSettings(chosen, listen)

    def set_channel(self, team: str, channel: str, settings: ChannelSettings, by: str) -> None:
        """Keeps what somebody set for a channel."""
        row = SlackChannelRow(
            team=team,
            channel=channel,
            collections=settings.collections and [storable(name) for name in settings.collections],
            listen=bool(settings.listen),
            changed_by=by,
            changed_at=datetime.now(UTC),
        )
        with self._database.write() as session:
            session.merge(row)

    def changeable(self, asked: Asked) -> list[str] | None:
        """The collections that somebody may open to a channel; None: they may change nothing.

        Workspace admins may choose any, the creator of the channel those that are not private.
        """
        if self._refusal(asked):
            return None
        if self.person(asked.team, asked.enterprise, asked.user).admin:
            return sorted(self._collections())
        client = self._clients(asked.team, asked.enterprise)
        info = client.conversations_info(channel=asked.channel)["channel"]
        return self.open_collections() if info.get("creator") == asked.user else None

    def person(self, team: str, enterprise: str, user: str) -> Person:
        """What Slack says of somebody, at most ten minutes old."""
        return self._people(team, enterprise, user, _window())

    def _refusal(self, asked: Asked) -> Refusal | None:
        settings = self._settings
        if settings.allowed_workspaces and asked.team not in settings.allowed_workspaces:
            return "workspace"
        name = DIRECT if is_direct(asked.channel) else asked.channel
        if settings.allowed_channels and name not in settings.allowed_channels:
            return "channel"
        if settings.answer_guests:
            return None
        # Within an Enterprise organization people have other home workspaces than the one they ask
        # in; whether they belong to it only Slack can say.
        stranger = asked.user_team != asked.team and not asked.enterprise
        if stranger or self.person(asked.team, asked.enterprise, asked.user).guest:
            return "guest"
        return None

    def _is_shared(self, asked: Asked) -> bool:
        if self._settings.answer_guests or is_direct(asked.channel):
            return False
        if asked.shared is not None:
            return asked.shared
        return self._shared(asked.team, asked.enterprise, asked.channel, _window())

    def _look_up_shared(self, team: str, enterprise: str, channel: str, _window: int) -> bool:
        try:
            info = self._clients(team, enterprise).conversations_info(channel=channel)["channel"]
        except SlackApiError as error:
            if error.response.get("error") == "channel_not_found":
                return True  # a private channel without Kiku: nobody can say who is in it
            raise
        return bool(info.get("is_ext_shared") or info.get("is_pending_ext_shared"))

    def _look_up_person(self, team: str, enterprise: str, user: str, _window: int) -> Person:
        client = self._clients(team, enterprise)
        try:
            info = client.users_info(user=user, include_locale=True)["user"]
        except SlackApiError as error:
            if error.response.get("error") in ("user_not_found", "user_not_visible"):
                return Person(guest=True, admin=False, language="ja")
            raise
        guest = any(
            info.get(flag) for flag in ("is_restricted", "is_ultra_restricted", "is_stranger")
        )
        organization = info.get("enterprise_user", {}).get("enterprise_id")
        colleague = info.get("team_id", team) in (team, enterprise)
        colleague = colleague or bool(enterprise and organization == enterprise)
        admin = any(info.get(flag) for flag in ("is_admin", "is_owner", "is_primary_owner"))
        return Person(
            guest=bool(guest or not colleague or info.get("is_bot")),
            admin=bool(admin),
            language="ja" if str(info.get("locale", "ja")).startswith("ja") else "en",
        )


def _window() -> int:
    """Changes every `PERSON_SECONDS`: part of the key of what is remembered for that long."""
    return int(time.time() / PERSON_SECONDS)


def is_direct(channel: str) -> bool:
    """Whether a channel id names a direct message."""
    return channel == DIRECT or channel.startswith("D")
