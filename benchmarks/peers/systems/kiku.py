"""Kiku as it ships: ranked passages, or the whole cited answer. One index serves both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.adapter import K, Passage, serve


class Passages:
    """`Retriever.search`: what the peers do."""

    choices: Sequence[Any] = (None,)

    def __init__(self, encoder: str, folder: Path) -> None:
        self._encoder, self._home = encoder, folder
        self._loaded: Any = None
        self._kiku: Any = None

    def load(self) -> None:
        """Loads the encoder."""
        from index.encoder import load_encoder

        self._loaded = load_encoder(self._encoder)

    def use(self, choice: Any) -> None:
        """There is nothing to choose."""

    def build(self, passages: Sequence[Passage], vectors: Any) -> None:
        """Builds as `kiku build` does, with Kiku's own encoding of the passages."""
        from index.build import build
        from index.evaluation.corpus import documents
        from index.evaluation.datasets import Dataset
        from index.evaluation.datasets import Passage as Given

        given = tuple(Given(passage.id, passage.title, passage.text) for passage in passages)
        build(self._home, documents(Dataset("", (), given)), encoder=self._loaded, keep=1)

    def open(self) -> None:
        """Opens what one process of Kiku opens."""
        from bot.settings import load_settings
        from bot.wiring import connect

        self._kiku = connect(load_settings({"home": self._home, "encoder": self._encoder}))

    def search(self, question: str) -> list[str]:
        """The ids of the best passages."""
        hits = self._kiku.retriever.search(question, K)
        return list(dict.fromkeys(hit.document.source for hit in hits))


class Answers(Passages):
    """`Answerer.ask`: the sentences that answer, each citation compared with its document."""

    def search(self, question: str) -> list[str]:
        """The ids of the passages that the answer cites, the answer's own first."""
        from bot.records import Question

        answer = self._kiku.answerer.ask(Question(question))
        return list(dict.fromkeys(citation.source for citation in answer.citations))


if __name__ == "__main__":
    serve({"passages": Passages, "answers": Answers})
