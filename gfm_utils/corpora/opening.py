"""Opening: the bytes of a file, whatever it is packed in, once it is clear that they are what they should be."""

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
from typing import Any, BinaryIO, cast

from gfm_utils.corpora.registry import Format
from gfm_utils.errors import GfmError, Refused
from gfm_utils.files import reading

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Endings of compressed files, and the same as messages list them.
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
COMPRESSIONS = f"{', '.join(COMPRESSED[:-1])} or {COMPRESSED[-1]}"
#: Bytes that are read at once.
READ = 1 << 20

#: How compressed bytes begin, and what reads them.
_COMPRESSIONS: dict[re.Pattern[bytes], Callable[[Any], Any]] = {
    re.compile(rb"\x1f\x8b"): gzip.open,
    re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"): bz2.open,
    re.compile(rb"\xfd7zXZ\x00"): lzma.open,
    re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"): zstd.open,
    (_ZIP := re.compile(rb"PK(\x03\x04|\x05\x06)")): zipfile.ZipFile,
}
_ENCRYPTED = 1  # bit of the flags of a member
_HTML = re.compile(
    rb"\s*(<\?xml[^>]*\?>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_PROTEIN = re.compile(rb"[A-Z*.-]{10,}")
_NAMES: dict[Format, str] = {"text": "text", "mediawiki": "a MediaWiki dump"}
_PAGE = "an HTML page"
#: What a file may be against its name, and what to do about it.
_OTHERS = {_PAGE: "save the file that it shows or leads to, not the page", "a PDF": "export its text"} | {
    form: f"give it a name that ends in {ending}"
    for form, ending in (("FASTA", ".fa"), ("FASTQ", ".fastq"), ("PARQUET", ".parquet"))
}


@contextmanager
def opened(path: Path, form: Format | None = None) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed; damage met while they are read becomes one sentence.

    What is compressed twice, as a ``.gz`` in a ``.zip``, is decompressed twice.

    Args:
        path: the file, or one inside a zip archive (``texts.zip/one.txt``).
        form: what it should be; None: anything but an HTML page.

    Raises:
        GfmError: missing, empty, truncated or damaged, or something else than it should be.
    """
    with _decompressed(path) as (handle, packed):
        content = _looks_like(handle.peek(READ))
        if content is not None and (content == _PAGE if form is None else content != form.upper()):
            wanted = "" if form is None else f", not {_NAMES.get(form, form.upper())}"
            raise GfmError(f"{path} is {content}{wanted}; {_OTHERS[content]}")
        if not packed and path.suffix.lower() in COMPRESSED:
            raise GfmError(
                f"{path} is not compressed although its name ends in {path.suffix}; rename or compress it"
            )
        yield cast(BinaryIO, handle)


@contextmanager
def _decompressed(path: Path) -> Iterator[tuple[Any, bool]]:
    """The bytes of whatever is in a file, decompressed, and whether they were compressed."""
    archive, inside = archive_of(path)
    _check_there(archive)
    with _naming_damage(path), ExitStack() as stack:
        if inside:
            zipped, files = _archive(archive, archive.stat().st_mtime_ns)
            handle: Any = stack.enter_context(_member(path, zipped, [files[inside]]))
        else:
            handle = stack.enter_context(open(path, "rb"))
        whole, head = handle, handle.peek(16)
        while decompress := next((of for begin, of in _COMPRESSIONS.items() if begin.match(head)), None):
            handle = stack.enter_context(decompress(handle))
            if isinstance(handle, zipfile.ZipFile):
                handle = stack.enter_context(_member(path, handle, list(_files(handle).values())))
            head = handle.peek(16)
        yield handle, handle is not whole


def lines(path: Path) -> Iterator[str]:
    """Lines of a file, decompressed, without their ends; what is not UTF-8 is replaced."""
    with opened(path) as handle:
        text = io.TextIOWrapper(handle, "utf-8-sig", errors="replace")
        yield from (line.rstrip("\n") for line in text)


def packed_names(path: Path) -> list[str] | None:
    """Paths of the files inside a zip archive, sorted; None for any other file.

    Raises:
        GfmError: the archive is damaged.
    """
    _check_there(path)
    with _naming_damage(path), open(path, "rb") as handle:
        if not _ZIP.match(handle.peek(4)):
            return None
        return sorted(_archive(path, path.stat().st_mtime_ns)[1], key=lambda name: PurePosixPath(name).parts)


def archive_of(path: Path) -> tuple[Path, str]:
    """The zip archive that a file lies in and its path there; the file itself and "" if it lies in none."""
    with reading(path):
        archive = path if path.exists() else next((above for above in path.parents if above.is_file()), path)
    return archive, "" if archive == path else path.relative_to(archive).as_posix()


def size_of(path: Path) -> int:
    """Bytes of a file, or of one inside a zip archive once it is taken out."""
    archive, inside = archive_of(path)
    status = archive.stat()
    return _archive(archive, status.st_mtime_ns)[1][inside].file_size if inside else status.st_size


@lru_cache(maxsize=1)
def _archive(path: Path, _changed: int) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """A zip archive, open until another one is read, and its files by their paths."""
    archive = zipfile.ZipFile(path)
    return archive, _files(archive)


def _files(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files in an archive by their paths, beside hidden ones and what macOS and Windows put there."""
    files = {PurePosixPath(info.filename): info for info in archive.infolist() if not info.is_dir()}
    return {
        str(path): info
        for path, info in files.items()
        if path.name not in ("Thumbs.db", "desktop.ini")
        and not any(part.startswith((".", "__MACOSX")) for part in path.parts)
    }


def _member(path: Path, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> Any:
    """The bytes of the one file that is meant in a zip archive."""
    if len(members) != 1:
        raise not_one(path, len(members))
    if members[0].flag_bits & _ENCRYPTED:
        raise GfmError(f"{path} is locked with a password; unpack it and give the file inside")
    return archive.open(members[0])


def not_one(path: Path, count: int) -> GfmError:
    """Error for a zip archive that must hold one file and does not."""
    return GfmError(
        f"{path} holds {count} files; a zip archive must hold exactly one here: unpack it and give the folder"
    )


def no_file(path: Path) -> GfmError:
    """Error for the path of a corpus where there is none."""
    return GfmError(f"no file {path}; give the path of a file, or the name of a corpus ('gfm corpora' lists them)")


def is_html(path: Path) -> bool:
    """Whether a file is a page of the web, plain or compressed."""
    with suppress(GfmError), _decompressed(path) as (handle, _):
        return _looks_like(handle.peek(READ)) == _PAGE
    return False


def decoded(path: Path, handle: BinaryIO, encoding: str) -> Iterator[str]:
    """The text of a file, of which ``READ`` bytes are in memory at a time.

    Raises:
        GfmError: a byte does not fit the encoding; says where.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
    offset, line, data = 0, 1, b" "  # of what is read next
    while data:
        data = handle.read(READ)
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            place = offset + len(data) - len(error.object) + error.start
            line += error.object.count(b"\n", 0, error.start)
            raise GfmError(
                f"{path} is not {encoding.upper()} text (byte 0x{error.object[error.start]:02x} at offset "
                f"{place}, line {line}); convert it to UTF-8, e.g. with iconv"
            ) from None
        offset, line = offset + len(data), line + data.count(b"\n")
        if text:
            yield text


def _check_there(path: Path) -> None:
    with reading(path):
        there, size = path.is_file(), path.stat().st_size if path.exists() else 0
    if not there:
        raise no_file(path)
    if size == 0:
        raise GfmError(f"{path} is empty (0 bytes)")


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise GfmError(
            f"{path} is truncated: its compressed data ends too early; copy or download it again"
        ) from None
    except NotImplementedError as error:  # a rare compression inside a zip archive
        raise GfmError(f"{path} cannot be unpacked ({error}); unpack it and give the file inside") from None
    except (OSError, zlib.error, zipfile.BadZipFile, lzma.LZMAError, zstd.ZstdError) as error:
        with reading(path):  # errors of bzip2 and gzip, and of zip archives that point outside of themselves, stay
            if isinstance(error, Refused) or getattr(error, "errno", None) not in (None, errno.EINVAL):
                raise
        raise GfmError(f"{path} is damaged ({error}); copy or download it again") from None


def _looks_like(head: bytes) -> str | None:
    """What a file that begins so is without doubt (a key of ``_OTHERS``); None: nothing that is known here."""
    head = head.removeprefix(codecs.BOM_UTF8)
    if _HTML.match(head):
        return _PAGE
    if head.startswith(b"%PDF-"):
        return "a PDF"
    if head.startswith(b"PAR1"):
        return "PARQUET"
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
