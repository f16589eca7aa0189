"""What any masked language model reads of a corpus: windows in the tokens of its own tokenizer."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gfm_utils.corpora import KINDS, Corpus, Segment
from gfm_utils.errors import GfmError, unknown
from gfm_utils.measures.counting import Counting
from gfm_utils.measures.pretrained import special_ids, template
from gfm_utils.measures.strata import bands, share_by_token
from gfm_utils.tokens import FEWEST_WINDOWS, choose_positions, evenly_spaced, mask_all, masked_per_window

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
#: DNA is tokenized in stretches of so many bases: a multiple of every k up to 10, so that no k-mer is cut.
STRETCH = 10_080
#: Ways to treat the special tokens of a sentence: those that the tokenizer's own template adds, or none.
SPECIAL_TOKENS = ("auto", "none")
#: Share of a corpus that a tokenizer has to know.
KNOWN = 0.1
_AT_ONCE = 64  # stretches whose tokens are Python objects at a time
_SAMPLE = 60  # letters by which a tokenizer shows its template
#: A token: its id, its bases or characters (white space counts for the token before it), and of DNA the share of G
#: and C among its bases and the share of them that are lower case in the source.
_TOKEN = np.dtype([("id", np.int64), ("length", np.int64), ("strong", np.float64), ("soft", np.float64)])


class Hidden(NamedTuple):
    """Windows with hidden tokens."""

    windows: Integers  # which windows of the reading, (n,)
    shown: Integers  # what a model sees, special tokens around each window included, (n, width)
    positions: Integers  # places in ``shown`` that it predicts, (n, m)
    targets: Integers  # the true tokens there, (n, m)


@dataclass(frozen=True)
class Reading:
    """Windows of a corpus that models read, and the frequencies of tokens in the others."""

    corpus: str  # its name
    kind: str  # ``text`` or ``dna``
    tokenizer: Any
    #: Tokens (``_TOKEN``) side by side, (n, window), none across records, without the special tokens of a
    #: sentence; spread evenly over every second window of the corpus.
    windows: npt.NDArray[np.void]
    aside: Integers  # how often each token occurs in the windows that are not read, (vocabulary,)
    before: Integers  # special tokens in front of each window, as models read it
    after: Integers  # special tokens behind it

    @property
    def ids(self) -> Integers:
        """Token ids of the windows without special tokens around them, (n, window)."""
        return self.windows["id"]

    @property
    def shown(self) -> Integers:
        """The windows as models read them, (n, width): special tokens, window, special tokens."""
        before, after = (np.tile(tokens, (len(self.ids), 1)) for tokens in (self.before, self.after))
        return np.concatenate([before, self.ids, after], axis=1)

    @property
    def vocabulary(self) -> int:
        """Tokens of the tokenizer, special ones included."""
        return len(self.aside)

    @cached_property
    def counts(self) -> Integers:
        """How often each token occurs in the whole corpus, (vocabulary,)."""
        return self.aside + np.bincount(self.ids.ravel(), minlength=self.vocabulary)

    def hidden(self, rate: float, seed: int) -> Hidden:
        """The windows with the tokenizer's mask at seeded places; special and unknown tokens are never hidden.

        Raises:
            GfmError: the tokenizer has no mask token, or knows too few tokens in each window.
        """
        mask = self.tokenizer.mask_token_id
        if mask is None:
            raise GfmError(
                "the tokenizer has no mask token, without which nothing can be predicted: name another by "
                "--tokenizer, or analyse the embeddings alone (--only static --only contextual)"
            )
        window = self.ids.shape[1]
        ordinary = ~np.isin(self.ids, special_ids(self.tokenizer))
        usable = np.flatnonzero(ordinary.sum(1) >= masked_per_window(window, rate))
        if len(usable) < FEWEST_WINDOWS:
            raise GfmError(
                f"{len(usable)} windows of {self.corpus} have {masked_per_window(window, rate)} tokens that the "
                f"tokenizer knows, and {FEWEST_WINDOWS} are needed: give the corpus that it is for, its own "
                "tokenizer by --tokenizer, or a smaller --mask"
            )
        positions = choose_positions(usable, window, rate, seed, allowed=ordinary[usable])
        targets = np.take_along_axis(self.ids[usable], positions, axis=1)
        positions = positions + len(self.before)
        return Hidden(usable, mask_all(self.shown[usable], positions, mask), positions, targets)

    def _at(self, hidden: Hidden) -> npt.NDArray[np.void]:
        """The hidden tokens, shape (n, m)."""
        return np.take_along_axis(self.windows[hidden.windows], hidden.positions - len(self.before), axis=1)

    def counting(self, condition: str, hidden: Hidden) -> Counting:
        """What the frequencies of tokens in the rest of the corpus say of hidden ones; there are no n-grams."""
        unit = f"bits/{KINDS[self.kind].unit}"
        return Counting(condition, unit, self.aside, hidden.targets, self._at(hidden)["length"])

    def bands(self, hidden: Hidden) -> dict[str, npt.NDArray[np.str_]]:
        """Bands of hidden tokens as in :func:`gfm_utils.measures.strata.bands_of`, (tokens,) each."""
        frequency, tokens = self.aside[hidden.targets], self.windows[hidden.windows]
        if self.kind != "dna":
            return bands(frequency)
        gc = (tokens["strong"] * tokens["length"]).sum(1) / tokens["length"].sum(1).clip(1)
        return bands(frequency, gc, self._at(hidden)["soft"])


def read(corpus: Corpus, tokenizer: Any, window: int, count: int, special_tokens: str = "auto") -> Reading:
    """Cut a corpus into windows of any Hugging Face tokenizer's tokens and choose so many that models read.

    ``window`` counts the tokens that a model reads at once, special ones included.

    Raises:
        GfmError: the corpus has too few windows, or tokens that the tokenizer does not know.
    """
    if special_tokens not in SPECIAL_TOKENS:
        raise unknown("way to treat special tokens", special_tokens, SPECIAL_TOKENS)
    none: Integers = np.empty(0, np.int64)
    ends = (none, none)
    if special_tokens == "auto":
        ends = template(tokenizer, corpus.segments[0].text[:_SAMPLE])
    width = window - sum(map(len, ends))
    if width < 1:
        raise GfmError(
            f"a --window of {window} tokens has no room beside {window - width} special ones: give more"
        )
    cut = [_tokens(segment, tokenizer, corpus.kind) for segment in corpus.segments]
    every = np.concatenate([tokens[: len(tokens) // width * width].reshape(-1, width) for tokens in cut])
    known = 1 - np.isin(every["id"], special_ids(tokenizer)).mean() if every.size else 1
    if known < KNOWN:
        words = " ".join(map(str, tokenizer.convert_ids_to_tokens(every["id"].flat[:4].tolist())))
        raise GfmError(
            f"the tokenizer knows {known:.0%} of the tokens of {corpus.name} (it reads "
            f"{corpus.segments[0].text[:12]!r}... as {words} ...): give the corpus that it is for, or its own "
            "tokenizer by --tokenizer"
        )
    candidates = np.arange(0, len(every), 2)
    if len(candidates) < FEWEST_WINDOWS:
        raise GfmError(
            f"{corpus.name} has {len(every)} windows of {width} tokens and {2 * FEWEST_WINDOWS - 1} are "
            "needed: give a longer corpus or a smaller --window"
        )
    chosen = candidates[evenly_spaced(len(candidates), count)]
    rest = np.delete(every["id"], chosen, axis=0)
    aside = np.bincount(rest.ravel(), minlength=1 + max(tokenizer.get_vocab().values()))
    return Reading(corpus.name, corpus.kind, tokenizer, every[chosen], aside, *ends)


def _tokens(segment: Segment, tokenizer: Any, kind: str) -> npt.NDArray[np.void]:
    """The tokens of one segment, of ``_TOKEN``."""
    text = segment.text
    step = max(1, len(text)) if kind == "text" else STRETCH
    pieces = [text[begin : begin + step] for begin in range(0, len(text), step)]
    ids, lengths = map(np.concatenate, zip(*encoded(pieces, tokenizer, kind), strict=True))
    tokens = np.zeros(len(ids), _TOKEN)
    tokens["id"], tokens["length"] = ids, lengths
    if kind == "dna":
        strong = np.isin(np.frombuffer(text.encode("ascii"), np.uint8), np.frombuffer(b"GC", np.uint8))
        soft = np.zeros(len(text), bool) if segment.soft_mask is None else segment.soft_mask
        tokens["strong"], tokens["soft"] = (share_by_token(flags, lengths) for flags in (strong, soft))
    return tokens


def encoded(pieces: list[str], tokenizer: Any, kind: str) -> Iterator[tuple[Integers, Integers]]:
    """Ids and lengths of the tokens of each piece; a special token that a text mentions is text like any other.

    A fast tokenizer says where each token begins. Of another a token has the length of its text, without a mark
    of a word's beginning or middle, and the last one reaches to the end of the piece.
    """
    fast = bool(tokenizer.is_fast)
    for begin in range(0, len(pieces), _AT_ONCE):
        part = pieces[begin : begin + _AT_ONCE]
        encoded = tokenizer(
            part, add_special_tokens=False, split_special_tokens=kind == "text", return_offsets_mapping=fast,
            verbose=False,
        )  # fmt: skip
        for number, piece in enumerate(part):
            ids = np.asarray(encoded["input_ids"][number], np.int64)
            if fast:
                starts = np.asarray(encoded["offset_mapping"][number], np.int64).reshape(-1, 2)[:, 0]
                edges = np.maximum.accumulate(np.concatenate([[0], starts[1:], [len(piece)]])[: len(ids) + 1])
                yield ids, np.diff(edges)
            else:
                words = tokenizer.convert_ids_to_tokens(ids.tolist())
                lengths = np.array([len(word.removeprefix("##").strip("▁Ġ")) for word in words], np.int64)
                ends = np.minimum(np.cumsum(lengths), len(piece))
                ends[-1:] = len(piece)
                yield ids, np.diff(ends, prepend=0)
