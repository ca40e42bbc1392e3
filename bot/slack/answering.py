"""A job of the inbox → one reply in Slack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex

import structlog

from bot.errors import StoreUnavailable
from bot.messages.slack import SLACK, SlackMessages
from bot.records import Answer, Language, Question
from bot.slack.access import Access, Asked, Clients, Collections, Decision, is_direct
from bot.slack.blocks import answer_message, plain, text_message
from bot.slack.home import Prompts
from bot.slack.intake import is_question, person
from bot.slack.ledger import Job, Ledger
from bot.slack.posting import SLACK_ERRORS, Notices, Poster, Reply, code_of, delay, once, outcome
from bot.slack.streaming import Stream
from bot.store import Store
from index.errors import KikuError, QueryError
from index.normalize import is_english

Said = Callable[[str], None]
Asking = tuple[Question, Answer]

TRIES = 9  # attempts to reach Slack, the last about two minutes after the first

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Manner:
    """How to answer. `public_url`: where people reach the service, empty for no links there;
    `queue`: how many may wait before Kiku asks to come back later; `stream`: a language model
    writes, and its sentences are shown as they come."""

    public_url: str = ""
    top_k: int = 5
    queue: int = 500
    command: str = "/kiku"
    log_questions: bool = False
    stream: bool = False


class Responder:
    """Answers the jobs of an inbox (`bot.slack.inbox.Handler`). Thread-safe."""

    def __init__(
        self,
        ask: Callable[..., Answer],
        store: Store,
        access: Access,
        clients: Clients,
        ledger: Ledger,
        prompts: Prompts,
        manner: Manner,
    ) -> None:
        self._ask = ask
        self._store = store
        self._access = access
        self._clients = clients
        self._ledger = ledger
        self._prompts = prompts
        self._manner = manner
        self._poster = Poster(ledger, clients)
        self._notices = Notices(clients)

    def waiting(self, job: Job, before: int) -> None:
        self._notices.show(job, SLACK[_language(job)].waiting.format(count=before))

    def slow(self, job: Job) -> None:
        self._notices.show(job, SLACK[_language(job)].searching)

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
                self._poster.respond(job, self._guarded(job, self._for_command))
            case "publish":
                self._publish(job)
            case "delete":
                self._delete(job)
            case "greeting":
                self._greet(job)

    def _give_up(self, job: Job, error: BaseException) -> None:
        reference = self._log_failure(job, error)
        if outcome(error) != "gone":
            try:
                text = SLACK[_language(job)].failed.format(reference=reference)
                if job.kind == "message":
                    self._poster.post(job, _say(text))
                elif "response_url" in job.request:
                    self._poster.respond(job, _say(text))
            except SLACK_ERRORS as again:
                self._log_failure(job, again)
        self._ledger.finish(job.number)

    # --- questions in messages --------------------------------------------------------------------

    def _answer(self, job: Job) -> None:
        if self._ledger.deleted(job.team, job.channel, job.ts):
            self._ledger.finish(job.number)
            return
        before = job.kind == "edit" and self._ledger.reply_to(job.team, job.channel, job.ts)
        reply_ts, old_answer = before or (job.reply_ts, "")
        direct = is_direct(job.channel)
        if direct and not job.recovered:
            self._notices.status(job, SLACK[_language(job)].searching)
        stream = self._stream(job) if self._may_stream(job, reply_ts) else None
        reply = self._guarded(job, lambda job: self._for_message(job, old_answer, stream))
        if not (reply.answer_id or job.request["addressed"]):
            self._ledger.finish(job.number)  # what is not meant for Kiku is not worth an excuse
            return
        if old_answer and old_answer != reply.answer_id:
            self._store.forget_answer(old_answer)
        if stream and stream.end(reply):
            self._ledger.finish(job.number, reply_ts=stream.ts, answer_id=reply.answer_id)
            posted = True
        else:
            replaces = stream.ts if stream else reply_ts
            posted = self._poster.post(job, reply, replaces=replaces)
        if posted and direct and job.ts == job.request["thread_ts"]:
            self._notices.title(job, job.request["text"])

    def _stream(self, job: Job) -> Stream:
        client = self._clients(job.team, job.request["enterprise"])
        return Stream(once(client), self._ledger, job)

    def _may_stream(self, job: Job, reply_ts: str) -> bool:
        """Only what everybody in the thread may see, and only into a message of its own."""
        new = job.kind == "message" and not job.recovered and not reply_ts
        return self._manner.stream and new and bool(job.request["addressed"])

    def _for_message(self, job: Job, replaces: str, stream: Stream | None) -> Reply:
        texts = SLACK[_language(job)]
        decision = self._access.decide(asked_by(job))
        if decision.refusal:
            return _say(getattr(texts, decision.refusal), only_for=_whisper_to(job))
        kept = self._store.answer(job.answer_id) if job.answer_id else None
        if kept:  # asked before a crash, and perhaps posted
            return self._shown(job, kept.answer, decision)
        if self._ledger.unfinished() > self._manner.queue:
            return _say(texts.busy)
        if not job.request["text"]:
            return _say(texts.no_question)
        said = stream.say if stream and not decision.hidden else None
        question, answer = self._ask_publicly_first(job, decision, replaces, said)
        overheard = not (job.request["addressed"] or is_question(job.request["text"]))
        if overheard and answer.status == "not_found":
            return _say("")
        self._keep(question, answer)
        return self._shown(job, answer, decision)

    def _ask_publicly_first(
        self, job: Job, decision: Decision, replaces: str, said: Said | None
    ) -> Asking:
        public = self._asking(job, decision.public, job.lane, replaces, said)
        if public[1].status == "answered" or decision.own == decision.public:
            return public
        # The private answers to one person are a conversation of their own: what was said in it
        # must not colour what everybody in the thread is told later.
        own = self._asking(job, decision.own, f"{job.lane}:{job.request['user']}")
        return own if own[1].status == "answered" else public

    def _asking(
        self,
        job: Job,
        visible: Collections,
        conversation: str,
        replaces: str = "",
        said: Said | None = None,
    ) -> Asking:
        question = Question(
            text=job.request["text"],
            conversation_id=conversation,
            history=self._store.turns(conversation, before=replaces) if replaces else (),
            top_k=self._manner.top_k,
            collections=visible,
            channel="slack",
            asker=person(job.team, job.request["user"]),
        )
        return question, self._ask(question, said=said) if said else self._ask(question)

    def _keep(self, question: Question, answer: Answer) -> None:
        self._store.record(question, answer)
        text = {"question": question.text} if self._manner.log_questions else {}
        log.info("answered", answer=answer.id, status=answer.status, channel="slack", **text)

    def _shown(self, job: Job, answer: Answer, decision: Decision) -> Reply:
        texts = SLACK[answer.language]
        notes = []
        if not _within(answer, decision.public):
            notes.append(texts.private_note)
        elif decision.hidden:
            notes.append(texts.shared_note)
        url = self._manner.public_url
        text, blocks = answer_message(answer, public_url=url, notes=notes)
        _, below = answer_message(answer, public_url=url, said=True)
        return Reply(text, blocks, answer.id, _whisper_to(job) if notes else "", below)

    # --- commands and buttons ---------------------------------------------------------------------

    def _for_command(self, job: Job) -> Reply:
        texts = SLACK[_language(job)]
        decision = self._access.decide(asked_by(job))
        if decision.refusal:
            return _say(getattr(texts, decision.refusal))
        if self._ledger.unfinished() > self._manner.queue:
            return _say(texts.busy)
        kept = self._store.answer(job.answer_id) if job.answer_id else None
        if kept:
            answer = kept.answer
        else:
            question, answer = self._asking(job, decision.own, job.lane)
            self._keep(question, answer)
        open_to_all = _within(answer, decision.public)
        text, blocks = answer_message(
            answer,
            public_url=self._manner.public_url,
            notes=[] if open_to_all else [SLACK[answer.language].private_note],
            publish=open_to_all
            and not decision.hidden
            and answer.status == "answered"
            and not is_direct(job.channel),
        )
        return Reply(text, blocks, answer.id)

    def _publish(self, job: Job) -> None:
        reply = self._guarded(job, self._for_everybody)
        if not reply.answer_id:
            self._poster.respond(job, reply)
            return
        try:
            self._poster.post(job, reply)
        except SLACK_ERRORS as error:
            if outcome(error) != "gone":
                raise
            self._poster.respond(job, reply, to_channel=True)  # where Kiku is no member

    def _for_everybody(self, job: Job) -> Reply:
        stored = self._store.answer(job.request["answer_id"])
        texts = SLACK[stored.answer.language if stored else "ja"]
        decision = self._access.decide(asked_by(job))
        if decision.refusal:
            return _say(getattr(texts, decision.refusal))
        if stored is None:
            return _say(texts.publish_gone)
        if decision.hidden or not _within(stored.answer, decision.public):
            return _say(texts.publish_refused)
        text, blocks = answer_message(stored.answer, public_url=self._manner.public_url)
        said = texts.published.format(
            user=f"<@{job.request['user']}>",
            command=self._manner.command,
            question=plain(stored.question, 500),
        )
        asked = {"type": "context", "elements": [{"type": "mrkdwn", "text": said}]}
        return Reply(text, [asked, *blocks], stored.answer.id)

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
            self._poster.post(job, _say(getattr(texts, decision.refusal)))
        elif self._poster.post(job, _say(texts.greeting)):
            questions = self._prompts(decision.public, asker.language)
            self._notices.prompts(job, texts.prompts_title, questions)

    # --- failures ---------------------------------------------------------------------------------

    def _guarded(self, job: Job, make: Callable[[Job], Reply]) -> Reply:
        """The reply that `make` makes, or what to say when it cannot; Slack's failures pass."""
        texts: SlackMessages = SLACK[_language(job)]
        try:
            return make(job)
        except (StoreUnavailable, *SLACK_ERRORS):
            raise
        except QueryError as error:
            return _say(f"{error.message}{error.hint}")
        except KikuError as error:
            return _say(texts.not_ready.format(reference=self._log_failure(job, error)))
        except Exception as error:  # a defect: people get a reference, the log the traceback
            return _say(texts.failed.format(reference=self._log_failure(job, error)))

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


def asked_by(job: Job) -> Asked:
    """Who asked, as `Access` wants to know it."""
    request = job.request
    return Asked(
        job.team,
        request["enterprise"],
        job.channel,
        request["user"],
        request["user_team"],
        request.get("shared"),
    )


def _language(job: Job) -> Language:
    return "en" if is_english(job.request.get("text", "")) else "ja"


def _say(text: str, *, only_for: str = "") -> Reply:
    said, blocks = text_message(text)
    return Reply(said, blocks, only_for=only_for)


def _whisper_to(job: Job) -> str:
    return "" if is_direct(job.channel) else str(job.request["user"])


def _within(answer: Answer, visible: Collections) -> bool:
    return visible is None or all(one.collection in visible for one in answer.citations)
