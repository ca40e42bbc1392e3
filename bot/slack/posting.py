"""Puts a reply into Slack exactly once, and reads what Slack's refusals mean."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from typing import Any, Literal

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.webhook import WebhookClient

from bot.slack.access import Clients
from bot.slack.blocks import Block, cut
from bot.slack.ledger import Job, Ledger

# What SDK calls raise: refusals of Slack, and a connection that fails under urllib.
SLACK_ERRORS = (SlackClientError, OSError, HTTPException)
METADATA = "kiku_reply"
HOURGLASS = "hourglass_flowing_sand"
TIMEOUT_SECONDS = 15
NOTICE_SECONDS = 3  # how long an answer waits for Slack to take a status line
RESPONSES_PER_PAGE = 200

# Nobody can be told anything there any more.
_GONE = frozenset(
    "channel_not_found is_archived not_in_channel user_not_in_channel account_inactive "
    "token_revoked token_expired invalid_auth not_authed team_access_not_granted "
    "restricted_action restricted_action_thread_locked restricted_action_read_only_channel "
    "messages_tab_disabled thread_not_found cannot_reply_to_message".split()
)
_TOO_BIG = frozenset(
    "msg_too_long msg_blocks_too_long invalid_blocks invalid_blocks_format".split()
)
_NO_MESSAGE = frozenset("message_not_found cant_update_message edit_window_closed".split())
# What chat.update and chat.delete say of a message whose stream nobody has closed.
_STREAMING = frozenset("streaming_state_conflict cant_delete_message".split())
# Slack may or may not have done it.
_UNCERTAIN = frozenset(
    "fatal_error internal_error service_unavailable request_timeout accesslimited".split()
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is to be said. `only_for` names the one person who may see it; empty: everybody there.
    `answer_id` is empty for a sentence of Kiku's own. `below`: the blocks without the answer."""

    text: str
    blocks: list[Block]
    answer_id: str = ""
    only_for: str = ""
    below: list[Block] = field(default_factory=list)


