"""The encoder's weights in int8, made of the float16 ones that its folder holds when it is opened.

onnxruntime could fold them out of the float16 weights itself, but takes four times the memory of all
weights for it and keeps it. Here one layer's weight is unfolded at a time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

# Seven bits: with eight, processors without VNNI overflow where two large products meet.
LARGEST = 63.0


def whole_of(weight: str) -> str:
    """The graph's name of a weight's whole numbers: int8 (inputs, outputs)."""
    return f"{weight}:int8"


def scale_of(weight: str) -> str:
    """The graph's name of what they are multiplied by: float32 (outputs,)."""
    return f"{weight}:scale"


def int8_weights(file: Path) -> dict[str, np.ndarray]:
    """All matrices of the layers in a safetensors file, by the names above: symmetric, one scale an
    output, so that the largest weight of an output is ±LARGEST."""
    from safetensors import safe_open

    found: dict[str, np.ndarray] = {}
    with safe_open(file, framework="np") as stored:
        for name in sorted(stored.keys()):
            if not name.startswith("encoder.layer."):
                continue
            weight = stored.get_tensor(name)
            if weight.ndim == 2:  # (outputs, inputs)
                weight = weight.astype(np.float32)
                scale = np.abs(weight).max(axis=1) / np.float32(LARGEST)
                whole = np.rint(weight / scale[:, None]).astype(np.int8)
                found[whole_of(name)] = np.ascontiguousarray(whole.T)
                found[scale_of(name)] = scale
    return found
