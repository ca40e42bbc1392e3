from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.generation import TokenVectors
from index.rerank import QueryTokens, max_similarity, sentence_similarity

DIMENSION = 6


def tokens_of(lengths: list[int], seed: int = 0, titles: int = 0) -> TokenVectors:
    """Chunks of so many tokens, three characters each, behind `titles` tokens of a title line."""
    total = sum(lengths)
    vectors = np.random.default_rng(seed).integers(-127, 128, (total, DIMENSION)).astype(np.int8)
    starts = [max(0, 3 * (place - titles) + 1) for length in lengths for place in range(length)]
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    return TokenVectors(vectors, bounds, np.array(starts, dtype=np.uint16))


def query_of(count: int, seed: int = 1) -> QueryTokens:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((count, DIMENSION)).astype(np.float32)
    return QueryTokens.of(vectors, random.random(count).astype(np.float32))


def naive(query: QueryTokens, rows: np.ndarray) -> float:
    """MaxSim as it is defined: every token of the question looks for its best one."""
    if not len(rows):
        return 0.0
    total = 0.0
    for vector, weight in zip(query.vectors, query.weights, strict=True):
        total += weight * max(float(vector @ (row.astype(np.float32) / 127)) for row in rows)
    return total


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=8),
    st.integers(0, 6),
    st.integers(0, 1000),
    st.data(),
)
def test_scores_are_those_of_the_definition(
    lengths: list[int], asked: int, seed: int, data: st.DataObject
) -> None:
    tokens, query = tokens_of(lengths, seed), query_of(asked, seed + 1)
    chunks = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=6))
    expected = [
        naive(query, tokens.vectors[tokens.bounds[chunk] : tokens.bounds[chunk + 1]])
        for chunk in chunks
    ]
    found = max_similarity(query, tokens, chunks)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 3), st.sets(st.integers(0, 40), max_size=6))
def test_a_sentence_is_scored_by_the_tokens_that_begin_in_it(
    length: int, titles: int, cuts: set[int]
) -> None:
    tokens, query = tokens_of([4, length], titles=titles), query_of(3)
    spans = list(pairwise(sorted(cuts)))
    rows, starts = tokens.vectors[4:], tokens.starts[4:]
    expected = [
        naive(query, rows[[s > 0 and first <= s - 1 < last for s in starts.tolist()]])
        for first, last in spans
    ]
    found = sentence_similarity(query, tokens, 1, spans)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4, atol=1e-5)
    assert (found[:, 1] >= found[:, 0] - 1e-6).all()


def test_a_sentence_is_helped_by_its_title_and_neighbours() -> None:
    vectors = np.array([[0, 0, 127], [127, 0, 0], [0, 127, 0]], np.int8)
    tokens = TokenVectors(vectors, np.array([0, 3]), np.array([0, 1, 4], np.uint16))
    query = QueryTokens.of(np.eye(3, dtype=np.float32), np.ones(3, np.float32))
    found = sentence_similarity(query, tokens, 0, [(0, 3), (3, 6)])
    # each holds one of three tokens; its neighbour counts 0.8 (the weakest) and the title line 0.9
    np.testing.assert_allclose(found, [[1 / 3, (1 + 0.8 + 0.9) / 3, 0.8]] * 2, rtol=1e-4)


def test_one_case_counted_by_hand() -> None:
    vectors = np.array([[127, 0], [0, 127], [-127, 0]], np.int8)
    tokens = TokenVectors(vectors, np.array([0, 2, 3]), np.array([1, 2, 1], np.uint16))
    asked = np.array([[1, 0], [0.6, 0.8]], np.float32)
    query = QueryTokens.of(asked, np.array([3, 1], np.float32))
    assert query.weights.tolist() == [0.75, 0.25]
    # chunk 0: 0.75 × 1 + 0.25 × 0.8; chunk 1: 0.75 × −1 + 0.25 × −0.6
    assert max_similarity(query, tokens, [1, 0]).tolist() == pytest.approx([-0.9, 0.95])


def test_weights_of_nothing_stay_nothing() -> None:
    query = QueryTokens.of(np.ones((2, DIMENSION), np.float32), np.zeros(2, np.float32))
    assert max_similarity(query, tokens_of([3]), [0]).tolist() == [0.0]
    empty = QueryTokens.of(np.zeros((0, DIMENSION), np.float32), np.zeros(0, np.float32))
    assert max_similarity(empty, tokens_of([3]), [0]).tolist() == [0.0]
    assert sentence_similarity(empty, tokens_of([3]), 0, [(0, 3)]).tolist() == [[0.0, 0.0, 0.0]]
    assert max_similarity(query_of(2), tokens_of([3]), []).shape == (0,)
