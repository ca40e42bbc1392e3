from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text, update

from bot.errors import StoreUnavailable
from bot.records import Answer, Citation, Question, Turn
from bot.store import Store
from bot.store.database import HEAD, MIGRATIONS
from bot.store.tables import AnswerRow, Base, ConversationRow

CITATION = Citation(
    number=1,
    document_id="0123456789abcdef",
    title="Debian",
    heading=("概要", "リリース"),
    source="debian.md",
    start=3,
    end=9,
    quote="約2年ごと。",
    passage="Debianは約2年ごと。",
    passage_start=0,
    score=0.8,
    url="/sources/0123456789abcdef?start=3&end=9",
    link="https://example.org/",
    page=2,
    date="2026-01-02",
    collection="default",
    superseded_by="fedcba9876543210",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path}/folder/kiku.sqlite")
    yield store
    store.close()


def ask(
    store: Store,
    answer_id: str,
    text: str = "いつ出ますか？",
    *,
    conversation: str = "c1",
    status: str = "answered",
    asker: str = "",
    citations: tuple[Citation, ...] = (CITATION,),
) -> Answer:
    answer = Answer(
        id=answer_id,
        status=status,  # type: ignore[arg-type]
        answer=f"{text}への答え[1]",
        confidence=0.9,
        conversation_id=conversation,
        citations=citations,
        took_ms=1.5,
    )
    store.record(Question(text=text, channel="http", asker=asker), answer)
    return answer


def test_what_is_recorded_comes_back_equal(store: Store) -> None:
    answer = ask(store, "a1", asker="alice")
    found = store.conversation("c1")
    assert found is not None
    assert found.answers[0].answer == answer
    assert found.answers[0].question == "いつ出ますか？"
    assert (found.owner, found.channel) == ("alice", "http")
    assert store.answer("a1") == found.answers[0]
    assert store.answer("a2") is None


def test_a_conversation_is_shown_to_its_owner_alone(store: Store) -> None:
    ask(store, "a1", asker="alice")
    assert store.conversation("c1", owner="alice") is not None
    assert store.conversation("c1", owner="bob") is None
    assert store.conversation("c1", owner="") is None
    assert store.conversation("nowhere") is None


def test_turns_are_the_last_ones_oldest_first(store: Store) -> None:
    for number in range(5):
        ask(store, f"a{number}", f"問い{number}")
    ask(store, "other", "別の問い", conversation="c2")
    assert store.turns("c1", limit=3) == (
        Turn("assistant", "問い3への答え[1]"),
        Turn("user", "問い4"),
        Turn("assistant", "問い4への答え[1]"),
    )
    assert store.turns("c1", limit=0) == ()
    assert store.turns("nowhere") == ()
    assert [turn.content for turn in store.turns("c1", before="a2")][::2] == ["問い0", "問い1"]


def test_recording_an_answer_again_changes_nothing(store: Store) -> None:
    ask(store, "a1", "はじめ")
    ask(store, "a1", "あと")
    assert [turn.content for turn in store.turns("c1") if turn.role == "user"] == ["はじめ"]


def test_a_second_rating_by_the_same_person_replaces_the_first(store: Store) -> None:
    ask(store, "a1")
    assert store.rate("a1", "up", by="alice")
    assert store.rate("a1", "down", "古い", by="alice")
    assert store.rate("a1", "up", by="bob")
    found = store.answer("a1")
    assert found is not None
    assert {(r.by, r.rating, r.comment) for r in found.ratings} == {
        ("alice", "down", "古い"),
        ("bob", "up", ""),
    }
    assert not store.rate("nowhere", "up")


def test_forgetting_a_conversation_leaves_no_row_of_it(store: Store) -> None:
    ask(store, "a1")
    ask(store, "a2", conversation="c2")
    store.rate("a1", "down")
    assert store.forget(conversation_id="c1") == 1
    assert store.forget(conversation_id="c1") == 0
    assert store.forget() == 0
    with store.database.read() as session:
        for table in ("conversations", "answers", "citations"):
            assert session.scalar(text(f"SELECT count(*) FROM {table}")) == 1
        assert session.scalar(text("SELECT count(*) FROM ratings")) == 0


