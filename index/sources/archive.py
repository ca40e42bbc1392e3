"""Zip archives, read in memory and never unpacked to disk: wiki exports, folders sent as one file."""

from __future__ import annotations

import html
import posixpath
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath
from urllib.parse import unquote
from zipfile import BadZipFile, LargeZipFile, ZipFile, ZipInfo

from index.errors import UnreadableDocument
from index.records import Skipped
from index.sources.encoding import decode
from index.sources.formats import format_of, unknown
from index.sources.types import Limits, Part

BROKEN = (BadZipFile, LargeZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)
MACOS = "__MACOSX/"  # what macOS adds to every archive it makes: no contents of anybody's
ATTACHMENTS = "attachments/"  # where exports of wikis put files, often under a number
_ATTACHED = re.compile(
    r"""<a\b[^>]{0,500}?href=["'](attachments/[^"'#?]{1,500})[^>]{0,500}>([^<]{1,200})</a>"""
)
LITTLE = 32 * 2**20  # bytes up to which any compression ratio is taken for honest


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """The documents of the members, each with its path as name; what cannot be read is reported.

    Raises UnreadableDocument (`damaged`, `archive_bomb`) when the archive is none to open.
    """
    from index.sources import growi, slack

    with opened(data, limits) as archive:
        members = {_name(info): info for info in archive.infolist() if not info.is_dir()}
        for export in (slack, growi):
            if export.recognises(members):
                yield from export.read_export(
                    lambda path: take(archive, members[path], limits), members
                )
                return
        titles = _titles(archive, members, limits)
        left = limits.archive_bytes
        for path, info in members.items():
            if path.startswith(MACOS):
                continue
            if (reason := _refused(path, info, limits)) is not None:
                yield reason
                continue
            left -= info.file_size
            if left < 0:
                yield Skipped(path, "archive_too_large", "展開後の合計が上限を超えました。")
                return
            yield from nested(
                path, partial(take, archive, info, limits), limits, title=titles.get(path, "")
            )


def nested(
    path: str, content: Callable[[], bytes], limits: Limits, *, title: str = ""
) -> Iterator[Part | Skipped]:
    """The documents of a file inside a file, named by its path; `content` is called if it is read.
    `title` is for a file that has none.

    Never raises for a bad member: it is reported and the others go on.
    """
    form = format_of(path)
    if form is None:
        yield Skipped(path, "unknown_format", unknown(path))
        return
    if limits.depth <= 0 and form.holds_files:
        yield Skipped(path, "too_deep", "書庫の入れ子が深すぎます。")
        return
    inner = replace(limits, depth=limits.depth - 1)
    try:
        for item in form.read(content(), path.rpartition("/")[2], inner):
            if isinstance(item, Skipped):
                yield replace(item, source=_joined(path, item.source))
            else:
                yield replace(
                    item,
                    name=_joined(path, item.name),
                    title=item.title or ("" if item.name else title),
                    media_type=item.media_type or form.media_type,
                )
    except UnreadableDocument as error:
        yield Skipped(path, error.code, error.message)


def opened(data: bytes, limits: Limits) -> ZipFile:
    """The archive, once its directory says that unpacking it stays within the limits.

    Office files are zip archives too, and their libraries unpack without asking.
    """
    try:
        archive = ZipFile(BytesIO(data))
    except BROKEN:
        raise UnreadableDocument("ZIP として読めません（壊れています）。", code="damaged") from None
    infos = archive.infolist()
    size = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    honest = size <= LITTLE or size <= limits.ratio * max(1, min(packed, len(data)))
    if len(infos) > limits.archive_members or size > limits.archive_bytes or not honest:
        reason = f"展開すると大きすぎます（{len(infos):,} 件、{size // 2**20:,} MB）。"
        raise UnreadableDocument(reason, code="archive_bomb")
    return archive


def take(archive: ZipFile, info: ZipInfo, limits: Limits) -> bytes:
    """The bytes of a member, no more than the limit whatever its header says.

    Raises UnreadableDocument (`password`, `damaged`, `too_large`).
    """
    if info.flag_bits & 1:
        raise UnreadableDocument("パスワードで保護されています。", code="password")
    try:
        with archive.open(info) as stream:
            data = stream.read(limits.file_bytes + 1)
    except (*BROKEN, RuntimeError):
        raise UnreadableDocument("書庫の中で壊れています。", code="damaged") from None
    if len(data) > limits.file_bytes:
        raise UnreadableDocument("大きすぎます。", code="too_large")
    return data


def _refused(path: str, info: ZipInfo, limits: Limits) -> Skipped | None:
    parts = path.split("/")
    if any(part.startswith((".", "~$")) and part != ".." for part in parts):
        return Skipped(path, "hidden", "隠しファイルまたは一時ファイルです。")
    if path.startswith("/") or ".." in parts or (parts[0].endswith(":") and len(parts) > 1):
        return Skipped(path, "unsafe_path", "書庫の外を指すパスです。")
    if stat.S_ISLNK(info.external_attr >> 16):
        return Skipped(path, "link_outside", "書庫の中のリンクは読みません。")
    if info.file_size > limits.file_bytes:
        return Skipped(path, "too_large", f"大きすぎます（{info.file_size // 2**20} MB）。")
    return None


def _titles(archive: ZipFile, members: Mapping[str, ZipInfo], limits: Limits) -> dict[str, str]:
    """What the pages of an export call the files attached to them, without the suffix."""
    titles: dict[str, str] = {}
    if not any(ATTACHMENTS in path for path in members):
        return titles
    for path, info in members.items():
        if not path.endswith((".html", ".htm")) or _refused(path, info, limits):
            continue
        try:
            page, _ = decode(take(archive, info, limits))
        except UnreadableDocument:
            continue
        for address, words in _ATTACHED.findall(page):
            file = posixpath.join(posixpath.dirname(path), unquote(html.unescape(address)))
            if file in members:
                titles.setdefault(file, PurePosixPath(html.unescape(words).strip()).stem)
    return titles


def _name(info: ZipInfo) -> str:
    """The path of a member. Japanese Windows writes cp932 and does not say so."""
    name = info.filename
    if not info.flag_bits & 0x800:
        try:
            raw = name.encode("cp437")
        except UnicodeEncodeError:
            raw = b""
        for encoding in ("utf-8", "cp932"):
            try:
                name = raw.decode(encoding) or name
                break
            except UnicodeDecodeError:
                continue
    return name.replace("\\", "/")


def _joined(path: str, inner: str) -> str:
    return f"{path}#{inner}" if inner else path
