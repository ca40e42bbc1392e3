"""The network that is trained: a BERT body, a sentence vector and a token head.

sentence vector   mean of the last hidden states, L2-normalised
part vectors      0.8 · L2-normalised mean over the part's tokens + 0.2 · sentence vector; see index.parts
token vectors     linear 384 → 64, L2-normalised (late interaction: Khattab & Zaharia 2020,
                  arXiv 2004.12832)
token weights     softplus(linear 384 → 1): how much a query token counts
MaxSim(q, d)      Σᵢ wᵢ · maxⱼ qᵢ·dⱼ / Σᵢ wᵢ      without [CLS] and [SEP]
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from index.parts import OWN

TOKEN_DIMENSION = 64
HEAD_FILE = "token_head.safetensors"


def mixed_precision(device: str) -> torch.autocast:
    """Products in bfloat16 where `device` ("cpu" or "cuda") does these faster than float32 ones."""
    return torch.autocast(device, torch.bfloat16, enabled=device != "cpu" or _bfloat16_is_faster())


@cache
def _bfloat16_is_faster() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32. Some that know both (AVX-512
    without AMX) take twice as long for it, and no flag says so: one product of the body is timed."""
    took = {}
    for kind in (torch.float32, torch.bfloat16):
        left, right = torch.ones(4096, 384, dtype=kind), torch.ones(384, 1536, dtype=kind)
        rounds = []
        for _ in range(5):  # the first also makes the kernel
            began = time.perf_counter()
            torch.mm(left, right)
            rounds.append(time.perf_counter() - began)
        took[kind] = min(rounds)
    return took[torch.bfloat16] < took[torch.float32]


def plain_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float = 1.0,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Attention as three products: on a CPU, for short bfloat16 sequences, the fused kernel's
    backward pass is a third slower."""
    scores = torch.matmul(query * scaling, key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores + attention_mask.to(scores.dtype)
    with torch.autocast(query.device.type, enabled=False):
        mixed = torch.matmul(scores.softmax(-1), value)
    return mixed.transpose(1, 2).contiguous(), None


def use_plain_attention(body: BertModel) -> None:
    ALL_ATTENTION_FUNCTIONS.register("plain", plain_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register("plain", ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    body.config._attn_implementation = "plain"


@dataclass
class Encoded:
    """A batch of n texts; t is the longest one's length."""

    vectors: torch.Tensor  # (n, dimension), L2-normalised
    tokens: torch.Tensor  # (n, t, TOKEN_DIMENSION), L2-normalised
    weights: torch.Tensor  # (n, t), 0 where `mask` is
    mask: torch.Tensor  # (n, t), True at tokens that count in MaxSim
    parts: torch.Tensor  # (n, p, dimension); (n, 0, dimension) when no parts were asked for
    part_mask: torch.Tensor  # (n, p), True where there is such a part


