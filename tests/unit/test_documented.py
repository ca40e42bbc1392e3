"""The READMEs name every command and every setting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from bot.cli import app
from bot.settings import PREFIX, Settings, SlackSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["README.md", "README.ja.md"])
def readme(request: pytest.FixtureRequest) -> str:
    """The text of a README."""
    path = ROOT / request.param
    if not path.is_file():
        pytest.skip(f"{request.param} is not written yet")
    return path.read_text(encoding="utf-8")


def commands() -> dict[str, str]:
    """Every command as it is typed (`kiku ask`, `kiku keys create`), with its help."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        for inner, sub in getattr(command, "commands", {"": command}).items():
            found[f"kiku {name} {inner}".strip()] = sub.help or ""
    return found


def settings() -> list[str]:
    """Every setting as it is set."""
    names = [
        str(field.validation_alias or PREFIX + name.upper())
        for name, field in Settings.model_fields.items()
        if name != "slack"
    ]
    return names + list(SlackSettings.model_fields)


def test_every_command_is_documented(readme: str) -> None:
    assert [name for name in commands() if name not in readme] == []


def test_every_setting_is_documented(readme: str) -> None:
    missing = [
        name for name in settings() if not re.search(rf"(?<![A-Z_]){name}(?![A-Z_])", readme)
    ]
    assert missing == []


def test_nothing_is_documented_that_does_not_exist(readme: str) -> None:
    named = set(re.findall(r"\bKIKU_[A-Z_]*[A-Z]\b", readme))
    assert named - {name.split("__")[0] for name in settings()} - {"KIKU_SLACK"} == set()
    typed = {f"kiku {word}" for word in re.findall(r"`kiku ([a-z]+)", readme)}
    known = {" ".join(name.split()[:2]) for name in commands()}
    assert typed - known == set()


def test_every_command_says_what_it_does() -> None:
    assert {"kiku ask", "kiku build", "kiku doctor"} <= set(commands())
    assert [name for name, text in commands().items() if not text] == []
