"""`kiku ask`, `kiku search` and `kiku chat`: questions asked in the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bot.cli.opening import open_kiku, open_reader
from bot.messages.answers import older_version
from index.errors import KikuError, SourceError
from index.normalize import well_formed

if TYPE_CHECKING:
    from bot.records import Answer, Turn
    from index.records import Hit

Json = Annotated[bool, typer.Option("--json", help="JSON で出力する")]
TopK = Annotated[int | None, typer.Option("--top-k", min=1, max=50, help="引用の数の上限")]


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
    with open_reader() as kiku:
        answer = kiku.answerer.ask(
            Question(question, history=turns, top_k=top_k or kiku.settings.top_k, channel="cli")
        )
    typer.echo(json.dumps(answer_body(answer), ensure_ascii=False) if as_json else _shown(answer))


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
    with open_reader() as kiku:
        hits = kiku.retriever.search(kiku.answerer.check(query), top_k or 10, mode=chosen)
    if as_json:
        typer.echo(json.dumps(_search_body(hits), ensure_ascii=False))
        return
    for rank, hit in enumerate(hits, 1):
        place = " › ".join(dict.fromkeys((hit.document.title, *hit.chunk.heading)))
        older = older_version("ja") if hit.document.superseded_by else ""
        typer.echo(f"{rank}. {place}（{hit.document.source}）{older} {hit.score:.3f}")
        typer.echo(f"   {' '.join(hit.chunk.text.split())[:160]}")
    if not hits:
        typer.echo("近い箇所はありませんでした。")


def chat() -> None:
    """端末で会話する。空行か Ctrl+D で終わる。"""
    import secrets

    from bot.records import Question

    conversation = secrets.token_urlsafe(16)
    with open_kiku() as kiku:
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


def answer_body(answer: Answer) -> dict[str, Any]:
    """An answer exactly as `POST /ask` gives it."""
    from bot.http.models import AnswerBody

    return AnswerBody.of(answer).model_dump(mode="json")


def _search_body(hits: Sequence[Hit]) -> dict[str, Any]:
    from bot.http.models import HitBody

    bodies = [HitBody.of(rank, hit).model_dump(mode="json") for rank, hit in enumerate(hits, 1)]
    return {"hits": bodies}


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
        older = older_version(answer.language) if citation.superseded_by else ""
        lines += [f"[{citation.number}] {place}（{citation.source}）{older}", f"    「{quote}」"]
    lines.append(f"確信度 {answer.confidence:.0%}・{answer.took_ms:.0f} ミリ秒")
    return "\n".join(lines)


def _next_line() -> str:
    try:
        return well_formed(input("> ").strip())
    except EOFError:
        return ""
