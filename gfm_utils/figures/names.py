"""What estimators, coders, encoders and conditions are called in charts, tables and sentences for people."""

import re
from collections.abc import Sequence
from pathlib import PurePath

from gfm_utils.corpora import KINDS, registry
from gfm_utils.entropy.codelength import Coder
from gfm_utils.entropy.estimators import Estimator
from gfm_utils.entropy.matches import Matching
from gfm_utils.figures.palette import kind_of_name
from gfm_utils.tokens import Condition, is_condition

#: Names for people by the name in result tables, in the order in which they are shown.
ESTIMATOR_NAMES: dict[str, str] = {
    Estimator.PLUGIN: "plug-in",
    Estimator.MILLER_MADOW: "Miller–Madow",
    Estimator.GRASSBERGER: "Grassberger",
    Estimator.CHAO_SHEN: "Chao–Shen",
    Estimator.CHAO_WANG_JOST: "Chao–Wang–Jost",
    Estimator.NSB: "NSB",
    Matching.HARMONIC: "match length, harmonic",
    Matching.ARITHMETIC: "match length, arithmetic",
    Coder.ZLIB: "zlib",
    Coder.BZ2: "bzip2",
    Coder.LZMA: "LZMA",
    Coder.PPMD: "PPMd",
    Coder.CONTEXT_MIXING_REPEAT_FREE: "mixer, repeat-free",
    Coder.CONTEXT_MIXING_FAST: "mixer, fast",
    Coder.CONTEXT_MIXING: "context mixer",
}

#: Names for people of the presets whose positions are compared.
POSITION_NAMES: dict[str, str] = {
    "modernbert-2x64": "ModernBERT (rotary)",
    "roformer-2x64": "BERT, made rotary (RoFormer)",
    "bert-2x64": "BERT (absolute)",
}


def beside_tokenizer(name: str) -> str:
    """The name of a condition without its tokenizer, and that of a corpus as it is."""
    return Condition.parse(name).beside_tokenizer if is_condition(name) else name


def estimator_name(estimator: str) -> str:
    """The name for people of an estimator or coder (itself, if it has no other)."""
    return ESTIMATOR_NAMES.get(str(estimator), str(estimator))


def layer_name(x: str) -> str:
    """``encoder.0`` as people count: ``layer 1``."""
    layer = re.fullmatch(r"encoder\.(\d+)", x)
    return f"layer {int(layer[1]) + 1}" if layer else x


def chart_names(conditions: Sequence[str]) -> dict[str, str]:
    """Condition, or corpus -> what it is called in a chart: ``text``, ``DNA, 4-mers``, ``DNA, BPE``.

    Where two would have one name, and where the kind is not known, that is the condition without its folders.
    """
    names = {name: _chart_name(name) for name in conditions}
    return {
        name: PurePath(name).name if plain is None or list(names.values()).count(plain) > 1 else plain
        for name, plain in names.items()
    }


def _chart_name(name: str) -> str | None:
    """The kind of a condition and how DNA is cut; None where the kind is not known."""
    kind = kind_of_name(name)
    if kind is None:
        return None
    if not is_condition(name):
        return KINDS[kind].label
    condition = Condition.parse(name)
    size = condition.tokenizer.removeprefix("kmer")
    cut = "" if kind == "text" else ", BPE" if size == condition.tokenizer else f", {size}-mers"
    made = {None: "", "shuffle": " in random order"}.get(condition.transform, f" ({condition.transform})")
    return f"{KINDS[kind].label}{cut}{made}"


def corpus_name(corpus: str) -> str:
    """A corpus for people: its label if it is text, else organism and part; of a file its name without folders.

    ``English news``, ``Arabidopsis thaliana, chromosome 1``.
    """
    entry = registry().get(corpus)
    if entry is None:
        return PurePath(corpus).name
    if entry.kind != "dna":
        return entry.label or corpus
    said = re.sub(r" \([^)]*\)", "", entry.description)
    return re.sub(r"(chromosomes? \w+) .*", r"\1", ",".join(said.split(",")[:2]))


def cut_name(condition: str) -> str:
    """How a condition is cut into tokens: ``4-mers``, ``BPE of 256``."""
    tokenizer = Condition.parse(condition).tokenizer
    size = tokenizer.removeprefix("kmer").removeprefix("bpe")
    return f"{size}-mers" if tokenizer.startswith("kmer") else f"BPE of {size}"


def plain_name(condition: str) -> str:
    """A condition for people: ``English news``, ``Arabidopsis thaliana, chromosome 1, 4-mers``."""
    return f"{corpus_name(Condition.parse(condition).corpus)}, {cut_name(condition)}"
