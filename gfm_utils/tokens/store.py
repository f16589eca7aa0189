"""Token arrays on disk: one memory-mapped array a part, its segments, and the tokenizer that made it."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from gfm_utils import corpora
from gfm_utils.corpora import Segment
from gfm_utils.corpora.splitting import SPLIT
from gfm_utils.corpora.streaming import STREAMED
from gfm_utils.errors import GfmError
from gfm_utils.files import atomic, digest, locked, write_json
from gfm_utils.profiles import Profile
from gfm_utils.tokens import tokenizers, transforms
from gfm_utils.tokens.conditions import Condition
from gfm_utils.tokens.streaming import PARTS, Piece, rows_of, tokenize, write_parts
from gfm_utils.tokens.tokenizers import ALPHABET, SPECIAL
from gfm_utils.tokens.transforms import RECODED, BaseCode, Tokens, Transform

Integers = npt.NDArray[np.int64]

#: Bump when the same corpus and tokenizer name give other arrays than before (tests pin their hashes).
FORMAT = 1
#: A corpus with more symbols is streamed: tokenized piece by piece, and analyses that need its letters read so
#: many first ones. One of this size in memory takes up to 5 GB (measured).
LARGE = 100_000_000
_CHUNK = 1 << 24  # tokens counted at once
#: A part with fewer windows cannot serve.
FEWEST_WINDOWS = 4


@dataclass(frozen=True)
class TokenStore:
    """Tokens of one condition, read from its directory."""

    path: Path  # the directory: tokenizer/, <part>.npy, <part>-lengths.npy and store.json
    about: dict[str, Any]  # what store.json says: condition, kind, unit, key and the corpus's statistics

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer, as anyone would load it."""
        return PreTrainedTokenizerFast.from_pretrained(self.path / "tokenizer")

    @property
    def condition(self) -> str:
        """The condition, ``corpus@tokenizer``."""
        return str(self.about["condition"])

    @property
    def kind(self) -> str:
        """A key of :data:`gfm_utils.corpora.KINDS`."""
        return str(self.about["kind"])

    @property
    def unit(self) -> str:
        """``"character"``, ``"base"`` or ``"residue"``."""
        return str(self.about["unit"])

    @property
    def genome(self) -> bool:
        """Whether its bases are those of an organism, which have strands, and not a text in four letters."""
        return self.kind == "dna" and "base_code" not in self.about

    @property
    def streamed(self) -> bool:
        """Whether the corpus, or that of a control, is too large for memory: its letters cannot be transformed."""
        return "streamed" in self.about

    @property
    def vocabulary(self) -> int:
        """Tokens in the vocabulary, special tokens included."""
        return int(self.about["vocabulary"])

    @cached_property
    def token_lengths(self) -> Integers:
        """Bases or characters of each token, shape (vocabulary,)."""
        return tokenizers.token_lengths(self.tokenizer, self.kind)

    def readable(self, token: int) -> str:
        """A token as people read it, a space as ``␣``; a part of a character as the tokenizer writes it."""
        text = str(self.tokenizer.decode([token]))
        if not text or "\ufffd" in text:
            return str(self.tokenizer.convert_ids_to_tokens(token))
        return text.replace(" ", "␣").replace("\n", "⏎")

    def tokens(self, part: str) -> Tokens:
        """All tokens of a part, one segment after the other, memory-mapped."""
        return np.load(self.path / f"{part}.npy", mmap_mode="r")

    def moved(self, part: str) -> npt.NDArray[np.bool_]:
        """Which tokens of a part the noise, the last transform, has moved (or by chance left), shape (tokens,)."""
        *before, last = map(Transform.parse, Condition.parse(self.condition).transforms)
        again = [one.name for one in before].count("noise")
        rng = _generator(self.about["key"]["seed"], PARTS.index(part), again)
        return transforms.noise_places(last, len(self.tokens(part)), rng)

    def lengths(self, part: str) -> Integers:
        """Tokens of each segment of a part, shape (segments,)."""
        return np.asarray(np.load(self.path / f"{part}-lengths.npy"), np.int64)

    def segments(self, part: str) -> list[Tokens]:
        """The tokens of each segment of a part."""
        return np.split(self.tokens(part), np.cumsum(self.lengths(part))[:-1])

    def window_starts(self, part: str, window: int) -> Integers:
        """Offsets into ``tokens(part)`` of the windows: side by side, none crossing a segment's end.

        Raises:
            GfmError: the part has fewer than ``FEWEST_WINDOWS`` windows.
        """
        lengths = self.lengths(part)
        counts = lengths // window
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = np.repeat(np.cumsum(lengths) - lengths, counts) + window * within
        if len(starts) < FEWEST_WINDOWS:
            few = f"its {part} part has {len(starts)} windows of {window} tokens and {FEWEST_WINDOWS} are needed"
            if lengths.sum() < window * FEWEST_WINDOWS:
                raise GfmError(f"corpus of {self.condition!r} is too short: {few}; give a longer corpus")
            raise GfmError(
                f"the records of {self.condition!r} are too short ({lengths.mean():.0f} tokens on average): "
                f"{few}; give longer records, for example by joining short ones, or a profile with a smaller "
                "window"
            )
        return starts

    def windows(self, part: str, starts: Integers, window: int) -> Integers:
        """Token ids of the windows at ``starts``, shape (n, window)."""
        return cut_windows(self.tokens(part), starts, window)

    def counts(self, part: str) -> Integers:
        """How often each token occurs in a part, shape (vocabulary,)."""
        tokens, total = self.tokens(part), np.zeros(self.vocabulary, np.int64)
        for begin in range(0, len(tokens), _CHUNK):
            total += np.bincount(tokens[begin : begin + _CHUNK], minlength=len(total))
        return total


