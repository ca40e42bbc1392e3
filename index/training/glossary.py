"""How Japanese says English words, learned from segments and their translations.

IBM model 1 (Brown et al. 1993, aclanthology.org/J93-2003) in both directions over the words of a segment, each
counted once: how probable a Japanese word is beside an English one, and the English beside the Japanese.
What both directions agree on is kept, behind what `glossary_by_hand.tsv` says: the vocabulary of offices
and of technical texts, written by hand, which the translations (of programming manuals, and of everyday
sentences) have little of.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.english import is_function_word, read_glossary, stems
from index.normalize import fold
from index.training.sources import Pair
from index.words import forms, is_stop_word

log = logging.getLogger(__name__)

_ENGLISH = re.compile(r"[a-z]{2,}")
_JAPANESE = re.compile(r"[ぁ-んァ-ヶ一-龠々]")
_RARE = 4  # words of fewer segments teach nothing
_LONG = 24  # English words; of longer segments any word goes with any other
_ROUNDS = 6
_NOTHING = 1e-3  # the share of a word that stands for nothing in the other language
_LEAST = (
    0.05  # chosen, as _MOST was, on English questions of the practice documents that are trained on
)
_MOST = 5
_BY_HAND = Path(__file__).with_name("glossary_by_hand.tsv")
# They stand beside any word of an everyday sentence.
_PERSONS = frozenset("彼 私 彼女 君 彼奴 私達 彼等 御座る 呉れる 沢山 一寸 決して".split())


@dataclass(frozen=True)
class Said:
    """A Japanese word, as `index.words.forms` gives it, and how sure both directions are: 0…1, the
    geometric mean of their probabilities."""

    form: str
    score: float


def learned(pairs: Iterable[Pair]) -> dict[str, list[Said]]:
    """What each English word, without its ending, is in Japanese, the likeliest first."""
    read = [
        (english, japanese)
        for pair in pairs
        if len(english := _english(pair.english)) <= _LONG
        and (japanese := _japanese(pair.japanese))
    ]
    log.info("glossary: %d segments", len(read))
    stem_of = _stems_of(Counter(word for english, _ in read for word in english))
    lines = [sorted({stem_of[word] for word in english}) for english, _ in read]
    own, other = _Vocabulary.of(lines), _Vocabulary.of([japanese for _, japanese in read])
    met = _met(own, other)
    scores = np.sqrt(met.said * met.back)
    found: dict[str, list[Said]] = {}
    for place in np.argsort(-scores):
        english = own.words[met.own[place]]
        japanese = other.words[met.other[place]]
        if _JAPANESE.search(japanese):  # `docker` is explained by itself
            found.setdefault(english, []).append(Said(japanese, float(scores[place])))
    return found


def write(found: Mapping[str, Sequence[Said]], file: Path, by_hand: Path = _BY_HAND) -> None:
    """The file that `index.english.read_glossary` reads: the words of the file `by_hand` first, then those that
    were found and are likely enough."""
    known = read_glossary(by_hand)
    with file.open("w", encoding="utf-8") as out:
        for english in sorted({*known, *found}):
            said = [*known.get(english, ()), *_likely(found.get(english, ()))]
            if said:
                out.write(f"{english}\t{' '.join(dict.fromkeys(said))}\n")


def _likely(said: Sequence[Said]) -> list[str]:
    """Those that are likely enough, without single signs that are parts of others (証明書, not 書)."""
    kept = [one.form for one in said[:_MOST] if one.score >= _LEAST]
    return [
        form
        for form in kept
        if len(form) > 1 or not any(form in other and form != other for other in kept)
    ]


def _english(text: str) -> list[str]:
    words = dict.fromkeys(_ENGLISH.findall(fold(text)))
    return [word for word in words if not is_function_word(word)]


def _japanese(text: str) -> list[str]:
    words = dict.fromkeys(forms(text))
    return [word for word in words if not is_stop_word(word) and word not in _PERSONS]


def _stems_of(counts: Counter[str]) -> dict[str, str]:
    """Each word without its ending, where what is left is a word that is about as frequent."""
    found = {}
    for word, count in counts.items():
        found[word] = next(
            (stem for stem in stems(word) if stem != word and counts[stem] * 4 > count), word
        )
    return found


@dataclass(frozen=True)
class _Vocabulary:
    """The words of one language that are not rare, and their numbers in each segment."""

    words: list[str]
    lines: list[np.ndarray]

    @classmethod
    def of(cls, lines: Sequence[Sequence[str]]) -> _Vocabulary:
        counts = Counter(word for line in lines for word in line)
        words = [word for word, count in counts.items() if count >= _RARE]
        number = {word: place for place, word in enumerate(words)}
        known = [[number[word] for word in line if word in number] for line in lines]
        return cls(words, [np.array(line, np.int64) for line in known])


@dataclass(frozen=True)
class _Met:
    """The pairs of words that stand in one segment, by number, int64 (n,), and how probable the other one
    is beside the own, and the own beside the other: float64 (n,)."""

    own: np.ndarray
    other: np.ndarray
    said: np.ndarray
    back: np.ndarray


def _met(own: _Vocabulary, other: _Vocabulary) -> _Met:
    lines = list(zip(own.lines, other.lines, strict=True))
    first = np.concatenate([np.repeat(a, len(b)) for a, b in lines])
    second = np.concatenate([np.tile(b, len(a)) for a, b in lines])
    line = np.repeat(np.arange(len(lines)), [len(a) * len(b) for a, b in lines])
    pairs, pair = np.unique(first * len(other.words) + second, return_inverse=True)
    firsts, seconds = np.divmod(pairs, len(other.words))

    def probability(source: np.ndarray, target: np.ndarray) -> np.ndarray:
        # Each target word of each segment is explained by the source words of that segment.
        _, slot = np.unique(line * (target.max() + 1) + target, return_inverse=True)
        return _model_1(pair, slot, source, len(pairs))

    return _Met(firsts, seconds, probability(firsts, second), probability(seconds, first))


def _model_1(pair: np.ndarray, slot: np.ndarray, source: np.ndarray, pairs: int) -> np.ndarray:
    """Expectation and maximisation: the probability of each pair's target given its `source` word, float64
    (pairs,). `pair` and `slot`, int64 (m,), say of which pair and for which word to explain each of the m
    meetings in the segments is."""
    values = np.ones(pairs)
    values /= np.bincount(source, values)[source]
    for _ in range(_ROUNDS):
        meeting = values[pair]
        meeting /= np.bincount(slot, meeting)[slot] + _NOTHING
        counts = np.bincount(pair, meeting, pairs)
        values = counts / np.maximum(np.bincount(source, counts), 1e-9)[source]
    return values
