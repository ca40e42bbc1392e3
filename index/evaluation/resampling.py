"""Confidence intervals by the bootstrap and paired tests by randomisation, vectorised and seeded.

Bootstrap: Efron & Tibshirani 1993, percentile interval. Paired randomisation (sign flips) as the
test for retrieval runs: Smucker, Allan & Carterette 2007 (doi:10.1145/1321440.1321528).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.evaluation.records import Estimate

Floats = NDArray[np.float64]
SEED = 20260
ROUNDS = 2000
_BLOCK = 4_000_000
"""Random numbers drawn at once: bounds memory to some tens of megabytes."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`b - a` over `n` shared questions: its mean, 95 % interval and two-sided p-value."""

    value: float
    low: float
    high: float
    p: float
    n: int
    better: int
    worse: int


def mean(values: Floats, *, rounds: int = ROUNDS, seed: int = SEED) -> Estimate:
    """The mean of `values` (n,) with its interval; an empty input gives 0 over 0 questions."""
    n = len(values)
    if not n:
        return Estimate(0.0, 0.0, 0.0, 0)
    # A resample's mean depends only on how often each distinct value is drawn.
    distinct, counts = np.unique(values, return_counts=True)
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(distinct))
    means = np.concatenate(
        [
            rng.multinomial(n, counts / n, size=min(block, rounds - done)) @ distinct / n
            for done in range(0, rounds, block)
        ]
    )
    return estimate(float(np.mean(values)), means, n)


def statistic(
    compute: Callable[[NDArray[np.intp]], Floats],
    n: int,
    *,
    rounds: int = ROUNDS,
    seed: int = SEED,
    centred: bool = False,
) -> Estimate:
    """Any statistic of n rows with its interval.

    `centred` moves the resamples to the value: for one that is larger on any resample, such as a
    calibration error, whose plain interval could lie beside its value.

    `compute` maps row numbers (resamples, n), each resample sorted, to one value a resample.
    """
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // max(n, 1))
    values = []
    for done in range(0, rounds, block):
        size = min(block, rounds - done)
        values.append(compute(np.sort(rng.integers(0, n, (size, n)), axis=1)))
    value = float(compute(np.arange(n)[None, :])[0])
    resampled = np.concatenate(values)
    if centred:
        resampled = np.maximum(resampled - resampled.mean() + value, 0.0)
    return estimate(value, resampled, n)


def paired(a: Floats, b: Floats, *, rounds: int = 10_000, seed: int = SEED) -> Difference:
    """How much better `b` is than `a`, question by question; both (n,), aligned.

    The null hypothesis is that each question's two scores could be swapped. All swaps are tried
    where there are at most `rounds` of them, else `rounds` random ones.
    """
    difference = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    average = mean(difference, seed=seed)
    return Difference(
        average.value,
        average.low,
        average.high,
        _sign_flip(difference[difference != 0], rounds, seed),
        len(difference),
        int((difference > 0).sum()),
        int((difference < 0).sum()),
    )


def paired_statistic(
    compute: Callable[[Floats, NDArray[np.intp]], float],
    a: Floats,
    b: Floats,
    *,
    rounds: int = 1000,
    seed: int = SEED,
) -> Difference:
    """How much higher a statistic of the whole set is on `b` than on `a`, by the paired bootstrap.

    `compute` takes the scores and the row numbers of a resample. Scores of two systems may lie on
    different scales, so they are not swapped: both see the same resampled questions, and p is
    twice the share of resamples on the other side of zero.
    """
    rng = np.random.default_rng(seed)
    n = len(a)
    value = compute(b, np.arange(n)) - compute(a, np.arange(n))
    drawn = (rng.integers(0, n, n) for _ in range(rounds))
    gains = np.array([compute(b, rows) - compute(a, rows) for rows in drawn])
    gains = gains[~np.isnan(gains)]  # a resample without one of the classes has no value
    if not len(gains) or not gains.any():
        return Difference(value, value, value, 1.0, n, 0, 0)
    low, high = np.percentile(gains, [2.5, 97.5])
    tail = min((gains <= 0).mean(), (gains >= 0).mean())
    return Difference(
        value, float(low), float(high), float(min(1.0, max(2 * tail, 1 / rounds))), n, 0, 0
    )


def _sign_flip(changed: Floats, rounds: int, seed: int) -> float:
    if not len(changed):
        return 1.0
    observed = abs(changed.sum()) - 1e-12 * np.abs(changed).sum()
    if 2 ** min(len(changed), 60) <= rounds:
        numbers = np.arange(2 ** len(changed))[:, None] >> np.arange(len(changed))
        totals = np.where(numbers & 1, 1.0, -1.0) @ changed
        return float((np.abs(totals) >= observed).mean())
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(changed))
    extreme = 0
    for done in range(0, rounds, block):
        size = min(block, rounds - done)
        signs = rng.integers(0, 2, (size, len(changed)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ changed) >= observed).sum())
    return (extreme + 1) / (rounds + 1)


def estimate(value: float, resampled: Floats, n: int) -> Estimate:
    """`value` over n questions with the percentile interval of its resamples."""
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n)