def cut_windows(tokens: Tokens, starts: Integers, window: int) -> Integers:
    """Token ids of the windows at ``starts``, shape (n, window)."""
    return tokens[starts[:, None] + np.arange(window)].astype(np.int64)


def prepare(condition: str | Condition, profile: Profile, runs_dir: Path, seed: int = 42) -> TokenStore:
    """Tokens of a condition: found on disk, or made (corpus, split, tokenizer from the training part, arrays).

    A corpus of more than ``LARGE`` symbols is tokenized in bounded memory (:mod:`gfm_utils.tokens.streaming`).

    Args:
        condition: as a user types it (:meth:`Condition.resolve`), or parsed.
        profile: its ``max_symbols`` and ``tokenizer_symbols`` bound what is read.
        runs_dir: where ``tokens/<condition>-<key>`` is, or will be.
        seed: of the split and of the sample that BPE learns from.

    Raises:
        GfmError: the corpus cannot be had, read, split or tokenized; the message says why.
    """
    parsed = Condition.of(condition)
    recoded = parsed.transforms == (RECODED,)
    if parsed.transforms and not recoded:
        before = parsed.transformed("+".join(parsed.transforms[:-1]) or None)
        return _transformed(parsed, prepare(before, profile, runs_dir, seed), profile, seed)
    plan = corpora.plan(parsed.corpus, progress=True)
    large = _is_large(plan, profile)
    key: dict[str, Any] = {
        "condition": str(parsed), "corpus": plan.key(plan.limit(profile.max_symbols)),
        "formats": [corpora.FORMAT, FORMAT, SPLIT, *([STREAMED] if large else [])],
        "max_symbols": profile.max_symbols, "tokenizer_symbols": profile.tokenizer_symbols, "seed": seed,
    }  # fmt: skip
    if plan.kind == "text":
        key["formats"].append({"alphabet": ALPHABET})
    if profile.text_symbols != "bytes" and plan.kind == "text":
        key["text_symbols"] = profile.text_symbols
    if large and (rows := rows_of(plan, profile)) is not None:
        key["rows"] = rows  # and tokens of each
    if recoded:
        if plan.kind != "text":
            what = f"{corpora.KINDS[plan.kind].label} has few letters already"
            raise GfmError(f"{str(parsed)!r}: transform {RECODED!r} is for text, and {what}")
        _check_in_memory(parsed, large)
        key["formats"].append({RECODED: transforms.RECODING})
    about = {
        "condition": str(parsed), "kind": plan.kind, "unit": corpora.KINDS[plan.kind].unit,
        "corpus": {"name": plan.name, "checksum": key["corpus"], "licence": plan.licence},
    }  # fmt: skip

    def make(folder: Path) -> dict[str, Any]:
        if large:
            return about | tokenize(folder, parsed.tokenizer, plan, profile, seed)
        return about | _make(folder, parsed, profile, seed)

    return _found_or_made(Path(runs_dir) / "tokens", parsed, key, make)


