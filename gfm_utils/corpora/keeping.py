"""What was streamed so far, kept in the cache: a file of records that only grows.

``records.jsonl`` has a record a line, ``["name", "content"]``; ``kept.json`` says how far the file is good, its
checksum, the revision of the data set, and where to continue. What stands behind is of an attempt that was killed,
and is dropped.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from gfm_utils.errors import GfmError
from gfm_utils.files import write_json


@dataclass(frozen=True)
class Part:
    """The first records of a stream, which hold at least so many symbols (or are all that there is).

    Attributes:
        path: the file that they stand in, which may go on behind them.
        records: how many.
        sha256: of their lines.
        revision: of the data set, as the hub names it; None for a local folder.
    """

    path: Path
    records: int
    sha256: str
    revision: str | None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Name and content of each record."""
        with open(self.path, "rb") as file:
            for _ in range(self.records):
                name, content = json.loads(next(file))
                yield name, content


@dataclass
class _About:
    """What ``kept.json`` says.

    Attributes:
        records: that are kept.
        symbols: that they hold.
        size: bytes of their lines.
        sha256: of these.
        complete: whether they are all that there is.
        revision: see :class:`Part`.
        place: where the reader of the data set was, after ``place_records`` records.
        place_records: see there.
    """

    records: int = 0
    symbols: int = 0
    size: int = 0
    sha256: str = field(default_factory=lambda: hashlib.sha256().hexdigest())
    complete: bool = False
    revision: str | None = None
    place: dict[str, Any] | None = None
    place_records: int = 0


class Kept:
    """The growing file in a folder, which the caller has locked.

    Use it as a context: records are added at the end, and when it is left, by an error too, all of them are safe.

    Attributes:
        about: how far it is.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self._note = folder / "records.jsonl", folder / "kept.json"
        self.about = _About()
        with suppress(FileNotFoundError, ValueError, TypeError):  # no note, or a garbled one: begin again
            if self.path.is_file():
                self.about = _About(**json.loads(self._note.read_text(encoding="utf-8")))
        self._hash = hashlib.sha256()

    def part(self, max_symbols: int | None) -> Part | None:
        """The first records that hold so many symbols (None: all), verified; None if more must be streamed.

        Raises:
            GfmError: the file has changed since it was written.
        """
        about = self.about
        enough = about.complete or (max_symbols is not None and about.symbols >= max_symbols)
        if not enough or not self.path.is_file():
            return None
        found, records, symbols, wanted = hashlib.sha256(), 0, 0, None
        with open(self.path, "rb") as file:
            for line in file:
                if records == about.records:
                    break
                found.update(line)
                records += 1
                if wanted is None and max_symbols is not None:
                    symbols += _symbols(line)
                    if symbols >= max_symbols:
                        wanted = (records, found.hexdigest())
        if (records, found.hexdigest()) != (about.records, about.sha256):
            raise self._changed(found.hexdigest())
        return Part(self.path, *(wanted or (records, found.hexdigest())), about.revision)

    def __enter__(self) -> "Kept":
        """Open the file behind what is good.

        Raises:
            GfmError: the file has changed since it was written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        self._file = open(self.path, "r+b")
        left = self.about.size
        while data := self._file.read(min(left, 1 << 20)):
            self._hash.update(data)
            left -= len(data)
        if self._hash.hexdigest() != self.about.sha256:
            self._file.close()
            raise self._changed(self._hash.hexdigest())
        self._file.truncate()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.save()
        finally:
            self._file.close()

    def append(self, name: str, content: str) -> None:
        """Add a record."""
        line = json.dumps([name, content], ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        self._file.write(line)
        self._hash.update(line)
        self.about.records += 1
        self.about.symbols += len(content)
        self.about.size += len(line)

    def save(self, place: dict[str, Any] | None = None) -> None:
        """Make what was added safe.

        Args:
            place: where the reader of the data set is now; None: the last one told stands.
        """
        if place is not None:
            self.about.place, self.about.place_records = place, self.about.records
        self._file.flush()
        os.fsync(self._file.fileno())
        self.about.sha256 = self._hash.hexdigest()
        write_json(self._note, asdict(self.about))

    def _changed(self, found: str) -> GfmError:
        expected = self.about.sha256
        return GfmError(
            f"{self.path} has changed since it was streamed (expected SHA-256 {expected}, found {found}); delete "
            "it to stream it again"
        )


def _symbols(line: bytes) -> int:
    return len(json.loads(line)[1])
