"""The service put together, and the process that runs it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import Scope

from bot.http import chat_completions, errors, insights, operations, pages, routes
from bot.http.auth import KeyRing
from bot.http.gate import Gate
from bot.http.guard import LOCAL_NAMES, Guard, RateLimit
from bot.http.mcp_door import McpDoor
from bot.http.metrics import Metrics
from bot.http.service import Service
from bot.kiku import Kiku
from bot.settings import Settings
from index.errors import SettingsError

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

    from bot.slack.door import SlackDoor

GRACE_SECONDS = 30  # that answers under way are given when the service stops
_DESCRIPTION = """\
Asks your own documents. An answer quotes them word for word:
`quote == GET /documents/{document_id} .text[start:end]`.

Every error is `{"error": {"code", "message", "hint"}}`; `code` is stable.
"""


def create_app(kiku: Kiku) -> FastAPI:
    """The service over a bot that is composed already; closes it when it stops."""
    return _assemble(kiku.settings, lambda: kiku)


def serve(settings: Settings, connect: Callable[[Settings], Kiku]) -> None:
    """Listens until it is told to stop. The index and the encoder are opened meanwhile, so that
    `/healthz` answers at once. Raises SettingsError where listening would be unsafe."""
    import uvicorn

    from bot.http.protocol import TypedAddresses
    from bot.logs import configure_logs

    check_address(settings)
    configure_logs(settings.log_level)
    uvicorn.run(
        _assemble(settings, lambda: connect(settings)),
        host=settings.host,
        port=settings.port,
        http=TypedAddresses,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def check_address(settings: Settings) -> None:
    """Raises SettingsError when a public address would be open to everybody."""
    if settings.api_keys.strip() or settings.allow_public_without_keys or _is_local(settings.host):
        return
    raise SettingsError(
        f"APIキーなしで {settings.host} に公開することはできません。",
        hint="`kiku keys create` で作ったキーを KIKU_API_KEYS に入れるか、"
        "KIKU_ALLOW_PUBLIC_WITHOUT_KEYS=true としてください。",
    )


def _assemble(settings: Settings, connect: Callable[[], Kiku]) -> FastAPI:
    keys = KeyRing.parse(settings.api_keys)
    metrics = Metrics()
    service = Service(settings, connect, metrics)
    gate = Gate(settings.max_answers or _slots(settings), metrics)
    max_body = _max_body(settings)
    mcp = McpDoor(service, gate, max_body)
    slack = _slack_door(settings, service)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        if slack:
            slack.start()
        async with anyio.create_task_group() as beside:
            beside.start_soon(mcp.run)
            yield
            beside.cancel_scope.cancel()
        if slack:
            slack.stop()
        service.stop()

    app = FastAPI(
        title="Kiku",
        version=version("kiku"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry=_telemetry(settings),
    )
    app.state.service = service
    app.state.gate = gate
    errors.install(app, max_body)
    for router in (
        routes.router,
        routes.streams,
        chat_completions.router,
        operations.router,
        insights.router,
    ):
        app.include_router(router)
    pages.mount(app)
    app.router.routes.append(Route("/mcp", endpoint=mcp))
    if slack:
        app.router.routes.extend(slack.routes)
    app.add_middleware(
        Guard,
        keys=keys,
        rate_limit=RateLimit(settings.rate_limit),
        hosts=_hosts(settings),
        origins=settings.cors_origins,
        max_body=max_body,
        metrics=metrics,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    return app


def _slack_door(settings: Settings, service: Service) -> SlackDoor | None:
    if not settings.slack_signing_secret.get_secret_value():
        return None  # nobody could tell Slack from others
    from bot.slack.door import SlackDoor

    return SlackDoor(lambda: service.kiku, service.metrics)


def _slots(settings: Settings) -> int:
    """Extractive answers keep a core busy each; those of an LLM mostly wait for it."""
    cores = os.cpu_count() or 1
    return max(16, 4 * cores) if settings.llm_url else max(2, cores)


def _max_body(settings: Settings) -> int:
    """Bytes of a request: room for a long question with its history, and no more."""
    return max(1_000_000, 8 * settings.max_question_chars)


def _hosts(settings: Settings) -> frozenset[str] | None:
    """The names that a request may call this service by; None on a public address with none set,
    where only its administrator could know them."""
    named = {name.strip("[]").lower() for name in settings.allowed_hosts}
    if settings.public_url:
        named.add(urlsplit(settings.public_url).hostname or "")
    if not _is_local(settings.host) and not named:
        return None
    return frozenset(named | LOCAL_NAMES | {settings.host.strip("[]").lower()})


def _is_local(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _asks_in_its_address(scope: Scope) -> bool:
    return bool(scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/ask")


def _telemetry(settings: Settings) -> TelemetryConfig:
    """FastAPI's own OpenTelemetry, exporting as the OTEL_* variables say, or switched off.

    A span holds the address of its request, and a log record what was wrong with it: the text of
    questions leaves only where it may be logged.
    """
    if settings.telemetry:
        if find_spec("opentelemetry.sdk") is None:
            raise SettingsError(
                "KIKU_TELEMETRY には OpenTelemetry のパッケージが要りますが、入っていません。",
                hint="pip install 'kiku[otel]' で入れてください。",
            )
        told = settings.log_questions
        return {
            "auto_configure": True,
            "logs": told,
            "exclude": None if told else _asks_in_its_address,
        }
    return {"tracing": False, "metrics": False, "logs": False, "operation_spans": False}
