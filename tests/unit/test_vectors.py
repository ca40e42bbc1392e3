"""The contract of every vector index, its values compared with a plain loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from index.errors import IndexDamaged
from index.vectors.contract import VectorIndex
from index.vectors.exact import ExactVectors
from index.vectors.faiss import FaissVectors

ROWS, DIMENSION = 600, 24
Build = Callable[[np.ndarray], VectorIndex]


def unit_rows(rows: int = ROWS, seed: int = 1) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, DIMENSION)).astype(np.float32)
    units: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


def saved(kind: str, folder: Path) -> Build:
    def build(vectors: np.ndarray) -> VectorIndex:
        FaissVectors.build(vectors, kind=kind).save(folder / "v.faiss")
        opened = FaissVectors.open(folder / "v.faiss")
        assert opened.kind == kind
        return opened

    return build


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """FAISS' threads spin while they wait, which on a busy machine takes seconds."""
    faiss = pytest.importorskip("faiss")
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


@pytest.fixture(params=["oracle", "exact", "hnsw", "saved exact", "saved hnsw"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Build:
    """Makes an index of the vectors."""
    how: str = request.param
    if how == "oracle":
        return ExactVectors
    if how.startswith("saved "):
        return saved(how.removeprefix("saved "), tmp_path)
    return lambda vectors: FaissVectors.build(vectors, kind=how)


def nearest(
    vectors: np.ndarray, vector: np.ndarray, k: int, allowed: np.ndarray | None = None
) -> tuple[list[int], list[float]]:
    """The definition: inner products, sorted."""
    scores = [float(sum(a * b for a, b in zip(row, vector, strict=True))) for row in vectors]
    rows = [row for row in range(len(vectors)) if allowed is None or allowed[row]]
    best = sorted(rows, key=lambda row: -scores[row])[:k]
    return best, [scores[row] for row in best]


@pytest.mark.parametrize("k", [1, 7, 50])
def test_finds_the_nearest_rows_and_their_scores(build: Build, k: int) -> None:
    vectors = unit_rows()
    index = build(vectors)
    for vector in unit_rows(5, seed=2):
        ids, scores = index.search(vector, k)
        expected, values = nearest(vectors, vector, k)
        assert ids.tolist() == expected
        np.testing.assert_allclose(scores, values, rtol=1e-5, atol=1e-6)
        assert ids.dtype == np.int64
        assert scores.dtype == np.float32


def test_a_row_finds_itself(build: Build) -> None:
    vectors = unit_rows()
    index = build(vectors)
    for row in range(0, ROWS, 97):
        ids, scores = index.search(vectors[row], 1)
        assert ids.tolist() == [row]
        assert scores[0] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3, 20, 300, ROWS])
def test_the_filter_works_inside_the_search(build: Build, count: int) -> None:
    vectors = unit_rows()
    index = build(vectors)
    allowed = np.zeros(ROWS, dtype=bool)
    allowed[np.random.default_rng(3).permutation(ROWS)[:count]] = True
    for vector in unit_rows(5, seed=4):
        ids, scores = index.search(vector, 10, allowed)
        expected, values = nearest(vectors, vector, 10, allowed)
        assert allowed[ids].all(), "a row that may not be found was found"
        assert ids.tolist() == expected
        np.testing.assert_allclose(scores, values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("most", [0, 10])
def test_a_graph_gives_way_to_a_scan_where_a_filter_cuts_it_up(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("index.vectors.faiss.EXACT_UP_TO", most)
    vectors = unit_rows()
    index = FaissVectors.build(vectors, kind="hnsw")
    for seed in range(20):
        allowed = np.zeros(ROWS, dtype=bool)
        allowed[np.random.default_rng(seed).permutation(ROWS)[:12]] = True
        ids, _ = index.search(vectors[seed], 10, allowed)
        assert len(ids) == 10
        assert allowed[ids].all()


def test_more_asked_for_than_there_is(build: Build) -> None:
    vectors = unit_rows(5)
    ids, scores = build(vectors).search(vectors[2], 50)
    assert sorted(ids.tolist()) == [0, 1, 2, 3, 4]
    assert ids[0] == 2
    assert (np.diff(scores) <= 0).all()


def test_gives_back_the_rows_it_was_given(build: Build) -> None:
    vectors = unit_rows()
    index = build(vectors)
    np.testing.assert_allclose(index.rows([5, 0, 599, 5]), vectors[[5, 0, 599, 5]], rtol=1e-6)
    assert index.rows([]).shape == (0, DIMENSION)


def test_a_file_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "v.faiss"
    FaissVectors.build(unit_rows()).save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(IndexDamaged, match="faiss"):
        FaissVectors.open(path)


def test_a_small_index_is_exact_and_a_large_one_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.vectors.faiss.EXACT_UP_TO", 10)
    assert FaissVectors.build(unit_rows(10)).kind == "exact"
    assert FaissVectors.build(unit_rows(11)).kind == "hnsw"