def test_forgetting_one_answer_keeps_the_rest(store: Store) -> None:
    ask(store, "a1", "はじめ")
    ask(store, "a2", "あと")
    assert store.forget_answer("a1")
    assert not store.forget_answer("a1")
    assert [turn.content for turn in store.turns("c1") if turn.role == "user"] == ["あと"]


def _age(store: Store, conversation: str, days: int) -> None:
    moment = datetime.now(UTC) - timedelta(days=days)
    with store.database.write() as session:
        session.execute(
            update(ConversationRow)
            .where(ConversationRow.id == conversation)
            .values(updated_at=moment)
        )


def test_what_is_forgotten_is_not_left_in_the_files(tmp_path: Path) -> None:
    def traces() -> int:
        return sum(path.read_bytes().count("内緒の相談".encode()) for path in tmp_path.iterdir())

    with closing(Store.open(f"sqlite:///{tmp_path}/kiku.sqlite")) as store:
        for number in range(50):
            ask(store, f"a{number}", f"内緒の相談{number}", conversation=f"c{number % 2}")
        assert traces() >= 50
        assert store.forget_answer("a0")
        assert store.forget(conversation_id="c0") == 1
        assert store.forget(before=datetime.now(UTC) + timedelta(days=1)) == 1
        assert traces() == 0


def test_forget_before_goes_by_the_last_use(store: Store) -> None:
    ask(store, "a1", conversation="old")
    ask(store, "a2", conversation="new")
    _age(store, "old", 40)
    assert store.forget(before=datetime.now(UTC) - timedelta(days=30)) == 1
    assert store.conversation("old") is None
    assert store.conversation("new") is not None


