"""Arrays that are written piece by piece and read memory-mapped."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt


class ArrayWriter:
    """A one-dimensional ``.npy`` file that grows; its header is right once the block of ``with`` is left.

    Until then the header says that there is nothing in it.

    Args:
        path: the file.
        dtype: of the numbers.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self._handle = open(path, "wb")  # noqa: SIM115
        self._dtype = np.dtype(dtype)
        self.length = 0
        self._write_header()
        self._body = self._handle.tell()

    def _write_header(self) -> None:
        # NumPy leaves room for the first axis to grow, so that the length of the header does not depend on it.
        self._handle.seek(0)
        header: dict[str, Any] = np.lib.format.header_data_from_array_1_0(np.zeros(0, self._dtype))
        np.lib.format.write_array_header_1_0(self._handle, header | {"shape": (self.length,)})

    def append(self, values: npt.NDArray[Any]) -> None:
        """Write numbers after those that are there."""
        self._handle.write(np.ascontiguousarray(values, self._dtype).data)
        self.length += len(values)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._write_header()
                assert self._handle.tell() == self._body
        finally:
            self._handle.close()
