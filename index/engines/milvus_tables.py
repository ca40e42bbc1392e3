"""What lies in Milvus, and how a generation gets there.

A generation is four collections, `kiku_KIND_ID`: passages with their sparse vectors, dense vectors
(a passage may have several), documents, and the parts of the manifest and the vocabulary, which are
written last. The alias `kiku_served` names the passages of the one that is served.

Milvus has no bytes and no long text: bytes are base64, and what is long lies in several rows.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

from index.engines.contract import Progress
from index.engines.found import pack
from index.engines.portable import passage_vectors, postings, vocabulary_blob
from index.generation import Generation
from index.sentence_words import packed

PREFIX = "kiku_"
ALIAS = "kiku_served"
KINDS = ("passages", "vectors", "documents", "parts")
# Past this many vectors a graph is worth its build time.
EXACT_UP_TO = 20_000
_BATCH = 500  # rows sent at once; a row with token vectors has some 30 kB, a message at most 64 MB
_LONGEST = 65_535  # bytes of a VARCHAR
_PART = _LONGEST // 4  # characters that always fit
_SUMMARY = -1  # the part that says what is known of a document without its text


def name_of(kind: str, generation: str) -> str:
    """The collection of one kind of a generation. Ids are times, and safe as names."""
    if not generation.isalnum():
        raise ValueError(f"no id of a generation: {generation!r}")
    return f"{PREFIX}{kind}_{generation}"


def write_generation(
    client: Any, generation: Generation, progress: Progress, exact_up_to: int
) -> None:
    """Writes a generation, what says that it is whole at the end."""
    identifier, manifest = generation.manifest.id, generation.manifest
    remove_generation(client, identifier)  # what a build that died has left
    dimension = manifest.encoder.dimension
    _create(client, identifier, "passages", ("weights", "SPARSE_FLOAT_VECTOR"), _PASSAGES)
    _insert(client, name_of("passages", identifier), _passages(generation, progress))
    if dimension:
        assert generation.vectors is not None
        _, ends = generation.vectors.rows(0, manifest.chunks)
        graph = int(ends[-1]) > exact_up_to
        kind = ("vector", "FLOAT_VECTOR")
        _create(client, identifier, "vectors", kind, _VECTORS, dimension=dimension, graph=graph)
        progress("index", 0, manifest.chunks)
        _insert(client, name_of("vectors", identifier), _vectors(generation))
    _create(client, identifier, "documents", ("nothing", "FLOAT_VECTOR"), _DOCUMENTS)
    _insert(client, name_of("documents", identifier), _documents(generation))
    _create(client, identifier, "parts", ("nothing", "FLOAT_VECTOR"), _PARTS)
    _insert(client, name_of("parts", identifier), _parts(generation))


def remove_generation(client: Any, identifier: str) -> None:
    """Removes a generation, what says that it is whole first."""
    for kind in reversed(KINDS):
        name = name_of(kind, identifier)
        if client.has_collection(name):
            client.drop_collection(name)


_PASSAGES = (
    ("collection", "INT16"), ("stored", "VARCHAR"), ("words", "DOUBLE"), ("grams", "DOUBLE"),
    ("chunk", "VARCHAR"), ("document", "VARCHAR"), ("tokens", "VARCHAR"), ("starts", "VARCHAR"),
    ("sentences", "VARCHAR"),
)  # fmt: skip
_VECTORS = (("collection", "INT16"), ("passage", "INT64"))
_DOCUMENTS = (("collection", "INT16"), ("id", "VARCHAR"), ("part", "INT64"), ("data", "VARCHAR"))
_PARTS = (("name", "VARCHAR"), ("part", "INT64"), ("data", "VARCHAR"))


def _create(
    client: Any,
    generation: str,
    kind: str,
    vector: tuple[str, str],
    fields: Iterable[tuple[str, str]],
    *,
    dimension: int = 2,
    graph: bool = False,
) -> None:
    """Makes a collection that is loaded and searched by inner product. Milvus wants a vector in
    every collection; where there is none, it has `nothing` in it."""
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("position", DataType.INT64, is_primary=True)
    sparse = vector[1] == "SPARSE_FLOAT_VECTOR"
    schema.add_field(vector[0], DataType[vector[1]], **({} if sparse else {"dim": dimension}))
    for name, of in fields:
        longest = {"max_length": _LONGEST} if of == "VARCHAR" else {}
        schema.add_field(name, DataType[of], **longest)
    index = client.prepare_index_params()
    dense = {"index_type": "HNSW", "params": {"M": 32, "efConstruction": 200}}
    exact = {"index_type": "SPARSE_INVERTED_INDEX" if sparse else "FLAT"}
    index.add_index(vector[0], metric_type="IP", **(dense if graph else exact))
    client.create_collection(name_of(kind, generation), schema=schema, index_params=index)


def _insert(client: Any, collection: str, rows: Iterator[dict[str, Any]]) -> None:
    while batch := list(islice(rows, _BATCH)):
        client.insert(collection, batch)
    client.flush(collection)


def _passages(generation: Generation, progress: Progress) -> Iterator[dict[str, Any]]:
    tokens = generation.tokens
    chunks = generation.manifest.chunks
    for posting in postings(generation):
        place, held = posting.position, posting.passage
        ((chunk, document),) = generation.records.chunks([place])
        row: dict[str, Any] = {
            "position": place,
            "collection": posting.collection,
            "weights": dict(zip(held.terms.tolist(), posting.saturations.tolist(), strict=True)),
            "stored": b64encode(pack(held)).decode(),
            "words": float(held.lengths[0]),
            "grams": float(held.lengths[1]),
            "chunk": json.dumps(
                [chunk.id, json.dumps(chunk.heading), chunk.start, chunk.end, chunk.text],
                ensure_ascii=False,
            ),
            "document": json.dumps(list(asdict(document).values()), ensure_ascii=False),
            "tokens": "",
            "starts": "",
            "sentences": b64encode(packed(generation.sentence_words.of(place))).decode(),
        }
        if not row["weights"]:
            row["weights"] = {0: 1e-30}  # a sparse vector must have something in it
        if tokens is not None:
            first, last = tokens.bounds[place : place + 2]
            row["tokens"] = b64encode(tokens.vectors[first:last].tobytes()).decode()
            row["starts"] = b64encode(tokens.starts[first:last].tobytes()).decode()
        if place % _BATCH == 0:
            progress("copy", place, chunks)
        yield row


def _vectors(generation: Generation) -> Iterator[dict[str, Any]]:
    numbers = generation.chunk_collections.tolist()
    for position, (passage, vector) in enumerate(passage_vectors(generation)):
        yield {
            "position": position,
            "passage": passage,
            "collection": numbers[passage],
            "vector": vector.tolist(),
        }


def _documents(generation: Generation) -> Iterator[dict[str, Any]]:
    """A row for what is known of a document, and rows for its fields as JSON."""
    number = {name: place for place, name in enumerate(generation.manifest.collections)}
    rows = 0
    for summary in generation.records.documents():
        document = generation.records.document(summary.id)
        about = json.dumps(list(asdict(summary).values()), ensure_ascii=False)
        whole = json.dumps(asdict(document), ensure_ascii=False) if document else ""
        for part, data in ((_SUMMARY, about), *enumerate(_cut(whole))):
            yield {
                "position": rows,
                "collection": number[summary.collection],
                "id": summary.id,
                "part": part,
                "data": data,
                "nothing": [0.0, 0.0],
            }
            rows += 1


def _parts(generation: Generation) -> Iterator[dict[str, Any]]:
    skipped = [asdict(item) for item in generation.records.skipped()]
    texts = {
        "vocabulary": b64encode(vocabulary_blob(generation)).decode(),
        "skipped": json.dumps(skipped, ensure_ascii=False),
        "manifest": generation.manifest.text(),
    }
    rows = 0
    for name, text in texts.items():
        for part, data in enumerate(_cut(text)):
            nothing = [0.0, 0.0]
            yield {"position": rows, "name": name, "part": part, "data": data, "nothing": nothing}
            rows += 1


def _cut(text: str) -> Iterator[str]:
    for start in range(0, len(text), _PART):
        yield text[start : start + _PART]
