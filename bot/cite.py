"""Citations: made from a span of a document, and checked against the document before they leave."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Protocol

from bot.records import Citation
from index.records import Document, Hit


class Documents(Protocol):
    """Where documents are read from."""

    def document(
        self, document_id: str, collections: frozenset[str] | None = None
    ) -> Document | None:
        """One document with its text, None where the asker may not see it."""
        ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """A span of a document that speaks to the question: offsets into the document's text."""

    hit: Hit
    start: int
    end: int
    score: float


def cite(
    evidence: list[Evidence], documents: Documents, collections: frozenset[str] | None
) -> list[Citation]:
    """Citations of `evidence`, numbered from 1 in its order.

    Each quote is taken from the stored document, not from the passage that was searched; evidence
    whose passage does not stand in its document as it was indexed is dropped.
    """
    texts: dict[str, Document | None] = {}
    citations: list[Citation] = []
    for piece in evidence:
        chunk = piece.hit.chunk
        if chunk.document_id not in texts:
            texts[chunk.document_id] = documents.document(chunk.document_id, collections)
        document = texts[chunk.document_id]
        if document is None or not stands_in(document, piece):
            continue
        citations.append(_citation(len(citations) + 1, piece, document))
    return citations


def stands_in(document: Document, piece: Evidence) -> bool:
    """Whether the passage is in the document to the letter, and the span lies inside it."""
    chunk = piece.hit.chunk
    return (
        document.text[chunk.start : chunk.end] == chunk.text
        and chunk.start <= piece.start < piece.end <= chunk.end
    )


def source_url(document_id: str, start: int, end: int) -> str:
    """The path of the page that shows a document with a span highlighted."""
    return f"/sources/{document_id}?start={start}&end={end}"


def _citation(number: int, piece: Evidence, document: Document) -> Citation:
    chunk = piece.hit.chunk
    return Citation(
        number=number,
        document_id=document.id,
        title=document.title,
        heading=chunk.heading,
        source=document.source,
        start=piece.start,
        end=piece.end,
        quote=document.text[piece.start : piece.end],
        passage=chunk.text,
        passage_start=chunk.start,
        score=round(min(1.0, max(0.0, piece.score)), 4),
        url=source_url(document.id, piece.start, piece.end),
        link=document.url,
        page=bisect_right(document.pages, piece.start) if document.pages else None,
        date=document.date,
        collection=document.collection,
        superseded_by=document.superseded_by,
    )
