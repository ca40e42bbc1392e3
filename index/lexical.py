"""The lexical leg: BM25 over Japanese words and character n-grams.

BM25 scores are computed when the index is built (Lù 2024, "BM25S", arXiv 2407.03618) and lie in
memory-mapped arrays, one run of (chunk, score) pairs a term, so that a query only adds up runs.
A run lies in pieces, one a collection: who may see some of them gets scores of those alone.

A term is a 64-bit key: a word is hashed, a character n-gram *is* its code points. Words come from
SudachiPy; n-grams find what SudachiPy cut otherwise, and parts of misspelt names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from hashlib import blake2b
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from index.normalize import fold
from index.spelling import Names
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
NAMES_FILE = "lexical.names.json"
_KNOWN_PLACES = 20_000  # terms
# Of each piece of a run: its term, its collection, where it ends, the term's idf. Of each posting:
# chunk, score and count. Of each chunk its lengths, of each collection what `Statistics` sums up.
FILES = ("keys", "owners", "bounds", "idf", "chunks", "scores", "counts", "lengths", "totals")


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
    keys, counts = np.unique(_word_keys(found), return_counts=True)
    names = tuple(sorted({form for form in found if _NAME.fullmatch(form)}))
    return Terms(keys, counts.astype(np.float32), names)


def joined(lines: Sequence[Terms]) -> Terms:
    """The words of several lines as those of one text."""
    every = np.concatenate([np.empty(0, np.uint64), *(line.keys for line in lines)])
    counts = np.concatenate([np.empty(0, np.float32), *(line.counts for line in lines)])
    keys, place = np.unique(every, return_inverse=True)
    names = tuple(sorted({name for line in lines for name in line.names}))
    return Terms(keys, np.bincount(place, counts, len(keys)).astype(np.float32), names)


def with_grams(words: Terms, text: str) -> Terms:
    """The words of a text together with its character n-grams; words come first, as keys do."""
    keys, counts = np.unique(gram_keys(text), return_counts=True)
    return Terms(
        np.concatenate([words.keys, keys]),
        np.concatenate([words.counts, counts.astype(np.float32)]),
        words.names,
    )


def _word_keys(found: list[str]) -> np.ndarray:
    return np.array([word_key(form) for form in found], dtype=np.uint64)


@lru_cache(maxsize=200_000)
def word_key(form: str) -> int:
    """The key of a word: 62 bits of BLAKE2b."""
    return int.from_bytes(blake2b(form.encode(), digest_size=8).digest(), "little") >> 2


def gram_keys(text: str) -> np.ndarray:
    """Keys of the characters and pairs of neighbouring characters that are letters or digits.

    What is hiragana alone is left out: it is mostly grammar, and leaving it out moves Recall@1 on
    JaQuAD-train by less than 0.002 while it was half of the longest runs.
    """
    return gram_keys_of([fold(text)])[0]


def gram_keys_of(folded: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The same for several folded texts at once, and the number of the text that each key stands
    in, int64 (n,)."""
    points = np.frombuffer("\n".join(folded).encode("utf-32-le", "surrogatepass"), np.uint32)
    owners = np.repeat(np.arange(len(folded)), [len(text) + 1 for text in folded])[: len(points)]
    letter = _letters()[np.minimum(points, _BEYOND)]
    points = points.astype(np.uint64)
    telling = letter & ~((points >= _HIRAGANA[0]) & (points <= _HIRAGANA[1]))
    pairs = _BIGRAM | (points[:-1] << _CODE_POINT_BITS) | points[1:]
    kept = letter[:-1] & letter[1:] & (telling[:-1] | telling[1:])
    keys = np.concatenate([_UNIGRAM | points[telling], pairs[kept]])
    return keys, np.concatenate([owners[telling], owners[:-1][kept]])


@cache
def _letters() -> np.ndarray:
    """Which code points are letters or digits: bool (_BEYOND + 1,)."""
    return np.fromiter((chr(point).isalnum() for point in range(_BEYOND + 1)), bool, _BEYOND + 1)


