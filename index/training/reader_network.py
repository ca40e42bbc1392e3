"""The reader as it is trained: see `index.reader` for what it is for and what it computes.

In the joint stage its gradient runs on into the encoder, so that a token's vector comes to say what a
question may ask for (a date, a person, what a thing is); in the last stage it is trained alone,
on what the finished encoder puts up (`index.training.reader`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from index.reader import FILE, REACHES, SHARPNESS
from index.training.batches import Batch
from index.training.student import Encoded

HEADS = 4
INNER = 96
DROPOUT = 0.1
TAKEN_AWAY = 0.25  # share of the questions whose answer is not shown
QUESTIONS = 40  # of a batch that are read
OTHERS = 3  # documents beside the right one
NEVER = -1e4


class ReaderNetwork(nn.Module):
    """The network that `index.reader.Reader` computes."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.ask = nn.Parameter(torch.randn(HEADS, dimension) * 0.5)
        self.asked = nn.Parameter(torch.randn(HEADS * dimension, dimension) * 0.05)
        wide = 3 * dimension + 2 + 2 * len(REACHES)
        self.inner = nn.Linear(wide, INNER)
        self.outer = nn.Linear(INNER, 1)
        self.dropout = nn.Dropout(DROPOUT)

    @classmethod
    def of(cls, folder: Path, dimension: int) -> ReaderNetwork:
        """With the weights that lie in a model folder; untrained where it has none."""
        network = cls(dimension)
        if (folder / FILE).is_file():
            with np.load(folder / FILE) as stored:
                held = {name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored}
            state = {
                "ask": held["ask"], "asked": held["asked"],
                "inner.weight": held["inner"].T, "inner.bias": held["inner_bias"],
                "outer.weight": held["outer"][None], "outer.bias": held["outer_bias"].reshape(1),
            }  # fmt: skip
            network.load_state_dict(state)
        return network

    def forward(
        self, tokens: torch.Tensor, asks: torch.Tensor, rows: torch.Tensor, seen: torch.Tensor
    ) -> torch.Tensor:
        """The log odds (n, t) of the tokens `rows` (n, t, d) for the questions `tokens` (n, q, d),
        of which `asks` (n, q) are real; `seen` (n, t, …) is what `index.reader.features` says."""
        attention = torch.einsum("hd,nqd->nhq", self.ask, tokens)
        attention = attention.masked_fill(~asks[:, None], NEVER).softmax(-1)
        wanted = (attention @ tokens).flatten(1) @ self.asked  # (n, d)
        inner = self.inner(torch.cat([rows, rows * wanted[:, None], seen], dim=-1))
        odds: torch.Tensor = self.outer(self.dropout(inner.relu())).squeeze(-1)
        return odds

    def weights(self) -> dict[str, np.ndarray]:
        """By the names that `index.reader.Reader` knows them by."""
        found = {
            "ask": self.ask, "asked": self.asked, "inner": self.inner.weight.T,
            "inner_bias": self.inner.bias, "outer": self.outer.weight[0],
            "outer_bias": self.outer.bias[0],
        }  # fmt: skip
        return {name: value.detach().float().cpu().numpy() for name, value in found.items()}


@dataclass(frozen=True)
class Asked:
    """Questions of a batch to be read: n of them, k documents each, t tokens a document."""

    queries: torch.Tensor  # (n,)
    documents: torch.Tensor  # (n, k)
    right: torch.Tensor  # (n, k, t), True at the tokens of the answer in the question's document
    unjudged: torch.Tensor  # (n, k, t), True where the answer's words stand in another one
    taken_away: torch.Tensor  # (n,), True where the answer is not shown