def _found_or_made(
    folder: Path, condition: Condition, key: dict[str, Any], make: Callable[[Path], dict[str, Any]]
) -> TokenStore:
    """The store of a condition, found by the key of all that its arrays depend on, or made.

    ``make`` writes the arrays into a directory, and returns what else ``store.json`` says of them.
    """
    path = folder / f"{condition.slug}-{digest(key)}"
    with locked(path):
        if not (path / "store.json").exists():
            with atomic(path) as temporary:
                temporary.mkdir(parents=True)
                write_json(temporary / "store.json", make(temporary) | {"key": key})
    return TokenStore(path, json.loads((path / "store.json").read_text(encoding="utf-8")))


def _make(folder: Path, condition: Condition, profile: Profile, seed: int) -> dict[str, Any]:
    """Write the tokens of a corpus in memory; text in four letters is split as text is, and then read as DNA."""
    corpus = load_corpus(condition.corpus, profile)
    split = corpora.split(corpus, seed=seed, max_symbols=profile.max_symbols)
    kind, parts = corpus.kind, split.parts()
    about: dict[str, Any] = {}
    if condition.transforms == (RECODED,):
        code, kind = BaseCode.fit(split.train), "dna"
        parts = {part: transforms.recode(code, segments) for part, segments in parts.items()}
        about = {"kind": kind, "unit": "base", "base_code": list(code.order)}
    most = tokenizers.learned_symbols(kind, profile.tokenizer_symbols)
    try:
        tokenizer = tokenizers.train_tokenizer(
            condition.tokenizer, parts["train"], kind, most, seed, profile.text_symbols
        )
    except GfmError as error:  # of many conditions it says which
        raise GfmError(f"{condition}: {error}") from None
    tokenizer.save_pretrained(folder / "tokenizer")
    sizes = _encoded(folder, tokenizer, condition.tokenizer, parts, kind)
    return {"vocabulary": len(tokenizer), "parts": sizes, **about}


def _transformed(condition: Condition, plain: TokenStore, profile: Profile, seed: int) -> TokenStore:
    """The store of a condition with a transform, found, or made from that without its last one."""
    *before, transform = map(Transform.parse, condition.transforms)
    key = {"of": plain.about["key"], "transform": str(transform), "format": transforms.FORMAT, "seed": seed}
    about = plain.about | {"condition": str(condition)}
    about.pop("entropy_rate", None)  # of a chain that is set below
    again = [one.name for one in before].count(transform.name)  # a second noise chooses others

    def pieces() -> Iterator[Piece]:
        for number, part in enumerate(PARTS):
            lengths, rng = plain.lengths(part), _generator(seed, number, again)
            vocabulary = len(SPECIAL), plain.vocabulary
            tokens = transforms.transform_tokens(transform, plain.tokens(part), lengths, vocabulary, rng)
            yield number, 0, np.split(tokens, np.cumsum(lengths)[:-1])[: len(lengths)]

    def make(folder: Path) -> dict[str, Any]:
        shutil.copytree(plain.path / "tokenizer", folder / "tokenizer")
        if transform.on_symbols:
            return about | _transformed_symbols(folder, condition, transform, plain, profile, seed)
        return about | {"parts": write_parts(folder, pieces(), plain.token_lengths)}

    return _found_or_made(plain.path.parent, condition, key, make)


