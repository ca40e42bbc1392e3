"""One file → its Documents. A bad file is reported, never raised."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePosixPath

from index.errors import UnreadableDocument
from index.records import DEFAULT_COLLECTION, Document, Skipped, document_id
from index.sources.dates import iso_date
from index.sources.formats import Format, format_of, unknown
from index.sources.rules import Rules, address, collection_name, web_address
from index.sources.types import Limits, Loaded, Part, SourceFile
from index.sources.worker import Worker

MOST_TAGS = 50
LONGEST_TITLE = 200


class Loader:
    """Reads files one after the other by the same rules. A context manager, for one thread.

    Formats with large parsers are read in a process of their own, which it owns.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self._worker = Worker()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def load(self, file: SourceFile) -> Loaded:
        """The Documents of one file, and what of it could not be read.

        Never raises for a bad document: whatever is wrong with it becomes a Skipped.
        """
        form = format_of(file.source)
        if form is None:
            return Loaded((), (Skipped(file.source, "unknown_format", unknown(file.source)),))
        found: list[Part | Skipped] = []
        limits = self._rules.limits
        try:
            if form.isolated:
                parts = self._worker.read(file.path, file.source, limits)
            else:
                name = PurePosixPath(file.source).name
                parts = read_parts(form, bytes_of(file.path, limits), name, limits)
            found.extend(parts)
        except UnreadableDocument as error:
            found.append(Skipped("", error.code, error.message))
        return _described(file, form, found, self._rules)


def load(file: SourceFile, *, rules: Rules | None = None) -> Loaded:
    """The Documents of one file; see Loader, which is quicker for many."""
    with Loader(rules) as loader:
        return loader.load(file)


def read_parts(form: Format, data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """What a format's reader finds in `data`, bounded in size. Raises UnreadableDocument."""
    total = 0
    for item in form.read(data, name, limits):
        if isinstance(item, Part):
            total += len(item.text)
            if len(item.text) > limits.text_chars:
                reason = f"文章が長すぎます（{len(item.text):,} 文字）。"
                yield Skipped(item.name, "too_long", reason)
                continue
            if total > limits.total_chars:
                yield Skipped(item.name, "too_long", "このファイルの文章の合計が上限を超えました。")
                return
        yield item


def bytes_of(path: Path, limits: Limits) -> bytes:
    """The bytes of a file. Raises UnreadableDocument (`vanished`, `permission`, `too_large`)."""
    try:
        with path.open("rb") as stream:
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
    if not documents and not skipped:
        skipped.append(Skipped(file.source, "empty", "文章がありません。"))
    return Loaded(tuple(documents), tuple(skipped), encoding)


def _document(file: SourceFile, form: Format, part: Part, rules: Rules) -> Document:
    """A Part with its place, its address, its collection and the digest of all that."""
    source = f"{file.source}#{part.name}" if part.name else file.source
    rule = rules.source(file)
    given = rule.title if rule and not part.name else ""
    title = given or part.title or _stem(source)
    dates = (rule.date if rule else "", part.date, _stem(source), title)
    collection = rules.collection(file) or collection_name(part.collection) or DEFAULT_COLLECTION
    document = Document(
        id=document_id(source),
        title=" ".join(title.split())[:LONGEST_TITLE],
        text=part.text,
        source=source,
        collection=collection,
        date=next((date for said in dates if (date := iso_date(said))), ""),
        url=web_address(part.url) or (address(rule, file, part.name) if rule and rule.url else ""),
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
