"""Values worked out by hand on sets small enough to do so, and properties on generated ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from index.evaluation import abstention, measures, resampling

QRELS = {"a": {"d1": 1}, "b": {"d2": 1, "d3": 2}, "missing": {"d4": 1}}
RANKED = {"a": ["d9", "d1"], "b": ["d3", "d9", "d8", "d7", "d2"]}


def test_retrieval_measures_agree_with_values_worked_out_by_hand() -> None:
    rows = measures.retrieval(QRELS, RANKED)
    assert rows["a"] == pytest.approx(
        {"R@1": 0, "R@5": 1, "R@10": 1, "RR@10": 0.5, "nDCG@10": 1 / math.log2(3)}
    )
    # Gains: grade 2 at rank 1, grade 1 at rank 5; ideally 2 then 1.
    ndcg = (2 + 1 / math.log2(6)) / (2 + 1 / math.log2(3))
    assert rows["b"] == pytest.approx(
        {"R@1": 0.5, "R@5": 1, "R@10": 1, "RR@10": 1, "nDCG@10": ndcg}, abs=1e-6
    )


def test_a_query_missing_from_the_run_counts_zero() -> None:
    rows = measures.retrieval(QRELS, RANKED)
    assert rows["missing"] == dict.fromkeys(measures.JUDGED, 0.0)
    assert measures.retrieval(QRELS, {})["a"]["R@10"] == 0.0


def test_the_order_of_a_ranking_is_kept_whatever_the_ids_are_called() -> None:
    for ranking in (["z", "a", "m"], ["a", "m", "z"], ["m", "z", "a"]):
        rows = measures.retrieval({"q": {"m": 1}}, {"q": ranking})
        assert rows["q"]["RR@10"] == pytest.approx(1 / (ranking.index("m") + 1))


def test_auroc_by_hand_with_ties_counting_half() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.1])
    positive = np.array([True, True, False, False])
    # pairs: .9>.5, .9>.1, .5=.5 (half), .5>.1
    assert abstention.auroc(scores, positive) == pytest.approx(3.5 / 4)
    assert math.isnan(abstention.auroc(scores, np.ones(4, dtype=bool)))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: len({label for _, label in rows}) == 2
    )
)
def test_auroc_agrees_with_the_mann_whitney_statistic(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows], dtype=float)
    positive = np.array([label for _, label in rows])
    u = mannwhitneyu(scores[positive], scores[~positive]).statistic
    expected = u / (positive.sum() * (~positive).sum())
    assert abstention.auroc(scores, positive) == pytest.approx(expected)
    estimate = abstention.auroc_estimate(scores, positive)
    assert estimate.value == pytest.approx(expected)
    assert 0 <= estimate.low <= estimate.high <= 1


def test_risk_coverage_by_hand() -> None:
    confidence = np.array([0.2, 0.9, 0.6, 0.4])
    correct = np.array([False, True, False, True])
    coverage, risk = abstention.risk_coverage(confidence, correct)
    assert coverage == pytest.approx([0.25, 0.5, 0.75, 1])
    assert risk == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    estimate = abstention.aurc_estimate(confidence, correct)
    assert estimate.value == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)


def test_within_a_tie_no_order_is_better_than_another() -> None:
    confidence = np.array([0.5, 0.5, 0.5, 0.5])
    for correct in ([True, True, False, False], [False, False, True, True]):
        _, risk = abstention.risk_coverage(confidence, np.array(correct))
        assert risk == pytest.approx([0.5] * 4)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_full_coverage_risks_the_overall_error(rows: list[tuple[float, bool]]) -> None:
    confidence = np.array([c for c, _ in rows])
    correct = np.array([r for _, r in rows])
    coverage, risk = abstention.risk_coverage(confidence, correct)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(1 - correct.mean())
    bins = abstention.reliability(confidence, correct)
    assert sum(b.count for b in bins) == len(rows)
    assert 0 <= abstention.ece(confidence, correct) <= 1


def test_reliability_and_calibration_error_by_hand() -> None:
    confidence = np.array([0.95, 0.91, 0.05, 1.0])
    right = np.array([True, False, False, True])
    low, high = abstention.reliability(confidence, right)
    assert (low.count, low.confidence, low.share) == (1, pytest.approx(0.05), 0)
    assert (high.count, high.confidence) == (3, pytest.approx(2.86 / 3))
    assert high.share == pytest.approx(2 / 3)
    expected = (1 * 0.05 + 3 * (2.86 / 3 - 2 / 3)) / 4
    assert abstention.ece(confidence, right) == pytest.approx(expected)


def test_latency_percentiles_by_hand() -> None:
    found = measures.latency(list(range(100, 0, -1)))
    assert found["p50_ms"].value == 51
    assert found["p95_ms"].value == 96
    assert measures.latency([]) == {}


def test_the_mean_has_the_interval_that_theory_gives() -> None:
    values = np.array([1.0] * 800 + [0.0] * 200)
    estimate = resampling.mean(values)
    spread = 1.96 * math.sqrt(0.8 * 0.2 / 1000)
    assert estimate.value == pytest.approx(0.8)
    assert estimate.low == pytest.approx(0.8 - spread, abs=0.003)
    assert estimate.high == pytest.approx(0.8 + spread, abs=0.003)
    assert resampling.mean(values) == estimate  # seeded
    assert resampling.mean(np.array([])).n == 0


def test_the_two_bootstraps_agree() -> None:
    values = np.random.default_rng(1).random(300)
    fast = resampling.mean(values)
    general = resampling.statistic(lambda drawn: values[drawn].mean(axis=1), len(values))
    assert general.value == pytest.approx(fast.value)
    assert general.low == pytest.approx(fast.low, abs=0.005)
    assert general.high == pytest.approx(fast.high, abs=0.005)


def test_the_paired_test_counts_all_swaps_of_a_small_set() -> None:
    before, after = np.array([0.0, 0, 0, 1]), np.array([1.0, 1, 1, 1])
    difference = resampling.paired(before, after)
    assert difference.p == pytest.approx(2 / 8)  # all three better, or all three worse
    assert (difference.value, difference.better, difference.worse) == (0.75, 3, 0)
    assert resampling.paired(after, after).p == 1.0
    mixed = resampling.paired(np.array([1.0, 0, 0]), np.array([0.0, 1, 0]))
    assert (mixed.value, mixed.p, mixed.better, mixed.worse) == (0.0, 1.0, 1, 1)


def test_the_paired_test_of_a_large_set_is_near_the_exact_one() -> None:
    before = np.zeros(400)
    after = np.zeros(400)
    after[:30], before[30:45] = 1, 1  # 30 better, 15 worse: sign test, two-sided
    exact = 2 * sum(math.comb(45, k) for k in range(16)) / 2**45
    assert resampling.paired(before, after).p == pytest.approx(exact, abs=0.01)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_swapping_the_runs_turns_the_difference_round(rows: list[tuple[int, int]]) -> None:
    a = np.array([x for x, _ in rows], dtype=float)
    b = np.array([y for _, y in rows], dtype=float)
    forth, back = resampling.paired(a, b, rounds=500), resampling.paired(b, a, rounds=500)
    assert forth.value == pytest.approx(-back.value)
    assert (forth.better, forth.worse) == (back.worse, back.better)
    assert forth.p == pytest.approx(back.p, abs=0.1)
    assert 0 < forth.p <= 1


def test_the_interval_of_a_calibration_error_holds_its_value() -> None:
    rng = np.random.default_rng(5)
    confidence = rng.random(400)
    right = rng.random(400) < confidence  # calibrated: every resample looks worse than the set
    estimate = resampling.statistic(
        lambda drawn: np.array([abstention.ece(confidence[i], right[i]) for i in drawn]),
        400,
        rounds=200,
        centred=True,
    )
    assert 0 <= estimate.low <= estimate.value <= estimate.high