def _generator(seed: int, part: int, again: int = 0) -> np.random.Generator:
    """What a transform draws from, in the part of that number."""
    return np.random.default_rng([seed, part, again] if again else [seed, part])


def _transformed_symbols(
    folder: Path, condition: Condition, transform: Transform, plain: TokenStore, profile: Profile, seed: int
) -> dict[str, Any]:
    """Write the tokens of the transformed letters of each part, by the plain tokenizer."""
    _check_in_memory(condition, _is_large(corpora.plan(condition.corpus, progress=True), profile))
    corpus = load_corpus(condition.corpus, profile)
    if corpus.checksum != plain.about["key"]["corpus"]:
        raise GfmError(
            f"{condition.corpus} has changed while the tokens of {str(condition)!r} were made; run it again when "
            "nothing writes to it any more"
        )
    parts = corpora.split(corpus, seed=seed, max_symbols=profile.max_symbols).parts()
    change, chain = transforms.symbol_transform(transform, corpus.kind, parts["train"])
    changed = {part: change(parts[part], _generator(seed, number)) for number, part in enumerate(PARTS)}
    made: dict[str, Any] = {"parts": _encoded(folder, plain.tokenizer, condition.tokenizer, changed, corpus.kind)}
    if chain is not None:
        contexts = len(chain.stationary)
        made["entropy_rate"] = {"value": chain.rate, "unit": f"bits/{plain.unit}", "contexts": contexts}
    return made


def _encoded(
    folder: Path, tokenizer: PreTrainedTokenizerFast, name: str, parts: Mapping[str, list[Segment]], kind: str
) -> dict[str, Any]:
    """Write the tokens of each part; returns how many symbols and tokens it has."""
    pieces = (
        (number, sum(map(len, segments)), tokenizers.encode(tokenizer, name, segments, kind))
        for number, segments in enumerate(parts.values())
    )
    lossy = tokenizers.loses_space(tokenizer, kind)
    return write_parts(folder, pieces, tokenizers.token_lengths(tokenizer, kind) if lossy else None)


def load_corpus(source: str, profile: Profile) -> corpora.Corpus:
    """A corpus for analyses that need its letters: whole, or the first ``LARGE`` symbols of a larger one.

    Of a stream it is as much as the profile uses, if that is less.
    """
    plan = corpora.plan(source, progress=True)
    most = plan.limit(profile.max_symbols)
    if _is_large(plan, profile):
        most = LARGE
        tqdm.write(f"{source} is large: analyses of its letters read the first {LARGE:,} of them", file=sys.stderr)
    return corpora.load(source, max_symbols=most, progress=True)


def _is_large(plan: corpora.Plan, profile: Profile) -> bool:
    """Whether a source is more than is held in memory; of a file its size decides, whatever is used of it."""
    symbols = profile.max_symbols if plan.stream is not None else plan.symbols
    return symbols is not None and symbols > LARGE


def _check_in_memory(condition: Condition, large: bool) -> None:
    """Refuse a transform of the letters of a corpus that is not held in memory."""
    if large:
        mend = "give a part of it as a file of its own, or use a transform of tokens (noise0.5)"
        raise GfmError(
            f"{str(condition)!r}: transform {condition.transforms[-1]!r} needs the corpus in memory, and it has "
            f"more than {LARGE:,} symbols; {mend}"
        )


def random_store(path: Path, vocabulary: int, tokens: int) -> TokenStore:
    """A store without a tokenizer, each part so many tokens drawn uniformly, to measure what a step costs.

    ``vocabulary`` includes the special tokens, which do not occur.
    """
    rng = np.random.default_rng(0)
    path.mkdir(parents=True)
    for part in PARTS:
        np.save(path / f"{part}.npy", rng.integers(len(SPECIAL), vocabulary, tokens).astype(np.uint16))
        np.save(path / f"{part}-lengths.npy", np.array([tokens]))
    about: dict[str, Any] = {"condition": "random", "kind": "dna", "unit": "base", "key": {"random": tokens}}
    about |= {"vocabulary": vocabulary}
    write_json(path / "store.json", about)
    return TokenStore(path, about)
