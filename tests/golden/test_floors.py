"""The repository's own questions on its own documents: a worse retriever or answer cannot land."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli.eval import app

ROOT = Path(__file__).parents[2]


def test_the_floors_hold(corpus_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIKU_HOME", str(corpus_home))
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(app, ["--floor", "tests/floors.json"])
    assert result.exit_code == 0, f"{result.stdout}\n{result.stderr}"
