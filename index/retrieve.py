"""Question → ranked passages: both legs, then a closer reading of the best candidates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from index.errors import IndexMismatch
from index.fuse import fuse
from index.generation import Generation, current_generation
from index.lexical import LexicalIndex, terms
from index.normalize import well_formed
from index.query import Query, Synonyms, understand, version_match
from index.records import Chunk, Document, DocumentSummary, Hit, Skipped
from index.rerank import QueryTokens, max_similarity, sentence_similarity

if TYPE_CHECKING:
    from index.encoder import Encoder

Mode = Literal["hybrid", "dense", "lexical"]
# How many candidates each leg puts up for the second stage.
LEXICAL_CANDIDATES = 32
DENSE_CANDIDATES = 16
_MOST_PARTS = 64  # sets of collections that stay open


@dataclass(frozen=True, slots=True)
class _Encoded:
    vector: np.ndarray
    tokens: QueryTokens | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """The words of what may be seen, and which chunks that is: bool (chunks,), None for all."""

    lexical: LexicalIndex
    allowed: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Search:
    """One search: what was understood, what was found, and the means to look into the passages."""

    query: Query
    hits: list[Hit]
    positions: dict[str, int]
    tokens: QueryTokens | None


class Retriever:
    """Searches one generation. Safe to share between threads; opened anew for a new generation."""

    def __init__(
        self, generation: Generation, encoder: Encoder | None, synonyms: Synonyms | None = None
    ) -> None:
        self._generation = generation
        self._encoder = encoder if generation.manifest.encoder.dimension else None
        self._synonyms = synonyms or Synonyms()
        self._parts: dict[frozenset[int], _Seen] = {}

    @classmethod
    def open(
        cls, home: Path, *, encoder: Encoder | None, synonyms: Synonyms | None = None
    ) -> Retriever:
        """Opens the generation that `home` serves.

        Raises IndexMissing, IndexDamaged, or IndexMismatch when another encoder made its vectors.
        An index without vectors, or no encoder at all, leaves the lexical leg alone.
        """
        generation = Generation(current_generation(home))
        made_by = generation.manifest.encoder
        if encoder and made_by.dimension and made_by.fingerprint != encoder.fingerprint:
            generation.close()
            raise IndexMismatch(
                f"索引はエンコーダー {made_by.name}（{made_by.fingerprint[:8]}）で作られていますが、"
                f"いまの設定は {encoder.name}（{encoder.fingerprint[:8]}）です。",
                hint="kiku build で索引を作り直すか、KIKU_ENCODER を元に戻してください。",
            )
        generation.open()
        return cls(generation, encoder, synonyms)

    @property
    def generation(self) -> str:
        """The id of the generation that is searched."""
        return self._generation.manifest.id

    @property
    def manifest(self) -> object:
        """The manifest of the generation that is searched."""
        return self._generation.manifest

    @property
    def dense(self) -> bool:
        """Whether meaning is searched too, not words alone."""
        return self._encoder is not None

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
        """Like `search`, with what was understood and the means to score sentences."""
        query = well_formed(query)
        seen = self._seen(collections)
        understood = understand(query, seen.lexical, self._synonyms)
        encoded = self._encode(query) if mode != "lexical" else None
        if encoded is None and mode == "dense":
            mode = "lexical"
        words = seen.lexical.score(understood.word_groups)
        grams = seen.lexical.score(understood.gram_groups)
        lexical = words + grams
        lexical_ids = _best(lexical, max(k, LEXICAL_CANDIDATES) if mode == "hybrid" else k)
        dense_ids, dense = self._dense_leg(
            encoded, seen.allowed, max(k, DENSE_CANDIDATES) if mode == "hybrid" else k
        )
        if mode == "dense":
            lexical_ids = lexical_ids[:0]
        hits, positions = self._hits(
            understood, encoded, words, grams, lexical_ids, dense_ids, dense, mode
        )
        return Search(understood, hits[:k], positions, encoded.tokens if encoded else None)

    def sentence_scores(
        self, search: Search, hit: Hit, spans: list[tuple[int, int]]
    ) -> np.ndarray | None:
        """The late-interaction scores of each sentence of a hit, float32 (len(spans), 3), see
        `sentence_similarity`; None without token vectors."""
        tokens = self._generation.tokens
        if search.tokens is None or tokens is None:
            return None
        return sentence_similarity(search.tokens, tokens, search.positions[hit.chunk.id], spans)

    def documents(self, collections: frozenset[str] | None = None) -> list[DocumentSummary]:
        """What is indexed, in the order of its sources."""
        return list(self._generation.records.documents(collections))

    def document(
        self, document_id: str, collections: frozenset[str] | None = None
    ) -> Document | None:
        """One document with its text; None where there is none, or none in `collections`."""
        return self._generation.records.document(document_id, collections)

    def skipped(self) -> list[Skipped]:
        """What the build could not read."""
        return self._generation.records.skipped()

    def _seen(self, collections: frozenset[str] | None) -> _Seen:
        """The index of what may be seen. What the rest says must change nothing: neither how rare
        a word is, nor which names it may be a spelling of, nor what anything takes."""
        names = self._generation.manifest.collections
        if collections is None or collections.issuperset(names):
            return _Seen(self._generation.lexical, None)
        numbers = frozenset(place for place, name in enumerate(names) if name in collections)
        seen = self._parts.get(numbers)
        if seen is None:
            allowed = np.isin(self._generation.chunk_collections, sorted(numbers))
            seen = _Seen(self._generation.lexical.within(numbers), allowed)
            if len(self._parts) >= _MOST_PARTS:
                self._parts.clear()
            self._parts[numbers] = seen
        return seen

    def _encode(self, query: str) -> _Encoded | None:
        if self._encoder is None:
            return None
        encoding = self._encoder.encode_queries([query])
        tokens = None
        if encoding.tokens is not None and encoding.weights is not None:
            tokens = QueryTokens.of(encoding.tokens[0], encoding.weights[0])
        return _Encoded(encoding.vectors[0], tokens)

    def _dense_leg(
        self, encoded: _Encoded | None, allowed: np.ndarray | None, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        vectors = self._generation.vectors
        if encoded is None or vectors is None:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        ids, scores = vectors.search(encoded.vector, k, allowed)
        return ids[scores > 0], scores[scores > 0]

    def _hits(
        self,
        query: Query,
        encoded: _Encoded | None,
        words: np.ndarray,
        grams: np.ndarray,
        lexical_ids: np.ndarray,
        dense_ids: np.ndarray,
        dense: np.ndarray,
        mode: Mode,
    ) -> tuple[list[Hit], dict[str, int]]:
        positions = list(dict.fromkeys([*lexical_ids.tolist(), *dense_ids.tolist()]))
        lexical_rank = {position: rank for rank, position in enumerate(lexical_ids.tolist(), 1)}
        dense_rank = {position: rank for rank, position in enumerate(dense_ids.tolist(), 1)}
        cosine = self._cosines(
            encoded, positions, dict(zip(dense_ids.tolist(), dense.tolist(), strict=False))
        )
        late = self._late(encoded, positions) if mode == "hybrid" else {}
        best_words, best_grams = query.best_words, query.best_grams
        hits = []
        for position, (chunk, document) in zip(
            positions, self._generation.records.chunks(positions), strict=True
        ):
            features = {
                "lexical": float(words[position] + grams[position]) / (best_words + best_grams),
                "words": float(words[position]) / best_words,
                "grams": float(grams[position]) / best_grams,
                "dense": cosine.get(position, 0.0),
                "late": late.get(position, 0.0),
                "version": version_match(query.versions, _headline(document, chunk), chunk.text),
                "title": query.coverage(
                    query.present(_title_keys(document.title)), words_only=True
                ),
                "superseded": float(bool(document.superseded_by)),
            }
            score = fuse(features) if mode == "hybrid" else features[mode]
            ranks = dense_rank.get(position), lexical_rank.get(position)
            hits.append(Hit(chunk, document, score, *ranks, features))
        places = {hit.chunk.id: position for hit, position in zip(hits, positions, strict=True)}
        hits.sort(key=lambda hit: -hit.score)
        return hits, places

    def _cosines(
        self, encoded: _Encoded | None, positions: list[int], known: dict[int, float]
    ) -> dict[int, float]:
        """The dense score of every candidate, not only of those that the dense leg put up."""
        vectors = self._generation.vectors
        missing = [position for position in positions if position not in known]
        if encoded is None or vectors is None or not missing:
            return known
        return known | dict(
            zip(missing, vectors.scores(encoded.vector, missing).tolist(), strict=True)
        )

    def _late(self, encoded: _Encoded | None, positions: list[int]) -> dict[int, float]:
        tokens = self._generation.tokens
        if encoded is None or encoded.tokens is None or tokens is None:
            return {}
        return dict(
            zip(positions, max_similarity(encoded.tokens, tokens, positions).tolist(), strict=True)
        )


@lru_cache(maxsize=10_000)
def _title_keys(title: str) -> np.ndarray:
    """The terms of a title: many passages share one."""
    return terms(title).keys


def _headline(document: DocumentSummary, chunk: Chunk) -> str:
    return " › ".join((document.title, *chunk.heading))


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    """The places of the `k` highest scores above zero, best first, ties in order of place."""
    k = min(k, len(scores))
    if not k:
        return np.empty(0, np.int64)
    top = np.argpartition(-scores, k - 1)[:k]
    top = top[scores[top] > 0]
    return top[np.lexsort((top, -scores[top]))]
