"""The benchmark beside other libraries: its loop, its passages, its table and its chart."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.peers.adapter import Passage, _Loop
from benchmarks.peers.chart import chart
from benchmarks.peers.measure import Column, Run
from benchmarks.peers.passages import LONGEST, SHORTEST, Task, jsquad, large
from benchmarks.peers.report import Row, save, table


class FakeSystem:
    """Finds the passages that hold a word of the question; `use` says which of two ways."""

    choices: Sequence[Any] = ("none", "words")

    def __init__(self) -> None:
        self.passages: Sequence[Passage] = ()
        self.way = ""
        self.threads: set[int] = set()

    def load(self) -> None:
        pass

    def use(self, choice: Any) -> None:
        self.way = choice

    def build(self, passages: Sequence[Passage], vectors: Any) -> None:
        assert vectors is None
        self.passages = passages

    def open(self) -> None:
        pass

    def search(self, question: str) -> list[str]:
        self.threads.add(threading.get_ident())
        if question == "!":
            raise RuntimeError("already borrowed")
        held = [p.id for p in self.passages if self.way == "words" and question in p.whole]
        return held or ["nothing"]


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    task = Task(
        "t", [Passage("1", "東京", "首都"), Passage("2", "", "大阪の城")], [], (), 1, 1, 1, 1, False
    )
    path = tmp_path / "passages.jsonl"
    task.write(path)
    return path


def test_the_loop_builds_asks_times_and_chooses(passages: Path) -> None:
    system = FakeSystem()
    loop = _Loop(system, 0)
    built = loop.build(str(passages), None)
    assert [p.whole for p in system.passages] == ["東京\n首都", "大阪の城"]
    assert built["index_s"] >= 0
    assert loop.ask("東京") == {"ids": ["nothing"]}
    chosen = loop.choose(["東京", "大阪"], ["1", "2"], 10)
    assert chosen == {"choice": 1, "recall": [0.0, 1.0], "questions": 2}
    assert loop.ask("大阪") == {"ids": ["2"]}
    timed = loop.time(["東京", "大阪", "城"], 10)
    assert timed["found"] == [["1"], ["2"], ["2"]]
    assert len(timed["ms"]) == 3
    assert len(loop.time(["東京"] * 9, 0)["ms"]) == 1


def test_clients_ask_side_by_side_and_failures_are_told(passages: Path) -> None:
    system = FakeSystem()
    loop = _Loop(system, 1)
    loop.build(str(passages), None)
    loop.ask("東京")
    system.threads.clear()
    load = loop.load(["東京"], clients=4, seconds=0.1, threads=1)
    assert load["failed"] == []
    assert load["per_s"] > 0
    assert 1 <= len(system.threads) <= 4
    assert loop.load(["!"], clients=2, seconds=0.1, threads=0)["failed"] == [
        "RuntimeError: already borrowed"
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    own = [{"_id": f"p{n}", "title": "題", "text": f"本文 {n}"} for n in range(3)]
    write(folder / "jsquad-valid" / "corpus.jsonl.gz", own)
    asked = [{"_id": f"q{n}", "text": f"問い {n}"} for n in range(3)]
    write(folder / "jsquad-valid" / "queries.jsonl.gz", asked)
    judged = "".join(f"q{n}\tp{n}\t1\n" for n in range(3))
    (folder / "jsquad-valid" / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    texts = ["短い", "あ" * SHORTEST, "い" * LONGEST, "う" * (LONGEST + 1), "あ" * SHORTEST]
    write(
        folder / "sections.ja.jsonl.gz",
        [{"title": "T", "heading": "H", "text": text} for text in texts],
    )
    write(folder / "jaquad-train" / "corpus.jsonl.gz", [{"text": "え" * 100}])
    segments = [("a", "か" * 90)] * 3 + [("b", "き" * 70)] + [("tanaka", "く" * 300)] + [("b", "")]
    write(folder / "parallel.en-ja.jsonl.gz", [{"source": s, "ja": ja} for s, ja in segments])
    return folder


def test_questions_go_with_the_passages_that_are_kept(data: Path) -> None:
    task = jsquad(data, 10, 2, first=2)
    assert [passage.id for passage in task.passages] == ["p0", "p1"]
    assert sorted(task.questions) == [("問い 0", "p0"), ("問い 1", "p1")]
    assert task.digest != jsquad(data, 1, 2).digest


def test_the_large_task_adds_real_texts_of_like_length_once(data: Path) -> None:
    task = large(data, 10, 1, 8)
    own, others = task.passages[:3], task.passages[3:]
    assert [passage.id for passage in own] == ["p0", "p1", "p2"]
    assert {p.text for p in others} == {
        "あ" * SHORTEST, "い" * LONGEST, "え" * 100, "か" * 270, "き" * 70
    }  # fmt: skip
    assert task.passages == large(data, 10, 1, 8).passages
    with pytest.raises(SystemExit, match="8 passages at most"):
        large(data, 10, 1, 9)


def row(system: str, setup: str, **figures: float) -> Row:
    plain = dict.fromkeys(
        "recall index_s cold_s p50_ms p95_ms per_s index_mib serve_mib disk_mib install_mib".split(),
        1.0,
    )
    return Row(Column(system, setup), asked=10, failed=(), **plain | figures)  # type: ignore[arg-type]


def test_the_table_marks_the_best_of_each_column() -> None:
    rows = [
        row("kiku", "passages", recall=0.95),
        row("txtai", "japanese", recall=0.9, p50_ms=0.5),
    ]
    first, second = table(rows).splitlines()[2:]
    assert first.startswith("| Kiku, passages | **0.950** | **1.0** | **1.00** | 1.0 |")
    assert second.startswith("| txtai, best for Japanese | 0.900 | **1.0** | **1.00** | **0.5** |")


def test_the_chart_is_one_svg_with_a_bar_for_each_figure() -> None:
    rows = [row("kiku", "answers", cold_s=0), row("langchain", "documented")]
    root = ElementTree.fromstring(chart(rows))
    bars = [node for node in root.iter() if node.get("class") in ("own", "peer")]
    assert len(bars) == 6 * len(rows)
    assert all(float(bar.get("width", "0")) >= 1 for bar in bars)


def test_figures_are_put_into_their_place_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- one -->\nold\n<!-- end one -->\nb\n", encoding="utf-8")
    save(page, "one", r"new \1")
    assert page.read_text() == "a\n<!-- one -->\nnew \\1\n<!-- end one -->\nb\n"
    with pytest.raises(SystemExit, match="two"):
        save(page, "two", "")


def test_a_run_belongs_to_its_passages_and_its_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.peers.measure.PLACE", tmp_path)
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "weights").write_bytes(b"1")
    task = Task("t", [Passage("1", "", "text")], [], (), 1, 1, 1, 1, encode_once=False)
    run = Run(task, encoder)
    assert run.figures("kiku-answers") == {}
    (run.folder / "kiku-answers.json").write_text('{"choice": {"choice": 0}}')
    assert Run(task, encoder).figures("kiku-answers") == {"choice": {"choice": 0}}
    run.forget([Column("kiku", "answers")])
    assert run.figures("kiku-answers") == {}
    (encoder / "weights").write_bytes(b"2")
    assert Run(task, encoder).folder != run.folder
