"""Stage 3: a Japanese sentence learns to land where its English translation lies.

Reimers & Gurevych 2020 (arXiv 2004.09813): the teacher encodes the English side, the student the
Japanese side and, every fifth step, the English one.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer
from torch.nn import functional as F

from index.training.sources import SEED, Pair
from index.training.student import Student, tokenizer_ids
from index.training.vocabulary import teacher_folder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

BATCH = 128
LIMIT = 72
STEPS = 1_200
PIECE_RATE, BODY_RATE = 1e-3, 1e-4
TEMPERATURE = 0.05
SAME = 0.95  # targets more alike than this are no negatives of one another


def load_teacher(device: str) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    teacher = SentenceTransformer(str(teacher_folder()), device=device)
    teacher.max_seq_length = 96
    return teacher


@torch.no_grad()
def teach(teacher: SentenceTransformer, texts: Sequence[str]) -> torch.Tensor:
    """The teacher's vectors of English texts, L2-normalised: (n, hidden)."""
    vectors = teacher.encode(
        list(texts), convert_to_tensor=True, normalize_embeddings=True, show_progress_bar=False
    )
    return vectors.clone()  # an inference tensor may not meet autograd


def distillation_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """10 · (1 − cosine) + cross-entropy of the in-batch similarities ÷ 0.05."""
    distance = 10 * (1 - (student * teacher).sum(-1)).mean()
    scores = student @ teacher.T / TEMPERATURE
    same = (teacher @ teacher.T > SAME) & ~torch.eye(
        len(scores), dtype=torch.bool, device=scores.device
    )
    target = torch.arange(len(scores), device=scores.device)
    return distance + F.cross_entropy(scores.masked_fill(same, -1e4), target)


def distill(
    student: Student,
    tokenizer: Tokenizer,
    teacher: SentenceTransformer,
    pairs: Sequence[Pair],
    *,
    steps: int = STEPS,
) -> None:
    """Train `student` in place."""
    device = student.token.weight.device
    pieces = list(student.body.embeddings.word_embeddings.parameters())
    body = [p for n, p in student.body.named_parameters() if "word_embeddings" not in n]
    optimizer = torch.optim.AdamW(
        [{"params": pieces, "lr": PIECE_RATE}, {"params": body, "lr": BODY_RATE}],
        weight_decay=0.0,
        fused=True,
    )
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, steps)
    rng = random.Random(SEED)
    for step in range(steps):
        batch = rng.sample(range(len(pairs)), min(BATCH, len(pairs)))
        english = [pairs[i].english for i in batch]
        shown = english if step % 5 == 4 else [pairs[i].japanese for i in batch]
        target = teach(teacher, english).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            encoded = student.encode(tokenizer_ids(tokenizer, shown, LIMIT))
        loss = distillation_loss(encoded.vectors, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        decay.step()
        if step % 20 == 0:
            cosine = (encoded.vectors * target).sum(-1).mean().item()
            log.info("distillation step %d loss %.3f cosine %.3f", step, loss.item(), cosine)
