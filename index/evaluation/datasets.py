"""Evaluation sets: a BEIR folder (passages, queries, judgements) or a `questions.jsonl`.

Formats: BEIR, Thakur et al. 2021 (https://github.com/beir-cellar/beir); `questions.jsonl` holds one
object a line: `id`, `question`, `kind`, `answers` (any of them inside a quote is right; `[]` means
that the documents do not say) and `history` (the questions asked before, for a follow-up).
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from index.errors import DatasetError

SAMPLE_SEED = 7
BLOCKS = 20
"""Passages without titles are left out in this many contiguous blocks: an article's passages
stand together in such files, so few articles are cut in two."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One document of a BEIR corpus."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """One question and what would be right.

    `relevant` maps passage ids to grades (> 0), empty without judgements. `answers` are accepted
    strings, empty where none are known or none exist; `answerable` tells these two apart.
    """

    id: str
    question: str
    kind: str = ""
    answers: tuple[str, ...] = ()
    answerable: bool = True
    history: tuple[str, ...] = ()
    relevant: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Questions, with the passages they are asked against; `passages` empty: the current index.

    `drafts` counts questions marked `"review": true`, which are left out until accepted.
    """

    name: str
    cases: tuple[Case, ...]
    passages: tuple[Passage, ...] = ()
    drafts: int = 0

    @property
    def judged(self) -> bool:
        """Whether the set names the relevant passages (BEIR)."""
        return bool(self.passages)

    @property
    def corpus_digest(self) -> str:
        """The passages' digest, 16 hex digits; the same passages need no second index."""
        return _digest([(p.id, p.title, p.text) for p in self.passages])

    @property
    def digest(self) -> str:
        """The digest of everything that could change a score, 16 hex digits."""
        asked = [
            [c.id, c.question, c.kind, c.answers, c.answerable, c.history, dict(c.relevant)]
            for c in self.cases
        ]
        return _digest([self.corpus_digest, asked])


def load(path: Path) -> Dataset:
    """The set at `path`: a BEIR folder or a questions.jsonl. Raises DatasetError."""
    if path.is_dir():
        return load_beir(path)
    if path.is_file():
        return load_questions(path)
    raise DatasetError(
        f"評価データ {path} がありません。",
        hint="BEIR 形式のフォルダーか questions.jsonl を指定してください。",
    )


def load_beir(folder: Path) -> Dataset:
    """Reads `corpus.jsonl(.gz)`, `queries.jsonl(.gz)` and `qrels.tsv` or `qrels/test.tsv`.

    Queries without a judgement are not part of the set. Raises DatasetError with file and line.
    """
    passages = _passages(_either(folder, "corpus.jsonl", "corpus.jsonl.gz"))
    queries = _queries(_either(folder, "queries.jsonl", "queries.jsonl.gz"))
    qrels_file = _either(folder, "qrels.tsv", "qrels/test.tsv")
    relevant = _qrels(qrels_file, queries.keys(), {passage.id for passage in passages})
    cases = tuple(
        replace(case, relevant=relevant[case.id])
        for case in queries.values()
        if case.id in relevant
    )
    if not cases:
        raise DatasetError(f"{qrels_file}: 正解のある質問が 1 件もありません。")
    return Dataset(name=folder.resolve().name, cases=cases, passages=passages)


def load_questions(path: Path) -> Dataset:
    """Reads a `questions.jsonl`. Raises DatasetError with the line."""
    cases: dict[str, Case] = {}
    drafts = 0
    for line, row in read_rows(path):
        if row.get("review") is True:
            drafts += 1
            continue
        case = _question(path, line, row)
        if case.id in cases:
            raise _bad(path, line, f"id {case.id!r} が重複しています。")
        cases[case.id] = case
    if not cases:
        what = "下書きだけで、受け入れた質問が" if drafts else "質問が"
        raise DatasetError(f"{path}: {what}ありません。")
    return Dataset(name=path.name, cases=tuple(cases.values()), drafts=drafts)


def sample(dataset: Dataset, limit: int | None) -> Dataset:
    """At most `limit` questions, drawn with a fixed seed, in the order of the file."""
    if limit is None or limit >= len(dataset.cases):
        return dataset
    drawn = random.Random(SAMPLE_SEED).sample(range(len(dataset.cases)), limit)  # noqa: S311
    return replace(dataset, cases=tuple(dataset.cases[i] for i in sorted(drawn)))


def leave_out(dataset: Dataset, share: float, *, seed: int = SAMPLE_SEED) -> Dataset:
    """The set without `share` (0…1) of its articles: their questions become unanswerable.

    Articles are passages of one title; without titles, contiguous blocks. At least one article
    stays and at least one goes. Raises DatasetError where that is impossible.
    """
    articles = _articles(dataset.passages)
    if len(articles) < 2:
        raise DatasetError(f"{dataset.name}: 記事が 2 つ以上ないと --leave-out は使えません。")
    out = min(max(round(share * len(articles)), 1), len(articles) - 1)
    gone = {
        passage.id
        for article in random.Random(seed).sample(articles, out)  # noqa: S311
        for passage in article
    }
    return replace(
        dataset,
        passages=tuple(passage for passage in dataset.passages if passage.id not in gone),
        cases=tuple(_without(case, gone) for case in dataset.cases),
    )


