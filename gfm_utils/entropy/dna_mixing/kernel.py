"""One pass over the bases: predict, charge, learn."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gfm_utils.entropy.dna_mixing.compiling import entry, sources_digest
from gfm_utils.entropy.dna_mixing.composition import predict_composition, update_composition
from gfm_utils.entropy.dna_mixing.copies import predict_copies, start_copies, update_copies
from gfm_utils.entropy.dna_mixing.counts import predict_counts, update_counts
from gfm_utils.entropy.dna_mixing.forward import predict_forward, update_forward
from gfm_utils.entropy.dna_mixing.maps import predict_maps, update_maps
from gfm_utils.entropy.dna_mixing.matches import predict_matches, start_matches, update_matches
from gfm_utils.entropy.dna_mixing.mixer import learn_weights, mix
from gfm_utils.entropy.dna_mixing.numerics import TWO
from gfm_utils.entropy.dna_mixing.seeds import REACH, find_seeds, remember_word
from gfm_utils.entropy.dna_mixing.switching import switched, update_switch

#: Situations of the two mixers: trust in the best copy and confidence of the highest map; last four bases.
SITUATIONS = (256, 256)


class Model(NamedTuple):
    """All that the code has learned so far: the state of each part.

    Attributes:
        counts: a `CountModels`.
        forward: a `ForwardCodes`.
        maps: an `AdaptiveMaps`.
        composition: a `Composition`.
        seeds: a `Seeds`.
        matches: a `Matches`.
        copies: a `Copies`.
        mixer: a `Mixer`.
        switch: a `Switch`.
        words: shape (n / 32 rounded up,), uint64, the bases so far, packed.
        strands: shape (2,), uint64, the last 32 bases, latest in the low bits, and their reverse complement.
        rates: shape (2,), float64, first and final learning rate of the weights.
    """

    counts: Any
    forward: Any
    maps: Any
    composition: Any
    seeds: Any
    matches: Any
    copies: Any
    mixer: Any
    switch: Any
    words: Any
    strands: Any
    rates: Any


def _keyed(sources: int) -> Any:
    """The pass over the bases, cached under a digest of the sources."""

    @entry
    def advance(model: Any, codes: Any, start: Any, stop: Any, costs: Any, distributions: Any) -> None:
        """Code the bases from ``start`` to ``stop`` (exclusive), after all those before them.

        Args:
            model: the state after base ``start - 1``; changed.
            codes: shape (n,), uint8, bases 0 to 3; none is read before its turn.
            start: first base.
            stop: end.
            costs: shape (n,), float32, receives the bits.
            distributions: shape (n, 4), float32, receives the probabilities; or (0, 4): not wanted.
        """
        if not sources:  # never; read here so that it belongs to the cache's key
            return
        counts, maps, composition, seeds = model.counts, model.maps, model.composition, model.seeds
        matches, copies, mixer = model.matches, model.copies, model.mixer
        forward, switch = model.forward, model.switch
        first_forward = len(counts.orders)
        first_map = first_forward + len(forward.heard)
        first_composition = first_map + len(maps.orders)
        first_match = first_composition + len(composition.orders)
        first_copy = first_match + len(matches.lengths)
        experts = copies.seeding[0]
        last_map = first_composition - 1
        past, reverse = model.strands[0], model.strands[1]
        opinions, confidence = mixer.opinions, mixer.confidence
        for t in range(start, stop):
            base = np.int64(codes[t])
            predict_counts(counts, past, opinions, confidence, 0)
            predict_forward(forward, past, opinions, confidence, first_forward)
            predict_maps(maps, past, opinions, confidence, first_map)
            predict_composition(composition, past, opinions, confidence, first_composition)
            match = predict_matches(matches, codes, opinions, confidence, first_match)
            copy = 2 * match
            if experts:
                copy = predict_copies(copies, codes, t, past, opinions, confidence, first_copy)
            mixer.situations[0] = copy * 16 + confidence[last_map]
            mixer.situations[1] = np.int64(past & np.uint64(255))
            mix(mixer)
            if len(distributions):
                for other in range(4):
                    distributions[t, other] = switched(switch, mixer.probabilities, forward, other)
            probability = switched(switch, mixer.probabilities, forward, base)
            costs[t] = -np.log2(probability)
            update_switch(switch, probability, t)
            rate = np.float32(max(model.rates[1], model.rates[0] / np.sqrt(1 + t / 3000)))
            learn_weights(mixer, base, rate)
            update_composition(composition, base, past)
            past = (past << TWO) | np.uint64(base)
            reverse = (reverse >> TWO) | (np.uint64(3 - base) << np.uint64(62))
            update_counts(counts, base, t, past, reverse)
            update_forward(forward, base)
            update_maps(maps, base, t, past, reverse)
            if len(seeds.lengths):
                update_matches(matches, base, t)
                remember_word(model.words, t, past)
                if experts:
                    update_copies(copies, base)
                if t >= REACH + 1:
                    find_seeds(seeds, t, past, reverse)
                    start_matches(matches, seeds, model.words, past, reverse)
                    if experts:
                        start_copies(copies, seeds, model.words, t, past, reverse)
        model.strands[0], model.strands[1] = past, reverse

    return advance


#: The compiled pass.
advance = _keyed(sources_digest(Path(__file__).parent))
