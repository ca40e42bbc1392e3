"""Stage 6: the reader learns where answers stand (see `index.reader`).

The encoder is finished by then: an index over all passages puts up eight candidates for every
question, and the reader learns, over all their tokens and "no answer here" at once, to choose those
of the marked answer. For every fourth question the passage that answers is taken away, so that it
learns to choose none.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from index.build import build
from index.encoder import load_encoder
from index.reader import features
from index.records import Document, document_id
from index.retrieve import READ_CANDIDATES, Retriever
from index.training.reader_network import NEVER, TAKEN_AWAY, ReaderNetwork, within
from index.training.sources import SEED, Passage

log = logging.getLogger(__name__)

BATCH = 32
EPOCHS = 2
RATE = 1e-3
PASSAGES = 5_000  # of JaQuAD's, whose questions are asked
QUESTIONS = 6_000
MANUALS = 4_000  # sections of manuals that questions are made of
CHECKED = 1_000  # of the validation passages
OTHERS = 256  # tokens of a question, besides the right ones, that a step looks at


@dataclass(frozen=True)
class Case:
    """A question's token vectors (q, d), those of its candidates' tokens (t, d), what is seen of
    each (t, features), which of them answer and which may not be judged, bool (t,)."""

    tokens: np.ndarray
    rows: np.ndarray
    seen: np.ndarray
    right: np.ndarray
    unjudged: np.ndarray


def index_of(documents: Iterable[Document], home: Path, model: Path) -> Retriever:
    """The documents as Kiku serves them, without a close reader, which learns from what is found so."""
    encoder = load_encoder(str(model))
    encoder.close_reader = None
    build(home, documents, encoder=encoder)
    return Retriever.open(home, encoder=encoder)


def documents_of(passages: Iterable[Passage]) -> Iterator[Document]:
    """Each passage as a document."""
    for passage in passages:
        own = document_id(passage.id)
        yield Document(own, passage.title, passage.text, passage.id, revision=passage.id)


def cases_of(retriever: Retriever, passages: Sequence[Passage], most: int) -> list[Case]:
    """Up to `most` questions on the passages, each with its candidates."""
    asked = [(q, answers, p.id) for p in passages for q, answers in p.questions]
    random.Random(SEED).shuffle(asked)
    found = []
    for number, (question, answers, passage) in enumerate(asked[:most], 1):
        case = _case(retriever, question, answers, document_id(passage))
        if case is not None:
            found.append(case)
        if number % 1000 == 0:
            log.info("reading: %d questions", number)
    return found


def _case(retriever: Retriever, question: str, answers: Sequence[str], gold: str) -> Case | None:
    search = retriever.explain(question, READ_CANDIDATES)
    if search.tokens is None or search.passages is None or not search.hits:
        return None
    held, right, unjudged = [], [], []
    for hit in search.hits:
        row = search.rows[hit.chunk.id]
        first, last = search.passages.bounds[row : row + 2]
        held.append(search.passages.vectors[first:last].astype(np.float32) / 127.0)
        places = search.passages.starts[first:last].astype(np.int64) - 1
        answering = within(places, hit.chunk.text, answers)
        nothing = np.zeros_like(answering)
        right.append(answering if hit.document.id == gold else nothing)
        unjudged.append(nothing if hit.document.id == gold else answering)
    seen = features(search.tokens.vectors, search.tokens.weights, held)
    return Case(
        search.tokens.vectors.astype(np.float16),
        np.concatenate(held).astype(np.float16),
        seen.astype(np.float16),
        np.concatenate(right),
        np.concatenate(unjudged),
    )


def odds_of(network: ReaderNetwork, cases: Sequence[Case]) -> list[torch.Tensor]:
    """The log odds of every token of every case: (t,) each."""
    found = []
    for case in cases:
        tokens = torch.from_numpy(case.tokens).float()[None]
        rows = torch.from_numpy(case.rows).float()[None]
        seen = torch.from_numpy(case.seen).float()[None]
        asks = torch.ones(tokens.shape[:2], dtype=torch.bool)
        found.append(network(tokens, asks, rows, seen)[0])
    return found


def drawn(case: Case, chooser: np.random.Generator) -> tuple[Case, float]:
    """The case with all its right tokens and at most `OTHERS` of the rest, and the logarithm of how
    many tokens each of those stands for."""
    rest = np.flatnonzero(~case.right & ~case.unjudged)
    taken = chooser.choice(rest, min(OTHERS, len(rest)), replace=False)
    kept = np.concatenate([np.flatnonzero(case.right), taken])
    stands_for = float(np.log(max(1, len(rest)) / max(1, len(taken))))
    rows, seen, right = case.rows[kept], case.seen[kept], case.right[kept]
    return Case(case.tokens, rows, seen, right, np.zeros_like(right)), stands_for


def loss_of(
    odds: torch.Tensor, case: Case, *, taken_away: bool, stands_for: float = 0.0
) -> torch.Tensor:
    """−log of the share that the right tokens have among all that are judged and "no answer";
    `stands_for` as `drawn` gives it."""
    right = torch.from_numpy(case.right)
    out = torch.from_numpy(case.unjudged)
    every = odds + torch.where(right, 0.0, stands_for)
    if taken_away or not case.right.any():
        return nn.functional.softplus(every.masked_fill(out | right, NEVER).logsumexp(0))
    every = every.masked_fill(out, NEVER)
    return torch.logaddexp(every.logsumexp(0), torch.zeros(())) - odds[right].logsumexp(0)


@torch.no_grad()
def first_right(network: ReaderNetwork, cases: Sequence[Case]) -> float:
    """The share of answerable cases whose likeliest token is part of the answer."""
    network.eval()
    judged = [case for case in cases if case.right.any()]
    good = [bool(case.right[int(odds_of(network, [case])[0].argmax())]) for case in judged]
    network.train()
    return float(np.mean(good))


def train_reader(
    network: ReaderNetwork, cases: Sequence[Case], checked: Sequence[Case], *, epochs: int = EPOCHS
) -> ReaderNetwork:
    """The network trained on `cases`; what it reaches on `checked` is logged after every epoch."""
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
    steps = epochs * (len(cases) // BATCH + 1)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, steps)
    chooser = np.random.default_rng(SEED)
    for epoch in range(epochs):
        order = chooser.permutation(len(cases))
        total = 0.0
        for start in range(0, len(order), BATCH):
            batch = [drawn(cases[i], chooser) for i in order[start : start + BATCH]]
            shown = [case for case, _ in batch]
            losses = [
                loss_of(odds, case, taken_away=chooser.random() < TAKEN_AWAY, stands_for=stands_for)
                for odds, (case, stands_for) in zip(odds_of(network, shown), batch, strict=True)
            ]
            loss = torch.stack(losses).mean()
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            decay.step()
            total += loss.item() * len(batch)
        log.info(
            "reader epoch %d: loss %.4f, answer first %.4f",
            epoch, total / len(order), first_right(network, checked),
        )  # fmt: skip
    return network
