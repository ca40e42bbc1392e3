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
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np

from index.normalize import fold
from index.words import forms, tokenizer_version

ANALYZER = "words+char1-2/1"
# The BM25 of Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework", section 3.5; k1, b and
# the weights below were tuned on JaQuAD-train, see docs/retrieval.md.
_K1 = 0.9
_B = 0.4
CONTEXT_WEIGHT = 1.0
GRAM_WEIGHT = 0.5

_NAME = re.compile(r"[a-z][a-z0-9._-]{3,}|[ァ-ヺー]{3,}")
_WORD = np.uint64(0)
_BIGRAM = np.uint64(1 << 62)
_UNIGRAM = np.uint64(2 << 62)
_TAG_SHIFT = np.uint64(62)
_CODE_POINT_BITS = np.uint64(21)
_NAMES = "lexical.names.txt"
_FILES = ("keys", "bounds", "chunks", "scores", "idf")


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
    """The words and character n-grams of a text."""
    found = forms(text)
    word_keys = np.array([word_key(form) for form in found], dtype=np.uint64)
    keys, counts = np.unique(np.concatenate([word_keys, gram_keys(text)]), return_counts=True)
    names = tuple(sorted({form for form in found if _NAME.fullmatch(form)}))
    return Terms(keys, counts.astype(np.float32), names)


@lru_cache(maxsize=200_000)
def word_key(form: str) -> int:
    """The key of a word: 62 bits of BLAKE2b."""
    return int.from_bytes(blake2b(form.encode(), digest_size=8).digest(), "little") >> 2


def gram_keys(text: str) -> np.ndarray:
    """Keys of the characters and pairs of neighbouring characters that are letters or digits."""
    letters = [c if c.isalnum() else " " for c in fold(text)]
    points = np.array([ord(c) for c in letters], dtype=np.uint64)
    if not len(points):
        return points
    space = points == ord(" ")
    pairs = _BIGRAM | (points[:-1] << _CODE_POINT_BITS) | points[1:]
    return np.concatenate([_UNIGRAM | points[~space], pairs[~(space[:-1] | space[1:])]])


# One thing that a question says, as alternatives: the keys that must all be there, and a weight.
Group = Sequence[tuple[tuple[int, ...], float]]


class LexicalIndex:
    """BM25 runs of all chunks, built by `build`, written by `save` and read by `open`."""

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
        """Scores the terms of each chunk: of its text, and of its title and headings (`contexts`)."""
        merged = [_weighted(body, context) for body, context in zip(bodies, contexts, strict=True)]
        rows = len(merged)
        lengths = np.array([len(terms.keys) for terms in merged], dtype=np.int64)
        keys = np.concatenate([np.empty(0, np.uint64), *(terms.keys for terms in merged)])
        counts = np.concatenate([np.empty(0, np.float32), *(terms.counts for terms in merged)])
        chunks = np.repeat(np.arange(rows, dtype=np.int32), lengths)
        order = np.argsort(keys, kind="stable")
        keys, counts, chunks = keys[order], counts[order], chunks[order]
        vocabulary, first = np.unique(keys, return_index=True)
        bounds = np.append(first, len(keys)).astype(np.int64)
        frequency = np.diff(bounds)
        idf = np.log(1 + (rows - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
        scores = counts
        for tags in ((_WORD,), (_BIGRAM, _UNIGRAM)):
            kind = np.isin(keys >> _TAG_SHIFT, [tag >> _TAG_SHIFT for tag in tags])
            scores[kind] = _saturate(counts[kind], chunks[kind], rows)
        scores *= np.repeat(idf, frequency)
        arrays = {
            "keys": vocabulary, "bounds": bounds, "chunks": chunks, "scores": scores, "idf": idf,
        }  # fmt: skip
        names = sorted({name for terms in (*bodies, *contexts) for name in terms.names})
        return cls(arrays, rows, names)

    @classmethod
    def open(cls, folder: Path, rows: int) -> LexicalIndex:
        """Maps the arrays in `folder` into memory."""
        arrays = {name: np.load(folder / f"lexical.{name}.npy", mmap_mode="r") for name in _FILES}
        names = (folder / _NAMES).read_text(encoding="utf-8").split("\n")
        return cls(arrays, rows, names)

    def save(self, folder: Path) -> None:
        """Writes five `.npy` files and the list of names into `folder`."""
        (folder / _NAMES).write_text("\n".join(self.names), encoding="utf-8")
        arrays = (self._keys, self._bounds, self._chunks, self._scores, self._idf)
        for name, array in zip(_FILES, arrays, strict=True):
            np.save(folder / f"lexical.{name}.npy", array)

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

    def _conjunction(self, keys: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        chunks, scores = self.run(keys[0])
        for key in keys[1:]:
            others, more = self.run(key)
            chunks, left, right = np.intersect1d(
                chunks, others, assume_unique=True, return_indices=True
            )
            scores = scores[left] + more[right]
        return chunks, scores


def _weighted(body: Terms, context: Terms) -> Terms:
    keys, place = np.unique(np.concatenate([body.keys, context.keys]), return_inverse=True)
    counts = np.zeros(len(keys), dtype=np.float32)
    weighted = np.concatenate([body.counts, CONTEXT_WEIGHT * context.counts])
    np.add.at(counts, place, weighted)
    return Terms(keys, counts)


def _saturate(counts: np.ndarray, chunks: np.ndarray, rows: int) -> np.ndarray:
    """BM25's term frequency part, against the mean length of the chunks in the same kind of term."""
    lengths = np.bincount(chunks, weights=counts, minlength=rows)
    mean = lengths.sum() / max(1, rows) or 1.0
    norm = _K1 * (1 - _B + _B * lengths / mean)
    saturated: np.ndarray = counts * (_K1 + 1) / (counts + norm[chunks])
    return saturated.astype(np.float32)
