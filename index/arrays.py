"""`.npy` files written and read piece by piece, for arrays that are larger than the memory to spare."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike


class ArrayWriter:
    """Appends rows to a `.npy` file that `numpy.load` opens; its length is filled in by `close`."""

    def __init__(self, path: Path, dtype: DTypeLike, width: int | None = None) -> None:
        self._dtype = np.dtype(dtype)
        self._width = width
        self.rows = 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, rows: np.ndarray) -> None:
        """Adds rows: (n,), or (n, width) where the writer has a width."""
        if len(rows):
            self._file.write(np.ascontiguousarray(rows, self._dtype).data.cast("B"))
            self.rows += len(rows)

    def close(self) -> None:
        """Writes the length and closes the file."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()

    def _write_header(self) -> None:
        # numpy leaves room in the header for the first axis to grow to 21 digits
        shape = (self.rows,) if self._width is None else (self.rows, self._width)
        described = {
            "descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape,
        }  # fmt: skip
        npy.write_array_header_1_0(self._file, described)


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes an array of one or two dimensions for `numpy.load`.

    Raises OSError with the system's reason, which `numpy.save` leaves out when the disk is full.
    """
    with ArrayWriter(path, array.dtype, array.shape[1] if array.ndim == 2 else None) as writer:
        writer.append(array)


class ArrayReader:
    """The rows of a `.npy` file of one or two dimensions, read when asked for: a memory map would
    count every page that was touched, and those around it, as memory of the process. The file stays
    open, so that it can be read after its name was removed. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        mapped = np.load(path, mmap_mode="r")
        self._dtype = mapped.dtype
        self._begins = mapped.offset if isinstance(mapped, np.memmap) else 0
        self.shape: tuple[int, ...] = mapped.shape
        self._width = int(np.prod(self.shape[1:], dtype=np.int64)) * self._dtype.itemsize
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows in a row, without a step."""
        first, end, _ = rows.indices(len(self))
        return self.gather([(first, max(first, end))])

    def gather(self, spans: Sequence[tuple[int, int]]) -> np.ndarray:
        """The rows `first` to `end` - 1 of each span, one after the other."""
        total = sum(end - first for first, end in spans)
        read = np.empty((total, *self.shape[1:]), self._dtype)
        left = read.reshape(-1).view(np.uint8).data
        for first, end in spans:
            place, stop = self._begins + first * self._width, self._begins + end * self._width
            while place < stop:  # the system gives no more than 2 GB at once
                count = os.preadv(self._file, [left[: stop - place]], place)
                if not count:
                    raise EOFError("the file is shorter than its header says")
                left, place = left[count:], place + count
        return read


# Rows that are as they were in another array: (first there, first here, how many).
Run = tuple[int, int, int]


def segments(total: int, taken: Sequence[Run]) -> Iterator[tuple[int, int, int | None]]:
    """`total` rows in order, as (first, end, first in the other array or None where they are new)."""
    position = 0
    for there, here, count in taken:
        if position < here:
            yield position, here, None
        yield here, here + count, there
        position = here + count
    if position < total:
        yield position, total, None
