"""Retrieval quality on questions that training does not see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer

from index.parts import part_of_tokens
from index.training.sources import Passage
from index.training.student import (
    Encoded,
    Student,
    max_similarities,
    mixed_precision,
    part_similarities,
    tokenizer_ids,
)


@torch.no_grad()
def encode_all(student: Student, tokenizer: Tokenizer, texts: Sequence[str], limit: int) -> Encoded:
    student.eval()
    encodings = tokenizer.encode_batch(list(texts))
    owners = [
        part_of_tokens(text, np.array([a for a, _ in encoding.offsets[:limit]]))
        for text, encoding in zip(texts, encodings, strict=True)
    ]
    with mixed_precision(next(student.parameters()).device.type):
        encoded = student.encode(tokenizer_ids(tokenizer, texts, limit), owners)
    student.train()
    return encoded


def rows(encoded: Encoded, index: torch.Tensor) -> Encoded:
    return Encoded(
        encoded.vectors[index],
        encoded.tokens[index],
        encoded.weights[index],
        encoded.mask[index],
        encoded.parts[index],
        encoded.part_mask[index],
    )


@torch.no_grad()
def validate(
    student: Student,
    tokenizer: Tokenizer,
    passages: Sequence[Passage],
    *,
    candidates: int = 20,
    limit: int = 256,
    questions: int = 0,
) -> dict[str, float]:
    """Every question against every passage, given with its title: Recall@1, @10 and MRR@10 of the
    part vectors, and Recall@1 of MaxSim over their best `candidates`."""
    texts = [f"{p.title}\n{p.text}" if p.title else p.text for p in passages]
    asked = [(q, n) for n, p in enumerate(passages) for q, _ in p.questions]
    if questions:
        asked = [asked[i] for i in np.random.default_rng(0).permutation(len(asked))[:questions]]
    documents = encode_all(student, tokenizer, texts, limit)
    queries = encode_all(student, tokenizer, [q for q, _ in asked], 64)
    gold = torch.tensor([n for _, n in asked], device=documents.vectors.device)
    scores = part_similarities(queries.vectors, documents)
    best = scores.topk(min(candidates, len(texts)), dim=1).indices
    rank = (scores > scores.gather(1, gold[:, None])).sum(1)
    late = []
    for i in range(len(asked)):
        one = max_similarities(rows(queries, torch.tensor([i])), rows(documents, best[i]))
        late.append(bool(best[i][one.argmax()] == gold[i]))
    return {
        "recall@1": (rank < 1).float().mean().item(),
        "recall@10": (rank < 10).float().mean().item(),
        "mrr@10": torch.where(rank < 10, 1 / (rank + 1.0), torch.zeros(())).mean().item(),
        "late_recall@1": float(np.mean(late)),
    }
