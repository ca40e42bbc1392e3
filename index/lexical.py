"""The lexical leg: BM25 over Japanese words and character n-grams.

BM25 scores are computed when the index is built (Lù 2024, "BM25S", arXiv 2407.03618) and lie in
memory-mapped arrays, one run of (chunk, score) pairs a term, so that a query only adds up runs.

A term is a 64-bit key: a word is hashed, a character n-gram *is* its code points. Words come from
SudachiPy; n-grams find what SudachiPy cut otherwise, and parts of misspelt names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from index.normalize import fold
from index.words import forms, inner_names, tokenizer_version

ANALYZER = "words+char1-2/4"
# The BM25 of Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework", section 3.5; k1, b and
# the weights below were tuned on JaQuAD-train, see docs/retrieval.md.
K1 = 0.9
B = 0.4
CONTEXT_WEIGHT = 1.0
GRAM_WEIGHT = 0.5

_NAME = re.compile(r"[a-z][a-z0-9._-]{3,}|[ァ-ヺー]{3,}")
WORD = np.uint64(0)
_BIGRAM = np.uint64(1 << 62)
_UNIGRAM = np.uint64(2 << 62)
TAG_SHIFT = np.uint64(62)
_BEYOND = 0x3FFFF  # no letter has a code point as high as this, and itself is none
_CODE_POINT_BITS = np.uint64(21)
_HIRAGANA = np.uint64(0x3041), np.uint64(0x309F)
NAMES_FILE = "lexical.names.txt"
FILES = ("keys", "bounds", "chunks", "scores", "idf")


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a text: distinct `keys` uint64 (n,), ascending, and `counts` float32 (n,).

    `names` are its Latin and katakana words of four letters or more: what people misspell.
    """

    keys: np.ndarray
    counts: np.ndarray
    names: tuple[str, ...] = ()


def analyzer_version() -> str:
    """Names everything that decides which terms a text has; an index is bound to it."""
    return f"{ANALYZER} {tokenizer_version()}"


def terms(text: str) -> Terms:
    """The words and character n-grams of a text of the corpus."""
    return with_grams(word_terms(text), text)


def word_terms(text: str) -> Terms:
    """The words of a text alone: what SudachiPy takes its time for."""
    found = [*forms(text), *inner_names(text)]
    keys, counts = np.unique(
        np.array([word_key(form) for form in found], dtype=np.uint64), return_counts=True
    )
    names = tuple(sorted({form for form in found if _NAME.fullmatch(form)}))
    return Terms(keys, counts.astype(np.float32), names)


def with_grams(words: Terms, text: str) -> Terms:
    """The words of a text together with its character n-grams; words come first, as keys do."""
    keys, counts = np.unique(gram_keys(text), return_counts=True)
    return Terms(
        np.concatenate([words.keys, keys]),
        np.concatenate([words.counts, counts.astype(np.float32)]),
        words.names,
    )


@lru_cache(maxsize=200_000)
def word_key(form: str) -> int:
    """The key of a word: 62 bits of BLAKE2b."""
    return int.from_bytes(blake2b(form.encode(), digest_size=8).digest(), "little") >> 2


def gram_keys(text: str) -> np.ndarray:
    """Keys of the characters and pairs of neighbouring characters that are letters or digits.

    What is hiragana alone is left out: it is mostly grammar, and leaving it out moves Recall@1 on
    JaQuAD-train by less than 0.002 while it was half of the longest runs.
    """
    points = np.frombuffer(fold(text).encode("utf-32-le", "surrogatepass"), np.uint32)
    letter = _letters()[np.minimum(points, _BEYOND)]
    points = points.astype(np.uint64)
    telling = letter & ~((points >= _HIRAGANA[0]) & (points <= _HIRAGANA[1]))
    pairs = _BIGRAM | (points[:-1] << _CODE_POINT_BITS) | points[1:]
    kept = letter[:-1] & letter[1:] & (telling[:-1] | telling[1:])
    return np.concatenate([_UNIGRAM | points[telling], pairs[kept]])


