"""A context-mixing code for DNA: what each base costs an adaptive code that has read those before it.

Many small models say what comes next (`contexts`: counts, maps and local composition; `matches`: the longest
recent match; `copies`: an ensemble of copies that tolerate mutations), on both strands, and a mixer learns which
of them to believe where. A last stage weighs the mixer against the plain code of each order by Bayes' rule, so
that the code is never more than a few bits longer than the best of them.
`mixer` holds these two, `kernel` is the pass over the bases, `coding` the entry and what the modes look at.
The code is prequential: it predicts, is charged −log2 p, and only then learns, so that its length is that of a
decodable file and an *upper bound* on the entropy.
It joins ideas of XM (Cao et al., DCC 2007: copy experts), GeCo (Pratas et al., GigaScience 2020: inverted
repeats, tolerant context models), PAQ (Mahoney 2005: logistic mixing, histories mapped to probabilities) and
universal coding (Krichevsky and Trofimov 1981: counts; Herbster and Warmuth 1998, van Erven, Grünwald and de Rooij
2012: weights that switch).
"""

from gfm_utils.entropy.dna_mixing.coding import (
    FAST,
    FULL,
    LONGEST,
    REPEAT_FREE,
    compile_kernels,
    dna_context_mixing,
)

__all__ = ["FAST", "FULL", "LONGEST", "REPEAT_FREE", "compile_kernels", "dna_context_mixing"]
