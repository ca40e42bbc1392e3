"""Stage 7: the close reader learns where answers begin and end (see `index.close_reader`).

A question is shown with the sentences that the answer stage puts up for it, as it will have them read
(`index.training.candidates`). The network learns, over all their tokens and "not here" at once, where an
answer begins and where one ends (Clark & Gardner 2018, arXiv 1710.10723: passages compared with each other
are judged alike). Every eighth time those that answer are left out.

Questions with marked answers are nearly all about an encyclopedia. So that technical texts and English
questions are not new to it, some examples are made of manuals: the heading of a section beside sentences
of it and of its neighbours, an English segment beside its translation and those next to it. There whole
sentences answer, and any token of one may begin and end the answer. And some are of documents such as
teams have, which `index.training.practice` holds.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import nn
from transformers.masking_utils import create_bidirectional_mask

from index.close_reader import CHANGES, LAYERS
from index.int8 import change_of, packed, step_of, unpacked
from index.training.close_examples import Example, Examples
from index.training.reader_network import NEVER
from index.training.sources import SEED
from index.training.student import Student, mixed_precision

log = logging.getLogger(__name__)

BATCH = 32
STEPS = 2000
BODY_RATE, HEAD_RATE = 2.5e-4, 1e-3
WARMUP = 100
SAVE_EVERY = 100
MANUALS = 14_000  # sections of manuals that questions are made of
CHECKED = 600  # questions that are not trained on
FILLED = 512  # examples that are sorted by length, so that a batch is little padding


class CloseReaderNetwork(nn.Module):
    """The network that `index.close_reader.CloseReader` runs."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.body = student.body
        self.body.encoder.layer = self.body.encoder.layer[:LAYERS]
        size = self.body.config.hidden_size
        self.segment = nn.Parameter(torch.zeros(size))
        self.head = nn.Linear(size, 2)
        for parameter in self.body.embeddings.parameters():  # they are the encoder's
            parameter.requires_grad = False

    def forward(
        self, ids: torch.Tensor, real: torch.Tensor, in_passage: torch.Tensor
    ) -> torch.Tensor:
        """The log odds (n, t, 2) that an answer begins and ends at each token; `real` (n, t) marks
        what is no padding, `in_passage` (n, t) what is behind the question."""
        hidden = self.body.embeddings(input_ids=ids)
        hidden = hidden + in_passage[..., None].to(hidden.dtype) * self.segment
        mask = create_bidirectional_mask(self.body.config, hidden, real.long())
        for layer in self.body.encoder.layer:
            hidden = layer(hidden, mask)
        odds: torch.Tensor = self.head(hidden.float())
        return odds

    def take_up(self, folder: Path) -> None:
        """Go on from the close reader of a model folder, up to what its four bits left out. This network
        must be made of that folder's encoder, which the changes are to."""
        stored = load_file(folder / CHANGES)
        state = self.state_dict()
        for name, value in state.items():
            own = name.removeprefix("body.")
            if change_of(own) in stored:
                change = unpacked(stored[change_of(own)], stored[step_of(own)])
                state[name] = value + torch.from_numpy(change)
            elif own in stored:
                state[name] = torch.from_numpy(stored[own].astype(np.float32))
        self.load_state_dict(state)

    def changes(self, student: Student) -> dict[str, np.ndarray]:
        """What the model folder holds, by name: of each matrix how it differs from the encoder's, in
        four bits, everything else in float16."""
        before = student.body.state_dict()
        found = {
            "segment": self.segment, "head.weight": self.head.weight, "head.bias": self.head.bias,
        }  # fmt: skip
        plain = {name: value.detach().numpy().astype(np.float16) for name, value in found.items()}
        for name, value in self.body.state_dict().items():
            if name.startswith("encoder.layer."):
                if value.ndim == 2:
                    change = (value - before[name]).float().numpy()
                    plain[change_of(name)], plain[step_of(name)] = packed(change)
                else:
                    plain[name] = value.numpy().astype(np.float16)
        return plain


@dataclass(frozen=True)
class _Padded:
    ids: torch.Tensor
    real: torch.Tensor
    in_passage: torch.Tensor
    judged: torch.Tensor
    right: torch.Tensor  # (n, t, 2)


