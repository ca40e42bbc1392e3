"""What the service tells OpenTelemetry, heard by a tracer of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

from bot.http import app as service
from bot.settings import Settings
from index.errors import SettingsError
from tests.fake_kiku import FakeKiku, opened

QUESTION = "CentOSのサポートはいつまで？"


class Recorder(trace.TracerProvider, trace.Tracer):
    """Keeps the attributes that spans begin with, by their method and path."""

    def __init__(self) -> None:
        self.spans: dict[tuple[str, str], Mapping[str, Any]] = {}

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        return self

    def start_span(self, name: str, *_: Any, attributes: Any = None, **__: Any) -> trace.Span:
        self.spans[name, attributes["url.path"]] = attributes
        return trace.INVALID_SPAN

    def start_as_current_span(self, *_: Any, **__: Any) -> Any:
        return trace.use_span(trace.INVALID_SPAN)


@pytest.mark.parametrize("told", [False, True])
def test_spans_hold_questions_only_where_they_may_be_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    monkeypatch.setattr(service, "find_spec", lambda name: object())
    recorder, configured = Recorder(), service._telemetry

    def recorded(settings: Settings) -> Any:
        return {**configured(settings), "auto_configure": False, "tracer_provider": recorder}

    monkeypatch.setattr(service, "_telemetry", recorded)
    kiku = FakeKiku(tmp_path, telemetry=True, log_questions=told)
    with opened(kiku) as client:
        assert client.get("/ask", params={"q": QUESTION}).status_code == 200
        assert client.post("/ask", json={"question": QUESTION}).status_code == 200
    assert recorder.spans["POST", "/ask"]["http.request.method"] == "POST"
    assert (("GET", "/ask") in recorder.spans) is told
    assert service._telemetry(kiku.settings)["logs"] is told


def test_without_its_packages_telemetry_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "find_spec", lambda name: None)
    with pytest.raises(SettingsError) as caught, opened(FakeKiku(tmp_path, telemetry=True)):
        pass
    assert "kiku[otel]" in caught.value.hint
