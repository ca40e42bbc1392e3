"""One file → its Documents. A bad file is reported, never raised."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from hashlib import sha256
from pathlib import PurePosixPath

from index.errors import UnreadableDocument
from index.records import DEFAULT_COLLECTION, Document, Skipped, document_id
from index.sources.dates import iso_date
from index.sources.formats import Format, format_of
from index.sources.rules import Rules, address, collection_name, web_address
from index.sources.types import Limits, Loaded, Part, SourceFile

MOST_TAGS = 50
LONGEST_TITLE = 200


def load(file: SourceFile, *, rules: Rules | None = None) -> Loaded:
    """The Documents of one file, and what of it could not be read.

    Never raises for a bad document: whatever is wrong with it becomes a Skipped.
    """
    rules = rules or Rules()
    form = format_of(file.source)
    if form is None:
        return Loaded((), (Skipped(file.source, "unknown_format", "対応していない形式です。"),))
    try:
        data = _bytes(file, rules.limits)
        found = read_parts(form, data, PurePosixPath(file.source).name, rules.limits)
    except UnreadableDocument as error:
        return Loaded((), (Skipped(file.source, error.code, error.message),))
    return _described(file, form, found, rules)


def read_parts(form: Format, data: bytes, name: str, limits: Limits) -> list[Part | Skipped]:
    """What a format's reader finds in `data`, bounded in size. Raises UnreadableDocument."""
    found: list[Part | Skipped] = []
    for item in form.read(data, name, limits):
        if isinstance(item, Part) and len(item.text) > limits.text_chars:
            item = Skipped(item.name, "too_long", f"文章が長すぎます（{len(item.text):,} 文字）。")
        found.append(item)
    return found


def _bytes(file: SourceFile, limits: Limits) -> bytes:
    try:
        with file.path.open("rb") as stream:
            data = stream.read(limits.file_bytes + 1)
    except FileNotFoundError:
        raise UnreadableDocument("読む前に消えました。", code="vanished") from None
    except OSError as error:
        raise UnreadableDocument(f"開けません: {error.strerror}", code="permission") from None
    if len(data) > limits.file_bytes:
        raise UnreadableDocument("大きすぎます。", code="too_large")
    return data


def _described(file: SourceFile, form: Format, found: list[Part | Skipped], rules: Rules) -> Loaded:
    documents: list[Document] = []
    skipped: list[Skipped] = []
    encoding = ""
    for item in found:
        place = f"{file.source}#{item.source if isinstance(item, Skipped) else item.name}"
        if isinstance(item, Skipped):
            skipped.append(replace(item, source=place.rstrip("#")))
            continue
        encoding = encoding or item.encoding
        if item.text.strip():
            documents.append(_document(file, form, item, rules))
        else:
            skipped.append(Skipped(place.rstrip("#"), "empty", "文章がありません。"))
        if item.encoding.endswith("(damaged)"):
            reason = "壊れた文字があり、� に置き換えて読みました。"
            skipped.append(Skipped(place.rstrip("#"), "damaged_text", reason))
    return Loaded(tuple(documents), tuple(skipped), encoding)


def _document(file: SourceFile, form: Format, part: Part, rules: Rules) -> Document:
    """A Part with its place, its address, its collection and the digest of all that."""
    source = f"{file.source}#{part.name}" if part.name else file.source
    rule = rules.source(file)
    given = rule.title if rule and not part.name else ""
    title = given or part.title or _stem(source)
    dates = (rule.date if rule else "", part.date, _stem(source))
    collection = rules.collection(file) or collection_name(part.collection) or DEFAULT_COLLECTION
    document = Document(
        id=document_id(source),
        title=" ".join(title.split())[:LONGEST_TITLE],
        text=part.text,
        source=source,
        collection=collection,
        date=next((date for said in dates if (date := iso_date(said))), ""),
        url=web_address(part.url) or (address(rule, file) if rule and rule.url else ""),
        tags=tuple(dict.fromkeys((*part.tags, *(rule.tags if rule else ()))))[:MOST_TAGS],
        media_type=part.media_type or form.media_type,
        outline=part.outline,
        pages=part.pages,
    )
    return replace(document, revision=_revision(document))


def _stem(name: str) -> str:
    path = PurePosixPath(name.rpartition("#")[2])
    return unicodedata.normalize("NFC", path.stem) or name


def _revision(document: Document) -> str:
    """A digest of all of a document that can be seen; its id is made of its place."""
    digest = sha256()
    for value in (
        document.title, document.text, document.source, document.collection, document.date,
        document.url, document.tags, document.media_type, document.outline, document.pages,
    ):  # fmt: skip
        digest.update((value if isinstance(value, str) else repr(value)).encode("utf-8", "replace"))
        digest.update(b"\x00")
    return digest.hexdigest()[:16]
