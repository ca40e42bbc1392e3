"""Question → ranked passages: both legs, then a closer reading of the best candidates."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Literal

import numpy as np

from index.answer_sentences import UNLIKELY, Sentence, rank_sentences, read_closely
from index.close_reader import Candidate
from index.engines.contract import Candidates, Searchable, Wanted
from index.engines.local import LocalEngine
from index.errors import IndexMismatch
from index.fuse import fuse
from index.generation import Manifest, TokenVectors
from index.lexical import terms
from index.normalize import well_formed
from index.query import Query, Synonyms, understand, version_match
from index.reader import standing
from index.records import Chunk, Document, DocumentSummary, Hit, Skipped
from index.rerank import QueryTokens, max_similarity, sentence_similarity, token_rows
from index.sentence_words import PackedWords, SentenceWords
from index.sentences import Reading, read

if TYPE_CHECKING:
    from index.encoder import Encoder

Mode = Literal["hybrid", "dense", "lexical"]
# How many candidates each leg puts up for the second stage.
LEXICAL_CANDIDATES = 32
DENSE_CANDIDATES = 16
# How many of them are then read sentence by sentence,
READ_CANDIDATES = 8
# and of how many the sentences may be quoted.
READ_HITS = 5
# The best sentences are read closely where the first passage is no further than this above the second.
CLOSE_CALL = 2.5
# As many searches at a time as there are cores. More of them only take Python's lock from each other
# between their many short steps: eight on two cores were two fifths slower than two.
_CORES = max(2, os.cpu_count() or 1)
_TURN: BoundedSemaphore
_BESIDE: ThreadPoolExecutor  # its threads look words up while those that search encode


def _renew() -> None:
    """Also for a forked child: it has none of its parent's threads, and nobody gives back their turns."""
    global _TURN, _BESIDE
    _TURN = BoundedSemaphore(_CORES)
    _BESIDE = ThreadPoolExecutor(_CORES, thread_name_prefix="kiku-words")


_renew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


@dataclass(frozen=True, slots=True)
class _Encoded:
    vector: np.ndarray
    tokens: QueryTokens | None


@dataclass(frozen=True, slots=True)
class Search:
    """One search: what was understood, what was found, and the means to look into the passages:
    the token vectors of the question and of the passages, the words of their sentences, and the row of
    each passage there; for those that were read the log odds of each token (see `index.reader`) and
    what their sentences hold; the sentences of the best passages, best first, where these were close to
    each other and so were read closely."""

    query: Query
    hits: list[Hit]
    rows: dict[str, int]
    tokens: QueryTokens | None
    passages: TokenVectors | None
    words: SentenceWords | PackedWords
    odds: dict[str, np.ndarray] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    sentences: list[Sentence] = field(default_factory=list)


