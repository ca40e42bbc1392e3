"""The command `kiku`: parses, calls, prints. An expected failure is one sentence and exit status 1."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bot.cli_build import build
from bot.cli_documents import app as documents_app
from bot.cli_eval import app as eval_app
from bot.settings import Settings, load_settings
from index.errors import KikuError, SourceError
from index.normalize import well_formed

if TYPE_CHECKING:
    from bot.records import Answer, Turn
    from bot.wiring import Kiku
    from index.records import Hit

app = typer.Typer(
    help="日本語の文書に質問し、引用つきの答えを得る。", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
keys_app = typer.Typer(help="API キーを作る。", no_args_is_help=True)
feedback_app = typer.Typer(help="評価と未回答の質問を取り出す。", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(feedback_app, name="feedback")
app.add_typer(eval_app, name="eval")
app.add_typer(documents_app, name="documents")
app.command()(build)

Json = Annotated[bool, typer.Option("--json", help="JSON で出力する")]
TopK = Annotated[int | None, typer.Option("--top-k", min=1, max=50, help="引用の数の上限")]


def main() -> None:
    """Runs the command line; the console script."""
    try:
        app()
    except KikuError as error:
        typer.echo(f"{error.message} {error.hint}".strip(), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def ask(
    question: str,
    as_json: Json = False,
    top_k: TopK = None,
    history: Annotated[
        Path | None, typer.Option(help="会話の履歴（role と content を持つ JSON の列）")
    ] = None,
) -> None:
    """質問に答える。"""
    from bot.records import Question

    turns = _read_history(history) if history else ()
    with _kiku() as kiku:
        answer = kiku.answerer.ask(
            Question(question, history=turns, top_k=top_k or kiku.settings.top_k, channel="cli")
        )
    typer.echo(json.dumps(answer_body(answer), ensure_ascii=False) if as_json else _shown(answer))


@app.command()
def search(
    query: str,
    as_json: Json = False,
    top_k: TopK = None,
    mode: Annotated[str, typer.Option(help="hybrid、dense、lexical のいずれか")] = "hybrid",
) -> None:
    """質問に近い箇所を順に並べる。"""
    if mode not in ("hybrid", "dense", "lexical"):
        raise typer.BadParameter("hybrid、dense、lexical のいずれかを指定してください。")
    chosen: Literal["hybrid", "dense", "lexical"] = mode  # type: ignore[assignment]
    with _kiku() as kiku:
        hits = kiku.retriever.search(kiku.answerer.check(query), top_k or 10, mode=chosen)
    if as_json:
        typer.echo(json.dumps(_search_body(hits), ensure_ascii=False))
        return
    for rank, hit in enumerate(hits, 1):
        place = " › ".join(dict.fromkeys((hit.document.title, *hit.chunk.heading)))
        typer.echo(f"{rank}. {place}（{hit.document.source}） {hit.score:.3f}")
        typer.echo(f"   {' '.join(hit.chunk.text.split())[:160]}")
    if not hits:
        typer.echo("近い箇所はありませんでした。")


@app.command()
def chat() -> None:
    """端末で会話する。空行か Ctrl+D で終わる。"""
    import secrets

    from bot.records import Question

    conversation = secrets.token_urlsafe(16)
    with _kiku() as kiku:
        typer.echo("質問をどうぞ。空行か Ctrl+D で終わります。")
        while text := _next_line():
            try:
                question = Question(text, conversation_id=conversation, channel="cli")
                answer = kiku.answerer.ask(question)
            except KikuError as error:
                typer.echo(f"{error.message} {error.hint}".strip(), err=True)
                continue
            kiku.store.record(question, answer)
            typer.echo(_shown(answer) + "\n")


@app.command()
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


@app.command()
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

    with _kiku() as kiku:
        configure_logs(kiku.settings.log_level)
        run(kiku)


@app.command()
def doctor() -> None:
    """設定、索引、エンコーダー、Slack、LLM を確かめ、直し方を示す。"""
    from bot.doctor import diagnose

    findings = diagnose(load_settings)
    for finding in findings:
        mark = {"ok": "✓", "note": "・", "bad": "✗"}[finding.state]
        typer.echo(f"{mark} {finding.name}: {finding.message}")
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


@app.command()
def rollback() -> None:
    """ひとつ前の索引に戻す。"""
    from index.generation import roll_back

    typer.echo(f"索引を {roll_back(load_settings().home)} に戻しました。")


@app.command()
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
    with _store() as store:
        count = store.forget(conversation_id=conversation, before=day)
    typer.echo(f"会話 {count:,} 件を消しました。")


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="キーの名前（誰が使うか）")],
    collections: Annotated[
        str, typer.Option(help="見せるコレクション（コンマ区切り。省略するとすべて）")
    ] = "",
    admin: Annotated[bool, typer.Option(help="管理者のキーにする")] = False,
) -> None:
    """API キーを作る。キーは一度だけ表示される。"""
    from bot.http.auth import create_key as create

    names = [part.strip() for part in collections.split(",") if part.strip()] or None
    key, entry = create(name, names, admin)
    typer.echo(f"キー（控えてください。二度と表示されません）:\n  {key}")
    typer.echo(f"KIKU_API_KEYS に加える値（すでにあればコンマでつなぐ）:\n  {entry}")


@feedback_app.command("export")
def export_feedback(
    out: Annotated[Path, typer.Argument(help="書き出す questions.jsonl")],
) -> None:
    """低い評価、未回答、認められた回答を評価用の質問にする。"""
    from bot.store.feedback import export_cases

    with _store() as store:
        count = export_cases(store, out)
    typer.echo(f"{out} に {count:,} 件を書き出しました。")


@feedback_app.command("report")
def report_feedback(
    days: Annotated[int, typer.Option(min=1, max=3650, help="さかのぼる日数")] = 30,
) -> None:
    """何が尋ねられ、何に答えられなかったかを示す。"""
    from bot.store.feedback import report

    with _store() as store:
        typer.echo(report(store, days))


def answer_body(answer: Answer) -> dict[str, Any]:
    """An answer exactly as `POST /ask` gives it."""
    from bot.http.models import AnswerBody

    return AnswerBody.of(answer).model_dump(mode="json")


def _search_body(hits: Sequence[Hit]) -> dict[str, Any]:
    from bot.http.models import HitBody

    bodies = [HitBody.of(rank, hit).model_dump(mode="json") for rank, hit in enumerate(hits, 1)]
    return {"hits": bodies}


@contextmanager
def _kiku() -> Iterator[Kiku]:
    from bot.wiring import connect

    kiku = connect(load_settings())
    try:
        yield kiku
    finally:
        kiku.close()


@contextmanager
def _store() -> Iterator[Any]:
    from bot.store import Store

    settings: Settings = load_settings()
    store = Store.open(settings.database_url, retention_days=settings.retention_days)
    try:
        yield store
    finally:
        store.close()


def _read_history(path: Path) -> tuple[Turn, ...]:
    from bot.records import Turn

    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        turns = tuple(Turn(row["role"], str(row["content"])) for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        turns = (Turn("user", ""),)
    if any(turn.role not in ("user", "assistant") or not turn.content for turn in turns):
        raise SourceError(
            f"会話の履歴 {path} を読めません。",
            hint='[{"role": "user", "content": "…"}] の形の JSON にしてください。',
        )
    return turns


def _shown(answer: Answer) -> str:
    """An answer for the terminal: the sentences, then where each stands."""
    lines = [answer.answer, ""]
    for citation in answer.citations:
        place = " › ".join(dict.fromkeys((citation.title, *citation.heading)))
        quote = " ".join(citation.quote.split())
        lines += [f"[{citation.number}] {place}（{citation.source}）", f"    「{quote}」"]
    lines.append(f"確信度 {answer.confidence:.0%}・{answer.took_ms:.0f} ミリ秒")
    return "\n".join(lines)


def _next_line() -> str:
    try:
        return well_formed(input("> ").strip())
    except EOFError:
        return ""
