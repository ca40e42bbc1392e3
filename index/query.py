"""Understanding a question without an LLM: its words, their synonyms and spellings, its versions.

A question becomes groups for the lexical leg. Each group is one thing it says, with the other ways
to say it: the team's synonyms, the name that a misspelt one must mean (contanierd → containerd), the
Latin name behind a katakana one (クバネティス → Kubernetes).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from index.english import in_japanese, is_function_word, names, stems
from index.errors import SettingsError
from index.lexical import GRAM_WEIGHT, Group, LexicalIndex, gram_keys, word_key
from index.normalize import fold, is_english
from index.transliteration import spelt_out
from index.words import Word, forms, is_stop_word
from index.words import words as analyse

_SYNONYM_WEIGHT = 0.9
_SPELLING_WEIGHT = 0.8
_INSTEAD_OF_GRAMS = 1.5
_NAME = re.compile(r"[a-z][a-z0-9._-]{3,}|[ァ-ヺー]{3,}")
_KATAKANA = re.compile(r"([ァ-ヺー]{3,})([0-9]*)")
_SURE = 0.8  # how alike katakana that is cut into known words must be to a name to be that name

# The words of one way to say a thing, all of them needed, and what a match is worth.
Alternative = tuple[tuple[str, ...], float]
Version = tuple[int, int]
_VERSION = re.compile(r"(?<![\d.])v?(\d{1,2})\.(\d{1,3})(?![\d%])")
_RANGE = re.compile(
    r"v?(\d{1,2})\.(\d{1,3})(?:\.\d+)?\s*(?P<mark>~|〜|～|-|–|—|から|以降|以後|以上|より後|\+|以前|以下|まで|未満)"
    r"(?:\s*v?(\d{1,2})\.(\d{1,3}))?"
)
_LATEST: Version = (9999, 0)


@dataclass(frozen=True)
class Query:
    """A question, understood. `groups` feed the lexical leg: the words first, then the n-grams.

    `words` are the content words' forms, in order, without repetition; `known` marks those that
    the index holds in some spelling. `values` says what each group is worth at most (its weight
    times its idf), the words' first.
    """

    text: str
    words: tuple[str, ...]
    known: tuple[bool, ...]
    groups: tuple[Group, ...]
    values: tuple[float, ...]
    versions: tuple[Version, ...] = ()
    spellings: dict[str, str] = field(default_factory=dict)

    @property
    def word_groups(self) -> tuple[Group, ...]:
        """The groups of the words."""
        return self.groups[: len(self.words)]

    @property
    def gram_groups(self) -> tuple[Group, ...]:
        """The groups of the character n-grams."""
        return self.groups[len(self.words) :]

    @property
    def best_words(self) -> float:
        """About the highest score that the words can give a passage; above 0."""
        return sum(self.values[: len(self.words)]) or 1.0

    @property
    def best_grams(self) -> float:
        """About the highest score that the n-grams can give a passage; above 0."""
        return sum(self.values[len(self.words) :]) or 1.0

    def unknown_share(self) -> float:
        """How much of what the question's words are worth no passage holds at all: 0…1."""
        values = self.values[: len(self.words)]
        lost = sum(value for value, known in zip(values, self.known, strict=True) if not known)
        return lost / (sum(values) or 1.0)

    @cached_property
    def word_keys(self) -> frozenset[int]:
        """Every word that the groups ask for."""
        return frozenset(key for group in self.word_groups for keys, _ in group for key in keys)

    @cached_property
    def keys(self) -> np.ndarray:
        """Every term that the groups ask for: uint64 (m,), ascending."""
        needed = {key for group in self.groups for keys, _ in group for key in keys}
        return np.array(sorted(needed), dtype=np.uint64)

    def present(self, keys: np.ndarray) -> np.ndarray:
        """Which of `self.keys` a text with these terms (uint64, ascending) holds: bool (m,)."""
        if not len(keys):
            return np.zeros(len(self.keys), dtype=bool)
        place = np.minimum(np.searchsorted(keys, self.keys), len(keys) - 1)
        found: np.ndarray = keys[place] == self.keys
        return found

    def present_in(self, keys: np.ndarray, owners: np.ndarray, count: int) -> np.ndarray:
        """The same for `count` texts at once: bool (count, m). `keys` are the terms of them all, in
        any order, and `owners`, int64, says in which text each stands."""
        found = np.zeros((count, len(self.keys)), dtype=bool)
        if len(self.keys):
            place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            asked = self.keys[place] == keys
            found[owners[asked], place[asked]] = True
        return found

    def coverage(self, present: np.ndarray, *, words_only: bool = False) -> np.ndarray:
        """How much of what the question is worth a text holds, 0…1, by what is `present` in it:
        bool (…, m), as many texts at once as there are rows, gives float64 (…)."""
        needs, needed, firsts = self._ways
        count, values, total = self._worth[words_only]
        if not count:
            return np.zeros(present.shape[:-1])
        met = present.astype(np.float32) @ needs >= needed
        held = np.logical_or.reduceat(met, firsts, axis=-1)
        covered: np.ndarray = held[..., :count] @ values / total
        return covered

    @cached_property
    def _worth(self) -> tuple[tuple[int, np.ndarray, float], tuple[int, np.ndarray, float]]:
        """How many groups count, their values and the sum of those: for all, and for the words."""
        every = np.array(self.values)
        words = every[: len(self.words)]
        return (
            (len(every), every, float(every.sum()) or 1.0),
            (len(words), words, float(words.sum()) or 1.0),
        )

    @cached_property
    def _ways(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which keys each way to say a thing needs, float32 (m, ways), 1 for those; how many that are,
        float32 (ways,); and the first way of each group, int64 (groups,)."""
        ways = [keys for group in self.groups for keys, _ in group]
        sizes = np.array([len(keys) for keys in ways], np.int64)
        flat = np.array([key for keys in ways for key in keys], np.uint64)
        needs = np.zeros((len(self.keys), len(ways)), np.float32)
        needs[np.searchsorted(self.keys, flat), np.repeat(np.arange(len(ways)), sizes)] = 1.0
        firsts = np.cumsum([0, *(len(group) for group in self.groups)])[:-1]
        return needs, needs.sum(axis=0), firsts


class Synonyms:
    """The team's vocabulary: sets of terms that mean the same, read from a TOML file."""

    def __init__(self, groups: Iterable[Sequence[str]] = ()) -> None:
        self._by_term: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for group in groups:
            terms = list(dict.fromkeys(tuple(_short_forms(term)) for term in group))
            for term in filter(None, terms):
                others = [other for other in terms if other and other != term]
                self._by_term.setdefault(term, []).extend(others)
        self._longest = max((len(term) for term in self._by_term), default=0)

    @classmethod
    def read(cls, path: Path) -> Synonyms:
        """Reads `[[synonyms]] terms = […]` tables. Raises SettingsError for a malformed file."""
        try:
            with path.open("rb") as file:
                tables = tomllib.load(file).get("synonyms", [])
            return cls([[str(term) for term in table["terms"]] for table in tables])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"同義語のファイル {path.name} を読めません: {error}",
                hint='[[synonyms]] の下に terms = ["語1", "語2"] の形で書いてください。',
            ) from None

    def find(self, words: Sequence[str]) -> list[tuple[int, int, list[tuple[str, ...]]]]:
        """(start, end, other terms) of the runs of `words` that have synonyms, longest first."""
        found = []
        start = 0
        while start < len(words):
            for length in range(min(self._longest, len(words) - start), 0, -1):
                term = tuple(words[start : start + length])
                if term in self._by_term:
                    found.append((start, start + length, self._by_term[term]))
                    start += length
                    break
            else:
                start += 1
        return found


