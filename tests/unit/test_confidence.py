from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.confidence import Calibration
from index.errors import SettingsError

VALUES = st.floats(-50, 50)


@given(
    st.dictionaries(st.text(max_size=5), VALUES),
    st.dictionaries(st.text(max_size=5), VALUES),
    VALUES,
)
def test_a_probability_lies_between_0_and_1(
    weights: dict[str, float], features: dict[str, float], bias: float
) -> None:
    assert 0 <= Calibration(weights, bias).probability(features) <= 1


@given(VALUES, VALUES, st.floats(0.01, 5))
def test_more_of_what_speaks_for_an_answer_makes_it_surer(
    low: float, high: float, weight: float
) -> None:
    calibration = Calibration({"for": weight, "against": -weight}, 0.0)
    low, high = sorted((low, high))
    assert calibration.probability({"for": low}) <= calibration.probability({"for": high})
    assert calibration.probability({"against": low}) >= calibration.probability({"against": high})


def test_log_odds_are_what_they_say() -> None:
    calibration = Calibration({"a": 2.0, "b": -1.0}, 0.5)
    assert calibration.probability({}) == pytest.approx(0.6224593)
    assert calibration.probability({"a": 1.0, "b": 2.5, "c": 9.0}) == pytest.approx(0.5)


def test_the_shipped_one_tells_evidence_from_none() -> None:
    shipped = Calibration()
    good = {name: 1.0 for name, weight in shipped.weights.items() if weight > 0}
    bad = {name: 1.0 for name, weight in shipped.weights.items() if weight < 0}
    assert shipped.probability(good) > 0.9
    assert shipped.probability(bad) < 0.1


def test_an_encoder_without_a_close_reader_has_weights_of_its_own() -> None:
    seen = {"lexical": 0.2, "dense": 0.2, "late": 0.5, "late_weakest": 0.2}
    stands_out = {**seen, "close": 0.0, "read_closely": 0.0}
    assert Calibration().probability(seen) < Calibration().probability(stands_out)


def test_a_version_within_what_the_passage_names_makes_it_surer() -> None:
    seen = {"lexical": 0.5, "dense": 0.4, "late": 0.6}
    outside, unsaid, within = (
        Calibration().probability({**seen, "version": said}) for said in (-1.0, 0.0, 1.0)
    )
    assert outside < unsaid < within


def test_a_team_has_its_own(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    assert Calibration.read(path).weights == Calibration().weights
    path.write_text(json.dumps({"weights": {"late": 3}, "bias": -1, "threshold": 0.7}))
    read = Calibration.read(path)
    assert (read.weights, read.bias, read.threshold) == ({"late": 3.0}, -1.0, 0.7)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"weights": {}}', '{"weights": [], "bias": 0, "threshold": 1}',
     '{"weights": {"a": "x"}, "bias": 0, "threshold": 1}',
     '{"weights": {"of_another_version": 1}, "bias": 0, "threshold": 1}', "\udcff"],
)  # fmt: skip
def test_a_calibration_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=r"calibration\.json") as error:
        Calibration.read(path)
    assert "kiku eval" in error.value.hint