class Student(nn.Module):
    def __init__(self, body: BertModel, token_dimension: int = TOKEN_DIMENSION) -> None:
        super().__init__()
        self.body = body
        size = body.config.hidden_size
        self.token = nn.Linear(size, token_dimension, bias=False)
        self.weight = nn.Linear(size, 1)
        nn.init.orthogonal_(self.token.weight)
        nn.init.zeros_(self.weight.weight)
        nn.init.zeros_(self.weight.bias)

    @classmethod
    def load(cls, folder: Path) -> Student:
        """A sentence-transformers folder; without a trained token head it starts orthogonal."""
        config = BertConfig.from_pretrained(folder)
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        body = BertModel(config, add_pooling_layer=False)
        use_plain_attention(body)
        weights = load_file(folder / "model.safetensors")
        missing, unexpected = body.load_state_dict(
            {k: v.float() for k, v in weights.items()}, strict=False
        )
        lost = [k for k in missing if "position_ids" not in k]
        if lost or any("pooler" not in k for k in unexpected):
            raise ValueError(f"{folder}: not this BERT: lacks {lost}, has {unexpected}")
        student = cls(body)
        if (folder / HEAD_FILE).exists():
            student.load_head(folder / HEAD_FILE)
        return student

    def load_head(self, file: Path) -> None:
        head = {k: v.float() for k, v in load_file(file).items()}
        self.token.load_state_dict({"weight": head["token.weight"]})
        self.weight.load_state_dict({"weight": head["weight.weight"], "bias": head["weight.bias"]})

    def save_weights(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """model.safetensors and the head's file, in `dtype`, sorted by name."""
        body = {k: v.detach().to(dtype).contiguous() for k, v in self.body.state_dict().items()}
        body = {k: v for k, v in body.items() if "position_ids" not in k}
        # Nothing uses BERT's pooler; without it transformers reports missing weights.
        size = self.body.config.hidden_size
        body["pooler.dense.weight"] = torch.zeros(size, size, dtype=dtype)
        body["pooler.dense.bias"] = torch.zeros(size, dtype=dtype)
        save_file(dict(sorted(body.items())), folder / "model.safetensors", {"format": "pt"})
        head = {
            f"{name}.{k}": v.detach().to(dtype).contiguous()
            for name, layer in (("token", self.token), ("weight", self.weight))
            for k, v in layer.state_dict().items()
        }
        save_file(head, folder / HEAD_FILE, {"format": "pt"})

    def forward(
        self, ids: torch.Tensor, lengths: torch.Tensor, owner: torch.Tensor, parts: int = 0
    ) -> Encoded:
        """`ids` (n, t) padded with 0; `lengths` (n,) counts [CLS] … [SEP]; `owner` (n, t) is the
        part of every token, of `parts` ones."""
        position = torch.arange(ids.shape[1], device=ids.device)[None, :]
        attention = position < lengths[:, None]
        hidden = self.body(input_ids=ids, attention_mask=attention.long()).last_hidden_state
        hidden = hidden.float()
        mean = (hidden * attention[..., None]).sum(1) / lengths[:, None]
        inner = (position > 0) & (position < lengths[:, None] - 1)
        weights = F.softplus(self.weight(hidden).float().squeeze(-1)) * inner
        vectors = F.normalize(mean, dim=-1)
        holds = F.one_hot(owner.masked_fill(~inner, parts).clamp_max(parts), parts + 1)
        holds = holds[..., :parts].transpose(1, 2).to(hidden.dtype)  # (n, p, t)
        own = F.normalize(holds @ hidden, dim=-1)
        return Encoded(
            vectors=vectors,
            tokens=F.normalize(self.token(hidden).float(), dim=-1),
            weights=weights,
            mask=inner,
            parts=OWN * own + (1 - OWN) * vectors[:, None],
            part_mask=holds.sum(-1) > 0,
        )

    def encode(
        self,
        ids: Sequence[Sequence[int]],
        owners: Sequence[np.ndarray] | None = None,
        bucket_tokens: int = 4096,
    ) -> Encoded:
        """Any number of texts in their order; run in buckets of like length, so that little
        is spent on padding. `owners` names the part of every piece, where parts are wanted."""
        device = self.token.weight.device
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]), reverse=True)
        buckets: list[list[int]] = []
        for i in order:
            longest = len(ids[buckets[-1][0]]) if buckets else 0
            if not buckets or longest * (len(buckets[-1]) + 1) > bucket_tokens:
                buckets.append([])
            buckets[-1].append(i)
        width = len(ids[order[0]])
        count = max(int(o.max()) + 1 for o in owners) if owners else 0
        parts = []
        for bucket in buckets:
            longest = len(ids[bucket[0]])
            padded = torch.zeros(len(bucket), longest, dtype=torch.long)
            owner = torch.full((len(bucket), longest), count, dtype=torch.long)
            for row, i in enumerate(bucket):
                padded[row, : len(ids[i])] = torch.tensor(ids[i])
                if owners:
                    owner[row, : len(ids[i])] = torch.from_numpy(owners[i])
            lengths = torch.tensor([len(ids[i]) for i in bucket])
            part = self(padded.to(device), lengths.to(device), owner.to(device), count)
            grow = (0, width - longest)
            parts.append(
                Encoded(
                    part.vectors,
                    F.pad(part.tokens, (0, 0, *grow)),
                    F.pad(part.weights, grow),
                    F.pad(part.mask, grow),
                    part.parts,
                    part.part_mask,
                )
            )
        back = torch.empty(len(ids), dtype=torch.long, device=device)
        back[torch.tensor(order, device=device)] = torch.arange(len(ids), device=device)
        return Encoded(
            *(torch.cat([getattr(p, f) for p in parts])[back]
              for f in ("vectors", "tokens", "weights", "mask", "parts", "part_mask"))
        )  # fmt: skip


def part_similarities(queries: torch.Tensor, documents: Encoded) -> torch.Tensor:
    """The best part of every document for every query vector: (q, d)."""
    n, p, dimension = documents.parts.shape
    scores = (queries @ documents.parts.view(n * p, dimension).T).view(-1, n, p)
    return scores.masked_fill(~documents.part_mask, -1.0).amax(-1)


def max_similarities(queries: Encoded, documents: Encoded) -> torch.Tensor:
    """MaxSim of every query with every document: (q, d).

    The matches are found first, without gradients and only between real tokens; the gradient
    then runs through the matched pairs alone. A tenth of the memory of the padded product.
    """
    asked = queries.tokens[queries.mask]  # (tokens of all queries, k)
    held = documents.tokens[documents.mask]
    sizes = documents.mask.sum(1).tolist()
    with torch.no_grad():
        with mixed_precision(asked.device.type):
            similarity = asked @ held.T
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        match = torch.stack(
            [
                part.argmax(1) + a
                for part, a in zip(torch.split(similarity, sizes, 1), starts, strict=True)
            ],
            dim=1,
        )
    matched = held.index_select(0, match.flatten()).view(len(asked), len(sizes), -1)
    best = torch.bmm(matched, asked[:, :, None]).squeeze(-1).float()  # (tokens, d)
    weights = queries.weights / queries.weights.sum(1, keepdim=True).clamp_min(1e-6)
    owner = queries.mask.nonzero()[:, 0]
    total = best.new_zeros(len(queries.mask), len(sizes))
    return total.index_add(0, owner, best * weights[queries.mask][:, None])


def sentence_similarities(
    queries: Encoded, documents: Encoded, sentence: torch.Tensor, count: int
) -> torch.Tensor:
    """MaxSim of query i with each sentence of document i: (n, count), -1 where there is none.

    `sentence` (n, s) names the sentence of every document token, `count` for none.
    """
    similarity = torch.einsum("ntk,nsk->nts", queries.tokens, documents.tokens).float()
    n, t, s = similarity.shape
    index = sentence.masked_fill(~documents.mask, count)[:, None, :].expand(n, t, s)
    best = similarity.new_full((n, t, count + 1), -1.0)
    best = best.scatter_reduce(2, index, similarity, "amax", include_self=True)[..., :count]
    weights = queries.weights / queries.weights.sum(1, keepdim=True).clamp_min(1e-6)
    return torch.einsum("ntc,nt->nc", best, weights)


def tokenizer_ids(tokenizer: Tokenizer, texts: Sequence[str], limit: int) -> list[list[int]]:
    """Piece ids with [CLS] and [SEP], cut to `limit` pieces in all."""
    encoded = [e.ids for e in tokenizer.encode_batch_fast(list(texts))]
    return [ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]] for ids in encoded]
