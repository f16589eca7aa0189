"""The code: bits of each base, given all those before it; and what each mode of it looks at."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gfm_utils.entropy.dna_mixing.contexts import new_composition, new_counts, new_maps
from gfm_utils.entropy.dna_mixing.copies import PREDICTIONS, new_copies
from gfm_utils.entropy.dna_mixing.kernel import SELECTORS, Model, advance
from gfm_utils.entropy.dna_mixing.matches import LOG_SLOTS, new_matches, new_seeds
from gfm_utils.entropy.dna_mixing.mixer import new_mixer, new_switch

#: Orders of the codes that stand beside the mixer in the last stage, in every mode. The tables of higher ones are
#: out of the processor's caches, and would cost a tenth of the full mode's speed and more.
FORWARD_ORDERS = tuple(range(9))


@dataclass(frozen=True)
class Settings:
    """The models of a mode; tuned on the first 4 Mb of *A. thaliana*'s chromosome 1, and on nothing else.

    Attributes:
        count_orders: orders with plain counts, 0 to 12; at least one.
        map_orders: orders with adaptive maps, 3 to 24; at least one.
        composition: local models, each an order and the number of bases that it remembers.
        mixed_orders: of the `FORWARD_ORDERS`, those whose counts the mixer reads too.
        log_slots: log2 of the most slots (2 bytes) of an adaptive map.
        seed_lengths: contexts, 11 to 31, whose last occurrence starts matches, on either strand, and copies.
        experts: most copies that run at a time.
        mixers: 1 or 2, see `gfm_utils.entropy.dna_mixing.kernel.SELECTORS`.
    """

    count_orders: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 10, 11)
    map_orders: tuple[int, ...] = (12, 16, 22)
    composition: tuple[tuple[int, int], ...] = ((0, 10), (0, 30), (0, 150), (1, 40), (2, 40), (2, 150))
    mixed_orders: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    log_slots: int = 26
    seed_lengths: tuple[int, ...] = (24, 16, 11)
    experts: int = 24
    mixers: int = 2


#: Everything: the shortest code.
FULL = Settings()
#: Fewer orders and no ensemble of copies: about twice as fast, a little longer (chromosome 1 of *A. thaliana*:
#: 1.73 bits a base, not 1.69).
FAST = Settings(
    count_orders=(2, 4, 6, 8, 10, 11), map_orders=(12, 18), composition=((0, 16), (1, 40), (2, 150)),
    mixed_orders=(3,), log_slots=24, seed_lengths=(20, 12), experts=0, mixers=1,
)  # fmt: skip
#: Orders up to 12 and local composition only: nothing is copied, so that repeats gain (almost) nothing. The fair
#: baseline for a model with a short context.
REPEAT_FREE = Settings(map_orders=(12,), mixed_orders=(3,), seed_lengths=(), experts=0)

#: Bases between two updates of the progress bar.
_CHUNK = 100_000
#: Most bases that can be coded at a time: positions are kept as int32.
LONGEST = 2**31 - 2**10


def dna_context_mixing(
    codes: NDArray[np.integer[Any]], settings: Settings = FULL, progress: bool = False
) -> NDArray[np.float32]:
    """Bits that each base costs, coded after all those before it: −log2 of its probability, shape (n,), float32.

    Memory grows with the sequence up to a limit (full mode 1.3 GB, fast 0.7, repeat-free 0.4); beside it a base
    takes 5.25 bytes (1 the code, 4 the result, 1/4 the packed copy), and 4 more in the full mode.

    Args:
        codes: shape (n,), bases 0 to 3 (A, C, G, T), at most ``LONGEST``.
        settings: what the code may look at.
        progress: show bars, for the compilation (first call of an installation) and for the bases.

    Raises:
        ValueError: a code is not 0 to 3.
    """
    codes = np.asarray(codes)
    if codes.ndim != 1 or (codes.size and not (codes.min() >= 0 and codes.max() <= 3)):
        raise ValueError("bases must be one row of codes 0 to 3 (A, C, G, T)")
    costs = np.zeros(len(codes), np.float32)
    compile_kernels(progress)
    # numba compiles again for a read-only or strided array
    bases = np.require(codes, np.uint8, ["C", "W", "O"]) if codes.dtype == np.uint8 else codes.astype(np.uint8)
    model = new_model(settings, len(bases))
    with tqdm(total=len(bases), desc="mixing", unit="b", unit_scale=True, disable=not progress) as bar:
        for start in range(0, len(bases), _CHUNK):
            stop = min(start + _CHUNK, len(bases))
            advance(model, bases, start, stop, costs)
            bar.update(stop - start)
    return costs


def compile_kernels(progress: bool = False) -> None:
    """Compile the kernels (about 15 s, once an installation), or load them; ``progress``: show a bar."""
    with tqdm(total=1, desc="compiling the DNA mixer (once)", disable=not progress, leave=False) as bar:
        advance(new_model(REPEAT_FREE, 1), np.zeros(1, np.uint8), 0, 1, np.zeros(1, np.float32))
        bar.update()


def new_model(settings: Settings, bases: int) -> Model:
    """A model that has seen nothing, with tables large enough for so many bases."""
    room = max(16, (4 * bases).bit_length())
    seeds = len(settings.seed_lengths)
    predictions = len(settings.count_orders) + len(settings.mixed_orders) + len(settings.map_orders)
    predictions += len(settings.composition) + 2 * seeds + PREDICTIONS * (settings.experts > 0)
    return Model(
        counts=new_counts(settings.count_orders, settings.count_orders, both_strands=True),
        forward=new_counts(FORWARD_ORDERS, settings.mixed_orders, both_strands=False),
        maps=new_maps(settings.map_orders, min(settings.log_slots, room)),
        composition=new_composition(settings.composition),
        seeds=new_seeds(settings.seed_lengths, min(LOG_SLOTS, room), bases + 1 if settings.experts else 0),
        matches=new_matches(seeds),
        copies=new_copies(settings.experts),
        mixer=new_mixer(predictions, SELECTORS[: settings.mixers]),
        switch=new_switch(1 + len(FORWARD_ORDERS)),
        words=np.zeros(-(-bases // 32), np.uint64),
        strands=np.zeros(2, np.uint64),
    )
