"""How well a confidence knows what it knows, and the measures of answers that rest on it.

Scores are higher-is-better, labels are booleans, all of shape (n,).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.evaluation import measures, resampling
from index.evaluation.measures import CURVE_ROUNDS
from index.evaluation.records import AnswerLeg, AnswerRow, Estimate, Measures
from index.evaluation.resampling import Floats

Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of similar confidence: how many, how confident on average, what share was right."""

    count: int
    confidence: float
    share: float


def leg(rows: Sequence[AnswerRow]) -> AnswerLeg:
    """The answers with everything measured on them.

    `precision`: of the questions answered, the share that the documents do answer; `recall`: of
    those that the documents answer, the share answered; `right_when_answered`: of the questions
    answered, the share answered rightly.
    """
    answered = [row for row in rows if row.status == "answered"]
    found = measures.averages(rows)
    if answered:
        found["precision"] = resampling.mean(np.array([float(row.answerable) for row in answered]))
        right = [row.values["right"] for row in answered]
        found["right_when_answered"] = resampling.mean(np.array(right))
    found |= _confidence(rows) | measures.latency([row.ms for row in rows])
    return AnswerLeg(found, measures.by_kind(rows), tuple(rows))


def _confidence(rows: Sequence[AnswerRow]) -> Measures:
    confidence = np.array([row.confidence for row in rows])
    answerable = np.array([row.answerable for row in rows], dtype=bool)
    found: Measures = {}
    if answerable.any() and not answerable.all():
        found["auroc"] = auroc_estimate(confidence, answerable)
        found["brier"] = resampling.mean((confidence - answerable) ** 2)
        found["ece"] = resampling.statistic(
            lambda drawn: np.array([ece(confidence[i], answerable[i]) for i in drawn]),
            len(rows),
            rounds=CURVE_ROUNDS,
            centred=True,
        )
    right = np.array([row.right for row in rows], dtype=bool)
    return found | {"aurc": aurc_estimate(confidence, right)}


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


def ece(confidence: Floats, right: Bools, bins: int = 10) -> float:
    """Expected calibration error: |share right − confidence|, weighted by bin (Naeini 2015)."""
    return sum(
        b.count * abs(b.share - b.confidence) for b in reliability(confidence, right, bins)
    ) / max(len(confidence), 1)
