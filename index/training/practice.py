"""Documents such as teams have, with the questions that people ask of them, written for this project.

JaQuAD asks an encyclopedia, in its own words, and always for what is there. Here rules, minutes, runbooks,
manuals and notes are asked: in other words than theirs, for one of two things that are easily confused, for
reasons, in chat, in English, and for what they do not say though they speak of it. None is about what
`corpus/documents` and its questions are about, so that these still measure.

Each line of `practice_texts/*.jsonl` is a document: `title`, `sections` of `heading` and `text`, `questions`
of `kind`, `question` and `answer`, which stands word for word in one section, or is empty where none
answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.records import Document, Heading, document_id
from index.training.sources import Passage

FOLDER = Path(__file__).parent / "practice_texts"
_HELD_OUT = 7  # one document of so many is not trained on


@dataclass(frozen=True)
class Asked:
    """A question on a document; `answer` is "" where it does not say."""

    kind: str
    question: str
    answer: str


@dataclass(frozen=True)
class Practice:
    """A document and what is asked of it."""

    document: Document
    questions: Sequence[Asked]


def read_practice(folder: Path = FOLDER) -> tuple[list[Practice], list[Practice]]:
    """(training, held out), in the order of the files."""
    trained: list[Practice] = []
    held_out: list[Practice] = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text("utf-8").splitlines()):
            read = _practice(json.loads(line), f"{path.stem}/{number}")
            (trained if number % _HELD_OUT else held_out).append(read)
    return trained, held_out


def sections_of(practice: Iterable[Practice]) -> list[Passage]:
    """Each section under its heading as a passage, with the questions that it answers."""
    found = []
    for own in practice:
        text, outline = own.document.text, own.document.outline
        ends = [heading.start for heading in outline[1:]] + [len(text)]
        for heading, end in zip(outline, ends, strict=True):
            section = text[heading.start : end].strip()
            name = f"{own.document.source}/{heading.title}"
            asked = tuple(
                (one.question, (one.answer,))
                for one in own.questions
                if one.answer and one.answer in section.removeprefix(heading.title)
            )
            found.append(Passage(name, own.document.title, section, asked))
    return found


def _practice(record: dict[str, Any], source: str) -> Practice:
    text, outline = "", []
    for section in record["sections"]:
        outline.append(Heading(len(text), 2, section["heading"]))
        text += f"{section['heading']}\n{section['text']}\n\n"
    document = Document(
        document_id(source), record["title"], text, source, revision=source, outline=tuple(outline)
    )
    return Practice(document, [Asked(**asked) for asked in record["questions"]])
