"""`kiku build` and `kiku rollback`: the index, made once or whenever a file changes, or taken back."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.progress import bars, building
from bot.settings import Settings, load_settings
from index.errors import BuildRunning, EncoderUnavailable, KikuError

if TYPE_CHECKING:
    from index.build import BuildReport
    from index.encoder import Encoder
    from index.records import Skipped

SHOWN = 20  # files that could not be read, named below the summary
SETTLE_MS = 1_500  # a save is several changes; the build waits until it is quiet for so long
WAKE_MS = 1_000  # after so long without a change the watch is known to have begun
AGAIN = 5.0  # seconds to wait for another build to end
INTERRUPTED = "中断しました。索引は前のままです。読み終えた分は残っているので、次の kiku build は続きから始まります。"


def build(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="文書のフォルダーやファイル（省略時は前回と同じ）")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON で出力する")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="文書が変わるたびに作り直す")] = False,
    share: Annotated[
        str, typer.Option(help="2/4 なら、4 つに分けた 2 番目の分をエンコードするだけにする")
    ] = "",
) -> None:
    """文書を読み、索引を作る。変わったものだけを読み直す。"""
    from bot.wiring import open_encoder

    settings = load_settings()
    encoder, problem = open_encoder(settings)
    if encoder is None and not as_json:
        typer.echo(problem, err=True)
    if share:
        _encode_share(settings, paths or [], _share(share), encoder, as_json)
        return
    told = _build(settings, paths or [], encoder, as_json)
    if watch:
        _keep_building(settings, encoder, as_json, told)


def _build(
    settings: Settings,
    paths: Sequence[Path],
    encoder: Encoder | None,
    as_json: bool,
    told: Sequence[Skipped] = (),
    *,
    only_news: bool = False,
) -> Sequence[Skipped]:
    """Builds and tells what became of it: what cannot be read too, unless it was `told` before;
    nothing where nothing changed, if `only_news`. Returns what cannot be read."""
    try:
        report = _built(settings, paths, encoder, as_json)
    except KeyboardInterrupt:
        typer.echo(INTERRUPTED, err=True)
        raise
    if report.changed or not only_news:
        typer.echo(json.dumps(asdict(report), ensure_ascii=False) if as_json else _summary(report))
    skipped = [item for item in report.skipped if item not in told]
    if skipped and not as_json:
        typer.echo(f"読めなかったもの {len(skipped):,} 件:", err=True)
        for item in skipped[:SHOWN]:
            typer.echo(f"  {item.source}: {item.reason}", err=True)
        if len(skipped) > SHOWN:
            typer.echo("  すべては kiku documents skipped で見られます。", err=True)
    return report.skipped


def _built(
    settings: Settings, paths: Sequence[Path], encoder: Encoder | None, as_json: bool
) -> BuildReport:
    from bot.wiring import build_index

    with bars(quiet=as_json) as progress:
        return build_index(settings, paths, encoder=encoder, progress=building(progress))


def _share(text: str) -> tuple[int, int]:
    """`2/4` as (2, 4)."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise typer.BadParameter("--share は 2/4 の形で指定してください。")
    return int(number), int(count)


def _encode_share(
    settings: Settings,
    paths: Sequence[Path],
    share: tuple[int, int],
    encoder: Encoder | None,
    as_json: bool,
) -> None:
    from bot.wiring import encode_share

    if encoder is None:
        raise EncoderUnavailable("エンコーダーがないので、エンコードできません。")
    with bars(quiet=as_json) as progress:
        report = encode_share(settings, paths, share, encoder=encoder, progress=building(progress))
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    typer.echo(
        f"{share[1]} つのうち {share[0]} 番目の分: ファイル {report.files:,} 件の"
        f"箇所 {report.chunks:,} 件のうち、{report.embedded:,} 件を新しくエンコードしました。"
        "すべての分が終わったら kiku build を実行してください。"
    )


def _summary(report: BuildReport) -> str:
    if not report.changed:
        return (
            f"変わった文書はありません（文書 {report.documents:,} 件、箇所 {report.chunks:,} 件、"
            f"{report.seconds:.1f} 秒）。"
        )
    return (
        f"文書 {report.documents:,} 件、箇所 {report.chunks:,} 件を索引に入れました"
        f"（読んだファイル {report.read:,} 件、新しく読み込んだ箇所 {report.embedded:,} 件、"
        f"{report.seconds:.1f} 秒）。"
    )


def _keep_building(
    settings: Settings, encoder: Encoder | None, as_json: bool, told: Sequence[Skipped]
) -> None:
    """Builds again at every change below the remembered folders, until ^C. A build that fails is
    told, and the next change gets its chance.

    The first build here is of what changed before the watch began: during the build before it, say.
    """
    from watchfiles import watch

    from bot.wiring import remembered_roots

    roots = [root.resolve() for root in remembered_roots(settings.home)]
    home = settings.home.resolve()

    def concerns(_: object, name: str) -> bool:
        path = Path(name)
        below = next((path.relative_to(root) for root in roots if path.is_relative_to(root)), path)
        return not path.is_relative_to(home) and not any(p.startswith(".") for p in below.parts)

    begun = False
    for changes in watch(
        *roots,
        watch_filter=concerns,
        debounce=SETTLE_MS,
        rust_timeout=WAKE_MS,
        yield_on_timeout=True,
        raise_interrupt=True,
    ):
        if changes or not begun:
            told = _build_somehow(settings, encoder, as_json, told, only_news=not changes)
        if not begun and not as_json:
            typer.echo("文書の変更を待っています（Ctrl+C で終わります）。", err=True)
        begun = True


def _build_somehow(
    settings: Settings,
    encoder: Encoder | None,
    as_json: bool,
    told: Sequence[Skipped],
    *,
    only_news: bool,
) -> Sequence[Skipped]:
    """Builds once no other build runs; a failure is told. Returns what cannot be read."""
    while True:
        try:
            return _build(settings, [], encoder, as_json, told, only_news=only_news)
        except BuildRunning:
            time.sleep(AGAIN)
        except KikuError as error:
            typer.echo(f"{error.message} {error.hint}".strip(), err=True)
            return told


def rollback() -> None:
    """ひとつ前の索引に戻す。"""
    from index.engines.choose import choose_engine

    settings = load_settings()
    with closing(choose_engine(settings.store, settings.home)) as engine:
        typer.echo(f"索引を {engine.roll_back()} に戻しました。")


def migrate(
    to: Annotated[str, typer.Option(help="写す先（postgresql://… など。KIKU_STORE と同じ形）")],
) -> None:
    """索引を別の置き場所に写す。読み直しもエンコードもしない。"""
    from bot.wiring import migrate_index

    load_settings({"store": to})  # refuses what is none
    with bars() as progress:
        copied = migrate_index(load_settings(), to, progress=building(progress))
    if copied:
        typer.echo("索引を写しました。KIKU_STORE をこの置き場所にすると、ここから答えます。")
    else:
        typer.echo("同じ索引がもうそこにあります。")
