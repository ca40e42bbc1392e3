"""The default composer: the sentences of the documents that answer best, to the letter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.cite import Evidence
from index.answer_type import Kind, asks_what_it_is, expected_kind, holds_kind, topic_of
from index.lexical import terms
from index.query import Query
from index.records import Hit
from index.retrieve import Retriever, Search
from index.split import sentences

# Passages that are read sentence by sentence.
READ_HITS = 5
_MOST_SENTENCES = 3
# A further sentence joins the answer when it scores this close to the best …
_CLOSE = 0.5
# … and says this much of the question that the sentences before did not.
_NEW_COVERAGE = 0.12
_LONGEST_QUOTE = 320
_NEAR_DUPLICATE = 88.0

# Fitted on JaQuAD-train; see docs/retrieval.md. `passage` is the score of the passage itself,
# `coverage` the share of the question that the sentence holds, `around` the same with its
# neighbours and headings, `late` its MaxSim, `expected` whether it holds the kind of thing asked
# for, `defines` whether it is about what the question wants defined (by hand: too rare there).
SENTENCE_WEIGHTS: Mapping[str, float] = {
    "passage": 0.58,
    "coverage": 3.7,
    "around": 3.7,
    "late": 4.2,
    "expected": 2.3,
    "defines": 2.0,
}
_MARKER = re.compile(
    r"^[ \t\u3000]*(?:[-*+•・●◦‣→▪■□◆◇※#>]+|\d{1,3}[.)．）]|[(（]\d{1,3}[)）]|[①-⑳])[ \t\u3000]*"
)
_ANNOUNCES = re.compile(r"(?:以下|次|下記|つぎ|とおり|通り)[^。]{0,12}[。．]?[:：]?$|[:：]$")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage: offsets into the document's text, and why it was chosen."""

    hit: Hit
    start: int
    end: int
    score: float
    features: dict[str, float]
    keys: frozenset[int]

    @property
    def text(self) -> str:
        """The sentence as it stands in the document."""
        first = self.hit.chunk.start
        return self.hit.chunk.text[self.start - first : self.end - first]


@dataclass(frozen=True, slots=True)
class Extract:
    """What the extractive composer found: the answer's evidence first, then the other passages'
    best sentences; `used` counts the first ones. `features` feed the confidence."""

    evidence: list[Evidence]
    used: int
    features: dict[str, float]


def extract(retriever: Retriever, search: Search, top_k: int) -> Extract:
    """Chooses the sentences that answer `search.query` and at most `top_k` pieces of evidence."""
    kind = expected_kind(search.query.text)
    hits = _distinct(search.hits)
    ranked: list[Sentence] = []
    for hit in hits[: max(READ_HITS, top_k)]:
        ranked.extend(score_sentences(retriever, search, hit, kind))
    if not ranked:
        return Extract([], 0, {})
    ranked.sort(key=lambda sentence: -sentence.score)
    chosen = _choose(search.query, ranked)
    evidence = [_evidence(sentence) for sentence in chosen]
    evidence.extend(_others(ranked, chosen, top_k - len(evidence)))
    return Extract(evidence[:top_k], min(len(chosen), top_k), _features(search, chosen[0]))


def readable(quote: str) -> str:
    """A quote as a sentence to read: list marks, Markdown emphasis and table bars taken away."""
    if quote.lstrip().startswith("|"):
        rows = [row for row in quote.splitlines() if not re.fullmatch(r"[|:\-\s]+", row)]
        quote = "\n".join(" / ".join(filter(None, map(str.strip, row.split("|")))) for row in rows)
    lines = [_MARKER.sub("", line).strip() for line in quote.splitlines()]
    text = "\n".join(line for line in lines if line and not line.startswith("```"))
    text = re.sub(r"!?\[([^\]\n]*)\]\([^)\n]*\)", r"\1", text)
    return re.sub(r"\*\*|__|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)|`", "", text)


def score_sentences(
    retriever: Retriever, search: Search, hit: Hit, kind: Kind | None
) -> list[Sentence]:
    """The sentences of a passage with their scores, its heading's line left out."""
    text = hit.chunk.text
    spans = [_without_marker(text, start, end) for start, end in sentences(text)]
    heading = hit.chunk.heading[-1] if hit.chunk.heading else ""
    kept = [
        (start, end)
        for start, end in spans
        if start < end and not _is_heading(text[start:end], heading)
    ]
    late = retriever.sentence_scores(search, hit, kept)
    keys = [frozenset(terms(text[start:end]).keys.tolist()) for start, end in kept]
    above = frozenset(terms(" ".join((hit.document.title, *hit.chunk.heading))).keys.tolist())
    found = []
    for number, (start, end) in enumerate(kept):
        sentence = text[start:end]
        features = {
            "passage": hit.score,
            "coverage": search.query.coverage(keys[number]),
            "around": search.query.coverage(above.union(*keys[max(0, number - 1) : number + 2])),
            "late": float(late[number]) if late is not None else 0.0,
            "expected": float(holds_kind(kind, sentence)),
            "defines": _defines(search.query, sentence),
        }
        score = sum(weight * features[name] for name, weight in SENTENCE_WEIGHTS.items())
        offset = hit.chunk.start
        found.append(Sentence(hit, offset + start, offset + end, score, features, keys[number]))
    return found


