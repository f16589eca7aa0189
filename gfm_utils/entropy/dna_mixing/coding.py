"""The code: bits of each base, given all those before it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gfm_utils.entropy.dna_mixing.composition import new_composition
from gfm_utils.entropy.dna_mixing.copies import OPINIONS, new_copies
from gfm_utils.entropy.dna_mixing.counts import new_counts, new_forward
from gfm_utils.entropy.dna_mixing.kernel import SITUATIONS, Model, advance
from gfm_utils.entropy.dna_mixing.maps import new_maps
from gfm_utils.entropy.dna_mixing.matches import new_matches
from gfm_utils.entropy.dna_mixing.mixer import new_mixer
from gfm_utils.entropy.dna_mixing.seeds import LOG_SLOTS, new_seeds
from gfm_utils.entropy.dna_mixing.settings import FORWARD_ORDERS, SETTINGS, Mode, Settings
from gfm_utils.entropy.dna_mixing.switching import new_switch

#: Bases between two signs of progress.
_CHUNK = 100_000
#: Most bases that can be coded at a time: positions are kept as int32.
LONGEST = 2**31 - 2**10


def dna_context_mixing(
    codes: NDArray[np.integer[Any]], mode: Mode = Mode.FULL, progress: bool = False
) -> NDArray[np.float32]:
    """Bits that each base costs, coded after all those before it.

    The bits are −log2 of a probability that depends on the earlier bases only and sums to one over the four: a
    decoder could follow, and the sum is an upper bound on the information. Their running mean along the chromosome
    is its information profile.

    Memory grows with the sequence up to a limit (full mode 1.3 GB, fast 0.7, repeat-free 0.4); beside it a base
    takes 5.25 bytes (1 the code, 4 the result, 1/4 the packed copy), and 4 more in the full mode.

    Args:
        codes: shape (n,), bases 0 to 3 (A, C, G, T).
        mode: what the code may look at.
        progress: show bars, for the compilation (first call of an installation) and for the bases.

    Returns:
        Shape (n,), float32.

    Raises:
        ValueError: a code is not 0 to 3, or there are more than 2**31 bases.
    """
    codes = np.asarray(codes)
    if codes.ndim != 1 or (codes.size and not (codes.min() >= 0 and codes.max() <= 3)):
        raise ValueError("bases must be one row of codes 0 to 3 (A, C, G, T)")
    if len(codes) > LONGEST:
        raise ValueError(f"at most {LONGEST} bases can be coded at a time, not {len(codes)}")
    costs = np.zeros(len(codes), np.float32)
    if not codes.size:
        return costs
    compile_kernels(progress)
    # numba compiles anew for a read-only or strided array
    bases = np.require(codes, np.uint8, ["C", "W", "O"]) if codes.dtype == np.uint8 else codes.astype(np.uint8)
    model = new_model(SETTINGS[mode], len(bases))
    with tqdm(total=len(bases), desc=f"mixing ({mode})", unit="b", unit_scale=True, disable=not progress) as bar:
        for start in range(0, len(bases), _CHUNK):
            stop = min(start + _CHUNK, len(bases))
            advance(model, bases, start, stop, costs)
            bar.update(stop - start)
    return costs


def compile_kernels(progress: bool = False) -> None:
    """Compile the kernels, or load them where this installation has compiled them before.

    Args:
        progress: say so while it lasts (about 15 s once, then half a second).
    """
    with tqdm(total=1, desc="compiling the DNA mixer (once)", disable=not progress, leave=False) as bar:
        advance(new_model(SETTINGS[Mode.REPEAT_FREE], 1), np.zeros(1, np.uint8), 0, 1, np.zeros(1, np.float32))
        bar.update()


def new_model(settings: Settings, bases: int) -> Model:
    """A model that has seen nothing, with tables large enough for so many bases."""
    room = max(16, (4 * bases).bit_length())
    counts, seeds = new_counts(settings.count_orders), len(settings.seed_lengths)
    forward = new_forward(FORWARD_ORDERS, settings.heard_orders)
    opinions = len(counts.heard) + len(forward.heard) + len(settings.map_orders) + len(settings.composition)
    opinions += 2 * seeds + OPINIONS * (settings.experts > 0)
    return Model(
        counts=counts,
        forward=forward,
        maps=new_maps(settings.map_orders, min(settings.log_slots, room)),
        composition=new_composition(settings.composition),
        seeds=new_seeds(settings.seed_lengths, min(LOG_SLOTS, room), bases + 1 if settings.experts else 0),
        matches=new_matches(seeds),
        copies=new_copies(settings.experts),
        mixer=new_mixer(opinions, SITUATIONS[: settings.mixers]),
        switch=new_switch(1 + len(FORWARD_ORDERS)),
        words=np.zeros(-(-bases // 32), np.uint64),
        strands=np.zeros(2, np.uint64),
    )
