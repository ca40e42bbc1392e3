"""The reader: what it sees of a passage, and that it computes what was trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from index.reader import REACHES, Reader, features, standing

DIMENSION = 16


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((*shape, DIMENSION)).astype(np.float32)
    unit_rows: np.ndarray = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return unit_rows


def weights_of(count: int) -> np.ndarray:
    weights = np.random.default_rng(9).random(count).astype(np.float32)
    shares: np.ndarray = weights / weights.sum()
    return shares


def test_what_is_met_nearby_is_seen_within_each_reach_and_not_beyond() -> None:
    tokens, weights = unit(5), weights_of(5)
    passages = [unit(40, seed=1), unit(9, seed=2), unit(200, seed=3)]
    seen = features(tokens, weights, passages)
    begun = 0
    for passage in passages:
        similarity = tokens @ passage.T
        for token in range(len(passage)):
            row = seen[begun + token]
            assert row[DIMENSION] == pytest.approx(similarity[:, token].max(), abs=1e-5)
            for number, reach in enumerate(REACHES):
                near = similarity[:, max(0, token - reach) : token + reach + 1].max(axis=1)
                assert row[DIMENSION + 2 + 2 * number] == pytest.approx(weights @ near, abs=1e-5)
        begun += len(passage)


def test_passages_do_not_see_each_other() -> None:
    tokens, weights = unit(4), weights_of(4)
    one, other = unit(30, seed=1), unit(30, seed=2)
    together = features(tokens, weights, [one, other])
    np.testing.assert_allclose(together[:30], features(tokens, weights, [one]), atol=1e-6)
    np.testing.assert_allclose(together[30:], features(tokens, weights, [other]), atol=1e-6)


def test_an_empty_question_and_an_empty_passage_are_read_too() -> None:
    pytest.importorskip("torch")
    reader = Reader(network().weights())
    assert [len(o) for o in reader.read(unit(0), weights_of(0), [unit(3), unit(0)])] == [3, 0]
    assert [len(o) for o in reader.read(unit(2), weights_of(2), [unit(3), unit(0)])] == [3, 0]


def test_standing_adds_up_odds_and_stays_within_bounds() -> None:
    assert standing(np.array([], np.float32)) == -1.0
    assert standing(np.array([0.0, 0.0])) == pytest.approx(np.log(2) / 10)
    assert standing(np.array([99.0])) == 1.0
    assert standing(np.array([-99.0, -99.0])) == -1.0
    assert standing(np.array([2.0, 1.0])) > standing(np.array([2.0]))


def network():  # type: ignore[no-untyped-def]
    import torch

    from index.training.reader import ReaderNetwork

    torch.manual_seed(3)
    return ReaderNetwork(DIMENSION)


def case(seed: int):  # type: ignore[no-untyped-def]
    """A question of one of two kinds about one of three topics; four passages hold, beside filler,
    a topic and a thing of either kind next to it. The right token is of the kind and beside the
    topic asked for."""
    from index.training.reader import Case

    chooser = np.random.default_rng(seed)
    kinds, topics = unit(2, seed=100), unit(3, seed=101)
    asks = unit(2, seed=102)  # how a question says which kind it wants
    kind, topic = int(chooser.integers(2)), int(chooser.integers(3))
    tokens = np.stack([topics[topic], asks[kind]])
    weights = np.array([0.7, 0.3], np.float32)
    passages, right = [], []
    for about in range(3):
        filler = unit(24, seed=seed * 7 + about)
        place = int(chooser.integers(4, 20))
        filler[place], filler[place + 1], filler[place - 1] = topics[about], *kinds
        passages.append(filler)
        own = np.zeros(24, bool)
        own[place + 1 if kind == 0 else place - 1] = about == topic
        right.append(own)
    seen = features(tokens, weights, passages)
    rows, answers = np.concatenate(passages), np.concatenate(right)
    return Case(tokens, rows, seen, answers, np.zeros_like(answers)), weights, passages


def test_the_reader_computes_what_was_trained(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from index.training.export import add_reader

    (tmp_path / "digests.json").write_text("{}")
    trained = network()
    trained.eval()
    add_reader(trained, tmp_path)
    assert list(json.loads((tmp_path / "digests.json").read_text())) == ["reader.npz"]
    reader = Reader.open(tmp_path)
    assert reader is not None
    shown, weights, passages = case(4)
    theirs = trained([shown])[0].detach().numpy()
    ours = np.concatenate(reader.read(shown.tokens, weights, passages))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_reader_learns_what_is_asked_for_and_where() -> None:
    pytest.importorskip("torch")
    from index.training.reader import first_right, train_reader

    cases = [case(seed)[0] for seed in range(400)]
    checked = [case(seed)[0] for seed in range(1000, 1060)]
    before = first_right(network(), checked)
    after = first_right(train_reader(cases, checked, epochs=15), checked)
    assert after > max(0.9, before)


def test_an_answer_that_is_not_shown_is_not_found() -> None:
    torch = pytest.importorskip("torch")
    from index.training.reader import loss_of

    shown, _, _ = case(4)
    sure = torch.from_numpy(np.where(shown.right, 9.0, -9.0))
    assert loss_of(sure, shown, taken_away=False) < 0.01
    assert loss_of(-sure, shown, taken_away=False) > 5
    assert loss_of(sure, shown, taken_away=True) < 0.01  # the right token cannot be seen
    assert loss_of(-sure, shown, taken_away=True) > 5
