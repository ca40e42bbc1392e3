"""Stages 2 and 3: fewer layers, which learn to do what all of them did.

The student keeps eight of the teacher's twelve layers: from twelve on, that one was left out without
which the last hidden states stayed nearest to the teacher's (centred cosine 0.76 at eight). Then
every layer that is left learns to give what it gave in the teacher, token by token (hidden states as
targets: Jiao et al. 2020, "TinyBERT", arXiv 1909.10351). No label is needed, so that every text
of the data serves.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import BertModel

from index.training.sources import SEED, TrainingData
from index.training.student import Student, mixed_precision, tokenizer_ids, use_plain_attention
from index.training.teacher import Teacher
from index.training.tokenizer import teachers_rows

log = logging.getLogger(__name__)

LAYERS = (0, 2, 4, 7, 8, 9, 10, 11)
LAST = 3.0  # what the last layer's distance counts for; the others' count for one


@dataclass(frozen=True)
class Schedule:
    """All the numbers of the stage."""

    steps: int = 1_100
    pieces: int = 4_096  # of a step
    limit: int = 160  # pieces of a text
    rate: float = 4e-4
    warmup: int = 40
    save_every: int = 100


def pruned(teacher: Teacher, tokenizer: Tokenizer) -> Student:
    """Stage 2: the student before it has learned anything. Its token head begins as the main
    directions in which the teacher's tokens differ from their mean."""
    body = teacher.body(list(LAYERS), teachers_rows(teacher, tokenizer))
    use_plain_attention(body)
    return Student(body)


def texts(data: TrainingData, rng: random.Random) -> list[str]:
    """What the student is shown: passages and sections from any sentence on, questions, headings,
    both sides of the translations."""
    found = []
    for passage in data.passages:
        first = rng.randrange(max(1, len(passage.text) // 2))
        found += [passage.text, passage.text[first:], *(q for q, _ in passage.questions)]
    for section in data.sections:
        found += [section.text[:300], f"{section.title} {section.heading}"]
    for pair in data.pairs:
        found.append(pair.english if rng.random() < 0.3 else pair.japanese)
    rng.shuffle(found)
    return found


def batches(ids: Sequence[Sequence[int]], pieces: int, rng: random.Random) -> list[list[int]]:
    """Numbers of texts of like length, some `pieces` together, in any order."""
    order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), rng.random()))
    found: list[list[int]] = [[]]
    for number in reversed(order):
        longest = len(ids[found[-1][0]]) if found[-1] else 0
        if longest * (len(found[-1]) + 1) > pieces:
            found.append([])
        found[-1].append(number)
    rng.shuffle(found)
    return found


def hidden_states(
    body: BertModel, ids: Sequence[Sequence[int]]
) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    """After every layer, (n, t, hidden) each, the pieces' own vectors first; and which are real."""
    width = max(map(len, ids))
    padded = torch.tensor([[*row, *([0] * (width - len(row)))] for row in ids])
    real = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
    device = body.embeddings.word_embeddings.weight.device
    padded, real = padded.to(device), real.to(device)
    with mixed_precision(device.type):
        found = body(input_ids=padded, attention_mask=real, output_hidden_states=True)
    return found.hidden_states, real.bool()


def distance(
    student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], real: torch.Tensor
) -> torch.Tensor:
    """The squared distance of each kept layer's hidden states, as a share of the variance of the
    teacher's; weighted mean over layers."""
    total = torch.zeros((), device=real.device)
    for place, layer in enumerate(LAYERS):
        target, found = teacher[layer + 1].float()[real], student[place + 1].float()[real]
        share = (found - target).square().mean() / target.var(0).mean().clamp_min(1e-6)
        total = total + share * (LAST if place == len(LAYERS) - 1 else 1.0)
    return total / (len(LAYERS) - 1 + LAST)


@torch.no_grad()
def likeness(student: torch.Tensor, teacher: torch.Tensor, real: torch.Tensor) -> float:
    """Mean cosine of last hidden states, both from the teacher's mean."""
    target, found = teacher.float()[real], student.float()[real]
    middle = target.mean(0)
    cosine = torch.nn.functional.cosine_similarity(found - middle, target - middle, dim=-1)
    return cosine.mean().item()


def distill(
    student: Student,
    tokenizer: Tokenizer,
    teacher: Teacher,
    data: TrainingData,
    folder: Path,
    schedule: Schedule | None = None,
) -> None:
    """Stage 3: trains `student` in place; `folder` keeps the state that it goes on from."""
    s = schedule or Schedule()
    device = student.token.weight.device
    rows = teachers_rows(teacher, tokenizer)
    every = teacher.body(list(range(teacher.config.num_hidden_layers)), rows)
    torch.nn.Module.to(every, device)
    learned = [p for n, p in student.body.named_parameters() if "word_embeddings" not in n]
    optimizer = torch.optim.AdamW(learned, lr=s.rate, weight_decay=0.01, fused=True)
    first = _resume(folder, student, optimizer)
    source = _batches(tokenizer, data, s)
    began = time.monotonic()
    for step in range(s.steps):
        ids = next(source)
        if step < first:
            continue
        with torch.no_grad():
            target, real = hidden_states(every, ids)
        found, _ = hidden_states(student.body, ids)
        loss = distance(found, target, real)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = s.rate * min((step + 1) / s.warmup, 1 - 0.98 * step / s.steps)
        optimizer.step()
        if step % 20 == 0:
            log.info(
                "distillation step %d loss %.4f cosine %.4f | %d texts %.0f min", step, loss.item(),
                likeness(found[-1], target[-1], real), len(ids), (time.monotonic() - began) / 60,
            )  # fmt: skip
        if (step + 1) % s.save_every == 0 or step + 1 == s.steps:
            _save(folder, student, optimizer, step + 1)


def _batches(tokenizer: Tokenizer, data: TrainingData, s: Schedule) -> Iterator[list[list[int]]]:
    epoch = 0
    while True:
        rng = random.Random(f"{SEED}:{epoch}")
        ids = tokenizer_ids(tokenizer, texts(data, rng), s.limit)
        for batch in batches(ids, s.pieces, rng):
            yield [ids[i] for i in batch]
        epoch += 1


def _save(folder: Path, student: Student, optimizer: torch.optim.Optimizer, step: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {"step": step, "student": student.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, folder / "state.tmp")
    (folder / "state.tmp").rename(folder / "state.pt")


def _resume(folder: Path, student: Student, optimizer: torch.optim.Optimizer) -> int:
    if not (folder / "state.pt").exists():
        return 0
    state = torch.load(folder / "state.pt", weights_only=True)
    student.load_state_dict(state["student"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


@torch.no_grad()
def main_directions(student: Student, tokenizer: Tokenizer, data: TrainingData) -> None:
    """Sets the token head to the main directions (PCA) in which tokens differ from their
    mean: what all tokens share tells none of them apart."""
    shown = [p.text for p in data.passages[:200]]
    rows = []
    for start in range(0, len(shown), 20):
        ids = tokenizer_ids(tokenizer, shown[start : start + 20], 128)
        states, real = hidden_states(student.body, ids)
        rows.append(states[-1].float()[real])
    hidden = torch.cat(rows)
    middle = hidden.mean(0)
    _, _, directions = torch.linalg.svd(hidden - middle, full_matrices=False)
    head = directions[: student.token.out_features]
    away = middle / middle.norm()
    head = head - (head @ away)[:, None] * away
    student.token.weight.copy_(head / head.norm(dim=1, keepdim=True))
