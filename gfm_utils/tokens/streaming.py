"""Tokens of a source that does not fit in memory: read in blocks, encoded in processes, appended to files."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from gfm_utils.corpora import KINDS, Kind, Plan, Segment
from gfm_utils.corpora.loading import warn_many_copies
from gfm_utils.corpora.streaming import Block, Survey, clean, summarised, survey
from gfm_utils.errors import GfmError
from gfm_utils.profiles import Profile
from gfm_utils.tokens import tokenizers
from gfm_utils.tokens.conditions import tokenizer_kind
from gfm_utils.tokens.parallel import Made, cores, map_in_order

PARTS = ("train", "validation", "test")
#: Symbols that a process works on at a time.
BATCH = 2_000_000
#: More processes than this one reader cannot feed.
MOST_WORKERS = 32

Ids = list[npt.NDArray[np.uint16]]
#: Number of a part, symbols, and the tokens of each segment.
Piece = tuple[int, int, Ids]


def tokenize(
    folder: Path, name: str, plan: Plan, profile: Profile, seed: int, workers: int | None = None
) -> dict[str, Any]:
    """Write the tokenizer, ``<part>.npy`` and ``<part>-lengths.npy`` of a source, which is never held as a whole.

    In memory are about ``2 * workers + 1`` batches in this process (None: one worker for each core) and one in
    each of the others, besides what the survey holds and BPE learns from. The source is read twice, and its
    beginning once more for BPE, which learns from the first pieces of the training part. Of a stream of which a
    profile takes ``rows``, no more rows are read than train, and of each the first window is kept, if it has one.

    Returns:
        What belongs into ``store.json``: ``vocabulary``, ``parts`` and the counts of the stream as ``streamed``.

    Raises:
        GfmError: the source cannot be read or split, or the tokenizer does not fit it.
    """
    workers = workers or min(cores(), MOST_WORKERS)
    known = min((size for size in (plan.symbols, profile.max_symbols) if size is not None), default=None)
    summarise = partial(summarised, kind=plan.kind, repairs=plan.repairs)
    read = partial(_mapped, summarise, workers, f"reading {plan.name}", known)
    found = survey(plan, seed, profile.max_symbols, read)
    warn_many_copies(plan.source, found.stats)
    wanted = tokenizers.learned_symbols(plan.kind, profile.tokenizer_symbols)
    sample = _FirstSegments(found, wanted) if tokenizer_kind(name)[0] == "bpe" else ()
    tokenizer = tokenizers.train_tokenizer(name, sample, plan.kind, wanted, seed, profile.text_symbols)
    tokenizer.save_pretrained(folder / "tokenizer")
    encode = partial(_encoded, kind=plan.kind, repairs=plan.repairs, saved=folder / "tokenizer", name=name)
    made = _mapped(encode, workers, f"tokenizing {plan.name}", known, found.pieces())
    pieces: Iterator[Piece] = ((block.part, symbols, ids) for block, (symbols, ids) in made)
    rows = rows_of(plan, profile)
    if rows is not None:
        pieces = _first_windows(made, *rows)
    counted = rows is not None or tokenizers.loses_space(tokenizer, plan.kind)
    lengths_of = tokenizers.token_lengths(tokenizer, plan.kind) if counted else None
    sizes = write_parts(folder, pieces, lengths_of)
    if not found.stats["pieces"]:
        raise GfmError(f"{plan.source} holds {KINDS[plan.kind].nothing} after cleaning; give another source")
    if not all(size["tokens"] for size in sizes.values()):
        raise GfmError(
            f"corpus {plan.name!r} cannot be split: a part of it came out empty ({found.stats['pieces']} pieces "
            f"of at most {found.stats['block']} symbols); give a longer corpus or more records"
        )
    if rows is not None and (train_rows := sizes["train"]["tokens"] // rows[1]) < rows[0]:
        tqdm.write(
            f"{plan.source}: {train_rows:,} rows of {rows[1]} tokens train, where {rows[0]:,} are wanted: "
            "so many symbols of it have no more",
            file=sys.stderr,
        )
    return {"vocabulary": len(tokenizer), "parts": sizes, "streamed": found.stats}


def rows_of(plan: Plan, profile: Profile) -> tuple[int, int] | None:
    """Rows that train and tokens of each, where a source has rows and the profile takes one window of each."""
    return None if profile.rows is None or plan.stream is None else (profile.rows, profile.window)


def _first_windows(made: Iterable[tuple[Block, tuple[int, Ids]]], rows: int, length: int) -> Iterator[Piece]:
    """Of the first block of each row its first window, until so many rows train; nothing of a shorter row."""
    train_rows = 0
    for block, (symbols, ids) in made:
        kept = [one[:length] for one in ids[:1] if block.start == 0 and len(one) >= length]
        yield block.part, symbols, kept
        train_rows += len(kept) if block.part == 0 else 0
        if train_rows == rows:
            break


class _FirstSegments:
    """The segments of the first pieces of the training part, about as many symbols as wanted; None: all."""

    def __init__(self, found: Survey, wanted: int | None) -> None:
        self._found, self._wanted = found, wanted

    def __iter__(self) -> Iterator[Segment]:
        taken = 0
        for block in self._found.pieces():
            if block.part == 0:
                segments = clean(block, self._found.plan.kind, self._found.plan.repairs)[0]
                yield from segments
                taken += sum(map(len, segments))
            if self._wanted is not None and taken >= self._wanted:
                break


def _mapped(
    work: Callable[[list[Block]], list[Made]], workers: int, what: str, known: int | None, blocks: Iterable[Block]
) -> Iterator[tuple[Block, Made]]:
    """Each block with what was made of it, in order; a bar shows how many of the ``known`` symbols are read."""
    shown: dict[str, Any] = {"unit": " symbols", "unit_scale": True, "leave": False, "disable": None}
    mapped = map_in_order(work, _batches(blocks), workers)
    with tqdm(desc=what, total=known, **shown) as bar, closing(mapped):
        for batch, made in mapped:
            for block, one in zip(batch, made, strict=True):
                yield block, one
                bar.update(len(block.text))


def _batches(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    held: list[Block] = []
    symbols = 0
    for block in blocks:
        held.append(block)
        symbols += len(block.text)
        if symbols >= BATCH:
            yield held
            held, symbols = [], 0
    if held:
        yield held


def _encoded(
    blocks: list[Block], kind: Kind, repairs: tuple[str, ...], saved: Path, name: str
) -> list[tuple[int, Ids]]:
    """How many symbols cleaning leaves of each block, and the tokens of its segments."""
    cleaned = [clean(block, kind, repairs)[0] for block in blocks]
    arrays = iter(tokenizers.encode(_loaded(saved), name, [s for segments in cleaned for s in segments], kind))
    return [(sum(map(len, segments)), [next(arrays) for _ in segments]) for segments in cleaned]


@lru_cache(maxsize=1)
def _loaded(saved: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(saved)


def write_parts(
    folder: Path, pieces: Iterable[Piece], lengths_of: npt.NDArray[np.int64] | None = None
) -> dict[str, dict[str, int]]:
    """Write ``<part>.npy`` and ``<part>-lengths.npy`` of all parts; returns ``symbols`` and ``tokens`` of each.

    The pieces of a part are in its order; ``lengths_of`` tokens says how many symbols they have, if they do not.
    """
    sizes = {part: {"symbols": 0, "tokens": 0} for part in PARTS}
    with ExitStack() as files:
        ids, lengths = (
            [files.enter_context(_array_file(folder / f"{part}{end}.npy", kind)) for part in PARTS]
            for end, kind in (("", np.uint16), ("-lengths", np.int64))
        )
        for part, symbols, arrays in pieces:
            for array in arrays:
                ids[part].write(array.tobytes())
                lengths[part].write(np.int64(len(array)).tobytes())
            if lengths_of is not None:
                symbols = sum(int(lengths_of[array].sum()) for array in arrays)
            sizes[PARTS[part]]["symbols"] += symbols
            sizes[PARTS[part]]["tokens"] += sum(map(len, arrays))
    return sizes


@contextmanager
def _array_file(path: Path, dtype: npt.DTypeLike) -> Iterator[BinaryIO]:
    """A one-dimensional ``.npy`` file that grows by what is written to it; until then its header says: empty."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
    with open(path, "wb") as file:
        # NumPy leaves room for the first axis to grow, so that the length of the header does not depend on it.
        np.lib.format.write_array_header_1_0(file, header | {"shape": (0,)})
        body = file.tell()
        yield file
        length = (file.tell() - body) // np.dtype(dtype).itemsize
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, header | {"shape": (length,)})
