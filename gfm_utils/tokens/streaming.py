"""Tokens of a source that does not fit in memory: read in blocks, encoded in processes, appended to files."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from gfm_utils.corpora import KINDS, Kind, Plan, Segment
from gfm_utils.corpora.loading import tell_many_copies
from gfm_utils.corpora.streaming import BLOCK, GAP, Block, BlockSummary, Survey, clean, summarised
from gfm_utils.errors import GfmError
from gfm_utils.profiles import Profile
from gfm_utils.tokens import tokenizers
from gfm_utils.tokens.conditions import tokenizer_kind
from gfm_utils.tokens.parallel import Given, Made, cores, in_order

PARTS = ("train", "validation", "test")
#: Symbols that a process works on at a time.
BATCH = 2_000_000
#: More processes than this one reader cannot feed.
MOST_WORKERS = 32

Ids = list[npt.NDArray[np.uint16]]
#: Number of a part, symbols, and the tokens of each segment.
Piece = tuple[int, int, Ids]


def tokenize(
    folder: Path,
    name: str,
    plan: Plan,
    profile: Profile,
    seed: int,
    workers: int | None = None,
    batch: int = BATCH,
    block_size: int = BLOCK,
    gap: int = GAP,
) -> dict[str, Any]:
    """Write the tokenizer, ``<part>.npy`` and ``<part>-lengths.npy`` of a source, which is never held as a whole.

    In memory are, beside what the survey of the source holds, about ``2 * workers + 1`` batches in this process
    and one in each of the others; and what BPE learns from, while it does (of all of a text its words). The source
    is read twice, and its beginning once more for a BPE tokenizer. The result does not depend on ``workers`` and
    ``batch``. Of a stream of which a profile takes ``rows``, no more rows are read than train, and of each the
    first window is kept, in no part those of a row that is shorter.

    Args:
        folder: is there and empty.
        name: ``kmer<k>`` or ``bpe<V>``; BPE learns from the first pieces of the training part.
        plan: the source.
        profile: its ``max_symbols``, ``tokenizer_symbols``, ``text_symbols`` and ``rows`` are read.
        seed: of the split.
        workers: processes; None: one for each core.
        batch: symbols a batch.
        block_size: see :class:`gfm_utils.corpora.streaming.Survey`.
        gap: likewise.

    Returns:
        What belongs into ``store.json``: ``vocabulary``, ``parts`` and the counts of the stream as ``streamed``.

    Raises:
        GfmError: the source cannot be read or split, or the tokenizer does not fit it.
    """
    workers = workers or min(cores(), MOST_WORKERS)
    survey = _surveyed(plan, seed, profile.max_symbols, workers, batch, block_size, gap)
    wanted = tokenizers.learned_symbols(plan.kind, profile.tokenizer_symbols)
    sample: Iterable[Segment] = ()
    if tokenizer_kind(name)[0] == "bpe":
        sample = _first_segments(survey, plan, wanted)
    tokenizer = tokenizers.train_tokenizer(name, sample, plan.kind, wanted, seed, profile.text_symbols)
    lengths_of = tokenizers.token_lengths(tokenizer, plan.kind)
    rows = rows_of(plan, profile)
    counted = rows is not None or tokenizers.loses_space(tokenizer, plan.kind)
    tokenizer.save_pretrained(folder / "tokenizer")
    work = partial(_encoded, kind=plan.kind, repairs=plan.repairs, saved=folder / "tokenizer", name=name)
    train_rows = tokens = 0

    def pieces() -> Iterator[Piece]:
        nonlocal train_rows, tokens
        with (
            _bar(plan, profile.max_symbols, f"tokenizing {plan.name}") as bar,
            closing(in_order(work, _batches(survey.pieces(), batch), workers)) as results,
        ):
            for (part, block), (symbols, encoded) in _pairs(results):
                kept = encoded if rows is None else _first_tokens(block, encoded, rows[1])
                yield part, symbols, kept
                bar.update(symbols)
                tokens += sum(map(len, kept))
                bar.set_postfix_str(f"{tokens:,} tokens", refresh=False)
                train_rows += len(kept) if part == 0 else 0
                if rows is not None and train_rows == rows[0]:
                    break

    sizes = write_parts(folder, pieces(), lengths_of if counted else None)
    stats = survey.counts()
    _check_parts(plan, stats, [size["tokens"] for size in sizes.values()])
    if rows is not None and train_rows < rows[0]:
        tqdm.write(
            f"{plan.source}: {train_rows:,} rows of {rows[1]} tokens train, where {rows[0]:,} are wanted: "
            "so many symbols of it have no more",
            file=sys.stderr,
        )
    return {"vocabulary": len(tokenizer), "parts": sizes, "streamed": stats}


def rows_of(plan: Plan, profile: Profile) -> tuple[int, int] | None:
    """Rows that train and tokens of each, where a source has rows and the profile takes one window of each."""
    return None if profile.rows is None or plan.stream is None else (profile.rows, profile.window)


def write_parts(
    folder: Path, pieces: Iterable[Piece], lengths_of: npt.NDArray[np.int64] | None = None
) -> dict[str, dict[str, int]]:
    """Write ``<part>.npy`` and ``<part>-lengths.npy`` of all parts.

    Args:
        folder: where.
        pieces: of any part, in its order.
        lengths_of: symbols of each token, by which symbols are counted; None: the pieces say how many they have.

    Returns:
        ``symbols`` and ``tokens`` of each part.
    """
    sizes = {part: {"symbols": 0, "tokens": 0} for part in PARTS}
    with ExitStack() as files:
        ids, lengths = (
            [files.enter_context(array_file(folder / f"{part}{end}.npy", kind)) for part in PARTS]
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
def array_file(path: Path, dtype: npt.DTypeLike) -> Iterator[BinaryIO]:
    """A one-dimensional ``.npy`` file that grows by what is written to it; its header is right at the end.

    Until then, and after an error, the header says that there is nothing in it.
    """
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
    with open(path, "wb") as file:
        # NumPy leaves room for the first axis to grow, so that the length of the header does not depend on it.
        np.lib.format.write_array_header_1_0(file, header | {"shape": (0,)})
        body = file.tell()
        yield file
        length = (file.tell() - body) // np.dtype(dtype).itemsize
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, header | {"shape": (length,)})
        assert file.tell() == body


def _surveyed(
    plan: Plan, seed: int, max_symbols: int | None, workers: int, batch: int, block: int, gap: int
) -> Survey:
    """Read the source once: which pieces it has, and where each goes."""
    survey = Survey(plan, max_symbols, block, gap)
    work = partial(_summarised, kind=plan.kind, repairs=plan.repairs)
    batches = _batches(((0, block) for block in survey.blocks()), batch)
    with (
        _bar(plan, max_symbols, f"reading {plan.name}") as bar,
        closing(in_order(work, batches, workers)) as results,
    ):
        for (_, one), summary in _pairs(results):
            survey.add(one, summary)
            bar.update(summary.symbols)
            if survey.full:
                break
    survey.assign(seed)
    tell_many_copies(plan.source, survey.stats)
    return survey


def _pairs(results: Iterable[tuple[list[Given], list[Made]]]) -> Iterator[tuple[Given, Made]]:
    """Each piece with what was made of it, batch after batch."""
    return (pair for given, made in results for pair in zip(given, made, strict=True))


def _first_tokens(block: Block, encoded: Ids, length: int) -> Ids:
    """Of the first block of a row its first so many tokens; nothing of other blocks, or of a shorter row."""
    return [ids[:length] for ids in encoded[:1] if block.start == 0 and len(ids) >= length]


def _first_segments(survey: Survey, plan: Plan, wanted: int | None) -> Iterator[Segment]:
    """The segments of the first pieces of the training part, about as many symbols as wanted; None: all."""
    taken = 0
    with closing(survey.pieces()) as pieces:
        for part, block in pieces:
            if part == 0:
                cleaned = clean(block, plan.kind, plan.repairs)
                yield from cleaned.segments
                taken += cleaned.symbols
            if wanted is not None and taken >= wanted:
                break


def _batches(pieces: Iterable[tuple[int, Block]], size: int) -> Iterator[list[tuple[int, Block]]]:
    held: list[tuple[int, Block]] = []
    symbols = 0
    for piece in pieces:
        held.append(piece)
        symbols += len(piece[1].text)
        if symbols >= size:
            yield held
            held, symbols = [], 0
    if held:
        yield held


def _summarised(pieces: list[tuple[int, Block]], kind: Kind, repairs: tuple[str, ...]) -> list[BlockSummary]:
    return summarised([block for _, block in pieces], kind, repairs)


def _encoded(
    pieces: list[tuple[int, Block]], kind: Kind, repairs: tuple[str, ...], saved: Path, name: str
) -> list[tuple[int, Ids]]:
    """What is left of the pieces and the tokens of their segments; the segments themselves stay behind."""
    cleaned = [clean(block, kind, repairs) for _, block in pieces]
    arrays = iter(tokenizers.encode(_loaded(saved), name, [s for one in cleaned for s in one.segments], kind))
    return [(one.symbols, [next(arrays) for _ in one.segments]) for one in cleaned]


@lru_cache(maxsize=1)
def _loaded(saved: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(saved)


def _bar(plan: Plan, max_symbols: int | None, what: str) -> "tqdm[Any]":
    known = [size for size in (plan.symbols, max_symbols) if size is not None]
    return tqdm(
        desc=what, total=min(known, default=None), unit=" symbols", unit_scale=True, leave=False, disable=None
    )


def _check_parts(plan: Plan, stats: dict[str, Any], tokens: list[int]) -> None:
    if not stats["pieces"]:
        raise GfmError(f"{plan.source} holds {KINDS[plan.kind].nothing} after cleaning; give another source")
    if not all(tokens):
        raise GfmError(
            f"corpus {plan.name!r} cannot be split: a part of it came out empty ({stats['pieces']} pieces of at "
            f"most {stats['block']} symbols); give a longer corpus or more records"
        )
