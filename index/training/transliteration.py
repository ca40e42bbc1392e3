"""How letters are said in katakana, learned from the readings that SudachiPy's dictionary has for Latin words.

Expectation maximisation over all ways to cut a word and its reading into pieces (Knight & Graehl 1998,
aclanthology.org/J98-4003): pieces of one to four letters, said by up to four signs of romanised katakana. A piece of
several letters must earn its place: it is charged for each letter beyond the first, and half a word is taken off
what it is counted for, so that `tion` stays and what single letters say as well goes.
"""

from __future__ import annotations

import logging
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from index.training.sources import Pair
from index.transliteration import Rule, called, is_katakana, romanised, spelt_out
from index.words import reading

log = logging.getLogger(__name__)

_WORD = re.compile(r"[a-z]{2,14}")
_LONGEST = 4  # letters of a piece, and signs that it is said by
_SIGNS = 24  # of a reading: longer ones are abbreviations said in full
_FURTHER = 0.3  # what each letter of a piece beyond the first costs
_TAKEN_OFF, _TAKEN_OFF_ALONE = 0.5, 0.05  # of a piece's count, by its letters; of a single letter's
_ROUNDS = 8
_LEAST = 1e-4  # rules that are less likely say nothing
_UNSEEN, _FIRST = (
    1e-7,
    1e-2,
)  # the probability of a piece that was not kept, and of any before the first round
Likely = dict[tuple[str, str], float]
_CALLED: defaultdict[str, list[Rule]] = defaultdict(list)
for _rule in called():
    _CALLED[_rule[0]].append(_rule)


@dataclass(frozen=True)
class _Step:
    """A piece of a word from letter `i` on, `letters` of them, that is said by `signs` of its reading from `j` on."""

    i: int
    j: int
    letters: int
    signs: int
    weight: float
    learned: bool = True


def readings(pairs: Iterable[Pair]) -> dict[str, str]:
    """The Latin words of the English segments that the dictionary has a katakana reading for, but for those that
    are spelt out."""
    words = {word for pair in pairs for word in _WORD.findall(pair.english.casefold())}
    found = {word: said for word in sorted(words) if (said := reading(word))}
    return {word: said for word, said in found.items() if is_katakana(said) and not spelt_out(said)}


def learned(said: dict[str, str]) -> list[Rule]:
    """The rules, by their letters, the likeliest first."""
    words = [(word, romanised(katakana)) for word, katakana in said.items()]
    words = [(word, signs) for word, signs in words if len(signs) <= _SIGNS]
    likely: Likely = {}
    for number in range(_ROUNDS):
        likely, told = _round(words, likely)
        log.info("transliteration round %d: %.3f a word, %d rules", number, told, len(likely))
    rules = [
        (letters, way, probability * _FURTHER ** (len(letters) - 1))
        for (letters, way), probability in likely.items()
    ]
    kept = (rule for rule in rules if rule[2] > _LEAST)
    return sorted(kept, key=lambda rule: (rule[0], -rule[2], rule[1]))


def write(rules: Iterable[Rule], file: Path) -> None:
    """A line for each rule, as `index.transliteration` reads them."""
    lines = (f"{letters}\t{way}\t{probability:.4f}\n" for letters, way, probability in rules)
    file.write_text("".join(lines), "utf-8")


def _round(words: Sequence[tuple[str, str]], likely: Likely) -> tuple[Likely, float]:
    """The probabilities after one more look at all words, and the mean log likelihood by those before."""
    counts: defaultdict[tuple[str, str], float] = defaultdict(float)
    told = 0.0
    for word, signs in words:
        forward, backward, steps = _ways(word, signs, likely)
        whole = backward[0][0]
        if whole <= 0:
            continue
        told += math.log(whole)
        for step in steps:
            if step.learned:
                after = backward[step.i + step.letters][step.j + step.signs]
                piece = word[step.i : step.i + step.letters], signs[step.j : step.j + step.signs]
                counts[piece] += forward[step.i][step.j] * step.weight * after / whole
    totals: defaultdict[str, float] = defaultdict(float)
    for (letters, _), count in counts.items():
        totals[letters] += count
    kept = {}
    for (letters, way), count in counts.items():
        taken_off = _TAKEN_OFF * len(letters) if len(letters) > 1 else _TAKEN_OFF_ALONE
        if count > taken_off:
            kept[letters, way] = (count - taken_off) / (totals[letters] + 1.0)
    return kept, told / max(1, len(words))


def _ways(
    word: str, signs: str, likely: Likely
) -> tuple[list[list[float]], list[list[float]], list[_Step]]:
    """How likely the first i letters are said by the first j signs, and the rest by the rest, by i and j;
    and the steps between. Before anything is known every step is as likely as any other."""
    forward = [[0.0] * (len(signs) + 1) for _ in range(len(word) + 1)]
    backward = [[0.0] * (len(signs) + 1) for _ in range(len(word) + 1)]
    forward[0][0] = backward[-1][-1] = 1.0
    steps = []
    for i in range(len(word)):
        for j in range(len(signs) + 1):
            if forward[i][j]:
                for step in _steps_at(word, signs, i, j, likely):
                    forward[i + step.letters][j + step.signs] += forward[i][j] * step.weight
                    steps.append(step)
    for step in reversed(steps):
        after = backward[step.i + step.letters][step.j + step.signs]
        backward[step.i][step.j] += step.weight * after
    return forward, backward, steps


def _steps_at(word: str, signs: str, i: int, j: int, likely: Likely) -> Iterator[_Step]:
    for _, way, probability in _CALLED[word[i]]:
        if signs.startswith(way, j):
            yield _Step(i, j, 1, len(way), probability, learned=False)
    for letters in range(1, min(_LONGEST, len(word) - i) + 1):
        for length in range(min(_LONGEST, len(signs) - j) + 1):
            piece = word[i : i + letters], signs[j : j + length]
            weight = likely.get(piece, _UNSEEN) if likely else _FIRST
            yield _Step(i, j, letters, length, weight * _FURTHER ** (letters - 1))
