"""Whether the quotes that a sentence cites support it. Words decide, not the writer's word.

A sentence is supported when all of this holds for the citations that it names:

- each of its numbers stands in a quote with the same unit behind it (30日 is not 30時間);
- each of its names (Latin, katakana, proper nouns) stands in the quote, its passage or its title;
- four of five of its content words, and always the last one, which carries the claim, stand in the
  quote or its title;
- it is negated exactly when the quoted sentence nearest to it is.

That is strict: a free paraphrase fails, and the extractive answer takes its place. It cannot see
two supported facts exchanged within one sentence; the writer is told to keep to the wording.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.records import Citation
from index.normalize import fold
from index.split import sentences
from index.words import Word, forms, is_stop_word, words

SHARE = 0.8  # of the content words; below five words this means every one
_MARKER = re.compile(r"\[(\d{1,3})\]")
_NUMBER = re.compile(
    r"(\d+(?:[.,:/-]\d+)*)( ?[a-z%]+|[つこ]|[かヶヵ箇ケカ][一-鿿]|[ァ-ヺ一-鿿々])?"
)
_NO_UNITS = frozenset("at as but by from if it than that then until with".split())
_NEGATION = re.compile(
    r"ない|ません|なかった|なくな|ぬ(?=[。、]|$)|ず(?=[、。に]|$)|不可|不要|禁止|未対応|非対応"
    r"|\bnot\b|n't\b|\bno\b|\bnever\b|\bcannot\b|\bwithout\b"
)
_NAME = re.compile(r"[a-z0-9.+#_-]*[a-z][a-z0-9.+#_-]*|[ァ-ヺー・]+")
# What a link, a tag or an instruction to a renderer looks like; a quoted fact needs none of it.
_ACTIVE = re.compile(
    r"https?:|www\.|//|\]\(|!\[|<[/!?a-z]|&#|javascript:|data:|[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e"
    r"\u2066-\u2069\ufff9-\ufffb]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What a set of citations says."""

    quotes: tuple[str, ...]
    numbers: frozenset[tuple[str, str]]
    words: frozenset[str]
    names: frozenset[str]


def markers(sentence: str) -> list[int]:
    """The citation numbers that a sentence names, in order, each once."""
    return list(dict.fromkeys(int(number) for number in _MARKER.findall(sentence)))


def is_supported(sentence: str, citations: Sequence[Citation]) -> bool:
    """Whether `sentence`, with its [n] marks, follows from the quotes that it cites."""
    by_number = {citation.number: citation for citation in citations}
    numbers = markers(sentence)
    if not numbers or _ACTIVE.search(sentence) or any(one not in by_number for one in numbers):
        return False
    body = _MARKER.sub("", sentence).strip()
    found = words(body)
    content = [word for word in found if not word.parts and not _says_nothing(word)]
    if not content:
        return False
    evidence = _evidence([by_number[number] for number in numbers])
    return (
        _numbers(body) <= evidence.numbers
        and _names(found) <= evidence.names
        and _is_told(content, evidence)
        and _is_negated(body) == _is_negated(_nearest(content, evidence))
    )


def _evidence(cited: Sequence[Citation]) -> _Evidence:
    quotes = tuple(citation.quote for citation in cited)
    titles = [" ".join((citation.title, *citation.heading)) for citation in cited]
    told = frozenset(form for text in (*quotes, *titles) for form in forms(text))
    around = frozenset(form for citation in cited for form in forms(citation.passage))
    numbers = frozenset(pair for quote in quotes for pair in _numbers(quote))
    # A number may be repeated without its unit, never with another one.
    bare = {(number, "") for number, _ in numbers}
    return _Evidence(quotes, numbers | bare, told, told | around)


def _numbers(text: str) -> frozenset[tuple[str, str]]:
    """The numbers of a text with the unit right behind them, 1,000 as 1000 and 二つ as 2."""
    written = {
        (number.replace(",", ""), _unit(behind)) for number, behind in _NUMBER.findall(fold(text))
    }
    spelt = {
        (word.form, "")
        for word in words(text)
        if word.detail == "数詞" and word.form.isdigit() and not word.text.isdigit()
    }
    return frozenset(written | spelt)


def _unit(behind: str) -> str:
    """What counts a number: か月, ヶ月 and 箇月 are one, and an English particle is none."""
    unit = behind.strip()
    if unit in _NO_UNITS or is_stop_word(unit):
        return ""
    return f"か{unit[1:]}" if len(unit) == 2 and unit[0] in "かヶヵ箇ケカ" else unit


def _names(found: Sequence[Word]) -> frozenset[str]:
    return frozenset(
        word.form
        for word in found
        if not is_stop_word(word.form)
        and not word.parts
        and (word.detail == "固有名詞" or _NAME.fullmatch(word.text))
    )


def _is_told(content: Sequence[Word], evidence: _Evidence) -> bool:
    known = [word.form in evidence.words for word in content]
    return known[-1] and sum(known) >= SHARE * len(known)


def _nearest(content: Sequence[Word], evidence: _Evidence) -> str:
    """The sentence of the quotes that shares the most words."""
    wanted = {word.form for word in content}
    spans = [quote[start:end] for quote in evidence.quotes for start, end in sentences(quote)]
    return max(spans, key=lambda span: len(wanted.intersection(forms(span))), default="")


def _says_nothing(word: Word) -> bool:
    return is_stop_word(word.form) or word.detail == "数詞"


def _is_negated(text: str) -> bool:
    return _NEGATION.search(fold(text)) is not None
