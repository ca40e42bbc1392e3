"""Searching a generation that lies in PostgreSQL: one round trip a question."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from index.cache import Embedding
from index.engines.contract import Candidates, Collections, Wanted
from index.engines.found import Found, Parts, Row, chunk_of, embedding_of, unpack
from index.engines.portable import read_vocabulary
from index.engines.postgres_tables import schema_of
from index.engines.words import ROUNDING, SparseQuery
from index.generation import Manifest
from index.lexical import LexicalIndex
from index.records import Chunk, Document, DocumentSummary, Skipped
from index.records_file import DOCUMENT_COLUMNS, SUMMARY_COLUMNS, document_of

if TYPE_CHECKING:
    from psycopg import Connection

Rows = list[tuple[Any, ...]]
# How work gets a connection: it is given again to another one when the first is lost.
Read = Callable[[Callable[["Connection[Any]"], Rows]], Rows]

_PASSAGES = 500  # taken home at once
_SPARE = 4  # products are rounded: some more than are wanted are looked at
# Comparing the terms of every row takes longer than anything else, which the planner does not know.
# Transaction-local, so that nothing is left behind where a proxy shares connections.
_ENTER = """
SELECT set_config('search_path', %s || ', ' || current_setting('search_path'), true),
  set_config('kiku.collections', %s, true), set_config('enable_seqscan', %s, true)
