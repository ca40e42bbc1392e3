"""What `kiku eval` prints: evaluations, comparisons and calibrations as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from index.evaluation.calibration import Calibrated
    from index.evaluation.compare import Change, Comparison, LegComparison
    from index.evaluation.records import Estimate, Evaluation, Measures

LISTED = 10
"""Changed questions shown unless all are asked for."""


def print_result(result: Evaluation) -> None:
    """Retrieval by mode, answers, and answers by kind."""
    about = f"{result.dataset}: 質問 {result.cases:,} 件"
    if result.passages:
        about += f"、文書 {result.passages:,} 件"
    if result.left_out:
        about += f"（記事の {result.left_out:.0%} を索引から外した）"
    typer.echo(f"{about}、{result.seconds:.0f} 秒")
    if result.legs:
        names = next(iter(result.legs.values())).measures
        table = _table("検索", *result.legs)
        for name in names:
            table.add_row(name, *(_cell(leg.measures.get(name)) for leg in result.legs.values()))
        _print(table)
    if result.answers:
        from index.evaluation.report import NAMES

        table = _table("回答", "", "n")
        for name, estimate in _ordered(result.answers.measures, list(NAMES)):
            label = f"{name}  {NAMES[name]}" if name in NAMES else name
            table.add_row(label, _cell(estimate, name), f"{estimate.n:,}")
        _print(table)
        if len(result.answers.kinds) > 1:
            table = _table("質問の種類", "正しい対応", "n")
            for kind, measures in result.answers.kinds.items():
                table.add_row(kind, _cell(measures["right"]), f"{measures['right'].n:,}")
            _print(table)


def _ordered(measures: Measures, first: list[str]) -> list[tuple[str, Estimate]]:
    known = [name for name in first if name in measures]
    return [(name, measures[name]) for name in (*known, *(m for m in measures if m not in known))]


def print_comparison(found: Comparison, *, every: bool) -> None:
    """Each leg's differences and the questions behind them; `every` lists all of them."""
    for name, leg in found.legs.items():
        _print(_comparison_table(name, leg))
        _print_changes("良くなった質問", leg.better, every)
        _print_changes("悪くなった質問", leg.worse, every)


def _comparison_table(name: str, leg: LegComparison) -> Table:
    from index.evaluation.compare import ALPHA

    table = _table(name, "差", "95 % 区間", "p", "良くなった", "悪くなった", "n")
    for measure, d in leg.differences.items():
        table.add_row(
            f"{measure} *" if d.p < ALPHA else measure,
            f"{d.value:+.4f}",
            f"{d.low:+.4f} – {d.high:+.4f}",
            f"{d.p:.4f}",
            str(d.better),
            str(d.worse),
            f"{d.n:,}",
        )
    table.caption = f"* 偶然とはいえない差（p < {ALPHA:g}）"
    return table


def _print_changes(title: str, changes: Sequence[Change], every: bool) -> None:
    shown = changes if every else changes[:LISTED]
    if not changes:
        return
    typer.echo(f"{title} {len(changes):,} 件")
    for change in shown:
        kind = f" [{change.kind}]" if change.kind else ""
        typer.echo(f"  {change.id}{kind} {change.question}")
        typer.echo(f"      {_line(change.before)} → {_line(change.after)}")
    if len(shown) < len(changes):
        typer.echo(f"  …ほか {len(changes) - len(shown):,} 件（--all ですべて）")


def _line(text: str, length: int = 90) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[:length]}…"


def _cell(estimate: Estimate | None, name: str = "") -> str:
    if estimate is None:
        return ""
    if name.endswith("_ms") or estimate.value > 1:
        return f"{estimate.value:.1f} [{estimate.low:.1f} – {estimate.high:.1f}]"
    return f"{estimate.value:.4f} [{estimate.low:.4f} – {estimate.high:.4f}]"


def _table(title: str, *columns: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, caption_justify="left")
    table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width to keep to
        console = Console(width=200)
    console.print(table)


def print_calibration(found: Calibrated, threshold: float) -> None:
    """The quality before and after; `threshold` is the one before."""
    table = _table("較正", "前", "後（交差検証）")
    table.add_row("しきい値", f"{threshold:.4f}", f"{found.threshold:.4f}")
    labels = {
        "auroc": "AUROC",
        "ece": "ECE（小さいほど良い）",
        "brier": "Brier（小さいほど良い）",
        "answered": "答えられる質問に正しく答えた",
        "refused": "答えられない質問に黙った",
        "handled": "その平均",
    }
    for name, label in labels.items():
        before, after = getattr(found.before, name), getattr(found.after, name)
        table.add_row(label, f"{before:.4f}", f"{after:.4f}")
    _print(table)
