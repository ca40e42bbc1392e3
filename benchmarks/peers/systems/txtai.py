"""txtai: as its README begins, and with both legs and Japanese words.

https://neuml.github.io/txtai/embeddings/ (index, search, save, load) and
https://neuml.github.io/txtai/embeddings/configuration/scoring/ (hybrid, a scoring class of one's own).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from txtai import Embeddings
from txtai.scoring import BM25

from benchmarks.peers.adapter import K, Passage, serve
from benchmarks.peers.japanese import words


class JapaneseBM25(BM25):
    """txtai's BM25 over SudachiPy's words."""

    def loadtokenizer(self) -> Callable[[str], list[str]]:
        """What txtai splits texts and questions with."""
        return words


class Documented:
    """`Embeddings(path=…)`: vectors alone."""

    choices: Sequence[Any] = (None,)

    def __init__(self, encoder: str, folder: Path) -> None:
        self._config: dict[str, Any] = {"path": encoder}
        self._folder = str(folder / "index")
        self._embeddings: Any = None

    def load(self) -> None:
        """Loads the encoder."""
        self._embeddings = Embeddings(self._config)

    def use(self, choice: Any) -> None:
        """There is nothing to choose."""

    def build(self, passages: Sequence[Passage], vectors: Any) -> None:
        """Indexes and saves."""
        if vectors is not None:
            given = {p.whole: row for p, row in zip(passages, vectors, strict=True)}
            self._embeddings.model.encode = lambda data, category=None: np.array(
                [given[text] for text in data]
            )
        self._embeddings.index((passage.id, passage.whole, None) for passage in passages)
        self._embeddings.save(self._folder)

    def open(self) -> None:
        """Loads what was saved, and the encoder with it."""
        self._embeddings = Embeddings()
        self._embeddings.load(self._folder)

    def search(self, question: str) -> list[str]:
        """The ids of the best passages."""
        return [id_ for id_, _ in self._embeddings.search(question, K)]


class Japanese(Documented):
    """Hybrid, with the texts kept in the index, and BM25 over Japanese words.

    The texts lie in SQLite behind one cursor. Threads that share it end the process sooner or later
    ("Recursive use of cursors not allowed", or a segmentation fault), so they take turns.
    """

    choices: Sequence[Any] = (0.5, 0.35, 0.2, 0.1, 0.05)  # the weight of the vectors

    def __init__(self, encoder: str, folder: Path) -> None:
        super().__init__(encoder, folder)
        scoring = {
            "method": f"benchmarks.peers.systems.txtai.{JapaneseBM25.__name__}",
            "terms": True,
            "normalize": True,
        }
        self._config |= {"hybrid": True, "content": True, "scoring": scoring}
        self._weight = 0.5
        self._turn = Lock()

    def use(self, choice: Any) -> None:
        """The weight of the vectors."""
        self._weight = choice

    def search(self, question: str) -> list[str]:
        """The ids of the best passages."""
        with self._turn:
            return [row["id"] for row in self._embeddings.search(question, K, weights=self._weight)]


if __name__ == "__main__":
    serve({"documented": Documented, "japanese": Japanese})