def _choose(query: Query, ranked: Sequence[Sentence]) -> list[Sentence]:
    """The best sentence, and up to two more that add to it."""
    chosen = [ranked[0]]
    held = ranked[0].keys
    for sentence in ranked[1:12]:
        if len(chosen) == _MOST_SENTENCES or sentence.score < ranked[0].score - _CLOSE:
            break
        joined = held | sentence.keys
        if query.coverage(joined) - query.coverage(held) < _NEW_COVERAGE:
            continue
        chosen.append(sentence)
        held = joined
    return chosen


def _others(ranked: Sequence[Sentence], chosen: Sequence[Sentence], count: int) -> list[Evidence]:
    """The best sentence of each passage that the answer did not use."""
    seen = {sentence.hit.chunk.id for sentence in chosen}
    found: list[Evidence] = []
    for sentence in ranked:
        if len(found) >= count:
            break
        if sentence.hit.chunk.id not in seen:
            seen.add(sentence.hit.chunk.id)
            found.append(_evidence(sentence))
    return found


def _evidence(sentence: Sentence) -> Evidence:
    start, end = _with_what_it_announces(sentence)
    relevance = 0.5 * sentence.features["coverage"] + 0.5 * max(0.0, sentence.features["late"])
    return Evidence(sentence.hit, start, end, relevance)


def _with_what_it_announces(sentence: Sentence) -> tuple[int, int]:
    """The span of a sentence, and of the list behind it where it says that one follows."""
    chunk = sentence.hit.chunk
    if not _ANNOUNCES.search(sentence.text):
        return sentence.start, sentence.end
    rest = chunk.text[sentence.end - chunk.start :]
    end = sentence.end
    for line in re.finditer(r"[^\n]*\n?", rest):
        text = line[0].strip()
        if sentence.end + line.end() - sentence.start > _LONGEST_QUOTE or line[0] == "":
            break
        if not text and end > sentence.end:
            break
        if text:
            end = sentence.end + line.start() + len(line[0].rstrip())
    return sentence.start, end


def _features(search: Search, best: Sentence) -> dict[str, float]:
    """What the confidence is made from."""
    hit = best.hit
    context = " ".join((hit.document.title, *hit.chunk.heading, hit.chunk.text))
    keys = frozenset(terms(context).keys.tolist())
    top = search.hits[0].score
    rest = [other.score for other in search.hits[1:5]]
    return {
        "lexical": hit.features.get("lexical", 0.0),
        "dense": hit.features.get("dense", 0.0),
        "late": hit.features.get("late", 0.0),
        "coverage": search.query.coverage(keys, words_only=True),
        "sentence": best.features["coverage"],
        "sentence_late": best.features["late"],
        "unknown": search.query.unknown_share(),
        "margin": top - sum(rest) / len(rest) if rest else 0.0,
        "expected": best.features["expected"],
    }


def _distinct(hits: Sequence[Hit]) -> list[Hit]:
    """Hits without near-copies of better ones, so that each is evidence of its own."""
    from rapidfuzz import fuzz

    kept: list[Hit] = []
    for hit in hits:
        copies = (fuzz.ratio(hit.chunk.text, other.chunk.text) for other in kept)
        if all(likeness < _NEAR_DUPLICATE for likeness in copies):
            kept.append(hit)
    return kept


def _without_marker(text: str, start: int, end: int) -> tuple[int, int]:
    marker = _MARKER.match(text[start:end])
    return (start + marker.end(), end) if marker and marker.end() < end - start else (start, end)


def _defines(query: Query, sentence: str) -> float:
    """How much of a question that asks what a thing is stands in the topic of a sentence: 0…1."""
    if not asks_what_it_is(query.text) or not (topic := topic_of(sentence)):
        return 0.0
    return query.coverage(frozenset(terms(topic).keys.tolist()), words_only=True)


def _is_heading(line: str, heading: str) -> bool:
    return bool(heading) and line.strip(" \t#") == heading.strip()