def understand(text: str, lexical: LexicalIndex, synonyms: Synonyms) -> Query:
    """What `text` asks, in terms of what the index holds."""
    analysed = analyse(text)
    redundant = _redundant(analysed, lexical)
    english = _ordinary_english(text, analysed) if is_english(text) else {}
    words = [
        form
        for form in dict.fromkeys(forms(text))
        if not is_stop_word(form)
        and not (form in english and all(map(is_function_word, english[form].split())))
    ]
    # The letters of English words stand in Japanese texts by chance, those of their forms do not.
    spoken = " ".join(words) if english else text
    found = {} if english else {word.form: word.text for word in analysed}
    alternatives: list[list[Alternative]] = [[((word,), 1.0)] for word in words]
    covered = _add_synonyms(alternatives, words, synonyms)
    spellings = _add_names(alternatives, words, covered, fold(text), lexical)
    for place, word in enumerate(words):
        if word in redundant and place not in covered:
            alternatives[place] = []
        elif place in covered:
            continue
        elif word in english and (ways := _in_japanese(word, english[word], lexical)):
            alternatives[place] = ways
        elif lexical.holds(word_key(word)) or not _NAME.fullmatch(word):
            continue
        else:
            for name, alike in lexical.spellings.like(word):
                alternatives[place].append(((name,), _SPELLING_WEIGHT * alike))
                spellings.setdefault(word, name)
    replaced = [*spellings, *(words[place] for place in covered)]
    grams = _grams(spoken, [found.get(form, form) for form in replaced])
    groups = [_group(group) for group in alternatives if group]
    every = (*groups, *grams)
    return Query(
        text=text,
        words=tuple(w for w, group in zip(words, alternatives, strict=True) if group),
        known=tuple(bool(_held(lexical, group)) for group in groups),
        groups=every,
        values=tuple(_value(lexical, group) for group in every),
        versions=versions(text),
        spellings=spellings,
    )


