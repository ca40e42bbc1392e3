"""The default composer: the sentences of the documents that answer best, to the letter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.cite import Evidence
from index.answer_sentences import CLOSE_CALL, Sentence, rank_sentences, read_closely
from index.query import Query
from index.records import Hit
from index.retrieve import READ_HITS, Retriever, Search
from index.sentences import without_marker

_MOST_SENTENCES = 3
# A further sentence joins the answer when it scores this close to the best …
_CLOSE = 1.0
# … and says this much of the question that the sentences before did not.
_NEW_COVERAGE = 0.12
# The sentences next to the best one are quoted with it when they score this close, so many in all.
_AS_WELL = 3.0
_MOST_TOGETHER = 3
_LONGEST_QUOTE = 320
_NEAR_DUPLICATE = 88.0

_ANNOUNCES = re.compile(r"(?:以下|次|下記|つぎ|とおり|通り)[^。]{0,12}[。．]?[:：]?$|[:：]$")


@dataclass(frozen=True, slots=True)
class Extract:
    """What the extractive composer found: the answer's evidence first, then the other passages'
    best sentences; `used` counts the first ones. `features` feed the confidence."""

    evidence: list[Evidence]
    used: int
    features: dict[str, float]


def extract(retriever: Retriever, search: Search, top_k: int) -> Extract:
    """Chooses the sentences that answer `search.query` and at most `top_k` pieces of evidence."""
    ranked = _ranked(retriever, search, _distinct(search.hits)[: max(READ_HITS, top_k)])
    if not ranked:
        return Extract([], 0, {})
    chosen = _choose(search.query, ranked)
    answering = _answering(chosen, ranked)
    evidence = answering + _others(ranked, chosen, top_k - len(answering))
    return Extract(
        evidence[:top_k], min(len(answering), top_k), _features(retriever, search, chosen[0])
    )


def readable(quote: str) -> str:
    """A quote as a sentence to read: list marks, Markdown emphasis and table bars taken away."""
    if quote.lstrip().startswith("|"):
        rows = [row for row in quote.splitlines() if not re.fullmatch(r"[|:\-\s]+", row)]
        quote = "\n".join(" / ".join(filter(None, map(str.strip, row.split("|")))) for row in rows)
    lines = [without_marker(line).strip() for line in quote.splitlines()]
    text = "\n".join(line for line in lines if line and not line.startswith("```"))
    text = re.sub(r"!?\[([^\]\n]*)\]\([^)\n]*\)", r"\1", text)
    return re.sub(r"\*\*|__|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)|`", "", text)


def _ranked(retriever: Retriever, search: Search, hits: Sequence[Hit]) -> list[Sentence]:
    """The sentences of some hits, best first; read closely where the first does not stand out, unless
    the search did so already."""
    known = {hit.chunk.id for hit in hits}
    read = [sentence for sentence in search.sentences if sentence.hit.chunk.id in known]
    done = {sentence.hit.chunk.id for sentence in read}
    ranked = rank_sentences(retriever, search, [hit for hit in hits if hit.chunk.id not in done])
    if read:
        read += [sentence.read() for sentence in ranked]
        return sorted(read, key=lambda sentence: -sentence.score)
    if len(ranked) > 1 and ranked[0].score - ranked[1].score <= CLOSE_CALL:
        return read_closely(retriever, search, ranked) or ranked
    return ranked


def _choose(query: Query, ranked: Sequence[Sentence]) -> list[Sentence]:
    """The best sentence, and up to two more that add to it."""
    chosen = [ranked[0]]
    held = ranked[0].present
    for sentence in ranked[1:12]:
        if len(chosen) == _MOST_SENTENCES or sentence.score < ranked[0].score - _CLOSE:
            break
        joined = held | sentence.present
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


def _answering(chosen: Sequence[Sentence], ranked: Sequence[Sentence]) -> list[Evidence]:
    """The best sentence with what stands beside it, and those further ones that this does not quote."""
    evidence = [_evidence(chosen[0], ranked)]
    for sentence in chosen[1:]:
        if not any(_quotes(piece, sentence) for piece in evidence):
            evidence.append(_evidence(sentence))
    return evidence


def _quotes(piece: Evidence, sentence: Sentence) -> bool:
    return (
        piece.hit.document.id == sentence.hit.document.id
        and piece.start <= sentence.start
        and sentence.end <= piece.end
    )


def _evidence(sentence: Sentence, ranked: Sequence[Sentence] = ()) -> Evidence:
    """The span of a sentence; of the list that it announces; of its neighbours in `ranked` that may
    as well hold the answer."""
    start, end = _with_what_it_announces(sentence)
    if end == sentence.end:
        start, end = _with_close_neighbours(sentence, ranked)
    relevance = 0.5 * sentence.features["coverage"] + 0.5 * max(0.0, sentence.features["late"])
    return Evidence(sentence.hit, start, end, relevance)


def _with_close_neighbours(sentence: Sentence, ranked: Sequence[Sentence]) -> tuple[int, int]:
    """The span of a sentence and of those beside it, one after the other, the best first, that score
    nearly as well; a table's row stands alone."""
    span = sentence.start, sentence.end
    if sentence.text.startswith("|"):
        return span
    near = [
        other
        for other in ranked
        if other.hit.chunk.id == sentence.hit.chunk.id
        and other.score >= sentence.score - _AS_WELL
        and not other.text.startswith("|")
    ]
    for _ in range(_MOST_TOGETHER - 1):
        span = next(filter(None, (_with_neighbour(span, other) for other in near)), span)
    return span


def _with_neighbour(span: tuple[int, int], other: Sentence) -> tuple[int, int] | None:
    """The span made longer by `other`; None where something stands between them, where they overlap, or
    where together they are longer than a quote may be."""
    (start, left), (right, end) = sorted([span, (other.start, other.end)])
    first = other.hit.chunk.start
    apart = left > right or other.hit.chunk.text[left - first : right - first].strip()
    return None if apart or end - start > _LONGEST_QUOTE else (start, end)


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


def _features(retriever: Retriever, search: Search, best: Sentence) -> dict[str, float]:
    """What the confidence is made from."""
    hit = best.hit
    top = search.hits[0].score
    rest = [other.score for other in search.hits[1:5]]
    features = {
        "lexical": hit.features.get("lexical", 0.0),
        "dense": hit.features.get("dense", 0.0),
        "late": hit.features.get("late", 0.0),
        "coverage": best.features["words_in_passage"],
        "sentence": best.features["coverage"],
        "around": best.features["words_around"],
        "sentence_late": best.features["late"],
        "late_around": best.features["late_around"],
        "late_weakest": best.features["late_weakest"],
        "reads": best.features["reads"],
        "passage_reads": hit.features.get("reads", 0.0),
        "unknown": search.query.unknown_share(),
        "margin": top - sum(rest) / len(rest) if rest else 0.0,
        "expected": best.features["expected"],
        "version": hit.features.get("version", 0.0),
    }
    if retriever.reads_closely:
        features["close"] = best.features.get("close", 0.0)
        features["read_closely"] = best.features.get("read_closely", 0.0)
    return features


def _distinct(hits: Sequence[Hit]) -> list[Hit]:
    """Hits without near-copies of better ones, so that each is evidence of its own."""
    from rapidfuzz import fuzz

    kept: list[Hit] = []
    for hit in hits:
        copies = (fuzz.ratio(hit.chunk.text, other.chunk.text) for other in kept)
        if all(likeness < _NEAR_DUPLICATE for likeness in copies):
            kept.append(hit)
    return kept
