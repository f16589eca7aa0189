"""Conditions: a corpus with a tokenizer, written ``corpus@tokenizer``."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gfm_utils import corpora
from gfm_utils.errors import GfmError
from gfm_utils.tokens.transforms import Transform

_TOKENIZER = re.compile(r"(?P<kind>kmer|bpe)(?P<size>[1-9][0-9]*)")
_CONDITION = re.compile(rf".@{_TOKENIZER.pattern}$")


@dataclass(frozen=True)
class Condition:
    """A corpus (registry name, path or address) and the name of a tokenizer.

    Attributes:
        corpus: registry name, path or address, e.g. ``tair10-chr1``, ``my/genome.fa.gz`` or
            ``https://host/genome.fa.gz``.
        tokenizer: ``kmer<k>`` with k from 1 to 8, or ``bpe<V>`` with V symbols and merges.
        transform: what makes a control of it (``shuffle``, ``noise0.25``, ``markov8``; all of them:
            :mod:`gfm_utils.tokens.transforms`), several with ``+`` between, or None for the corpus as it is.
    """

    corpus: str
    tokenizer: str
    transform: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read ``corpus@tokenizer`` or ``corpus+transform@tokenizer``.

        Raises:
            GfmError: there is no ``@``, the tokenizer's name is unknown, or see ``split_transform``.
        """
        corpus, at, tokenizer = text.rpartition("@")
        if not at or not corpus:
            raise GfmError(
                f"condition {text!r} is not of the form corpus@tokenizer (for example tair10-chr1@kmer4)"
            )
        tokenizer_kind(tokenizer)
        plain, transform = split_transform(corpus)
        return cls(plain, tokenizer, transform)

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


def is_condition(name: str) -> bool:
    """Whether a name of a result table is that of a condition, rather than of a corpus."""
    return _CONDITION.search(name) is not None


def is_control(name: str) -> bool:
    """Whether a name of a result table is that of a condition with a transform."""
    return is_condition(name) and Condition.parse(name).transform is not None


def corpora_of(conditions: Iterable[str]) -> list[str]:
    """The corpora of conditions, each once, in their order.

    Raises:
        GfmError: one is no condition.
    """
    return list(dict.fromkeys(Condition.parse(condition).corpus for condition in conditions))


def _is_corpus(name: str) -> bool:
    """Whether there is a corpus of that name, in the registry or as a file."""
    return corpora.user_path(name) is not None or name in corpora.registry()


def split_transform(text: str) -> tuple[str, str | None]:
    """The corpus and the transforms of ``corpus+transform``; any other ``+`` belongs to the name of a file.

    So does one before the name of a transform if there is a file or directory of that very name. Several
    transforms are made from left to right, ``corpus+markov4t0.33+noise0.3``; one of letters can only be the first.

    Args:
        text: what stands before the ``@`` of a condition, or would if it had a tokenizer.

    Raises:
        GfmError: the transform's number makes no sense, the corpus is there but no such transform, the text may
            mean a file as well as a control, or a transform of letters comes after another one.
    """
    plain, found = text, list[Transform]()
    while True:
        before, plus, last = plain.rpartition("+")
        if not plus or not before:
            break
        there = os.path.exists(os.path.expanduser(plain))  # noqa: PTH110, PTH111 of any text, also of no path
        if not Transform.named(last):
            if not there and _is_corpus(before):
                Transform.parse(last)  # says which there are
            break
        if there:
            if not _is_corpus(before):
                break
            raise GfmError(
                f"{plain!r} may mean a file of that name or a control of {before!r}, which is there too; rename "
                "the file"
            )
        found.insert(0, Transform.parse(last))
        plain = before
    if any(transform.on_symbols for transform in found[1:]):
        late = next(transform for transform in found[1:] if transform.on_symbols)
        raise GfmError(f"{text!r}: {str(late)!r} changes letters, so it must come before those that move tokens")
    return plain, "+".join(map(str, found)) or None


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
