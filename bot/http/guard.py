"""What every request passes, whatever answers it: host, origin, key, rate, size; and every reply:
request id, security headers, a line in the log, a count.

It stands around the whole application, so that a mounted one (MCP) is guarded alike.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from ipaddress import ip_address
from time import perf_counter, time
from typing import Any
from urllib.parse import urlsplit

import anyio
import structlog
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.http.auth import Caller, KeyRing, presented_key
from bot.http.errors import ApiError, is_page, preferred_language, refusal
from bot.http.metrics import Metrics
from index.errors import SettingsError

SLOWEST_SECONDS = 20.0  # between two parts of a body
OPEN_PATHS = ("/healthz", "/readyz")  # probes have no keys
OPEN_PREFIX = ("/static/", "/slack/")  # Slack signs what it sends; bot.slack.door checks that
_UNLIMITED = ("/healthz", "/readyz", "/metrics", "/static/", "/docs/", "/slack/events")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-src 'self'; frame-ancestors 'self'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
}
_log = structlog.get_logger("kiku.http")


class RateLimit:
    """So many requests in so long a time, for each caller apart."""

    def __init__(self, rate: str) -> None:
        self._item = _rate(rate)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def take(self, who: str) -> None:
        """Counts one request. Raises ApiError `rate_limited`."""
        if self._item is None or self._limiter.hit(self._item, who):
            return
        reset = self._limiter.get_window_stats(self._item, who).reset_time
        seconds = max(1, int(reset - time()) + 1)
        headers = {"Retry-After": str(seconds)}
        raise ApiError(429, "rate_limited", headers=headers, seconds=seconds)


class Guard:
    """ASGI middleware. `hosts` None lets every Host header pass; `origins` may write across sites."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyRing,
        rate_limit: RateLimit,
        hosts: Collection[str] | None,
        origins: Collection[str],
        max_body: int,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._keys = keys
        self._rate_limit = rate_limit
        self._hosts = hosts
        self._origins = frozenset(origins)
        self.max_body = max_body
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Passage(self, Headers(scope=scope), scope).run(self._app, receive, send)

    def admit(self, scope: Scope, headers: Headers) -> Caller:
        """Who calls. Raises ApiError for those who may not."""
        path: str = scope["path"]
        self._check_host(headers)
        self._check_origin(scope["method"], headers)
        address = scope["client"][0] if scope.get("client") else ""
        caller = Caller(admin=not self._keys and is_local(address) and _is_direct(headers))
        if self._keys and path not in OPEN_PATHS and not path.startswith(OPEN_PREFIX):
            caller = self._holder(headers, address)
        free = path.startswith(_UNLIMITED) or (not self._keys and is_local(address))
        if not free:
            self._rate_limit.take(caller.id or address)
        return caller

    def _holder(self, headers: Headers, address: str) -> Caller:
        key = presented_key(headers.get("authorization", ""), headers.get("x-api-key", ""))
        caller = self._keys.find(key) if key else None
        if caller is not None:
            return caller
        self._rate_limit.take(address)
        # A browser that opens a page asks its user for the key: any name, the key as password.
        is_page = "text/html" in headers.get("accept", "")
        challenge = 'Basic realm="Kiku", charset="UTF-8"' if is_page else 'Bearer realm="Kiku"'
        code = "key_unknown" if key else "key_missing"
        raise ApiError(401, code, headers={"WWW-Authenticate": challenge})

    def _check_host(self, headers: Headers) -> None:
        """A page of another site can make its own name point here (DNS rebinding)."""
        if self._hosts is not None and _host_name(headers) not in self._hosts:
            raise ApiError(400, "host_unknown")

    def _check_origin(self, method: str, headers: Headers) -> None:
        """Browsers say where a request comes from; programs say nothing and pass."""
        origin = headers.get("origin")
        if method in _SAFE_METHODS or (origin is not None and origin in self._origins):
            return
        site = headers.get("sec-fetch-site")
        if site is not None:
            foreign = site not in ("same-origin", "none")
        else:
            foreign = origin is not None and urlsplit(origin).netloc != headers.get("host")
        if foreign:
            raise ApiError(403, "cross_site")


LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def _reader_left(error: BaseException) -> bool:
    """Whether an error only says that the caller hung up in the middle of a stream."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_reader_left, error.exceptions))
    return isinstance(
        error, (anyio.BrokenResourceError, anyio.ClosedResourceError, ClientDisconnect)
    )


class _Passage:
    """One request on its way through the guard."""

    def __init__(self, guard: Guard, headers: Headers, scope: Scope) -> None:
        self._guard = guard
        self._headers = headers
        self._scope = scope
        given = headers.get("x-request-id", "")
        self._id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self._status = 0

    async def run(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        began = perf_counter()
        state = self._scope.setdefault("state", {})
        state["request_id"] = self._id

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = int(message["status"])
                self._add_headers(message)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=self._id):
            try:
                state["caller"] = self._guard.admit(self._scope, self._headers)
                body = _Body(receive, self._headers, self._guard.max_body)
                await app(self._scope, body.receive, send_named)
            except ApiError as error:
                await self._refuse(error, receive, send_named)
            except Exception as error:
                if _reader_left(error):
                    _log.info("left", path=self._scope["path"][:200])
                    return
                _log.exception("crashed", path=self._scope["path"][:200])
                if self._status:  # the reply is under way: only cutting it off says it is broken
                    raise
                await self._refuse(ApiError(500, "internal_error"), receive, send_named)
            finally:
                self._tell(perf_counter() - began)

    async def _refuse(self, error: ApiError, receive: Receive, send: Send) -> None:
        language = preferred_language(self._headers.get("accept-language", ""))
        page = is_page(self._scope["path"], self._headers)
        await refusal(error, language, page=page)(self._scope, receive, send)

    def _add_headers(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        headers["X-Request-ID"] = self._id
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)

    def _tell(self, seconds: float) -> None:
        route = self._route()
        self._guard.metrics.request(route, self._scope["method"], self._status, seconds)
        caller: Caller | None = self._scope["state"].get("caller")
        _log.info(
            "request",
            method=self._scope["method"],
            path=self._scope["path"][:200],
            status=self._status,
            ms=round(seconds * 1000, 1),
            key=caller.name if caller else "",
        )

    def _route(self) -> str:
        """The pattern of the route, of which there are few, never the path, of which there are
        as many as callers like."""
        route: Any = self._scope.get("route")
        return str(getattr(route, "path", "")) or "other"


class _Body:
    """A request's body, as long as it keeps within its size and its sender keeps sending."""

    def __init__(self, receive: Receive, headers: Headers, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._size = 0
        self._is_complete = False
        announced = headers.get("content-length", "")
        if announced.isdecimal() and (len(announced) > 15 or int(announced) > limit):
            raise ApiError(413, "body_too_large", limit=limit)

    async def receive(self) -> Message:
        if self._is_complete:  # from here on this only waits for the client to leave
            return await self._receive()
        try:
            with anyio.fail_after(SLOWEST_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408) from None
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            # FastAPI hands on an HTTPException of a body that it reads, and no other.
            raise HTTPException(413)
        self._is_complete = not message.get("more_body", False)
        return message


def is_local(address: str) -> bool:
    """Whether a peer's address is this machine's own; a Unix socket has none."""
    if not address:
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _is_direct(headers: Headers) -> bool:
    """Behind a proxy on this machine everybody has a local address; what gives it away is the name
    that people use, or a header of its own."""
    handed_on = any(name in headers for name in ("forwarded", "x-forwarded-for", "via"))
    return _host_name(headers) in LOCAL_NAMES and not handed_on


def _host_name(headers: Headers) -> str:
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _rate(rate: str) -> RateLimitItem | None:
    if not rate.strip():
        return None
    try:
        return parse(rate)
    except ValueError:
        raise SettingsError(
            f"設定 KIKU_RATE_LIMIT を読めません: {rate}", hint="例: 120/minute、空なら無制限"
        ) from None
