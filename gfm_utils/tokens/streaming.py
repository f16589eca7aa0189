"""Tokens of a source that does not fit in memory: read in blocks, encoded in processes, appended to files."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from gfm_utils.corpora import Kind, Plan, Segment
from gfm_utils.corpora.loading import tell_many_copies
from gfm_utils.corpora.streaming import BLOCK, GAP, Block, BlockSummary, Survey, clean, summarised
from gfm_utils.errors import GfmError
from gfm_utils.profiles import TextSymbols
from gfm_utils.tokens import tokenizers
from gfm_utils.tokens.conditions import tokenizer_kind
from gfm_utils.tokens.parallel import Given, Made, cores, in_order

#: Symbols that a process works on at a time.
BATCH = 2_000_000
#: More processes than this one reader cannot feed.
MOST_WORKERS = 32

Ids = list[npt.NDArray[np.uint16]]


def tokenize(
    folder: Path,
    name: str,
    plan: Plan,
    parts: tuple[str, str, str],
    tokenizer_symbols: int | None,
    seed: int,
    max_symbols: int | None = None,
    workers: int | None = None,
    batch: int = BATCH,
    block_size: int = BLOCK,
    gap: int = GAP,
    text_symbols: TextSymbols = "bytes",
    rows: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Write the tokenizer, ``<part>.npy`` and ``<part>-lengths.npy`` of a source, which is never held as a whole.

    In memory are, beside what the survey of the source holds, about ``2 * workers + 1`` batches in this process
    and one in each of the others; and what BPE learns from, while it does (of all of a text its words). The source
    is read twice, and its beginning once more for a BPE tokenizer. The result does not depend on ``workers`` and
    ``batch``.

    Args:
        folder: is there and empty.
        name: ``kmer<k>`` or ``bpe<V>``; BPE learns from the first pieces of the training part.
        plan: the source.
        parts: names of the parts.
        tokenizer_symbols: how many symbols BPE learns from; None: all of a text, see ``learned_symbols``.
        seed: of the split.
        max_symbols: read about so many first symbols; None: all.
        workers: processes; None: one for each core.
        batch: symbols a batch.
        block_size: see :class:`gfm_utils.corpora.streaming.Survey`.
        gap: likewise.
        text_symbols: see :class:`gfm_utils.profiles.Profile`.
        rows: end when the training part has so many rows, and keep so many first tokens of each, in no part those
            of a row that is shorter; None: all tokens of all rows.

    Returns:
        What belongs into ``store.json``: ``vocabulary``, ``parts`` and the counts of the stream as ``streamed``.

    Raises:
        GfmError: the source cannot be read or split, or the tokenizer does not fit it.
    """
    workers = workers or min(cores(), MOST_WORKERS)
    survey = _surveyed(plan, seed, max_symbols, workers, batch, block_size, gap)
    wanted = tokenizers.learned_symbols(plan.kind, tokenizer_symbols)
    sample: Iterable[Segment] = ()
    if tokenizer_kind(name)[0] == "bpe":
        sample = _first_segments(survey, plan, wanted)
    tokenizer = tokenizers.train_tokenizer(name, sample, plan.kind, wanted, seed, text_symbols)
    lengths_of = tokenizers.token_lengths(tokenizer, plan.kind)
    counted = rows is not None or tokenizers.loses_space(tokenizer, plan.kind)
    tokenizer.save_pretrained(folder / "tokenizer")
    symbols = [0, 0, 0]
    work = partial(_encoded, kind=plan.kind, repairs=plan.repairs, saved=folder / "tokenizer", name=name)
    with ExitStack() as files, _bar(plan, max_symbols, f"tokenizing {plan.name}") as bar:
        ids = [files.enter_context(ArrayWriter(folder / f"{part}.npy", np.uint16)) for part in parts]
        lengths = [files.enter_context(ArrayWriter(folder / f"{part}-lengths.npy", np.int64)) for part in parts]
        results = files.enter_context(closing(in_order(work, _batches(survey.pieces(), batch), workers)))
        for (part, block), (size, encoded) in _pairs(results):
            bar.update(size)
            kept = encoded if rows is None else _first_tokens(block, encoded, rows[1])
            symbols[part] += sum(int(lengths_of[array].sum()) for array in kept) if counted else size
            for array in kept:
                ids[part].append(array)
            lengths[part].append(np.array([len(array) for array in kept], np.int64))
            if rows is not None and lengths[0].length == rows[0]:
                break
            bar.set_postfix_str(f"{sum(file.length for file in ids):,} tokens", refresh=False)
    stats, tokens = survey.counts(), [file.length for file in ids]
    _check_parts(plan, stats, tokens)
    if rows is not None and lengths[0].length < rows[0]:
        tqdm.write(
            f"{plan.source}: {lengths[0].length:,} rows of {rows[1]} tokens train, where {rows[0]:,} are wanted: "
            "so many symbols of it have no more",
            file=sys.stderr,
        )
    sizes = {part: {"symbols": s, "tokens": t} for part, s, t in zip(parts, symbols, tokens, strict=True)}
    return {"vocabulary": len(tokenizer), "parts": sizes, "streamed": stats}


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
        what = "no stretch of A, C, G, T" if plan.kind == "dna" else "no text"
        raise GfmError(f"{plan.source} holds {what} after cleaning; give another source")
    if not all(tokens):
        raise GfmError(
            f"corpus {plan.name!r} cannot be split: a part of it came out empty ({stats['pieces']} pieces of at "
            f"most {stats['block']} symbols); give a longer corpus or more records"
        )


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
