"""What the encoder reaches, measured on the exported model folder as it is served.

One protocol: every query against every document of the set, the gold document is the one the
query was made from. Dense is the vectors of the parts alone; late is MaxSim over the dense best 20;
lexical is Kiku's BM25 alone; lexical+late is MaxSim over BM25's best 20.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.encoder import Encoder, Encoding, load_encoder
from index.training.sources import (
    BENCHMARKS,
    HELD_OUT_QUERIES,
    Passage,
    TrainingData,
    load,
    read_beir,
)

log = logging.getLogger(__name__)

CANDIDATES = 20


@dataclass(frozen=True)
class Task:
    """`gold[i]` is the number of the document that query i asks for."""

    name: str
    queries: list[str]
    documents: list[str]
    gold: np.ndarray
    candidates: bool = True  # whether MaxSim and BM25 are measured too


def passage_task(name: str, passages: Sequence[Passage]) -> Task:
    """Questions → passages, each given with its title."""
    asked = [(q, n) for n, p in enumerate(passages) for q, _ in p.questions]
    documents = [f"{p.title}\n{p.text}" if p.title else p.text for p in passages]
    return Task(name, [q for q, _ in asked], documents, np.array([n for _, n in asked]))


def section_task(data: TrainingData) -> Task:
    """Title and heading → section text, which is given without its title and heading."""
    held = data.sections_held_out
    asked = held[:HELD_OUT_QUERIES]
    queries = [s.heading if s.title == s.heading else f"{s.title} {s.heading}" for s in asked]
    return Task("heading-section", queries, [s.text for s in held], np.arange(len(asked)))


def translation_task(data: TrainingData) -> Task:
    """English segment → its Japanese translation."""
    held = data.pairs_held_out
    asked = [p.english for p in held[:HELD_OUT_QUERIES]]
    return Task("english-japanese", asked, [p.japanese for p in held], np.arange(len(asked)), False)


def tasks(folder: Path, names: Sequence[str] = ()) -> list[Task]:
    """The benchmark tasks over a data folder, or those of them that are named."""
    found = [passage_task(name, read_beir(folder / name)) for name in BENCHMARKS if not names or name in names]  # fmt: skip # noqa: E501
    if not names or {"heading-section", "english-japanese"} & set(names):
        data = load(folder)
        found += [section_task(data), translation_task(data)]
    return [task for task in found if not names or task.name in names]


def late_scores(
    queries: Encoding, documents: Encoding, query: int, among: np.ndarray
) -> np.ndarray:
    """MaxSim of one query with the documents numbered `among`."""
    if queries.tokens is None or queries.weights is None or documents.tokens is None:
        raise ValueError("MaxSim needs an encoder with token vectors")
    asked, weights = queries.tokens[query], queries.weights[query]
    if not len(asked):
        return np.zeros(len(among), np.float32)
    weights = weights / max(float(weights.sum()), 1e-6)
    best = [
        (asked @ documents.tokens[d].T).max(1) @ weights if len(documents.tokens[d]) else 0.0
        for d in among
    ]
    return np.array(best, np.float32)


def dense_scores(queries: Encoding, documents: Encoding) -> np.ndarray:
    """The best part of every document for every query: float32 (queries, documents)."""
    parts = documents.parts or [vector[None] for vector in documents.vectors]
    firsts = np.cumsum([0, *(len(own) for own in parts[:-1])])
    best: np.ndarray = np.maximum.reduceat(
        queries.vectors @ np.concatenate(parts).T, firsts, axis=1
    )
    return best


def ranks(scores: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """0 for a gold document on top; ties count against it. `scores` is (queries, documents)."""
    own = scores[np.arange(len(gold)), gold][:, None]
    return np.asarray((scores >= own).sum(1) - 1)


def recalls(rank: np.ndarray) -> dict[str, float]:
    reciprocal = np.where(rank < 10, 1 / (rank + 1), 0.0)
    at = {f"recall@{k}": float((rank < k).mean()) for k in (1, 5, 10)}
    return {**at, "mrr@10": float(reciprocal.mean())}


def rerank(
    scores: np.ndarray, gold: np.ndarray, queries: Encoding, documents: Encoding
) -> np.ndarray:
    """Ranks after the best `CANDIDATES` of each query were reordered by MaxSim."""
    found = np.full(len(gold), 10**6)
    for q, row in enumerate(scores):
        among = np.argpartition(-row, CANDIDATES)[:CANDIDATES] if len(row) > CANDIDATES else np.arange(len(row))  # fmt: skip # noqa: E501
        if gold[q] in among:
            late = late_scores(queries, documents, q, among)
            found[q] = (late >= late[among == gold[q]]).sum() - 1
    return found


def lexical_scores(queries: Sequence[str], documents: Sequence[str]) -> np.ndarray:
    """Kiku's BM25 of every query with every document: float32 (queries, documents)."""
    from index.lexical import LexicalIndex, terms
    from index.query import Synonyms, understand

    lexical = LexicalIndex.build([terms(d) for d in documents], [terms("") for _ in documents])
    synonyms = Synonyms()
    rows = []
    for query in queries:
        asked = understand(query, lexical, synonyms)
        rows.append(lexical.score([*asked.word_groups, *asked.gram_groups]))
    return np.array(rows, np.float32)


def measure(encoder: Encoder, task: Task, *, lexical: bool = True) -> dict[str, dict[str, float]]:
    """{way of ranking: {measure: value}} of one task."""
    documents = encoder.encode_documents(task.documents)
    queries = encoder.encode_queries(task.queries)
    dense = dense_scores(queries, documents)
    report = {"dense": recalls(ranks(dense, task.gold))}
    if task.candidates and encoder.token_dimension:
        report["late"] = recalls(rerank(dense, task.gold, queries, documents))
    if task.candidates and lexical:
        scores = lexical_scores(task.queries, task.documents)
        report["lexical"] = recalls(ranks(scores, task.gold))
        if encoder.token_dimension:
            report["lexical+late"] = recalls(rerank(scores, task.gold, queries, documents))
    return report


def evaluate(
    model: str, folder: Path, *, names: Sequence[str] = (), threads: int = 0, lexical: bool = True
) -> dict[str, dict[str, dict[str, float]]]:
    """{task: {way of ranking: {measure: value}}} of a model folder or name ("" = the shipped)."""
    encoder = load_encoder(model, threads=threads)
    report = {}
    for task in tasks(folder, names):
        report[task.name] = measure(encoder, task, lexical=lexical)
        for way, numbers in report[task.name].items():
            told = " ".join(f"{k} {v:.4f}" for k, v in numbers.items())
            log.info("%s %s: %s", task.name, way, told)
    return report
