"""Question → Answer: search, choose, check, decide whether it is an answer."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol
from uuid import uuid4

from bot.cite import cite
from bot.compose.extractive import Extract, extract, readable
from bot.confidence import Calibration
from bot.conversation import points_nowhere, readings, split_questions
from bot.errors import BadQuestion, StoreUnavailable
from bot.messages import answers as messages
from bot.records import Answer, Citation, Language, Question, Turn
from index.normalize import has_words, is_english, well_formed
from index.retrieve import Retriever

_CONVERSATION_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_LONGEST_CONVERSATION_ID = 200
_REMEMBERED_TURNS = 12
_UNHEARD_OF = 0.5  # of a question, by weight, in words that no document holds


class Memory(Protocol):
    """Where conversations are kept."""

    def turns(self, conversation_id: str, limit: int = 20) -> tuple[Turn, ...]:
        """The last turns of a conversation, oldest first."""
        ...


Said = Callable[[str], None]
Found = Callable[[tuple[Citation, ...]], None]
Spent = Callable[[str, float], None]


class Composer(Protocol):
    """Writes an answer from citations; None where it has nothing better than the extract."""

    def compose(
        self,
        question: Question,
        citations: Sequence[Citation],
        extractive: str,
        language: Language,
        said: Said | None = None,
    ) -> str | None:
        """The text of the answer, each sentence with its `[n]`; `said` is told each at once."""
        ...


class Answerer:
    """Answers questions; safe to share between threads.

    `retriever` is asked for the current index at every question, so that a new one is picked up.
    """

    def __init__(
        self,
        retriever: Callable[[], Retriever],
        *,
        memory: Memory | None = None,
        composer: Composer | None = None,
        calibration: Calibration | None = None,
        threshold: float = 0.33,
        max_question_chars: int = 4000,
    ) -> None:
        self._retriever = retriever
        self._memory = memory
        self._composer = composer
        self._calibration = calibration or Calibration()
        calibrated = self._calibration.threshold
        self._threshold = threshold if calibrated is None else calibrated
        self._max_question_chars = max_question_chars

    def ask(
        self,
        question: Question,
        *,
        said: Said | None = None,
        found: Found | None = None,
        spent: Spent | None = None,
    ) -> Answer:
        """Answers. Remembering the answer is up to the adapter that asked.

        `said` is told each sentence of a language model as soon as it is checked; when the model
        fails after that, the answer is the extractive one all the same. `found` is told the
        citations before a model begins to write. `spent` is told the seconds of each stage:
        `retrieve`, `extract`, `cite`, `compose`.

        Raises BadQuestion for a question that cannot be searched for; IndexMissing and the like
        when there is nothing to search in.
        """
        started = time.perf_counter()
        text = self._checked(question)
        retriever = self._retriever()
        history = self._history(question)
        language = _language(text)
        watch = _Watch(spent)
        parts = self._parts(retriever, text, history, question, watch)
        asked = replace(question, text=text)
        answer = self._answer(retriever, asked, parts, language, watch, said, found)
        return replace(answer, took_ms=round((time.perf_counter() - started) * 1000, 1))

    @property
    def threshold(self) -> float:
        """The confidence below which the answer is that the documents don't say."""
        return self._threshold

    @property
    def calibration(self) -> Calibration:
        """What turns features into a confidence."""
        return self._calibration

    def features(self, question: Question) -> Mapping[str, float]:
        """What the confidence of the answer is made from; empty where nothing is found.

        Raises what `ask` raises.
        """
        text = self._checked(question)
        history, watch = self._history(question), _Watch(None)
        parts = self._parts(self._retriever(), text, history, question, watch)
        return max(parts, key=lambda part: part[1])[0].features

    def _parts(
        self,
        retriever: Retriever,
        text: str,
        history: tuple[Turn, ...],
        question: Question,
        watch: _Watch,
    ) -> list[tuple[Extract, float]]:
        """The extract and confidence of each question in `text`."""
        parts: list[tuple[Extract, float]] = []
        for part in split_questions(text):
            parts.append(self._extract(retriever, part, history, question, watch))
            history = (*history, Turn("user", part))
        return parts

    def check(self, text: str) -> str:
        """`text` as it is searched for. Raises BadQuestion where it cannot be."""
        text = well_formed(text).strip()
        told = None
        if len(text) > self._max_question_chars:
            told = messages.too_long(len(text), self._max_question_chars)
        elif not text:
            told = messages.EMPTY
        elif not has_words(text):
            told = messages.NO_WORDS
        if told:
            raise BadQuestion(told, _language(text))
        return text

    def _checked(self, question: Question) -> str:
        text = self.check(question.text)
        if question.conversation_id and not _CONVERSATION_ID.fullmatch(question.conversation_id):
            told = messages.bad_conversation_id(_LONGEST_CONVERSATION_ID)
            raise BadQuestion(told, _language(text))
        return text

    def _history(self, question: Question) -> tuple[Turn, ...]:
        if question.history or not question.conversation_id or not self._memory:
            return question.history[-_REMEMBERED_TURNS:]
        try:
            return self._memory.turns(question.conversation_id, _REMEMBERED_TURNS)
        except StoreUnavailable:  # an answer out of context is worth more than none
            return ()

    def _extract(
        self,
        retriever: Retriever,
        text: str,
        history: Sequence[Turn],
        question: Question,
        watch: _Watch,
    ) -> tuple[Extract, float]:
        """The extract for one question and its confidence: of what it may ask in its conversation,
        what the documents answer most surely; 0 for one about something that was never named."""
        found = {
            asked: self._read(retriever, asked, question, watch)
            for asked in readings(text, history)
        }
        alone = found.get(text)
        # What no document has heard of is a new subject, which the topic before must not answer.
        if alone and alone[0].features.get("unknown", 0.0) > _UNHEARD_OF:
            found = {text: alone}
        extracted, sure = max(found.values(), key=lambda one: one[1])
        return extracted, 0.0 if points_nowhere(text, history) else sure

    def _read(
        self, retriever: Retriever, text: str, question: Question, watch: _Watch
    ) -> tuple[Extract, float]:
        """The extract for a question that stands alone, and its confidence."""
        at_least = max(8, question.top_k)
        with watch.stage("retrieve"):
            search = retriever.explain(text, at_least, collections=question.collections)
        with watch.stage("extract"):
            found = extract(retriever, search, question.top_k)
        return found, self._calibration.probability(found.features) if found.evidence else 0.0

    def _answer(
        self,
        retriever: Retriever,
        question: Question,
        parts: Sequence[tuple[Extract, float]],
        language: Language,
        watch: _Watch,
        said: Said | None,
        found: Found | None,
    ) -> Answer:
        answered = [part for part in parts if part[1] >= self._threshold]
        shown = answered or parts
        confidence = max(sure for _, sure in shown)
        evidence = [piece for found, _ in shown for piece in found.evidence[: found.used]]
        used = len(evidence)
        evidence += [piece for found, _ in shown for piece in found.evidence[found.used :]]
        cited = evidence[: max(used, question.top_k)]
        with watch.stage("cite"):
            citations = tuple(cite(cited, retriever, question.collections))
        text = "\n".join(f"{readable(c.quote)}[{c.number}]" for c in citations[:used])
        composer = "extractive"
        if not answered or not text:
            text = messages.not_found(language, passages=bool(citations))
        elif self._composer:
            if found:
                found(citations)
            with watch.stage("compose"):
                written = self._composer.compose(question, citations, text, language, said)
            text, composer = (written, "llm") if written else (text, composer)
        return Answer(
            id=uuid4().hex,
            status="answered" if answered and citations else "not_found",
            answer=text,
            confidence=round(confidence, 4),
            conversation_id=question.conversation_id or secrets.token_urlsafe(16),
            citations=citations,
            took_ms=0.0,
            language=language,
            composer="llm" if composer == "llm" else "extractive",
        )


class _Watch:
    """Tells how long each stage of an answer took, whether it came to its end or not."""

    def __init__(self, spent: Spent | None) -> None:
        self._spent = spent

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            if self._spent:
                self._spent(name, time.perf_counter() - began)


def _language(text: str) -> Language:
    return "en" if is_english(text) else "ja"
