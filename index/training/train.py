"""Joint training of sentence vectors and token vectors: seeded, resumable, logged.

Runs unchanged on a CPU and on one GPU, in bfloat16 where that is faster.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional as F

from index.parts import part_of_tokens
from index.training import losses
from index.training.batches import Batch, Batches
from index.training.reader_network import ReaderNetwork, chosen_questions, reading_loss
from index.training.sources import Passage, TrainingData
from index.training.student import (
    Encoded,
    Student,
    max_similarities,
    mixed_precision,
    part_similarities,
    sentence_similarities,
    tokenizer_ids,
)
from index.training.validate import validate

log = logging.getLogger(__name__)

SAME = 0.92  # a part this near to the right document says what that says: manuals repeat themselves


@dataclass
class Schedule:
    """All the numbers of a run."""

    steps: int = 700
    warmup: int = 60
    passages: float = 0.38  # shares of the steps
    manuals: float = 0.10
    practice: float = 0.20
    sections: float = 0.26
    pairs: float = 0.06
    piece_rate: float = 1e-4
    body_rate: float = 1e-4
    head_rate: float = 1e-3
    temperature: float = 0.05
    average: float = 0.99  # of the weights, per step
    query_limit: int = 48
    document_limit: int = 240
    save_every: int = 50
    validate_every: int = 200
    seed: int = 7
    scale: float = 1.0  # of the batch sizes
    queue: int = 6000  # parts of earlier documents that serve as negatives, for each kind
    final_rate: float = 0.03
    reading: float = 0.3  # weight of the reader's loss


class Queue:
    """The parts of the documents seen last: negatives of many batches for the price of one
    (cross-batch memory: Wang et al. 2020, arXiv 1912.06798). Not saved: it fills in a few steps."""

    def __init__(self, size: int, dimension: int, device: torch.device) -> None:
        self.size = size
        self.vectors = torch.zeros(0, dimension, device=device)
        self.owners = torch.zeros(0, dtype=torch.long, device=device)

    def add(self, documents: Encoded, passages: Sequence[int]) -> None:
        there = documents.part_mask
        owners = torch.tensor(passages, device=there.device)[:, None].expand_as(there)[there]
        self.vectors = torch.cat([self.vectors, documents.parts.detach()[there]])[-self.size :]
        self.owners = torch.cat([self.owners, owners])[-self.size :]


class Trainer:
    def __init__(
        self,
        student: Student,
        tokenizer: Tokenizer,
        data: TrainingData,
        schedule: Schedule,
        folder: Path,
        *,
        hard_negatives: Mapping[str, np.ndarray] | None = None,
        pages: Mapping[str, Sequence[Passage]] | None = None,
        practice_held_out: Sequence[Passage] = (),
        reader: ReaderNetwork | None = None,
    ) -> None:
        """`pages` as `Batches` takes them. What is held out of the data and of the practice documents
        is asked for along the way."""
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.student = student.to(self.device)
        self.scale = torch.nn.Parameter(torch.tensor(3.2, device=self.device))  # log of ~25
        self.tokenizer = tokenizer
        self.data = data
        self.schedule = schedule
        self.folder = folder
        self.practice_held_out = practice_held_out
        folder.mkdir(parents=True, exist_ok=True)
        self.batches = Batches(
            data,
            seed=schedule.seed,
            scale=schedule.scale,
            hard_negatives=hard_negatives,
            pages=pages,
        )
        self.reader = (reader or ReaderNetwork(student.token.out_features)).to(self.device)
        size = student.body.config.hidden_size
        self.queues = {
            kind: Queue(schedule.queue, size, self.device)
            for kind in ("passages", "sections", "practice")
        }
        self.average = {k: v.detach().clone() for k, v in student.state_dict().items()}
        pieces = list(student.body.embeddings.word_embeddings.parameters())
        heads = [*student.token.parameters(), *student.weight.parameters(), self.scale]
        heads += self.reader.parameters()
        taken = {id(p) for p in (*pieces, *heads)}
        body = [p for p in student.parameters() if id(p) not in taken]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": pieces, "lr": schedule.piece_rate, "weight_decay": 0.0},
                {"params": body, "lr": schedule.body_rate, "weight_decay": 0.01},
                {"params": heads, "lr": schedule.head_rate, "weight_decay": 0.0},
            ],
            fused=True,
        )
        self.step = 0
        self._rates = [g["lr"] for g in self.optimizer.param_groups]

    def _factor(self) -> float:
        """Linear warm-up, then linear decay to `final_rate` of the rate."""
        s = self.schedule
        if self.step < s.warmup:
            return (self.step + 1) / s.warmup
        rest = max(0.0, (s.steps - self.step) / max(1, s.steps - s.warmup))
        return s.final_rate + (1 - s.final_rate) * rest

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        s = self.schedule
        limit = s.query_limit if batch.kind != "pairs" else 96
        query_ids = tokenizer_ids(self.tokenizer, batch.queries, limit)
        encodings = self.tokenizer.encode_batch(batch.texts())
        document_ids, sentence_of, part_of, begun = [], [], [], []
        for text, encoding, parts in zip(batch.texts(), encodings, batch.documents, strict=True):
            ids = encoding.ids
            ends = np.cumsum([len(p) for p in parts])
            starts = np.array([a for a, _ in encoding.offsets])
            owner = np.searchsorted(ends, starts, side="right")
            if len(ids) > s.document_limit:
                ids = [*ids[: s.document_limit - 1], ids[-1]]
            document_ids.append(ids)
            sentence_of.append(owner[: len(ids)])
            begun.append(starts[: len(ids)])
            part_of.append(part_of_tokens(text, starts[: len(ids)]))
        with mixed_precision(self.device.type):
            queries = self.student.encode(query_ids)
            documents = self.student.encode(document_ids, part_of)
        positive = torch.tensor(batch.positive, device=self.device)
        ignore = torch.zeros(len(positive), len(document_ids), dtype=torch.bool, device=self.device)
        for q, d in batch.ignore:
            ignore[q, d] = True
        whole = queries.vectors @ documents.vectors.T / s.temperature
        dense = part_similarities(queries.vectors, documents) / s.temperature
        others = self._others(batch, queries, documents)
        with mixed_precision(self.device.type):
            late = max_similarities(queries, documents) * self.scale.exp()
        told = {
            "dense": losses.contrast(dense, positive, ignore, others),
            "whole": 0.3 * losses.contrast(whole, positive, ignore),
            "late": losses.contrast(late, positive, ignore),
            "imitate": 0.5 * losses.imitate(dense, late, ignore),
        }
        if batch.kind in ("passages", "manuals", "practice"):
            told["sentence"] = 0.5 * self._sentence_loss(batch, queries, documents, sentence_of)
            asked = chosen_questions(batch, begun, late.detach(), self.step)
            told["reading"] = s.reading * reading_loss(self.reader, queries, documents, asked)
        if batch.kind == "passages":
            self.batches.remember(batch, documents.vectors.detach().cpu().numpy())
        if batch.kind in self.queues:
            self.queues[batch.kind].add(documents, batch.passages)
        numbers = {k: v.item() for k, v in told.items()}
        numbers["acc"] = losses.accuracy(dense, positive, ignore)
        numbers["acc_late"] = losses.accuracy(late, positive, ignore)
        numbers["pieces"] = sum(map(len, query_ids)) + sum(map(len, document_ids))
        return torch.stack(list(told.values())).sum(), numbers

    def _others(self, batch: Batch, queries: Encoded, documents: Encoded) -> torch.Tensor | None:
        """Scores (q, m) of the parts of earlier batches' documents, -∞ where such a part is of
        the query's own passage or says what its document says."""
        queue = self.queues.get(batch.kind)
        if queue is None or not len(queue.owners) or self.step < self.schedule.warmup:
            return None
        scores = queries.vectors @ queue.vectors.T / self.schedule.temperature
        positive = torch.tensor(batch.positive, device=self.device)
        owners = torch.tensor(batch.passages, device=self.device)[positive]
        own = owners[:, None] == queue.owners[None, :]
        same = documents.vectors.detach()[positive] @ queue.vectors.T > SAME
        return scores.masked_fill(own | same, -1e4)

    def _sentence_loss(
        self, batch: Batch, queries: Encoded, documents: Encoded, sentence_of: list[np.ndarray]
    ) -> torch.Tensor:
        """Of the positive document's sentences, the one with the answer must be nearest."""
        count = max(len(parts) for parts in batch.documents)
        owners = np.full((len(sentence_of), documents.mask.shape[1]), count, np.int64)
        for row, owner in enumerate(sentence_of):
            owners[row, : len(owner)] = np.minimum(owner, count)
        owners[owners == 0] = count  # the title line is no sentence
        positive = torch.tensor(batch.positive, device=self.device)
        own = Encoded(
            documents.vectors[positive],
            documents.tokens[positive],
            documents.weights[positive],
            documents.mask[positive],
            documents.parts[positive],
            documents.part_mask[positive],
        )
        sentence = torch.tensor(owners, device=self.device)[positive]
        scores = sentence_similarities(queries, own, sentence, count) * self.scale.exp()
        target = torch.tensor(batch.sentence, device=self.device)
        reached = scores.gather(1, target[:, None]).squeeze(1) > -0.99 * self.scale.exp()
        if not reached.any():
            return scores.sum() * 0
        return F.cross_entropy(scores[reached], target[reached])

    def run(self) -> None:
        """Train to the end of the schedule, saving and validating on the way."""
        s = self.schedule
        (self.folder / "schedule.json").write_text(json.dumps(asdict(s), indent=1))
        shares = {
            "passages": s.passages, "sections": s.sections, "pairs": s.pairs, "manuals": s.manuals,
            "practice": s.practice,
        }  # fmt: skip
        seen, began, clock = 0, time.monotonic(), time.monotonic()
        while self.step < s.steps:
            batch = self.batches.next(self.step, shares)
            if len(batch.queries) < 2:
                self.step += 1
                continue
            loss, numbers = self.loss(batch)
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
            torch.nn.utils.clip_grad_norm_(self.reader.parameters(), 1.0)
            for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * self._factor()
            self.optimizer.step()
            self.step += 1
            seen += int(numbers["pieces"])
            if self.step % 4 == 0:
                self._average(min(s.average**4, self.step / (self.step + 40)))
            if self.step % 10 == 0:
                shown = " ".join(f"{k} {v:.3f}" for k, v in numbers.items() if k != "pieces")
                speed = seen / (time.monotonic() - clock)
                log.info(
                    "step %d %s %s | %d q %d d %.0f pieces/s %.2f s/step %.0f min",
                    self.step, batch.kind, shown, len(batch.queries), len(batch.documents), speed,
                    (time.monotonic() - clock) / 10, (time.monotonic() - began) / 60,
                )  # fmt: skip
                seen, clock = 0, time.monotonic()
            if self.step % s.save_every == 0 or self.step == s.steps:
                self.save()
            if self.step % s.validate_every == 0 or self.step == s.steps:
                self.check()
                clock = time.monotonic()

    @torch.no_grad()
    def _average(self, keep: float) -> None:
        for k, v in self.student.state_dict().items():
            if v.dtype.is_floating_point:
                self.average[k].lerp_(v, 1 - keep)

    def averaged(self) -> Student:
        """A student with the averaged weights."""
        copy = Student(type(self.student.body)(self.student.body.config, add_pooling_layer=False))
        copy.load_state_dict(self.average)
        return copy.to(self.device)

    def check(self) -> None:
        student = self.averaged()
        numbers = validate(student, self.tokenizer, self.data.validation)
        if self.practice_held_out:
            practised = validate(student, self.tokenizer, self.practice_held_out)
            numbers |= {f"practice {name}": value for name, value in practised.items()}
        told = " ".join(f"{k} {v:.4f}" for k, v in numbers.items())
        log.info("validation at step %d: %s", self.step, told)
        with (self.folder / "validation.jsonl").open("a") as out:
            out.write(json.dumps({"step": self.step, **numbers}) + "\n")

    def save(self) -> None:
        """The whole state, replaced in one rename."""
        state = {
            "step": self.step,
            "student": self.student.state_dict(),
            "average": self.average,
            "scale": self.scale.detach(),
            "reader": self.reader.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "position": self.batches.position,
            "memory": torch.from_numpy(self.batches.memory),
        }
        torch.save(state, self.folder / "state.tmp")
        (self.folder / "state.tmp").rename(self.folder / "state.pt")

    def resume(self) -> bool:
        """Go on from the folder's state, if there is one."""
        if not (self.folder / "state.pt").exists():
            return False
        state = torch.load(self.folder / "state.pt", map_location=self.device, weights_only=True)
        self.student.load_state_dict(state["student"])
        self.average = state["average"]
        with torch.no_grad():
            self.scale.copy_(state["scale"])
        self.reader.load_state_dict(state["reader"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.batches.position = {k: tuple(v) for k, v in state["position"].items()}
        self.batches.memory = state["memory"].cpu().numpy()
        log.info("resumed at step %d", self.step)
        return True
