"""How the book writes numbers: percentages, values with their intervals, and differences."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def percentage(share: float, digits: int = 1) -> str:
    """``0.125`` as ``12.5 %``, never in two lines."""
    return f"{round(100 * share, digits) + 0.0:.{digits}f}\u00a0%"  # + 0.0: no -0.0


def million(tokens: float) -> str:
    """``16.4 million``; below a tenth of a million the number itself."""
    return f"{tokens / 1e6:,.1f} million" if tokens >= 1e5 else f"{tokens:,.0f}"


def number(value: float, percent: bool = False, digits: int | None = None) -> str:
    """``0.123``, or a share as ``12.3 %``; whole thousands without a decimal point.

    There are ``digits`` after the decimal point, else one of a percentage and three of another number.
    """
    if percent:
        return percentage(value, 1 if digits is None else digits)
    if value == round(value) and abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 3 if digits is None else digits
    return f"{round(value, digits) + 0.0:,.{digits}f}"  # + 0.0: no -0.0


def brief(value: float, percent: bool = False) -> str:
    """A number for a sentence: ``0.34``, ``2.9``, ``140``, a share as ``21 %`` or ``2.4 %``."""
    if percent:
        return percentage(value, 0 if round(abs(value), 3) >= 0.1 else 1)
    return number(value, digits=2 if abs(value) < 1 else 1 if abs(value) < 100 else 0)


def spanned(values: Iterable[float], write: Callable[[float], str]) -> str:
    """The least and the greatest of some numbers, ``1.7 to 1.9``; one where both read the same, else a dash."""
    known = sorted(values)
    return " to ".join(dict.fromkeys(map(write, (*known[:1], *known[-1:])))) or "–"


def interval(value: float, low: float, high: float, percent: bool = False, digits: int | None = None) -> str:
    """A number with its interval, where it has one: ``1.234 [1.200, 1.268]``; the rest as of ``number``."""
    text = number(value, percent, digits)
    if pd.isna(low) or pd.isna(high):
        return text
    return f"{text} [{number(low, percent, digits)}, {number(high, percent, digits)}]"


def with_interval(row: pd.Series, digits: int | None = 2, percent: bool = False) -> str:
    """``interval`` of a row of a result table."""
    return interval(row["value"], row["low"], row["high"], percent, digits)


def difference(value: float, low: float, high: float, percent: bool) -> str:
    """``+0.123 [+0.100, +0.150]``, or of shares as percentage points ``+12.3 [+10.0, +15.0] points``."""
    scale, digits = (100, 1) if percent else (1, 3)
    ends = [f"{round(scale * end, digits) + 0.0:+.{digits}f}" for end in (value, low, high)]
    span = "" if np.isnan(low) else f" [{ends[1]}, {ends[2]}]"
    return ends[0] + span + (" points" if percent else "")


def row_difference(row: pd.Series, percent: bool) -> str:
    """``difference`` of a row of a table."""
    return difference(row["value"], row["low"], row["high"], percent)
