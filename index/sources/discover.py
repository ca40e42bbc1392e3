"""Which files lie under the folders that a team gave. Reads names and times, no contents."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from index.errors import SourceError
from index.records import Skipped
from index.sources.formats import format_of, unknown
from index.sources.types import Discovery, Limits, SourceFile

RULES_FILE = "sources.toml"
DEEPEST = 100  # folders inside each other
LINKED = "フォルダーの外を指すリンクです。読むには、リンク先を kiku build に直接渡してください。"


def discover(roots: Sequence[Path], *, limits: Limits | None = None) -> Discovery:
    """The readable files under `roots` (folders or files), in order of `source`.

    Hidden files, links that leave their root, files over the size limit and unknown formats are
    reported. Raises SourceError when a root does not exist, or none holds a file to read.
    """
    limits = limits or Limits()
    skipped: list[Skipped] = []
    found: list[tuple[Path, list[SourceFile]]] = []
    seen: set[Path] = set()
    for root in roots:
        base = _existing(root)
        if base in seen:
            continue
        files = [file for file in _walk(base, limits, skipped) if file.path not in seen]
        seen.update((base, *(file.path for file in files)))
        found.append((base, files))
    files = _named(found)
    if not files:
        raise SourceError(_nothing(roots, skipped))
    return Discovery(files, sorted(skipped, key=lambda item: item.source))


def _existing(root: Path) -> Path:
    try:
        return root.expanduser().resolve(strict=True)
    except FileNotFoundError:
        raise SourceError(f"{root} がありません。パスを確かめてください。") from None
    except (OSError, RuntimeError) as error:
        raise SourceError(f"{root} を開けません: {getattr(error, 'strerror', error)}") from None


def _walk(base: Path, limits: Limits, skipped: list[Skipped]) -> Iterator[SourceFile]:
    if not base.is_dir():
        file = _file(base, base.name, base.stat(), limits, skipped)
        if file is not None:
            yield file
        return
    folders = [(base, "")]
    while folders:
        folder, below = folders.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if not below:
                raise SourceError(f"{folder} を開けません: {error.strerror}") from None
            reason = f"フォルダーを開けません: {error.strerror}"
            skipped.append(Skipped(below, "permission", reason))
            continue
        for entry in entries:
            source = f"{below}/{_name(entry.name)}" if below else _name(entry.name)
            if source == RULES_FILE:
                continue
            if entry.name.startswith((".", "~$")):
                skipped.append(Skipped(source, "hidden", "隠しファイルまたは一時ファイルです。"))
            elif entry.is_symlink():
                if not _inside(Path(entry.path), base):
                    skipped.append(Skipped(source, "link_outside", LINKED))
            elif entry.is_dir():
                if source.count("/") < DEEPEST:
                    folders.append((Path(entry.path), source))
                else:
                    skipped.append(Skipped(source, "too_deep", "フォルダーの階層が深すぎます。"))
            elif file := _file(Path(entry.path), source, entry.stat(), limits, skipped):
                yield file


def _file(
    path: Path, source: str, status: os.stat_result, limits: Limits, skipped: list[Skipped]
) -> SourceFile | None:
    """The file if it can be read, else None and the reason in `skipped`."""
    if not stat.S_ISREG(status.st_mode):
        skipped.append(Skipped(source, "special", "通常のファイルではありません。"))
    elif format_of(source) is None:
        skipped.append(Skipped(source, "unknown_format", unknown(source)))
    elif status.st_size > limits.file_bytes:
        size, most = status.st_size // 2**20, limits.file_bytes // 2**20
        skipped.append(Skipped(source, "too_large", f"大きすぎます（{size} MB、上限 {most} MB）。"))
    elif status.st_size == 0:
        skipped.append(Skipped(source, "empty", "空のファイルです。"))
    else:
        times = status.st_mtime_ns, status.st_ctime_ns
        return SourceFile(path, source, status.st_size, times[0], source, times[1])
    return None


def _inside(link: Path, base: Path) -> bool:
    """Whether a link stays in its tree: what it points at is then read where it really lies."""
    try:
        return link.resolve(strict=True).is_relative_to(base)
    except (OSError, RuntimeError):
        return False


def _name(name: str) -> str:
    """A file name as text: composed (macOS writes が as two characters), never half a character."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def _named(found: list[tuple[Path, list[SourceFile]]]) -> list[SourceFile]:
    """All files by `source`; roots that hold the same path lead it with their folder's name."""
    counts = Counter(file.source for _, files in found for file in files)
    leads: Counter[str] = Counter()
    named: list[SourceFile] = []
    for base, files in found:
        lead = ""
        if base.is_dir() and any(counts[file.source] > 1 for file in files):
            name = _name(base.name) or "root"
            leads[name] += 1
            lead = f"{name}/" if leads[name] == 1 else f"{name}-{leads[name]}/"
        named += (replace(file, source=lead + file.source) for file in files)
    unique: dict[str, SourceFile] = {}
    for file in named:
        source, count = file.source, 1
        while source in unique:  # two single files of one name
            count += 1
            source = f"{file.source} ({count})"
        unique[source] = replace(file, source=source)
    return [unique[source] for source in sorted(unique)]


def _nothing(roots: Sequence[Path], skipped: Sequence[Skipped]) -> str:
    places = "、".join(str(root) for root in roots) or "指定された場所"
    left_out = f"（読めないファイルが {len(skipped)} 件ありました）" if skipped else ""
    return f"{places} に読める文書がありません{left_out}。"
