from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.settings import Settings, SlackSettings, load_settings
from index.errors import SettingsError

SECRETS = {
    "KIKU_LLM_API_KEY": "sk-llm-secret",
    "KIKU_DATABASE": "postgresql://kiku:db-secret@db/kiku",
    "KIKU_API_KEYS": "name:0123456789abcdef-secret",
    "SLACK_BOT_TOKEN": "xoxb-secret",
    "SLACK_APP_TOKEN": "xapp-secret",
    "SLACK_SIGNING_SECRET": "signing-secret",
    "SLACK_CLIENT_SECRET": "client-secret",
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but those of the test, in an empty folder."""
    for name in list(os.environ):
        if name.startswith(("KIKU_", "SLACK_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_without_anything_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.home == Path(".kiku")
    assert settings.host == "127.0.0.1"
    assert settings.database_url == f"sqlite:///{Path('.kiku/kiku.sqlite').resolve()}"
    assert settings.llm_url == settings.encoder == settings.api_keys == ""


def test_the_environment_wins_over_the_file_and_an_override_over_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("kiku.toml").write_text('port = 1\ntop_k = 2\nhome = "from-file"\n')
    monkeypatch.setenv("KIKU_PORT", "3")
    monkeypatch.setenv("KIKU_HOME", "from-environment")
    settings = load_settings({"home": Path("from-call")})
    assert (settings.port, settings.top_k, settings.home) == (3, 2, Path("from-call"))


def test_tables_of_the_file_are_read() -> None:
    Path("kiku.toml").write_text(
        '[collections]\n"人事" = ["hr/**"]\n[slack]\nworkers = 3\n'
        '[slack.channel_collections]\nC1 = ["人事"]\n'
    )
    settings = load_settings()
    assert settings.collections == {"人事": ["hr/**"]}
    assert settings.slack.workers == 3
    assert settings.slack.channel_collections == {"C1": ["人事"]}


def test_a_table_can_be_set_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIKU_SLACK__WORKERS", "5")
    monkeypatch.setenv("KIKU_COLLECTIONS", '{"人事": ["hr/**"]}')
    settings = load_settings()
    assert settings.slack.workers == 5
    assert settings.collections == {"人事": ["hr/**"]}


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("KIKU_ENCODR", "KIKU_ENCODER"),
        ("KIKU_THRESHHOLD", "KIKU_THRESHOLD"),
        ("KIKU_LLM_KEY", "KIKU_LLM_API_KEY"),
        ("KIKU_SLACK_BOT_TOKEN", "SLACK_BOT_TOKEN"),
        ("KIKU_SLACK_CLIENT_ID", "SLACK_CLIENT_ID"),
    ],
)
def test_an_unknown_variable_is_named_with_a_guess(
    monkeypatch: pytest.MonkeyPatch, name: str, guess: str
) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError, match=rf"{name} .*\b{guess}\b") as error:
        load_settings()
    assert error.value.code == "bad_setting"


def test_an_unknown_variable_like_no_other_is_named_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIKU_QQQQQQQQQQQQ", "x")
    with pytest.raises(SettingsError, match="KIKU_QQQQQQQQQQQQ") as error:
        load_settings()
    assert "？" not in error.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KIKU_PORT", "http"),
        ("KIKU_PORT", "70000"),
        ("KIKU_PORT", ""),
        ("KIKU_TOP_K", "0"),
        ("KIKU_THRESHOLD", "1.5"),
        ("KIKU_THRESHOLD", "nan"),
        ("KIKU_LLM_TIMEOUT", "soon"),
        ("KIKU_LOG_QUESTIONS", "perhaps"),
        ("KIKU_COLLECTIONS", "人事"),
        ("KIKU_COLLECTIONS", "[1]"),
        ("KIKU_ALLOWED_HOSTS", "kiku.example.jp"),
        ("KIKU_SLACK__WORKERS", "many"),
        ("KIKU_SLACK__WORKRS", "1"),
    ],
)
def test_a_malformed_value_names_its_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load_settings()
    named = name.removeprefix("KIKU_").replace("__", ".")
    assert named.casefold() in error.value.message.casefold()
    assert "kiku.toml" not in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("port = 1\nprot = 2\n", "prot"),
        ("[slack]\nworkrs = 1\n", "slack.workrs"),
        ('port = "x"\n', "PORT"),
        ("port = \n", "kiku.toml"),
        ("port", "kiku.toml"),
        ("\udcff", "kiku.toml"),
        ("[collections]\nhr = 3\n", "COLLECTIONS"),
    ],
)
def test_a_mistake_in_the_file_is_named(text: str, named: str) -> None:
    Path("kiku.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=named) as error:
        load_settings()
    assert "\n" not in error.value.message


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.llm_api_key.get_secret_value() == "sk-llm-secret"
    assert settings.slack_signing_secret.get_secret_value() == "signing-secret"
    for shown in (repr(settings), str(settings), f"{settings}", f"{settings!r}"):
        assert "secret" not in shown.replace("signing_secret", "").replace("client_secret", "")


def test_a_mistake_never_repeats_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KIKU_PORT", "port-secret")
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert "secret" not in error.value.message


def test_every_setting_is_described() -> None:
    for owner in (Settings, SlackSettings):
        for name, field in owner.model_fields.items():
            assert field.description or name.startswith("slack_"), name


def test_other_peoples_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_SOMETHING", "x")
    monkeypatch.setenv("KIKUCHI", "x")
    load_settings()
