"""`kiku keys`: keys for callers of the service."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="API キーを作る。", no_args_is_help=True)


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="キーの名前（誰が使うか）")],
    collections: Annotated[
        str | None, typer.Option(help="見せるコレクション（コンマ区切り。省略するとすべて）")
    ] = None,
    admin: Annotated[bool, typer.Option(help="管理者のキーにする")] = False,
) -> None:
    """API キーを作る。キーは一度だけ表示される。"""
    from bot.http.auth import create_key as create

    if not name.strip():
        raise typer.BadParameter("キーには名前が要ります。")
    names = None
    if collections is not None:  # an empty variable of the shell shall not open everything
        names = [part.strip() for part in collections.split(",") if part.strip()]
        if not names:
            raise typer.BadParameter("--collections には名前を一つ以上指定してください。")
    key, entry = create(name, names, admin)
    typer.echo(f"キー（控えてください。二度と表示されません）:\n  {key}")
    typer.echo(f"KIKU_API_KEYS に加える値（すでにあればコンマでつなぐ）:\n  {entry}")
