"""A job of the inbox → one reply in Slack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from secrets import token_hex

import structlog
from slack_sdk.errors import SlackClientError

from bot.errors import StoreUnavailable
from bot.messages.slack import SLACK, SlackMessages
from bot.records import Language
from bot.slack.access import Access, Clients, Collections, is_direct
from bot.slack.blocks import note_block
from bot.slack.intake import lane_of
from bot.slack.ledger import Job, Ledger
from bot.slack.posting import SLACK_ERRORS, Notices, Poster, Reply, code_of, delay, once, outcome
from bot.slack.replies import Replies, asked_by, is_expected, language_of, say
from bot.slack.streaming import Stream
from bot.store import Store
from index.errors import KikuError, QueryError

TRIES = 9  # attempts to reach Slack, the last about two minutes after the first

log = structlog.get_logger(__name__)


class Responder:
    """Answers the jobs of an inbox (`bot.slack.inbox.Handler`). Thread-safe."""

    def __init__(
        self,
        replies: Replies,
        store: Store,
        access: Access,
        clients: Clients,
        ledger: Ledger,
        suggestions: Callable[[Collections, Language], list[str]],
        *,
        stream: bool = False,
    ) -> None:
        """`stream`: a language model writes, and its sentences are shown as they come."""
        self._replies = replies
        self._store = store
        self._access = access
        self._clients = clients
        self._ledger = ledger
        self._suggestions = suggestions
        self._streams = stream
        self._poster = Poster(ledger, clients)
        self._notices = Notices(clients)

    def waiting(self, job: Job, before: int) -> None:
        self._tell(job, SLACK[language_of(job)].waiting.format(count=before))

    def slow(self, job: Job) -> None:
        self._tell(job, SLACK[language_of(job)].searching)

    def give_up(self, job: Job) -> None:
        """Answers with an excuse for a job that was begun too often and never finished."""
        self._give_up(job, SlackClientError("begun too often and never finished"))
        self._notices.clear(job)

    def handle(self, job: Job) -> None:
        """Answers one job. Raises StoreUnavailable; everything else ends in a reply, in another
        attempt later, or, where nobody can be reached, in the log."""
        try:
            self._work(job)
        except SLACK_ERRORS as error:
            if outcome(error) == "again" and job.attempts < TRIES:
                self._ledger.postpone(job.number, delay(error, job.attempts))
                return
            self._give_up(job, error)
        self._notices.clear(job)

    def _work(self, job: Job) -> None:
        match job.kind:
            case "message" | "edit":
                self._answer(job)
            case "command":
                self._poster.respond(job, self._guarded(job, self._replies.to_command))
            case "publish":
                self._publish(job)
            case "delete":
                self._delete(job)
            case "greeting":
                self._greet(job)

    def _tell(self, job: Job, status: str) -> None:
        if job.kind == "command":
            self._notices.whisper(job, SLACK[language_of(job)].status.format(status=status))
        elif job.kind in ("message", "edit") and is_expected(job):
            self._notices.show(job, status)

    def _give_up(self, job: Job, error: BaseException) -> None:
        reference = self._log_failure(job, error)
        if outcome(error) != "gone":
            try:
                text = SLACK[language_of(job)].failed.format(reference=reference)
                if self._excuse(job, text):
                    return
            except SLACK_ERRORS as again:
                self._log_failure(job, again)
        self._ledger.finish(job.number)

    def _excuse(self, job: Job, text: str) -> bool:
        """Says a sentence instead of an answer and closes the job; False where nobody waits."""
        if job.request.get("addressed"):
            reply_ts, old_answer = self._before(job)
            if old_answer:
                self._store.forget_answer(old_answer)
            self._post(job, say(text), reply_ts)
        elif "response_url" in job.request:
            self._poster.respond(job, say(text))
        else:
            return False
        return True

    # --- questions in messages --------------------------------------------------------------------

    def _answer(self, job: Job) -> None:
        if self._ledger.deleted(job.team, job.channel, job.ts):
            self._ledger.finish(job.number)
            return
        if "response_url" in job.request and self._is_answered(job):
            self._poster.respond(job, say(SLACK[language_of(job)].already_answered))
            return
        reply_ts, old_answer = self._before(job)
        direct = is_direct(job.channel)
        if direct and not job.recovered:
            self._notices.status(job, SLACK[language_of(job)].searching)
        stream = self._stream(job) if self._may_stream(job, reply_ts) else None
        said = stream.say if stream else None
        reply = self._guarded(job, lambda job: self._replies.to_message(job, old_answer, said))
        if not (reply.answer_id or job.request["addressed"]):
            self._ledger.finish(job.number)  # what is not meant for Kiku is not worth an excuse
            return
        if old_answer and old_answer != reply.answer_id:
            self._store.forget_answer(old_answer)
        if stream and stream.end(reply):
            self._ledger.finish(job.number, reply_ts=stream.ts, answer_id=reply.answer_id)
        else:
            self._post(job, reply, (stream and stream.ts) or reply_ts)
        if direct and reply.answer_id and len(self._store.turns(job.lane, 3)) == 2:
            self._notices.title(job, job.request["text"])  # after the first question of the thread

    def _before(self, job: Job) -> tuple[str, str]:
        """The message and the answer in whose place the reply comes; empty for none."""
        before = job.kind == "edit" and self._ledger.reply_to(job.team, job.channel, job.ts)
        return before or (job.reply_ts, "")

    def _is_answered(self, job: Job) -> bool:
        """Whether everybody can read an answer to the message of a shortcut already."""
        return all(self._ledger.reply_to(job.team, job.channel, job.ts) or [""])

    def _post(self, job: Job, reply: Reply, replaces: str) -> None:
        try:
            self._poster.post(job, reply, replaces=replaces)
            return
        except SLACK_ERRORS as error:
            if outcome(error) != "gone" or "response_url" not in job.request:
                raise
        # The shortcut works where Kiku is no member, and so does the address that came with it.
        note = note_block(SLACK[language_of(job)].not_member)
        self._poster.respond(job, replace(reply, blocks=[note, *reply.blocks]))

    def _stream(self, job: Job) -> Stream:
        client = self._clients(job.team, job.request["enterprise"])
        return Stream(once(client), self._ledger, job)

    def _may_stream(self, job: Job, reply_ts: str) -> bool:
        """Only what everybody in the thread may see, and only into a message of its own."""
        new = job.kind == "message" and not job.recovered and not reply_ts
        return self._streams and new and bool(job.request["addressed"])

    # --- commands and buttons ---------------------------------------------------------------------

    def _publish(self, job: Job) -> None:
        reply = self._guarded(job, self._replies.to_everybody)
        if not reply.answer_id:
            self._poster.respond(job, reply)
            return
        try:
            ts = self._poster.post(job, reply)
        except SLACK_ERRORS as error:
            if outcome(error) != "gone":
                raise
            self._poster.respond(job, reply, to_channel=True)  # where Kiku is no member
        else:
            if ts:  # what is asked in its thread goes on from there
                self._store.move_answer(reply.answer_id, lane_of(job.team, job.channel, ts))

    def _delete(self, job: Job) -> None:
        reply_ts, answer_id = self._ledger.reply_to(job.team, job.channel, job.ts) or ("", "")
        if answer_id:
            self._store.forget_answer(answer_id)
        self._poster.delete(job, reply_ts)

    def _greet(self, job: Job) -> None:
        decision = self._access.decide(asked_by(job))
        asker = self._access.person(job.team, job.request["enterprise"], job.request["user"])
        texts = SLACK[asker.language]
        if decision.refusal:
            self._poster.post(job, say(getattr(texts, decision.refusal)))
        elif self._poster.post(job, say(texts.greeting)) is not None:
            questions = self._suggestions(decision.public, asker.language)
            self._notices.prompts(job, texts.prompts_title, questions)

    # --- failures ---------------------------------------------------------------------------------

    def _guarded(self, job: Job, make: Callable[[Job], Reply]) -> Reply:
        """The reply that `make` makes, or what to say when it cannot; Slack's failures pass."""
        texts: SlackMessages = SLACK[language_of(job)]
        try:
            return make(job)
        except (StoreUnavailable, *SLACK_ERRORS):
            raise
        except QueryError as error:
            return say(f"{error.message}{error.hint}")
        except KikuError as error:
            return say(texts.not_ready.format(reference=self._log_failure(job, error)))
        except Exception as error:  # a defect: people get a reference, the log the traceback
            return say(texts.failed.format(reference=self._log_failure(job, error)))

    def _log_failure(self, job: Job, error: BaseException) -> str:
        """Gives the reference under which the log tells more."""
        reference = token_hex(4).upper()
        expected = isinstance(error, (KikuError, *SLACK_ERRORS))
        log.error(
            "slack_answer_failed",
            reference=reference,
            job=job.number,
            kind=job.kind,
            channel=job.channel,
            reason=code_of(error) or f"{type(error).__name__}: {error}".splitlines()[0],
            exc_info=None if expected else error,
        )
        return reference
