"""Fits the few weights that Kiku combines its evidence with, on questions the encoder never saw.

    python benchmarks/fit_weights.py DATA    # DATA as for `python -m index.training`

Questions come from the blocks of JaQuAD-train articles and from the practice documents that encoder
training holds out (`index.training.sources`, `index.training.practice`); what is trained on stands around them
as distractors. Prints the weights for index/fuse.py, index/answer_sentences.py and bot/confidence.py, each
with the measure it is judged by before and after, on a third of the questions that the fit does not see.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from bot.compose import extractive
from bot.confidence import Calibration
from index.answer_sentences import SENTENCE_WEIGHTS, rank_sentences, read_closely
from index.build import build
from index.encoder import load_encoder
from index.fuse import WEIGHTS
from index.query import Synonyms
from index.records import Document, Hit
from index.retrieve import READ_CANDIDATES, READ_HITS, Retriever
from index.training.candidates import Question, asked_of_passages, asked_of_practice
from index.training.practice import read_practice
from index.training.reader import documents_of
from index.training.sources import (
    Passage,
    Section,
    hold_out_sections,
    load_passages,
    read_sections,
)

FUSED = ("words", "grams", "dense", "late", "near", "reads", "close")
CHOSEN = ("passage", "coverage", "around", "late", "late_around", "reads", "close", "expected")
JUDGED = (
    "lexical", "dense", "late", "coverage", "sentence", "around", "sentence_late", "late_around",
    "late_weakest", "reads", "passage_reads", "unknown", "margin", "expected", "close",
    "read_closely",
)  # fmt: skip
NOT_READ = tuple(name for name in JUDGED if name not in ("close", "read_closely"))
# Technical text too: JaQuAD's questions alone make the confidence shy of manuals.
MANUAL_QUESTIONS = (
    "{title}の{heading}を教えてください", "{title} {heading}", "{title}の{heading}とは何ですか",
    "{title}で{heading}はどうすればいいですか", "{heading}について知りたい（{title}）",
)  # fmt: skip


# Questions by where they are from, each with the index that they are asked of.
Asked = Mapping[str, tuple[Retriever, Sequence[Question]]]


@dataclass(frozen=True)
class Case:
    """Candidates of one question: features float (candidates, features) and which are right."""

    features: np.ndarray
    right: np.ndarray


def main() -> None:
    """Parses the arguments and prints the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--distractors", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=1500)
    parser.add_argument(
        "--encoder", default="", help="a folder, or none; the shipped one by default"
    )
    options = parser.parse_args()
    train, held_out = load_passages(options.data)
    others = random.Random(0).sample(train, min(options.distractors, len(train)))
    home = Path(tempfile.gettempdir()) / f"kiku-fit{options.encoder and Path(options.encoder).name}"
    encoder = None if options.encoder == "none" else load_encoder(options.encoder)
    articles = _open(home / "articles", documents_of([*held_out, *others]), encoder)
    practised, practice = read_practice()
    documents = [own.document for own in (*practised, *practice)]
    asked = {
        "articles": (articles, _some(asked_of_passages(held_out), options.questions)),
        "practice": (
            _open(home / "practice", documents, encoder),
            [one for one in _some(asked_of_practice(practice), options.questions) if one[1]],
        ),
    }
    _fit_fusion(asked)
    _fit_sentences(asked)
    _, sections = hold_out_sections(read_sections(options.data / "sections.ja.jsonl.gz"))
    pages: dict[str, list[Section]] = {}
    for section in sections:
        pages.setdefault(section.title, []).append(section)
    _fit_confidence(home, held_out, others, list(pages.values()), encoder)


def _some(questions: Iterable[Question], most: int) -> list[Question]:
    asked = list(questions)
    random.Random(1).shuffle(asked)
    return asked[:most]


def _open(home: Path, documents: Iterable[Document], encoder: object) -> Retriever:
    build(home, documents, encoder=encoder)  # type: ignore[arg-type]
    return Retriever.open(home, encoder=encoder, synonyms=Synonyms())  # type: ignore[arg-type]


def _answers(hit: Hit, text: str, question: Question) -> bool:
    """Whether a text of a hit answers."""
    return hit.document.id == question[2] and any(answer in text for answer in question[1])


def _fit_fusion(asked: Asked) -> None:
    cases: dict[str, list[Case]] = {}
    for kind, (retriever, questions) in asked.items():
        cases[kind] = []
        for question in questions:
            hits = retriever.search(question[0], READ_CANDIDATES)
            features = np.array([[hit.features.get(name, 0.0) for name in FUSED] for hit in hits])
            right = np.array([_answers(hit, hit.chunk.text, question) for hit in hits], bool)
            cases[kind].append(Case(features.reshape(-1, len(FUSED)), right))
    _report("fusion", FUSED, cases, [WEIGHTS.get(name, 0.0) for name in FUSED])


