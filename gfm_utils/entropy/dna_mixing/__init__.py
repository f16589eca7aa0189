"""A context-mixing code for DNA: what each base costs an adaptive code that has read those before it.

Many small models say what comes next, and a mixer learns, base by base, which of them to believe where:

- `contexts`: counts of what followed the last 1 to 11 bases so far, and for up to 8 bases on the strand that is
  read alone; maps of the same for 12 to 22 bases, with the trust in rare contexts learned; and the composition of
  the last tens to hundreds of bases alone;
- `matches`: one running copy of the longest recent match, for several seed lengths;
- `copies`: an ensemble of copies that tolerate mutations, and know how copies err.

All but the composition and the forward counts read the inverted repeat (reverse complement) too.
A last stage weighs the mixer against the plain code of each order by Bayes' rule, so that the code is never more
than a few bits longer than the best of them: no mixer is trusted where a simple count does better.
`mixer` holds these two, `kernel` is the pass over the bases, `coding` the entry and what the modes look at.
The code is prequential: it predicts, is charged −log2 p, and only then learns, so that its length is that of a
decodable file and an *upper bound* on the entropy.
It joins ideas of XM (Cao et al., DCC 2007: copy experts), GeCo (Pratas et al., GigaScience 2020: inverted
repeats, tolerant context models), PAQ (Mahoney 2005: logistic mixing, histories mapped to probabilities) and
universal coding (Krichevsky and Trofimov 1981: counts; Herbster and Warmuth 1998, van Erven, Grünwald and de Rooij
2012: weights that switch).
"""

from gfm_utils.entropy.dna_mixing.coding import LONGEST, Mode, compile_kernels, dna_context_mixing

__all__ = ["LONGEST", "Mode", "compile_kernels", "dna_context_mixing"]