def _padded(examples: Sequence[Example]) -> _Padded:
    n, t = len(examples), max(len(example.ids) for example in examples)
    ids = torch.zeros(n, t, dtype=torch.long)
    real, in_passage, judged = (torch.zeros(n, t, dtype=torch.bool) for _ in range(3))
    right = torch.zeros(n, t, 2, dtype=torch.bool)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        real[row, : len(example.ids)] = True
        in_passage[row, example.passages :] = True
        for start, end in example.judged:
            judged[row, start:end] = True
        right[row, example.begins, 0] = True
        right[row, example.ends, 1] = True
    return _Padded(ids, real, in_passage, judged, right)


def loss_of(odds: torch.Tensor, batch: _Padded) -> torch.Tensor:
    """−log of the share that the right tokens have among all that are judged and "not here"."""
    every = odds.masked_fill(~batch.judged[..., None], NEVER)
    whole = torch.logaddexp(every.logsumexp(1), torch.zeros(()))
    best = every.masked_fill(~batch.right, NEVER).logsumexp(1)
    return torch.where(batch.right.any(1), whole - best, whole).mean()


@torch.no_grad()
def first_right(network: CloseReaderNetwork, examples: Sequence[Example]) -> float:
    """The share of answerable examples whose likeliest token is where an answer begins."""
    network.eval()
    judged = [example for example in examples if example.begins]
    good = []
    for start in range(0, len(judged), BATCH):
        batch = _padded(judged[start : start + BATCH])
        odds = network(batch.ids, batch.real, batch.in_passage)[..., 0]
        best = odds.masked_fill(~batch.judged, NEVER).argmax(1)
        good += batch.right[torch.arange(len(best)), best, 0].tolist()
    network.train()
    return float(np.mean(good))


def train_close_reader(
    network: CloseReaderNetwork,
    examples: Examples,
    checked: Sequence[Example],
    folder: Path,
    *,
    steps: int = STEPS,
) -> CloseReaderNetwork:
    """Trains; goes on where `folder` says that it stopped. What it reaches on `checked` is logged."""
    head = [network.segment, *network.head.parameters()]
    rest = [p for p in network.body.encoder.parameters() if p.requires_grad]
    rates = (BODY_RATE, HEAD_RATE)
    optimizer = torch.optim.AdamW(
        [{"params": rest}, {"params": head}], lr=BODY_RATE, weight_decay=0.01, betas=(0.9, 0.98)
    )
    step = _resumed(folder, network, optimizer)
    factor = _factor(steps)
    total, counted = 0.0, 0
    for batch in _batches(examples, first=step, last=steps):
        with mixed_precision("cpu"):
            odds = network(batch.ids, batch.real, batch.in_passage)
        loss = loss_of(odds.float(), batch)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_([*rest, *head], 1.0)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor(step)
        optimizer.step()
        step, total, counted = step + 1, total + loss.item(), counted + 1
        if step % SAVE_EVERY == 0 or step == steps:
            state = {
                "step": step,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            torch.save(state, folder / "state.tmp")
            (folder / "state.tmp").rename(folder / "state.pt")
            log.info(
                "close reader step %d of %d: loss %.4f, answer first %.4f",
                step, steps, total / counted, first_right(network, checked),
            )  # fmt: skip
            total, counted = 0.0, 0
    return network


def _factor(steps: int) -> Callable[[int], float]:
    """Of the learning rate: up, then down to a fiftieth."""
    return lambda step: min(1.0, (step + 1) / WARMUP) * max(0.02, 1 - step / steps)


def _resumed(folder: Path, network: CloseReaderNetwork, optimizer: torch.optim.Optimizer) -> int:
    """The step that an earlier run came to."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "state.pt").exists():
        return 0
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _batches(examples: Examples, *, first: int, last: int) -> Iterator[_Padded]:
    """The batches `first` to `last` - 1 of examples of about one length; the same every time."""
    filled: list[list[Example]] = []
    for step in range(last):
        if not filled:
            chooser = random.Random(SEED + step)
            drawn = [one for _ in range(FILLED) if (one := examples.draw(chooser))]
            drawn.sort(key=lambda example: len(example.ids))
            filled = [drawn[i : i + BATCH] for i in range(0, len(drawn), BATCH)]
            chooser.shuffle(filled)
        batch = filled.pop()
        if step >= first:
            yield _padded(batch)
