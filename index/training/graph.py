"""The encoder as an ONNX graph whose weights stay in the safetensors files.

The graph is written node by node (a BERT layer is six of them) rather than traced: the result is
a few kilobytes, uses onnxruntime's own attention and normalisation operators, and refers to the
weights by offset, so that the model folder holds every weight once.

There are two graphs over the same weights: one in float32, which `tests/unit/test_encoder.py`
compares with sentence-transformers, and one that multiplies in int8, about twice as fast. The
latter's weights are named only: who opens a session gives them (`index.int8`), since to have
onnxruntime fold them out of the float16 ones takes four times the memory of all weights.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.int8 import scale_of, whole_of

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

OPSET = 17
MICROSOFT = "com.microsoft"
OUTPUTS = ("vectors", "tokens", "weights", "hidden")


@dataclass(frozen=True)
class Shape:
    """What the graph needs to know of the BERT configuration."""

    layers: int
    heads: int
    hidden: int
    token_dimension: int
    epsilon: float


class GraphWriter:
    """Collects nodes and initializers; names of tensors are those of the safetensors files."""

    def __init__(self, folder: Path, files: tuple[str, ...], *, quantized: bool) -> None:
        self._quantized = quantized
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._stored = {
            name: (file, entry, base)
            for file in files
            for base, header in [safetensors_header(folder / file)]
            for name, entry in header.items()
            if name != "__metadata__"
        }
        self._known: set[str] = set()

    def stored(self, name: str) -> str:
        """The float16 tensor `name` as an initializer that lies in its safetensors file."""
        from onnx import TensorProto

        if name not in self._known:
            file, entry, base = self._stored[name]
            if entry["dtype"] != "F16":
                raise ValueError(f"{name} is {entry['dtype']}, not float16")
            start, end = entry["data_offsets"]
            tensor = TensorProto(name=name, data_type=TensorProto.FLOAT16, dims=entry["shape"])
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (
                ("location", file),
                ("offset", base + start),
                ("length", end - start),
            ):
                tensor.external_data.add(key=key, value=str(value))
            self.initializers.append(tensor)
            self._known.add(name)
        return name

    def given(self, name: str) -> tuple[str, str]:
        """The int8 of a weight and its scale, which lie nowhere: see `index.int8`."""
        from onnx import TensorProto

        outputs, inputs = self._stored[name][1]["shape"]
        for tensor in (
            TensorProto(name=whole_of(name), data_type=TensorProto.INT8, dims=[inputs, outputs]),
            TensorProto(name=scale_of(name), data_type=TensorProto.FLOAT, dims=[outputs]),
        ):
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="given when a session is opened")
            self.initializers.append(tensor)
        return whole_of(name), scale_of(name)

    def constant(self, name: str, values: list[int] | list[float], *, scalar: bool = False) -> str:
        from onnx import TensorProto, helper

        if name not in self._known:
            kind = TensorProto.INT64 if isinstance(values[0], int) else TensorProto.FLOAT
            self.initializers.append(
                helper.make_tensor(name, kind, [] if scalar else [len(values)], values)
            )
            self._known.add(name)
        return name

    def add(
        self, operator: str, *inputs: str, out: str = "", domain: str = "", **options: Any
    ) -> str:
        """Append a node and return the name of its first output."""
        from onnx import helper

        out = out or f"{operator}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [out], name=f"n{len(self.nodes)}",
                             domain=domain, **options)
        )  # fmt: skip
        return out

    def weight(self, name: str, *, transposed: bool = False) -> str:
        """A weight in float32; onnxruntime folds the cast (and the transposition) away."""
        from onnx import TensorProto

        ready = f"{name}:f32{'T' if transposed else ''}"
        if ready not in self._known:
            self._known.add(ready)
            out = "" if transposed else ready
            cast = self.add("Cast", self.stored(name), out=out, to=TensorProto.FLOAT)
            if transposed:
                self.add("Transpose", cast, out=ready, perm=[1, 0])
        return ready

    def normalized(self, inner: str, name: str, epsilon: float) -> str:
        """Layer normalisation. (The operator that adds what was skipped too takes six times as long.)"""
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("LayerNormalization", inner, scale, bias, axis=-1, epsilon=epsilon)

    def linear(self, inner: str, name: str) -> str:
        """`inner` times the layer's weight, plus its bias: in int8 where the graph is so."""
        if not self._quantized:
            weight = self.weight(f"{name}.weight", transposed=True)
            bias = self.weight(f"{name}.bias")
            return self.add("Add", self.add("MatMul", inner, weight), bias)
        whole, scale = self.given(f"{name}.weight")
        bias = self.weight(f"{name}.bias")
        return self.add("DynamicQuantizeMatMul", inner, whole, scale, "", bias, domain=MICROSOFT)


def safetensors_header(file: Path) -> tuple[int, dict[str, Any]]:
    """(where the data begins, the header) of a safetensors file."""
    with file.open("rb") as raw:
        (size,) = struct.unpack("<Q", raw.read(8))
        return 8 + size, json.loads(raw.read(size))


