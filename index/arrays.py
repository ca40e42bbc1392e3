"""`.npy` files written piece by piece, for arrays that are larger than the memory to spare."""

from __future__ import annotations

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
