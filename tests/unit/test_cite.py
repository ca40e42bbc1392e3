"""A citation cannot be wrong: whatever happened to a document, what leaves is in it to the letter."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.cite import Evidence, cite, source_url, stands_in
from index.records import Chunk, Document, DocumentSummary, Hit, chunk_id, document_id

TEXT = "CentOS 7のサポートは2024年6月30日に終わった。後継にはAlmaLinuxがある。🙂\n終わり。"


class Shelf:
    """Documents by id; one is seen only by those who may see its collection."""

    def __init__(self, *documents: Document) -> None:
        self._documents = {document.id: document for document in documents}

    def document(
        self, document_id: str, collections: frozenset[str] | None = None
    ) -> Document | None:
        found = self._documents.get(document_id)
        if found and collections is not None and found.collection not in collections:
            return None
        return found


def document(text: str = TEXT, source: str = "centos.md", **more: object) -> Document:
    return replace(Document(document_id(source), "CentOS", text, source), **more)


def evidence(
    of: Document, start: int, end: int, span: tuple[int, int] | None = None, score: float = 0.5
) -> Evidence:
    """The passage [start, end) of a document, and the span in it that speaks to the question."""
    chunk = Chunk(chunk_id(of.id, start, end), of.id, ("終了",), start, end, of.text[start:end])
    summary = DocumentSummary(of.id, of.title, of.source, of.collection, "", "", len(of.text), 1)
    return Evidence(Hit(chunk, summary, score), *(span or (start, end)), score)


@st.composite
def passages(draw: st.DrawFn) -> tuple[Document, Evidence]:
    """Any document, any passage of it, any span near it — inside or not."""
    text = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=80))
    start = draw(st.integers(0, len(text) - 1))
    end = draw(st.integers(start + 1, len(text)))
    of = document(text)
    near = st.integers(-3, len(text) + 3)
    span = draw(st.one_of(st.just((start, end)), st.tuples(near, near)))
    return of, evidence(of, start, end, span)


@settings(max_examples=120, deadline=None)
@given(passages(), st.data())
def test_what_leaves_is_in_the_document(
    case: tuple[Document, Evidence], data: st.DataObject
) -> None:
    of, piece = case
    place = data.draw(st.integers(0, len(of.text)))
    removed = data.draw(st.integers(0, 3))
    added = data.draw(st.text(st.characters(codec="utf-8"), max_size=3))
    now = replace(of, text=of.text[:place] + added + of.text[place + removed :])
    for citation in cite([piece], Shelf(now), None):
        assert citation.quote
        assert citation.quote == now.text[citation.start : citation.end]
        assert now.text[citation.passage_start :].startswith(citation.passage)
        assert citation.quote in citation.passage
        assert citation.passage_start <= citation.start
        assert citation.end <= citation.passage_start + len(citation.passage)
    whole = now.text[piece.hit.chunk.start : piece.hit.chunk.end] == piece.hit.chunk.text
    inside = piece.hit.chunk.start <= piece.start < piece.end <= piece.hit.chunk.end
    assert stands_in(now, piece) is (whole and inside)
    assert len(cite([piece], Shelf(now), None)) == int(whole and inside)


@pytest.mark.parametrize(
    "now",
    [
        TEXT.replace("2024", "2025"),
        "前置き。" + TEXT,
        TEXT[:10],
        TEXT.replace("サポート", "サ ポート"),
        TEXT.upper(),
        "",
    ],
    ids=["a digit", "shifted", "cut", "a blank", "case", "emptied"],
)
def test_a_document_that_changed_under_a_passage_is_not_cited(now: str) -> None:
    piece = evidence(document(), 0, 31)
    assert cite([piece], Shelf(document(now)), None) == []
    assert len(cite([piece], Shelf(document()), None)) == 1


def test_a_change_elsewhere_does_no_harm() -> None:
    piece = evidence(document(), 0, 31)
    (citation,) = cite([piece], Shelf(document(TEXT + "追記。")), None)
    assert citation.quote == TEXT[:31]


def test_a_document_that_is_gone_or_out_of_sight_is_not_cited() -> None:
    secret = document(collection="人事")
    piece = evidence(secret, 0, 31)
    assert cite([piece], Shelf(), None) == []
    assert cite([piece], Shelf(secret), frozenset({"公開"})) == []
    assert cite([piece], Shelf(secret), frozenset()) == []
    assert len(cite([piece], Shelf(secret), frozenset({"人事"}))) == 1


def test_numbers_have_no_gaps() -> None:
    one, other = document(), document(source="other.md")
    pieces = [
        evidence(one, 0, 31),
        evidence(replace(one, id="gone"), 0, 31),
        evidence(other, 31, 50),
        evidence(one, 31, 50, (0, 31)),
        evidence(other, 0, 31),
    ]
    citations = cite(pieces, Shelf(one, other), None)
    assert [citation.number for citation in citations] == [1, 2, 3]
    assert [citation.document_id for citation in citations] == [one.id, other.id, other.id]


@pytest.mark.parametrize(
    ("score", "shown"),
    [(0.5, 0.5), (-1.0, 0.0), (7.0, 1.0), (float("nan"), 0.0), (0.12345, 0.1235)],
)
def test_a_score_lies_between_0_and_1(score: float, shown: float) -> None:
    (citation,) = cite([evidence(document(), 0, 31, score=score)], Shelf(document()), None)
    assert citation.score == pytest.approx(shown, abs=1e-4)


def test_a_page_is_that_of_the_quote() -> None:
    paged = document(pages=(0, 31, 40))
    pieces = [evidence(paged, 0, 50, span) for span in ((0, 3), (30, 31), (31, 33), (45, 48))]
    assert [citation.page for citation in cite(pieces, Shelf(paged), None)] == [1, 1, 2, 3]
    assert cite([evidence(document(), 0, 31)], Shelf(document()), None)[0].page is None


def test_a_citation_says_where_it_stands() -> None:
    of = document(url="https://example.org/c", date="2026-01-02", collection="公開")
    (citation,) = cite([evidence(of, 0, 50, (31, 50))], Shelf(of), None)
    assert citation.url == source_url(of.id, 31, 50) == f"/sources/{of.id}?start=31&end=50"
    assert (citation.link, citation.date, citation.collection) == (of.url, of.date, "公開")
    assert (citation.title, citation.heading, citation.source) == (of.title, ("終了",), of.source)