def kind_of(keys: np.ndarray) -> np.ndarray:
    """0 for words and 1 for n-grams: int8 (n,)."""
    kind: np.ndarray = (keys >> TAG_SHIFT != WORD).astype(np.int8)
    return kind


# One thing that a question says, as alternatives: the keys that must all be there, and a weight.
Group = Sequence[tuple[tuple[int, ...], float]]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What BM25 has to know of all chunks: how many there are, and their mean length in words and
    in n-grams, float64 (2,)."""

    rows: int
    mean: np.ndarray

    @classmethod
    def of(cls, totals: np.ndarray) -> Statistics:
        """`totals` are float64 (collections, 3): chunks, words and n-grams of each. They are whole
        numbers, so that their sum does not depend on their order."""
        rows, *lengths = totals.sum(axis=0).tolist()
        return cls(int(rows), np.array(lengths) / max(1, rows))

    @property
    def rarest(self) -> float:
        """The idf of a term that no chunk holds."""
        return float(np.log(1 + (self.rows + 0.5) / 0.5))

    def idf(self, frequency: np.ndarray) -> np.ndarray:
        """The idf of terms that so many chunks hold, float32."""
        rare = (self.rows - frequency + 0.5) / (frequency + 0.5)
        idf: np.ndarray = np.log(1 + rare).astype(np.float32)
        return idf

    def saturated(self, counts: np.ndarray, lengths: np.ndarray, kind: np.ndarray) -> np.ndarray:
        """What counts float32 (n,) are worth before the idf, float32 (n,). `lengths` float64 (n,)
        are those of their chunks in words or in n-grams, as `kind` (n,) or (1,) says."""
        mean = np.where(self.mean > 0, self.mean, 1.0)[kind]
        norm = K1 * (1 - B + B * lengths / mean)
        worth: np.ndarray = (counts * (K1 + 1) / (counts + norm)).astype(np.float32)
        return worth


class LexicalIndex:
    """BM25 runs of all chunks, written by `LexicalWriter` and read by `open`."""

    def __init__(
        self, arrays: dict[str, np.ndarray], rows: int, names: Sequence[Sequence[str]]
    ) -> None:
        """`names` are those of each collection, ascending."""
        self._arrays = arrays
        self._keys = arrays["keys"]
        self._bounds = arrays["bounds"]
        self._rows = rows
        self._places: dict[int, tuple[int, int]] = {}
        self._names = names
        self.statistics = Statistics.of(arrays["totals"])
        self.names = names[0] if len(names) == 1 else sorted(set().union(*names))

    @classmethod
    def build(
        cls,
        bodies: Sequence[Terms],
        contexts: Sequence[Terms],
        collections: Sequence[int] | None = None,
    ) -> LexicalIndex:
        """An index over a few chunks that lives as long as it is used; see `LexicalWriter`."""
        from index.lexical_writer import LexicalWriter

        with TemporaryDirectory() as folder:
            writer = LexicalWriter(Path(folder))
            for body, context in zip(bodies, contexts, strict=True):
                writer.add(body, context)
            writer.finish(None if collections is None else np.array(collections, np.int16))
            return cls.open(Path(folder), len(bodies))

    @classmethod
    def open(cls, folder: Path, rows: int) -> LexicalIndex:
        """Maps the arrays in `folder` into memory."""
        arrays = {
            # plain arrays: a memmap asks at each slice whether it still is one
            name: np.asarray(np.load(folder / f"lexical.{name}.npy", mmap_mode="r"))
            for name in FILES
        }
        return cls(arrays, rows, json.loads((folder / NAMES_FILE).read_text(encoding="utf-8")))

    def within(self, collections: Collection[int]) -> LexicalIndex:
        """The chunks of some collections, by their numbers, alone. What it scores, holds and names
        is what an index of nothing else would, and takes no longer for what the others hold."""
        return _Part(self._arrays, self._rows, self._names, collections)

    @cached_property
    def spellings(self) -> Names:
        """Its names, to be found by another spelling; made when first asked for."""
        return Names(self.names)

    def run(self, key: int) -> tuple[np.ndarray, np.ndarray]:
        """The chunks that hold a term, int32 (n,), each once, and their scores float32 (n,)."""
        first, last = self._pieces(key)
        start, end = self._bounds[first], self._bounds[last]
        return self._arrays["chunks"][start:end], self._arrays["scores"][start:end]

    def idf(self, key: int) -> float:
        """How rare a term is; a term that no chunk holds is as rare as can be."""
        first, last = self._pieces(key)
        return float(self._arrays["idf"][first]) if first < last else self.statistics.rarest

    def holds(self, key: int) -> bool:
        """Whether any chunk holds the term."""
        first, last = self._pieces(key)
        return first < last

    def score(self, groups: Iterable[Group]) -> np.ndarray:
        """Scores of all chunks, float32 (rows,), 0 where nothing matches.

        A chunk gets, summed over the groups, the best alternative of which it holds every key.
        """
        total = np.zeros(self._rows, dtype=np.float32)
        for group in groups:
            if len(group) == 1:
                keys, weight = group[0]
                chunks, scores = self._conjunction(keys)
                # a third of the time of `total[chunks] +=`: no copy of what is there
                np.add.at(total, chunks, np.float32(weight) * scores)
                continue
            best = np.zeros(self._rows, dtype=np.float32)
            for keys, weight in group:
                chunks, scores = self._conjunction(keys)
                np.maximum.at(best, chunks, np.float32(weight) * scores)
            total += best
        return total

    def worth(self, keys: Sequence[int]) -> float:
        """The idf of one way to say a thing. Several words that must all be there are worth more
        than one, but less than as many things: their sum over the root of their number."""
        return sum(self.idf(key) for key in keys) / sqrt(len(keys))

    def _pieces(self, key: int) -> tuple[int, int]:
        """Where the pieces of a term's run begin and end: a question asks some five times for each of
        its terms."""
        found = self._places.get(key)
        if found is None:
            first, last = np.searchsorted(self._keys, np.array([key, key + 1], np.uint64)).tolist()
            if len(self._places) >= _KNOWN_PLACES:
                self._places.clear()
            found = self._places[key] = (first, last)
        return found

    def _conjunction(self, keys: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        chunks, scores = self.run(keys[0])
        for key in keys[1:]:
            others, more = self.run(key)
            chunks, left, right = np.intersect1d(
                chunks, others, assume_unique=True, return_indices=True
            )
            scores = scores[left] + more[right]
        return chunks, scores / sqrt(len(keys)) if len(keys) > 1 else scores


class _Part(LexicalIndex):
    """Some collections of an index: its scores are computed when asked for, from their own counts."""

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        rows: int,
        names: Sequence[Sequence[str]],
        collections: Collection[int],
    ) -> None:
        self._own = frozenset(collections)
        super().__init__(arrays, rows, [names[number] for number in sorted(self._own)])
        self.statistics = Statistics.of(arrays["totals"][sorted(self._own)])

    def run(self, key: int) -> tuple[np.ndarray, np.ndarray]:
        spans = self._spans(key)
        if not spans:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        chunks = np.concatenate([self._arrays["chunks"][start:end] for start, end in spans])
        counts = np.concatenate([self._arrays["counts"][start:end] for start, end in spans])
        kind = kind_of(np.array([key], np.uint64))
        lengths = self._arrays["lengths"][chunks, kind]
        scores = self.statistics.saturated(counts.astype(np.float32), lengths, kind)
        return chunks, scores * self.statistics.idf(np.array([len(chunks)]))

    def idf(self, key: int) -> float:
        frequency = sum(end - start for start, end in self._spans(key))
        return (
            float(self.statistics.idf(np.array([frequency]))[0])
            if frequency
            else self.statistics.rarest
        )

    def holds(self, key: int) -> bool:
        return bool(self._spans(key))

    def _spans(self, key: int) -> list[tuple[int, int]]:
        """Where the postings of a term lie in the collections of this part."""
        first, last = self._pieces(key)
        owners = self._arrays["owners"][first:last].tolist()
        places = (place for place, owner in enumerate(owners, first) if owner in self._own)
        return [(int(self._bounds[place]), int(self._bounds[place + 1])) for place in places]
