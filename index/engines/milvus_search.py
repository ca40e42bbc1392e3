"""Searching a generation that lies in Milvus: a search for each leg, and a look at what they found."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from index.cache import Embedding
from index.engines.contract import Candidates, Collections, Wanted
from index.engines.found import Found, Parts, Row, chunk_of, embedding_of, unpack
from index.engines.milvus_tables import name_of
from index.engines.portable import read_vocabulary
from index.engines.words import ROUNDING, SparseQuery
from index.generation import Manifest
from index.lexical import LexicalIndex
from index.records import Chunk, Document, DocumentSummary, Heading, Skipped

_MOST = 16_384  # results that Milvus gives at most
_PASSAGES = 200  # taken home at once
_SPARE = 4  # products are rounded: some more than are wanted are looked at
_DOCUMENT_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_FIELDS = ["position", "stored", "words", "grams", "chunk", "document", "sentences"]
_TOKENS = ["tokens", "starts"]


class MilvusGeneration:
    """One generation in Milvus, open; see `index.engines.contract.Searchable`."""

    def __init__(
        self,
        client: Any,
        told: Callable[[], AbstractContextManager[None]],
        manifest: Manifest,
        vocabulary: bytes,
        skipped: Sequence[Skipped],
    ) -> None:
        self._client = client
        self._told = told
        self._manifest = manifest
        self._skipped = list(skipped)
        self._vocabulary, self._lexical = read_vocabulary(vocabulary, manifest.chunks)
        self._parts = Parts(self._lexical, manifest.collections)

    @property
    def manifest(self) -> Manifest:
        """What it is made of."""
        return self._manifest

    def close(self) -> None:
        """Nothing is open but the connection, and it belongs to the engine."""

    def vocabulary(self, collections: Collections) -> LexicalIndex:
        """See `Searchable.vocabulary`."""
        return self._parts.within(collections)

    def candidates(self, wanted: Wanted) -> Candidates:
        """See `Searchable.candidates`. Where a passage that did not come back could score as well
        as the last one that is wanted, more are asked for."""
        sparse = SparseQuery(wanted.query, self.vocabulary(wanted.collections), self._vocabulary)
        seen = f"collection in {sorted(self._parts.numbers(wanted.collections))}"
        limit = min(_MOST, wanted.lexical + _SPARE)
        with self._told():
            near = self._near(wanted, seen)
            while True:
                products = self._products(wanted, sparse, seen, limit)
                found = Found(self._rows(wanted, products, near), sparse, wanted)
                left = found.least if found.put_up == limit else 0.0
                if limit == _MOST or not wanted.lexical or left <= found.floor * ROUNDING**2:
                    return found.candidates(self._manifest.encoder.token_dimension)
                limit = min(_MOST, 4 * limit)

    def documents(self, collections: Collections = None) -> list[DocumentSummary]:
        """See `Searchable.documents`."""
        numbers = sorted(self._parts.numbers(collections))
        rows = self._all(f"part == -1 and collection in {numbers}")
        return [DocumentSummary(*json.loads(row["data"])) for row in rows]

    def document(self, identifier: str, collections: Collections = None) -> Document | None:
        """See `Searchable.document`."""
        if not _DOCUMENT_ID.fullmatch(identifier):
            return None
        numbers = sorted(self._parts.numbers(collections))
        rows = self._all(f'id == "{identifier}" and part >= 0 and collection in {numbers}')
        if not rows:
            return None
        fields = json.loads("".join(row["data"] for row in rows))
        fields["outline"] = tuple(Heading(**heading) for heading in fields["outline"])
        for name in ("tags", "pages"):
            fields[name] = tuple(fields[name])
        return Document(**fields)

    def skipped(self) -> list[Skipped]:
        """See `Searchable.skipped`."""
        return self._skipped

    def embedded(self) -> Iterator[tuple[Chunk, DocumentSummary, Embedding]]:
        """See `Searchable.embedded`."""
        fields = [*_FIELDS, *_TOKENS]
        for first in range(0, self._manifest.chunks, _PASSAGES):
            places = list(range(first, min(first + _PASSAGES, self._manifest.chunks)))
            with self._told():
                passages = self._client.query(
                    name_of("passages", self._manifest.id), ids=places, output_fields=fields
                )
                vectors = self._client.query(
                    name_of("vectors", self._manifest.id),
                    filter=f"passage in {places}",
                    output_fields=["position", "passage", "vector"],
                )
            made: dict[int, list[Any]] = {}
            for row in sorted(vectors, key=lambda row: int(row["position"])):
                made.setdefault(int(row["passage"]), []).append(row["vector"])
            for row in sorted(passages, key=lambda row: int(row["position"])):
                document = DocumentSummary(*json.loads(row["document"]))
                embedding = embedding_of(
                    made[int(row["position"])],
                    b64decode(row["tokens"]),
                    b64decode(row["starts"]),
                    self._manifest.encoder.token_dimension,
                )
                yield chunk_of(json.loads(row["chunk"]), document), document, embedding

    def _all(self, condition: str) -> list[dict[str, Any]]:
        """All rows of the documents that meet a condition, in order."""
        rows: list[dict[str, Any]] = []
        with self._told():
            iterator = self._client.query_iterator(
                name_of("documents", self._manifest.id),
                filter=condition,
                output_fields=["position", "data"],
                batch_size=500,
            )
            while batch := iterator.next():
                rows += batch
            iterator.close()
        return sorted(rows, key=lambda row: int(row["position"]))

    def _products(
        self, wanted: Wanted, sparse: SparseQuery, seen: str, limit: int
    ) -> dict[int, tuple[float, dict[str, Any]]]:
        """The passages nearest by words: product and row of each."""
        if not wanted.lexical or not sparse:
            return {}
        vector = dict(zip(sparse.numbers.tolist(), sparse.weights.tolist(), strict=True))
        (found,) = self._client.search(
            name_of("passages", self._manifest.id),
            data=[vector],
            anns_field="weights",
            limit=limit,
            filter=seen,
            output_fields=_fields(wanted),
            search_params={"metric_type": "IP"},
        )
        return {
            int(hit["position"]): (float(hit["distance"]), dict(hit["entity"])) for hit in found
        }

    def _near(self, wanted: Wanted, seen: str) -> dict[int, float]:
        """The passages nearest by meaning, and how near each is. A passage may have several
        vectors: more are asked for until there are enough passages."""
        if wanted.vector is None or not wanted.dense or not self._manifest.encoder.dimension:
            return {}
        limit = min(_MOST, 2 * wanted.dense)
        while True:
            (found,) = self._client.search(
                name_of("vectors", self._manifest.id),
                data=[wanted.vector.tolist()],
                anns_field="vector",
                limit=limit,
                filter=seen,
                output_fields=["passage"],
                search_params={"metric_type": "IP", "params": {"ef": max(200, 2 * limit)}},
            )
            near: dict[int, float] = {}
            for hit in found:  # best first
                near.setdefault(int(hit["entity"]["passage"]), float(hit["distance"]))
            if len(near) >= wanted.dense or len(found) < limit or limit == _MOST:
                return dict(list(near.items())[: wanted.dense])
            limit = min(_MOST, 4 * limit)

    def _rows(
        self,
        wanted: Wanted,
        products: dict[int, tuple[float, dict[str, Any]]],
        near: dict[int, float],
    ) -> list[Row]:
        """The passages of both legs."""
        rows = {position: row for position, (_, row) in products.items()}
        missing = [position for position in near if position not in rows]
        if missing:
            found = self._client.query(
                name_of("passages", self._manifest.id), ids=missing, output_fields=_fields(wanted)
            )
            rows |= {int(row["position"]): row for row in found}
        dense = self._dense(wanted, [position for position in rows if position not in near]) | near
        return [
            _row(
                row,
                products[position][0] if position in products else None,
                near.get(position),
                dense.get(position, 0.0),
            )
            for position, row in rows.items()
        ]

    def _dense(self, wanted: Wanted, positions: list[int]) -> dict[int, float]:
        """The dense scores of passages that the dense leg did not put up."""
        if wanted.vector is None or not positions or not self._manifest.encoder.dimension:
            return {}
        found = self._client.query(
            name_of("vectors", self._manifest.id),
            filter=f"passage in {positions}",
            output_fields=["passage", "vector"],
        )
        best: dict[int, float] = {}
        for row in found:
            score = float(np.asarray(row["vector"], np.float32) @ wanted.vector)
            best[int(row["passage"])] = max(score, best.get(int(row["passage"]), score))
        return best


def _fields(wanted: Wanted) -> list[str]:
    return [*_FIELDS, *_TOKENS] if wanted.tokens else _FIELDS


def _row(row: dict[str, Any], product: float | None, near: float | None, dense: float) -> Row:
    document = DocumentSummary(*json.loads(row["document"]))
    return Row(
        int(row["position"]),
        product,
        near,
        dense,
        unpack(b64decode(row["stored"]), float(row["words"]), float(row["grams"])),
        chunk_of(json.loads(row["chunk"]), document),
        document,
        b64decode(row.get("tokens", "")),
        b64decode(row.get("starts", "")),
        b64decode(row["sentences"]),
    )
