"""Several machines encode, one builds: together they encode every passage once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from index.build import build_sources
from index.cache import Cache, Embedding
from index.engines.postgres_cache import PostgresEmbeddings
from index.generation import current_generation
from index.retrieve import Retriever
from index.sharing import encode_share
from index.sources import read_rules
from tests.fake_encoder import FakeEncoder
from tests.postgres_server import PostgresServer, fresh_database


def test_machines_share_the_encoding(
    postgres: PostgresServer, few_documents: list[Path], built_home: Path, tmp_path: Path
) -> None:
    url = fresh_database(postgres)
    rules = read_rules(few_documents)

    def machine(number: int) -> tuple[int, int]:
        encoder = FakeEncoder()
        home = tmp_path / f"machine-{number}"
        report = encode_share(
            home, few_documents, (number, 3), encoder=encoder, rules=rules,
            shared=PostgresEmbeddings(url),
        )  # fmt: skip
        assert report.embedded == encoder.encoded
        return report.chunks, report.embedded

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(machine, (1, 2, 3)))
    again = machine(2)
    assert again == (done[1][0], 0), "a share that runs again has nothing to do"

    encoder = FakeEncoder()
    report = build_sources(
        tmp_path / "builder", few_documents, encoder=encoder, shared=PostgresEmbeddings(url)
    )
    assert report.chunks == sum(chunks for chunks, _ in done)
    assert (report.embedded, encoder.encoded) == (0, 0)
    for question in ("containerdとは", "chrootはいつ生まれた？"):
        found, expected = (
            Retriever.open(home, encoder=encoder).search(question, 10)
            for home in (tmp_path / "builder", built_home)
        )
        assert [(hit.chunk, hit.score) for hit in found] == [
            (hit.chunk, hit.score) for hit in expected
        ]


def test_a_share_that_dies_goes_on_where_it_was(
    postgres: PostgresServer, few_documents: list[Path], tmp_path: Path
) -> None:
    url = fresh_database(postgres)
    rules = read_rules(few_documents)

    def die(stage: str, done: int, total: int) -> None:
        if stage == "encode":
            raise KeyboardInterrupt

    first = FakeEncoder()
    with pytest.raises(KeyboardInterrupt):
        encode_share(
            tmp_path / "one", few_documents, (1, 1), encoder=first, rules=rules,
            shared=PostgresEmbeddings(url), progress=die,
        )  # fmt: skip
    assert first.encoded > 0
    second = FakeEncoder()
    report = encode_share(
        tmp_path / "another", few_documents, (1, 1), encoder=second, rules=rules,
        shared=PostgresEmbeddings(url),
    )  # fmt: skip
    assert first.encoded + second.encoded == report.chunks


def test_processes_of_one_machine_share_its_cache(
    few_documents: list[Path], tmp_path: Path
) -> None:
    rules = read_rules(few_documents)
    encoders = [FakeEncoder() for _ in range(3)]

    def process(number: int) -> None:
        encode_share(
            tmp_path, few_documents, (number, 3), encoder=encoders[number - 1], rules=rules
        )

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(process, (1, 2, 3)))
    report = build_sources(tmp_path, few_documents, encoder=FakeEncoder())
    assert report.embedded == 0
    assert sum(one.encoded for one in encoders) == report.chunks
    assert current_generation(tmp_path).name == report.generation


def test_processes_that_begin_at_once_make_one_cache(tmp_path: Path) -> None:
    none = np.zeros((0, 4), np.int8), np.zeros(0, np.uint16)
    embedding = Embedding(np.ones((1, 4), np.float16), *none)
    for attempt in range(20):
        path = tmp_path / str(attempt) / "cache.sqlite"
        path.parent.mkdir()
        begin = Barrier(4)

        def put(number: int, path: Path = path, begin: Barrier = begin) -> None:
            begin.wait()
            cache = Cache(path)
            cache.put_embedding("encoder", f"text {number}", embedding)
            cache.close()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, range(4)))
        cache = Cache(path)
        found = cache.embeddings("encoder", [f"text {number}" for number in range(4)], 4)
        cache.close()
        assert all(one is not None for one in found)
