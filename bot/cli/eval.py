"""`kiku eval`: parses, calls, prints. `kiku eval DATASET …` is `kiku eval run DATASET …`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from bot.cli import eval_tables as tables
from bot.cli.progress import bars, building, through
from bot.settings import load_settings

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from bot.drafting import Decision, Review
    from bot.evaluation import Bench
    from index.evaluation.datasets import Case, Dataset

DEFAULT_SET = Path("corpus/questions.jsonl")
_MODES = {
    "all": ("lexical", "dense", "fused", "hybrid"),
    "lexical": ("lexical",),
    "dense": ("dense",),
    "hybrid": ("hybrid",),
}


class _RunByDefault(TyperGroup):
    """A group whose first argument need not be a command: what is none belongs to `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args[:1] != ["--help"] and (not args or args[0] not in self.commands):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunByDefault,
    help="検索と回答の質を測る。kiku eval [DATASET] は kiku eval run [DATASET] と同じ。",
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    dataset: Annotated[
        Path, typer.Argument(help="BEIR 形式のフォルダー、または questions.jsonl")
    ] = DEFAULT_SET,
    mode: Annotated[str, typer.Option(help="lexical、dense、hybrid、all のいずれか")] = "hybrid",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="結果を質問ごとに書き出す（compare に渡せる）")
    ] = None,
    floor: Annotated[
        Path | None, typer.Option(help="下限のファイル。下回れば終了ステータス 1")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="読むためのレポートを書き出す")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="質問をこの数だけ選ぶ（毎回同じ）")
    ] = None,
    leave_out: Annotated[
        float,
        typer.Option(min=0.0, max=0.9, help="記事のこの割合を索引から外す（BEIR のみ）"),
    ] = 0.0,
    answers: Annotated[
        bool, typer.Option("--answers/--no-answers", help="回答も測る／検索だけを測る")
    ] = True,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="確信度としきい値をこの質問に合わせる")
    ] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="--calibrate とともに: 出荷時の較正に戻す")
    ] = False,
) -> None:
    """検索と回答を測り、表にする。"""
    if mode not in _MODES:
        raise typer.BadParameter("--mode は lexical、dense、hybrid、all のいずれかです。")
    if reset and not calibrate:
        raise typer.BadParameter("--reset は --calibrate と一緒に使います。")
    if reset:
        _reset_calibration()
        return
    from bot import evaluation as bench
    from index.evaluation import datasets, floors, records, report

    floor_values = floors.load(floor) if floor else {}
    whole = datasets.load(dataset)
    chosen = datasets.leave_out(whole, leave_out) if leave_out else whole
    chosen = datasets.sample(chosen, limit)
    if chosen.drafts:
        typer.echo(f'下書き {chosen.drafts:,} 件は測りません（"review": true）。', err=True)
    with bars() as progress:
        ready = bench.prepare(
            load_settings(), chosen, corpus=whole.corpus_digest, progress=building(progress)
        )
        if calibrate:
            _calibrate(ready, chosen, progress)
            return
        result = bench.run(
            ready,
            chosen,
            _MODES[mode],
            left_out=leave_out,
            answers=answers,
            progress=lambda name: _through(progress, name),
        )
    tables.print_result(result)
    if json_file:
        records.save(result, json_file)
    if html:
        report.write(result, html)
        typer.echo(f"レポート: {html}", err=True)
    breaches = floors.breaches(result, floor_values)
    for sentence in breaches:
        typer.echo(sentence, err=True)
    if breaches:
        raise typer.Exit(1)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="前の結果（kiku eval --json）")],
    b: Annotated[Path, typer.Argument(help="後の結果")],
    every: Annotated[bool, typer.Option("--all", help="変わった質問をすべて並べる")] = False,
) -> None:
    """2 つの結果を比べ、偶然とはいえない差と、良くなった質問・悪くなった質問を示す。"""
    from index.evaluation import records
    from index.evaluation.compare import compare as compared

    found = compared(records.load(a), records.load(b))
    if not found.same_set:
        typer.echo(
            f"評価データが違います。共通する {found.shared:,} 件だけを比べます"
            f"（{a} だけに {found.only_a:,} 件、{b} だけに {found.only_b:,} 件）。",
            err=True,
        )
    tables.print_comparison(found, every=every)


@app.command()
def new(
    count: Annotated[int, typer.Option(min=1, max=10_000, help="新しく下書きする数")] = 20,
    out: Annotated[Path, typer.Option(help="書き足す questions.jsonl")] = Path("questions.jsonl"),
    yes: Annotated[
        bool, typer.Option("--yes", help="尋ねずに、すべてを下書き（review）として書く")
    ] = False,
) -> None:
    """索引の文書から評価用の質問を下書きし、人が選ぶ。途中でやめて、続きから始められる。"""
    from bot import drafting
    from index.engines.choose import choose_engine
    from index.evaluation.corpus import FOLDER
    from index.retrieve import Retriever

    settings = load_settings()
    engine = choose_engine(settings.store, settings.home)
    retriever = Retriever.over(engine.open(), encoder=None)
    file = drafting.QuestionFile(out, settings.home / FOLDER / "skipped.txt")
    if yes:
        found = drafting.new_drafts(retriever, file, count)
        for one in found:
            file.add_draft(drafting.row_of(one))
        typer.echo(
            f"{out} に下書き {len(found):,} 件を加えました。同じコマンドを --yes なしで実行すると、"
            "ひとつずつ選べます。"
        )
        return
    typer.echo("下書きをひとつずつ示します。途中でやめても、選んだものは残ります。")
    accepted, skipped = drafting.decide(
        drafting.reviews(retriever, file, count), file, _ask_a_person
    )
    typer.echo(f"採用 {accepted:,} 件、見送り {skipped:,} 件。測るには: kiku eval {out}")


def _ask_a_person(review: Review) -> tuple[Decision, dict[str, Any]]:
    from bot.drafting import mended

    row = review.row
    typer.echo(
        f"\n{' '.join(review.sentence.split())}" + (f"（{review.source}）" if review.source else "")
    )
    typer.secho(f"  問: {row.get('question', '')}", bold=True)
    typer.echo(f"  答: {' ／ '.join(row.get('answers', []))}")
    while True:
        typed = typer.prompt("  採用 a・直す e・見送る s・やめる q", default="a").strip().lower()
        if typed in ("a", "s", "q"):
            return {"a": "accept", "s": "skip", "q": "stop"}[typed], row  # type: ignore[return-value]
        if typed == "e":
            question = typer.prompt("  問", default=row.get("question", ""))
            answers = typer.prompt("  答（／で区切る）", default="／".join(row.get("answers", [])))
            return "accept", mended(row, question, [a for a in answers.split("／") if a.strip()])


def _through(progress: Bars, name: str) -> Callable[[Sequence[Case]], Iterable[Case]]:
    label = "回答" if name == "answers" else f"検索 {name}"
    return lambda cases: through(progress, cases, label)


def _calibrate(ready: Bench, dataset: Dataset, progress: Bars) -> None:
    from bot import evaluation

    found = evaluation.calibrate(ready, dataset, progress=_through(progress, "answers"))
    evaluation.save_calibration(load_settings().home, found)
    tables.print_calibration(found, ready.answerer.threshold)
    typer.echo(
        f"確信度を {len(dataset.cases):,} 件の質問に合わせ、しきい値を {found.threshold:g} に"
        "しました。動いている kiku serve は起動し直すと使います。"
    )


def _reset_calibration() -> None:
    from bot.wiring import CALIBRATION_FILE

    file = load_settings().home / CALIBRATION_FILE
    existed = file.is_file()
    file.unlink(missing_ok=True)
    typer.echo("出荷時の較正に戻しました。" if existed else "較正は出荷時のままです。")
