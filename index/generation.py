"""A generation: one immutable index in one directory, described by its manifest.

`HOME/generations/ID/` is written under a temporary name and renamed once; `HOME/current` names the
one that is served and is replaced by one rename. A crash at any instant leaves the old one serving.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import xxhash

from index.arrays import ArrayReader
from index.errors import IndexDamaged, IndexMismatch, IndexMissing
from index.lexical import LexicalIndex, analyzer_version
from index.records_file import Records
from index.sentence_words import SentenceWords
from index.vectors.contract import VectorIndex
from index.vectors.faiss import FaissVectors

FORMAT_VERSION = 7
COLLECTIONS = "collections.npy"
_REBUILD = "kiku build で作り直してください。"
# Larger files are checked by size when opened and by digest in `verify`.
_DIGEST_AT_OPEN = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EncoderIdentity:
    """Which encoder made the vectors; `dimension` 0 means that there are none."""

    name: str = ""
    fingerprint: str = ""
    dimension: int = 0
    token_dimension: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation is made of. `files` maps a file name to [bytes, digest].

    `reading` names everything but the files that decides what is read from them, `words` what
    decides the terms of a text, `code` the code of it all: the next build takes over what they allow.
    """

    id: str
    created: str
    analyzer: str
    split: dict[str, int]
    encoder: EncoderIdentity
    documents: int
    chunks: int
    vectors: str = ""
    collections: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    reading: str = ""
    words: str = ""
    code: str = ""
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Reads `manifest.json`. Raises IndexDamaged or, for another format, IndexMismatch."""
        try:
            text = (folder / "manifest.json").read_text(encoding="utf-8")
        except (OSError, ValueError):
            text = ""
        return cls.parse(text, folder.name)

    @classmethod
    def parse(cls, text: str, name: str) -> Manifest:
        """What `text` wrote, of the generation `name`. Raises what `read` raises."""
        try:
            raw = json.loads(text)
            if raw["format_version"] != FORMAT_VERSION:
                raise IndexMismatch(
                    f"索引の形式は版 {raw['format_version']} ですが、この Kiku が読めるのは版"
                    f" {FORMAT_VERSION} です。",
                    hint=_REBUILD,
                )
            raw["encoder"] = EncoderIdentity(**raw["encoder"])
            raw["files"] = {name: (size, digest) for name, (size, digest) in raw["files"].items()}
            raw["collections"], raw["roots"] = tuple(raw["collections"]), tuple(raw["roots"])
            return cls(**raw)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise IndexDamaged(
                f"索引 {name} の manifest.json を読めません。", hint=_REBUILD
            ) from None

    def text(self) -> str:
        """The manifest as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    def write(self, folder: Path) -> None:
        """Writes `manifest.json` and forces it to disk."""
        write_durably(folder / "manifest.json", self.text().encode())


