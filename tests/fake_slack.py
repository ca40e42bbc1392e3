"""A local Slack: Web API, Socket Mode and signed events, with the checks and limits of the real one.

It answers on one port of this machine. A test does what people do (`say`, `edit`, `command`,
`press` …) and looks at what Kiku posted (`replies`, `ephemeral`, `opened` …).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlencode
from uuid import uuid4

import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bot.slack.manifest import manifest, required_scopes
from tests.fake_slack_blocks import check_message, check_view, words_of

TEAM, BOT_USER, BOT_ID = "T0HOME", "U0KIKU", "B0KIKU"
BOT_TOKEN, APP_TOKEN, SIGNING_SECRET = "xoxb-fake", "xapp-fake", "fake-signing-secret"
TEXT_CHARS = 4_000
MARKDOWN_CHARS = 12_000

# What each event is subscribed to with, in the manifest, and the scope that it needs.
MESSAGES = {
    "channel": ("message.channels", "channels:history"),
    "group": ("message.groups", "groups:history"),
    "im": ("message.im", "im:history"),
    "mpim": ("message.mpim", "mpim:history"),
}
EVENTS = {
    "app_mention": ("app_mention", "app_mentions:read"),
    "app_home_opened": ("app_home_opened", ""),
    "app_uninstalled": ("app_uninstalled", ""),
    "tokens_revoked": ("tokens_revoked", ""),
    "assistant_thread_started": ("assistant_thread_started", "assistant:write"),
}
# By the kind of channel: `channels:read` is of public ones.
KINDS = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}
# Calls a minute, of a method in a workspace: tiers 2, 3 and 4.
TIERS = {
    "chat.startStream": 20,
    "chat.stopStream": 20,
    "chat.update": 50,
    "chat.delete": 50,
    "reactions.add": 50,
    "reactions.remove": 50,
    "conversations.info": 50,
    "conversations.replies": 50,
    "conversations.history": 50,
    "chat.appendStream": 100,
    "users.info": 100,
    "views.open": 100,
    "views.publish": 100,
    "assistant.threads.setTitle": 100,
    "assistant.threads.setSuggestedPrompts": 100,
}
SCOPES = {
    "chat.postMessage": "chat:write",
    "chat.postEphemeral": "chat:write",
    "chat.update": "chat:write",
    "chat.delete": "chat:write",
    "chat.startStream": "chat:write",
    "chat.appendStream": "chat:write",
    "chat.stopStream": "chat:write",
    "reactions.add": "reactions:write",
    "reactions.remove": "reactions:write",
    "users.info": "users:read",
    "conversations.info": "{kind}:read",
    "conversations.replies": "{kind}:history",
    "conversations.history": "{kind}:history",
    "assistant.threads.setStatus": "chat:write",
    "assistant.threads.setTitle": "assistant:write",
    "assistant.threads.setSuggestedPrompts": "assistant:write",
}


@dataclass
class Channel:
    id: str
    kind: Literal["channel", "group", "im", "mpim"] = "channel"
    member: bool = True
    shared: bool = False
    archived: bool = False
    creator: str = "U0CREATOR"
    messages: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Fault:
    """What goes wrong with the next calls of a method: `before` it is done, or `after`."""

    kind: Literal["429", "500", "drop", "slow"]
    times: int = 1
    when: Literal["before", "after"] = "before"
    seconds: float = 1.0


@dataclass
class Call:
    method: str
    arguments: dict[str, Any]
    at: float
    error: str = ""


@dataclass
class Envelope:
    """One thing sent over the socket: when, and when it was acknowledged."""

    body: dict[str, Any]
    sent_at: float = 0.0
    acked_at: float = 0.0
    attempt: int = 0
    response: Any = None


class Refused(Exception):
    """An `ok: false` of the Web API."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.body = {"ok": False, "error": error, **more}


