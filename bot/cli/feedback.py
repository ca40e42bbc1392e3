"""`kiku feedback` and `kiku forget`: what is remembered, taken out and removed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.opening import open_store

app = typer.Typer(help="評価と未回答の質問を取り出す。", no_args_is_help=True)


@app.command("export")
def export_feedback(
    out: Annotated[Path, typer.Argument(help="書き出す questions.jsonl")],
) -> None:
    """低い評価、未回答、認められた回答を評価用の質問にする。"""
    from bot.store.feedback import export_cases

    with open_store() as store:
        count = export_cases(store, out)
    typer.echo(f"{out} に {count:,} 件を書き出しました。")


@app.command("report")
def report_feedback(
    days: Annotated[int, typer.Option(min=1, max=3650, help="さかのぼる日数")] = 30,
) -> None:
    """何が尋ねられ、何に答えられなかったかを示す。"""
    from bot.store.feedback import report

    with open_store() as store:
        typer.echo(report(store, days))


def forget(
    conversation: Annotated[str | None, typer.Option(help="消す会話の id")] = None,
    before: Annotated[str | None, typer.Option(help="この日（例 2026-01-31）より前を消す")] = None,
) -> None:
    """会話と回答の記録を消す。"""
    from datetime import datetime

    if (conversation is None) == (before is None):
        raise typer.BadParameter("--conversation か --before のどちらか一方を指定してください。")
    try:
        day = datetime.fromisoformat(before).astimezone() if before else None
    except ValueError:
        raise typer.BadParameter("--before は 2026-01-31 の形で指定してください。") from None
    with open_store() as store:
        count = store.forget(conversation_id=conversation, before=day)
    typer.echo(f"会話 {count:,} 件を消しました。")
