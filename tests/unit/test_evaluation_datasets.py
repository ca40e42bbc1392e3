from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from index.errors import DatasetError
from index.evaluation import datasets

PASSAGES: list[dict[str, Any]] = [
    {"_id": "p1", "title": "梅雨", "text": "梅雨は雨季の一種である。"},
    {"_id": "p2", "title": "梅雨", "text": "梅雨入りは\u2028初夏とされる。"},
    {"_id": "p3", "title": "containerd", "text": "containerdはランタイムである。"},
]
QUERIES: list[dict[str, Any]] = [
    {"_id": "q1", "text": "梅雨とは？", "metadata": {"answers": ["雨季"]}},
    {"_id": "q2", "text": "containerdとは？"},
    {"_id": "q3", "text": "判定のない質問"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\tp1\t1\nq2\tp3\t2\nq2\tp1\t0\n"


def write_beir(folder: Path, *, qrels: str = QRELS, zipped: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in (("corpus", PASSAGES), ("queries", QUERIES)):
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        if zipped:
            (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(data))
        else:
            (folder / f"{name}.jsonl").write_bytes(data)
    (folder / "qrels.tsv").write_text(qrels, encoding="utf-8")
    return folder


def write_questions(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("zipped", [False, True])
def test_a_beir_folder_is_read_with_titles_answers_and_grades(tmp_path: Path, zipped: bool) -> None:
    dataset = datasets.load(write_beir(tmp_path / "set", zipped=zipped))
    assert dataset.name == "set"
    assert [p.id for p in dataset.passages] == ["p1", "p2", "p3"]
    assert dataset.passages[1].text == "梅雨入りは\u2028初夏とされる。"  # not a line end in JSON
    assert [(c.id, dict(c.relevant), c.answers) for c in dataset.cases] == [
        ("q1", {"p1": 1}, ("雨季",)),
        ("q2", {"p3": 2}, ()),  # grade 0 is no judgement of relevance
    ]
    assert all(case.answerable for case in dataset.cases)


def test_judgements_are_found_where_beir_keeps_them_and_need_no_header(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "set")
    (folder / "qrels.tsv").unlink()
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("q1\tp2\t1\r\n", encoding="utf-8")
    assert dict(datasets.load(folder).cases[0].relevant) == {"p2": 1}


def test_questions_are_read_with_kind_history_and_unanswerable_ones(tmp_path: Path) -> None:
    path = write_questions(
        tmp_path / "questions.jsonl",
        {"id": "a", "question": "何？", "answers": ["これ", "それ"], "kind": "typo"},
        {"id": "b", "question": "それは？", "answers": [], "history": ["何？"]},
        {"id": "c", "question": "下書き", "answers": ["案"], "review": True},
    )
    dataset = datasets.load(path)
    assert [(c.id, c.kind, c.answerable, c.history) for c in dataset.cases] == [
        ("a", "typo", True, ()),
        ("b", "direct", False, ("何？",)),
    ]
    assert dataset.drafts == 1
    assert not dataset.judged


def test_the_digest_changes_with_every_part_that_could_change_a_score(tmp_path: Path) -> None:
    first = datasets.load(write_beir(tmp_path / "a"))
    same = datasets.load(write_beir(tmp_path / "b", zipped=True))
    other = datasets.load(write_beir(tmp_path / "c", qrels="q1\tp2\t1\n"))
    assert first.digest == same.digest
    assert first.corpus_digest == other.corpus_digest
    assert first.digest != other.digest


def test_leaving_out_articles_makes_their_questions_unanswerable(tmp_path: Path) -> None:
    dataset = datasets.load(write_beir(tmp_path / "set"))
    held = datasets.leave_out(dataset, 0.3)
    titles = {passage.title for passage in held.passages}
    assert len(titles) == 1  # one of two articles went, whole
    gone = "q1" if titles == {"containerd"} else "q2"
    for case in held.cases:
        assert case.answerable is (case.id != gone)
        assert bool(case.relevant) is (case.id != gone)


def test_without_titles_contiguous_blocks_are_left_out() -> None:
    passages = tuple(datasets.Passage(str(i), "", f"本文{i}") for i in range(200))
    cases = tuple(datasets.Case(str(i), "問", relevant={str(i): 1}) for i in range(200))
    held = datasets.leave_out(datasets.Dataset("set", cases, passages), 0.3)
    kept = [int(p.id) for p in held.passages]
    assert len(kept) == 140
    assert sum(b - a != 1 for a, b in pairwise(kept)) <= 6
    assert sum(not c.answerable for c in held.cases) == 60
    assert datasets.leave_out(datasets.Dataset("set", cases, passages), 0.3) == held


def test_a_sample_is_the_same_every_time_and_keeps_the_order() -> None:
    cases = tuple(datasets.Case(str(i), "問") for i in range(100))
    dataset = datasets.Dataset("set", cases)
    ids = [int(c.id) for c in datasets.sample(dataset, 10).cases]
    assert ids == sorted(ids)
    assert len(set(ids)) == 10
    assert datasets.sample(dataset, 10) == datasets.sample(dataset, 10)
    assert datasets.sample(dataset, None) is dataset
    assert datasets.sample(dataset, 100) is dataset


def _edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return edit


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (_edit("corpus.jsonl", lambda b: b + b"{oops\n"), r"corpus\.jsonl の 4 行目: JSON として"),
        (_edit("corpus.jsonl", lambda b: b + b"[1]\n"), "4 行目: JSON のオブジェクト"),
        (_edit("corpus.jsonl", lambda b: b + b"[" * 100_000), "4 行目: JSON として"),
        (
            _edit("corpus.jsonl", lambda b: b + b'{"_id": "p1", "text": "x"}'),
            "4 行目: _id 'p1' が重複",
        ),
        (_edit("corpus.jsonl", lambda b: b + b'{"_id": "p9"}'), "4 行目: text がありません"),
        (_edit("corpus.jsonl", lambda b: b + b'{"_id": 3, "text": "x"}'), "4 行目: _id が文字列"),
        (_edit("corpus.jsonl", lambda b: b + b"\x80\n"), "4 行目: UTF-8 ではありません"),
        (_edit("corpus.jsonl", lambda b: b""), "文書がありません"),
        (_edit("queries.jsonl", lambda b: b.replace(b'["', b'[1,"')), "1 行目: metadata.answers"),
        (
            _edit("qrels.tsv", lambda b: b + b"q1 p1 1\n"),
            "5 行目: タブ区切りの 3 列が必要ですが 1 列",
        ),
        (_edit("qrels.tsv", lambda b: b + b"q1\tp9\t1\n"), "5 行目: 文書 'p9' が"),
        (_edit("qrels.tsv", lambda b: b + b"q9\tp1\t1\n"), "5 行目: 質問 'q9' が"),
        (_edit("qrels.tsv", lambda b: b + b"q1\tp2\tyes\n"), "5 行目: score 'yes' が整数"),
        (_edit("qrels.tsv", lambda b: b[:24]), "正解のある質問が 1 件もありません"),
        (
            lambda folder: (folder / "qrels.tsv").unlink(),
            "qrels.tsv も qrels/test.tsv もありません",
        ),
    ],
)
def test_a_malformed_beir_folder_is_one_clear_sentence(
    tmp_path: Path, break_it: Callable[[Path], None], expected: str
) -> None:
    folder = write_beir(tmp_path / "set")
    break_it(folder)
    with pytest.raises(DatasetError, match=expected) as raised:
        datasets.load(folder)
    assert "\n" not in raised.value.message


def test_a_cut_gzip_file_is_one_clear_sentence(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "set", zipped=True)
    whole = (folder / "corpus.jsonl.gz").read_bytes()
    for broken in (whole[:-20], b"not gzip", whole[:12] + b"\xff\xff" + whole[14:]):
        (folder / "corpus.jsonl.gz").write_bytes(broken)
        with pytest.raises(DatasetError, match="gzip"):
            datasets.load(folder)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": "a", "question": "何？"}, "answers がありません"),
        ({"id": "a", "question": " ", "answers": []}, "question が空です"),
        ({"id": "a", "question": "何？", "answers": "これ"}, "answers が"),
        ({"id": "a", "question": "何？", "answers": [""]}, "answers が"),
        ({"id": "a", "question": "何？", "answers": [], "history": [1]}, "history が"),
        ({"question": "何？", "answers": []}, "id がありません"),
    ],
)
def test_a_malformed_question_names_file_and_line(
    tmp_path: Path, row: dict[str, Any], expected: str
) -> None:
    good = {"id": "first", "question": "何？", "answers": ["これ"]}
    path = write_questions(tmp_path / "q.jsonl", good, row)
    with pytest.raises(DatasetError, match=rf"q\.jsonl の 2 行目: {expected}"):
        datasets.load(path)


def test_missing_empty_and_draft_only_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="がありません"):
        datasets.load(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="質問がありません"):
        datasets.load(write_questions(tmp_path / "empty.jsonl"))
    draft = {"id": "a", "question": "何？", "answers": ["これ"], "review": True}
    with pytest.raises(DatasetError, match="下書きだけ"):
        datasets.load(write_questions(tmp_path / "drafts.jsonl", draft))
    accepted = datasets.load(write_questions(tmp_path / "g.jsonl", {**draft, "review": False}))
    with pytest.raises(DatasetError, match="記事が 2 つ以上"):
        datasets.leave_out(accepted, 0.3)
