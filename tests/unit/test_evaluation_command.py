"""`kiku eval` as its user runs it, on indexes built here, words alone (no encoder)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bot import evaluation as bench
from bot.cli.eval import app
from index.build import build
from index.errors import DatasetError, IndexMissing, KikuError
from index.records import Document, document_id

TOPICS = {
    "rkt": "rktは、CoreOS社が安全を重視して作ったコンテナランタイムです。",
    "LXC": "LXCは、カーネルの隔離機能をまとめた仕組みです。",
    "CentOS": "CentOS Linux 7のサポートは2024年6月30日に終了しました。",
    "kubelet": "kubeletは、各ノードで動く代理人です。",
    "Podman": "Podmanは、常駐プロセスを持たないエンジンです。",
    "梅雨": "梅雨は、北海道を除く地域で雨が続く季節の名前です。",
}
QUESTIONS: list[dict[str, Any]] = [
    {"id": "a", "kind": "direct", "question": "rktを作った会社は？", "answers": ["CoreOS社"]},
    {"id": "b", "kind": "direct", "question": "CentOS Linux 7のサポート終了はいつ？",
     "answers": ["2024年6月30日"]},
    {"id": "c", "kind": "follow-up", "question": "それはどこで動きますか？",
     "answers": ["各ノード"], "history": ["kubeletとは何ですか？"]},
    {"id": "d", "kind": "unanswerable", "question": "社員食堂の昼の献立は？", "answers": []},
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bench, "open_encoder", lambda settings: (None, ""))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIKU_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def indexed(home: Path) -> Path:
    documents = [Document(document_id(name), name, text, name) for name, text in TOPICS.items()]
    build(home, documents, encoder=None)
    return home


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "questions.jsonl", QUESTIONS)


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "beir"
    folder.mkdir()
    write_jsonl(
        folder / "corpus.jsonl",
        [{"_id": f"../{name}", "title": name, "text": text} for name, text in TOPICS.items()],
    )
    write_jsonl(
        folder / "queries.jsonl",
        [
            {"_id": "q1", "text": "CoreOS社が作ったものは？", "metadata": {"answers": ["rkt"]}},
            {"_id": "q2", "text": "代理人として動くのは？", "metadata": {"answers": ["kubelet"]}},
        ],
    )
    (folder / "qrels.tsv").write_text("q1\t../rkt\t1\nq2\t../kubelet\t1\n")
    return folder


def kiku_eval(*arguments: object, stdin: str = "") -> Result:
    result = CliRunner().invoke(app, [str(a) for a in arguments], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit | KikuError), (
        result.exc_info
    )
    return result


def test_questions_are_asked_against_the_current_index(indexed: Path, questions: Path) -> None:
    out = questions.with_name("out.json")
    result = kiku_eval(questions, "--json", out, "--html", out.with_suffix(".html"))
    assert result.exit_code == 0
    written = json.loads(out.read_text(encoding="utf-8"))
    rows = {row["id"]: row for row in written["answers"]["rows"]}
    assert rows["a"]["right"]
    assert rows["b"]["right"]
    assert "CoreOS社" in rows["a"]["quotes"][0]["text"]
    assert written["answers"]["measures"]["exact_citations"]["value"] == 1
    assert set(written["answers"]["kinds"]) == {"direct", "follow-up", "unanswerable"}
    assert [row["id"] for row in written["legs"]["hybrid"]["rows"]] == ["a", "b"]
    assert "先頭の引用が正解" in result.stdout
    assert out.with_suffix(".html").stat().st_size > 5000


def test_a_beir_set_gets_an_index_of_its_own_in_the_home_folder(home: Path, beir: Path) -> None:
    result = kiku_eval(beir, "--mode", "all", "--json", "out.json")
    assert result.exit_code == 0
    written = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert list(written["legs"]) == ["lexical", "dense", "fused", "hybrid"]
    assert written["legs"]["hybrid"]["measures"]["R@1"]["value"] == 1
    assert written["answers"]["rows"][0]["right"]
    assert [path.name for path in home.iterdir()] == ["eval"]
    assert not (home / "current").exists()  # the team's own index is untouched


def test_left_out_articles_make_unanswerable_questions(home: Path, beir: Path) -> None:
    result = kiku_eval(beir, "--leave-out", "0.8", "--json", "out.json", "--no-answers")
    assert result.exit_code == 0
    whole = kiku_eval(beir, "--leave-out", "0.8", "--json", "out.json")
    written = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert written["left_out"] == 0.8
    assert written["passages"] == 1
    assert any(not row["answerable"] for row in written["answers"]["rows"])
    assert "80%" in whole.stdout


def test_a_floor_that_is_not_held_ends_with_status_1_and_one_sentence(
    indexed: Path, questions: Path, tmp_path: Path
) -> None:
    floor = tmp_path / "floors.json"
    floor.write_text('{"answers.exact_citations": 1.0}')
    assert kiku_eval(questions, "--floor", floor).exit_code == 0
    floor.write_text('{"answers.right_first": 1.01}')
    result = kiku_eval(questions, "--floor", floor)
    assert result.exit_code == 1
    assert "answers.right_first が下限 1.01 を下回りました" in result.stderr


def test_two_results_are_compared_question_by_question(indexed: Path, questions: Path) -> None:
    kiku_eval(questions, "--json", "a.json")
    after = json.loads(Path("a.json").read_text(encoding="utf-8"))
    row = next(row for row in after["answers"]["rows"] if row["values"]["right"])
    row["values"]["right"] = 0.0
    Path("b.json").write_text(json.dumps(after), encoding="utf-8")
    result = kiku_eval("compare", "a.json", "b.json")
    assert result.exit_code == 0
    assert "悪くなった質問 1 件" in result.stdout
    assert row["question"] in result.stdout
    assert "良くなった質問" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["nowhere"], DatasetError, "nowhere がありません"),
        (["compare", "a.json", "b.json"], DatasetError, "a.json を読めません"),
        (["questions.jsonl", "--floor", "none.json"], DatasetError, "下限のファイル"),
        (["questions.jsonl", "--leave-out", "0.3"], DatasetError, "--leave-out は使えません"),
        (["questions.jsonl"], IndexMissing, ""),
        (["new"], IndexMissing, ""),
    ],
)
def test_a_mistake_is_one_clear_sentence(
    home: Path, questions: Path, arguments: list[str], error: type[KikuError], message: str
) -> None:
    result = kiku_eval(*arguments)
    assert isinstance(result.exception, error)
    assert message in result.exception.message
    assert "\n" not in result.exception.message


@pytest.mark.parametrize(
    "arguments", [["--mode", "best"], ["--reset"], ["--limit", "0"], ["--nonsense"]]
)
def test_wrong_usage_ends_with_status_2(home: Path, arguments: list[str]) -> None:
    assert kiku_eval(*arguments).exit_code == 2


def test_a_small_set_is_refused_for_calibration(indexed: Path, questions: Path) -> None:
    result = kiku_eval(questions, "--calibrate")
    assert isinstance(result.exception, DatasetError)
    assert "較正には" in result.exception.message
    assert not (indexed / "calibration.json").exists()


def test_calibrating_writes_the_teams_own_and_reset_removes_it(
    indexed: Path, tmp_path: Path
) -> None:
    good = [{**QUESTIONS[n % 2], "id": f"g{n}"} for n in range(30)]
    bad = [{**QUESTIONS[3], "id": f"b{n}"} for n in range(15)]
    path = write_jsonl(tmp_path / "many.jsonl", good + bad)
    result = kiku_eval(path, "--calibrate")
    assert result.exit_code == 0
    assert "しきい値" in result.stdout
    written = json.loads((indexed / "calibration.json").read_text())
    assert 0 < written["threshold"] < 1
    kiku_eval(path, "--json", "after.json")
    after = json.loads(Path("after.json").read_text(encoding="utf-8"))
    assert after["threshold"] == written["threshold"]
    assert "出荷時の較正に戻しました" in kiku_eval("--calibrate", "--reset").stdout
    assert not (indexed / "calibration.json").exists()


def test_new_questions_are_drafted_accepted_and_measured(indexed: Path) -> None:
    assert "下書き 3 件" in kiku_eval("new", "--yes", "--count", 3).stdout
    assert isinstance(kiku_eval("questions.jsonl").exception, DatasetError)
    result = kiku_eval("new", "--count", 1, stdin="a\ne\n直した質問は？\n直した答え\ns\nq\n")
    assert "採用 2 件、見送り 1 件" in result.stdout
    rows = [json.loads(line) for line in Path("questions.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 2
    assert rows[1]["question"] == "直した質問は？"
    assert rows[1]["answers"] == ["直した答え"]
    assert kiku_eval("questions.jsonl", "--json", "out.json").exit_code == 0


def test_the_help_names_every_command(home: Path) -> None:
    text = kiku_eval("--help").stdout
    assert all(name in text for name in ("run", "compare", "new"))
