"""What lies in PostgreSQL, and how a generation gets there.

A generation is a schema of its own, `kiku_ID`, made in the transaction that switches `kiku.served`
to it: a reader sees all of it or nothing. `postings` and `vectors` are partitioned by collection,
so that a caller who sees one collection is neither slowed down nor told anything by the others.
Text lies under row-level security: a connection sees the collections named in `kiku.collections`,
and none where that is not set.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from index.engines.contract import Progress
from index.engines.found import pack
from index.engines.portable import passage_vectors, postings, vocabulary_blob
from index.generation import Generation
from index.reading import RECORDS
from index.sentence_words import packed

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

SHARED = """
CREATE SCHEMA IF NOT EXISTS kiku;
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE IF NOT EXISTS kiku.generations (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text UNIQUE NOT NULL,
  manifest jsonb NOT NULL, vocabulary bytea NOT NULL, vectors bigint NOT NULL, graph boolean NOT NULL,
  published timestamptz NOT NULL DEFAULT now());
ALTER TABLE kiku.generations ALTER COLUMN vocabulary SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS kiku.served (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  generation text NOT NULL REFERENCES kiku.generations (id));
"""
# Past this many vectors a graph is worth its build time; it holds half precision, and what it finds
# is compared in full.
EXACT_UP_TO = 20_000
_HNSW_DIMENSIONS = 4_000  # the most that pgvector indexes
_TYPES = {"INTEGER": "bigint", "TEXT": "text", "BLOB": "bytea"}
_POSTINGS = """
CREATE TABLE postings (
  collection smallint NOT NULL, passage integer NOT NULL, terms integer[] NOT NULL,
  weights sparsevec NOT NULL, stored bytea NOT NULL, words float8 NOT NULL, grams float8 NOT NULL,
  PRIMARY KEY (collection, passage)) PARTITION BY LIST (collection);
"""
_VECTORS = """
CREATE TABLE vectors (
  collection smallint NOT NULL, passage integer NOT NULL, place integer NOT NULL,
  vector vector({dimension}) NOT NULL
) PARTITION BY LIST (collection);
"""
# A question is multiplied with many rows and reads few: the factors stay in the row, the rest out.
_PARTITION = """
CREATE TABLE {table}_{number} PARTITION OF {table} FOR VALUES IN ({number});
"""
_POSTINGS_STORAGE = """
ALTER TABLE postings_{number} ALTER COLUMN weights SET STORAGE MAIN;
ALTER TABLE postings_{number} ALTER COLUMN terms SET STORAGE EXTERNAL;
ALTER TABLE postings_{number} ALTER COLUMN stored SET STORAGE EXTERNAL;
ALTER TABLE postings_{number} SET (toast_tuple_target = 2700);
"""
_INDEXES = """
ALTER TABLE documents ADD PRIMARY KEY (position);
ALTER TABLE chunks ADD PRIMARY KEY (position);
CREATE UNIQUE INDEX ON documents (id);
CREATE INDEX ON postings USING gin (terms);
"""
_VISIBLE = """
collection = ANY (ARRAY(SELECT jsonb_array_elements_text(
  nullif(current_setting('kiku.collections', true), '')::jsonb)))