class Retriever:
    """Searches one generation. Safe to share between threads; opened anew for a new generation."""

    def __init__(
        self, generation: Searchable, encoder: Encoder | None, synonyms: Synonyms | None = None
    ) -> None:
        self._generation = generation
        self._encoder = encoder if generation.manifest.encoder.dimension else None
        self._synonyms = synonyms or Synonyms()

    @classmethod
    def open(
        cls, home: Path, *, encoder: Encoder | None, synonyms: Synonyms | None = None
    ) -> Retriever:
        """Opens the generation that `home` serves.

        Raises IndexMissing, IndexDamaged, or IndexMismatch when another encoder made its vectors.
        An index without vectors, or no encoder at all, leaves the lexical leg alone.
        """
        return cls.over(LocalEngine(home).open(), encoder=encoder, synonyms=synonyms)

    @classmethod
    def over(
        cls,
        generation: Searchable,
        *,
        encoder: Encoder | None,
        synonyms: Synonyms | None = None,
    ) -> Retriever:
        """Searches an open generation, wherever it lies. Raises IndexMismatch when another encoder
        made its vectors."""
        made_by = generation.manifest.encoder
        if encoder and made_by.dimension and made_by.fingerprint != encoder.fingerprint:
            generation.close()
            raise IndexMismatch(
                f"索引はエンコーダー {made_by.name}（{made_by.fingerprint[:8]}）で作られていますが、"
                f"いまの設定は {encoder.name}（{encoder.fingerprint[:8]}）です。",
                hint="kiku build で索引を作り直すか、KIKU_ENCODER を元に戻してください。",
            )
        return cls(generation, encoder, synonyms)

    @property
    def generation(self) -> str:
        """The id of the generation that is searched."""
        return self._generation.manifest.id

    @property
    def manifest(self) -> Manifest:
        """The manifest of the generation that is searched."""
        return self._generation.manifest

    @property
    def dense(self) -> bool:
        """Whether meaning is searched too, not words alone."""
        return self._encoder is not None

    @property
    def reads_closely(self) -> bool:
        """Whether the encoder has a close reader."""
        return self._encoder is not None and self._encoder.close_reader is not None

    def close(self) -> None:
        """Closes the files of the generation."""
        self._generation.close()

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        mode: Mode = "hybrid",
        collections: frozenset[str] | None = None,
    ) -> list[Hit]:
        """The `k` best passages, best first, of `collections` (None: all)."""
        return self.explain(query, k, mode=mode, collections=collections).hits

    def explain(
        self,
        query: str,
        k: int = 10,
        *,
        mode: Mode = "hybrid",
        collections: frozenset[str] | None = None,
    ) -> Search:
        """Like `search`, with what was understood and the means to score sentences. Where more threads
        ask than there are cores, they take turns."""
        with _TURN:
            return self._explain(well_formed(query), k, mode, collections)

    def _explain(
        self, query: str, k: int, mode: Mode, collections: frozenset[str] | None
    ) -> Search:
        if mode == "dense" and self._encoder is None:
            mode = "lexical"
        encoded, understood, candidates = self._found(query, k, mode, collections)
        hits = _hits(understood, encoded, candidates, mode)
        rows = {one.chunk.id: one.row for one in candidates.found}
        tokens = encoded.tokens if encoded else None
        search = Search(understood, hits, rows, tokens, candidates.tokens, candidates.words)
        if mode == "hybrid":
            search = self._settled(replace(search, hits=self._read(search)))
        return replace(search, hits=search.hits[:k])

    def _found(
        self, query: str, k: int, mode: Mode, collections: frozenset[str] | None
    ) -> tuple[_Encoded | None, Query, Candidates]:
        """The question encoded and understood, and what both legs put up for it."""
        if self._encoder is None or mode == "lexical":
            return None, *self._candidates(query, k, mode, collections, lambda: None)
        turn = _TURN
        if not turn.acquire(blocking=False):  # no core is idle
            encoded = self._encode(self._encoder, query)
            return encoded, *self._candidates(query, k, mode, collections, lambda: encoded.vector)
        try:
            # Encoding lets go of Python's lock at once, and so words are looked up meanwhile. Were it
            # done beside, it would wait for the lock until the words are found.
            vector: Future[np.ndarray | None] = Future()
            beside = _BESIDE.submit(self._candidates, query, k, mode, collections, vector.result)
            try:
                encoded = self._encode(self._encoder, query)
            except BaseException as error:
                vector.set_exception(error)
                raise
            vector.set_result(encoded.vector)
            return encoded, *beside.result()
        finally:
            turn.release()

    def _candidates(
        self,
        query: str,
        k: int,
        mode: Mode,
        collections: frozenset[str] | None,
        encoded: Callable[[], np.ndarray | None],
    ) -> tuple[Query, Candidates]:
        """What was understood, and what both legs put up."""
        understood = understand(query, self._generation.vocabulary(collections), self._synonyms)
        lexical = {"hybrid": max(k, LEXICAL_CANDIDATES), "lexical": k, "dense": 0}
        wanted = Wanted(
            query=understood,
            encoded=encoded,
            lexical=lexical[mode],
            dense=max(k, DENSE_CANDIDATES) if mode == "hybrid" else k,
            tokens=self._encoder is not None
            and self._encoder.token_dimension > 0
            and mode != "lexical",
            collections=collections,
        )
        return understood, self._generation.candidates(wanted)

    def read(self, search: Search, hit: Hit) -> Reading:
        """The sentences of a hit and what of the question each holds."""
        known = search.readings.get(hit.chunk.id)
        if known is None:
            words = search.words.of(search.rows[hit.chunk.id])
            known = search.readings[hit.chunk.id] = read(search.query, hit, words)
        return known

    def sentence_scores(
        self, search: Search, hit: Hit, spans: list[tuple[int, int]]
    ) -> np.ndarray | None:
        """What the token vectors say of each sentence of a hit, float32 (len(spans), 4): the three
        of `sentence_similarity`, and how likely the answer stands in it (`index.reader.standing`,
        0 without a reader); None without token vectors."""
        if search.tokens is None or search.passages is None:
            return None
        row = search.rows[hit.chunk.id]
        alike = sentence_similarity(search.tokens, search.passages, row, spans)
        return np.column_stack([alike, self._standings(search, hit, spans)])

    def read_closely(self, search: Search, candidates: Sequence[Candidate]) -> np.ndarray | None:
        """How likely the answer stands in each of some sentences, best first, −1…1: a tenth of the
        log odds, float32 (n,), −1 for those that there was no room for; None without a close
        reader."""
        reader = self._encoder.close_reader if self._encoder else None
        if reader is None or not candidates:
            return None
        odds = reader.read(search.query.text, candidates)
        shares: np.ndarray = np.nan_to_num(odds / 10, nan=-1.0).clip(-1.0, 1.0)
        return shares

    def _read(self, search: Search) -> list[Hit]:
        """The hits, of which the best were read closely and stand in the order that this gives."""
        best, rest = search.hits[:READ_CANDIDATES], search.hits[READ_CANDIDATES:]
        self._read_tokens(search, best)
        told = [self._with_reading(search, hit) for hit in best]
        return sorted(told, key=lambda hit: -hit.score) + rest

    def _with_reading(self, search: Search, hit: Hit) -> Hit:
        """The hit with what reading it sentence by sentence and token by token says: how much of what
        the question's words are worth stands together in one place of it, 0…1, and how likely the
        answer stands there."""
        near = search.query.coverage(self.read(search, hit).near, words_only=True)
        features = {**hit.features, "near": float(near.max(initial=0.0))}
        if (odds := search.odds.get(hit.chunk.id)) is not None:
            features["reads"] = standing(odds)
        return replace(hit, score=fuse(features), features=features)

    def _settled(self, search: Search) -> Search:
        """The search with the order of the best passages settled by what the close reader says of
        their sentences, where the first two are close."""
        best, rest = search.hits[:READ_HITS], search.hits[READ_HITS:]
        if len(best) < 2 or best[0].score - best[1].score > CLOSE_CALL:
            return search
        ranked = rank_sentences(self, search, best[:READ_HITS])
        sentences = read_closely(self, search, ranked) if ranked else None
        if sentences is None:
            return search
        likely = {hit.chunk.id: UNLIKELY for hit in best}
        for sentence in sentences:
            own = sentence.hit.chunk.id
            likely[own] = max(likely[own], sentence.features["close"])
        read = [_with_feature(hit, "close", likely[hit.chunk.id]) for hit in best]
        hits = sorted(read, key=lambda hit: -hit.score)
        return replace(search, hits=hits + rest, sentences=sentences)

    def _read_tokens(self, search: Search, hits: list[Hit]) -> None:
        """Puts the odds of the hits' tokens into `search.odds`, where there is a reader."""
        reader = self._encoder.reader if self._encoder else None
        if reader is None or search.tokens is None or search.passages is None or not hits:
            return
        passages = [token_rows(search.passages, search.rows[hit.chunk.id]) for hit in hits]
        odds = reader.read(search.tokens.vectors, search.tokens.weights, passages)
        search.odds.update({hit.chunk.id: own for hit, own in zip(hits, odds, strict=True)})

    def _standings(self, search: Search, hit: Hit, spans: list[tuple[int, int]]) -> np.ndarray:
        """How likely the answer stands in each of the spans, float32 (len(spans),)."""
        if hit.chunk.id not in search.odds:
            self._read_tokens(search, [hit])
        odds = search.odds.get(hit.chunk.id)
        if odds is None or search.passages is None:
            return np.zeros(len(spans), np.float32)
        row = search.rows[hit.chunk.id]
        first, last = search.passages.bounds[row : row + 2]
        places = search.passages.starts[first:last].astype(np.int64) - 1
        bounds = np.searchsorted(places, np.array(spans, np.int64).reshape(-1, 2))
        return np.array([standing(odds[a:b]) for a, b in bounds], np.float32)

    def documents(self, collections: frozenset[str] | None = None) -> list[DocumentSummary]:
        """What is indexed, in the order of its sources."""
        return self._generation.documents(collections)

    def document(
        self, document_id: str, collections: frozenset[str] | None = None
    ) -> Document | None:
        """One document with its text; None where there is none, or none in `collections`."""
        return self._generation.document(document_id, collections)

    def skipped(self) -> list[Skipped]:
        """What the build could not read."""
        return self._generation.skipped()

    def _encode(self, encoder: Encoder, query: str) -> _Encoded:
        encoding = encoder.encode_queries([query])
        tokens = None
        if encoding.tokens is not None and encoding.weights is not None:
            tokens = QueryTokens.of(encoding.tokens[0], encoding.weights[0])
        return _Encoded(encoding.vectors[0], tokens)


