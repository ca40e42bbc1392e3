"""`kiku doctor`: looks at every part and says how to mend what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import typer

from bot.errors import StoreUnavailable
from bot.messages.state import NO_VECTORS
from bot.settings import Settings, load_settings
from index.errors import KikuError

_LEAST_FREE_BYTES = 500 * 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: `ok`, a `note` that needs no action, or `bad`."""

    name: str
    state: Literal["ok", "note", "bad"]
    message: str


def doctor() -> None:
    """設定、索引、エンコーダー、Slack、LLM を確かめ、直し方を示す。"""
    findings = diagnose(load_settings)
    for finding in findings:
        mark = {"ok": "✓", "note": "・", "bad": "✗"}[finding.state]
        typer.echo(f"{mark} {finding.name}: {finding.message}")
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


def diagnose(read_settings: Callable[[], Settings]) -> list[Finding]:
    """Every finding, in the order in which one depends on the other."""
    try:
        settings = read_settings()
    except KikuError as error:
        return [_bad("設定", error)]
    return [
        Finding("設定", "ok", f"データの置き場所は {settings.home} です。"),
        *_index(settings),
        _synonyms(settings),
        *_fonts(),
        _store(settings),
        _space(settings),
        *_slack(settings),
        *_llm(settings),
    ]


def _index(settings: Settings) -> Iterator[Finding]:
    from bot.wiring import open_encoder
    from index.engines.choose import LOCAL, choose_engine
    from index.generation import Generation, current_generation
    from index.retrieve import Retriever

    encoder = None
    try:
        encoder, problem = open_encoder(settings)
        if encoder:
            yield Finding("エンコーダー", "ok", f"{encoder.name}（{encoder.dimension} 次元）")
        else:
            yield Finding("エンコーダー", "note", problem)
    except KikuError as error:
        yield _bad("エンコーダー", error)
    try:
        if settings.store == LOCAL:
            Generation(current_generation(settings.home)).verify()
        with closing(choose_engine(settings.store, settings.home)) as engine:
            retriever = Retriever.over(engine.open(), encoder=encoder)
            manifest = retriever.manifest
            retriever.close()
        counts = f"文書 {manifest.documents:,} 件、箇所 {manifest.chunks:,} 件"
        yield Finding("索引", "ok", f"{counts}（{manifest.created}）")
        if encoder and not manifest.encoder.dimension:
            yield Finding("索引", "note", NO_VECTORS)
    except KikuError as error:
        yield _bad("索引", error)


def _synonyms(settings: Settings) -> Finding:
    from bot.wiring import read_synonyms

    try:
        read_synonyms(settings)
    except KikuError as error:
        return _bad("同義語", error)
    found = settings.synonyms.is_file()
    return Finding("同義語", "ok", str(settings.synonyms) if found else "ファイルはありません。")


def _fonts() -> Iterator[Finding]:
    from index.sources.pdf import has_japanese_font

    if not has_japanese_font():
        yield Finding(
            "PDF",
            "note",
            "日本語のフォントがないので、フォントを埋め込んでいない PDF では、離れて立つ 1 文字が抜けることがあります。"
            "Debian や Ubuntu なら apt install fonts-ipafont-gothic で入ります。",
        )


def _store(settings: Settings) -> Finding:
    from bot.store import Store

    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        Store.open(settings.database_url).close()
    except StoreUnavailable as error:
        return _bad("会話の記録", error)
    except OSError as error:
        return Finding("会話の記録", "bad", f"{settings.home} に書き込めません: {error.strerror}。")
    return Finding("会話の記録", "ok", "読み書きできます。")


def _space(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.home if settings.home.exists() else ".").free
    state: Literal["ok", "bad"] = "ok" if free >= _LEAST_FREE_BYTES else "bad"
    advice = "" if state == "ok" else " 500 MB 以上を空けてください。"
    return Finding("ディスク", state, f"空き {free / 2**30:.1f} GB。{advice}".strip())


def _slack(settings: Settings) -> Iterator[Finding]:
    secrets = (settings.slack_bot_token, settings.slack_app_token, settings.slack_signing_secret)
    if not settings.slack_client_id and not any(one.get_secret_value() for one in secrets):
        yield Finding("Slack", "note", "使わない設定です（SLACK_BOT_TOKEN がありません）。")
        return
    from bot.slack.check import problems

    found = problems(settings)
    for problem in found:
        yield Finding("Slack", "bad", problem)
    if not found:
        yield Finding("Slack", "ok", "トークンと権限を確かめました。")
    if not settings.public_url:
        yield Finding("Slack", "note", "KIKU_PUBLIC_URL がないので、出典にリンクが付きません。")


def _llm(settings: Settings) -> Iterator[Finding]:
    if not settings.llm_url:
        yield Finding("LLM", "note", "使わない設定です（文書の引用だけで答えます）。")
        return
    from bot.compose.llm import check_endpoint

    problem = check_endpoint(settings)
    yield Finding(
        "LLM", "bad" if problem else "ok", problem or f"{settings.llm_model} が応答します。"
    )


def _bad(name: str, error: KikuError) -> Finding:
    return Finding(name, "bad", f"{error.message} {error.hint}".strip())
