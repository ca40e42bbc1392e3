"""Can somebody tell by time that hidden documents hold what they ask for?

    python -m benchmarks.hidden DATA

Two indexes of one size, from JSQuAD-valid and JaQuAD-dev in DATA: 500 open passages in both, beside which
600 hidden ones answer the questions in one and are about something else in the other. Who may see only
the open ones asks both in turn. Prints the median times in ms, the median difference of a question, how
often hits and scores are the same, and the p-value of a Mann–Whitney test that the times are alike.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu

from index.build import build
from index.encoder import load_encoder
from index.evaluation.datasets import Passage, load
from index.records import Document, document_id
from index.retrieve import Retriever

OPEN, HIDDEN = "公開", "秘密"
ASKED, WARM = 300, 30


def main() -> None:
    """Builds both, asks both, prints one JSON object."""
    data = Path(sys.argv[1])
    asked, others = load(data / "jsquad-valid"), load(data / "jaquad-dev").passages
    answering, elsewhere = asked.passages[:600], others[600:1200]
    held = {passage.id for passage in answering}
    questions = [case.question for case in asked.cases if held & set(case.relevant)][::6][:ASKED]
    with tempfile.TemporaryDirectory() as folder:
        one, other = (
            _built(Path(folder) / name, others[:500], hidden)
            for name, hidden in (("answering", answering), ("elsewhere", elsewhere))
        )
        for question in questions[:WARM]:
            _timed(one, question)
            _timed(other, question)
        times, same = [], 0
        for number, question in enumerate(questions):
            order = (one, other) if number % 2 else (other, one)  # nobody always has the warm cache
            found = {retriever: _timed(retriever, question) for retriever in order}
            times.append([found[one][0], found[other][0]])
            same += found[one][1] == found[other][1]
    columns = np.array(times).T
    figures = {
        "answering_ms": round(float(np.median(columns[0])), 2),
        "elsewhere_ms": round(float(np.median(columns[1])), 2),
        "difference_ms": round(float(np.median(columns[0] - columns[1])), 3),
        "same": f"{same} of {len(questions)}",
        "p": round(float(mannwhitneyu(*columns).pvalue), 3),
    }
    print(json.dumps(figures))


def _built(home: Path, shown: Sequence[Passage], hidden: Sequence[Passage]) -> Retriever:
    documents = [
        Document(document_id(one.id), one.title, one.text, one.id, collection)
        for collection, passages in ((OPEN, shown), (HIDDEN, hidden))
        for one in passages
    ]
    encoder = load_encoder()
    build(home, documents, encoder=encoder)
    return Retriever.open(home, encoder=encoder)


def _timed(retriever: Retriever, question: str) -> tuple[float, list[tuple[str, float]]]:
    start = time.perf_counter()
    hits = retriever.search(question, 10, collections=frozenset({OPEN}))
    return 1000 * (time.perf_counter() - start), [(hit.chunk.id, hit.score) for hit in hits]


if __name__ == "__main__":
    main()