@cache
def _letters() -> np.ndarray:
    """Which code points are letters or digits: bool (_BEYOND + 1,)."""
    return np.fromiter((chr(point).isalnum() for point in range(_BEYOND + 1)), bool, _BEYOND + 1)


# One thing that a question says, as alternatives: the keys that must all be there, and a weight.
Group = Sequence[tuple[tuple[int, ...], float]]


class LexicalIndex:
    """BM25 runs of all chunks, written by `LexicalWriter` and read by `open`."""

    def __init__(self, arrays: dict[str, np.ndarray], rows: int, names: Sequence[str]) -> None:
        self._keys = arrays["keys"]
        self._bounds = arrays["bounds"]
        self._chunks = arrays["chunks"]
        self._scores = arrays["scores"]
        self._idf = arrays["idf"]
        self._rows = rows
        self.names = names

    @classmethod
    def build(cls, bodies: Sequence[Terms], contexts: Sequence[Terms]) -> LexicalIndex:
        """An index over a few chunks that lives as long as it is used; see `LexicalWriter`."""
        from index.lexical_writer import LexicalWriter

        with TemporaryDirectory() as folder:
            writer = LexicalWriter(Path(folder))
            for body, context in zip(bodies, contexts, strict=True):
                writer.add(body, context)
            writer.finish()
            return cls.open(Path(folder), len(bodies))

    @classmethod
    def open(cls, folder: Path, rows: int) -> LexicalIndex:
        """Maps the arrays in `folder` into memory."""
        arrays = {name: np.load(folder / f"lexical.{name}.npy", mmap_mode="r") for name in FILES}
        names = (folder / NAMES_FILE).read_text(encoding="utf-8").split("\n")
        return cls(arrays, rows, names)

    def run(self, key: int) -> tuple[np.ndarray, np.ndarray]:
        """The chunks that hold a term, int32 (n,) ascending, and their scores float32 (n,)."""
        place = int(np.searchsorted(self._keys, np.uint64(key)))
        if place == len(self._keys) or self._keys[place] != key:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        start, end = self._bounds[place : place + 2]
        return self._chunks[start:end], self._scores[start:end]

    def idf(self, key: int) -> float:
        """How rare a term is; a term that no chunk holds is as rare as can be."""
        place = int(np.searchsorted(self._keys, np.uint64(key)))
        if place < len(self._keys) and self._keys[place] == key:
            return float(self._idf[place])
        return float(np.log(1 + (self._rows + 0.5) / 0.5))

    def holds(self, key: int) -> bool:
        """Whether any chunk holds the term."""
        return len(self.run(key)[0]) > 0

    def score(self, groups: Iterable[Group]) -> np.ndarray:
        """Scores of all chunks, float32 (rows,), 0 where nothing matches.

        A chunk gets, summed over the groups, the best alternative of which it holds every key.
        """
        total = np.zeros(self._rows, dtype=np.float32)
        for group in groups:
            if len(group) == 1:
                keys, weight = group[0]
                chunks, scores = self._conjunction(keys)
                total[chunks] += weight * scores
                continue
            best = np.zeros(self._rows, dtype=np.float32)
            for keys, weight in group:
                chunks, scores = self._conjunction(keys)
                best[chunks] = np.maximum(best[chunks], weight * scores)
            total += best
        return total

    def worth(self, keys: Sequence[int]) -> float:
        """The idf of one way to say a thing. Several words that must all be there are worth more
        than one, but less than as many things: their sum over the root of their number."""
        return sum(self.idf(key) for key in keys) / sqrt(len(keys))

    def _conjunction(self, keys: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        chunks, scores = self.run(keys[0])
        for key in keys[1:]:
            others, more = self.run(key)
            chunks, left, right = np.intersect1d(
                chunks, others, assume_unique=True, return_indices=True
            )
            scores = scores[left] + more[right]
        return chunks, scores / sqrt(len(keys)) if len(keys) > 1 else scores
