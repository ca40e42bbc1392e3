"""Fitting a confidence to questions whose outcome is known.

The confidence is a logistic model of named features. A few questions cannot say how each feature
weighs, so they only stretch and shift the log odds (Platt 1999, "Probabilistic outputs for support
vector machines", its smoothed targets included); from FULL questions on, all weights are fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from index.errors import DatasetError
from index.evaluation.abstention import Bools, auroc, ece
from index.evaluation.resampling import SEED, Floats

LEAST_ANSWERABLE = 20
LEAST_UNANSWERABLE = 10
FULL = 1000
PENALTY = 1.0
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Logistic:
    """Log odds = `bias` + Σ weight · feature."""

    weights: dict[str, float]
    bias: float

    def log_odds(self, rows: Sequence[Mapping[str, float]]) -> Floats:
        """Of each row, float64 (n,), kept within ±30."""
        table = _table(rows, list(self.weights))
        odds = table @ np.array(list(self.weights.values()), dtype=np.float64) + self.bias
        return np.asarray(np.clip(odds, -30, 30), dtype=np.float64)

    def probability(self, rows: Sequence[Mapping[str, float]]) -> Floats:
        """Of each row, float64 (n,), 0…1."""
        return _sigmoid(self.log_odds(rows))


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a confidence with its threshold is; `handled` as in `best_threshold`."""

    auroc: float
    ece: float
    brier: float
    handled: float
    answered: float
    refused: float


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A fitted confidence. `after` is cross-validated: no question is judged by a model that saw
    it."""

    model: Logistic
    threshold: float
    before: Quality
    after: Quality
    full: bool


def calibrate(
    features: Sequence[Mapping[str, float]],
    answerable: Bools,
    right: Bools,
    current: Logistic,
    threshold: float,
    *,
    full_from: int = FULL,
) -> Calibrated:
    """Fits the confidence to n questions and chooses the threshold.

    `answerable` and `right` (n,) tell whether the documents answer, and whether the first quote
    is right. Raises DatasetError for too few questions or where the fit would turn the confidence
    upside down.
    """
    refuse_too_few(answerable)
    full = len(features) >= full_from
    rng = np.random.default_rng(SEED)
    fold = np.empty(len(features), dtype=int)
    for label in (True, False):  # each fold has its share of either class
        places = rng.permutation(np.flatnonzero(answerable == label))
        fold[places] = np.arange(len(places)) % FOLDS
    held_out = np.empty(len(features))
    chosen = np.empty(len(features), dtype=bool)
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        train = _at(features, inside)
        model = _fit(train, answerable[inside], current, full)
        limit = best_threshold(model.probability(train), answerable[inside], right[inside])
        held_out[outside] = model.probability(_at(features, outside))
        chosen[outside] = held_out[outside] >= limit
    model = _fit(features, answerable, current, full)
    before = current.probability(features)
    return Calibrated(
        model,
        best_threshold(model.probability(features), answerable, right),
        quality(before, before >= threshold, answerable, right),
        quality(held_out, chosen, answerable, right),
        full,
    )


def refuse_too_few(answerable: Bools) -> None:
    """Raises DatasetError unless there are enough questions of both kinds to learn from."""
    yes, no = int(answerable.sum()), int((~answerable).sum())
    if yes < LEAST_ANSWERABLE or no < LEAST_UNANSWERABLE:
        raise DatasetError(
            f"較正には答えられる質問が {LEAST_ANSWERABLE} 件、答えられない質問が"
            f" {LEAST_UNANSWERABLE} 件以上必要です（いまは {yes} 件と {no} 件）。",
            hint='文書に答えのない質問を "answers": [] として加えてください。',
        )


def best_threshold(confidence: Floats, answerable: Bools, right: Bools) -> float:
    """The threshold that handles most questions rightly, both kinds counting the same: answerable
    ones answered rightly, unanswerable ones refused. In the middle of the widest such gap."""
    # The edge below 0 stands for answering everything, what has no confidence at all included.
    edges = np.unique(np.concatenate([[-1e-9, 0.0, 1.0], confidence]))
    middles = (edges[:-1] + edges[1:]) / 2
    good = np.sort(confidence[answerable & right])
    bad = np.sort(confidence[~answerable])
    answered = 1 - np.searchsorted(good, middles) / max(int(answerable.sum()), 1)
    refused = np.searchsorted(bad, middles) / max(len(bad), 1)
    handled = answered + refused
    best = np.flatnonzero(handled >= handled.max() - 1e-12)
    widest = best[np.argmax(np.diff(edges)[best])]
    return float(np.round(max(0.0, middles[widest]), 4))


def quality(confidence: Floats, answered: Bools, answerable: Bools, right: Bools) -> Quality:
    """How good `confidence` (n,) and the decisions `answered` (n,) are."""
    answered_rightly = float((answered & right)[answerable].mean())
    refused = float((~answered)[~answerable].mean())
    return Quality(
        auroc(confidence, answerable),
        ece(confidence, answerable),
        float(np.mean((confidence - answerable) ** 2)),
        (answered_rightly + refused) / 2,
        answered_rightly,
        refused,
    )


def _fit(
    rows: Sequence[Mapping[str, float]], answerable: Bools, current: Logistic, full: bool
) -> Logistic:
    if full:
        return _fit_all(rows, answerable, list(current.weights))
    odds = current.log_odds(rows)[:, None]
    (slope,), shift = _logistic(odds, answerable, penalty=0.0)
    if slope <= 0:
        raise DatasetError(
            "この質問では、確信度が高いほど答えられないという結果になり、較正できません。",
            hint="質問の answers が正しいか、索引に文書が入っているかを確かめてください。",
        )
    weights = {name: float(slope * weight) for name, weight in current.weights.items()}
    return Logistic(weights, float(slope * current.bias + shift))


def _fit_all(rows: Sequence[Mapping[str, float]], answerable: Bools, names: list[str]) -> Logistic:
    table = _table(rows, names)
    spread = table.std(axis=0)
    kept = spread > 1e-9  # a feature that never changes says nothing
    names = [name for name, keep in zip(names, kept, strict=True) if keep]
    table, spread = table[:, kept], spread[kept]
    centre = table.mean(axis=0)
    weights, bias = _logistic((table - centre) / spread, answerable, penalty=PENALTY)
    weights = weights / spread
    return Logistic(
        dict(zip(names, map(float, weights), strict=True)), float(bias - weights @ centre)
    )


def _logistic(table: Floats, positive: Bools, *, penalty: float) -> tuple[Floats, float]:
    """Maximum-likelihood weights and bias with an L2 penalty on the weights, by L-BFGS."""
    from scipy.optimize import minimize

    yes, no = int(positive.sum()), int((~positive).sum())
    target = np.where(positive, (yes + 1) / (yes + 2), 1 / (no + 2))

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weights, bias = parameters[:-1], parameters[-1]
        odds = table @ weights + bias
        value = np.logaddexp(0, odds).sum() - target @ odds + penalty / 2 * weights @ weights
        error = _sigmoid(odds) - target
        return float(value), np.append(table.T @ error + penalty * weights, error.sum())

    found = minimize(loss, np.zeros(table.shape[1] + 1), jac=True, method="L-BFGS-B")
    return found.x[:-1], float(found.x[-1])


def _at(rows: Sequence[Mapping[str, float]], chosen: Bools) -> list[Mapping[str, float]]:
    return [row for row, keep in zip(rows, chosen, strict=True) if keep]


def _table(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    return np.array([[row.get(name, 0.0) for name in names] for row in rows], dtype=np.float64)


def _sigmoid(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), dtype=np.float64)
