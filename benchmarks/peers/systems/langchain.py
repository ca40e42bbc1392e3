"""LangChain: its tutorial "Build a semantic search engine" with FAISS, and its hybrid search.

https://docs.langchain.com/oss/python/langchain/knowledge-base and the references of EnsembleRetriever,
BM25Retriever and FAISS.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_classic.retrievers import EnsembleRetriever
from langchain_community.retrievers import BM25Retriever
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter

from benchmarks.peers.adapter import K, Passage, serve
from benchmarks.peers.japanese import words

DEPTH = 3 * K  # passages that each leg puts up


class Documented:
    """Texts split as in the tutorial, into FAISS."""

    choices: Sequence[Any] = (None,)

    def __init__(self, encoder: str, folder: Path) -> None:
        self._encoder, self._folder = encoder, folder
        self._embeddings: Any = None
        self._store: Any = None

    def load(self) -> None:
        """Loads the encoder."""
        self._embeddings = HuggingFaceEmbeddings(model_name=self._encoder)

    def use(self, choice: Any) -> None:
        """There is nothing to choose."""

    def build(self, passages: Sequence[Passage], vectors: Any) -> None:
        """Splits, indexes and saves."""
        splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
        self._save(splitter.split_documents(_documents(passages)), None)

    def _save(self, documents: Sequence[Document], vectors: Any) -> None:
        if vectors is None:
            store = FAISS.from_documents(list(documents), self._embeddings)
        else:
            pairs = [(d.page_content, row) for d, row in zip(documents, vectors, strict=True)]
            store = FAISS.from_embeddings(
                pairs, self._embeddings, metadatas=[d.metadata for d in documents]
            )
        store.save_local(str(self._folder / "faiss"))

    def open(self) -> None:
        """Loads the encoder and what was saved."""
        self.load()
        self._store = FAISS.load_local(
            str(self._folder / "faiss"), self._embeddings, allow_dangerous_deserialization=True
        )

    def search(self, question: str) -> list[str]:
        """The ids of the best passages."""
        found = self._store.similarity_search(question, k=K)
        return list(dict.fromkeys(document.metadata["id"] for document in found))


class Japanese(Documented):
    """EnsembleRetriever over FAISS and BM25 with Japanese words.

    BM25Retriever cannot be saved, and building it anew at every start would cost more than
    everything else: it is pickled.
    """

    choices: Sequence[Any] = (0.5, 0.35, 0.2, 0.1, 0.05)  # the weight of the vectors

    def build(self, passages: Sequence[Passage], vectors: Any) -> None:
        """Indexes both legs and saves them."""
        documents = _documents(passages)
        self._save(documents, vectors)
        retriever = BM25Retriever.from_documents(documents, preprocess_func=words, k=DEPTH)
        with (self._folder / "bm25.pickle").open("wb") as file:
            pickle.dump(retriever, file)

    def open(self) -> None:
        """Loads both legs."""
        super().open()
        with (self._folder / "bm25.pickle").open("rb") as file:
            self._bm25 = pickle.load(file)

    def use(self, choice: Any) -> None:
        """The weight of the vectors."""
        dense = self._store.as_retriever(search_kwargs={"k": DEPTH})
        self._ensemble = EnsembleRetriever(
            retrievers=[self._bm25, dense], weights=[1 - choice, choice]
        )

    def search(self, question: str) -> list[str]:
        """The ids of the best passages."""
        return [document.metadata["id"] for document in self._ensemble.invoke(question)[:K]]


def _documents(passages: Sequence[Passage]) -> list[Document]:
    return [Document(page_content=p.whole, metadata={"id": p.id}) for p in passages]


if __name__ == "__main__":
    serve({"documented": Documented, "japanese": Japanese})