"""
_LEXICAL = """lexical AS MATERIALIZED (
  SELECT passage, -(weights <#> %(words)s::sparsevec) AS product FROM postings
  WHERE collection = ANY (%(numbers)s::smallint[]){looked_up}
  ORDER BY weights <#> %(words)s::sparsevec, passage LIMIT %(lexical)s)"""
_EXACT = """nearest AS MATERIALIZED (
  SELECT passage, max(-(vector <#> %(vector)s::vector)) AS score FROM vectors
  WHERE collection = ANY (%(numbers)s::smallint[])
  GROUP BY passage ORDER BY score DESC, passage LIMIT %(dense)s)"""
_LOOKED_UP = " AND terms && %(terms)s::integer[]"
# The graph holds half precision and knows nothing of passages: more is asked of it, and compared.
_GRAPH = """nearest AS MATERIALIZED (
  SELECT passage, max(score) AS score FROM (
    SELECT passage, -(vector <#> %(vector)s::vector) AS score FROM vectors
    WHERE collection = ANY (%(numbers)s::smallint[])
    ORDER BY vector::halfvec({dimension}) <#> %(vector)s::vector::halfvec({dimension})
    LIMIT %(near)s) AS near
  GROUP BY passage ORDER BY score DESC, passage LIMIT %(dense)s)"""
_COLUMNS = 'p.stored, p.words, p.grams, c.id, c.heading, c.start, c."end", c.text, ' + ", ".join(
    f"d.{name}" for name in SUMMARY_COLUMNS.split(", ")
)
_DENSE_SCORE = """(SELECT max(-(v.vector <#> %(vector)s::vector)) FROM vectors v
    WHERE v.collection = c.number AND v.passage = c.position)"""


@dataclass(frozen=True, slots=True)
class Dense:
    """What lies in `vectors`: how many there are, of which dimension, and whether under a graph."""

    count: int
    dimension: int
    graph: bool


class PostgresGeneration:
    """One generation in PostgreSQL, open; see `index.engines.contract.Searchable`."""

    def __init__(self, read: Read, manifest: Manifest, vocabulary: bytes, dense: Dense) -> None:
        self._read = read
        self._manifest = manifest
        self._schema = schema_of(manifest.id)
        self._dense = dense
        self._vocabulary, self._lexical = read_vocabulary(vocabulary, manifest.chunks)
        self._parts = Parts(self._lexical, manifest.collections)

    @property
    def manifest(self) -> Manifest:
        """What it is made of."""
        return self._manifest

    def close(self) -> None:
        """Nothing is open but connections, and they belong to the engine."""

    def vocabulary(self, collections: Collections) -> LexicalIndex:
        """See `Searchable.vocabulary`."""
        return self._parts.within(collections)

    def candidates(self, wanted: Wanted) -> Candidates:
        """See `Searchable.candidates`.

        The first question to the database leaves out common words, and is nearly always enough.
        Where a passage that was not looked at could score as well as the last one found, the
        database is asked again for everything that could.
        """
        sparse = SparseQuery(wanted.query, self.vocabulary(wanted.collections), self._vocabulary)
        floor: float | None = None
        limit = wanted.lexical + _SPARE
        while True:
            terms, rest = sparse.first(floor)
            found = Found(self._rows(wanted, sparse, terms, limit), sparse, wanted)
            if found.put_up == limit:
                rest = max(rest, found.least)
            if not wanted.lexical or rest <= found.floor * ROUNDING**2:
                return found.candidates(self._manifest.encoder.token_dimension)
            floor, limit = found.floor, 4 * limit

    def documents(self, collections: Collections = None) -> list[DocumentSummary]:
        """See `Searchable.documents`."""
        rows = self._select(
            f"SELECT {SUMMARY_COLUMNS} FROM documents WHERE collection = ANY (%(names)s)"  # noqa: S608
            " ORDER BY position",
            collections,
        )
        return [DocumentSummary(*row) for row in rows]

    def document(self, identifier: str, collections: Collections = None) -> Document | None:
        """See `Searchable.document`."""
        rows = self._select(
            f"SELECT {DOCUMENT_COLUMNS} FROM documents"  # noqa: S608
            " WHERE id = %(id)s AND collection = ANY (%(names)s)",
            collections,
            id=identifier.replace("\0", ""),
        )
        return document_of(rows[0]) if rows else None

    def skipped(self) -> list[Skipped]:
        """See `Searchable.skipped`."""
        rows = self._select("SELECT source, code, reason FROM skipped ORDER BY source", None)
        return [Skipped(*row) for row in rows]

    def embedded(self) -> Iterator[tuple[Chunk, DocumentSummary, Embedding]]:
        """See `Searchable.embedded`."""
        summary = ", ".join(f"d.{name}" for name in SUMMARY_COLUMNS.split(", "))
        for first in range(0, self._manifest.chunks, _PASSAGES):
            rows = self._select(
                "SELECT ARRAY(SELECT v.vector::real[] FROM vectors v WHERE v.collection = c.number"  # noqa: S608
                " AND v.passage = c.position ORDER BY v.place), c.tokens, c.starts,"
                f' c.id, c.heading, c.start, c."end", c.text, {summary}'
                " FROM chunks c JOIN documents d ON d.position = c.document"
                " WHERE c.position >= %(first)s AND c.position < %(end)s ORDER BY c.position",
                None,
                first=first,
                end=first + _PASSAGES,
            )
            for vectors, tokens, starts, *chunk in rows:
                document = DocumentSummary(*chunk[5:])
                dimension = self._manifest.encoder.token_dimension
                made = embedding_of(vectors, tokens, starts, dimension)
                yield chunk_of(chunk[:5], document), document, made

    def _rows(
        self, wanted: Wanted, sparse: SparseQuery, terms: list[int] | None, limit: int
    ) -> list[Row]:
        """What the database knows of the candidates."""
        from pgvector import SparseVector, Vector

        values: dict[str, Any] = {}
        legs = {}
        if wanted.lexical and sparse:
            weights = dict(zip(sparse.numbers.tolist(), sparse.weights.tolist(), strict=True))
            values["words"] = SparseVector(weights, len(self._vocabulary.keys)).to_text()
            values |= {"terms": terms, "lexical": limit}
            legs["lexical"] = _LEXICAL.format(looked_up=_LOOKED_UP if terms else "")
        vector = wanted.vector is not None and self._dense.count > 0
        if vector and wanted.vector is not None:
            values["vector"] = Vector(wanted.vector).to_text()
        if vector and wanted.dense:
            values |= {"dense": wanted.dense, "near": self._near(wanted.dense)}
            dimension = self._dense.dimension
            legs["nearest"] = _GRAPH.format(dimension=dimension) if self._dense.graph else _EXACT
        if not legs:
            return []
        chosen = " UNION ".join(f"SELECT passage FROM {name}" for name in legs)  # noqa: S608
        joined = "".join(f" LEFT JOIN {name} ON {name}.passage = chosen.passage" for name in legs)
        statement = (
            f"WITH {', '.join(legs.values())} SELECT c.position,"  # noqa: S608
            f" {'product' if 'lexical' in legs else 'NULL'},"
            f" {'score' if 'nearest' in legs else 'NULL'},"
            f" {_DENSE_SCORE if vector else '0'},"
            f" {'c.tokens, c.starts' if wanted.tokens else 'NULL, NULL'}, c.sentences, {_COLUMNS}"
            f" FROM ({chosen}) AS chosen{joined}"
            " JOIN chunks c ON c.position = chosen.passage"
            " JOIN documents d ON d.position = c.document"
            " JOIN postings p ON p.collection = c.number AND p.passage = c.position"
        )
        return [_row(*row) for row in self._select(statement, wanted.collections, **values)]

    def _near(self, passages: int) -> int:
        """How many vectors to take from the graph so that they are of so many passages."""
        return 2 * passages * -(-self._dense.count // max(1, self._manifest.chunks))

    def _select(self, statement: str, collections: Collections, **values: Any) -> Rows:
        """Runs one query as somebody who sees `collections`, in one round trip."""
        numbers = self._parts.numbers(collections)
        names = [self._manifest.collections[number] for number in sorted(numbers)]
        values |= {"names": names, "numbers": sorted(numbers)}

        def work(connection: Connection[Any]) -> Rows:
            with connection.pipeline(), connection.transaction():
                scan = "off" if values.get("terms") else "on"
                connection.execute(_ENTER, (self._schema, json.dumps(names), scan))
                cursor = connection.cursor(binary=True)
                cursor.execute(statement, values)
            return cursor.fetchall()

        return self._read(work)


def _row(
    position: int,
    product: float | None,
    near: float | None,
    dense: float | None,
    tokens: bytes,
    starts: bytes,
    sentences: bytes,
    stored: bytes,
    words: float,
    grams: float,
    *rest: Any,
) -> Row:
    document = DocumentSummary(*rest[5:])
    return Row(
        position,
        product,
        near,
        dense or 0.0,
        unpack(stored, words, grams),
        chunk_of(rest[:5], document),
        document,
        tokens,
        starts,
        sentences,
    )
