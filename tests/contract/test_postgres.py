"""What PostgreSQL is chosen for: one transaction, permissions in the database, standbys."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from index.build import build
from index.engines.postgres import PostgresEngine
from index.engines.postgres_tables import schema_of
from index.errors import BuildRunning, IndexMissing, IndexUnavailable
from index.generation import Generation, current_generation
from index.retrieve import Retriever
from tests.fake_encoder import FakeEncoder
from tests.postgres_server import PostgresServer, fresh_database, new_server
from tests.unit.test_retrieve import COLLECTIONS, document


def silent(stage: str, done: int, total: int) -> None:
    """Nobody looks."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, fake_encoder: FakeEncoder) -> Path:
    """Three documents in three collections."""
    home = tmp_path_factory.mktemp("three")
    documents = [document(f"{name}.md", f"{name}の規程です。", name) for name in COLLECTIONS]
    build(home, documents, encoder=fake_encoder)
    return home


def generation_of(home: Path) -> Generation:
    return Generation(current_generation(home))


@pytest.fixture
def place(postgres: PostgresServer, home: Path) -> Iterator[PostgresEngine]:
    engine = PostgresEngine(fresh_database(postgres))
    engine.publish(generation_of(home), keep=2, progress=silent)
    yield engine
    engine.close()


def test_the_database_itself_hides_what_is_not_to_be_seen(
    postgres: PostgresServer, home: Path
) -> None:
    """Row-level security holds for the owner too: a mistake in Kiku's own SQL shows nothing."""
    with psycopg.connect(postgres.url(), autocommit=True) as admin:
        admin.execute("CREATE ROLE owner LOGIN")
        admin.execute("CREATE ROLE kiku_reader NOLOGIN")
        admin.execute("CREATE ROLE reader LOGIN IN ROLE kiku_reader")
        admin.execute("CREATE DATABASE owned OWNER owner")
    with psycopg.connect(postgres.url("owned"), autocommit=True) as admin:
        admin.execute("CREATE EXTENSION vector")
    writer = PostgresEngine(postgres.url("owned", "owner"))
    writer.publish(generation_of(home), keep=2, progress=silent)
    schema = schema_of(writer.served())
    for user in ("owner", "reader"):
        with psycopg.connect(postgres.url("owned", user), autocommit=True) as connection:
            for table in ("documents", "chunks"):
                count = f"SELECT count(*), min(collection) FROM {schema}.{table}"
                assert connection.execute(count).fetchone() == (0, None)
                connection.execute(
                    "SELECT set_config('kiku.collections', %s, false)", ('["人事"]',)
                )
                assert connection.execute(count).fetchone() == (1, "人事")
                connection.execute("SELECT set_config('kiku.collections', '', false)")
    reader = PostgresEngine(postgres.url("owned", "reader"))
    hits = Retriever.over(reader.open(), encoder=FakeEncoder()).search(
        "規程", collections=frozenset({"経理"})
    )
    assert [hit.chunk.text for hit in hits] == ["経理の規程です。"]
    with pytest.raises(IndexUnavailable):
        reader.publish(generation_of(home), keep=2, progress=silent)
    writer.close()
    reader.close()


def test_a_connection_keeps_nothing_of_the_question_before(place: PostgresEngine) -> None:
    generation = place.open()
    assert len(generation.documents(frozenset({"人事"}))) == 1
    rows = place._read(
        lambda connection: connection.execute(
            "SELECT current_setting('kiku.collections', true), current_setting('search_path')"
        ).fetchall()
    )
    assert rows[0] in [("", '"$user", public'), (None, '"$user", public')]


