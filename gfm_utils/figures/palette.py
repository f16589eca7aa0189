"""One colour a thing in the whole book: text is blue, DNA orange, DNA cut by BPE pink, protein green.

What is untrained, chance, or a level is grey. All can be told apart by colour-blind readers (Okabe and Ito, 2008).
"""

from collections.abc import Sequence

from gfm_utils.corpora import Kind, registry
from gfm_utils.tokens import Condition, is_condition

KIND_COLOURS: dict[Kind, str] = {"text": "#0072B2", "dna": "#D55E00", "protein": "#009E73"}
DNA_BPE = "#CC79A7"
#: Untrained members, levels of chance, and rules at zero.
NEUTRAL = "#6e6e6e"
#: What is no corpus: parts of a model, estimators, classes of bases; and a second corpus of one colour.
OTHERS = ("#56B4E9", "#E69F00", "#332288", "#882255", "#999933", "#44AA99")
#: From little to much.
HEAT = ("#f2f0f7", "#cbc9e2", "#9e9ac8", "#6a51a3", "#3f007d")


def kind_of_name(name: str) -> Kind | None:
    """The kind of a corpus or condition of the registry, and of k-mers, which only DNA has; else None."""
    condition = Condition.parse(name) if is_condition(name) else None
    entry = registry().get(condition.corpus if condition else name)
    if entry is not None:
        return entry.kind
    return "dna" if condition is not None and condition.tokenizer.startswith("kmer") else None


def condition_colours(conditions: Sequence[str]) -> list[str]:
    """A colour for each condition, or corpus, by what it is; a second one of a kind has a colour of its own."""
    others, taken, colours = iter(OTHERS * len(conditions)), set[tuple[str, bool]](), []
    for name in conditions:
        kind, cut = kind_of_name(name), is_condition(name)
        colour = None if kind is None else KIND_COLOURS[kind]
        if kind == "dna" and cut and Condition.parse(name).tokenizer.startswith("bpe"):
            colour = DNA_BPE
        if cut and "shuffle" in Condition.parse(name).transforms:
            colour = NEUTRAL
        if colour is None or (colour, cut) in taken:
            colour = next(others)
        taken.add((colour, cut))
        colours.append(colour)
    return colours
