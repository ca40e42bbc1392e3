"""Who may ask in Slack and what they are shown, against the fake server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bot.slack.access import Asked
from tests.fake_slack import Envelope, FakeSlack, mention, words
from tests.slack_bot import Connection

Connect = Callable[..., Connection]
QUESTION = "無線LANの利用申請の締め切りはいつですか？"
ANSWER = "毎月20日"
PRIVATE_QUESTION = "給与は毎月何日に支払いますか？"
PRIVATE_ANSWER = "25日"
PRIVATE = {"private_collections": ["personnel"]}
FOR_DIRECT = {**PRIVATE, "channel_collections": {"im": ["open", "personnel"]}}


def everything(slack: FakeSlack) -> str:
    """All that anybody could have read."""
    seen = [message for channel in slack.channels for message in slack.replies(channel)]
    return "".join(words(message) + message["text"] for message in seen)


def test_private_documents_do_not_show_in_a_public_channel(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect(**PRIVATE)
    ts = slack.say("C1", mention(PRIVATE_QUESTION))
    assert "見つかりません" in words(slack.reply("C1", ts))
    connection.settle(slack)
    assert PRIVATE_ANSWER not in everything(slack)
    assert "給与規程" not in everything(slack)
    assert slack.ephemeral == []


def test_private_documents_show_in_the_channel_that_may_see_them(
    slack: FakeSlack, connect: Connect
) -> None:
    connect(**PRIVATE, channel_collections={"C9": ["personnel", "open"]})
    slack.channel("C9", kind="group")
    ts = slack.say("C9", mention(PRIVATE_QUESTION))
    assert PRIVATE_ANSWER in words(slack.reply("C9", ts))


def test_what_a_person_may_see_in_private_is_whispered_in_public(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect(**FOR_DIRECT)
    direct = slack.say("D1", PRIVATE_QUESTION)
    assert PRIVATE_ANSWER in words(slack.reply("D1", direct))
    ts = slack.say("C1", mention(PRIVATE_QUESTION), user="U2")
    [whisper] = slack.wait_for(lambda: slack.ephemeral)
    assert whisper["only_for"] == "U2"
    assert "thread_ts" not in whisper  # Slack shows nobody what is whispered into a new thread
    assert PRIVATE_ANSWER in words(whisper)
    assert "あなただけ" in words(whisper)
    connection.settle(slack)
    assert slack.replies("C1") == []
    # What was whispered is no part of the conversation of the thread.
    assert connection.kiku.store.turns(f"slack:T0HOME:C1:{ts}") == ()
    unanswered = connection.kiku.store.insights(1)["unanswered"]
    assert unanswered == []


def test_within_a_thread_it_is_whispered_there(slack: FakeSlack, connect: Connect) -> None:
    connect(**FOR_DIRECT)
    ts = slack.say("C1", mention(QUESTION))
    slack.reply("C1", ts)
    slack.say("C1", mention(PRIVATE_QUESTION), thread_ts=ts)
    [whisper] = slack.wait_for(lambda: slack.ephemeral)
    assert whisper["thread_ts"] == ts


def test_a_private_answer_to_a_command_cannot_be_published(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect(**FOR_DIRECT)
    slack.command(PRIVATE_QUESTION)
    private = slack.wait_for(lambda: slack.responses)[0]
    assert PRIVATE_ANSWER in words(private)
    assert "publish" not in str(private["blocks"])
    answer_id = _answer_id(private)
    slack.press("C1", "publish", answer_id)  # a forged press, or a button of other days
    slack.wait_for(lambda: len(slack.responses) == 2)
    connection.settle(slack)
    assert "チャンネルに出せない" in words(slack.responses[1])
    assert slack.responses[1]["response_type"] == "ephemeral"
    assert slack.replies("C1") == []


def _answer_id(message: dict[str, Any]) -> str:
    [block] = [one for one in message["blocks"] if one["type"] == "context_actions"]
    value: str = block["elements"][0]["positive_button"]["value"]
    return value.removeprefix("up:")


@pytest.mark.parametrize(
    "flags",
    [
        {"is_restricted": True},
        {"is_ultra_restricted": True},
        {"is_stranger": True},
        {"team_id": "T0ELSEWHERE"},
    ],
)
def test_guests_and_strangers_are_told_in_private(
    slack: FakeSlack, connect: Connect, flags: dict[str, Any]
) -> None:
    connection = connect()
    slack.person("U0GUEST", **flags)
    slack.say("C1", mention(QUESTION), user="U0GUEST")
    [whisper] = slack.wait_for(lambda: slack.ephemeral)
    slack.command(QUESTION, user="U0GUEST")
    slack.wait_for(lambda: slack.responses)
    connection.settle(slack)
    assert "ゲスト" in words(whisper)
    assert "ゲスト" in words(slack.responses[0])
    assert whisper["only_for"] == "U0GUEST"
    assert slack.replies("C1") == []
    assert connection.kiku.store.insights(1)["days"][-1]["asked"] == 0


def test_app_home_shows_guests_and_strangers_no_titles(slack: FakeSlack, connect: Connect) -> None:
    connect()
    slack.person("U0GUEST", is_restricted=True)
    slack.open_home("U0GUEST")
    home = words(slack.wait_for(lambda: slack.homes.get("U0GUEST")))
    assert "ゲスト" in home
    assert "手引き" not in home
    slack.open_home("U0GUEST", tab="messages")
    slack.open_home("U1")
    assert "手引き" in words(slack.wait_for(lambda: slack.homes.get("U1")))
    assert slack.prompts == []


@pytest.mark.parametrize(
    ("organization", "refusal"), [("E0HOME", None), ("E0OTHER", "guest"), (None, "guest")]
)
def test_colleagues_of_other_workspaces_of_an_organization_are_answered(
    slack: FakeSlack, connect: Connect, organization: str | None, refusal: str | None
) -> None:
    connection = connect()
    own = {"enterprise_user": {"enterprise_id": organization}} if organization else {}
    slack.person("U0ELSE", team_id="T0BRANCH", **own)
    asked = Asked("T0HOME", "E0HOME", "C1", "U0ELSE", "T0BRANCH", shared=False)
    assert connection.app._access.decide(asked).refusal == refusal


def test_guests_are_answered_where_the_setting_says_so(slack: FakeSlack, connect: Connect) -> None:
    connect(answer_guests=True)
    slack.person("U0GUEST", is_restricted=True)
    ts = slack.say("C1", mention(QUESTION), user="U0GUEST")
    assert ANSWER in words(slack.reply("C1", ts))


def test_in_a_channel_shared_with_others_answers_are_whispered(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect()
    slack.channel("C7", shared=True)
    slack.say("C7", mention(QUESTION))
    [whisper] = slack.wait_for(lambda: slack.ephemeral)
    assert ANSWER in words(whisper)
    assert "社外" in words(whisper)
    slack.command(QUESTION, channel="C7")
    private = slack.wait_for(lambda: slack.responses)[0]
    assert "publish" not in str(private["blocks"])
    connection.settle(slack)
    assert slack.replies("C7") == []


@pytest.mark.parametrize(
    ("values", "words_of_refusal"),
    [
        ({"allowed_channels": ["C2"]}, "このチャンネル"),
        ({"allowed_workspaces": ["T0OTHER"]}, "このワークスペース"),
    ],
)
def test_what_is_not_on_the_list_is_refused(
    slack: FakeSlack, connect: Connect, values: dict[str, Any], words_of_refusal: str
) -> None:
    connection = connect(**values)
    slack.say("C1", mention(QUESTION))
    direct = slack.say("D1", QUESTION)
    [whisper] = slack.wait_for(lambda: slack.ephemeral)
    assert words_of_refusal in words(whisper)
    assert words_of_refusal in words(slack.reply("D1", direct))
    connection.settle(slack)
    assert slack.replies("C1") == []


def settings_values(*collections: str, listen: bool = False) -> dict[str, Any]:
    option = {"text": {"type": "plain_text", "text": "x"}, "value": "on"}
    chosen = [{**option, "value": name} for name in collections]
    return {
        "collections": {"collections": {"selected_options": chosen}},
        "listen": {"listen": {"selected_options": [option] if listen else []}},
    }


def open_settings(slack: FakeSlack, user: str) -> dict[str, Any]:
    slack.command("設定", user=user)
    view: dict[str, Any] = slack.wait_for(lambda: slack.opened)[-1]
    return view


def submitted(
    slack: FakeSlack, view: dict[str, Any], values: dict[str, Any], user: str
) -> Envelope:
    envelope = slack.submit(view, values, user=user)
    slack.wait_for(lambda: envelope.acked_at)
    return envelope


def test_an_admin_opens_a_private_collection_to_a_channel(
    slack: FakeSlack, connect: Connect
) -> None:
    connect(**PRIVATE)
    view = open_settings(slack, "U0ADMIN")
    assert "personnel" in words(view)
    submitted(slack, view, settings_values("personnel", listen=True), "U0ADMIN")
    ts = slack.say("C1", PRIVATE_QUESTION)  # without a mention: the channel listens now
    assert PRIVATE_ANSWER in words(slack.reply("C1", ts))


def test_the_creator_of_a_channel_may_not_open_private_collections(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect(**PRIVATE)
    view = open_settings(slack, "U0CREATOR")
    assert "open" in words(view)
    assert "personnel" not in words(view)
    envelope = submitted(slack, view, settings_values("personnel"), "U0CREATOR")
    assert envelope.response["response_action"] == "errors"
    ts = slack.say("C1", mention(PRIVATE_QUESTION))
    assert "見つかりません" in words(slack.reply("C1", ts))
    submitted(slack, view, settings_values("open", listen=True), "U0CREATOR")
    asked = slack.say("C1", QUESTION)
    assert ANSWER in words(slack.reply("C1", asked))
    connection.settle(slack)


def test_the_dialog_shows_what_holds_and_then_what_was_saved(
    slack: FakeSlack, connect: Connect
) -> None:
    connection = connect(listen_channels=["C1"], channel_collections={"C1": ["open"]})
    view = open_settings(slack, "U0ADMIN")
    chosen = [block["element"].get("initial_options") for block in view["blocks"][1:]]
    assert [one[0]["value"] for one in chosen] == ["open", "on"]
    envelope = submitted(slack, view, settings_values(listen=False), "U0ADMIN")
    saved = envelope.response
    assert saved["response_action"] == "update"
    assert "メンションされたときだけ" in words(saved["view"])
    assert not connection.app._access.listens("T0HOME", "C1")
    # Nothing chosen: as kiku.toml says.
    assert connection.app._access.visible_in("T0HOME", "C1") == {"open"}


def test_others_may_not_change_settings(slack: FakeSlack, connect: Connect) -> None:
    connect()
    slack.command("設定", user="U1")
    assert "だけです" in slack.wait_for(lambda: slack.responses)[0]["text"]
    view = open_settings(slack, "U0ADMIN")
    envelope = submitted(slack, view, settings_values("open"), "U1")
    assert envelope.response["response_action"] == "errors"
    slack.command("設定", user="U0ADMIN", channel="D1")
    slack.wait_for(lambda: len(slack.responses) == 2)
    assert "チャンネルの中で" in slack.responses[1]["text"]
