"""The measures: retrieval through ir_measures, and how well a confidence knows what it knows.

All functions are pure; scores are higher-is-better, labels are booleans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from index.evaluation import resampling
from index.evaluation.records import Estimate
from index.evaluation.resampling import Floats

if TYPE_CHECKING:
    from index.evaluation.records import Measures, Row

Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
JUDGED = ("R@1", "R@5", "R@10", "RR@10", "nDCG@10")
MATCHED = ("Success@1", "Success@5", "Success@10", "RR@10")
"""Where answers tell which passages are right, how many there are is unknown: no recall."""
CURVE_ROUNDS = 500
"""Resamples for statistics that look at every row of each."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of similar confidence: how many, how confident on average, what share was right."""

    count: int
    confidence: float
    share: float


def retrieval(
    qrels: Mapping[str, Mapping[str, int]],
    ranked: Mapping[str, Sequence[str]],
    names: Iterable[str] = JUDGED,
) -> dict[str, dict[str, float]]:
    """Values by query id and measure name, as `ir_measures` writes them (`R@1`, `nDCG@10`).

    `ranked` lists passage ids best first. Every query of `qrels` has a row: one that is missing
    from `ranked` scores 0.
    """
    import ir_measures

    measures = [ir_measures.parse_measure(name) for name in names]
    rows = {query: dict.fromkeys(map(str, measures), 0.0) for query in qrels}
    judged = (
        ir_measures.Qrel(query, passage, grade)
        for query, grades in qrels.items()
        for passage, grade in grades.items()
    )
    run = (  # falling scores keep the order; equal ones would be sorted by id
        ir_measures.ScoredDoc(query, passage, 1.0 / rank)
        for query, passages in ranked.items()
        for rank, passage in enumerate(passages, start=1)
    )
    for metric in ir_measures.iter_calc(measures, list(judged), list(run)):
        rows[metric.query_id][str(metric.measure)] = float(metric.value)
    return rows


def averages(rows: Sequence[Row]) -> Measures:
    """The mean and interval of every value that some row has, over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row.values)
    return {
        name: resampling.mean(np.array([row.values[name] for row in rows if name in row.values]))
        for name in names
    }


def by_kind(rows: Sequence[Row]) -> dict[str, Measures]:
    """`averages` of each kind of question, in the order of the set; empty without kinds."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row.kind, []).append(row)
    return {kind: averages(group) for kind, group in kinds.items()} if any(kinds) else {}


def latency(milliseconds: Sequence[float]) -> Measures:
    """The 50th and 95th percentile, as `p50_ms` and `p95_ms`."""
    values = np.sort(np.asarray(milliseconds, dtype=np.float64))
    if not len(values):
        return {}
    return {f"p{percent}_ms": _percentile(values, percent) for percent in (50, 95)}


def _percentile(ascending: Floats, percent: int) -> Estimate:
    place = int(len(ascending) * percent / 100)
    return resampling.statistic(
        lambda drawn: ascending[drawn[:, place]], len(ascending), rounds=CURVE_ROUNDS
    )


def auroc(scores: Floats, positive: Bools) -> float:
    """How often a positive scores above a negative, ties counting half (Mann–Whitney).

    Both (n,). NaN where one of the two classes is empty.
    """
    return float(_wins(*_histograms(scores, positive)))


def auroc_estimate(scores: Floats, positive: Bools, *, seed: int = resampling.SEED) -> Estimate:
    """`auroc` with its interval, each class keeping its size in the resamples."""
    positives, negatives = _histograms(scores, positive)
    rng = np.random.default_rng(seed)
    resampled = _wins(
        *(
            rng.multinomial(counts.sum(), counts / counts.sum(), size=CURVE_ROUNDS)
            for counts in (positives, negatives)
        )
    )
    return resampling.estimate(float(_wins(positives, negatives)), resampled, len(scores))


def _histograms(scores: Floats, positive: Bools) -> tuple[Counts, Counts]:
    """How many positives and negatives have each distinct score, lowest score first."""
    distinct, place = np.unique(scores, return_inverse=True)
    size = len(distinct)
    return np.bincount(place[positive], minlength=size), np.bincount(
        place[~positive], minlength=size
    )


def _wins(positives: Counts, negatives: Counts) -> Floats:
    """Mann–Whitney's U as a share, over the last axis (distinct scores, ascending)."""
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray((positives * below).sum(axis=-1) / pairs, dtype=np.float64)


def risk_coverage(confidence: Floats, correct: Bools) -> tuple[Floats, Floats]:
    """Coverage and risk when only the most confident are answered: two (n,) curves.

    Risk is the share of wrong ones among those answered; within a tie, where no order is right,
    errors are spread evenly. Source: El-Yaniv & Wiener 2010; AURC: Geifman et al. 2019.
    """
    n = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    errors = _spread((~correct[order]).astype(np.float64), confidence[order])
    answered = np.arange(1, n + 1)
    return answered / n, np.cumsum(errors) / answered


def aurc_estimate(confidence: Floats, correct: Bools) -> Estimate:
    """The area under the risk–coverage curve with its interval; 0 is best."""
    order = np.argsort(-confidence, kind="stable")
    errors = _spread((~correct[order]).astype(np.float64), confidence[order])
    answered = np.arange(1, len(errors) + 1)
    return resampling.statistic(
        lambda drawn: (np.cumsum(errors[drawn], axis=1) / answered).mean(axis=1),
        len(errors),
        rounds=CURVE_ROUNDS,
    )


def _spread(errors: Floats, ranked: Floats) -> Floats:
    """`errors` with each run of equal values in `ranked` replaced by its mean."""
    _, group = np.unique(ranked, return_inverse=True)
    return np.asarray((np.bincount(group, errors) / np.bincount(group))[group], dtype=np.float64)


def reliability(confidence: Floats, right: Bools, bins: int = 10) -> list[Bin]:
    """Answers in bins of equal width over 0…1; empty bins are left out."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        Bin(
            int((place == b).sum()),
            float(confidence[place == b].mean()),
            float(right[place == b].mean()),
        )
        for b in range(bins)
        if (place == b).any()
    ]


def brier(confidence: Floats, right: Bools) -> float:
    """The mean squared error of the probability (Brier 1950); 0 is best."""
    return float(np.mean((confidence - right) ** 2))


def ece(confidence: Floats, right: Bools, bins: int = 10) -> float:
    """Expected calibration error: |share right − confidence|, weighted by bin (Naeini 2015)."""
    return sum(
        b.count * abs(b.share - b.confidence) for b in reliability(confidence, right, bins)
    ) / max(len(confidence), 1)
