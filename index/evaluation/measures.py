"""The measures of retrieval, through ir_measures, and what rows of any kind have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from index.evaluation import resampling
from index.evaluation.records import Estimate
from index.evaluation.resampling import Floats

if TYPE_CHECKING:
    from index.evaluation.records import Measures, Row

JUDGED = ("R@1", "R@5", "R@10", "RR@10", "nDCG@10")
MATCHED = ("Success@1", "Success@5", "Success@10", "RR@10")
"""Where answers tell which passages are right, how many there are is unknown: no recall."""
CURVE_ROUNDS = 500
"""Resamples for statistics that look at every row of each."""


def retrieval(
    qrels: Mapping[str, Mapping[str, int]],
    ranked: Mapping[str, Sequence[str]],
    names: Iterable[str] = JUDGED,
) -> dict[str, dict[str, float]]:
    """Values by query id and measure name, as `ir_measures` writes them (`R@1`, `nDCG@10`).

    `ranked` lists passage ids best first. Every query of `qrels` has a row: one that is missing
    from `ranked` scores 0.
    """
    import ir_measures

    measures = [ir_measures.parse_measure(name) for name in names]
    rows = {query: dict.fromkeys(map(str, measures), 0.0) for query in qrels}
    judged = (
        ir_measures.Qrel(query, passage, grade)
        for query, grades in qrels.items()
        for passage, grade in grades.items()
    )
    run = (  # falling scores keep the order; equal ones would be sorted by id
        ir_measures.ScoredDoc(query, passage, 1.0 / rank)
        for query, passages in ranked.items()
        for rank, passage in enumerate(passages, start=1)
    )
    for metric in ir_measures.iter_calc(measures, list(judged), list(run)):
        rows[metric.query_id][str(metric.measure)] = float(metric.value)
    return rows


def averages(rows: Sequence[Row]) -> Measures:
    """The mean and interval of every value that some row has, over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row.values)
    return {
        name: resampling.mean(np.array([row.values[name] for row in rows if name in row.values]))
        for name in names
    }


def by_kind(rows: Sequence[Row]) -> dict[str, Measures]:
    """`averages` of each kind of question, in the order of the set; empty without kinds."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row.kind, []).append(row)
    return {kind: averages(group) for kind, group in kinds.items()} if any(kinds) else {}


def latency(milliseconds: Sequence[float]) -> Measures:
    """The 50th and 95th percentile, as `p50_ms` and `p95_ms`."""
    values = np.sort(np.asarray(milliseconds, dtype=np.float64))
    if not len(values):
        return {}
    return {f"p{percent}_ms": _percentile(values, percent) for percent in (50, 95)}


def _percentile(ascending: Floats, percent: int) -> Estimate:
    place = int(len(ascending) * percent / 100)
    return resampling.statistic(
        lambda drawn: ascending[drawn[:, place]], len(ascending), rounds=CURVE_ROUNDS
    )
