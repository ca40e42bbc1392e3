"""The contract of every vector index, its values compared with a plain loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from index.arrays import Run
from index.errors import IndexDamaged
from index.vectors.contract import VectorIndex
from index.vectors.exact import ExactVectors
from index.vectors.faiss import FILES, FINE, FaissVectors
from index.vectors.inverted import TakenVectors

ROWS, DIMENSION = 600, 24
LOSS = 1e-4  # of a score, by two bytes for each component
LOST_OUTSIDE = 0.02  # of a component, where it lies outside of what the lists were trained on
Build = Callable[..., VectorIndex]


def unit_rows(rows: int = ROWS, seed: int = 1) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, DIMENSION)).astype(np.float32)
    units: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


def made(
    vectors: np.ndarray,
    bounds: np.ndarray | None = None,
    *,
    kind: str = "auto",
    taken: TakenVectors | None = None,
) -> FaissVectors:
    """An index that was written and opened; it keeps its files, which have no names any more."""
    with TemporaryDirectory() as folder:
        FaissVectors.write(Path(folder), vectors, bounds, kind=kind, taken=taken)
        return FaissVectors.open(Path(folder))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """FAISS' threads spin while they wait, which on a busy machine takes seconds."""
    faiss = pytest.importorskip("faiss")
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


