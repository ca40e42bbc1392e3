"""`kiku serve` and `kiku slack`: the doors that stay open."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli.opening import open_kiku
from bot.settings import load_settings


def serve(
    host: Annotated[str | None, typer.Option(help="待ち受けるアドレス")] = None,
    port: Annotated[int | None, typer.Option(help="待ち受けるポート")] = None,
) -> None:
    """HTTP サービスとチャットページを動かす。"""
    from bot.http.app import serve as run
    from bot.wiring import connect

    chosen = {"host": host, "port": port}
    settings = load_settings({name: value for name, value in chosen.items() if value is not None})
    run(settings, connect)


def slack(
    command: Annotated[
        str | None, typer.Argument(help="manifest: アプリのマニフェストを出力する")
    ] = None,
) -> None:
    """Slack アプリを Socket Mode で動かす。"""
    from bot.slack.app import manifest, run

    if command == "manifest":
        typer.echo(manifest())
        return
    if command is not None:
        raise typer.BadParameter("引数なし、または manifest を指定してください。")
    from bot.logs import configure_logs

    with open_kiku() as kiku:
        configure_logs(kiku.settings.log_level)
        run(kiku)
