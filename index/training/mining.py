"""Hard negatives by words: what BM25 takes for the right text.

Half of what a batch is filled up with comes from here, the other half stands beside the text or is near
it by the vectors of the epoch before (`index.training.batches`), so that what deceives either leg is seen.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np

from index.lexical import LexicalIndex, terms
from index.query import Synonyms, understand

log = logging.getLogger(__name__)

FOUND = 8  # texts looked at for each question
KEPT = 6


def hard_negatives(texts: Sequence[str], asked: Sequence[Sequence[str]]) -> np.ndarray:
    """int32 (texts, KEPT): the numbers of the texts that BM25 ranks highest for what each text is
    `asked`, besides itself, the most frequent first; −1 where there are fewer."""
    nothing = terms("")
    lexical = LexicalIndex.build([terms(text) for text in texts], [nothing] * len(texts))
    synonyms = Synonyms()
    kept = np.full((len(texts), KEPT), -1, np.int32)
    for number, questions in enumerate(asked):
        seen: Counter[int] = Counter()
        for question in questions:
            query = understand(question, lexical, synonyms)
            scores = lexical.score([*query.word_groups, *query.gram_groups])
            best = np.argpartition(-scores, min(FOUND, len(scores) - 1))[:FOUND]
            ranked = best[np.argsort(-scores[best])]
            seen.update(int(other) for other in ranked if other != number and scores[other] > 0)
        most = [other for other, _ in seen.most_common(KEPT)]
        kept[number, : len(most)] = most
        if number % 5000 == 0:
            log.info("mined by words: %d of %d", number, len(texts))
    return kept