def _fit_sentences(asked: Asked) -> None:
    cases: dict[str, list[Case]] = {}
    for kind, (retriever, questions) in asked.items():
        cases[kind] = []
        for question in questions:
            search = retriever.explain(question[0], READ_HITS)
            ranked = search.sentences
            if not ranked:
                ranked = rank_sentences(retriever, search, search.hits)
                ranked = read_closely(retriever, search, ranked) or ranked
            features = np.array([[s.features.get(name, 0.0) for name in CHOSEN] for s in ranked])
            right = np.array([_answers(s.hit, s.text, question) for s in ranked], bool)
            cases[kind].append(Case(features.reshape(-1, len(CHOSEN)), right))
    weights = [SENTENCE_WEIGHTS.get(name, 0.0) for name in CHOSEN]
    _report("sentences", CHOSEN, cases, weights)


@dataclass
class Judged:
    """What the confidence is fitted on: features (n, len(JUDGED)) of questions, and 1 where they are
    answered, 0 where nothing that is indexed answers them."""

    rows: list[list[float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def ask(self, retriever: Retriever, questions: Iterable[Question], answered: bool) -> None:
        """Adds what is seen of some questions. Those whose answer is there but not among the quotes
        are left out: no confidence would be right."""
        for question in questions:
            found = extractive.extract(retriever, retriever.explain(question[0], 8), 5)
            if answered and question[1] and not _quoted(found, question):
                continue
            self.rows.append([found.features.get(name, 0.0) for name in JUDGED])
            self.labels.append(int(answered))


def _quoted(found: extractive.Extract, question: Question) -> bool:
    """Whether a piece of evidence answers."""
    quotes = [
        (one.hit, one.hit.chunk.text[one.start - one.hit.chunk.start :][: one.end - one.start])
        for one in found.evidence
    ]
    return any(_answers(hit, quote, question) for hit, quote in quotes)


def _fit_confidence(
    home: Path,
    held_out: Sequence[Passage],
    others: Sequence[Passage],
    manuals: Sequence[list[Section]],
    encoder: object,
) -> None:
    """Fits a logistic model to questions on indexes that a part is left out of."""
    kinds = {"articles": Judged(), "manuals": Judged(), "practice": Judged()}
    for number, size in enumerate((30, 100, 300, 1000, 1500)):
        _ask_articles(
            kinds["articles"], home, held_out, others, size, random.Random(number), encoder
        )
    for number, size in enumerate((20, 60, 200)):
        _ask_manuals(kinds["manuals"], home, manuals, size, random.Random(number), encoder)
    for number, size in enumerate((0, 150)):
        _ask_practice(kinds["practice"], home, size, random.Random(number), encoder)
    fit: list[tuple[np.ndarray, np.ndarray]] = []
    rest: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for kind, own in kinds.items():
        features, answered = np.array(own.rows), np.array(own.labels)
        order = np.random.default_rng(0).permutation(len(answered))
        cut = len(order) * 2 // 3
        fit.append((features[order[:cut]], answered[order[:cut]]))
        rest[kind] = features[order[cut:]], answered[order[cut:]]
    features, answered = (np.concatenate(part) for part in zip(*fit, strict=True))
    for what, names in (("confidence", JUDGED), ("without a close reader", NOT_READ)):
        columns = [JUDGED.index(name) for name in names]
        weights = _logistic(features[:, columns], answered)
        shipped = [Calibration().weights.get(name, 0.0) for name in names]
        for label, chosen in (("before", shipped), ("after", weights[:-1])):
            told = " ".join(
                f"{kind} {_auroc(x[:, columns] @ chosen, y):.4f}" for kind, (x, y) in rest.items()
            )
            print(f"{what}: AUROC {label}: {told}")
        print(json.dumps(dict(zip(names, weights[:-1].round(3).tolist(), strict=True)), indent=1))
        print(f"bias {weights[-1]:.3f}")


def _ask_articles(
    judged: Judged,
    home: Path,
    held_out: Sequence[Passage],
    others: Sequence[Passage],
    size: int,
    chooser: random.Random,
    encoder: object,
) -> None:
    """Up to `size` passages, of which three tenths of the blocks that are asked about stay out."""
    blocks = [held_out[i : i + 10] for i in range(0, len(held_out), 10)]
    chooser.shuffle(blocks)
    shown = blocks[: max(3, min(len(blocks), size // 10))]
    left_out = shown[: max(1, round(0.3 * len(shown)))]
    kept = [p for block in shown[len(left_out) :] for p in block]
    around = chooser.sample(list(others), min(len(others), max(0, size - len(kept))))
    retriever = _open(home / f"size{size}", documents_of([*kept, *around]), encoder)
    for answered, asked in ((False, [p for block in left_out for p in block]), (True, kept)):
        judged.ask(retriever, _some(asked_of_passages(asked), 300), answered)


def _ask_manuals(
    judged: Judged,
    home: Path,
    manuals: Sequence[list[Section]],
    size: int,
    chooser: random.Random,
    encoder: object,
) -> None:
    """`size` pages, and questions on as many of others that stay out."""
    kept, left_out = _shared_out(manuals, size, chooser)
    passages = [
        Passage(f"{s.title}/{s.heading}", s.title, f"{s.heading}\n{s.text}")
        for manual in kept
        for s in manual
    ]
    retriever = _open(home / f"manuals{size}", documents_of(passages), encoder)
    for answered, chosen in ((False, left_out), (True, kept)):
        asked = _manual_questions(chosen, chooser)
        judged.ask(retriever, [(question, (), "") for question in asked], answered)


def _ask_practice(
    judged: Judged, home: Path, size: int, chooser: random.Random, encoder: object
) -> None:
    """What is held out of the practice documents, of which three tenths stay out, among `size` others;
    of what is there, some questions have no answer."""
    practised, practice = read_practice()
    chooser.shuffle(practice)
    cut = round(0.3 * len(practice))
    left_out, kept = practice[:cut], practice[cut:]
    shown = [*kept, *chooser.sample(practised, size)]
    retriever = _open(home / f"practice{size}", (own.document for own in shown), encoder)
    judged.ask(retriever, (one for one in asked_of_practice(left_out) if one[1]), False)
    for answered in (False, True):
        questions = (one for one in asked_of_practice(kept) if bool(one[1]) == answered)
        judged.ask(retriever, questions, answered)


def _shared_out(
    manuals: Sequence[list[Section]], size: int, chooser: random.Random
) -> tuple[list[list[Section]], list[list[Section]]]:
    """`size` pages to index and a third as many that stay out."""
    shuffled = list(manuals)
    chooser.shuffle(shuffled)
    return shuffled[:size], shuffled[size : size + max(8, size // 3)]


def _manual_questions(manuals: Sequence[list[Section]], chooser: random.Random) -> list[str]:
    """Up to 200 questions in the words in which people ask for a place in a manual."""
    asked = [
        chooser.choice(MANUAL_QUESTIONS).format(title=s.title, heading=s.heading)
        for manual in manuals
        for s in manual
    ]
    chooser.shuffle(asked)
    return asked[:200]


def _report(
    name: str, names: Sequence[str], cases: Mapping[str, Sequence[Case]], weights: list[float]
) -> None:
    """Fits on two thirds of the questions of each kind, all kinds weighing the same."""
    fit: list[tuple[Case, float]] = []
    rest: dict[str, list[Case]] = {}
    for kind, own in cases.items():
        usable = [case for case in own if case.right.any()]
        order = np.random.default_rng(0).permutation(len(usable))
        cut = len(order) * 2 // 3
        fit += [(usable[i], 1 / max(1, cut)) for i in order[:cut]]
        rest[kind] = [usable[i] for i in order[cut:]]
        share = len(usable) / len(own)
        print(f"{name}: {kind}: right one among the candidates of {share:.4f} of {len(own)}")
    fitted = _listwise(fit, np.array(weights))
    for label, chosen in (("before", np.array(weights)), ("after", fitted)):
        told = " ".join(f"{kind} {_first_right(own, chosen):.4f}" for kind, own in rest.items())
        print(f"{name}: first is right {label}: {told}")
    print(json.dumps(dict(zip(names, fitted.round(3).tolist(), strict=True)), indent=1))


def _first_right(cases: Sequence[Case], weights: np.ndarray) -> float:
    return float(np.mean([case.right[np.argmax(case.features @ weights)] for case in cases]))


def _listwise(cases: Sequence[tuple[Case, float]], start: np.ndarray) -> np.ndarray:
    """Minimises the weighted cross-entropy of a softmax over each question's candidates (ListNet, Cao et
    al. 2007), with a little L2 so that features which say the same share their weight."""
    count = sum(weight for _, weight in cases)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = 0.0, np.zeros_like(weights)
        for case, weight in cases:
            scores = case.features @ weights
            exponent = np.exp(scores - scores.max())
            share = exponent / exponent.sum()
            right = share[case.right].sum()
            total -= weight * np.log(right + 1e-12)
            within = share * case.right / max(right, 1e-12)
            slope += weight * (share - within) @ case.features
        return total / count + 1e-4 * weights @ weights, slope / count + 2e-4 * weights

    fitted: np.ndarray = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return fitted


def _logistic(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logistic regression with both labels weighing the same; the bias is the last weight."""
    matrix = np.column_stack([features, np.ones(len(features))])
    weight = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        odds = matrix @ weights
        probability = 1 / (1 + np.exp(-odds))
        entropy = np.logaddexp(0, odds) - labels * odds
        regular = 1e-3 * weights[:-1] @ weights[:-1]
        slope = matrix.T @ (weight * (probability - labels)) / len(labels)
        slope[:-1] += 2e-3 * weights[:-1]
        return float((weight * entropy).mean() + regular), slope

    fitted: np.ndarray = minimize(loss, np.zeros(matrix.shape[1]), jac=True, method="L-BFGS-B").x
    return fitted


def _auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    positive, negative = scores[labels == 1], scores[labels == 0]
    above = (positive[:, None] > negative[None]).mean()
    return float(above + 0.5 * (positive[:, None] == negative[None]).mean())


if __name__ == "__main__":
    main()