class FakeSlack:
    def __init__(
        self, *, ack_seconds: float = 3.0, burst: int = 20, per_second: float = 1.0
    ) -> None:
        """`burst` and `per_second`: messages that one channel takes before 429."""
        self._manifest = yaml.safe_load(manifest())
        self.subscribed = set(self._manifest["settings"]["event_subscriptions"]["bot_events"])
        self.scopes = set(required_scopes())
        self.people: dict[str, dict[str, Any]] = {}
        self.channels: dict[str, Channel] = {}
        self.calls: list[Call] = []
        self.envelopes: list[Envelope] = []
        self.ephemeral: list[dict[str, Any]] = []
        self.responses: list[dict[str, Any]] = []
        self.opened: list[dict[str, Any]] = []
        self.homes: dict[str, dict[str, Any]] = {}
        self.statuses: list[tuple[str, str, str]] = []
        self.titles: dict[str, str] = {}
        self.prompts: list[dict[str, Any]] = []
        self.older_view = False  # `assistant_view` instead of `agent_view`
        self.tokens = {BOT_TOKEN: TEAM}
        self.post_tokens: set[str] = set()
        self.ack_seconds = ack_seconds
        self._burst, self._per_second = burst, per_second
        self._allowance: dict[str, tuple[float, float]] = {}
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._triggers: dict[str, float] = {}
        self._response_urls: dict[str, int] = {}
        self._sockets: list[tuple[WebSocket, Any]] = []
        self._unsent: deque[Envelope] = deque()
        self._pending: dict[str, Envelope] = {}
        self._lock = threading.RLock()
        self._last_ts = 0.0
        self._turn = 0
        self._stopping = threading.Event()
        for name in ("U1", "U2", "U3", "U0CREATOR"):
            self.person(name)
        self.person("U0ADMIN", is_admin=True)
        self.channel("C1")
        self.channel("D1", kind="im")

    # --- the place ------------------------------------------------------------------------------

    def person(self, user: str, **flags: Any) -> None:
        self.people[user] = {"id": user, "team_id": TEAM, "locale": "ja-JP", **flags}

    def channel(self, channel: str, **values: Any) -> Channel:
        self.channels[channel] = Channel(channel, **values)
        return self.channels[channel]

    def fail(self, method: str, fault: Fault) -> None:
        """Makes the next calls of a method go wrong."""
        self._faults[method].append(fault)

    def __enter__(self) -> FakeSlack:
        @asynccontextmanager
        async def lifespan(app: Starlette) -> Any:
            yield

        app = Starlette(
            routes=[
                Route("/api/{method:path}", self._api, methods=["GET", "POST"]),
                Route("/response/{id}", self._response_url, methods=["POST"]),
                WebSocketRoute("/link", self._link),
            ],
            lifespan=lifespan,
        )
        config = uvicorn.Config(
            app, host="127.0.0.1", port=0, log_level="critical", ws="websockets-sansio", backlog=512
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api/"
        self._resender = threading.Thread(target=self._resend, daemon=True)
        self._resender.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)

    # --- what people do -------------------------------------------------------------------------

    def say(
        self,
        channel: str,
        text: str,
        *,
        user: str = "U1",
        thread_ts: str | None = None,
        deliver: bool = True,
        **fields: Any,
    ) -> str:
        """Somebody posts; Slack sends `message`, and `app_mention` where Kiku is mentioned."""
        place = self.channels[channel]
        message = {"type": "message", "user": user, "text": text, "ts": self._ts(), **fields}
        if thread_ts:
            message["thread_ts"] = thread_ts
        with self._lock:
            place.messages.append(message)
        if deliver:
            self.deliver_message(channel, message)
        return str(message["ts"])

    def deliver_message(self, channel: str, message: dict[str, Any]) -> None:
        place = self.channels[channel]
        event = {**message, "channel": channel, "event_ts": message["ts"]}
        if f"<@{BOT_USER}>" in message.get("text", "") and place.kind != "im":
            self.event({**event, "type": "app_mention"}, shared=place.shared)
        self.event({**event, "channel_type": place.kind}, shared=place.shared)

    def edit(self, channel: str, ts: str, text: str) -> None:
        message = self._message(channel, ts)
        before = dict(message)
        message.update(text=text, edited={"user": message["user"], "ts": self._ts()})
        self._changed(channel, {"message": dict(message), "previous_message": before})

    def unfurl(self, channel: str, ts: str) -> None:
        """Slack adds a preview of a link: a change that nobody made."""
        message = self._message(channel, ts)
        self._changed(channel, {"message": dict(message), "previous_message": dict(message)})

    def delete(self, channel: str, ts: str) -> None:
        message = self._message(channel, ts)
        with self._lock:
            self.channels[channel].messages.remove(message)
        self._changed(
            channel,
            {"deleted_ts": ts, "previous_message": message},
            subtype="message_deleted",
        )

    def _changed(
        self, channel: str, values: dict[str, Any], subtype: str = "message_changed"
    ) -> None:
        ts = self._ts()
        kind = self.channels[channel].kind
        place = {"channel": channel, "channel_type": kind, "ts": ts, "event_ts": ts, "hidden": True}
        self.event({"type": "message", "subtype": subtype, **place, **values})

    def event(
        self, event: dict[str, Any], *, event_id: str = "", shared: bool = False
    ) -> dict[str, Any]:
        """Sends an event over the socket, where the app has subscribed to it and may see it."""
        body = self.event_body(event, event_id=event_id, shared=shared)
        kind = event["type"]
        name, scope = MESSAGES[event["channel_type"]] if kind == "message" else EVENTS[kind]
        if name in self.subscribed and scope in {"", *self.scopes}:
            self.send("events_api", body)
        return body

    def event_body(
        self, event: dict[str, Any], *, event_id: str = "", shared: bool = False
    ) -> dict[str, Any]:
        return {
            "type": "event_callback",
            "team_id": TEAM,
            "api_app_id": "A0KIKU",
            "event": event,
            "event_id": event_id or f"Ev{uuid4().hex[:10].upper()}",
            "event_time": int(time.time()),
            "is_ext_shared_channel": shared,
            "authorizations": [
                {"enterprise_id": None, "team_id": TEAM, "user_id": BOT_USER, "is_bot": True}
            ],
        }

    def command(self, text: str, *, user: str = "U1", channel: str = "C1") -> Envelope:
        [declared] = self._manifest["features"]["slash_commands"]
        assert "commands" in self.scopes
        body = {
            "command": declared["command"],
            "text": text,
            "user_id": user,
            "team_id": TEAM,
            "channel_id": channel,
            "trigger_id": self._trigger(),
            "response_url": self._new_response_url(),
            "api_app_id": "A0KIKU",
        }
        return self.send("slash_commands", body)

    def shortcut(self, channel: str, ts: str, *, user: str = "U2") -> Envelope:
        [declared] = self._manifest["features"]["shortcuts"]
        assert (declared["type"], declared["name"]) == ("message", "この質問にKikuで答える")
        return self.send("interactive", self._interaction("message_action", channel, user) | {
            "callback_id": declared["callback_id"],
            "message": self._message(channel, ts),
            "action_ts": self._ts(),
        })  # fmt: skip

    def press(
        self, channel: str, action_id: str, value: str, *, user: str = "U1", message_ts: str = ""
    ) -> Envelope:
        action = {"action_id": action_id, "value": value, "action_ts": self._ts(), "type": "button"}
        body = self._interaction("block_actions", channel, user)
        container = {"type": "message", "message_ts": message_ts, "channel_id": channel}
        return self.send("interactive", body | {"actions": [action], "container": container})

    def submit(self, view: dict[str, Any], values: dict[str, Any], *, user: str = "U1") -> Envelope:
        state = {"state": {"values": values}, "id": "V1", "team_id": TEAM}
        body = self._interaction("view_submission", "", user)
        return self.send("interactive", body | {"view": {**view, **state}})

    def open_home(self, user: str = "U1", tab: str = "home", channel: str = "D1") -> None:
        place = {"channel": channel, "tab": tab, "event_ts": self._ts()}
        self.event({"type": "app_home_opened", "user": user, **place})

    def open_assistant(self, user: str = "U1", channel: str = "D1") -> str:
        """Somebody opens the assistant pane of an app with `assistant_view`: a thread with a root
        of its own begins. Apps with `agent_view` get `app_home_opened` instead."""
        self.older_view = True
        ts = self.say(channel, "New Assistant Thread", user=BOT_USER, deliver=False)
        thread = {"user_id": user, "channel_id": channel, "thread_ts": ts, "context": {}}
        place = {"assistant_thread": thread, "event_ts": self._ts()}
        self.event({"type": "assistant_thread_started", **place})
        return ts

    def _interaction(self, kind: str, channel: str, user: str) -> dict[str, Any]:
        place = {"channel": {"id": channel, "name": "somewhere"}} if channel else {}
        return {
            "type": kind,
            "team": {"id": TEAM, "domain": "home"},
            "user": {"id": user, "team_id": self.people[user]["team_id"]},
            "api_app_id": "A0KIKU",
            "trigger_id": self._trigger(),
            "response_url": self._new_response_url(),
            **place,
        }

    # --- what was posted ------------------------------------------------------------------------

    def replies(self, channel: str, thread_ts: str | None = None) -> list[dict[str, Any]]:
        """Kiku's messages, in one thread where it is given."""
        with self._lock:
            messages = list(self.channels[channel].messages)
        own = [message for message in messages if message.get("bot_id") == BOT_ID]
        return [one for one in own if thread_ts in (None, one.get("thread_ts"))]

    def wait_for(self, seen: Callable[[], Any], seconds: float = 30.0) -> Any:
        """What `seen` gives as soon as it is true; fails after a while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := seen():
                return found
            time.sleep(0.01)
        calls = [(call.method, call.error) for call in self.calls[-12:]]
        raise AssertionError(f"nothing seen in {seconds} s; calls: {calls}")

    def reply(self, channel: str, thread_ts: str, number: int = 1) -> dict[str, Any]:
        """The `number`-th reply in a thread, waited for."""
        return dict(
            self.wait_for(lambda: (self.replies(channel, thread_ts)[number - 1 :] or [None])[0])
        )

    @property
    def idle(self) -> bool:
        """Whether everything that was sent is acknowledged."""
        with self._lock:
            return not self._pending and not self._unsent

    def called(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    # --- Socket Mode ----------------------------------------------------------------------------

    def send(self, kind: str, payload: dict[str, Any], attempt: int = 0) -> Envelope:
        """Sends an envelope over one of the sockets, or keeps it until there is one."""
        body = {
            "type": kind,
            "envelope_id": str(uuid4()),
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if attempt:
            body |= {"retry_attempt": attempt, "retry_reason": "timeout"}
        envelope = Envelope(body, attempt=attempt)
        with self._lock:
            self.envelopes.append(envelope)
            self._pending[body["envelope_id"]] = envelope
        self._transmit(envelope)
        return envelope

    def disconnect(self, *, polite: bool = True) -> None:
        """Slack asks for a new connection, or the line breaks."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for socket, loop in sockets:
            notice = {"type": "disconnect", "reason": "refresh_requested"}
            self._run(loop, socket.send_text(json.dumps(notice)) if polite else socket.close(1011))

    @property
    def connections(self) -> int:
        return len(self._sockets)

    def _transmit(self, envelope: Envelope) -> None:
        with self._lock:
            if not self._sockets:
                self._unsent.append(envelope)
                return
            self._turn += 1
            socket, loop = self._sockets[self._turn % len(self._sockets)]
        envelope.sent_at = time.monotonic()
        self._run(loop, socket.send_text(json.dumps(envelope.body)))

    @staticmethod
    def _run(loop: Any, coroutine: Any) -> None:
        async def send() -> None:
            with suppress(WebSocketDisconnect, RuntimeError):
                await coroutine  # a socket that is gone: the envelope is sent again later

        asyncio.run_coroutine_threadsafe(send(), loop)

    async def _link(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(json.dumps({"type": "hello", "num_connections": 1}))
        place = (socket, asyncio.get_running_loop())
        with self._lock:
            self._sockets.append(place)
            waiting, self._unsent = self._unsent, deque()
        for envelope in waiting:
            self._transmit(envelope)
        try:
            while True:
                self._acknowledge(json.loads(await socket.receive_text()))
        except WebSocketDisconnect:
            pass
        finally:
            with self._lock:
                if place in self._sockets:
                    self._sockets.remove(place)

    def _acknowledge(self, answer: dict[str, Any]) -> None:
        with self._lock:
            envelope = self._pending.pop(answer.get("envelope_id", ""), None)
        if envelope:
            envelope.acked_at = time.monotonic()
            envelope.response = answer.get("payload")
            if view := (envelope.response or {}).get("view"):
                assert check_view(view) == "", view

    def _resend(self) -> None:
        """Sends events again that were not acknowledged in time, at most three times."""
        while not self._stopping.wait(0.05):
            now = time.monotonic()
            with self._lock:
                late = [
                    (name, one)
                    for name, one in self._pending.items()
                    if one.sent_at and now - one.sent_at > self.ack_seconds
                ]
                for name, _ in late:
                    del self._pending[name]
            for _, one in late:
                if one.attempt < 3 and one.body["type"] == "events_api":
                    self.send("events_api", one.body["payload"], one.attempt + 1)

    # --- signed events over HTTP ----------------------------------------------------------------

    def post_signed(
        self,
        url: str,
        payload: dict[str, Any],
        *,
        secret: str = SIGNING_SECRET,
        age: float = 0.0,
        form: bool = False,
        attempt: int = 0,
    ) -> int:
        """Sends an event as Slack does to a Request URL; gives the HTTP status."""
        body = (urlencode(payload) if form else json.dumps(payload)).encode()
        stamp = str(int(time.time() - age))
        digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256)
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        headers = {
            "Content-Type": kind,
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": f"v0={digest.hexdigest()}",
        }
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": "http_timeout"}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    # --- Web API --------------------------------------------------------------------------------

    async def _api(self, request: Request) -> Response:
        method = request.path_params["method"]
        raw = await request.body()
        arguments = self._arguments(request, raw)
        call = Call(method, arguments, time.monotonic())
        with self._lock:
            self.calls.append(call)
            fault = self._next_fault(method)
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        elif fault and fault.when == "before":
            call.error = fault.kind
            return self._broken(fault)
        try:
            with self._lock:
                body = {
                    "ok": True,
                    **self._perform(method, arguments, self._token(request, arguments)),
                }
        except Refused as refusal:
            body = refusal.body
            call.error = body["error"]
            if body["error"] == "ratelimited":
                return JSONResponse(body, 429, headers={"Retry-After": "1"})
        if fault and fault.when == "after":
            call.error = fault.kind
            return self._broken(fault)
        headers = {"x-oauth-scopes": ",".join(sorted(self.scopes))}
        return JSONResponse(body, headers=headers)

    def _next_fault(self, method: str) -> Fault | None:
        queue = self._faults[method]
        if not queue:
            return None
        queue[0].times -= 1
        return queue.popleft() if queue[0].times <= 0 else queue[0]

    @staticmethod
    def _broken(fault: Fault) -> Response:
        if fault.kind == "429":
            headers = {"Retry-After": str(int(fault.seconds))}
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers=headers)
        if fault.kind == "500":
            return PlainTextResponse("Internal Server Error", 500)

        def nothing() -> Iterator[bytes]:
            yield b""

        # Fewer bytes than promised: the connection is cut.
        return StreamingResponse(nothing(), headers={"Content-Length": "1000"})

    @staticmethod
    def _arguments(request: Request, raw: bytes) -> dict[str, Any]:
        values: dict[str, Any] = dict(request.query_params)
        if request.headers.get("content-type", "").startswith("application/json"):
            values |= json.loads(raw or b"{}")
        else:
            values |= {name: one[0] for name, one in parse_qs(raw.decode()).items()}
        for name in ("blocks", "metadata", "view", "prompts", "chunks"):
            if isinstance(values.get(name), str):
                values[name] = json.loads(values[name])
        return values

    @staticmethod
    def _token(request: Request, arguments: dict[str, Any]) -> str:
        header = request.headers.get("authorization", "")
        return header.removeprefix("Bearer ") or str(arguments.get("token", ""))

    def _perform(self, method: str, arguments: dict[str, Any], token: str) -> dict[str, Any]:
        if method == "oauth.v2.access":
            return self._oauth(arguments)
        if not token:
            raise Refused("not_authed")
        if method == "apps.connections.open":
            if token != APP_TOKEN:
                raise Refused("not_allowed_token_type" if token in self.tokens else "invalid_auth")
            return {"url": f"ws://127.0.0.1:{self.port}/link?ticket={uuid4()}"}
        if token not in self.tokens:
            raise Refused("invalid_auth")
        place = self.channels.get(str(arguments.get("channel", "")))
        needed = SCOPES.get(method, "").format(kind=KINDS[place.kind if place else "channel"])
        if needed not in {"", *self.scopes}:
            provided = ",".join(sorted(self.scopes))
            raise Refused("missing_scope", needed=needed, provided=provided)
        if tier := TIERS.get(method):
            self._take_turn(method, tier, tier / 60)
        if method == "chat.postMessage":
            self.post_tokens.add(token)
        handler = getattr(self, "_do_" + method.replace(".", "_"), None)
        if handler is None:
            raise Refused("unknown_method")
        return dict(handler(arguments) or {})

    def _do_auth_test(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {
            "team_id": TEAM,
            "user_id": BOT_USER,
            "bot_id": BOT_ID,
            "url": "https://x.slack.com/",
        }

    def _do_chat_postMessage(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._writable(arguments)
        self._take_turn(channel.id, self._burst, self._per_second)
        message = self._new_message(channel, arguments)
        channel.messages.append(message)
        return {"channel": channel.id, "ts": message["ts"], "message": message}

    def _do_chat_postEphemeral(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._writable(arguments)
        if arguments.get("user") not in self.people:
            raise Refused("user_not_in_channel")
        message = self._new_message(channel, arguments)
        thread = arguments.get("thread_ts")
        replied = any(one.get("thread_ts") == thread != one["ts"] for one in channel.messages)
        if not thread or replied:  # in a thread without replies nobody is shown it
            place = {"channel": channel.id, "only_for": arguments["user"]}
            self.ephemeral.append({**message, **place})
        return {"message_ts": message["ts"]}

    def _do_chat_update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        message = self._own(arguments)
        if message.get("streaming"):
            raise Refused("streaming_state_conflict")
        self._check_content(arguments)
        message.update({name: arguments[name] for name in ("text", "blocks") if name in arguments})
        message["edited"] = {"user": BOT_USER, "ts": self._ts()}
        return {"channel": arguments["channel"], "ts": arguments["ts"]}

    def _do_chat_delete(self, arguments: dict[str, Any]) -> None:
        message = self._own(arguments)
        if message.get("streaming"):
            raise Refused("cant_delete_message")
        self.channels[arguments["channel"]].messages.remove(message)

    def _do_reactions_add(self, arguments: dict[str, Any]) -> None:
        message = self._message(arguments["channel"], arguments["timestamp"])
        if arguments["name"] in message.setdefault("reactions", []):
            raise Refused("already_reacted")
        message["reactions"].append(arguments["name"])

    def _do_reactions_remove(self, arguments: dict[str, Any]) -> None:
        message = self._message(arguments["channel"], arguments["timestamp"])
        if arguments["name"] not in message.get("reactions", []):
            raise Refused("no_reaction")
        message["reactions"].remove(arguments["name"])

    def _do_users_info(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments["user"] not in self.people:
            raise Refused("user_not_found")
        return {"user": self.people[arguments["user"]]}

    def _do_conversations_info(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._readable(arguments)
        info = {"id": channel.id, "creator": channel.creator, "is_ext_shared": channel.shared}
        return {"channel": info}

    def _do_conversations_replies(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._readable(arguments)
        root = arguments["ts"]
        thread = [one for one in channel.messages if root in (one["ts"], one.get("thread_ts"))]
        if not thread:
            raise Refused("thread_not_found")
        return self._page(thread, arguments)

    def _do_conversations_history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._readable(arguments)
        roots = [one for one in channel.messages if one.get("thread_ts") in (None, one["ts"])]
        return self._page(roots[::-1], arguments)

    def _do_views_open(self, arguments: dict[str, Any]) -> dict[str, Any]:
        begun = self._triggers.pop(arguments["trigger_id"], None)
        if begun is None:
            raise Refused("exchanged_trigger_id")
        if time.monotonic() - begun > 3:
            raise Refused("expired_trigger_id")
        if error := check_view(arguments["view"]):
            raise Refused(error)
        self.opened.append(arguments["view"])
        return {"view": arguments["view"]}

    def _do_views_publish(self, arguments: dict[str, Any]) -> None:
        if error := check_view(arguments["view"]):
            raise Refused(error)
        self.homes[arguments["user_id"]] = arguments["view"]

    def _do_assistant_threads_setStatus(self, arguments: dict[str, Any]) -> None:
        self._in_thread(arguments)
        place = (arguments["channel_id"], arguments["thread_ts"], arguments["status"])
        self.statuses.append(place)

    def _do_assistant_threads_setTitle(self, arguments: dict[str, Any]) -> None:
        self._in_thread(arguments)
        self.titles[arguments["thread_ts"]] = arguments["title"]

    def _do_assistant_threads_setSuggestedPrompts(self, arguments: dict[str, Any]) -> None:
        prompts = arguments["prompts"]
        if not 1 <= len(prompts) <= 4 or not all(
            one["title"] and one["message"] for one in prompts
        ):
            raise Refused("invalid_arguments")
        if bool(arguments.get("thread_ts")) == self.older_view:  # else it fails silently
            self.prompts.append(arguments)

    def _do_chat_startStream(self, arguments: dict[str, Any]) -> dict[str, Any]:
        channel = self._writable(arguments)
        if not arguments.get("thread_ts"):
            raise Refused("invalid_thread_ts")
        if channel.kind != "im" and not arguments.get("recipient_user_id"):
            raise Refused("missing_recipient_user_id")
        self._take_turn(channel.id, self._burst, self._per_second)
        message = self._new_message(channel, {**arguments, "text": " "}) | {"streaming": True}
        message["text"] = ""
        self._append(message, arguments)
        channel.messages.append(message)
        return {"channel": channel.id, "ts": message["ts"]}

    def _do_chat_appendStream(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self._append(self._stream(arguments), arguments)
        return {"ts": arguments["ts"]}

    def _do_chat_stopStream(self, arguments: dict[str, Any]) -> dict[str, Any]:
        message = self._stream(arguments)
        self._append(message, arguments)
        if arguments.get("blocks"):
            if error := check_message(arguments["blocks"], len(message["text"])):
                raise Refused(error.partition(":")[0], detail=error)
            message["blocks"] = arguments["blocks"]
        if arguments.get("metadata"):
            message["metadata"] = arguments["metadata"]
        message["streaming"] = False
        return {"ts": arguments["ts"]}

    def _append(self, message: dict[str, Any], arguments: dict[str, Any]) -> None:
        added = arguments.get("markdown_text") or ""
        for chunk in arguments.get("chunks") or []:
            added += chunk["text"]
        if len(message["text"]) + len(added) > MARKDOWN_CHARS:
            raise Refused("msg_too_long")
        message["text"] += added

    def _stream(self, arguments: dict[str, Any]) -> dict[str, Any]:
        message = self._own(arguments)
        if not message.get("streaming"):
            raise Refused("message_not_in_streaming_state")
        return message

    def _oauth(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if arguments.get("code") != "good-code":
            raise Refused("invalid_code")
        self.tokens["xoxb-second"] = "T0SECOND"
        return {
            "access_token": "xoxb-second",
            "token_type": "bot",
            "scope": ",".join(sorted(self.scopes)),
            "bot_user_id": BOT_USER,
            "app_id": "A0KIKU",
            "team": {"id": "T0SECOND", "name": "Second"},
            "authed_user": {"id": "U1"},
        }

    # --- checks ---------------------------------------------------------------------------------

    def _readable(self, arguments: dict[str, Any]) -> Channel:
        channel = self.channels.get(arguments.get("channel", ""))
        if channel is None or (channel.kind != "channel" and not channel.member):
            raise Refused("channel_not_found")
        return channel

    def _writable(self, arguments: dict[str, Any]) -> Channel:
        channel = self._readable(arguments)
        if channel.archived:
            raise Refused("is_archived")
        if not channel.member:
            raise Refused("not_in_channel")
        return channel

    def _new_message(self, channel: Channel, arguments: dict[str, Any]) -> dict[str, Any]:
        self._check_content(arguments)
        thread = arguments.get("thread_ts")
        if thread and not any(one["ts"] == thread for one in channel.messages):
            raise Refused("thread_not_found")
        kept = {
            name: arguments[name] for name in ("text", "blocks", "metadata") if arguments.get(name)
        }
        place = {"thread_ts": thread} if thread else {}
        bot = {"user": BOT_USER, "bot_id": BOT_ID, "app_id": "A0KIKU"}
        return {"type": "message", "ts": self._ts(), "at": time.monotonic(), **bot, **kept, **place}

    @staticmethod
    def _check_content(arguments: dict[str, Any]) -> None:
        text, blocks = arguments.get("text", ""), arguments.get("blocks")
        if not text and not blocks:
            raise Refused("no_text")
        if len(text) > TEXT_CHARS:
            raise Refused("msg_too_long")
        if blocks and (error := check_message(blocks)):
            raise Refused(error.partition(":")[0], detail=error)

    def _take_turn(self, name: str, burst: float, per_second: float) -> None:
        """For a channel, one message a second with short bursts; for a method, what its tier says."""
        now = time.monotonic()
        left, since = self._allowance.get(name, (float(burst), now))
        left = min(float(burst), left + (now - since) * per_second)
        if left < 1:
            self._allowance[name] = (left, now)
            raise Refused("ratelimited")
        self._allowance[name] = (left - 1, now)

    def _own(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self._readable(arguments)
        message = self._message(arguments["channel"], arguments["ts"])
        if message.get("bot_id") != BOT_ID:
            raise Refused("cant_update_message")
        return message

    def _in_thread(self, arguments: dict[str, Any]) -> None:
        channel = self._readable({"channel": arguments["channel_id"]})
        if not any(one["ts"] == arguments["thread_ts"] for one in channel.messages):
            raise Refused("invalid_thread_ts")

    def _message(self, channel: str, ts: str) -> dict[str, Any]:
        with self._lock:
            for message in self.channels[channel].messages:
                if message["ts"] == ts:
                    return message
        raise Refused("message_not_found")

    @staticmethod
    def _page(messages: list[dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
        oldest = str(arguments.get("oldest", "0"))
        with_metadata = str(arguments.get("include_all_metadata", "")).lower() in ("true", "1")
        chosen = [one for one in messages if float(one["ts"]) >= float(oldest)]
        first = int(arguments.get("cursor") or 0)
        last = first + int(arguments.get("limit", 100))
        page = [dict(one) for one in chosen[first:last]]
        for one in page:
            if not with_metadata:
                one.pop("metadata", None)
        cursor = str(last) if last < len(chosen) else ""
        return {"messages": page, "response_metadata": {"next_cursor": cursor}}

    # --- response_url, trigger_id, ts -----------------------------------------------------------

    async def _response_url(self, request: Request) -> Response:
        name = request.path_params["id"]
        body = json.loads(await request.body())
        call = Call("response_url", body, time.monotonic())
        with self._lock:
            self.calls.append(call)
            fault = self._next_fault("response_url")
            if fault and fault.when == "before":
                return self._broken(fault)
            if self._response_urls.get(name, 0) <= 0:
                return PlainTextResponse("used_url", 404)
            if body.get("blocks") and (error := check_message(body["blocks"])):
                call.error = error
                return PlainTextResponse("invalid_blocks", 400)
            self._response_urls[name] -= 1
            self.responses.append(body)
        return PlainTextResponse("ok")

    def _new_response_url(self) -> str:
        name = uuid4().hex
        self._response_urls[name] = 5
        return f"http://127.0.0.1:{self.port}/response/{name}"

    def _trigger(self) -> str:
        trigger = f"{int(time.time() * 1000)}.{time.monotonic_ns()}.{uuid4().hex}"
        self._triggers[trigger] = time.monotonic()
        return trigger

    def _ts(self) -> str:
        with self._lock:
            self._last_ts = max(time.time(), self._last_ts + 0.000_002)
            return f"{self._last_ts:.6f}"


def mention(text: str) -> str:
    """A text that mentions Kiku."""
    return f"<@{BOT_USER}> {text}"


def words(message: dict[str, Any]) -> str:
    """Everything that a reader of a message sees."""
    return words_of(message["blocks"])


def pings(message: dict[str, Any]) -> list[str]:
    """What in a message Slack would turn into a mention, in fields that it interprets."""
    interpreted = [message.get("text", "")]

    def walk(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            if value.get("type") == "mrkdwn":
                interpreted.append(value["text"])
            if value.get("type") in ("user", "usergroup", "broadcast", "channel", "emoji"):
                interpreted.append(f"<!{value['type']}>")
            for item in value.values():
                walk(item)

    walk(message.get("blocks", []))
    return re.findall(r"<[^>]*>|:[a-z_+-]+:", " ".join(interpreted))
