"""Hard negatives: what BM25, or the encoder that training starts from, takes for the right text.

Half of what a batch of passages is filled up with comes from here, the other half stands beside the text or is
near it by the vectors of the epoch before (`index.training.batches`), so that what deceives either leg is seen.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from index.encoder import Encoder
from index.lexical import LexicalIndex, terms
from index.query import Synonyms, understand
from index.training.evaluate import dense_scores

log = logging.getLogger(__name__)

FOUND = 8  # texts looked at for each question
KEPT = 6


def hard_negatives(texts: Sequence[str], asked: Sequence[Sequence[str]]) -> np.ndarray:
    """int32 (texts, KEPT): the numbers of the texts that BM25 ranks highest for what each text is
    `asked`, besides itself, the most frequent first; −1 where there are fewer."""
    nothing = terms("")
    lexical = LexicalIndex.build([terms(text) for text in texts], [nothing] * len(texts))
    synonyms = Synonyms()

    def scores() -> Iterator[np.ndarray]:
        for question in _flat(asked):
            query = understand(question, lexical, synonyms)
            yield lexical.score([*query.word_groups, *query.gram_groups])

    return _most_deceiving(scores(), asked)


def nearest_negatives(
    encoder: Encoder, texts: Sequence[str], asked: Sequence[Sequence[str]]
) -> np.ndarray:
    """int32 (texts, KEPT), as `hard_negatives`, of the texts whose best part is nearest by `encoder`'s vectors."""
    documents = encoder.encode_documents(texts)
    queries = encoder.encode_queries(list(_flat(asked)))
    blocks = range(0, len(queries.vectors), 500)
    scores = (
        row
        for at in blocks
        for row in dense_scores(replace(queries, vectors=queries.vectors[at : at + 500]), documents)
    )
    return _most_deceiving(scores, asked)


def _flat(asked: Iterable[Sequence[str]]) -> Iterator[str]:
    return (question for questions in asked for question in questions)


def _most_deceiving(scores: Iterator[np.ndarray], asked: Sequence[Sequence[str]]) -> np.ndarray:
    """`scores` gives each question's row over all texts, in the order of `asked`."""
    kept = np.full((len(asked), KEPT), -1, np.int32)
    for number, questions in enumerate(asked):
        seen: Counter[int] = Counter()
        for row in islice(scores, len(questions)):
            best = np.argpartition(-row, min(FOUND, len(row) - 1))[:FOUND]
            ranked = best[np.argsort(-row[best])]
            seen.update(int(other) for other in ranked if other != number and row[other] > 0)
        most = [other for other, _ in seen.most_common(KEPT)]
        kept[number, : len(most)] = most
        if number % 5000 == 0:
            log.info("mined: %d of %d texts", number, len(asked))
    return kept
