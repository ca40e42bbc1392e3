"""What is stored of the sentences of a passage is what analysing it finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index.arrays import ArrayReader, save_array
from index.build import build
from index.generation import Generation, current_generation
from index.lexical import LexicalIndex, terms, word_key, word_terms
from index.query import Query, Synonyms, understand
from index.records import Chunk, Document, DocumentSummary, Hit
from index.sentence_words import LineWords, PackedWords, lines_of, packed
from index.sentences import read
from tests.fake_encoder import FakeEncoder

TABLE = "# 版\n\n終わる日の表です。\n\n| 版 | 終了 |\n|---|---|\n| 八番 | 五月 |\n| 九番 | 七月 |\n"


@pytest.fixture(scope="module")
def generation(built_home: Path) -> Generation:
    return Generation(current_generation(built_home))


def analysed(title: str, heading: tuple[str, ...], text: str) -> LineWords:
    keys = [word_terms(line).keys for line in lines_of(title, heading, text)]
    owners = [np.full(len(own), number) for number, own in enumerate(keys)]
    return np.concatenate(keys), np.concatenate(owners)


def test_every_passage_has_the_words_of_its_lines(generation: Generation) -> None:
    chunks = generation.manifest.chunks
    assert chunks > 50
    for place, (chunk, document) in enumerate(generation.records.chunks(range(chunks))):
        keys, owners = generation.sentence_words.of(place)
        wanted, lines = analysed(document.title, chunk.heading, chunk.text)
        assert keys.tolist() == wanted.tolist(), chunk.id
        assert owners.tolist() == lines.tolist(), chunk.id
        again = PackedWords([b"", packed((keys, owners))]).of(1)
        assert [part.tolist() for part in again] == [keys.tolist(), owners.tolist()]


def test_a_passage_without_words_has_none(tmp_path: Path) -> None:
    documents = [Document("a", "", "。。。", "a.md"), Document("b", "犬", "犬は歩く。", "b.md")]
    build(tmp_path, documents, encoder=FakeEncoder())
    words = Generation(current_generation(tmp_path)).sentence_words
    keys, owners = words.of(0)
    assert len(keys) == len(owners) == 0
    assert word_key("歩く") in words.of(1)[0]


def hit(text: str, title: str = "", heading: tuple[str, ...] = ()) -> Hit:
    summary = DocumentSummary("d", title, "d.md", "default", "", "", len(text), 1)
    return Hit(Chunk("d:0", "d", heading, 0, len(text), text), summary, 0.0)


def words_of(one: Hit) -> LineWords:
    return analysed(one.document.title, one.chunk.heading, one.chunk.text)


def asked(question: str, *texts: str) -> Query:
    bodies = [terms(text) for text in texts]
    return understand(question, LexicalIndex.build(bodies, [terms("")] * len(bodies)), Synonyms())


def held(query: Query, present: np.ndarray) -> list[float]:
    return [round(float(one), 3) for one in query.coverage(present, words_only=True)]


def test_a_row_holds_what_its_header_says_and_not_what_the_next_row_says() -> None:
    query = asked("九番の終了", TABLE)
    table = hit(TABLE, heading=("版",))
    reading = read(query, table, words_of(table))
    told, eight, nine = held(query, reading.own)
    assert told < eight < nine == 1.0
    assert held(query, reading.near)[1] == eight


def test_a_sentence_is_near_to_its_neighbours_and_to_what_stands_above() -> None:
    text = "犬は走る。猫は眠る。鳥は歌う。"
    query = asked("動物の犬と鳥", text, "動物")
    animals = hit(text, title="動物")
    reading = read(query, animals, words_of(animals))
    dog, cat, bird = held(query, reading.near)
    assert held(query, reading.own)[1] == 0.0
    assert cat == 1.0
    assert 0 < dog < 1
    assert 0 < bird < 1
    assert 0 < query.coverage(reading.above, words_only=True) < dog


def test_stored_words_are_those_that_are_read() -> None:
    text = "犬は走る。猫は眠る。"
    query = asked("猫", text)
    nothing = np.empty(0, np.uint64), np.empty(0, np.int64)
    assert held(query, read(query, hit(text), words_of(hit(text))).own) == [0.0, 1.0]
    assert held(query, read(query, hit(text), nothing).own) == [0.0, 0.0]


def test_rows_are_gathered_in_the_order_asked_for(tmp_path: Path) -> None:
    save_array(tmp_path / "a.npy", np.arange(20, dtype=np.int32).reshape(10, 2))
    rows = ArrayReader(tmp_path / "a.npy")
    assert rows.gather([(8, 10), (3, 3), (0, 1)]).tolist() == [[16, 17], [18, 19], [0, 1]]
    assert rows.gather([]).shape == (0, 2)
    assert rows[7:3].shape == (0, 2)
