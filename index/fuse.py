"""One score out of what the legs and the second stage say.

A weighted sum of values that mean the same in every question, with weights fitted on held-out articles of
JaQuAD-train and practice documents (see docs/retrieval.md). Rank fusion is not used: it throws away how sure the
stronger leg is.
"""

from __future__ import annotations

from collections.abc import Mapping

# words, grams: BM25 by words and by character n-grams, as a share of the best score that the question
# allows; dense: the inner product with the best part; late: MaxSim; near: how much of the question
# stands together in one place; reads: how likely the reader finds the answer there; close: how likely
# the close reader does, where the best are close; title: the share of the question's words in the
# title; version: see `index.query.version_match`; superseded: 1 for an older version of a document that
# is there in a newer one too; the last three by hand. The words weigh little here because `near` and
# the n-grams say most of what they say.
WEIGHTS: Mapping[str, float] = {
    "words": 1.0,
    "grams": 2.5,
    "dense": 3.5,
    "late": 7.0,
    "near": 5.0,
    "reads": 3.5,
    "close": 4.0,
    "title": 1.5,
    "version": 6.0,
    "superseded": -1.0,
}


def fuse(features: Mapping[str, float]) -> float:
    """The score of a candidate; higher is better. Missing values count as 0."""
    return sum(weight * features.get(name, 0.0) for name, weight in WEIGHTS.items())
