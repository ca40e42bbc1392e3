"""Shows the sentences of a language model as they are written."""

from __future__ import annotations

import structlog
from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError
from slack_sdk.web.chat_stream import ChatStream

from bot.slack.blocks import plain, streamed
from bot.slack.ledger import Job, Ledger
from bot.slack.posting import METADATA, SLACK_ERRORS, Reply, code_of

log = structlog.get_logger(__name__)


class Stream:
    """One answer on its way into a thread. The message exists from the first sentence on.

    Nothing is raised: a stream that breaks is only silent, and the whole answer is put in its
    place at the end.
    """

    def __init__(self, client: WebClient, ledger: Ledger, job: Job) -> None:
        self._client = client
        self._ledger = ledger
        self._job = job
        self._stream: ChatStream | None = None
        self._broken = False
        self._said = ""

    @property
    def ts(self) -> str:
        """The message; empty while nothing was said."""
        return (self._stream and self._stream.ts) or ""

    def say(self, sentence: str) -> None:
        """Adds a sentence."""
        if self._broken:
            return
        try:
            if self._stream is None:
                self._stream = self._begin()
            self._stream.append(markdown_text=streamed(sentence) + "\n")
            if not self._said:
                self._ledger.note(self._job.number, reply_ts=self.ts)
            self._said += sentence
        except SLACK_ERRORS as error:
            self._fail(error)

    def end(self, reply: Reply) -> bool:
        """Closes the message with what belongs under the text; False where the whole has to be
        replaced: the stream broke, or the answer became another one."""
        if self._stream is None or not self.ts:
            return False
        same = _letters(plain(self._said)) == _letters(reply.text) and not reply.only_for
        metadata = {"event_type": METADATA, "event_payload": {"key": self._job.key}}
        try:
            self._stream.stop(blocks=(same and reply.below) or None, metadata=metadata)
        except SLACK_ERRORS as error:
            self._fail(error)
        return same and not self._broken

    def _begin(self) -> ChatStream:
        if not self._ledger.posting(self._job, ""):
            raise SlackClientError("another process has taken the question over")
        return self._client.chat_stream(
            channel=self._job.channel,
            thread_ts=self._job.request["thread_ts"],
            recipient_team_id=self._job.request["user_team"],
            recipient_user_id=self._job.request["user"],
            buffer_size=1,
        )

    def _fail(self, error: BaseException) -> None:
        self._broken = True
        log.warning("slack_stream_broken", job=self._job.number, reason=code_of(error))


def _letters(text: str) -> str:
    return "".join(text.split())
