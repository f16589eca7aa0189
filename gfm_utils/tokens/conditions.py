"""Conditions: a corpus with a tokenizer, written ``corpus@tokenizer`` or ``corpus+transform@tokenizer``.

The last ``@`` and the names of transforms before it count; any other ``@`` or ``+`` is part of the corpus's name.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from gfm_utils import corpora
from gfm_utils.errors import GfmError
from gfm_utils.tokens.transforms import Transform

_TOKENIZER = re.compile(r"(?P<kind>kmer|bpe)(?P<size>[1-9][0-9]*)")


@dataclass(frozen=True)
class Condition:
    """A corpus and the name of a tokenizer.

    Attributes:
        corpus: registry name, path or address, e.g. ``tair10-chr1``, ``my/genome.fa.gz`` or
            ``https://host/genome.fa.gz``.
        tokenizer: ``kmer<k>`` with k from 1 to 8, or ``bpe<V>`` with V symbols and merges.
        transform: what makes a control of it (:mod:`gfm_utils.tokens.transforms`), several with ``+`` between, or
            None for the corpus as it is.
    """

    corpus: str
    tokenizer: str
    transform: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read a condition from its text alone, such as that of a row: ``str`` of it is read back as itself.

        Raises:
            GfmError: there is no ``@`` or no tokenizer behind the last one, its name is unknown, a transform's
                number makes no sense, or a transform of letters comes after one of tokens.
        """
        before, tokenizer = _cut(text)
        corpus, names = _pieces(before)
        return cls(corpus, tokenizer, _joined(before, names))

    @classmethod
    def resolve(cls, text: str, missing_ok: bool = False) -> "Condition":
        """Read a condition that a user has typed, and check that its corpus is there, unless it may be missing.

        Raises:
            GfmError: as of ``parse`` and :func:`resolve_transform`, or there is no such corpus.
        """
        before, tokenizer = _cut(text)
        corpus, transform = resolve_transform(before)
        if not missing_ok:
            corpora.check_there(corpus)
        return cls(corpus, tokenizer, transform)

    @classmethod
    def of(cls, given: "str | Condition") -> "Condition":
        """A condition as it is, or what a user's text means (:meth:`resolve`)."""
        return given if isinstance(given, Condition) else cls.resolve(given)

    def __str__(self) -> str:
        return f"{self.corpus}{self.beside_corpus}"

    @property
    def beside_corpus(self) -> str:
        """Its text behind the corpus: ``@kmer4``, ``+shuffle@kmer4``."""
        return f"{'' if self.transform is None else f'+{self.transform}'}@{self.tokenizer}"

    @property
    def beside_tokenizer(self) -> str:
        """Its text in front of the tokenizer: ``tair10-chr1``, ``tair10-chr1+shuffle``."""
        return str(self).removesuffix(f"@{self.tokenizer}")

    @property
    def transforms(self) -> tuple[str, ...]:
        """Its transforms, from the first to the last."""
        return () if self.transform is None else tuple(self.transform.split("+"))

    def transformed(self, transform: str | None) -> "Condition":
        """The same corpus and tokenizer with another transform, or with none."""
        return replace(self, transform=transform)

    @property
    def slug(self) -> str:
        """The condition as part of a file name: anything unusual becomes ``-``, at most 60 characters."""
        return re.sub(r"[^A-Za-z0-9.@_]+", "-", str(self)).strip("-")[-60:]


@lru_cache(maxsize=4096)
def is_condition(name: str) -> bool:
    """Whether a name of a result table is that of a condition, rather than of a corpus."""
    try:
        Condition.parse(name)
    except GfmError:
        return False
    return True


def is_control(name: str) -> bool:
    """Whether a name of a result table is that of a condition with a transform."""
    return is_condition(name) and Condition.parse(name).transform is not None


def corpora_of(conditions: Iterable[str]) -> list[str]:
    """The corpora of conditions, each once, in their order.

    Raises:
        GfmError: one is no condition.
    """
    return list(dict.fromkeys(Condition.parse(condition).corpus for condition in conditions))


def names_tokenizer(text: str) -> bool:
    """Whether a tokenizer, known or not, is behind the last ``@``, and no part of a path or address."""
    corpus, at, tokenizer = text.rpartition("@")
    return bool(corpus and at) and re.search(r"[./\\:?#]", tokenizer) is None


def _cut(text: str) -> tuple[str, str]:
    """The text before the last ``@``, and the tokenizer behind it."""
    corpus, at, tokenizer = text.rpartition("@")
    if not at or not corpus:
        raise GfmError(f"condition {text!r} is not of the form corpus@tokenizer (for example tair10-chr1@kmer4)")
    if not names_tokenizer(text):
        raise GfmError(
            f"condition {text!r} names no tokenizer, for its last @ is a part of the corpus's name; write "
            f"{text}@kmer4 for DNA or {text}@bpe4096 for text"
        )
    tokenizer_kind(tokenizer)
    return corpus, tokenizer


def _is_corpus(name: str) -> bool:
    """Whether there is a corpus of that name, in the registry or as a file; what is at an address is not known."""
    return corpora.user_path(name) is not None or name in corpora.registry() or corpora.is_address(name)


def _pieces(text: str) -> tuple[str, list[str]]:
    """The corpus, and the names of transforms behind it."""
    before, _, last = text.rpartition("+")
    if not before or not Transform.named(last):
        return text, []
    corpus, names = _pieces(before)
    return corpus, [*names, last]


def resolve_transform(text: str) -> tuple[str, str | None]:
    """The corpus and the transforms of what a user has typed before the ``@``, or without a tokenizer.

    Raises:
        GfmError: a transform's number makes no sense, one of letters comes after one of tokens, a corpus that is
            there has no such transform, or a directory or a corpus of the registry has the name of a control.
    """
    corpus, names = _pieces(text)
    for count in range(1, len(names) + 1):
        whole = "+".join([corpus, *names[:count]])
        path = os.path.expanduser(whole)  # noqa: PTH111 of any text, also of no path
        if os.path.isdir(path) or whole in corpora.registry():  # noqa: PTH112
            raise GfmError(f"{whole!r} would be read as a control of {corpus!r}; rename it")
    before, _, last = corpus.rpartition("+")
    if before and not corpora.is_address(corpus) and not _is_corpus(corpus) and _is_corpus(before):
        Transform.parse(last)  # says which there are
    return corpus, _joined(text, names)


def _joined(text: str, names: Sequence[str]) -> str | None:
    found = [Transform.parse(name) for name in names]
    late = next((transform for transform in found[1:] if transform.on_symbols), None)
    if late is not None:
        raise GfmError(f"{text!r}: {str(late)!r} changes letters, so it must come before all others")
    return "+".join(map(str, found)) or None


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
