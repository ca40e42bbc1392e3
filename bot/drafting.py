"""`kiku eval new`: a team's own questions, drafted from its documents and accepted by a person.

The file grows as it is worked on, so that one can stop at any question and go on another day.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from index.errors import DatasetError
from index.evaluation import drafts
from index.evaluation.datasets import read_rows
from index.evaluation.drafts import Draft
from index.generation import write_durably
from index.retrieve import Retriever

Decision = Literal["accept", "skip", "stop"]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Review:
    """A row to decide on, and what to show beside it: the sentence and where it stands."""

    row: Row
    sentence: str
    source: str


class QuestionFile:
    """A `questions.jsonl` being written; `skipped` remembers what a person did not want."""

    def __init__(self, path: Path, skipped: Path) -> None:
        self.path = path
        self._skipped_path = skipped
        self.rows: list[Row] = [row for _, row in read_rows(path)] if path.exists() else []
        self._skipped = _lines(skipped)

    @property
    def known(self) -> set[str]:
        """The ids that need not be drafted again."""
        return {str(row.get("id", "")) for row in self.rows} | set(self._skipped)

    @property
    def pending(self) -> list[Row]:
        """The rows that nobody has accepted yet."""
        return [row for row in self.rows if row.get("review") is True]

    def accept(self, row: Row) -> None:
        """Keeps a row; what is in the file under its id is replaced."""
        self._replace(row, {key: value for key, value in row.items() if key != "review"})

    def add_draft(self, row: Row) -> None:
        """Keeps a row as a draft, to be accepted later."""
        self._replace(row, {**row, "review": True})

    def skip(self, row: Row) -> None:
        """Drops a row for good."""
        self._replace(row, None)
        self._skipped.append(str(row["id"]))
        self._write(self._skipped_path, "".join(f"{one}\n" for one in self._skipped))

    def _replace(self, old: Row, new: Row | None) -> None:
        place = next((n for n, row in enumerate(self.rows) if row.get("id") == old["id"]), None)
        if place is None:
            self.rows += [new] if new else []
        else:
            self.rows[place : place + 1] = [new] if new else []
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
        self._write(self.path, "".join(lines))

    def _write(self, path: Path, text: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(path, text.encode())
        except OSError as error:
            raise DatasetError(f"{path} に書けません（{error.strerror}）。") from None


def reviews(retriever: Retriever, file: QuestionFile, count: int) -> Iterator[Review]:
    """The drafts that wait in the file, then at most `count` new ones out of the documents."""
    for row in file.pending:
        yield Review(row, str(row.get("sentence", "")), str(row.get("source", "")))
    for one in new_drafts(retriever, file, count):
        yield Review(row_of(one), one.sentence, one.source)


def new_drafts(retriever: Retriever, file: QuestionFile, count: int) -> list[Draft]:
    """At most `count` drafts that the file does not know."""
    found = (retriever.document(summary.id) for summary in retriever.documents())
    return drafts.pick((document for document in found if document), count, file.known)


def decide(
    waiting: Iterator[Review], file: QuestionFile, ask: Callable[[Review], tuple[Decision, Row]]
) -> tuple[int, int]:
    """Puts each review before a person through `ask`, which gives the decision and the row as
    mended. How many were accepted and skipped; each is kept at once."""
    accepted = skipped = 0
    for review in waiting:
        decision, row = ask(review)
        if decision == "stop":
            break
        if decision == "accept":
            file.accept(row)
            accepted += 1
        else:
            file.skip(review.row)
            skipped += 1
    return accepted, skipped


def row_of(one: Draft) -> Row:
    """A draft as a line of `questions.jsonl`."""
    return {
        "id": one.id,
        "kind": "direct",
        "question": one.question,
        "answers": [one.answer],
        "source": one.source,
        "sentence": one.sentence,
    }


def mended(row: Row, question: str, answers: Sequence[str]) -> Row:
    """A row as a person changed it."""
    return {**row, "question": question.strip(), "answers": [a.strip() for a in answers]}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError):
        raise DatasetError(f"{path} を読めません。", hint="消せば最初から選び直せます。") from None
