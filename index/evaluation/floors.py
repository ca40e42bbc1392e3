"""Floors: values that an evaluation must not fall below, in a JSON object `{"leg.measure": value}`.

For measures where less is better (`aurc`, `ece`, `brier`, latency) the value is a ceiling.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from index.errors import DatasetError
from index.evaluation.records import LOWER_IS_BETTER, Evaluation


def load(path: Path) -> dict[str, float]:
    """The floors of a file. Raises DatasetError where it is not such an object."""
    try:
        floors = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"下限のファイル {path} を読めません（{error.strerror}）。") from None
    except (ValueError, RecursionError):
        raise DatasetError(f"下限のファイル {path} は JSON として読めません。") from None
    if not isinstance(floors, dict) or not floors or not all(map(_is_number, floors.values())):
        raise DatasetError(
            f'下限のファイル {path} は {{"answers.right_first": 0.9}} のような形にしてください。'
        )
    return floors


def breaches(evaluation: Evaluation, floors: Mapping[str, float]) -> list[str]:
    """One sentence for every floor that is not held, or that names what was not measured."""
    found = []
    for name, bound in floors.items():
        estimate = evaluation.measure(name)
        ceiling = name.rpartition(".")[2] in LOWER_IS_BETTER
        if estimate is None:
            found.append(f"{name} は測られていません（下限 {bound:g}）。")
        elif ceiling and not estimate.value <= bound:
            found.append(f"{name} が上限 {bound:g} を上回りました: {estimate.value:.4f}")
        elif not ceiling and not estimate.value >= bound:
            found.append(f"{name} が下限 {bound:g} を下回りました: {estimate.value:.4f}")
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