"""
_PROTECT = f"""
ALTER TABLE {{table}} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {{table}} FORCE ROW LEVEL SECURITY;
CREATE POLICY visible ON {{table}} USING ({_VISIBLE});
"""


def schema_of(generation: str) -> str:
    """The name of the schema of a generation. Ids are times, and safe in SQL."""
    if not generation.isalnum():
        raise ValueError(f"no id of a generation: {generation!r}")
    return f"kiku_{generation.lower()}"


def write_generation(
    connection: Connection[Any], generation: Generation, progress: Progress, exact_up_to: int
) -> None:
    """Writes a generation into a schema of its own, inside the transaction that is open."""
    manifest = generation.manifest
    schema = schema_of(manifest.id)
    _run(
        connection,
        f"CREATE SCHEMA {schema};"
        f"SELECT set_config('search_path', '{schema}, ' || current_setting('search_path'), true);",
    )
    from pgvector.psycopg import register_vector

    register_vector(connection)
    dense = bool(manifest.encoder.dimension)
    _run(connection, _POSTINGS)
    if dense:
        _run(connection, _VECTORS.format(dimension=manifest.encoder.dimension))
    for number in range(len(manifest.collections)):
        _run(connection, _PARTITION.format(table="postings", number=number))
        _run(connection, _POSTINGS_STORAGE.format(number=number))
        if dense:
            _run(connection, _PARTITION.format(table="vectors", number=number))
    with connection.cursor() as cursor:
        _copy_records(cursor, generation, progress)
        _copy_postings(cursor, generation, progress)
        count = _copy_vectors(cursor, generation) if dense else 0
    _run(connection, _INDEXES)
    graph = count > exact_up_to and manifest.encoder.dimension <= _HNSW_DIMENSIONS
    if dense:
        progress("index", manifest.chunks, manifest.chunks)
        _index_vectors(connection, manifest.encoder.dimension, graph)
    for table in ("documents", "chunks"):
        _run(connection, _PROTECT.format(table=table))
    connection.execute(
        "INSERT INTO kiku.generations (id, manifest, vocabulary, vectors, graph)"
        " VALUES (%s, %s, %s, %s, %s)",
        (manifest.id, manifest.text(), vocabulary_blob(generation), count, graph),
    )
    _grant(connection, schema)
    _run(connection, "ANALYZE postings, documents, chunks" + (", vectors" if dense else ""))


def _copy_records(cursor: Cursor[Any], generation: Generation, progress: Progress) -> None:
    """The tables of `records.sqlite` as they are; chunks with their collections, tokens and words."""
    names = generation.manifest.collections
    numbers, tokens = generation.chunk_collections, generation.tokens
    uri = f"{(generation.folder / RECORDS).resolve().as_uri()}?mode=ro&immutable=1"
    records = sqlite3.connect(uri, uri=True)
    try:
        for table in ("files", "documents", "chunks", "skipped"):
            columns = [
                (name, _TYPES[kind])
                for _, name, kind, *_ in records.execute(f"PRAGMA table_info({table})")
            ]
            rows = records.execute(f"SELECT * FROM {table} ORDER BY rowid")  # noqa: S608
            if table == "chunks":
                columns += [
                    ("collection", "text"), ("number", "smallint"), ("tokens", "bytea"),
                    ("starts", "bytea"), ("sentences", "bytea"),
                ]  # fmt: skip

            def filled(table: str = table, rows: Any = rows) -> Iterator[list[Any]]:
                for place, row in enumerate(rows):
                    values = [_storable(value) for value in row]
                    if table == "chunks":
                        number = int(numbers[place])
                        held = starts = b""
                        if tokens is not None:
                            first, last = tokens.bounds[place : place + 2]
                            held = tokens.vectors[first:last].tobytes()
                            starts = tokens.starts[first:last].tobytes()
                        sentences = packed(generation.sentence_words.of(place))
                        values += [names[number], number, held, starts, sentences]
                        if place % 1000 == 0:
                            progress("copy", place, generation.manifest.chunks)
                    yield values

            declared = ", ".join(f'"{name}" {kind}' for name, kind in columns)
            _run(cursor, f"CREATE TABLE {table} ({declared})")
            _copy(cursor, table, [kind for _, kind in columns], filled())
    finally:
        records.close()


def _copy_postings(cursor: Cursor[Any], generation: Generation, progress: Progress) -> None:
    from pgvector import SparseVector

    terms = len(np.unique(np.load(generation.folder / "lexical.keys.npy", mmap_mode="r")))

    def rows() -> Iterator[list[Any]]:
        for posting in postings(generation):
            held = posting.passage
            numbers = held.terms.tolist()
            weights = dict(zip(numbers, posting.saturations.tolist(), strict=True))
            sparse = SparseVector(weights, max(1, terms))
            place = [posting.collection, posting.position]
            yield [*place, numbers, sparse, pack(held), *held.lengths.tolist()]
            if posting.position % 1000 == 0:
                progress("copy-words", posting.position, generation.manifest.chunks)

    kinds = ["int2", "int4", "int4[]", "sparsevec", "bytea", "float8", "float8"]
    _copy(cursor, "postings", kinds, rows())


def _copy_vectors(cursor: Cursor[Any], generation: Generation) -> int:
    """How many vectors there are."""
    from pgvector import Vector

    numbers = generation.chunk_collections.tolist()
    count = 0

    def rows() -> Iterator[list[Any]]:
        nonlocal count
        for passage, vector in passage_vectors(generation):
            yield [numbers[passage], passage, count, Vector(vector)]
            count += 1

    _copy(cursor, "vectors", ["int2", "int4", "int4", "vector"], rows())
    return count


def _index_vectors(connection: Connection[Any], dimension: int, graph: bool) -> None:
    _run(connection, "CREATE INDEX ON vectors (passage)")
    if graph:
        _run(
            connection,
            "CREATE INDEX ON vectors USING hnsw"
            f" ((vector::halfvec({dimension})) halfvec_ip_ops) WITH (ef_construction = 128)",
        )


def _copy(cursor: Cursor[Any], table: str, kinds: list[str], rows: Iterator[list[Any]]) -> None:
    statement = f"COPY {table} FROM STDIN (FORMAT BINARY)"
    with cursor.copy(statement) as copy:
        copy.set_types(kinds)
        for row in rows:
            copy.write_row(row)


def _storable(value: Any) -> Any:
    """PostgreSQL's text has no NUL; the substitute keeps every offset where it was."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _grant(connection: Connection[Any], schema: str) -> None:
    """Lets the role `kiku_reader` read, where an administrator made one for those who serve."""
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'kiku_reader'").fetchone():
        for name in ("kiku", schema):
            _run(
                connection,
                f"GRANT USAGE ON SCHEMA {name} TO kiku_reader;"
                f"GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO kiku_reader;",
            )


def _run(connection: Connection[Any] | Cursor[Any], statement: str) -> None:
    """Runs statements that were put together from names that are ours."""
    connection.execute(statement)
