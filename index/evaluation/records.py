"""What an evaluation leaves behind: rows, estimates, and the JSON file that holds them.

The file is public (`kiku eval --json`): a change of its meaning raises `FORMAT`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pydantic import TypeAdapter, ValidationError

from index.errors import DatasetError

FORMAT = 1
LOWER_IS_BETTER = frozenset({"aurc", "brier", "ece", "p50_ms", "p95_ms"})


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure over `n` questions with its 95 % confidence interval `low`…`high`."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A passage that was found or should have been; `text` may be cut short."""

    document: str
    title: str
    text: str = ""


class Row(Protocol):
    """One question's outcome; `values` holds the measures that apply to it, 0…1."""

    @property
    def id(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def values(self) -> dict[str, float]: ...
    @property
    def ms(self) -> float: ...


@dataclass(frozen=True, slots=True)
class SearchRow:
    """One question searched in one mode.

    `rank` is the place of the first right passage among distinct documents, 1 = first, None where
    none was found. `found` holds the best documents, `gold` what would have been right.
    """

    id: str
    question: str
    kind: str
    values: dict[str, float]
    ms: float
    rank: int | None
    found: tuple[Excerpt, ...] = ()
    gold: tuple[Excerpt, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One question asked.

    `right` tells whether the first quote is right, whatever the threshold said: what a
    risk–coverage curve needs; False for a question that the documents do not answer. `values` has
    what applies of `right`, `right_first`, `right_any`, `answer_holds`, `right_passage`, `recall`,
    `not_found`, `exact_citations`; docs/evaluation.md defines them.
    """

    id: str
    question: str
    kind: str
    values: dict[str, float]
    ms: float
    answerable: bool
    status: Literal["answered", "not_found", "error"]
    confidence: float
    right: bool
    answer: str
    quotes: tuple[Excerpt, ...] = ()
    gold: tuple[Excerpt, ...] = ()
    answers: tuple[str, ...] = ()
    history: tuple[str, ...] = ()


Measures = dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class SearchLeg:
    """Retrieval in one mode: its measures, the same by kind of question, and the rows."""

    measures: Measures
    kinds: dict[str, Measures]
    rows: tuple[SearchRow, ...]


@dataclass(frozen=True, slots=True)
class AnswerLeg:
    """The answers: their measures, the same by kind of question, and the rows."""

    measures: Measures
    kinds: dict[str, Measures]
    rows: tuple[AnswerRow, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One run of `kiku eval`. `legs` are the retrieval modes by name; `created` is ISO 8601 UTC."""

    dataset: str
    digest: str
    cases: int
    passages: int
    version: str
    created: str
    generation: str
    threshold: float
    left_out: float = 0.0
    seconds: float = 0.0
    legs: dict[str, SearchLeg] = field(default_factory=dict)
    answers: AnswerLeg | None = None
    format: int = FORMAT

    def measure(self, name: str) -> Estimate | None:
        """The estimate called `leg.measure`, such as `hybrid.R@1` or `answers.auroc`."""
        leg_name, _, measure = name.partition(".")
        leg = self.answers if leg_name == "answers" else self.legs.get(leg_name)
        return leg.measures.get(measure) if leg else None

    def rows(self) -> dict[str, Sequence[Row]]:
        """The rows of every leg by its name, the answers as `answers`."""
        found: dict[str, Sequence[Row]] = {name: leg.rows for name, leg in self.legs.items()}
        if self.answers:
            found["answers"] = self.answers.rows
        return found


_FILE: TypeAdapter[Evaluation] = TypeAdapter(Evaluation)


def save(evaluation: Evaluation, path: Path) -> None:
    """Writes the evaluation as JSON. Raises DatasetError where the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_FILE.dump_json(evaluation, indent=1) + b"\n")
    except OSError as error:
        raise DatasetError(f"{path} に書けません（{error.strerror}）。") from None


def load(path: Path) -> Evaluation:
    """Reads what `save` wrote. Raises DatasetError where it is something else."""
    try:
        found = _FILE.validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"評価結果 {path} を読めません（{error.strerror}）。") from None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "全体"
        raise DatasetError(
            f"{path} は `kiku eval --json` の結果ではありません（{where}: "
            f"{error.errors()[0]['msg']}）。"
        ) from None
    if found.format != FORMAT:
        raise DatasetError(f"{path} の形式は {found.format} ですが、読めるのは {FORMAT} だけです。")
    return found
