"""`kiku documents`: what is indexed, what a document's text is, and what could not be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bot.settings import load_settings
from index.errors import IndexDamaged, SourceError

if TYPE_CHECKING:
    from index.engines.contract import Searchable
    from index.records import Document
    from index.records_file import Records

app = typer.Typer(help="索引に入っている文書を調べる。", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="JSON で出力する")]


@app.command("list")
def list_documents(
    collection: Annotated[str | None, typer.Option(help="このコレクションの文書だけ")] = None,
    as_json: Json = False,
) -> None:
    """文書の一覧を示す。"""
    with _records() as records:
        found = [d for d in records.documents() if collection in (None, d.collection)]
        encodings = _encodings(records)
    if as_json:
        told = [{**asdict(d), "encoding": encodings.get(d.id, "")} for d in found]
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    for document in found:
        date = f" {document.date}" if document.date else ""
        older = " 旧版" if document.superseded_by else ""
        typer.echo(f"{document.id}  {document.title}（{document.source}）")
        typer.echo(
            f"    {document.collection}{date}{older}"
            f" {document.characters:,} 文字 {document.chunks:,} 箇所 {encodings.get(document.id, '')}".rstrip()
        )
    typer.echo(f"文書 {len(found):,} 件")


@app.command()
def show(
    document: Annotated[str, typer.Argument(help="文書の id、またはパス")],
    as_json: Json = False,
) -> None:
    """文書の本文を示す。引用の位置はこの本文の文字数で数える。"""
    with _records() as records:
        found = _find(records, document)
        encoding = _encodings(records).get(found.id, "")
    if as_json:
        typer.echo(json.dumps({**asdict(found), "encoding": encoding}, ensure_ascii=False))
        return
    about = [
        ("題", found.title), ("パス", found.source), ("コレクション", found.collection),
        ("日付", found.date), ("URL", found.url), ("タグ", "、".join(found.tags)),
        ("ページ", f"{len(found.pages)}" if found.pages else ""),
        ("新しい版", found.superseded_by), ("文字コード", encoding),
    ]  # fmt: skip
    for name, value in about:
        if value:
            typer.echo(f"{name}: {value}")
    typer.echo(f"\n{found.text}")


@app.command()
def skipped(as_json: Json = False) -> None:
    """読めなかったものとその理由を示す。"""
    with _records() as records:
        found = records.skipped()
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found], ensure_ascii=False))
        return
    for item in found:
        typer.echo(f"{item.source}: {item.reason}（{item.code}）")
    typer.echo(f"読めなかったもの {len(found):,} 件")


def _encodings(records: Records | Searchable) -> dict[str, str]:
    """The encodings of texts by their document's id; a database does not keep them."""
    from index.records_file import Records

    return records.encodings() if isinstance(records, Records) else {}


def _find(records: Records | Searchable, name: str) -> Document:
    """The document of an id or a path. Raises SourceError for one that is not indexed."""
    identifier = next((d.id for d in records.documents() if name in (d.id, d.source)), name)
    document = records.document(identifier)
    if document is None:
        raise SourceError(
            f"文書 {name} は索引にありません。", hint="kiku documents list で確かめてください。"
        )
    return document


@contextmanager
def _records() -> Iterator[Records | Searchable]:
    """The records that are served; they can be read whatever encoder or tokenizer is installed."""
    import sqlite3

    from index.engines.choose import LOCAL, choose_engine
    from index.generation import Manifest, current_generation
    from index.reading import RECORDS
    from index.records_file import Records

    settings = load_settings()
    if settings.store != LOCAL:
        with closing(choose_engine(settings.store, settings.home)) as engine:
            yield engine.open()
        return
    folder = current_generation(settings.home)
    Manifest.read(folder)
    try:
        with closing(Records(folder / RECORDS)) as records:
            yield records
    except sqlite3.DatabaseError:
        raise IndexDamaged(
            f"索引のファイル {RECORDS} が壊れています。", hint="kiku build で作り直してください。"
        ) from None
