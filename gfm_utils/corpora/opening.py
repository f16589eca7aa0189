"""Opening: the bytes of a file or of one in a zip archive, decompressed, once it is clear what they are."""

import bz2
import codecs
import errno
import gzip
import io
import lzma
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from gfm_utils.corpora.registry import Format
from gfm_utils.errors import GfmError, Refused
from gfm_utils.files import reading

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Endings of compressed files.
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
#: Bytes that are read at once.
READ = 1 << 20
_EXPANSION = 4  # a compressed file is taken to hold so many times its bytes
#: How compressed bytes begin, and what reads them.
_COMPRESSIONS: dict[re.Pattern[bytes], Callable[[Any], Any]] = {
    re.compile(rb"\x1f\x8b"): gzip.open,
    re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"): bz2.open,
    re.compile(rb"\xfd7zXZ\x00"): lzma.open,
    re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"): zstd.open,
}
_HTML = re.compile(
    rb"\s*(<\?xml[^>]*\?>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_PROTEIN = re.compile(rb"[A-Z*.-]{10,}")
#: What a file may be against its name, and what to do about it.
_OTHERS = {
    "an HTML page": "save the file that it shows or leads to, not the page",
    "FASTA": "give it a name that ends in .fa",
    "FASTQ": "give it a name that ends in .fastq",
}


@contextmanager
def opened(path: Path, form: Format | None = None) -> Iterator[BinaryIO]:
    """The decompressed bytes of a file, or of one inside a zip archive (``texts.zip/one.txt``).

    Raises:
        GfmError: missing, empty, truncated or damaged, an HTML page, or a sequence file of another format than
            ``form``.
    """
    with _decompressed(path) as handle:
        content = _looks_like(handle.peek(READ))
        if content == "an HTML page" or (form and content and content.lower() != form):
            raise GfmError(f"{path} is {content}{f', not {form}' if form else ''}; {_OTHERS[content]}")
        yield handle


@contextmanager
def _decompressed(path: Path) -> Iterator[Any]:
    """The bytes of a file, decompressed as often as they are compressed."""
    archive, inside = archive_of(path)
    _check_there(archive)
    with _naming_damage(path), ExitStack() as stack:
        if inside:
            zipped, files = _archive(archive, archive.stat().st_mtime_ns)
            try:
                handle: Any = stack.enter_context(zipped.open(files[inside].filename))
            except RuntimeError as error:  # a password, or a rare compression
                raise GfmError(f"{path} cannot be unpacked ({error}); give the file itself") from None
        else:
            handle = stack.enter_context(open(path, "rb"))
        head = handle.peek(16)
        while decompress := next((of for begin, of in _COMPRESSIONS.items() if begin.match(head)), None):
            handle = stack.enter_context(decompress(handle))
            head = handle.peek(16)
        yield handle


def as_text(handle: BinaryIO, encoding: str = "utf-8", errors: str = "strict") -> io.TextIOWrapper:
    """The text of some bytes without a byte order mark, its ends of lines as they are."""
    return io.TextIOWrapper(handle, "utf-8-sig" if encoding == "utf-8" else encoding, errors, newline="")


def lines(path: Path) -> Iterator[str]:
    """Lines of a file, decompressed, without their ends; what is not UTF-8 is replaced."""
    with opened(path) as handle:
        yield from (line.rstrip("\r\n") for line in as_text(handle, errors="replace"))


def packed_names(path: Path) -> list[str] | None:
    """Paths of the files inside a zip archive, sorted; None for any other file.

    Raises:
        GfmError: the file is missing or empty, or the archive is damaged.
    """
    _check_there(path)
    with _naming_damage(path), open(path, "rb") as handle:
        if not handle.peek(4).startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return None
        return sorted(_archive(path, path.stat().st_mtime_ns)[1], key=lambda name: PurePosixPath(name).parts)


def archive_of(path: Path) -> tuple[Path, str]:
    """The zip archive that a file lies in and its path there; the file itself and "" if it lies in none."""
    with reading(path):
        archive = path if path.exists() else next((above for above in path.parents if above.is_file()), path)
    return archive, "" if archive == path else path.relative_to(archive).as_posix()


def expected_size(path: Path) -> int:
    """About how many bytes a file has once it is decompressed."""
    archive, inside = archive_of(path)
    status = archive.stat()
    files = _archive(archive, status.st_mtime_ns)[1] if inside else {}
    if len(files) > 1:
        return files[inside].file_size * (_EXPANSION if path.suffix.lower() in COMPRESSED else 1)
    return status.st_size * (_EXPANSION if archive.suffix.lower() in COMPRESSED else 1)


@lru_cache(maxsize=1)
def _archive(path: Path, _changed: int) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """A zip archive, open until another one is read, and its files without those of macOS and Windows."""
    archive = zipfile.ZipFile(path)
    files = {PurePosixPath(info.filename): info for info in archive.infolist() if not info.is_dir()}
    return archive, {
        str(path): info
        for path, info in files.items()
        if path.name not in ("Thumbs.db", "desktop.ini")
        and not any(part.startswith((".", "__MACOSX")) for part in path.parts)
    }


def no_file(path: Path) -> GfmError:
    """Error for the path of a corpus where there is none."""
    return GfmError(f"no file {path}; give the path of a file, or the name of a corpus ('gfm corpora' lists them)")


def is_html(path: Path) -> bool:
    """Whether a file is a page of the web, plain or compressed."""
    with suppress(GfmError), _decompressed(path) as handle:
        return _looks_like(handle.peek(READ)) == "an HTML page"
    return False


def _check_there(path: Path) -> None:
    with reading(path):
        if not path.is_file():
            raise no_file(path)
        if path.stat().st_size == 0:
            raise GfmError(f"{path} is empty (0 bytes)")


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise GfmError(
            f"{path} is truncated: its compressed data ends too early; copy or download it again"
        ) from None
    except (OSError, zlib.error, zipfile.BadZipFile, lzma.LZMAError, zstd.ZstdError) as error:
        with reading(path):  # errors of bzip2 and gzip, and of zip archives that point outside of themselves, stay
            if isinstance(error, Refused) or getattr(error, "errno", None) not in (None, errno.EINVAL):
                raise
        raise GfmError(f"{path} is damaged ({error}); copy or download it again") from None


def _looks_like(head: bytes) -> str | None:
    """What a file that begins so is without doubt (a key of ``_OTHERS``); None: nothing that is known here."""
    head = head.removeprefix(codecs.BOM_UTF8)
    if _HTML.match(head):
        return "an HTML page"
    rows = [row.strip() for row in head.splitlines()]
    fastq = len(rows) >= 4 and rows[0].startswith(b"@") and rows[2].startswith(b"+")
    if fastq and re.fullmatch(rb"[A-Za-z*.-]+", rows[1]) and len(rows[1]) == len(rows[3]):
        return "FASTQ"
    return "FASTA" if _is_fasta(rows) else None


def _is_fasta(rows: list[bytes]) -> bool:
    """Whether lines are headers and sequence, and not a text that quotes with ``>``."""
    rows = [row for row in rows if row and not row.startswith((b"#", b";"))]
    sequence = [row for row in rows if not row.startswith(b">")]
    if not sequence or not rows[0].startswith(b">"):
        return False
    letters = b"".join(sequence).translate(None, b" \t0123456789")
    if len(letters) >= 10 and len(letters.translate(None, b"ACGTUNXacgtunx*.-")) <= 0.05 * len(letters):
        return True
    return all(map(_PROTEIN.fullmatch, sequence[:-1] or sequence))
