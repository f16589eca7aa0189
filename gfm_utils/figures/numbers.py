"""How tables and sentences write percentages and differences."""

import numpy as np


def percentage(share: float, digits: int = 1) -> str:
    """``0.125`` as ``12.5 %``, never in two lines."""
    return f"{round(100 * share, digits) + 0.0:.{digits}f}\u00a0%"  # + 0.0: no -0.0


def plain(value: float, percent: bool) -> str:
    """A share as ``12.5 %`` if ``percent``, any other number as ``0.123``."""
    return percentage(value) if percent else f"{value:.3f}"


def difference(value: float, low: float, high: float, percent: bool) -> str:
    """``+0.123 [+0.100, +0.150]``, or as percentage points ``+12.3 [+10.0, +15.0] points``.

    Args:
        value: the difference, of shares if ``percent``.
        low: lower end of its interval; NaN: it has none.
        high: upper end.
        percent: whether to write percentage points.
    """
    scale, digits = (100, 1) if percent else (1, 3)
    ends = [f"{round(scale * end, digits) + 0.0:+.{digits}f}" for end in (value, low, high)]
    interval = "" if np.isnan(low) else f" [{ends[1]}, {ends[2]}]"
    return ends[0] + interval + (" points" if percent else "")
