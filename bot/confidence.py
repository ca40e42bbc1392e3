"""How likely it is that the documents answer: a logistic model of what retrieval and the answer
stage saw, fitted on held-out articles, manuals and practice documents with a part left out of the index (see
docs/retrieval.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from index.errors import SettingsError

# Fitted; see docs/retrieval.md for the data, the protocol and the measures. The fit sees as many
# questions without an answer as with one; four of five of those that teams ask have their answer in the
# documents. The bias is raised by log 3: at the default threshold that costs least on held-out articles, manuals
# and practice documents together within a few percent, and on the last, the likest to those, too. `version` (see
# `index.query.version_match`) is set by hand in all three, since such questions are too rare there.
_WEIGHTS: Mapping[str, float] = {
    "lexical": 0.85,
    "dense": 1.21,
    "late": 0.72,
    "coverage": 0.41,
    "sentence": 0.28,
    "around": 0.81,
    "sentence_late": 0.41,
    "late_around": 0.75,
    "late_weakest": 0.76,
    "reads": 0.54,
    "passage_reads": 0.36,
    "unknown": -0.11,
    "margin": 0.08,
    "expected": 0.26,
    "close": 3.46,
    "read_closely": -1.10,
    "version": 1.0,
}
_BIAS = -2.05
# The same fit without what the close reader says, for encoders that have none.
_NOT_READ: Mapping[str, float] = {
    "lexical": 0.89,
    "dense": 1.26,
    "late": 0.97,
    "coverage": 0.67,
    "sentence": 0.34,
    "around": 0.87,
    "sentence_late": 0.28,
    "late_around": 0.80,
    "late_weakest": 1.02,
    "reads": 0.75,
    "passage_reads": 0.83,
    "unknown": -0.15,
    "margin": 0.25,
    "expected": 0.30,
    "version": 1.0,
}
_NOT_READ_BIAS = -4.25
# Such a fit on articles and manuals over an index without vectors, where only words speak, raised by log 4.
_WORDS_ONLY: Mapping[str, float] = {
    "lexical": 1.96,
    "coverage": 1.75,
    "sentence": 1.84,
    "around": 2.15,
    "unknown": -0.68,
    "margin": 0.41,
    "expected": 1.12,
    "version": 1.0,
}
_WORDS_ONLY_BIAS = -4.82


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights of the features and the bias, in log odds; `threshold` None leaves the setting's."""

    weights: Mapping[str, float] = field(default_factory=lambda: dict(_WEIGHTS))
    bias: float = _BIAS
    threshold: float | None = None

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """A team's own calibration, or the shipped one where there is no such file."""
        if not path.is_file():
            return cls()
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            weights = {str(name): float(value) for name, value in raw["weights"].items()}
            if not weights.keys() <= _WEIGHTS.keys():  # made by a version that saw other things
                raise KeyError
            return cls(weights, float(raw["bias"]), float(raw["threshold"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise SettingsError(
                f"較正のファイル {path.name} を読めません。",
                hint="kiku eval --calibrate --reset で出荷時の較正に戻せます。",
            ) from None

    def probability(self, features: Mapping[str, float]) -> float:
        """The probability (0…1) that the documents answer; `features` without `close` are those of an
        encoder that has no close reader."""
        weights, bias = self.weights, self.bias
        if weights == _WEIGHTS and not (features.get("dense") or features.get("late")):
            weights, bias = _WORDS_ONLY, _WORDS_ONLY_BIAS
        elif weights == _WEIGHTS and "close" not in features:
            weights, bias = _NOT_READ, _NOT_READ_BIAS
        odds = bias + sum(weight * features.get(name, 0.0) for name, weight in weights.items())
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, odds))))
