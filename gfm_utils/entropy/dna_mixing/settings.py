"""Modes of the mixer, and what each of them looks at."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Mode(StrEnum):
    """What the code may look at."""

    FULL = "full"
    """Everything: the shortest code."""
    FAST = "fast"
    """Fewer orders and no ensemble of copies: about four times as fast."""
    REPEAT_FREE = "repeat_free"
    """Orders up to 12 and local composition only: no long context, so no repeat is copied."""


@dataclass(frozen=True)
class Settings:
    count_orders: tuple[int, ...]
    map_orders: tuple[int, ...]
    log_slots: int
    composition: tuple[tuple[int, int], ...]
    seed_lengths: tuple[int, ...] = ()
    log_seeds: int = 24
    matches: int = 0
    experts: int = 0
    seed_misses: int = 12
    most_misses: int = 16
    tries: int = 0
    every: int = 1
    rate: float = 0.02
    final_rate: float = 0.0005
    half: float = 3000.0


FULL = Settings(
    count_orders=(1, 2, 3, 4, 6, 8, 9, 10, 11),
    map_orders=(12, 13, 14, 16, 18, 22),
    log_slots=24,
    composition=((0, 10), (0, 30), (0, 150), (1, 40), (2, 40), (2, 150)),
    seed_lengths=(24, 16, 12),
    matches=3,
    experts=24,
    tries=4,
)
FAST = replace(FULL, count_orders=(2, 3, 4, 6, 8, 9, 10, 11), map_orders=(12, 16, 20),
               composition=((0, 16), (1, 40), (2, 150)), seed_lengths=(24, 12), matches=2, experts=0, tries=0)
REPEAT_FREE = replace(FULL, map_orders=(12,), seed_lengths=(), matches=0, experts=0, tries=0)
BY_MODE = {Mode.FULL: FULL, Mode.FAST: FAST, Mode.REPEAT_FREE: REPEAT_FREE}
