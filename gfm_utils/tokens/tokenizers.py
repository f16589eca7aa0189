"""Tokenizers in Hugging Face's fast format: non-overlapping k-mers of DNA or protein, and byte-pair encoding."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, product
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from gfm_utils.corpora import KINDS, Segment
from gfm_utils.errors import GfmError
from gfm_utils.profiles import TextSymbols
from gfm_utils.tokens.conditions import tokenizer_kind

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: A sequence has no words: BPE sees it in stretches of this many letters, so that the cost stays linear.
STRETCH = 10_000
#: Bases or residues that BPE learns from at most: without words a trainer holds every one, in 48 bytes (measured).
MOST_BASES = 100_000_000
#: Byte -> the character that byte-level BPE writes for it (GPT-2's table).
_BYTES = bytes_to_unicode()
#: Those for the bytes 0x80 to 0xBF, which begin no character.
_CONTINUING = frozenset(_BYTES[byte] for byte in range(0x80, 0xC0))
#: To be raised when byte pairs of a text become others: their keys hold it.
ALPHABET = 2
#: K-mers that a vocabulary may have: those of eight bases.
MOST_KMERS = 4**8
#: Largest share of a text that a byte-pair vocabulary may leave as [UNK].
RARE = 0.001


def train_tokenizer(
    name: str,
    segments: Iterable[Segment],
    kind: str,
    max_symbols: int | None,
    seed: int,
    text_symbols: TextSymbols = "bytes",
) -> PreTrainedTokenizerFast:
    """Build the tokenizer ``name``, learning (for BPE) from the given segments alone.

    Its first five ids are the special tokens ``SPECIAL``; a text that mentions one is text to it like any other.

    Args:
        name: ``kmer<k>`` or ``bpe<V>``.
        segments: the training part of a corpus.
        kind: of the corpus.
        max_symbols: BPE learns from about this many symbols, a seeded choice of stretches; None: from
            all, which are read twice; what is no iterator need not be in memory together.
        seed: of that choice.
        text_symbols: see :class:`gfm_utils.profiles.Profile`.

    Raises:
        GfmError: k-mers asked for text, or too long ones for protein; or the text has too many distinct bytes or
            characters for ``V``, or the corpus too few pairs to merge.
    """
    family, size = tokenizer_kind(name)
    if family == "kmer":
        alphabet = KINDS[kind].alphabet
        if not alphabet:
            raise GfmError(
                f"tokenizer {name!r} is for DNA and protein, but the corpus is text; use bpe<V>, e.g. bpe256"
            )
        if len(alphabet) ** size > MOST_KMERS:
            raise GfmError(
                f"tokenizer {name!r} would have {len(alphabet) ** size:,} tokens of {KINDS[kind].label}, and "
                f"{MOST_KMERS:,} are the most; use shorter k-mers or bpe<V>, e.g. bpe256"
            )
        words = [*SPECIAL, *map("".join, product(alphabet, repeat=size))]
        vocabulary = {word: index for index, word in enumerate(words)}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f".{{1,{size}}}"), behavior="isolated")
        tokenizer.decoder = decoders.Fuse()
    else:
        segments = list(segments) if isinstance(segments, Iterator) else segments

        def pieces() -> Iterator[str]:
            return (piece for segment in segments for piece in stretches(segment, kind))

        chosen = None if max_symbols is None else list(_sample(list(pieces()), max_symbols, seed))
        tokenizer = _byte_pairs(
            name, size, pieces if chosen is None else partial(iter, chosen), kind, text_symbols
        )
    roles = {token[1:-1].lower() + "_token": token for token in SPECIAL}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, split_special_tokens=True, **roles)


def _byte_pairs(
    name: str, size: int, sample: Callable[[], Iterable[str]], kind: str, text_symbols: TextSymbols
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.decoder = decoders.Fuse()
    letters = list[str]()
    if kind == "text":
        # Words as GPT-2 cuts them, or by white space. The commonest symbols take half of the vocabulary at most;
        # of equally common ones the trainer by itself would keep others at each run.
        counts = Counter(chain.from_iterable(_symbols(text, text_symbols) for text in sample()))
        _check_symbols(name, size, text_symbols, counts)
        letters = sorted(counts, key=lambda letter: (-counts[letter], letter))[: size // 2]
        if text_symbols == "bytes":
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            tokenizer.decoder = decoders.ByteLevel()
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=size + len(SPECIAL),
        special_tokens=list(SPECIAL),
        limit_alphabet=len(KINDS[kind].alphabet) or len(letters),
        initial_alphabet=letters,
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample(), trainer)
    learned = tokenizer.get_vocab_size() - len(SPECIAL)
    if learned < size:
        raise GfmError(
            f"tokenizer {name!r}: the training part holds only {learned} distinct symbols and pairs to merge; "
            f"use bpe{learned} or smaller, or a larger corpus"
        )
    return tokenizer


def _symbols(text: str, text_symbols: TextSymbols) -> Iterable[str]:
    """What byte pairs of a text are made of: the characters that stand for its bytes, or its own but for space."""
    return map(_BYTES.__getitem__, text.encode()) if text_symbols == "bytes" else "".join(text.split())


def _check_symbols(name: str, size: int, text_symbols: TextSymbols, counts: Counter[str]) -> None:
    """Refuse a vocabulary half of which leaves more than ``RARE`` of the text's symbols unknown."""
    ordered = np.sort(np.fromiter(counts.values(), np.int64))[::-1]
    lost = ordered[size // 2 :].sum() / ordered.sum()
    if lost > RARE:
        needed = 2 * int((np.cumsum(ordered) < (1 - RARE) * ordered.sum()).sum() + 1)
        raise GfmError(
            f"tokenizer {name!r} has no room for the different {text_symbols} of this text: {lost:.1%} would be "
            f"unknown; use bpe{max(needed, size + 1)} or larger"
        )


def learned_symbols(kind: str, wanted: int | None) -> int | None:
    """How many symbols BPE learns from where a profile wants so many, or all; None: all."""
    return MOST_BASES if wanted is None and kind != "text" else wanted


def stretches(segment: Segment, kind: str) -> list[str]:
    """The texts given to the tokenizer for one segment: text whole, sequences in stretches of ``STRETCH``."""
    if kind == "text":
        return [segment.text]
    return [segment.text[begin : begin + STRETCH] for begin in range(0, len(segment.text), STRETCH)]


def _sample(pieces: Sequence[str], max_symbols: int, seed: int) -> Iterator[str]:
    taken = 0
    for index in np.random.default_rng(seed).permutation(len(pieces)):
        yield pieces[index]
        taken += len(pieces[index])
        if taken >= max_symbols:
            return


def encode(
    tokenizer: PreTrainedTokenizerFast, name: str, segments: Sequence[Segment], kind: str
) -> list[npt.NDArray[np.uint16]]:
    """Token ids of each segment; a last incomplete k-mer is dropped.

    k-mers are computed from the letters, which gives the ids of the tokenizer, much faster.
    """
    family, size = tokenizer_kind(name)
    if family == "kmer":
        return [_encode_kmers(segment.text, size, KINDS[kind].alphabet) for segment in segments]
    pieces = [stretches(segment, kind) for segment in segments]
    fast: Any = tokenizer.backend_tokenizer
    encodings = iter(fast.encode_batch_fast([*chain.from_iterable(pieces)], add_special_tokens=False))
    return [np.concatenate([np.asarray(next(encodings).ids, np.uint16) for _ in texts]) for texts in pieces]


def _encode_kmers(text: str, k: int, alphabet: str) -> npt.NDArray[np.uint16]:
    code = np.zeros(256, np.uint32)
    code[np.frombuffer(alphabet.encode(), np.uint8)] = np.arange(len(alphabet))
    letters = code[np.frombuffer(text[: len(text) // k * k].encode("ascii"), np.uint8)].reshape(-1, k)
    powers = len(alphabet) ** np.arange(k - 1, -1, -1, dtype=np.uint32)
    return (letters @ powers + len(SPECIAL)).astype(np.uint16)


def loses_space(tokenizer: PreTrainedTokenizerFast, kind: str) -> bool:
    """Whether the white space of a text is in none of its tokens."""
    fast: Any = tokenizer.backend_tokenizer
    return kind == "text" and isinstance(fast.pre_tokenizer, pre_tokenizers.Whitespace)


def token_lengths(tokenizer: PreTrainedTokenizerFast, kind: str) -> npt.NDArray[np.int64]:
    """Bases, residues or characters that each token stands for, shape (vocabulary,); special tokens have 0.

    A character of several bytes counts for the token that holds its first byte.
    """
    words = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    uncounted = _CONTINUING if kind == "text" and not loses_space(tokenizer, kind) else frozenset()
    counted = [sum(character not in uncounted for character in word) for word in words]
    return np.array([0] * len(SPECIAL) + counted[len(SPECIAL) :], np.int64)
