"""One pass over the bases: predict, charge, learn."""

from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np

from gfm_utils.entropy.dna_mixing.contexts import (
    count_base,
    count_other_strand,
    predict_composition,
    predict_counts,
    predict_maps,
    update_composition,
    update_maps,
)
from gfm_utils.entropy.dna_mixing.copies import predict_copies, start_copies, update_copies
from gfm_utils.entropy.dna_mixing.matches import (
    REACH,
    find_seeds,
    predict_matches,
    remember_word,
    start_matches,
    update_matches,
)
from gfm_utils.entropy.dna_mixing.mixer import learn_weights, mix, switched, update_switch
from gfm_utils.entropy.dna_mixing.numerics import TWO, entry, sources_digest

#: Weight sets of the two mixers: by trust in the best copy and confidence of the highest map; by the last 4 bases.
SELECTORS = (256, 256)
#: The forward codes have no weights by confidence of their own but share those of the predictions two columns
#: before (16 confidences each); otherwise every recorded code length would be another.
_SHIFT = 32
#: First and least learning rate of the weights.
_RATE, _FINAL_RATE = 0.006, 0.0005

#: All that the code has learned so far: the state of each part; ``words``, shape (n / 32 rounded up,), uint64, the
#: bases so far, packed; and ``strands``, shape (2,), uint64, the last 32 bases, latest in the low bits, and their
#: reverse complement.
Model = namedtuple("Model", "counts forward maps composition seeds matches copies mixer switch words strands")


def _keyed(sources: int) -> Any:
    """The pass over the bases, cached under a digest of the sources."""

    @entry
    def advance(model: Any, codes: Any, start: Any, stop: Any, costs: Any) -> None:
        """Write the bits of bases ``start`` to ``stop`` (exclusive) into ``costs``; none is read early."""
        if not sources:  # never; read here so that it belongs to the cache's key
            return
        counts, forward, maps, composition, seeds, matches, copies, mixer, switch, words, strands = model
        first_forward = len(counts.orders)
        first_map = first_forward + len(forward.mixed)
        first_composition = first_map + len(maps.orders)
        first_match = first_composition + len(composition.orders)
        first_copy = first_match + len(matches.lengths)
        experts = len(copies.pointers)
        last_map = first_composition - 1
        past, reverse = strands[0], strands[1]
        predictions, confidence = mixer.predictions, mixer.confidence
        for t in range(start, stop):
            base = np.int64(codes[t])
            predict_counts(counts, past, predictions, confidence, 0, 0)
            predict_counts(forward, past, predictions, confidence, first_forward, _SHIFT)
            predict_maps(maps, past, predictions, confidence, first_map)
            predict_composition(composition, past, predictions, confidence, first_composition)
            match = predict_matches(matches, codes, predictions, confidence, first_match)
            copy = 2 * match
            if experts:
                copy = predict_copies(copies, codes, t, past, predictions, confidence, first_copy)
            mixer.selectors[0] = copy * 16 + confidence[last_map]
            mixer.selectors[1] = np.int64(past & np.uint64(255))
            mix(mixer)
            probability = switched(switch, mixer.probabilities, forward, base)
            costs[t] = -np.log2(probability)
            update_switch(switch, probability, t)
            rate = np.float32(max(_FINAL_RATE, _RATE / np.sqrt(1 + t / 3000)))
            learn_weights(mixer, base, rate)
            update_composition(composition, base, past)
            past = (past << TWO) | np.uint64(base)
            reverse = (reverse >> TWO) | (np.uint64(3 - base) << np.uint64(62))
            count_base(counts, base)
            count_other_strand(counts, t, past, reverse)
            count_base(forward, base)
            update_maps(maps, base, t, past, reverse)
            if len(seeds.lengths):
                update_matches(matches, base, t)
                remember_word(words, t, past)
                if experts:
                    update_copies(copies, base)
                if t >= REACH + 1:
                    find_seeds(seeds, t, past, reverse)
                    start_matches(matches, seeds, words, past, reverse)
                    if experts:
                        start_copies(copies, seeds, words, t, past, reverse)
        strands[0], strands[1] = past, reverse

    return advance


#: The compiled pass.
advance = _keyed(sources_digest(Path(__file__).parent))
