"""LlamaIndex: its starter tutorial with local models, and its hybrid search.

https://developers.llamaindex.ai/python/framework/getting_started/starter_example_local/ and
.../integrations/retrievers/reciprocal_rerank_fusion/, .../vector_stores/faissindexdemo/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bm25s
from llama_index.core import (
    Document,
    Settings,
    StorageContext,
    VectorStoreIndex,
    load_index_from_storage,
)
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.retrievers.bm25 import BM25Retriever

from benchmarks.peers.adapter import K, Passage, serve
from benchmarks.peers.japanese import words

DEPTH = 3 * K  # passages that each leg puts up


class Documented:
    """`VectorStoreIndex.from_documents`, kept in the default store."""

    choices: Sequence[Any] = (None,)

    def __init__(self, encoder: str, folder: Path) -> None:
        self._encoder, self._folder = encoder, folder
        self._retriever: Any = None

    def load(self) -> None:
        """Loads the encoder; no language model is asked anything."""
        Settings.llm = None
        Settings.embed_model = HuggingFaceEmbedding(model_name=self._encoder)

    def use(self, choice: Any) -> None:
        """There is nothing to choose."""

    def build(self, passages: Sequence[Passage], vectors: Any) -> None:
        """Indexes and saves."""
        index = VectorStoreIndex.from_documents(
            [Document(text=p.whole, doc_id=p.id) for p in passages]
        )
        index.storage_context.persist(self._folder / "store")

    def open(self) -> None:
        """Loads the encoder and what was saved."""
        self.load()
        storage = StorageContext.from_defaults(persist_dir=str(self._folder / "store"))
        self._retriever = load_index_from_storage(storage).as_retriever(similarity_top_k=K)

    def search(self, question: str) -> list[str]:
        """The ids of the best passages."""
        found = self._retriever.retrieve(question)
        return list(dict.fromkeys(one.node.ref_doc_id or one.node.node_id for one in found))


class JapaneseBM25(BM25Retriever):
    """The BM25 retriever asked in Japanese words: its own splitting knows patterns only."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return super()._retrieve(QueryBundle(" ".join(words(query_bundle.query_str))))


class Japanese(Documented):
    """QueryFusionRetriever over FAISS (inner product) and BM25 with Japanese words."""

    # (mode, weight of the vectors): ranks fused, or scores in a weighted sum
    choices: Sequence[Any] = (
        ("reciprocal_rerank", 0.5),
        ("relative_score", 0.5),
        ("relative_score", 0.35),
        ("relative_score", 0.2),
        ("relative_score", 0.1),
    )

    def build(self, passages: Sequence[Passage], vectors: Any) -> None:
        """Indexes both legs and saves them."""
        import faiss
        from llama_index.vector_stores.faiss import FaissVectorStore

        nodes = [TextNode(id_=p.id, text=p.whole) for p in passages]
        if vectors is not None:
            for node, row in zip(nodes, vectors.tolist(), strict=True):
                node.embedding = row
        dimension = len(Settings.embed_model.get_text_embedding("次元"))
        store = FaissVectorStore(faiss_index=faiss.IndexFlatIP(dimension))
        storage = StorageContext.from_defaults(vector_store=store)
        VectorStoreIndex(nodes, storage_context=storage).storage_context.persist(
            self._folder / "store"
        )
        leg = bm25s.BM25(corpus=[node_to_metadata_dict(n) | {"node_id": n.node_id} for n in nodes])
        leg.index([words(node.text) for node in nodes], show_progress=False)
        self._bm25(leg).persist(str(self._folder / "bm25"))

    def open(self) -> None:
        """Loads the encoder and both legs."""
        from llama_index.vector_stores.faiss import FaissVectorStore

        self.load()
        folder = str(self._folder / "store")
        storage = StorageContext.from_defaults(
            vector_store=FaissVectorStore.from_persist_dir(folder), persist_dir=folder
        )
        dense = load_index_from_storage(storage).as_retriever(similarity_top_k=DEPTH)
        leg = bm25s.BM25.load(str(self._folder / "bm25"), load_corpus=True)
        self._legs = [self._bm25(leg), dense]

    def _bm25(self, leg: Any) -> JapaneseBM25:
        return JapaneseBM25(
            existing_bm25=leg, similarity_top_k=DEPTH, skip_stemming=True, token_pattern=r"\S+"
        )

    def use(self, choice: Any) -> None:
        """How the legs are fused. One query: no language model writes others."""
        mode, weight = choice
        self._retriever = QueryFusionRetriever(
            self._legs,
            similarity_top_k=K,
            num_queries=1,
            mode=mode,
            use_async=False,
            retriever_weights=[1 - weight, weight],
        )


if __name__ == "__main__":
    serve({"documented": Documented, "japanese": Japanese})
