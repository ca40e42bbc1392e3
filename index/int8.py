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


def change_of(weight: str) -> str:
    """The name of how much a weight is changed: uint8 (outputs, inputs / 2), two numbers of four bits
    in one, 8 for no change, the first in the lower half."""
    return f"{weight}:change"


def step_of(weight: str) -> str:
    """The name of what such a number counts for: float16 (outputs,)."""
    return f"{weight}:step"


def packed(change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A change, float32 (outputs, inputs), as `change_of` and `step_of` say."""
    step = (np.abs(change).max(axis=1) / 7).astype(np.float16)
    units = np.where(step > 0, step, 1).astype(np.float32)
    whole = (np.rint(change / units[:, None]).clip(-7, 7) + 8).astype(np.uint8)
    return whole[:, ::2] | (whole[:, 1::2] << 4), step


def unpacked(whole: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The change that `packed` packed, float32 (outputs, inputs)."""
    numbers = np.stack([whole & 15, whole >> 4], axis=-1).reshape(len(whole), -1)
    change: np.ndarray = (numbers.astype(np.float32) - 8) * step[:, None].astype(np.float32)
    return change


def int8_weights(file: Path, changes: Path | None = None) -> dict[str, np.ndarray]:
    """All matrices of the layers in a safetensors file, by the names above: symmetric, one scale an
    output, so that the largest weight of an output is ±LARGEST. With `changes`, those matrices alone
    that it changes, changed."""
    from safetensors import safe_open
    from safetensors.numpy import load_file

    moved = load_file(changes) if changes else {}
    found: dict[str, np.ndarray] = {}
    with safe_open(file, framework="np") as stored:
        for name in sorted(stored.keys()):
            if not name.startswith("encoder.layer.") or (changes and change_of(name) not in moved):
                continue
            weight = stored.get_tensor(name)
            if weight.ndim == 2:  # (outputs, inputs)
                weight = weight.astype(np.float32)
                if changes:
                    weight += unpacked(moved[change_of(name)], moved[step_of(name)])
                scale = np.abs(weight).max(axis=1) / np.float32(LARGEST)
                whole = np.rint(weight / scale[:, None]).astype(np.int8)
                found[whole_of(name)] = np.ascontiguousarray(whole.T)
                found[scale_of(name)] = scale
    return found
