"""Conditions: a corpus with a tokenizer, written ``corpus@tokenizer``."""

import re
from dataclasses import dataclass, replace

from gfm_utils.errors import GfmError
from gfm_utils.tokens.transforms import Transform

_TOKENIZER = re.compile(r"(?P<kind>kmer|bpe)(?P<size>[1-9][0-9]*)")


@dataclass(frozen=True)
class Condition:
    """A corpus (registry name or path) and the name of a tokenizer.

    Attributes:
        corpus: registry name or path, e.g. ``tair10-chr1`` or ``my/genome.fa.gz``.
        tokenizer: ``kmer<k>`` with k from 1 to 8, or ``bpe<V>`` with V symbols and merges.
        transform: what makes a control of it (``shuffle``, ``noise0.25``, ``markov8``; all of them:
            :mod:`gfm_utils.tokens.transforms`), or None for the corpus as it is.
    """

    corpus: str
    tokenizer: str
    transform: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read ``corpus@tokenizer`` or ``corpus+transform@tokenizer``.

        Raises:
            GfmError: there is no ``@``, the tokenizer's name is unknown, or the transform's number makes no sense.
        """
        corpus, at, tokenizer = text.rpartition("@")
        if not at or not corpus:
            raise GfmError(
                f"condition {text!r} is not of the form corpus@tokenizer (for example tair10-chr1@kmer4)"
            )
        tokenizer_kind(tokenizer)
        plain, plus, transform = corpus.rpartition("+")
        if plus and plain and Transform.named(transform):  # any other "+" belongs to the name of a file
            return cls(plain, tokenizer, str(Transform.parse(transform)))
        return cls(corpus, tokenizer)

    def __str__(self) -> str:
        transform = "" if self.transform is None else f"+{self.transform}"
        return f"{self.corpus}{transform}@{self.tokenizer}"

    def transformed(self, transform: str | None) -> "Condition":
        """The same corpus and tokenizer with another transform, or with none."""
        return replace(self, transform=transform)

    @property
    def slug(self) -> str:
        """The condition as part of a file name: anything unusual becomes ``-``, at most 60 characters."""
        return re.sub(r"[^A-Za-z0-9.@_]+", "-", str(self)).strip("-")[-60:]


def tokenizer_kind(name: str) -> tuple[str, int]:
    """Kind (``"kmer"`` or ``"bpe"``) and size of a tokenizer's name.

    Raises:
        GfmError: the name is unknown or its size out of range (k-mers 1 to 8; BPE 5 to 65,000).
    """
    match = _TOKENIZER.fullmatch(name)
    if match is None:
        raise GfmError(f"unknown tokenizer {name!r}; use kmer<k> with k from 1 to 8 (kmer6) or bpe<V> (bpe4096)")
    kind, size = match["kind"], int(match["size"])
    if kind == "kmer" and size > 8:
        raise GfmError(f"tokenizer {name!r}: k-mers are built for k from 1 to 8, {size} is too long")
    if kind == "bpe" and not 5 <= size <= 65_000:
        raise GfmError(f"tokenizer {name!r}: BPE takes from 5 to 65000 symbols and merges, not {size}")
    return kind, size
