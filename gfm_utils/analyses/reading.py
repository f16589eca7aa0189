"""What any masked language model reads of a corpus: windows in the tokens of its own tokenizer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gfm_utils.analyses.counting import Counting, frequency_level
from gfm_utils.analyses.strata import quarters, share_by_token
from gfm_utils.corpora import Corpus, Segment
from gfm_utils.errors import GfmError
from gfm_utils.tokens import FEWEST_WINDOWS, choose_positions, mask_all, masked_per_window

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
#: DNA is tokenized in stretches of so many bases: a multiple of every k up to 10, so that no k-mer is cut.
STRETCH = 10_080
_AT_ONCE = 64  # stretches whose tokens are Python objects at a time


@dataclass(frozen=True)
class _Tokens:
    """Tokens, in segments of shape (tokens,) or in windows of shape (n, window).

    Attributes:
        ids: token ids.
        lengths: bases or characters of each token; white space counts for the token before it.
        strong: share of G and C among the bases of each token; of text 0.
        soft: share of each token's bases that are lower case in the source; of text 0.
    """

    ids: Integers
    lengths: Integers
    strong: Floats
    soft: Floats

    def map(self, change: Callable[[npt.NDArray], npt.NDArray]) -> "_Tokens":
        """The same with each array changed."""
        return _Tokens(change(self.ids), change(self.lengths), change(self.strong), change(self.soft))


class Hidden(NamedTuple):
    """Windows with hidden tokens.

    Attributes:
        windows: which windows of the reading, shape (n,).
        shown: what a model sees, shape (n, window).
        positions: places that it predicts, shape (n, m).
        targets: the true tokens there, shape (n, m).
    """

    windows: Integers
    shown: Integers
    positions: Integers
    targets: Integers


@dataclass(frozen=True)
class Reading:
    """Windows of a corpus that models read, and the frequencies of tokens in the rest of it.

    Attributes:
        corpus: its name.
        kind: ``text`` or ``dna``.
        tokenizer: that made the tokens.
        windows: tokens side by side, none across records, without the special tokens of a sentence; spread
            evenly over every second window of the corpus.
        aside: how often each token occurs in the windows that are not read, shape (vocabulary,).
    """

    corpus: str
    kind: str
    tokenizer: Any
    windows: _Tokens
    aside: Integers

    @property
    def ids(self) -> Integers:
        """Token ids of the windows, shape (n, window)."""
        return self.windows.ids

    @property
    def vocabulary(self) -> int:
        """Tokens of the tokenizer, special ones included."""
        return len(self.aside)

    @cached_property
    def counts(self) -> Integers:
        """How often each token occurs in the whole corpus, shape (vocabulary,)."""
        return self.aside + np.bincount(self.ids.ravel(), minlength=self.vocabulary)

    def hidden(self, rate: float, seed: int) -> Hidden:
        """The windows with the tokenizer's mask at seeded places; special and unknown tokens are never hidden.

        Args:
            rate: share of tokens hidden.
            seed: of the masks.

        Raises:
            GfmError: the tokenizer has no mask token, or knows too little of the corpus.
        """
        mask = self.tokenizer.mask_token_id
        if mask is None:
            raise GfmError(
                "the tokenizer has no mask token, without which nothing can be predicted: name another by "
                "--tokenizer, or analyse the embeddings alone (--only static --only contextual)"
            )
        window = self.ids.shape[1]
        ordinary = ~np.isin(self.ids, self.tokenizer.all_special_ids)
        usable = np.flatnonzero(ordinary.sum(1) >= masked_per_window(window, rate))
        if len(usable) < FEWEST_WINDOWS:
            raise GfmError(
                f"the tokenizer knows {ordinary.mean():.0%} of the tokens of {self.corpus}, too little to "
                "predict anything: give the corpus that it is for, or its own tokenizer by --tokenizer"
            )
        ids = self.ids[usable]
        positions = choose_positions(usable, window, rate, seed, allowed=ordinary[usable])
        shown = mask_all(ids, positions, mask)
        return Hidden(usable, shown, positions, np.take_along_axis(ids, positions, axis=1))

    def counting(self, condition: str, hidden: Hidden) -> Counting:
        """What the frequencies of tokens in the rest of the corpus say of hidden ones; there are no n-grams.

        Args:
            condition: name of the rows.
            hidden: of ``hidden``.
        """
        lengths = np.take_along_axis(self.windows.lengths[hidden.windows], hidden.positions, axis=1)
        unit = "base" if self.kind == "dna" else "character"
        return frequency_level(condition, f"bits/{unit}", self.aside, hidden.targets, lengths)

    def bands(self, hidden: Hidden) -> dict[str, npt.NDArray[np.str_]]:
        """Bands of hidden tokens as in :func:`gfm_utils.analyses.strata.bands_of`, each of shape (tokens,).

        Args:
            hidden: of ``hidden``.
        """
        found = {"token_frequency": quarters(self.aside[hidden.targets].ravel())}
        if self.kind == "dna":
            own = self.windows.map(lambda values: values[hidden.windows])
            strong = (own.strong * own.lengths).sum(1) / own.lengths.sum(1).clip(1)
            found["gc"] = quarters(np.repeat(strong, hidden.positions.shape[1]))
            soft = np.take_along_axis(own.soft, hidden.positions, axis=1).ravel()
            found["soft_masked"] = np.where(soft >= 0.5, "repeat", "rest")
        return found


def read(corpus: Corpus, tokenizer: Any, window: int, count: int) -> Reading:
    """Cut a corpus into windows of the tokenizer's tokens and choose those that models read.

    Args:
        corpus: the corpus.
        tokenizer: of Hugging Face, of any kind.
        window: tokens a window.
        count: how many windows are read at most.

    Raises:
        GfmError: the corpus has too few windows.
    """
    cut = [_windows(_tokens(segment, tokenizer, corpus.kind), window) for segment in corpus.segments]
    every = _Tokens(*(np.concatenate([getattr(part, field.name) for part in cut]) for field in fields(_Tokens)))
    candidates = np.arange(0, len(every.ids), 2)
    if len(candidates) < FEWEST_WINDOWS:
        raise GfmError(
            f"{corpus.name} has {len(every.ids)} windows of {window} tokens and {2 * FEWEST_WINDOWS - 1} are "
            "needed: give a longer corpus or a smaller --window"
        )
    places = np.linspace(0, len(candidates) - 1, min(count, len(candidates))).round().astype(np.int64)
    chosen = candidates[places]
    vocabulary = 1 + max(tokenizer.get_vocab().values())
    rest = np.delete(every.ids, chosen, axis=0)
    aside = np.bincount(rest.ravel(), minlength=vocabulary)
    return Reading(corpus.name, corpus.kind, tokenizer, every.map(lambda values: values[chosen]), aside)


def _tokens(segment: Segment, tokenizer: Any, kind: str) -> _Tokens:
    """The tokens of one segment."""
    text = segment.text
    step = STRETCH if kind == "dna" else max(1, len(text))
    pieces = [text[begin : begin + step] for begin in range(0, len(text), step)]
    ids, lengths = map(np.concatenate, zip(*_encoded(pieces, tokenizer, kind), strict=True))
    if kind != "dna":
        return _Tokens(ids, lengths, np.zeros(len(ids)), np.zeros(len(ids)))
    letters = np.frombuffer(text.encode("ascii"), np.uint8)
    strong = np.isin(letters, np.frombuffer(b"GC", np.uint8))
    soft = np.zeros(len(text), bool) if segment.soft_mask is None else segment.soft_mask
    return _Tokens(ids, lengths, share_by_token(strong, lengths), share_by_token(soft, lengths))


def _encoded(pieces: list[str], tokenizer: Any, kind: str) -> Iterator[tuple[Integers, Integers]]:
    """Ids and lengths of the tokens of each piece; a special token that a text mentions is text like any other.

    A fast tokenizer says where each token begins. Of another a token has the length of its text, without a mark
    of a word's beginning or middle, and the last one reaches to the end of the piece.
    """
    fast = bool(tokenizer.is_fast)
    for begin in range(0, len(pieces), _AT_ONCE):
        part = pieces[begin : begin + _AT_ONCE]
        made = tokenizer(
            part, add_special_tokens=False, split_special_tokens=kind == "text", return_offsets_mapping=fast,
            verbose=False,
        )  # fmt: skip
        for number, piece in enumerate(part):
            ids = np.asarray(made["input_ids"][number], np.int64)
            if fast:
                starts = np.asarray(made["offset_mapping"][number], np.int64).reshape(-1, 2)[:, 0]
                edges = np.maximum.accumulate(np.concatenate([[0], starts[1:], [len(piece)]])[: len(ids) + 1])
                yield ids, np.diff(edges)
            else:
                words = tokenizer.convert_ids_to_tokens(ids.tolist())
                lengths = np.array([len(word.removeprefix("##").strip("▁Ġ")) for word in words], np.int64)
                ends = np.minimum(np.cumsum(lengths), len(piece))
                ends[-1:] = len(piece)
                yield ids, np.diff(ends, prepend=0)


def _windows(tokens: _Tokens, window: int) -> _Tokens:
    whole = len(tokens.ids) // window * window
    return tokens.map(lambda values: values[:whole].reshape(-1, window))
