from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.confidence import Calibration
from bot.evaluation import save_calibration
from bot.settings import Settings
from bot.wiring import CALIBRATION_FILE, read_calibration
from index.errors import DatasetError
from index.evaluation import calibration
from index.evaluation.abstention import Bools, auroc
from index.evaluation.calibration import Logistic

SHIPPED = Logistic({"lexical": 4.0, "late": 2.0, "expected": 0.1}, -4.6)


def questions(n: int, *, seed: int = 1) -> tuple[list[dict[str, float]], Bools, Bools]:
    """Features of which both matter, the second more than SHIPPED believes; 70 % answerable."""
    rng = np.random.default_rng(seed)
    answerable = rng.random(n) < 0.7
    lexical = rng.normal(answerable * 0.3 + 0.4, 0.3)
    late = rng.normal(answerable * 0.6 + 0.1, 0.3)
    rows = [
        {"lexical": float(a), "late": float(b), "expected": 1.0}
        for a, b in zip(lexical, late, strict=True)
    ]
    return rows, answerable, answerable & (rng.random(n) < 0.9)


def test_few_questions_stretch_the_confidence_and_keep_its_order() -> None:
    rows, answerable, right = questions(120)
    found = calibration.calibrate(rows, answerable, right, SHIPPED, 0.5)
    assert not found.full
    ratio = found.model.weights["late"] / found.model.weights["lexical"]
    assert ratio == pytest.approx(0.5)
    before, after = SHIPPED.probability(rows), found.model.probability(rows)
    assert (np.argsort(before) == np.argsort(after)).all()
    assert found.after.brier < found.before.brier
    assert found.after.ece < found.before.ece


def test_many_questions_fit_every_weight_and_drop_what_never_changes() -> None:
    rows, answerable, right = questions(1500)
    found = calibration.calibrate(rows, answerable, right, SHIPPED, 0.5)
    assert found.full
    assert set(found.model.weights) == {"lexical", "late"}
    assert found.model.weights["late"] > found.model.weights["lexical"]
    assert found.after.auroc > found.before.auroc
    # The generating model: two normal classes of equal spread give weight = shift ÷ variance.
    assert found.model.weights["lexical"] == pytest.approx(0.3 / 0.09, rel=0.25)
    assert found.model.weights["late"] == pytest.approx(0.6 / 0.09, rel=0.25)


def test_separable_questions_do_not_blow_up() -> None:
    rows = [{"lexical": float(i >= 15), "late": 0.0} for i in range(60)]
    answerable = np.array([i >= 15 for i in range(60)])
    found = calibration.calibrate(rows, answerable, answerable, SHIPPED, 0.5)
    assert all(math.isfinite(weight) for weight in found.model.weights.values())
    probability = found.model.probability(rows)
    assert probability[answerable].min() > found.threshold > probability[~answerable].max()
    assert found.after.handled == 1


def test_a_confidence_that_points_the_wrong_way_is_refused() -> None:
    rows, answerable, right = questions(200)
    with pytest.raises(DatasetError, match="較正できません"):
        calibration.calibrate(rows, ~answerable, ~right, SHIPPED, 0.5)


@pytest.mark.parametrize(("yes", "no"), [(19, 50), (50, 9), (0, 0)])
def test_too_few_questions_are_refused_with_the_numbers(yes: int, no: int) -> None:
    answerable = np.array([True] * yes + [False] * no, dtype=bool)
    rows = [{"lexical": 1.0}] * len(answerable)
    with pytest.raises(DatasetError, match=f"いまは {yes} 件と {no} 件") as raised:
        calibration.calibrate(rows, answerable, answerable, SHIPPED, 0.5)
    assert '"answers": []' in raised.value.hint


def test_the_threshold_lies_in_the_middle_of_the_widest_best_gap() -> None:
    confidence = np.array([0.1, 0.2, 0.6, 0.9, 0.95])
    answerable = np.array([False, False, True, True, True])
    assert calibration.best_threshold(confidence, answerable, answerable) == pytest.approx(0.4)
    wrong_at_06 = np.array([False, False, False, True, True])
    assert calibration.best_threshold(confidence, answerable, wrong_at_06) == pytest.approx(0.4)


@settings(deadline=None)
@example([(0.0, True, True), (1.0, False, False)])
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_no_threshold_handles_more_than_the_best(rows: list[tuple[float, bool, bool]]) -> None:
    confidence = np.array([round(c, 3) for c, _, _ in rows])
    answerable = np.array([a for _, a, _ in rows])
    right = answerable & np.array([r for _, _, r in rows])
    if answerable.all() or not answerable.any():
        return

    def handled(threshold: float) -> float:
        answered = confidence >= threshold
        return float((answered & right)[answerable].mean() + (~answered)[~answerable].mean())

    best = handled(calibration.best_threshold(confidence, answerable, right))
    assert all(handled(t) <= best + 1e-9 for t in np.linspace(0, 1, 21))


def test_stretching_leaves_the_auroc_as_it_was() -> None:
    rows, answerable, right = questions(300)
    found = calibration.calibrate(rows, answerable, right, SHIPPED, 0.5)
    assert auroc(found.model.probability(rows), answerable) == pytest.approx(
        auroc(SHIPPED.probability(rows), answerable)
    )


def test_what_is_saved_is_what_the_bot_reads(tmp_path: Path) -> None:
    rows, answerable, right = questions(120)
    found = calibration.calibrate(rows, answerable, right, SHIPPED, 0.5)
    save_calibration(tmp_path / "home", found)
    read = Calibration.read(tmp_path / "home" / CALIBRATION_FILE)
    assert read.threshold == found.threshold
    assert [read.probability(row) for row in rows] == pytest.approx(
        found.model.probability(rows).tolist()
    )
    assert set(json.loads((tmp_path / "home" / CALIBRATION_FILE).read_text())) >= {
        "weights", "bias", "threshold",
    }  # fmt: skip


def test_a_threshold_that_is_set_wins_over_the_fitted_one(tmp_path: Path) -> None:
    rows, answerable, right = questions(120)
    found = calibration.calibrate(rows, answerable, right, SHIPPED, 0.5)
    save_calibration(tmp_path, found)
    assert read_calibration(Settings(home=tmp_path)).threshold == found.threshold
    chosen = read_calibration(Settings(home=tmp_path, threshold=0.8))
    assert chosen.threshold is None
    assert chosen.weights == pytest.approx(found.model.weights)
