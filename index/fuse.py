"""One score out of what the legs and the second stage say.

A weighted sum of values that mean the same in every question, with weights fitted on JaQuAD-train
(see docs/retrieval.md). Rank fusion is not used: it throws away how sure the stronger leg is.
"""

from __future__ import annotations

from collections.abc import Mapping

# lexical: BM25 as a share of the best score the question allows; dense: cosine; late: MaxSim;
# version: see `index.query.version_match`.
WEIGHTS: Mapping[str, float] = {"lexical": 3.0, "dense": 0.5, "late": 2.0, "version": 0.5}


def fuse(features: Mapping[str, float]) -> float:
    """The score of a candidate; higher is better. Missing values count as 0."""
    return sum(weight * features.get(name, 0.0) for name, weight in WEIGHTS.items())
