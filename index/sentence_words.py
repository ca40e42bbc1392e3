"""The words of every line of a passage, analysed when the index is built.

The best passages of a question are read sentence by sentence. To analyse their words anew for each
question takes as long as all the rest of an answer, and only a few thousand passages can be remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.arrays import ArrayReader, ArrayWriter
from index.lexical import Terms
from index.records import context_parts
from index.split import sentences

_TYPES = {"keys": np.uint64, "ends": np.int64, "bounds": np.int64}
# Keys uint64 (n,), and the number of the line that each stands in, int64 (n,).
LineWords = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class SentenceWords:
    """The words of all chunks, line by line; see `lines_of`.

    The lines of chunk i are bounds[i]:bounds[i + 1], bounds int64 (chunks + 1,). The words of line j are
    keys[ends[j]:ends[j + 1]]: `keys` uint64, ascending in a line, `ends` int64 (lines + 1,).
    """

    keys: ArrayReader
    ends: ArrayReader
    bounds: np.ndarray

    @classmethod
    def open(cls, folder: Path) -> SentenceWords:
        """Opens the three files."""
        return cls(
            ArrayReader(_path(folder, "keys")),
            ArrayReader(_path(folder, "ends")),
            np.asarray(np.load(_path(folder, "bounds"), mmap_mode="r")),
        )

    def of(self, chunk: int) -> LineWords:
        """The words of one chunk."""
        first, last = int(self.bounds[chunk]), int(self.bounds[chunk + 1])
        ends = self.ends[first : last + 1]
        keys = self.keys[int(ends[0]) : int(ends[-1])]
        return keys, np.repeat(np.arange(last - first), np.diff(ends))


@dataclass(frozen=True, slots=True)
class PackedWords:
    """The words of some chunks as `packed` packs them; a chunk's are unpacked when they are asked for."""

    rows: Sequence[bytes]

    def of(self, row: int) -> LineWords:
        """The words of one chunk."""
        stored = self.rows[row]
        count = len(stored) // 10
        owners = np.frombuffer(stored, "<u2", count, offset=8 * count)
        return np.frombuffer(stored, "<u8", count), owners.astype(np.int64)


def packed(words: LineWords) -> bytes:
    """The words of a chunk, for engines that keep them beside it: ten bytes a word."""
    keys, owners = words
    return keys.astype("<u8").tobytes() + owners.astype("<u2").tobytes()


class SentenceWordsWriter(ExitStack):
    """Takes the words of one chunk after the other, and is closed by the end of its `with` block."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._keys, self._ends, self._bounds = (
            self.enter_context(ArrayWriter(_path(folder, name), kind))
            for name, kind in _TYPES.items()
        )
        self._ends.append(np.zeros(1, np.int64))
        self._bounds.append(np.zeros(1, np.int64))

    def add(self, lines: Sequence[Terms]) -> None:
        """The words of a chunk's lines."""
        lengths = np.array([len(line.keys) for line in lines], np.int64)
        keys = np.concatenate([np.empty(0, np.uint64), *(line.keys for line in lines)])
        self._append(keys, lengths.cumsum(), np.array([len(lines)]))

    def take(self, old: SentenceWords, first: int, count: int) -> None:
        """Takes over `count` chunks of another index."""
        bounds = old.bounds[first : first + count + 1]
        ends = old.ends[int(bounds[0]) : int(bounds[-1]) + 1]
        self._append(
            old.keys[int(ends[0]) : int(ends[-1])], ends[1:] - ends[0], bounds[1:] - bounds[0]
        )

    def _append(self, keys: np.ndarray, ends: np.ndarray, bounds: np.ndarray) -> None:
        self._bounds.append(self._ends.rows - 1 + bounds)
        self._ends.append(self._keys.rows + ends)
        self._keys.append(keys)


def lines_of(title: str, heading: Sequence[str], text: str) -> list[str]:
    """What is analysed of a chunk, each by itself: title and headings, then its sentences."""
    return [*context_parts(title, heading), *(text[start:end] for start, end in sentences(text))]


def _path(folder: Path, name: str) -> Path:
    return folder / f"sentences.{name}.npy"