def test_a_build_that_dies_leaves_what_was_served(
    place: PostgresEngine, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    served = place.served()
    build(tmp_path, [document("a.md", "新しい文書です。")], encoder=fake_encoder)

    def die(stage: str, done: int, total: int) -> None:
        if stage == "index":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.publish(generation_of(tmp_path), keep=2, progress=die)
    assert place.generations() == [served] == [place.served()]
    assert place.publish(generation_of(tmp_path), keep=2, progress=silent)
    assert Retriever.over(place.open(), encoder=fake_encoder).search("新しい文書")


def test_one_writes_at_a_time(
    place: PostgresEngine, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    build(tmp_path, [document("a.md", "新しい文書です。")], encoder=fake_encoder)
    refused: list[BaseException] = []

    def meanwhile(stage: str, done: int, total: int) -> None:
        if stage == "index":
            with pytest.raises(BuildRunning) as failure:
                place.publish(generation_of(tmp_path), keep=2, progress=silent)
            refused.append(failure.value)

    assert place.publish(generation_of(tmp_path), keep=2, progress=meanwhile)
    assert len(refused) == 1


def test_questions_are_answered_while_generations_change(
    place: PostgresEngine, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    """Whoever has opened a generation finds all of it until two more have been published."""
    done = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        while not done.is_set():
            retriever = Retriever.over(place.open(), encoder=fake_encoder)
            hits = retriever.search("規程の文書")
            versions = {hit.chunk.text for hit in hits}
            if len(hits) != 3 or len({text[-3:] for text in versions}) != 1:
                wrong.append(versions)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(5):
        documents = [document(f"{n}.md", f"規程の文書{n}の版{number}。") for n in range(3)]
        build(tmp_path, documents, encoder=fake_encoder)
        place.publish(generation_of(tmp_path), keep=2, progress=silent)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_text_that_postgresql_cannot_hold_keeps_its_places(
    postgres: PostgresServer, tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    build(tmp_path, [document("a.md", "前\0後に続く文書です。")], encoder=fake_encoder)
    engine = PostgresEngine(fresh_database(postgres))
    engine.publish(generation_of(tmp_path), keep=1, progress=silent)
    retriever = Retriever.over(engine.open(), encoder=fake_encoder)
    hit = retriever.search("文書")[0]
    text = retriever.document(hit.document.id)
    assert text is not None
    assert (
        text.text[hit.chunk.start : hit.chunk.end] == hit.chunk.text == "前\ufffd後に続く文書です。"
    )
    engine.close()


def test_a_standby_answers_and_takes_over(home: Path, tmp_path: Path) -> None:
    """Streaming replication, the primary's death and a promotion, with the real server."""
    encoder = FakeEncoder()
    with new_server() as primary:
        url = fresh_database(primary, "kiku")
        writer = PostgresEngine(url)
        writer.publish(generation_of(home), keep=2, progress=silent)
        with new_server(of=primary) as standby:
            both = primary.url("kiku", "postgres", standby) + "&target_session_attrs=prefer-standby"
            engine = PostgresEngine(both)
            retriever = Retriever.over(engine.open(), encoder=encoder)
            assert _role(engine) == "standby"
            assert len(retriever.search("規程")) == 3

            # What is published through the same URL goes to the primary and arrives here.
            build(tmp_path, [document("a.md", "新しい規程です。")], encoder=encoder)
            assert engine.publish(generation_of(tmp_path), keep=2, progress=silent)
            _until(lambda: engine.served() == generation_of(tmp_path).manifest.id)
            assert len(retriever.search("規程")) == 3, "a question under way ends on the old one"
            retriever = Retriever.over(engine.open(), encoder=encoder)
            assert [hit.chunk.text for hit in retriever.search("規程")] == ["新しい規程です。"]

            primary.stop("immediate")
            assert len(retriever.search("規程")) == 1, "the standby goes on"
            with pytest.raises(IndexUnavailable):
                engine.roll_back()
            standby.promote()
            assert engine.roll_back() == generation_of(home).manifest.id
            _until(lambda: engine.served() == generation_of(home).manifest.id)
            assert len(Retriever.over(engine.open(), encoder=encoder).search("規程")) == 3
            standby.stop("immediate")
            with pytest.raises(IndexUnavailable) as failure:
                retriever.search("規程")
            assert "postgres@" not in failure.value.message
            engine.close()
        writer.close()


def test_a_server_that_restarts_is_found_again(home: Path) -> None:
    with new_server() as server:
        engine = PostgresEngine(fresh_database(server))
        engine.publish(generation_of(home), keep=2, progress=silent)
        retriever = Retriever.over(engine.open(), encoder=FakeEncoder())
        for _ in range(3):
            assert len(retriever.search("規程")) == 3
            server.stop("immediate")
            server.start()
        assert len(retriever.search("規程")) == 3
        engine.close()


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/kiku", "postgresql://a b/?x=y"])
def test_a_server_that_is_not_there_is_told_in_one_sentence(url: str) -> None:
    engine = PostgresEngine(url.replace("nobody", "nobody:secret"))
    for work in (engine.served, engine.open, engine.roll_back):
        with pytest.raises((IndexUnavailable, IndexMissing)) as failure:
            work()
        assert "secret" not in failure.value.message
        assert "\n" not in failure.value.message
    engine.close()


def _role(engine: PostgresEngine) -> str:
    rows = engine._read(
        lambda connection: connection.execute("SELECT pg_is_in_recovery()").fetchall()
    )
    return "standby" if rows[0][0] else "primary"


def _until(condition: object) -> None:
    """Waits for replication; fails after half a minute."""
    import time

    end = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.1)
