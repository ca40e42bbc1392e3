"""Whether the Slack tokens that were set work and fit the manifest; for `kiku doctor`."""

from __future__ import annotations

from bot.settings import Settings
from bot.slack.manifest import required_scopes
from bot.slack.posting import SLACK_ERRORS, code_of, web_client


def problems(settings: Settings) -> list[str]:
    """What is wrong with the Slack settings, a sentence each; asks Slack. Empty when all is well."""
    url = settings.slack_api_url or settings.slack.api_url
    client = web_client(None, url.rstrip("/") + "/")
    found = []
    bot_token = settings.slack_bot_token.get_secret_value()
    if bot_token:
        try:
            response = client.auth_test(token=bot_token)
            granted = response.headers.get("x-oauth-scopes", "")
            lacking = required_scopes() - {scope.strip() for scope in granted.split(",")}
            if lacking:
                found.append(
                    f"SLACK_BOT_TOKEN に権限（scope）が足りません: {', '.join(sorted(lacking))}。"
                    "kiku slack manifest でアプリの設定を更新し、入れ直してください。"
                )
        except SLACK_ERRORS as error:
            found.append(_explained("SLACK_BOT_TOKEN", code_of(error), client.base_url))
    elif settings.slack_client_id:
        if not settings.slack_client_secret.get_secret_value():
            found.append("SLACK_CLIENT_ID には SLACK_CLIENT_SECRET も要ります。")
    else:
        found.append("SLACK_BOT_TOKEN が設定されていません（xoxb- で始まる値です）。")
    app_token = settings.slack_app_token.get_secret_value()
    if app_token:
        try:
            client.apps_connections_open(app_token=app_token)
        except SLACK_ERRORS as error:
            found.append(_explained("SLACK_APP_TOKEN", code_of(error), client.base_url))
    elif not settings.slack_signing_secret.get_secret_value():
        found.append(
            "SLACK_APP_TOKEN（Socket Mode）か SLACK_SIGNING_SECRET（/slack/events）のどちらかが要ります。"
        )
    return found


def _explained(name: str, code: str, url: str) -> str:
    if code:
        return f"{name} が Slack に受け付けられませんでした（{code}）。"
    return f"Slack（{url}）に接続できず、{name} を確かめられませんでした。"
