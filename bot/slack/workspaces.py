"""The workspaces that Kiku is installed in, and the clients that speak to them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.settings import Settings
from bot.slack.manifest import required_scopes
from bot.slack.posting import SLACK_ERRORS, code_of, web_client
from bot.store import Store
from index.errors import SettingsError

if TYPE_CHECKING:
    from slack_bolt.oauth import OAuthFlow
    from slack_sdk.oauth.installation_store.sqlalchemy import SQLAlchemyInstallationStore

INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"
STATE_SECONDS = 600  # how long an installation that was begun may take


class Workspaces:
    """One workspace by its token, or those that installed the app through OAuth."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Asks Slack once who the token is. Raises SettingsError when there is none, when Slack
        refuses it, or when Slack cannot be reached."""
        self._api_url = settings.slack_api_url or settings.slack.api_url
        self._api_url = self._api_url.rstrip("/") + "/"
        self.oauth_flow: OAuthFlow | None = None
        self._installed: SQLAlchemyInstallationStore | None = None
        if settings.slack_client_id:
            self._installed = _installations(settings, store)
            self.oauth_flow = _oauth_flow(settings, store, self._installed, self.bare_client())
            return
        token = settings.slack_bot_token.get_secret_value()
        if not token:
            raise missing_token("SLACK_BOT_TOKEN", "xoxb-")
        self._client = web_client(token, self._api_url)
        self._me = _who_am_i(self._client)

    def bare_client(self) -> WebClient:
        """A client without a token."""
        return web_client(None, self._api_url)

    def client(self, team: str, enterprise: str) -> WebClient:
        """The client of a workspace. Raises SlackApiError `account_inactive` where Kiku is not
        installed any more."""
        if self._installed is None:
            return self._client
        bot = self._find(team, enterprise)
        if bot is None:
            refusal = {"ok": False, "error": "account_inactive"}
            raise SlackApiError("Kiku is not installed there", refusal)  # type: ignore[no-untyped-call]
        return web_client(bot.bot_token, self._api_url)

    def authorize(self, enterprise_id: str | None, team_id: str | None) -> AuthorizeResult | None:
        """What Bolt wants to know of the workspace of a request; None where Kiku is not installed."""
        if self._installed is None:
            return AuthorizeResult(
                enterprise_id=enterprise_id,
                team_id=team_id,
                bot_user_id=self._me["user_id"],
                bot_id=self._me.get("bot_id"),
                bot_token=self._client.token,
            )
        bot = self._find(team_id or "", enterprise_id or "")
        if bot is None:
            return None
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id,
            bot_user_id=bot.bot_user_id,
            bot_id=bot.bot_id,
            bot_token=bot.bot_token,
        )

    def forget(self, team: str, enterprise: str) -> None:
        """Drops the tokens of a workspace that Kiku was removed from."""
        if self._installed is not None:
            self._installed.delete_all(enterprise_id=enterprise or None, team_id=team or None)

    def _find(self, team: str, enterprise: str) -> Any:
        assert self._installed is not None
        found = self._installed.find_bot(enterprise_id=enterprise or None, team_id=team or None)
        if found is None and enterprise:  # installed for the whole organization
            found = self._installed.find_bot(
                enterprise_id=enterprise, team_id=None, is_enterprise_install=True
            )
        return found


def missing_token(name: str, prefix: str) -> SettingsError:
    """What to say when a token is not set."""
    return SettingsError(
        f"{name} が設定されていません（{prefix} で始まる値です）。",
        hint="作り方は docs/slack.md にあります。",
    )


def _who_am_i(client: WebClient) -> dict[str, Any]:
    try:
        return dict(client.auth_test().data)  # type: ignore[arg-type]
    except SLACK_ERRORS as error:
        reason = code_of(error)
        if reason and reason != "ratelimited":
            raise SettingsError(
                f"SLACK_BOT_TOKEN が Slack に受け付けられませんでした（{reason}）。",
                hint="アプリの OAuth & Permissions にある Bot User OAuth Token を設定してください。",
            ) from None
        raise SettingsError(
            f"Slack（{client.base_url}）に接続できませんでした。",
            hint="ネットワークと KIKU_SLACK_API_URL を確かめてください。",
        ) from error


def _installations(settings: Settings, store: Store) -> SQLAlchemyInstallationStore:
    from slack_sdk.oauth.installation_store.sqlalchemy import SQLAlchemyInstallationStore

    installed = SQLAlchemyInstallationStore(
        client_id=settings.slack_client_id, engine=store.database.engine, logger=_logger()
    )
    installed.create_tables()  # type: ignore[no-untyped-call]
    return installed


def _oauth_flow(
    settings: Settings, store: Store, installed: SQLAlchemyInstallationStore, client: WebClient
) -> OAuthFlow:
    from slack_bolt.oauth import OAuthFlow
    from slack_bolt.oauth.oauth_settings import OAuthSettings
    from slack_sdk.oauth.state_store.sqlalchemy import SQLAlchemyOAuthStateStore

    states = SQLAlchemyOAuthStateStore(STATE_SECONDS, store.database.engine, logger=_logger())
    states.create_tables()  # type: ignore[no-untyped-call]
    public = settings.public_url.rstrip("/")
    return OAuthFlow(
        client=client,
        logger=_logger(),
        settings=OAuthSettings(
            client_id=settings.slack_client_id,
            client_secret=settings.slack_client_secret.get_secret_value(),
            scopes=sorted(required_scopes()),
            install_path=INSTALL_PATH,
            redirect_uri_path=REDIRECT_PATH,
            redirect_uri=public + REDIRECT_PATH if public else None,
            installation_store=installed,
            state_store=states,
            logger=_logger(),
        ),
    )


def _logger() -> logging.Logger:
    return logging.getLogger("kiku.slack.oauth")