def _without(case: Case, gone: set[str]) -> Case:
    kept = {passage: grade for passage, grade in case.relevant.items() if passage not in gone}
    if kept:
        return replace(case, relevant=kept)
    return replace(case, relevant={}, answers=(), answerable=False)


def _articles(passages: tuple[Passage, ...]) -> list[list[Passage]]:
    if not all(passage.title for passage in passages):
        size = max(1, -(-len(passages) // BLOCKS))
        return [list(passages[i : i + size]) for i in range(0, len(passages), size)]
    by_title: dict[str, list[Passage]] = {}
    for passage in passages:
        by_title.setdefault(passage.title, []).append(passage)
    return list(by_title.values())


def _passages(path: Path) -> tuple[Passage, ...]:
    found: dict[str, Passage] = {}
    for line, row in read_rows(path):
        passage = Passage(
            id=_text(path, line, row, "_id"),
            title=_text(path, line, row, "title", default=""),
            text=_text(path, line, row, "text"),
        )
        if passage.id in found:
            raise _bad(path, line, f"_id {passage.id!r} が重複しています。")
        found[passage.id] = passage
    if not found:
        raise DatasetError(f"{path}: 文書がありません。")
    return tuple(found.values())


def _queries(path: Path) -> dict[str, Case]:
    found: dict[str, Case] = {}
    for line, row in read_rows(path):
        metadata = row.get("metadata")
        answers = metadata.get("answers", []) if isinstance(metadata, dict) else []
        kind = metadata.get("kind", "") if isinstance(metadata, dict) else ""
        case = Case(
            id=_text(path, line, row, "_id"),
            question=_text(path, line, row, "text"),
            kind=str(kind),
            answers=_strings(path, line, answers, "metadata.answers"),
        )
        if case.id in found:
            raise _bad(path, line, f"_id {case.id!r} が重複しています。")
        found[case.id] = case
    return found


def _qrels(path: Path, queries: Any, passages: set[str]) -> dict[str, dict[str, int]]:
    relevant: dict[str, dict[str, int]] = {}
    for line, text in _lines(path):
        columns = text.rstrip("\r\n").split("\t")
        if line == 1 and columns[-1] == "score":
            continue
        if len(columns) != 3:
            raise _bad(path, line, f"タブ区切りの 3 列が必要ですが {len(columns)} 列です。")
        query, passage, grade = columns
        if query not in queries:
            raise _bad(path, line, f"質問 {query!r} が queries.jsonl にありません。")
        if passage not in passages:
            raise _bad(path, line, f"文書 {passage!r} が corpus.jsonl にありません。")
        try:
            value = int(grade)
        except ValueError:
            raise _bad(path, line, f"score {grade!r} が整数ではありません。") from None
        if value > 0:
            relevant.setdefault(query, {})[passage] = value
    return relevant


def _question(path: Path, line: int, row: Mapping[str, Any]) -> Case:
    if "answers" not in row:
        raise _bad(path, line, "answers がありません（答えられない質問なら [] と書いてください）。")
    answers = _strings(path, line, row["answers"], "answers")
    return Case(
        id=_text(path, line, row, "id"),
        question=_text(path, line, row, "question"),
        kind=_text(path, line, row, "kind", default="direct"),
        answers=answers,
        answerable=bool(answers),
        history=_strings(path, line, row.get("history", []), "history"),
    )


def _either(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DatasetError(f"評価データ {folder} に {' も '.join(names)} もありません。")


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON-lines file with their line numbers. Raises DatasetError."""
    for line, text in _lines(path):
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "入れ子が深すぎます"
            raise _bad(path, line, f"JSON として読めません（{reason}）。") from None
        if not isinstance(row, dict):
            raise _bad(path, line, "JSON のオブジェクトではありません。")
        yield line, row


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that hold something. Split at `\\n` alone: U+2028 may stand inside JSON."""
    line = 0
    try:
        with _opened(path) as file:
            for line, raw in enumerate(file, start=1):
                text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
                if text.strip():
                    yield line, text
    except UnicodeDecodeError:
        raise _bad(path, line, "UTF-8 ではありません。") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise _bad(path, line + 1, "gzip が途中で切れているか壊れています。") from None
    except OSError as error:
        raise DatasetError(f"{path} を読めません（{error.strerror}）。") from None


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")


def _text(
    path: Path, line: int, row: Mapping[str, Any], key: str, default: str | None = None
) -> str:
    value = row.get(key, default)
    if value is None:
        raise _bad(path, line, f"{key} がありません。")
    if not isinstance(value, str):
        raise _bad(path, line, f"{key} が文字列ではありません。")
    if default is None and not value.strip():
        raise _bad(path, line, f"{key} が空です。")
    return value


def _strings(path: Path, line: int, value: object, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise _bad(path, line, f"{key} が（空でない）文字列の配列ではありません。")
    return tuple(value)


def _bad(path: Path, line: int, what: str) -> DatasetError:
    return DatasetError(f"{path} の {line} 行目: {what}")


def _digest(value: object) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()[:16]
