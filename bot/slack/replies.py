"""A job of the inbox → what to reply: who may see it, in which conversation, with which notes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bot.kiku import Tally
from bot.messages.slack import SLACK
from bot.records import Answer, Language, Question
from bot.slack.access import Access, Asked, Collections, Decision, is_direct
from bot.slack.blocks import answer_message, plain, text_message
from bot.slack.home import help_lines
from bot.slack.intake import is_question, person, small_talk
from bot.slack.ledger import Job, Ledger
from bot.slack.posting import Reply
from bot.store import Store
from index.normalize import is_english

Said = Callable[[str], None]
Asking = tuple[Question, Answer]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Manner:
    """How to answer. `public_url`: where people reach the service, empty for no links there;
    `queue`: how many may wait before Kiku asks to come back later; `at_once`: how many answers are
    worked out at once. More of them than there are cores would only keep acknowledgements waiting."""

    public_url: str = ""
    top_k: int = 5
    queue: int = 500
    command: str = "/kiku"
    log_questions: bool = False
    at_once: int = 2


class Replies:
    """Makes replies and keeps the answers in them. Thread-safe.

    Methods raise what `ask` raises, StoreUnavailable, and Slack's errors where it has to be asked
    who somebody is.
    """

    def __init__(
        self,
        ask: Callable[..., Answer],
        store: Store,
        access: Access,
        ledger: Ledger,
        manner: Manner,
        tally: Tally | None = None,
    ) -> None:
        self._ask = ask
        self._store = store
        self._access = access
        self._ledger = ledger
        self._manner = manner
        self._tally = tally
        self._turns = threading.Semaphore(manner.at_once)

    def to_message(self, job: Job, replaces: str = "", said: Said | None = None) -> Reply:
        """To a question in a channel or a direct message. `replaces` is the answer that an edited
        question had; `said` is told the sentences of a language model that all may see."""
        texts = SLACK[language_of(job)]
        decision = self._access.decide(asked_by(job))
        if decision.refusal:
            return say(getattr(texts, decision.refusal), only_for=_whisper_to(job))
        kept = self._store.answer(job.answer_id) if job.answer_id else None
        if kept:  # asked before a crash, and perhaps posted
            return self._shown(job, kept.answer, decision)
        if self._ledger.unfinished() > self._manner.queue:
            return say(texts.busy)
        if aside := self._aside(job):
            return aside
        said = said if not decision.hidden else None
        question, answer = self._ask_publicly_first(job, decision, replaces, said)
        if answer.status == "not_found" and not is_expected(job):
            return say("")
        self._keep(question, answer)
        return self._shown(job, answer, decision)

    def to_command(self, job: Job) -> Reply:
        """To a slash command: for its author alone, with a button where all may see it."""
        texts = SLACK[language_of(job)]
        decision = self._access.decide(asked_by(job))
        if decision.refusal:
            return say(getattr(texts, decision.refusal))
        if self._ledger.unfinished() > self._manner.queue:
            return say(texts.busy)
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

    def to_everybody(self, job: Job) -> Reply:
        """A private answer that its author publishes; a sentence without answer id where that may
        not be."""
        stored = self._store.answer(job.request["answer_id"])
        texts = SLACK[stored.answer.language if stored else "ja"]
        decision = self._access.decide(asked_by(job))
        if decision.refusal:
            return say(getattr(texts, decision.refusal))
        if stored is None:
            return say(texts.publish_gone)
        if decision.hidden or not _within(stored.answer, decision.public):
            return say(texts.publish_refused)
        text, blocks = answer_message(stored.answer, public_url=self._manner.public_url)
        said = texts.published.format(
            user=f"<@{job.request['user']}>",
            command=self._manner.command,
            question=plain(stored.question, 500),
        )
        asked = {"type": "context", "elements": [{"type": "mrkdwn", "text": said}]}
        return Reply(text, [asked, *blocks], stored.answer.id)

    def _aside(self, job: Job) -> Reply | None:
        """What to say to a message that asks nothing of the documents; None for a question."""
        text, texts = job.request["text"], SLACK[language_of(job)]
        if not text and "response_url" in job.request:  # the shortcut, on a picture for example
            return say(texts.no_text, only_for=_whisper_to(job))
        if not text:
            return say(texts.no_question)
        kind = small_talk(text)
        if kind and not job.request["addressed"]:
            return say("")
        match kind:
            case "help":
                return say("\n".join(help_lines(texts, self._manner.command)))
            case "hello":
                return say(texts.greeting)
            case "thanks":
                return say(texts.thanks)
        return None

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
        with self._turns:
            return question, self._ask(question, said=said) if said else self._ask(question)

    def _keep(self, question: Question, answer: Answer) -> None:
        self._store.record(question, answer)
        if self._tally:
            self._tally.answer(answer, question.channel)
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


def is_expected(job: Job) -> bool:
    """Whether somebody waits for a reply: not to a message that was overheard and asks nothing."""
    return bool(job.request["addressed"] or is_question(job.request["text"]))


def language_of(job: Job) -> Language:
    """The language that somebody asked in."""
    return "en" if is_english(job.request.get("text", "")) else "ja"


def say(text: str, *, only_for: str = "") -> Reply:
    """A sentence of Kiku's own."""
    said, blocks = text_message(text)
    return Reply(said, blocks, only_for=only_for)


def _whisper_to(job: Job) -> str:
    return "" if is_direct(job.channel) else str(job.request["user"])


def _within(answer: Answer, visible: Collections) -> bool:
    return visible is None or all(one.collection in visible for one in answer.citations)