class Poster:
    """Posts replies and closes their jobs in the ledger.

    Methods raise SLACK_ERRORS where Slack did not take the reply or did not say whether it did;
    `outcome` tells what to do then. A job that is tried again looks in the thread first.
    """

    def __init__(self, ledger: Ledger, clients: Clients) -> None:
        self._ledger = ledger
        self._clients = clients

    def post(self, job: Job, reply: Reply, *, replaces: str = "") -> str | None:
        """Posts in the thread of the job, in place of the message `replaces` where there is one.

        Gives the timestamp of the message, empty for one that only one person sees; None when
        another process has taken the job over.
        """
        if not self._ledger.posting(job, reply.answer_id):
            return None
        client = self._client(job)
        if reply.only_for:
            if replaces:
                _change(client, "chat_delete", job.channel, replaces)
            self._whisper(client, job, reply)
            ts = ""
        else:
            ts = (replaces and self._update(client, job, reply, replaces)) or (
                self._find(client, job) if job.recovered else ""
            )
            ts = ts or self._say(once(client), job, reply)
        self._ledger.finish(job.number, reply_ts=ts, answer_id=reply.answer_id)
        return ts

    def respond(self, job: Job, reply: Reply, *, to_channel: bool = False) -> None:
        """Answers an interaction through its own address, which works for 30 minutes even where
        Kiku is no member."""
        if not self._ledger.posting(job, reply.answer_id):
            return
        client = self._client(job)
        webhook = WebhookClient(
            job.request["response_url"],
            timeout=client.timeout,
            retry_handlers=client.retry_handlers,
        )
        response = webhook.send(
            text=reply.text,
            blocks=reply.blocks,
            response_type="in_channel" if to_channel else "ephemeral",
            replace_original=False,
        )
        if response.status_code >= 500 or response.status_code == 429:
            raise SlackClientError(f"response_url answered {response.status_code}")
        if response.status_code != 200:
            log.warning("slack_response_refused", job=job.number, reason=cut(response.body, 80))
        self._ledger.finish(job.number, answer_id=reply.answer_id)

    def delete(self, job: Job, ts: str) -> None:
        """Takes a reply back, and closes the job."""
        if ts:
            _change(self._client(job), "chat_delete", job.channel, ts)
        self._ledger.finish(job.number)

    def _client(self, job: Job) -> WebClient:
        return self._clients(job.team, job.request.get("enterprise", ""))

    def _say(self, client: WebClient, job: Job, reply: Reply) -> str:
        place: dict[str, Any] = {
            "channel": job.channel,
            "thread_ts": job.request.get("thread_ts"),
            "metadata": {"event_type": METADATA, "event_payload": {"key": job.key}},
            "unfurl_links": False,
            "unfurl_media": False,
        }
        response = _fitting(job, reply, partial(client.chat_postMessage, **place))
        return str(response["ts"])

    def _whisper(self, client: WebClient, job: Job, reply: Reply) -> None:
        # In a thread that nobody has replied to yet, Slack shows it to nobody.
        thread = job.request.get("thread_ts")
        thread = None if thread == job.ts else thread
        place: dict[str, Any] = {"channel": job.channel, "thread_ts": thread}
        whisper = partial(client.chat_postEphemeral, user=reply.only_for, **place)
        _fitting(job, reply, whisper)

    def _update(self, client: WebClient, job: Job, reply: Reply, ts: str) -> str:
        """The message that was changed; empty where it is gone."""
        # Unlike chat.postMessage, it looks for names and links in the text unless told not to.
        update = partial(_change, client, "chat_update", job.channel, ts, parse="none")
        return ts if _fitting(job, reply, update) else ""

    def _find(self, client: WebClient, job: Job) -> str:
        """The reply that an attempt before posted without learning of it; empty for none."""
        thread = job.request.get("thread_ts")
        oldest = f"{job.received_at.timestamp() - 60:.6f}"
        page: dict[str, Any] = {
            "channel": job.channel,
            "oldest": oldest,
            "include_all_metadata": True,
            "limit": RESPONSES_PER_PAGE,
        }
        call = client.conversations_replies if thread else client.conversations_history
        cursor: str | None = None
        while True:
            response = call(**page, cursor=cursor, **({"ts": thread} if thread else {}))
            for message in response["messages"]:
                payload = message.get("metadata", {}).get("event_payload", {})
                if payload.get("key") == job.key:
                    return str(message["ts"])
            cursor = (response.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return ""


class Notices:
    """Tells people that Kiku is at work: a status in the thread, an hourglass on the question.

    Nothing depends on them, so nothing waits long for them and their failures are passed over.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._marked: set[int] = set()
        self._lock = threading.Lock()

    def show(self, job: Job, status: str) -> None:
        """For a question in a message that takes long."""
        with self._lock:
            self._marked.add(job.number)
        self._try(job, "reactions_add", channel=job.channel, timestamp=job.ts, name=HOURGLASS)
        self.status(job, status)
        with self._lock:
            late = job.number not in self._marked
        if late:  # the job was done meanwhile
            self._unmark(job)

    def whisper(self, job: Job, text: str) -> None:
        """For a command that takes long: there is no message to mark."""
        webhook = WebhookClient(job.request["response_url"], timeout=NOTICE_SECONDS)
        try:
            webhook.send(text=text, response_type="ephemeral", replace_original=False)
        except SLACK_ERRORS as error:
            log.debug("slack_notice_failed", method="response_url", reason=type(error).__name__)

    def clear(self, job: Job) -> None:
        """When the job is done."""
        with self._lock:
            marked = job.number in self._marked
            self._marked.discard(job.number)
        if (marked or job.notice) and job.kind in ("message", "edit"):
            self._unmark(job)

    def status(self, job: Job, status: str) -> None:
        """The line under a thread that says what Kiku is doing; Slack takes it away with the reply."""
        thread = job.request["thread_ts"]
        call = "assistant_threads_setStatus"
        self._try(job, call, channel_id=job.channel, thread_ts=thread, status=status)

    def title(self, job: Job, title: str) -> None:
        """The name of a thread in the list of threads."""
        thread = job.request["thread_ts"]
        call = "assistant_threads_setTitle"
        self._try(job, call, channel_id=job.channel, thread_ts=thread, title=cut(title, 60))

    def prompts(self, job: Job, title: str, questions: Sequence[str]) -> None:
        """Questions to choose from, in a new thread of the assistant or below the messages."""
        if not questions:
            return
        prompts = [{"title": cut(one, 60), "message": one} for one in questions]
        place = {"channel_id": job.channel, "thread_ts": job.request.get("thread_ts")}
        call = "assistant_threads_setSuggestedPrompts"
        self._try(job, call, title=title, prompts=prompts, **place)

    def _unmark(self, job: Job) -> None:
        self._try(job, "reactions_remove", channel=job.channel, timestamp=job.ts, name=HOURGLASS)
        self.status(job, "")  # a reply that only one person sees does not take it away

    def _try(self, job: Job, method: str, **arguments: Any) -> None:
        try:
            client = self._clients(job.team, job.request.get("enterprise", ""))
            client = once(client, patience=0, timeout=NOTICE_SECONDS)
            getattr(client, method)(**arguments)
        except SLACK_ERRORS as error:
            log.debug("slack_notice_failed", method=method, reason=type(error).__name__)


def web_client(token: str | None, api_url: str) -> WebClient:
    """A client that waits out rate limits and tries again after failures of server and network."""
    client = WebClient(token=token, base_url=api_url, timeout=TIMEOUT_SECONDS)
    client.retry_handlers = [
        RateLimitErrorRetryHandler(max_retry_count=3),
        ServerErrorRetryHandler(max_retry_count=2),
        ConnectionErrorRetryHandler(max_retry_count=2),
    ]
    return client


def once(client: WebClient, *, patience: int = 3, timeout: int = TIMEOUT_SECONDS) -> WebClient:
    """A client for what must not happen twice: it repeats a call only when Slack has refused it
    for its rate (at most `patience` times)."""
    again = WebClient(token=client.token, base_url=client.base_url, timeout=timeout)
    again.retry_handlers = (
        [RateLimitErrorRetryHandler(max_retry_count=patience)] if patience else []
    )
    return again


def code_of(error: BaseException) -> str:
    """Slack's own name of a refusal, empty where there is none."""
    if not isinstance(error, SlackApiError):
        return ""
    data = getattr(error.response, "data", error.response)
    return str(data.get("error", "")) if isinstance(data, dict) else ""


def outcome(error: BaseException) -> Literal["gone", "again", "refused"]:
    """Whether a failed call can reach nobody, may succeed later, or never will as it is."""
    code = code_of(error)
    if code in _GONE:
        return "gone"
    if not isinstance(error, SlackApiError) or code in _UNCERTAIN or code == "ratelimited":
        return "again"
    status = getattr(error.response, "status_code", 0)
    return "again" if status == 429 or status >= 500 else "refused"


def delay(error: BaseException, attempts: int) -> float:
    """Seconds until the next attempt: what Slack asks for, else longer from time to time."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    asked = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    if asked is not None:
        seconds = asked[0] if isinstance(asked, list) else asked
        return float(seconds) + random.random()  # noqa: S311 - spreads replicas, hides nothing
    return float(min(60.0, 0.25 * 2**attempts)) * (0.75 + random.random() / 2)  # noqa: S311


def _fitting(job: Job, reply: Reply, send: Callable[..., Any]) -> Any:
    """Sends a reply, as text alone where Slack refuses its blocks."""
    try:
        return send(text=reply.text, blocks=reply.blocks)
    except SlackApiError as error:
        if code_of(error) not in _TOO_BIG:
            raise
        log.error("slack_blocks_refused", job=job.number, reason=code_of(error))
        return send(text=reply.text, blocks=[])


def _change(client: WebClient, method: str, channel: str, ts: str, **arguments: Any) -> bool:
    """Changes or deletes a message of Kiku's; False where it is gone. A stream that was left open,
    by a process that died or by a call that failed, is closed first."""
    for closed in (False, True):
        try:
            getattr(client, method)(channel=channel, ts=ts, **arguments)
        except SlackApiError as error:
            if code_of(error) in _NO_MESSAGE:
                return False
            if closed or code_of(error) not in _STREAMING:
                raise
            client.chat_stopStream(channel=channel, ts=ts)
        else:
            break
    return True