def chosen_questions(
    batch: Batch, begun: Sequence[np.ndarray], late: torch.Tensor, step: int
) -> Asked:
    """Up to `QUESTIONS` of a batch, each with its document and the `OTHERS` that MaxSim (`late`,
    (q, d)) puts highest; `begun` says where each document's tokens begin in its text."""
    chooser = random.Random(step)
    count, others = len(batch.queries), min(OTHERS, len(batch.documents) - 1)
    taken = sorted(chooser.sample(range(count), min(QUESTIONS, count)))
    own = torch.tensor([batch.positive[q] for q in taken], device=late.device)
    scores = late[torch.tensor(taken, device=late.device)].float().clone()
    row_of = {q: row for row, q in enumerate(taken)}
    for q, d in batch.ignore:
        if q in row_of:
            scores[row_of[q], d] = NEVER
    scores.scatter_(1, own[:, None], NEVER)
    documents = torch.cat([own[:, None], scores.topk(others, dim=1).indices], dim=1)
    texts = batch.texts()
    wide = max(map(len, begun))
    answering = np.zeros((len(taken), documents.shape[1], wide), bool)
    for row, q in enumerate(taken):
        for column, d in enumerate(documents[row].tolist()):
            held = within(begun[d], texts[d], batch.answers[q])
            answering[row, column, : len(held)] = held
    right = torch.from_numpy(answering).to(late.device)
    first = torch.zeros_like(right)
    first[:, 0] = True
    away = torch.tensor([chooser.random() < TAKEN_AWAY for _ in taken], device=late.device)
    return Asked(
        torch.tensor(taken, device=late.device), documents, right & first, right & ~first, away
    )


def within(places: np.ndarray, text: str, answers: Sequence[str]) -> np.ndarray:
    """Which tokens begin inside one of the answers, wherever these stand in `text`."""
    inside = np.zeros(len(places), bool)
    for answer in answers:
        start = text.find(answer)
        while answer and start >= 0:
            inside |= (places >= start) & (places < start + len(answer))
            start = text.find(answer, start + 1)
    return inside


def reading_loss(
    reader: ReaderNetwork, queries: Encoded, documents: Encoded, asked: Asked
) -> torch.Tensor:
    """−log of the share that the answer's tokens have among all that are read and "no answer"."""
    tokens, asks = queries.tokens[asked.queries].float(), queries.mask[asked.queries]
    weights = queries.weights[asked.queries].float()
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-6)
    rows, real = documents.tokens[asked.documents].float(), documents.mask[asked.documents]
    n, k, t, d = rows.shape
    seen = features(tokens, asks, weights, rows, real)
    odds = reader(tokens, asks, rows.view(n, k * t, d), seen.view(n, k * t, -1)).view(n, k, t)
    right = asked.right[..., :t] & real
    judged = real & ~asked.unjudged[..., :t]
    answered = right.flatten(1).any(1) & ~asked.taken_away
    every = odds.masked_fill(~judged | (right & ~answered[:, None, None]), NEVER).flatten(1)
    whole = torch.logaddexp(every.logsumexp(1), torch.zeros_like(every[:, 0]))
    best = odds.masked_fill(~right, NEVER).flatten(1).logsumexp(1)
    return torch.where(answered, whole - best, whole).mean()


def features(
    tokens: torch.Tensor,
    asks: torch.Tensor,
    weights: torch.Tensor,
    rows: torch.Tensor,
    real: torch.Tensor,
) -> torch.Tensor:
    """`index.reader.features` with gradients, (n, k, t, d + 2 + 2 · len(REACHES)), of k passages
    (n, k, t, d) each for n questions (n, q, d); `asks` and `real` mark what is no padding."""
    n, k, t, _ = rows.shape
    similarity = torch.einsum("nqd,nktd->nkqt", tokens, rows)
    similarity = similarity.masked_fill(~real[:, :, None], -1.0)
    asking = asks[:, None, :, None]
    share = (SHARPNESS * similarity).masked_fill(~asking, NEVER).softmax(2)
    matched = torch.einsum("nkqt,nqd->nktd", share, tokens)
    heavy = weights.masked_fill(~asks, float("nan"))
    heavy = (weights >= heavy.nanquantile(0.5, dim=1, keepdim=True)) & asks
    best = similarity.masked_fill(~asking, -1.0).amax(2)
    told = [best, torch.einsum("nq,nkqt->nkt", weights, similarity)]
    for reach in REACHES:
        flat = similarity.reshape(n * k, -1, t)
        met = F.max_pool1d(flat, 2 * reach + 1, 1, reach).view(similarity.shape)
        told.append(torch.einsum("nq,nkqt->nkt", weights, met))
        told.append(met.masked_fill(~heavy[:, None, :, None], 2.0).amin(2))
    return torch.cat([rows * matched, torch.stack(told, dim=-1)], dim=-1)