def _hits(query: Query, encoded: _Encoded | None, candidates: Candidates, mode: Mode) -> list[Hit]:
    """The candidates, scored, best first."""
    late = np.zeros(len(candidates.found))
    if mode == "hybrid" and encoded and encoded.tokens and candidates.tokens:
        rows = [one.row for one in candidates.found]
        late = max_similarity(encoded.tokens, candidates.tokens, rows)
    best_words, best_grams = query.best_words, query.best_grams
    titles = [query.present(_title_keys(one.document.title)) for one in candidates.found]
    in_title = query.coverage(np.array(titles), words_only=True).tolist() if titles else []
    hits = []
    for one, closely, named in zip(candidates.found, late.tolist(), in_title, strict=True):
        headline = _headline(one.document, one.chunk)
        features = {
            "lexical": (one.words + one.grams) / (best_words + best_grams),
            "words": one.words / best_words,
            "grams": one.grams / best_grams,
            "dense": one.dense,
            "late": closely,
            "version": version_match(query.versions, headline, one.chunk.text),
            "title": named,
            "superseded": float(bool(one.document.superseded_by)),
        }
        score = fuse(features) if mode == "hybrid" else features[mode]
        ranks = one.dense_rank, one.lexical_rank
        hits.append(Hit(one.chunk, one.document, score, *ranks, features))
    return sorted(hits, key=lambda hit: -hit.score)


def _with_feature(hit: Hit, name: str, value: float) -> Hit:
    features = {**hit.features, name: value}
    return replace(hit, score=fuse(features), features=features)


@lru_cache(maxsize=10_000)
def _title_keys(title: str) -> np.ndarray:
    """The terms of a title: many passages share one."""
    return terms(title).keys


def _headline(document: DocumentSummary, chunk: Chunk) -> str:
    return " › ".join((document.title, *chunk.heading))