def _ordinary_english(text: str, words: Sequence[Word]) -> dict[str, str]:
    """The forms of those words of an English question that are no names, and how they stood there."""
    named = names(text)
    return {
        word.form: word.text
        for word in words
        if word.text.replace(" ", "").isalpha() and named.isdisjoint(word.text.split())
    }


def _in_japanese(form: str, text: str, lexical: LexicalIndex) -> list[Alternative]:
    """The ways in which the passages say an English word: as it is or without its ending, and in
    Japanese."""
    ways = [(form,), *(tuple(forms(stem)) for stem in stems(text))]
    own = next((way for way in ways if _all_held(lexical, way)), None)
    said = [tuple(_short_forms(term)) for term in in_japanese(text)]
    found: list[Alternative] = [(own, 1.0)] if own else []
    return found + [(way, _SYNONYM_WEIGHT) for way in said if _all_held(lexical, way)]


def _all_held(lexical: LexicalIndex, way: Sequence[str]) -> bool:
    return bool(way) and all(lexical.holds(word_key(word)) for word in way)


def _redundant(words: Sequence[Word], lexical: LexicalIndex) -> set[str]:
    """Forms that would count the same thing twice: a long word that no passage holds, beside parts
    that some do; parts that none does, beside the others or beside the long word."""
    redundant: set[str] = set()
    for word in words:
        if word.parts:
            missing = [part for part in word.parts if not lexical.holds(word_key(part))]
            redundant.update(missing)
            if len(missing) < len(word.parts) and not lexical.holds(word_key(word.form)):
                redundant.add(word.form)
    return redundant


def _group(alternatives: Sequence[Alternative]) -> Group:
    """The keys of a word's alternatives. What can be said in several ways is not found by its
    characters, so the words have to carry their weight too."""
    boost = _INSTEAD_OF_GRAMS if len(alternatives) > 1 else 1.0
    return [
        (tuple(word_key(part) for part in parts), boost * weight) for parts, weight in alternatives
    ]


def _grams(text: str, replaced: Sequence[str]) -> list[Group]:
    """The n-grams of what is left of a question without the words that have alternatives."""
    rest = fold(text)
    for word in replaced:
        rest = rest.replace(word, " ", 1)
    return [[((key,), GRAM_WEIGHT)] for key in dict.fromkeys(gram_keys(rest).tolist())]


def _held(lexical: LexicalIndex, group: Group) -> list[tuple[tuple[int, ...], float]]:
    return [(keys, weight) for keys, weight in group if all(map(lexical.holds, keys))]


