"""The reader: what it sees of a passage, and that it computes what was trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from index.reader import REACHES, Reader, features, standing

if TYPE_CHECKING:
    import torch

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

    from index.training.reader_network import ReaderNetwork

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
    from index.training.reader import odds_of
    from index.training.reader_network import ReaderNetwork

    (tmp_path / "digests.json").write_text("{}")
    trained = network()
    trained.eval()
    add_reader(trained, tmp_path)
    assert list(json.loads((tmp_path / "digests.json").read_text())) == ["reader.npz"]
    reader = Reader.open(tmp_path)
    assert reader is not None
    shown, weights, passages = case(4)
    theirs = odds_of(trained, [shown])[0].detach().numpy()
    again = odds_of(ReaderNetwork.of(tmp_path, DIMENSION).eval(), [shown])[0].detach().numpy()
    np.testing.assert_allclose(again, theirs, atol=1e-5)
    ours = np.concatenate(reader.read(shown.tokens, weights, passages))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_reader_learns_what_is_asked_for_and_where() -> None:
    pytest.importorskip("torch")
    from index.training.reader import first_right, train_reader

    cases = [case(seed)[0] for seed in range(400)]
    checked = [case(seed)[0] for seed in range(1000, 1060)]
    before = first_right(network(), checked)
    after = first_right(train_reader(network(), cases, checked, epochs=15), checked)
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


def padded(arrays: list[np.ndarray], wide: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Arrays (tᵢ, d) as one tensor (n, wide, d), and which of its rows are real."""
    import torch

    told = torch.zeros(len(arrays), wide, DIMENSION)
    real = torch.zeros(len(arrays), wide, dtype=torch.bool)
    for place, array in enumerate(arrays):
        told[place, : len(array)] = torch.from_numpy(array)
        real[place, : len(array)] = True
    return told, real


def test_what_is_seen_in_training_is_what_is_seen_in_serving() -> None:
    torch = pytest.importorskip("torch")
    from index.training import reader_network as reading

    questions = [unit(5), unit(8, seed=4)]
    shares = [weights_of(5), weights_of(8)]
    passages = [[unit(90, seed=1), unit(33, seed=2)], [unit(12, seed=5), unit(70, seed=6)]]
    tokens, asks = padded(questions, 9)
    weights = torch.zeros(2, 9)
    for place, share in enumerate(shares):
        weights[place, : len(share)] = torch.from_numpy(share)
    rows, real = padded([p for held in passages for p in held], 90)
    rows, real = rows.view(2, 2, 90, -1), real.view(2, 2, 90)
    theirs = reading.features(tokens, asks, weights, rows, real)
    for number, held in enumerate(passages):
        ours = features(questions[number], shares[number], held)
        told = torch.cat([theirs[number, k, : len(p)] for k, p in enumerate(held)])
        np.testing.assert_allclose(ours, told.numpy(), atol=1e-5)


def test_the_reading_loss_runs_on_into_the_tokens_and_wants_the_answer() -> None:
    torch = pytest.importorskip("torch")
    from torch.nn import functional as F

    from index.training import reader_network as reading
    from index.training.batches import Batch
    from index.training.student import Encoded

    batch = Batch(
        "passages", ["いつ"], [["", "昔の話。", "それは1853年。"], ["", "1853年と別の話。"]]
    )
    batch.positive, batch.sentence, batch.answers = [0], [2], [("1853年",)]
    begun = [np.arange(13), np.arange(10)]  # a token a letter
    asked = reading.chosen_questions(batch, begun, torch.zeros(1, 2), step=0)
    assert asked.right[0, 0].nonzero().flatten().tolist() == list(range(7, 12))
    assert asked.unjudged[0, 1].nonzero().flatten().tolist() == list(range(5))
    assert not asked.right[0, 1].any()

    def encoded(count: int, wide: int) -> Encoded:
        tokens = F.normalize(torch.randn(count, wide, DIMENSION), dim=-1).requires_grad_()
        mask = torch.ones(count, wide, dtype=torch.bool)
        nothing = torch.zeros(count, 0)
        return Encoded(nothing, tokens, torch.ones(count, wide), mask, nothing, mask)

    queries, documents, reader = encoded(1, 3), encoded(2, 13), network()
    shown = replace(asked, taken_away=torch.tensor([False]))
    loss = reading.reading_loss(reader, queries, documents, shown)
    loss.backward()
    assert queries.tokens.grad is not None
    assert queries.tokens.grad.abs().sum() > 0
    with torch.no_grad():
        documents.tokens -= 5 * documents.tokens.grad
        assert reading.reading_loss(reader.eval(), queries, documents, shown) < loss
