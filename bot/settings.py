"""The settings: `KIKU_*` environment variables, then `kiku.toml`, then the defaults below.

The only module that reads the environment. Every field carries its description, from which the
README's table is checked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnparsedVariable

from index.errors import SettingsError

CONFIG_FILE = Path("kiku.toml")
PREFIX = "KIKU_"


class SlackSettings(BaseModel):
    """`[slack]` of kiku.toml; the tokens keep Slack's own names in the environment."""

    model_config = ConfigDict(extra="forbid")

    api_url: str = Field("https://slack.com/api/", description="Slack's Web API address")
    listen_channels: list[str] = Field(
        default_factory=list, description="channels answered without a mention"
    )
    allowed_workspaces: list[str] = Field(
        default_factory=list, description="team ids that may ask; empty means all installed ones"
    )
    allowed_channels: list[str] = Field(
        default_factory=list,
        description="channels that may ask, `im` for direct messages; empty means all",
    )
    answer_guests: bool = Field(False, description="answer guests and Slack Connect strangers")
    channel_collections: dict[str, list[str]] = Field(
        default_factory=dict,
        description="collections that a channel may see, by channel id, `im` for direct messages",
    )
    private_collections: list[str] = Field(
        default_factory=list, description="collections shown only where channel_collections says so"
    )
    command: str = Field("/kiku", pattern=r"^/\S+$", description="the slash command in the app")
    workers: int = Field(8, ge=1, le=64, description="questions worked on at once")
    queue: int = Field(500, ge=1, description="questions waiting before Kiku asks to come back")
    lease: float = Field(
        30.0, ge=1, le=600, description="seconds after which another process takes a question over"
    )


class Settings(BaseSettings):
    """All settings. Build it with `load_settings`, which explains mistakes in one sentence."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", toml_file=CONFIG_FILE, env_nested_delimiter="__"
    )

    home: Path = Field(Path(".kiku"), description="folder for everything that Kiku writes")
    encoder: str = Field(
        "", description="sentence-transformers name or folder; empty: the shipped one"
    )
    synonyms: Path = Field(Path("corpus/synonyms.toml"), description="the team's vocabulary")
    store: str = Field(
        "local",
        repr=False,
        pattern=r"^(local$|postgres(ql)?://|milvuss?://)",
        description="where passages and vectors live: local, postgresql://… or milvus://…",
    )
    database: str = Field(
        "", repr=False, description="SQLAlchemy URL; empty: SQLite in the home folder"
    )
    host: str = Field("127.0.0.1", description="address that the service listens on")
    port: int = Field(8000, ge=0, le=65535, description="port that the service listens on")
    public_url: str = Field("", description="address under which people reach the service")
    threads: int = Field(0, ge=0, le=256, description="threads for the encoder; 0: by the cores")
    top_k: int = Field(5, ge=1, le=50, description="citations of an answer, at most")
    threshold: float = Field(
        0.33, ge=0.0, le=1.0, description="confidence below which Kiku says that it does not know"
    )
    max_question_chars: int = Field(4000, ge=1, le=100_000, description="longest question")
    api_keys: str = Field(
        "", repr=False, description="comma-separated digests made by `kiku keys create`"
    )
    allow_public_without_keys: bool = Field(
        False, description="listen on a public address although there are no API keys"
    )
    allowed_hosts: list[str] = Field(
        default_factory=list,
        description="further names by which the service may be addressed (Host header)",
    )
    cors_origins: list[str] = Field(default_factory=list, description="origins allowed by CORS")
    rate_limit: str = Field("120/minute", description="requests per key or address")
    max_answers: int = Field(
        0, ge=0, le=1024, description="answers worked on at once; 0: by the cores"
    )
    telemetry: bool = Field(
        False, description="send OpenTelemetry traces and metrics as the OTEL_* variables say"
    )
    log_level: str = Field("info", description="debug, info, warning or error")
    log_questions: bool = Field(False, description="write the text of questions to the log")
    retention_days: int = Field(0, ge=0, description="days conversations are kept; 0: for ever")
    keep_generations: int = Field(2, ge=1, le=100, description="index generations kept on disk")
    vectors: Literal["auto", "exact", "ivf"] = Field(
        "auto", description="how vectors are searched: all of them, by lists, or by their number"
    )
    llm_url: str = Field("", description="OpenAI-compatible endpoint; empty: no LLM")
    llm_model: str = Field("", description="model asked there")
    llm_api_key: SecretStr = Field(SecretStr(""), description="its key")
    llm_timeout: float = Field(20.0, gt=0, le=600, description="seconds an LLM answer may take")
    llm_max_tokens: int = Field(600, ge=16, le=32_000, description="tokens an LLM answer may have")
    collections: dict[str, list[str]] = Field(
        default_factory=dict, description="collection → path patterns (kiku.toml)"
    )
    slack: SlackSettings = Field(default_factory=SlackSettings, description="[slack] of kiku.toml")
    slack_bot_token: SecretStr = Field(SecretStr(""), validation_alias="SLACK_BOT_TOKEN")
    slack_app_token: SecretStr = Field(SecretStr(""), validation_alias="SLACK_APP_TOKEN")
    slack_signing_secret: SecretStr = Field(SecretStr(""), validation_alias="SLACK_SIGNING_SECRET")
    slack_client_id: str = Field("", validation_alias="SLACK_CLIENT_ID")
    slack_client_secret: SecretStr = Field(SecretStr(""), validation_alias="SLACK_CLIENT_SECRET")
    slack_api_url: str = Field("", description="overrides [slack] api_url (GovCloud, tests)")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of conversations, feedback and Slack events."""
        return self.database or f"sqlite:///{(self.home / 'kiku.sqlite').resolve()}"


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings as the environment and `kiku.toml` say, `overrides` first.

    Raises SettingsError naming the first unknown or malformed setting.
    """
    _refuse_unknown_variables()
    try:
        return Settings(**dict(overrides or {}))
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    except UnparsedVariable as error:
        field = re.search(r'field "(\w+)"', str(error))
        name = PREFIX + field[1].upper() if field else str(error)
        example = '["a", "b"] や {"a": ["b"]}'
        raise SettingsError(f"設定 {name} は JSON で書いてください（例: {example}）。") from None
    except ValueError as error:  # a kiku.toml that is not TOML
        raise SettingsError(
            f"kiku.toml を読めません: {error}",
            hint='日本語の名前と文字の値は " で囲んでください（例: "人事" = ["人事/"]）。',
        ) from None


def _refuse_unknown_variables() -> None:
    known = {
        str(field.validation_alias or PREFIX + name.upper())
        for name, field in Settings.model_fields.items()
    }
    for name in os.environ:
        if name.startswith(PREFIX) and name.split("__")[0] not in known:
            near = get_close_matches(name, sorted(known), n=1)
            guess = f" {near[0]} のことですか？" if near else ""
            raise SettingsError(f"設定 {name} はありません。{guess}".strip())


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    field = str(first["loc"][0])
    name = field if field.startswith("SLACK_") else PREFIX + field.upper()
    inner = "".join(f".{part}" for part in first["loc"][1:])
    if first["type"] == "extra_forbidden":
        return f"設定 {field}{inner} はありません。綴りを確かめてください。"
    return f"設定 {name}{inner} の値が正しくありません: {first['msg']}"