def _value(lexical: LexicalIndex, group: Group) -> float:
    """What a group is worth at most: its best alternative among those that the index holds, since
    a spelling that nobody uses would be as rare, and as dear, as can be."""
    return max(w * lexical.worth(keys) for keys, w in _held(lexical, group) or group)


def versions(text: str) -> tuple[Version, ...]:
    """The version numbers (major, minor) that a text names."""
    return tuple(dict.fromkeys((int(a), int(b)) for a, b in _VERSION.findall(fold(text))))


def version_ranges(text: str) -> list[tuple[Version, Version]]:
    """The version ranges that a text names, both ends included: `v1.5 ~ v1.23`, `1.24以降`."""
    ranges = []
    for match in _RANGE.finditer(fold(text)):
        first = int(match[1]), int(match[2])
        if match[4]:
            ranges.append((first, (int(match[4]), int(match[5]))))
        elif match["mark"] in ("以前", "以下", "まで", "未満"):
            ranges.append(((0, 0), first))
        elif match["mark"] not in ("-", "–", "—"):
            ranges.append((first, _LATEST))
    return ranges


def version_match(asked: Sequence[Version], heading: str, text: str) -> float:
    """1 where a range in the heading holds a version asked for, −1 where all of them miss it; half
    of that for ranges in the text; 0 where nothing can be said."""
    if not asked:
        return 0.0
    for place, weight in ((heading, 1.0), (text, 0.5)):
        ranges = version_ranges(place)
        if ranges:
            inside = any(low <= version <= high for version in asked for low, high in ranges)
            return weight if inside else -weight
    return 0.0


def _add_synonyms(
    alternatives: list[list[Alternative]], words: list[str], synonyms: Synonyms
) -> set[int]:
    """Joins the words of each known term into one group and adds the other terms to it."""
    covered: set[int] = set()
    for start, end, others in synonyms.find(words):
        if end - start > 1:
            alternatives[start] = [(tuple(words[start:end]), 1.0)]
            for place in range(start + 1, end):
                alternatives[place] = []
        alternatives[start].extend((other, _SYNONYM_WEIGHT) for other in others)
        covered.update(range(start, end))
    return covered


def _add_names(
    alternatives: list[list[Alternative]],
    words: list[str],
    covered: set[int],
    folded: str,
    lexical: LexicalIndex,
) -> dict[str, str]:
    """Adds the Latin names that katakana of a question, which no passage holds, is a way to say; those words
    of it that SudachiPy cut out of one name are joined. Gives the likeliest name of each."""
    spellings: dict[str, str] = {}
    for match in _KATAKANA.finditer(folded):
        katakana, number = match.groups()
        pieces = [form for form in dict.fromkeys(forms(katakana)) if form in words]
        places = [words.index(piece) for piece in pieces]
        # What the passages hold all parts of costs no look for a name.
        known = all(lexical.holds(word_key(piece)) for piece in pieces)
        if known or lexical.holds(word_key(katakana)) or not covered.isdisjoint(places):
            continue
        least = _SURE if len(pieces) > 1 else 0.0
        names = [
            (name, alike) for name, alike in _said_like(katakana, number, lexical) if alike >= least
        ]
        if names:
            alternatives[places[0]] = [(tuple(pieces), 1.0)]
            alternatives[places[0]] += [
                ((name,), _SPELLING_WEIGHT * alike) for name, alike in names
            ]
            for place in places[1:]:
                alternatives[place] = []
            covered.update(places)
            spellings[katakana] = names[0][0]
    return spellings


def _said_like(katakana: str, number: str, lexical: LexicalIndex) -> list[tuple[str, float]]:
    """The names that katakana, with the number behind it, may stand for, each with how alike they are."""
    letters = spelt_out(katakana)
    for name in (letters + number, letters):
        if letters and lexical.holds(word_key(name)):
            return [(name, 1.0)]
    return lexical.spellings.like(katakana)


def _short_forms(term: str) -> list[str]:
    return [form for form in forms(term) if not is_stop_word(form)]
