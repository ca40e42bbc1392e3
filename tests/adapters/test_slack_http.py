"""Slack's door in the HTTP service: signatures, interactions, installation, `kiku doctor`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import uvicorn
import yaml
from pydantic import SecretStr
from sqlalchemy import text
from starlette.applications import Starlette

from bot.http.metrics import Metrics
from bot.settings import Settings
from bot.slack.check import problems
from bot.slack.door import SlackDoor
from bot.slack.ledger import Ledger
from bot.store import Store
from bot.wiring import Kiku
from index.errors import IndexMissing, SettingsError
from tests.fake_slack import FakeSlack, mention, words
from tests.slack_bot import slack_settings

QUESTION = "無線LANの利用申請の締め切りはいつですか？"
ANSWER = "毎月20日"


@contextmanager
def served(door: SlackDoor) -> Iterator[str]:
    """The routes of a door on a port of this machine."""
    config = uvicorn.Config(Starlette(routes=door.routes), port=0, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = server.force_exit = True
    thread.join(10)


@pytest.fixture
def settings(slack: FakeSlack, slack_home: Path, tmp_path: Path) -> Settings:
    return slack_settings(slack, slack_home, tmp_path)


@pytest.fixture
def kiku(settings: Settings) -> Iterator[Kiku]:
    kiku = Kiku(settings, None, Store.open(settings.database_url))
    yield kiku
    kiku.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def url(kiku: Kiku, metrics: Metrics) -> Iterator[str]:
    door = SlackDoor(lambda: kiku, metrics)
    door.start()
    with served(door) as url:
        yield url
    door.stop()


def post(slack: FakeSlack, url: str, said: str, **how: object) -> tuple[int, str]:
    """Somebody mentions Kiku; the event comes over HTTP."""
    ts = slack.say("C1", mention(said), deliver=False)
    event = {"type": "app_mention", "user": "U1", "text": mention(said), "ts": ts, "channel": "C1"}
    body = slack.event_body(event | {"event_ts": ts})
    until = time.monotonic() + 10
    while True:
        status = slack.post_signed(f"{url}/slack/events", body, **how)  # type: ignore[arg-type]
        if status != 503 or time.monotonic() > until:
            return status, ts
        time.sleep(0.05)


def test_a_signed_event_is_answered(slack: FakeSlack, url: str) -> None:
    status, ts = post(slack, url, QUESTION)
    assert status == 200
    assert ANSWER in words(slack.reply("C1", ts))


def test_forged_and_stale_signatures_are_refused(slack: FakeSlack, url: str) -> None:
    status, ts = post(slack, url, QUESTION)
    assert status == 200
    assert post(slack, url, QUESTION, secret="guess")[0] == 401
    assert post(slack, url, QUESTION, secret="")[0] == 401
    assert post(slack, url, QUESTION, age=600)[0] == 401
    unsigned = urllib.request.Request(f"{url}/slack/events", b"{}")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(unsigned)
    assert refused.value.code == 401
    slack.reply("C1", ts)
    time.sleep(0.3)
    assert len(slack.replies("C1")) == 1


def test_deliveries_that_come_again_over_http_are_answered_once(
    slack: FakeSlack, url: str, kiku: Kiku
) -> None:
    status, ts = post(slack, url, QUESTION)
    assert status == 200
    event = {"type": "app_mention", "user": "U1", "text": mention(QUESTION), "ts": ts}
    body = slack.event_body(event | {"channel": "C1", "event_ts": ts})
    for attempt in (1, 2, 3):
        address = f"{url}/slack/events"
        assert slack.post_signed(address, body, attempt=attempt) == 200
    slack.reply("C1", ts)
    ledger = Ledger(kiku.store.database, "test")
    slack.wait_for(lambda: not ledger.unfinished())
    assert len(slack.replies("C1")) == 1


def test_slack_can_verify_the_address(slack: FakeSlack, url: str) -> None:
    post(slack, url, QUESTION)
    challenge = {"type": "url_verification", "challenge": "abc", "token": "x"}
    assert slack.post_signed(f"{url}/slack/events", challenge) == 200


def test_commands_and_buttons_come_as_forms(
    slack: FakeSlack, url: str, kiku: Kiku, metrics: Metrics
) -> None:
    _, ts = post(slack, url, QUESTION)
    reply = slack.reply("C1", ts)
    [block] = [one for one in reply["blocks"] if one["type"] == "context_actions"]
    value = block["elements"][0]["positive_button"]["value"]
    action = {"action_id": "feedback", "value": value, "action_ts": "1.0", "type": "button"}
    body = slack._interaction("block_actions", "C1", "U2") | {"actions": [action]}
    status = slack.post_signed(f"{url}/slack/events", {"payload": json.dumps(body)}, form=True)
    assert status == 200
    stored = kiku.store.answer(value.removeprefix("up:"))
    assert stored is not None
    assert [one.rating for one in stored.ratings] == ["up"]
    counted = metrics.text().decode()
    assert (
        'kiku_answers_total{channel="slack",composer="extractive",status="answered"} 1.0' in counted
    )
    assert 'kiku_feedback_total{rating="up"} 1.0' in counted
    command = slack.command(QUESTION).body["payload"]
    assert slack.post_signed(f"{url}/slack/events", command, form=True) == 200
    assert ANSWER in words(slack.wait_for(lambda: slack.responses)[0])


def test_until_the_bot_is_open_slack_is_asked_to_come_back(
    slack: FakeSlack, kiku: Kiku, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.door.RETRY_SECONDS", 0.1)
    opened = threading.Event()

    def bot() -> Kiku:
        if not opened.is_set():
            raise IndexMissing("まだです。")
        return kiku

    door = SlackDoor(bot)
    door.start()
    with served(door) as url:
        event = slack.event_body({"type": "app_mention", "channel": "C1"})
        assert slack.post_signed(f"{url}/slack/events", event) == 503
        opened.set()
        status, ts = post(slack, url, QUESTION)
        assert status == 200
        slack.reply("C1", ts)
    door.stop()


def test_another_workspace_installs_the_app_and_is_answered_with_its_own_token(
    slack: FakeSlack, settings: Settings
) -> None:
    settings.slack_client_id = "111.222"
    settings.slack_client_secret = SecretStr("client-secret")
    kiku = Kiku(settings, None, Store.open(settings.database_url))
    door = SlackDoor(lambda: kiku)
    door.start()
    with served(door) as url:
        slack.wait_for(lambda: _status(f"{url}/slack/install") == 200)
        page = urllib.request.urlopen(f"{url}/slack/install")
        html, cookie = page.read().decode(), page.headers["set-cookie"].split(";")[0]
        [address] = [part for part in html.split('"') if "oauth/v2/authorize" in part]
        query = parse_qs(urlsplit(address.replace("&amp;", "&")).query)
        assert "chat:write" in query["scope"][0]
        state = query["state"][0]
        forged = f"{url}/slack/oauth_redirect?code=good-code&state=made-up"
        assert _status(forged, cookie) == 400
        assert _status(f"{url}/slack/oauth_redirect?code=good-code&state={state}", cookie) == 200
        ts = slack.say("C1", mention(QUESTION), deliver=False)
        event = {"type": "app_mention", "user": "U1", "text": mention(QUESTION), "ts": ts}
        body = slack.event_body(event | {"channel": "C1", "event_ts": ts})
        body |= {"team_id": "T0SECOND"}
        body["authorizations"][0]["team_id"] = "T0SECOND"
        slack.people["U1"]["team_id"] = "T0SECOND"
        assert slack.post_signed(f"{url}/slack/events", body) == 200
        assert ANSWER in words(slack.reply("C1", ts))
        assert slack.post_tokens == {"xoxb-second"}
        kept = kiku.store.database.engine
        for farewell, tokens in (
            ({"type": "tokens_revoked", "tokens": {"oauth": ["U1"]}}, 1),
            ({"type": "app_uninstalled"}, 0),
        ):
            body = slack.event_body(farewell) | {"team_id": "T0SECOND"}
            body["authorizations"][0]["team_id"] = "T0SECOND"
            assert slack.post_signed(f"{url}/slack/events", body) == 200
            with kept.connect() as connection:
                for table in ("slack_bots", "slack_installations"):
                    count = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()
                    assert count == tokens
    door.stop()
    kiku.close()


def _status(url: str, cookie: str = "") -> int:
    request = urllib.request.Request(url, headers={"Cookie": cookie} if cookie else {})
    try:
        with urllib.request.urlopen(request) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_doctor_names_what_is_wrong(slack: FakeSlack, settings: Settings) -> None:
    assert problems(settings) == []
    slack.scopes -= {"chat:write", "users:read"}
    [lacking] = problems(settings)
    assert "chat:write, users:read" in lacking
    settings.slack_app_token = SecretStr("xapp-old")
    assert any("SLACK_APP_TOKEN" in one and "invalid_auth" in one for one in problems(settings))
    settings.slack_bot_token = SecretStr("xoxb-revoked")
    assert any("SLACK_BOT_TOKEN" in one and "invalid_auth" in one for one in problems(settings))
    assert not any("xoxb" in one for one in problems(settings))
    settings.slack_bot_token = settings.slack_app_token = SecretStr("")
    settings.slack_client_id = "111.222"
    [lacking] = problems(settings)
    assert "SLACK_CLIENT_SECRET" in lacking


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"slack_bot_token": SecretStr("")}, "SLACK_BOT_TOKEN"),
        ({"slack_bot_token": SecretStr("xoxb-revoked")}, "invalid_auth"),
        ({"slack_app_token": SecretStr("")}, "SLACK_APP_TOKEN"),
        ({"slack_app_token": SecretStr("xapp-old")}, "invalid_auth"),
        ({"slack_api_url": "http://127.0.0.1:9/api/"}, "接続できません"),
    ],
)
def test_a_wrong_token_is_told_in_a_sentence(
    settings: Settings, change: dict[str, object], named: str
) -> None:
    from bot.slack.app import run

    for name, value in change.items():
        setattr(settings, name, value)
    kiku = Kiku(settings, None, Store.open(settings.database_url))
    run_it: Callable[[Kiku], None] = run
    with pytest.raises(SettingsError) as caught:
        run_it(kiku)
    assert named in caught.value.message
    kiku.close()


def test_the_http_service_takes_events_without_an_api_key_of_its_own(
    slack: FakeSlack, settings: Settings, kiku: Kiku
) -> None:
    from bot.http.app import create_app
    from bot.http.auth import create_key

    _, entry = create_key("somebody", None, False)
    settings.api_keys = entry
    config = uvicorn.Config(create_app(kiku), port=0, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    slack.wait_for(lambda: server.started)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    status, ts = post(slack, url, QUESTION)
    assert status == 200
    assert ANSWER in words(slack.reply("C1", ts))
    assert post(slack, url, QUESTION, secret="guess")[0] == 401
    assert _status(f"{url}/ask?q=x") == 401
    server.should_exit = True
    thread.join(120)  # not how soon: that it ends
    assert not thread.is_alive()


def test_in_one_workspace_a_farewell_is_only_acknowledged(slack: FakeSlack, url: str) -> None:
    post(slack, url, QUESTION)
    for farewell in (
        {"type": "app_uninstalled"},
        {"type": "tokens_revoked", "tokens": {"bot": ["U"]}},
    ):
        assert slack.post_signed(f"{url}/slack/events", slack.event_body(farewell)) == 200


def test_the_manifest_asks_for_what_kiku_listens_to() -> None:
    """What `kiku slack manifest` prints is what Slack reads, and names each way to ask."""
    shown = subprocess.run(
        [sys.executable, "-c", "from bot.cli import main; main()", "slack", "manifest"],
        capture_output=True,
        text=True,
        check=True,
    )
    read = yaml.safe_load(shown.stdout)
    assert read["features"]["slash_commands"][0]["command"] == Settings().slack.command
    assert read["features"]["app_home"]["messages_tab_read_only_enabled"] is False
    assert read["settings"]["socket_mode_enabled"] is True
    assert "chat:write" in read["oauth_config"]["scopes"]["bot"]