def test_retention_is_applied_when_the_store_opens(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/kiku.sqlite"
    first = Store.open(url)
    ask(first, "a1", conversation="old")
    ask(first, "a2", conversation="new")
    _age(first, "old", 8)
    first.close()
    second = Store.open(url, retention_days=7)
    assert second.conversation("old") is None
    assert second.conversation("new") is not None
    second.close()


def test_retention_is_applied_where_nobody_asks(tmp_path: Path) -> None:
    with closing(Store.open(f"sqlite:///{tmp_path}/kiku.sqlite", retention_days=7)) as store:
        ask(store, "a1", conversation="old")
        _age(store, "old", 8)
        store.check()
        assert store.conversation("old") is not None, "once a day is enough"
        store._cleaned -= timedelta(days=1)
        store.check()
        assert store.conversation("old") is None


def test_insights_count_by_day_and_by_text(store: Store) -> None:
    ask(store, "a1", "給与は？", status="not_found")
    ask(store, "a2", "給与は？", status="not_found")
    ask(store, "a3", "休暇は？", status="not_found")
    ask(store, "a5", "給与は？")
    two = (CITATION, replace(CITATION, number=2, start=1))
    ask(store, "a4", "リリースは？", citations=two)
    store.rate("a4", "down", "古い", by="alice")
    store.rate("a4", "up", by="bob")
    with store.database.write() as session:
        session.execute(update(AnswerRow).where(AnswerRow.id == "a3").values(day="2001-01-01"))
    found = store.insights(days=7)
    today = datetime.now().astimezone().date().isoformat()
    assert len(found["days"]) == 7
    assert found["days"][-1] == {
        "date": today,
        "asked": 4,
        "answered": 2,
        "not_found": 2,
        "up": 1,
        "down": 1,
    }
    assert sum(day["asked"] for day in found["days"]) == 4
    assert found["questions"] == [
        {"question": "給与は？", "asked": 3, "answered": 1, "last": today},
        {"question": "リリースは？", "asked": 1, "answered": 1, "last": today},
    ]
    assert found["unanswered"] == [{"question": "給与は？", "asked": 2, "last": today}]
    assert found["low_rated"] == [
        {
            "question": "リリースは？",
            "answer": "リリースは？への答え[1]",
            "comment": "古い",
            "date": today,
        }
    ]
    assert found["top_documents"] == [{"title": "Debian", "count": 2}]


def test_questions_of_a_person_are_listed_once_newest_first(store: Store) -> None:
    for number, words in enumerate(["い", "ろ", "い", "は"]):
        ask(store, f"a{number}", words, asker="alice")
    ask(store, "b", "に", asker="bob")
    assert store.questions_of("alice") == ["は", "い", "ろ"]
    assert store.questions_of("alice", limit=1) == ["は"]


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(words=st.text(st.characters(codec=None), max_size=40))
def test_any_text_is_taken(store: Store, words: str) -> None:
    store.forget(conversation_id="c1")
    ask(store, "a1", words)
    assert store.turns("c1")[0].content == words.replace("\0", "").encode("utf-8", "ignore").decode(
        "utf-8"
    )


def test_only_what_may_be_lost_to_a_power_failure_skips_the_disk(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'kiku.sqlite'}")
    for quick, level in ((False, 2), (True, 1), (False, 2)):
        with store.database.write(quick=quick) as session:
            assert session.scalar(text("PRAGMA synchronous")) == level
    store.close()


def test_threads_and_two_processes_worth_of_stores_lose_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/kiku.sqlite"
    stores: list[Store] = []
    failures: list[BaseException] = []
    ready = threading.Barrier(4)

    def work(name: str) -> None:
        try:
            ready.wait()
            store = Store.open(url)  # all four migrate the same new file
            stores.append(store)
            for number in range(25):
                ask(store, f"{name}-{number}", conversation=f"c{number}")
                assert store.rate(f"{name}-{number}", "up", by="everybody")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(day["asked"] for day in stores[0].insights(2)["days"]) == 100
    assert sum(day["up"] for day in stores[0].insights(2)["days"]) == 100
    for store in stores:
        store.close()


def test_a_database_of_the_first_version_is_migrated(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/kiku.sqlite"
    with closing(Store.open(url)) as store:
        told = ask(store, "a1")
    with sqlite3.connect(tmp_path / "kiku.sqlite") as connection:
        connection.execute("ALTER TABLE citations DROP COLUMN superseded_by")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    with closing(Store.open(url)) as store:
        kept = store.answer("a1")
        assert kept is not None
        assert kept.answer == replace(told, citations=(replace(CITATION, superseded_by=""),))
        assert ask(store, "a2") == store.answer("a2").answer  # type: ignore[union-attr]


def test_the_migrations_lead_to_the_tables_of_the_code(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    Store.open(f"sqlite:///{tmp_path}/kiku.sqlite").close()
    with create_engine(f"sqlite:///{tmp_path}/kiku.sqlite").connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == HEAD
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("これはURLではない", "URL"),
        ("sqlite://", "メモリ"),
        ("nosuchdatabase://host/kiku", "ドライバー"),
        ("sqlite:////proc/nowhere/kiku.sqlite", "フォルダー"),
    ],
)
def test_a_bad_database_url_is_told_in_one_sentence(url: str, words: str) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        Store.open(url)
    assert words in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "kiku.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreUnavailable, match="使えません"):
        Store.open(f"sqlite:///{tmp_path}/kiku.sqlite")


def test_a_database_of_a_newer_kiku_is_left_alone(tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path}/kiku.sqlite").close()
    with sqlite3.connect(tmp_path / "kiku.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="新しい版"):
        Store.open(f"sqlite:///{tmp_path}/kiku.sqlite")


def test_a_database_that_goes_away_is_told(store: Store) -> None:
    store.check()
    with store.database.write() as session:
        session.execute(text("DROP TABLE citations"))
        session.execute(text("DROP TABLE ratings"))
        session.execute(text("DROP TABLE answers"))
        session.execute(text("DROP TABLE conversations"))
    with pytest.raises(StoreUnavailable, match="使えません") as caught:
        store.check()
    assert "SELECT" not in caught.value.message
