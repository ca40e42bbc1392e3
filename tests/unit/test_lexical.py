from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import lexical
from index.lexical import CONTEXT_WEIGHT, Group, LexicalIndex, analyzer_version, gram_keys, terms
from index.lexical import word_key as key
from index.lexical_writer import LexicalWriter
from index.normalize import fold
from index.words import forms, inner_names

TEXTS = (
    "containerdはCRIに準拠したコンテナランタイムである。",
    "Dockerはdockershimを介して呼ばれていた。",
    "CentOS Linux 7のサポートは2024年6月30日に終わった。",
    "chrootは1979年に生まれた。chrootはルートを変える。",
    "",
    "🙂",
)
CONTEXTS = ("containerd", "Docker › 歴史", "CentOS", "chroot", "空", "")

VOCABULARY = [
    "コンテナ",
    "Docker",
    "は",
    "1.24",
    "東京都",
    "kube-apiserver",
    "、",
    "動く",
    "\n",
    "ＯＣＩ",
]
SMALL_TEXTS = st.lists(st.sampled_from(VOCABULARY), max_size=12).map("".join)


HIRAGANA = re.compile("[ぁ-ゟ]+").fullmatch


class DictionaryBM25:
    """BM25 as the formula has it, over dictionaries: slow, and written without looking at the
    index. Words and n-grams each have lengths of their own; a term of the context counts for
    CONTEXT_WEIGHT terms of the text."""

    def __init__(self, texts: Sequence[str], contexts: Sequence[str]) -> None:
        self.kinds = ("word", "gram")
        self.counts = []
        for text, context in zip(texts, contexts, strict=True):
            both = Counter(dict.fromkeys(self.terms_of(text) + self.terms_of(context), 0.0))
            for term in self.terms_of(text):
                both[term] += 1
            for term in self.terms_of(context):
                both[term] += CONTEXT_WEIGHT
            self.counts.append(both)
        self.mean = {
            kind: sum(self.length(counts, kind) for counts in self.counts) / len(self.counts) or 1.0
            for kind in self.kinds
        }

    @staticmethod
    def terms_of(text: str) -> list[tuple[str, str]]:
        found = [("word", form) for form in (*forms(text), *inner_names(text))]
        letters = fold(text)
        grams = [*letters, *map("".join, pairwise(letters))]
        tell = [gram for gram in grams if all(map(str.isalnum, gram)) and not HIRAGANA(gram)]
        return found + [("gram", gram) for gram in tell]

    @staticmethod
    def length(counts: Counter[tuple[str, str]], kind: str) -> float:
        return sum(count for term, count in counts.items() if term[0] == kind)

    def idf(self, term: tuple[str, str]) -> float:
        frequency = sum(term in counts for counts in self.counts)
        return math.log(1 + (len(self.counts) - frequency + 0.5) / (frequency + 0.5))

    def score(self, term: tuple[str, str], place: int) -> float:
        counts = self.counts[place]
        if term not in counts:
            return 0.0
        k1, b = lexical.K1, lexical.B
        relative = self.length(counts, term[0]) / self.mean[term[0]]
        count = counts[term]
        return self.idf(term) * count * (k1 + 1) / (count + k1 * (1 - b + b * relative))


def index_of(texts: Sequence[str], contexts: Sequence[str]) -> LexicalIndex:
    return LexicalIndex.build([terms(text) for text in texts], [terms(c) for c in contexts])


def numbered(term: tuple[str, str]) -> int:
    """The key of a term of the dictionary's."""
    kind, text = term
    return key(text) if kind == "word" else int(gram_keys(text)[-1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SMALL_TEXTS, SMALL_TEXTS), min_size=1, max_size=6), SMALL_TEXTS)
def test_scores_are_those_of_the_formula(rows: list[tuple[str, str]], query: str) -> None:
    texts, contexts = [text for text, _ in rows], [context for _, context in rows]
    index, oracle = index_of(texts, contexts), DictionaryBM25(texts, contexts)
    for term in DictionaryBM25.terms_of(query):
        found = index.score([[((numbered(term),), 1.0)]])
        expected = [oracle.score(term, place) for place in range(len(rows))]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        assert index.idf(numbered(term)) == pytest.approx(oracle.idf(term), rel=1e-5)


