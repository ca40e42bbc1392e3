"""The losses of joint training; see docs/encoder.md for what each is for."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def contrast(
    scores: torch.Tensor,
    positive: torch.Tensor,
    ignore: torch.Tensor,
    others: torch.Tensor | None = None,
) -> torch.Tensor:
    """InfoNCE in both directions over scaled in-batch scores (q, d).

    `positive` (q,) is each query's document; `ignore` (q, d) marks pairs that are neither right
    nor wrong; `others` (q, m) are more scores of wrong texts. From a document's side the other
    queries of the same document are left out.
    """
    scores = scores.masked_fill(ignore, -1e4)
    forward = F.cross_entropy(
        scores if others is None else torch.cat([scores, others], dim=1), positive
    )
    same = positive[:, None] == positive[None, :]
    back = scores[:, positive].T  # (q, q): row i is query i's document against all queries
    back = back.masked_fill(
        same & ~torch.eye(len(positive), dtype=torch.bool, device=scores.device), -1e4
    )
    backward = F.cross_entropy(back, torch.arange(len(positive), device=scores.device))
    return forward + 0.5 * backward


def imitate(scores: torch.Tensor, teacher: torch.Tensor, ignore: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the sentence vectors' ranking against that of MaxSim (not trained by it)."""
    target = teacher.detach().masked_fill(ignore, -1e4).softmax(-1)
    return F.cross_entropy(scores.masked_fill(ignore, -1e4), target)


@torch.no_grad()
def accuracy(scores: torch.Tensor, positive: torch.Tensor, ignore: torch.Tensor) -> float:
    """The share of queries whose own document scores best in the batch."""
    return (scores.masked_fill(ignore, -1e4).argmax(1) == positive).float().mean().item()
