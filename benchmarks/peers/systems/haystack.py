"""Haystack: its "Get started", and its tutorial on hybrid retrieval.

https://docs.haystack.deepset.ai/docs/get-started, https://haystack.deepset.ai/tutorials/33_hybrid_retrieval
and https://docs.haystack.deepset.ai/docs/inmemorydocumentstore. The in-memory store, which both use, is
the one that needs no server and has BM25; its documentation advises against it in production.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from haystack import Document, Pipeline
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)
from haystack_integrations.components.retrievers.faiss import FAISSEmbeddingRetriever
from haystack_integrations.document_stores.faiss import FAISSDocumentStore

from benchmarks.peers.adapter import K, Passage, serve
from benchmarks.peers.japanese import words

DEPTH = 3 * K  # passages that each leg puts up


class Documented:
    """InMemoryBM25Retriever over the default words: each Japanese character is one."""

    choices: Sequence[Any] = (None,)
    store: Any = InMemoryDocumentStore

    def __init__(self, encoder: str, folder: Path) -> None:
        self._encoder, self._folder = encoder, folder
        self._pipeline: Any = None

    def load(self) -> None:
        """There is no encoder in it."""

    def use(self, choice: Any) -> None:
        """There is nothing to choose."""

    def build(self, passages: Sequence[Passage], vectors: Any) -> None:
        """Indexes and saves."""
        store = self.store()
        store.write_documents(_documents(passages))
        store.save_to_disk(str(self._folder / "store.json"))

    def open(self) -> None:
        """Loads what was saved, which splits all texts again."""
        self._pipeline = Pipeline()
        self._pipeline.add_component("retriever", InMemoryBM25Retriever(self._store(), top_k=K))

    def _store(self) -> Any:
        return self.store.load_from_disk(str(self._folder / "store.json"))

    def search(self, question: str) -> list[str]:
        """The ids of the best passages."""
        found = self._pipeline.run({"retriever": {"query": question}})
        return [document.id for document in found["retriever"]["documents"]]


class JapaneseStore(InMemoryDocumentStore):
    """The in-memory store with Japanese words for its BM25: its own splitting knows patterns only."""

    def _tokenize_bm25(self, text: str) -> list[str]:
        return words(unicodedata.normalize("NFC", text.lower()))


class Japanese(Documented):
    """The tutorial's pipeline with Japanese words, vectors in FAISS, ranks fused."""

    choices: Sequence[Any] = (0.5, 0.35, 0.2, 0.1, 0.05)  # the weight of the vectors
    store: Any = JapaneseStore

    def load(self) -> None:
        """Loads the encoder."""
        self._embedder = SentenceTransformersDocumentEmbedder(
            model=self._encoder, normalize_embeddings=True, progress_bar=False
        )
        self._embedder.warm_up()

    def build(self, passages: Sequence[Passage], vectors: Any) -> None:
        """Indexes both legs and saves them."""
        super().build(passages, None)
        documents = _documents(passages)
        if vectors is None:
            documents = self._embedder.run(documents)["documents"]
        else:
            for document, row in zip(documents, vectors.tolist(), strict=True):
                document.embedding = row
        store = FAISSDocumentStore(embedding_dim=len(documents[0].embedding or ()))
        store.write_documents(documents)
        store.save(self._folder / "vectors")

    def open(self) -> None:
        """Loads both legs and connects them; the encoder is loaded at the first question."""
        vectors = FAISSDocumentStore(index_path=str(self._folder / "vectors"))
        self._joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=K)
        pipeline = Pipeline()
        pipeline.add_component(
            "text_embedder",
            SentenceTransformersTextEmbedder(
                model=self._encoder, normalize_embeddings=True, progress_bar=False
            ),
        )
        pipeline.add_component("bm25_retriever", InMemoryBM25Retriever(self._store(), top_k=DEPTH))
        pipeline.add_component(
            "embedding_retriever", FAISSEmbeddingRetriever(document_store=vectors, top_k=DEPTH)
        )
        pipeline.add_component("joiner", self._joiner)
        pipeline.connect("text_embedder", "embedding_retriever")
        pipeline.connect("bm25_retriever", "joiner")
        pipeline.connect("embedding_retriever", "joiner")
        self._pipeline = pipeline

    def use(self, choice: Any) -> None:
        """The weight of the vectors."""
        self._joiner.weights = [1 - choice, choice]

    def search(self, question: str) -> list[str]:
        """The ids of the best passages."""
        found = self._pipeline.run(
            {"text_embedder": {"text": question}, "bm25_retriever": {"query": question}}
        )
        return [document.id for document in found["joiner"]["documents"]]


def _documents(passages: Sequence[Passage]) -> list[Document]:
    return [Document(id=p.id, content=p.whole) for p in passages]


if __name__ == "__main__":
    serve({"documented": Documented, "japanese": Japanese})
