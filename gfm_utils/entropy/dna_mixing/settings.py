"""Modes of the mixer, and what each of them looks at."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Mode(StrEnum):
    """What the code may look at."""

    FULL = "full"
    """Everything: the shortest code."""
    FAST = "fast"
    """Fewer orders and no ensemble of copies: about twice as fast, a little longer (chromosome 1 of *A. thaliana*:
    1.73 bits a base, not 1.69)."""
    REPEAT_FREE = "repeat_free"
    """Orders up to 12 and local composition only: nothing is copied, so that repeats gain (almost) nothing.
    The fair yardstick for a model with a short context."""


#: Orders of the codes that stand beside the mixer in the last stage, in every mode. The tables of higher ones are
#: out of the processor's caches, and would cost a tenth of the full mode's speed and more.
FORWARD_ORDERS = tuple(range(9))


@dataclass(frozen=True)
class Settings:
    """The models of a mode; tuned on the first 4 Mb of *A. thaliana*'s chromosome 1, and on nothing else.

    Attributes:
        count_orders: orders with plain counts, 0 to 12; at least one.
        map_orders: orders with adaptive maps, 3 to 24; at least one.
        heard_orders: of the `FORWARD_ORDERS`, those whose counts are opinions of the mixer too.
        log_slots: log2 of the most slots (2 bytes) of an adaptive map.
        composition: local models, each an order and the number of bases that it remembers.
        seed_lengths: contexts, 11 to 31, whose last occurrence starts matches, on either strand, and copies.
        experts: most copies that run at a time.
        mixers: 1 or 2, see `gfm_utils.entropy.dna_mixing.kernel.SITUATIONS`.
    """

    count_orders: tuple[int, ...]
    map_orders: tuple[int, ...]
    composition: tuple[tuple[int, int], ...]
    heard_orders: tuple[int, ...]
    log_slots: int = 26
    seed_lengths: tuple[int, ...] = ()
    experts: int = 0
    mixers: int = 2


_FULL = Settings(
    count_orders=(1, 2, 3, 4, 6, 8, 10, 11),
    map_orders=(12, 16, 22),
    composition=((0, 10), (0, 30), (0, 150), (1, 40), (2, 40), (2, 150)),
    heard_orders=(1, 2, 3, 4, 6, 8),
    seed_lengths=(24, 16, 11),
    experts=24,
)

#: What each mode looks at.
SETTINGS = {
    Mode.FULL: _FULL,
    Mode.FAST: replace(
        _FULL,
        count_orders=(2, 4, 6, 8, 10, 11),
        map_orders=(12, 18),
        composition=((0, 16), (1, 40), (2, 150)),
        heard_orders=(3,),
        seed_lengths=(20, 12),
        log_slots=24,
        experts=0,
        mixers=1,
    ),
    Mode.REPEAT_FREE: replace(_FULL, map_orders=(12,), heard_orders=(3,), seed_lengths=(), experts=0),
}