@dataclass(frozen=True)
class TokenVectors:
    """Late-interaction vectors of all chunks: int8 (tokens, dimension), scaled by 127.

    Tokens of chunk i are rows bounds[i]:bounds[i+1]. `starts` is uint16 (tokens,): where a token
    begins in the chunk's text, plus one; 0 for the tokens of the title line before it.

    A question looks at the tokens of a few dozen chunks, which lie anywhere in the largest file of
    all: it is read there, not mapped.
    """

    vectors: np.ndarray | ArrayReader
    bounds: np.ndarray
    starts: np.ndarray | ArrayReader

    @classmethod
    def open(cls, folder: Path) -> TokenVectors:
        """Opens the three files."""
        return cls(
            ArrayReader(folder / "tokens.vectors.npy"),
            np.asarray(np.load(folder / "tokens.bounds.npy", mmap_mode="r")),
            ArrayReader(folder / "tokens.starts.npy"),
        )

    def rows(self, chunks: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        """The vectors of some chunks, one after the other, and how many each has."""
        spans = [(int(self.bounds[chunk]), int(self.bounds[chunk + 1])) for chunk in chunks]
        lengths = [end - first for first, end in spans]
        if isinstance(self.vectors, ArrayReader):
            return self.vectors.gather(spans), lengths
        return np.concatenate([self.vectors[:0], *(self.vectors[a:b] for a, b in spans)]), lengths


class Generation:
    """An open generation. Its parts are opened when first used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = Manifest.read(folder)
        self._check_files(_DIGEST_AT_OPEN)

    @cached_property
    def records(self) -> Records:
        """Documents and chunks."""
        return Records(self.folder / "records.sqlite")

    @cached_property
    def lexical(self) -> LexicalIndex:
        """The lexical leg."""
        return LexicalIndex.open(self.folder, self.manifest.chunks)

    @cached_property
    def vectors(self) -> VectorIndex | None:
        """The dense leg; None where the generation was built without an encoder."""
        if not self.manifest.encoder.dimension or not self.manifest.chunks:
            return None
        return FaissVectors.open(self.folder)

    @cached_property
    def tokens(self) -> TokenVectors | None:
        """The late-interaction vectors; None where the encoder has none."""
        if not self.manifest.encoder.token_dimension or not self.manifest.chunks:
            return None
        return TokenVectors.open(self.folder)

    @cached_property
    def sentence_words(self) -> SentenceWords:
        """The words of every sentence."""
        return SentenceWords.open(self.folder)

    @cached_property
    def chunk_collections(self) -> np.ndarray:
        """Which collection each chunk is in: int16 (chunks,), places in `manifest.collections`."""
        found: np.ndarray = np.load(self.folder / COLLECTIONS)
        return found

    def open(self) -> None:
        """Opens every part: what is open can be read after its file was removed.

        Raises IndexDamaged when a part cannot be opened.
        """
        try:
            _ = self.records, self.lexical, self.vectors, self.tokens
            _ = self.chunk_collections, self.sentence_words
        except (OSError, ValueError, sqlite3.Error):
            raise IndexDamaged(f"索引 {self.folder.name} を開けません。", hint=_REBUILD) from None

    def verify(self) -> None:
        """Compares every file with its digest. Raises IndexDamaged naming the first that differs."""
        self._check_files(None)

    def close(self) -> None:
        """Closes the records file, if it was opened."""
        if "records" in self.__dict__:
            self.records.close()

    def _check_files(self, up_to: int | None) -> None:
        if self.manifest.analyzer != analyzer_version():
            raise IndexMismatch(
                f"索引は語の解析器 {self.manifest.analyzer} で作られていますが、"
                f"いまの解析器は {analyzer_version()} です。",
                hint=_REBUILD,
            )
        compared = []
        for name, (size, digest) in self.manifest.files.items():
            path = self.folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise IndexDamaged(
                    f"索引のファイル {name} が欠けているか、途中で切れています。", hint=_REBUILD
                )
            if up_to is None or size <= up_to:
                compared.append((path, digest))
        found = file_digests([path for path, _ in compared])
        for (path, digest), now in zip(compared, found, strict=True):
            if now != digest:
                raise IndexDamaged(
                    f"索引のファイル {path.name} の内容が変わっています。", hint=_REBUILD
                )


def current_generation(home: Path) -> Path:
    """The directory of the generation that is served. Raises IndexMissing when there is none."""
    try:
        name = (home / "current").read_text(encoding="utf-8").strip()
    except OSError:
        raise IndexMissing(
            "索引がまだありません。", hint="kiku build を実行すると作られます。"
        ) from None
    except UnicodeDecodeError:
        name = ""
    for folder in generations(home):
        if folder.name == name:
            return folder
    raise IndexDamaged(f"索引 {name[:40]} が見つかりません。", hint=_REBUILD)


def changed(home: Path) -> tuple[int, int]:
    """What is different after another generation was published; zeros where none is."""
    try:
        found = os.stat(home / "current")
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns


def publish(home: Path, folder: Path) -> None:
    """Makes a generation the one that is served, by one rename."""
    write_durably(home / "current", folder.name.encode())


def roll_back(home: Path) -> str:
    """Serves the newest good generation that is older than the served one; its id.

    Raises IndexMissing when there is none.
    """
    served = current_generation(home).name
    older = (folder for folder in generations(home) if folder.name < served)
    for folder in sorted(older, reverse=True):
        try:
            Generation(folder).verify()
        except (IndexDamaged, IndexMismatch):
            continue
        publish(home, folder)
        return folder.name
    raise IndexMissing(
        "戻せる古い索引がありません。",
        hint="残す数は KIKU_KEEP_GENERATIONS で決まります。kiku build で作り直してください。",
    )


def generations(home: Path) -> list[Path]:
    """The finished generations, oldest first."""
    folder = home / "generations"
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def write_durably(path: Path, data: bytes) -> None:
    """Replaces a file by one rename, after its new content has reached the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Forces the content of a file to disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Forces the names in a folder to disk, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def file_digests(paths: Sequence[Path]) -> list[str]:
    """The digests of some files, as many at a time as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(workers.map(file_digest, paths))


def file_digest(path: Path) -> str:
    """XXH3-128 of a file, in hex: against damage, as fast as memory is read; who may write an index
    may write its manifest too, so that a cryptographic digest would prove nothing more."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