@pytest.fixture(params=["oracle", "exact", "ivf"])
def build(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Makes an index of the vectors. All lists are looked into: the nearest of vectors drawn by chance
    may lie in any."""
    monkeypatch.setattr("index.vectors.faiss._PROBED_LEAST", ROWS)
    how: str = request.param
    return ExactVectors if how == "oracle" else partial(made, kind=how)


def agree(
    index: VectorIndex,
    found: tuple[np.ndarray, np.ndarray],
    expected: tuple[list[int], list[float]],
) -> None:
    """Whether what was found is what the definition finds; lists, which keep two bytes for
    each component, may take one for another that is as near as these tell."""
    ids, scores = found
    if getattr(index, "kind", "exact") == "exact":
        assert ids.tolist() == expected[0]
        np.testing.assert_allclose(scores, expected[1], rtol=1e-5, atol=1e-6)
    else:
        assert len(set(ids.tolist())) == len(ids)
        np.testing.assert_allclose(scores, expected[1], atol=LOSS)


def nearest(
    vectors: np.ndarray,
    vector: np.ndarray,
    k: int,
    allowed: np.ndarray | None = None,
    bounds: Sequence[int] = range(ROWS + 1),
) -> tuple[list[int], list[float]]:
    """The definition: inner products, the best of each passage, sorted."""
    products = [float(sum(a * b for a, b in zip(row, vector, strict=True))) for row in vectors]
    scores = [max(products[start:end]) for start, end in pairwise(bounds)]
    passages = [one for one in range(len(scores)) if allowed is None or allowed[one]]
    best = sorted(passages, key=lambda one: -scores[one])[:k]
    return best, [scores[one] for one in best]


def some_bounds(seed: int = 5) -> np.ndarray:
    """`ROWS` rows shared out among passages of one vector to nine."""
    ends = np.cumsum(np.random.default_rng(seed).integers(1, 10, ROWS))
    return np.concatenate([[0], ends[ends < ROWS], [ROWS]])


@pytest.mark.parametrize("k", [1, 7, 50])
def test_finds_the_nearest_rows_and_their_scores(build: Build, k: int) -> None:
    vectors = unit_rows()
    index = build(vectors)
    for vector in unit_rows(5, seed=2):
        ids, scores = index.search(vector, k)
        agree(index, (ids, scores), nearest(vectors, vector, k))
        assert ids.dtype == np.int64
        assert scores.dtype == np.float32


def test_a_row_finds_itself(build: Build) -> None:
    vectors = unit_rows()
    index = build(vectors)
    for row in range(0, ROWS, 97):
        ids, scores = index.search(vectors[row], 1)
        assert ids.tolist() == [row]
        assert scores[0] == pytest.approx(1.0, abs=LOSS)


@pytest.mark.parametrize("count", [0, 1, 3, 20, 300, ROWS])
def test_the_filter_works_inside_the_search(build: Build, count: int) -> None:
    vectors = unit_rows()
    index = build(vectors)
    allowed = np.zeros(ROWS, dtype=bool)
    allowed[np.random.default_rng(3).permutation(ROWS)[:count]] = True
    for vector in unit_rows(5, seed=4):
        ids, scores = index.search(vector, 10, allowed)
        assert allowed[ids].all(), "a row that may not be found was found"
        agree(index, (ids, scores), nearest(vectors, vector, 10, allowed))


@pytest.mark.parametrize("most", [0, 10])
def test_the_rest_of_the_lists_is_looked_into_where_a_filter_leaves_too_few(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("index.vectors.faiss._FEW", most)
    monkeypatch.setattr("index.vectors.faiss._PROBED_LEAST", 1)
    vectors = unit_rows()
    index = made(vectors, kind="ivf")
    for seed in range(20):
        allowed = np.zeros(ROWS, dtype=bool)
        allowed[np.random.default_rng(seed).permutation(ROWS)[:12]] = True
        ids, _ = index.search(vectors[seed], 10, allowed)
        assert len(ids) == 10
        assert allowed[ids].all()


def test_lists_find_nearly_all_that_is_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without looking into all of them: the questions lie near to rows, as questions do."""
    monkeypatch.setattr("index.vectors.faiss.EXACT_UP_TO", 10)
    vectors = unit_rows(6000)
    index, exact = made(vectors), ExactVectors(vectors)
    questions = vectors[::100] + 0.05 * unit_rows(60, seed=11)
    assert index.kind == "ivf"
    shared = [
        len(set(index.search(one, 10)[0]) & set(exact.search(one, 10)[0])) for one in questions
    ]
    assert np.mean(shared) > 8  # rows without any structure: the worst case


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_rows_taken_over_again_and_again_do_not_wear_off(kind: str) -> None:
    index = made(unit_rows(), kind=kind)
    first, _ = index.rows(0, ROWS)
    for seed in range(3):
        taken = index.taken([(0, 20, 300), (300, 330, 300)])
        new = unit_rows()[seed::12]
        index = made(new, kind=kind, taken=taken)
        rows = index.rows(0, ROWS + 50)[0]
        np.testing.assert_array_equal(rows[20:320], first[:300])
        np.testing.assert_array_equal(rows[330:630], first[300:])
        added = np.concatenate([rows[:20], rows[320:330], rows[630:]])
        np.testing.assert_allclose(added, new, atol=LOST_OUTSIDE)
        places = [*range(20, 320), *range(330, 630)]
        index = made(new[:0], kind=kind, taken=index.taken(runs_of(places)))
    np.testing.assert_array_equal(index.rows(0, ROWS)[0], first)


def runs_of(places: list[int]) -> list[Run]:
    """Each row as a run of its own."""
    return [(there, here, 1) for here, there in enumerate(places)]


def test_what_is_left_of_lists_is_found_where_it_went() -> None:
    vectors = unit_rows()
    old = made(vectors, kind="ivf")
    runs: list[Run] = [(100, 0, 200), (350, 205, 250)]
    new = unit_rows(5, seed=3)
    index = made(new, kind="ivf", taken=old.taken(runs))
    expected = np.concatenate([vectors[100:300], new, vectors[350:600]])
    for row, vector in enumerate(expected):
        assert index.search(vector, 1)[0] == [row]


def test_exact_vectors_become_lists_and_back() -> None:
    vectors = unit_rows()
    exact = made(vectors, kind="exact")
    all_of_it: list[Run] = [(0, 0, ROWS)]
    lists = made(vectors[:0], kind="ivf", taken=exact.taken(all_of_it))
    again = made(vectors[:0], kind="exact", taken=lists.taken(all_of_it))
    assert (lists.kind, again.kind) == ("ivf", "exact")
    np.testing.assert_allclose(again.rows(0, ROWS)[0], vectors, atol=LOSS)


def test_lists_that_were_outgrown_are_made_anew() -> None:
    vectors = unit_rows()
    small = made(vectors[:100], kind="ivf")
    taken = small.taken([(0, 0, 100)])
    index = made(vectors[100:], kind="ivf", taken=taken)
    assert index.taken([]).index.nlist > small.taken([]).index.nlist
    assert all(index.search(vectors[row], 1)[0] == [row] for row in range(0, ROWS, 50))


def test_more_asked_for_than_there_is(build: Build) -> None:
    vectors = unit_rows(5)
    ids, scores = build(vectors).search(vectors[2], 50)
    assert sorted(ids.tolist()) == [0, 1, 2, 3, 4]
    assert ids[0] == 2
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("k", [1, 7, 50])
def test_a_passage_counts_by_its_best_vector(build: Build, k: int) -> None:
    vectors, bounds = unit_rows(), some_bounds()
    index = build(vectors, bounds)
    for vector in unit_rows(5, seed=6):
        found = index.search(vector, k)
        agree(index, found, nearest(vectors, vector, k, None, bounds.tolist()))


@pytest.mark.parametrize("count", [0, 1, 5, 60])
def test_the_filter_is_about_passages(build: Build, count: int) -> None:
    vectors, bounds = unit_rows(), some_bounds()
    index = build(vectors, bounds)
    allowed = np.zeros(len(bounds) - 1, dtype=bool)
    allowed[np.random.default_rng(7).permutation(len(allowed))[:count]] = True
    for vector in unit_rows(5, seed=8):
        found = index.search(vector, 10, allowed)
        agree(index, found, nearest(vectors, vector, 10, allowed, bounds.tolist()))


def test_a_passage_of_very_many_vectors_leaves_room_for_others(build: Build) -> None:
    vectors = unit_rows()
    vectors[:500] = vectors[0]
    bounds = np.array([0, 500, *range(501, ROWS + 1)])
    index = build(vectors, bounds)
    found = index.search(vectors[0], 20)
    agree(index, found, nearest(vectors, vectors[0], 20, None, bounds.tolist()))


def test_scores_of_chosen_passages(build: Build) -> None:
    vectors, bounds = unit_rows(), some_bounds()
    index, vector = build(vectors, bounds), unit_rows(1, seed=9)[0]
    ids, scores = index.search(vector, len(bounds) - 1)
    chosen = np.random.default_rng(10).permutation(len(ids))[:40]
    found = index.scores(vector, ids[chosen].tolist())
    np.testing.assert_allclose(found, scores[chosen], rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32
    assert index.scores(vector, []).shape == (0,)


def test_gives_back_the_vectors_it_was_given(build: Build) -> None:
    vectors, bounds = unit_rows(), some_bounds()
    index = build(vectors, bounds)
    for first, end in ((0, 1), (3, 9), (len(bounds) - 2, len(bounds) - 1), (4, 4)):
        rows, ends = index.rows(first, end)
        lost = 0 if getattr(index, "kind", "exact") == "exact" else LOSS
        np.testing.assert_allclose(rows, vectors[bounds[first] : bounds[end]], atol=lost)
        assert ends.tolist() == (bounds[first + 1 : end + 1] - bounds[first]).tolist()


def test_no_vectors_at_all(build: Build) -> None:
    index = build(np.empty((0, DIMENSION), np.float32), np.zeros(1, np.int64))
    assert index.search(unit_rows(1)[0], 5)[0].tolist() == []


@pytest.mark.parametrize("bounds", [[0, 3], [1, 5], [0, 2, 2, 5], [0, 6]])
def test_a_passage_without_a_vector_is_refused(bounds: list[int]) -> None:
    with pytest.raises(ValueError, match="every passage"):
        made(unit_rows(5), np.array(bounds))


SMALL = arrays(np.int8, st.tuples(st.integers(1, 40), st.just(4)), elements=st.integers(-3, 3))


@settings(max_examples=150, deadline=None)
@given(SMALL, st.integers(1, 50), st.data())
def test_faiss_finds_what_the_oracle_finds(
    numbers: np.ndarray, k: int, data: st.DataObject
) -> None:
    """Whole numbers, so that sums are exact: what ties, ties in both."""
    vectors = numbers.astype(np.float32)
    cuts = data.draw(st.sets(st.integers(1, len(vectors)), max_size=len(vectors)))
    bounds = np.array(sorted({0, len(vectors)} | cuts))
    passages = len(bounds) - 1
    mask = arrays(np.bool_, passages)
    allowed = data.draw(st.none() | mask)
    vector = data.draw(arrays(np.int8, 4, elements=st.integers(-3, 3))).astype(np.float32)
    oracle = ExactVectors(vectors, bounds)
    everything = oracle.scores(vector, range(passages))
    _, expected = oracle.search(vector, k, allowed)
    for kind, lost in (("exact", 0.0), ("ivf", 4 * LOSS * 9)):
        index = made(vectors, bounds, kind=kind)
        ids, scores = index.search(vector, k, allowed)
        assert len(set(ids.tolist())) == len(ids)
        assert allowed is None or allowed[ids].all()
        np.testing.assert_allclose(scores, everything[ids], atol=lost)
        np.testing.assert_allclose(scores, expected, atol=lost)
        np.testing.assert_allclose(index.scores(vector, ids.tolist()), scores, atol=1e-4)


@pytest.mark.parametrize("name", [*FILES, FINE])
def test_a_file_that_is_cut_short_is_damaged(tmp_path: Path, name: str) -> None:
    FaissVectors.write(tmp_path, unit_rows(), kind="ivf")
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(IndexDamaged, match=name):
        FaissVectors.open(tmp_path)


def test_a_small_index_is_exact_and_a_large_one_has_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.vectors.faiss.EXACT_UP_TO", 10)
    assert made(unit_rows(10)).kind == "exact"
    assert made(unit_rows(11)).kind == "ivf"


@pytest.mark.parametrize("wanted", [1, 5, 33, 60, 103, 500])
def test_a_sample_is_evenly_spread_and_holds_no_batch_in_memory(
    wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from index.vectors import inverted

    monkeypatch.setattr(inverted, "_BATCH", 7)
    rows = np.random.default_rng(0).random((103, 4), np.float32)
    sample = inverted.RowSource(rows, None).sample(wanted)
    np.testing.assert_array_equal(sample, rows[:: max(1, 103 // wanted)])
    assert sample.base is None