def test_a_case_counted_by_hand() -> None:
    """Three texts of one kanji each: no word but the kanji, one gram. Every length is the mean, so
    a term that stands once scores idf × (k1 + 1) / (1 + k1) = idf."""
    index = index_of(["犬", "猫", "猫"], ["", "", ""])
    dog, cat = math.log(1 + 2.5 / 1.5), math.log(1 + 1.5 / 2.5)
    np.testing.assert_allclose(index.score([[((key("犬"),), 1.0)]]), [dog, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(
        index.score([[((key("猫"),), 2.0)]]), [0, 2 * cat, 2 * cat], rtol=1e-6
    )
    assert index.idf(key("鳥")) == pytest.approx(math.log(1 + 3.5 / 0.5))
    assert not index.holds(key("鳥"))


def test_groups_add_up_and_the_best_alternative_counts() -> None:
    index = index_of(TEXTS, CONTEXTS)
    docker, shim, chroot = key("docker"), key("dockershim"), key("chroot")

    def score(*groups: Group) -> np.ndarray:
        return index.score(groups)

    one, other, third = ([((k,), 1.0)] for k in (docker, shim, chroot))
    np.testing.assert_allclose(score(one, third), score(one) + score(third))
    either: Group = [((docker,), 1.0), ((shim,), 0.9)]
    np.testing.assert_allclose(score(either), np.maximum(score(one), 0.9 * score(other)))
    both: Group = [((docker, shim), 1.0)]
    held = (score(one) > 0) & (score(other) > 0)
    joined = (score(one) + score(other)) / math.sqrt(2)
    np.testing.assert_allclose(score(both), np.where(held, joined, 0), rtol=1e-6)
    assert held.any()
    assert not score([((docker, chroot), 1.0)]).any()


def test_no_group_and_no_match_score_nothing() -> None:
    index = index_of(TEXTS, CONTEXTS)
    assert not index.score([]).any()
    assert not index.score([[((key("存在しない語"),), 1.0)]]).any()
    assert index.run(key("存在しない語"))[0].size == 0


def test_an_index_of_nothing_answers() -> None:
    index = index_of([], [])
    assert index.score([[((key("犬"),), 1.0)]]).shape == (0,)
    blank = index_of([""], [""])
    assert blank.score([[((key("犬"),), 1.0)]]).tolist() == [0.0]


@pytest.mark.parametrize("run", [1, 7, 50, 4_000_000])
def test_merged_runs_are_one_index(tmp_path: Path, run: int) -> None:
    index = index_of(TEXTS, CONTEXTS)
    writer = LexicalWriter(tmp_path, run=run)
    for text, context in zip(TEXTS, CONTEXTS, strict=True):
        writer.add(terms(text), terms(context))
    writer.finish()
    opened = LexicalIndex.open(tmp_path, len(TEXTS))
    groups: list[Group] = [[((term,), 1.0)] for term in terms("".join(TEXTS)).keys.tolist()]
    np.testing.assert_array_equal(opened.score(groups), index.score(groups))
    for group in groups:
        np.testing.assert_array_equal(opened.score([group]), index.score([group]))
    assert list(opened.names) == list(index.names)
    assert {"dockershim", "containerd", "ランタイム"} <= set(opened.names)


def test_title_and_headings_count() -> None:
    index = index_of(["本文。", "本文。"], ["Docker", "他"])
    scores = index.score([[((key("docker"),), 1.0)]])
    assert scores[0] > 0
    assert scores[1] == 0


def test_n_grams_never_reach_over_a_blank_or_a_mark() -> None:
    def found(text: str) -> set[int]:
        return set(gram_keys(text).tolist())

    assert found("犬。猫") == found("犬 \n猫") == found("犬") | found("猫")
    assert len(found("犬猫")) == 3
    assert found("ＡＢ") == found("ab")
    assert gram_keys("").size == gram_keys("。！").size == 0


def test_keys_of_words_and_n_grams_never_meet() -> None:
    word_keys = {key(form) for text in TEXTS for form in forms(text)}
    assert not word_keys & {int(gram) for text in TEXTS for gram in gram_keys(text)}
    assert all(0 <= word < 1 << 62 for word in word_keys)


def test_the_version_names_the_tokenizer() -> None:
    assert analyzer_version().startswith(lexical.ANALYZER)