def build(
    folder: Path, shape: Shape, files: tuple[str, str], *, quantized: bool = False
) -> ModelProto:
    """The graph over the weight files in `folder`.

    Input: `input_ids`, int64 (n, t), texts of one length: without a mask for padding, attention is a
    quarter faster. Outputs: `vectors` float32 (n, hidden)
    and `tokens` float32 (n, t, token_dimension), L2-normalised; `weights` float32 (n, t);
    `hidden` float32 (n, t, hidden): the last hidden states, of which the parts are means.
    """
    from onnx import TensorProto, helper

    g = GraphWriter(folder, files, quantized=quantized)
    hidden = _embeddings(g, shape)
    for layer in range(shape.layers):
        hidden = _layer(g, shape, f"encoder.layer.{layer}", hidden)
    _outputs(g, hidden)
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "t"])]
    dims: tuple[list[str | int], ...] = (
        ["n", shape.hidden],
        ["n", "t", shape.token_dimension],
        ["n", "t"],
        ["n", "t", shape.hidden],
    )
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, d)
        for name, d in zip(OUTPUTS, dims, strict=True)
    ]
    return _model(g, "kiku-encoder", inputs, outputs)


def build_close_reader(folder: Path, shape: Shape, files: tuple[str, str]) -> ModelProto:
    """The graph of `index.close_reader`, in int8: the first layers of the encoder, whose weights are
    changed when a session is opened (see `index.int8`), with biases, norms and what comes last from
    the second of the `files`.

    Inputs: `input_ids`, int64 (n, t), and `in_passage`, float32 (t, 1), 1 behind the question and 0 in
    it. Output: `odds` float32 (n, t, 2), that the answer begins and that it ends at a token.
    """
    from onnx import TensorProto, helper

    g = GraphWriter(folder, files, quantized=True)
    segment = g.add("Mul", "in_passage", g.weight("segment"))
    hidden = g.add("Add", _embeddings(g, shape), segment)
    for layer in range(shape.layers):
        hidden = _layer(g, shape, f"encoder.layer.{layer}", hidden)
    odds = g.add("MatMul", hidden, g.weight("head.weight", transposed=True))
    g.add("Add", odds, g.weight("head.bias"), out="odds")
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "t"]),
        helper.make_tensor_value_info("in_passage", TensorProto.FLOAT, ["t", 1]),
    ]
    outputs = [helper.make_tensor_value_info("odds", TensorProto.FLOAT, ["n", "t", 2])]
    return _model(g, "kiku-close-reader", inputs, outputs)


def _model(g: GraphWriter, name: str, inputs: list[Any], outputs: list[Any]) -> ModelProto:
    from onnx import helper

    graph = helper.make_graph(g.nodes, name, inputs, outputs, g.initializers)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="kiku")


def _embeddings(g: GraphWriter, shape: Shape) -> str:
    from onnx import TensorProto

    pieces = g.add("Gather", g.stored("embeddings.word_embeddings.weight"), "input_ids", axis=0)
    pieces = g.add("Cast", pieces, to=TensorProto.FLOAT)
    zero, one, two = (g.constant(f"[{n}]", [n]) for n in (0, 1, 2))
    length = g.add("Slice", g.add("Shape", "input_ids"), one, two)
    positions = g.weight("embeddings.position_embeddings.weight")
    positions = g.add("Slice", positions, zero, length, zero)
    kind = g.weight("embeddings.token_type_embeddings.weight")
    kind = g.add("Gather", kind, g.constant("0", [0], scalar=True), axis=0)
    total = g.add("Add", pieces, g.add("Add", positions, kind))
    return g.normalized(total, "embeddings.LayerNorm", shape.epsilon)


def _layer(g: GraphWriter, shape: Shape, name: str, hidden: str) -> str:
    projected = [g.linear(hidden, f"{name}.attention.self.{p}") for p in ("query", "key", "value")]
    mixed = g.add("MultiHeadAttention", *projected, domain=MICROSOFT, num_heads=shape.heads)
    hidden = _residual(g, shape, f"{name}.attention.output", mixed, hidden)
    wide = g.add("Gelu", g.linear(hidden, f"{name}.intermediate.dense"), domain=MICROSOFT)
    return _residual(g, shape, f"{name}.output", wide, hidden)


def _residual(g: GraphWriter, shape: Shape, name: str, inner: str, hidden: str) -> str:
    return g.normalized(
        g.add("Add", g.linear(inner, f"{name}.dense"), hidden), f"{name}.LayerNorm", shape.epsilon
    )


def _outputs(g: GraphWriter, hidden: str) -> None:

    # The mean's divisor does not matter: the sum is normalised.
    total = g.add("ReduceSum", hidden, g.constant("[1]", [1]), keepdims=0)
    g.add("LpNormalization", total, out="vectors", axis=-1, p=2)
    tokens = g.add("MatMul", hidden, g.weight("token.weight", transposed=True))
    g.add("LpNormalization", tokens, out="tokens", axis=-1, p=2)
    weight = g.add("MatMul", hidden, g.weight("weight.weight", transposed=True))
    weight = g.add("Softplus", g.add("Add", weight, g.weight("weight.bias")))
    g.add("Squeeze", weight, g.constant("[-1]", [-1]), out="weights")
    g.add("Identity", hidden, out="hidden")
