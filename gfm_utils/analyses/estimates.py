"""How a measure is read from result tables: the number of a condition, with its interval and its members."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from gfm_utils.analyses.intervals import (
    LEVEL,
    Interval,
    jackknife_values,
    mean_variance,
    over_members,
    pseudo_values,
    t_test,
)
from gfm_utils.analyses.measures import Measure, Term
from gfm_utils.analyses.rows import OVER_SEQUENCES, WITHOUT, pair_matrix

_ENDS = ["value", "low", "high"]


@dataclass(frozen=True)
class Estimate:
    """A number of one condition.

    Attributes:
        interval: over members.
        members: the independent values behind it, one a member, if there are any.
        windows: variance of the number over test windows; 0 where it does not depend on any, or the table does not
            say.
    """

    interval: Interval
    members: npt.NDArray[np.float64]
    windows: float = 0.0

    @property
    def over_both(self) -> Interval:
        """Over members and test windows together; over members alone where windows have no part."""
        if self.windows == 0 or len(self.members) < 2:
            return self.interval
        variance, freedom = mean_variance(self.members)
        return Interval(*t_test(self.interval.value, [variance], [freedom], self.windows).single()[:3])


def rows_read(rows: pd.DataFrame, terms: Iterable[Term]) -> dict[str, pd.DataFrame]:
    """Condition -> those of its rows that have the metric of a term, as plain objects, which are read faster.

    Args:
        rows: result tables, one below the other.
        terms: that will be read.
    """
    found = rows[rows["metric"].isin({term.metric for term in terms})].astype(object)
    return {str(name): own for name, own in found.groupby("condition", sort=False)}


def kinds(rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Corpora and conditions of text, and of DNA, told apart by the unit of their symbols."""
    text, dna = (
        list(dict.fromkeys(rows.loc[rows["unit"].isin(units), "condition"]))
        for units in (("bits/character", "characters/token"), ("bits/base", "bases/token"))
    )
    return text, dna


def null_of(measure: Measure, rows: pd.DataFrame) -> Estimate | None:
    """The value of a measure's null in one condition's rows."""
    if measure.null is None:
        return None
    name, terms = measure.null
    return estimate(replace(measure, terms=terms), rows) if terms else estimate(measure, rows, name)


def estimate(measure: Measure, rows: pd.DataFrame, state: str = "trained") -> Estimate | None:
    """The value of a measure in one condition's rows.

    Args:
        measure: which.
        rows: of the condition.
        state: of the members.
    """
    terms = measure.terms
    parts = []
    for term in terms:
        parts.append(_part(rows, term, state))
        if parts[-1].empty:  # the others may mean something else of these rows
            return None
    members = [part[part.index != ""] for part in parts]
    if members[0].empty and len(terms) > 1:
        alone = [Measure(measure.text, measure.unit, measure.chapter, (term,)) for term in terms]
        each = [estimate(one, rows, state) for one in alone]
        known = [one.members for one in each if one is not None and len(one.members) > 1]
        if len(known) == len(terms):
            rests = [(one.sum() - one) / (len(one) - 1) for one in known]
            return of_whole(float(measure.combine(*(one.mean() for one in known))), measure.combine(*rests))
    if members[0].empty:  # a summary is all there is
        left = _left_out(rows, terms, state)
        if not len(left):
            ends = measure.combine(*(part.loc[""].fillna(part.loc["", "value"]) for part in parts))
            if pd.isna(parts[0].loc["", "low"]):
                ends[["low", "high"]] = np.nan
            return Estimate(Interval(*(float(ends[name]) for name in ("value", "low", "high"))), np.empty(0))
        found = of_whole(float(parts[0].loc["", "value"]), left)
    else:
        numbers = (
            own["value"] if len(own) else part.loc["", "value"] for own, part in zip(members, parts, strict=True)
        )
        each = measure.combine(*numbers)
        if each.isna().any():  # chance itself can be 1
            return None
        found = _of_members(each)
    of_windows = _part(rows, _over_windows(terms[0]), state)
    if of_windows.empty or not all("" in part.index for part in parts):
        return found
    others = (part.loc["", "value"] for part in parts[1:])
    return replace(found, windows=_variance(measure.combine(of_windows.loc[""], *others)))


def _variance(ends: pd.Series) -> float:
    """Of the mean whose 95 % interval it is; 0 without an interval."""
    width = abs(float(ends["high"] - ends["low"])) / (2 * float(stats.norm.ppf(0.5 + LEVEL / 2)))
    return 0.0 if np.isnan(width) else width**2


def _over_windows(term: Term) -> Term:
    """Where the same mean has an interval over test windows instead of members."""
    if term.axis is None:
        return replace(term, axis=OVER_SEQUENCES["axis"], x=OVER_SEQUENCES["x"])
    return replace(term, axis=f"{term.axis}_over_sequences")


def _part(rows: pd.DataFrame, term: Term, state: str) -> pd.DataFrame:
    """Value, low and high of a term, by member (``1``), pair (``1,2``) or for all (the empty text).

    Raises:
        ValueError: the term means several rows that differ.
    """
    here = (rows["metric"] == term.metric).to_numpy(bool, na_value=False)
    if not here.any():
        return pd.DataFrame(columns=_ENDS, dtype="float64")
    same = rows[here]
    columns = (same[name].tolist() for name in ("axis", "x", "state", "unit", "member", "other", *_ENDS))
    meant = [
        (",".join(str(int(seed)) for seed in seeds if not pd.isna(seed)), ends)
        for axis, x, of, unit, *seeds, value, low, high in zip(*columns, strict=True)
        if (pd.isna(axis) if term.axis is None else not pd.isna(axis) and axis == term.axis)
        and (term.x is None or (not pd.isna(x) and x == term.x))
        and (pd.isna(of) or of == state)
        and (term.unit is None or unit == term.unit)
        and (ends := tuple(np.nan if pd.isna(end) else float(end) for end in (value, low, high)))
    ]
    if term.least and meant:
        meant = [min(meant, key=lambda one: one[1][0])]
    found: dict[str, tuple[float, ...]] = {}
    for name, ends in meant:
        if not np.array_equal(found.setdefault(name, ends), ends, equal_nan=True):
            whose = f"member(s) {name}" if name else "all members"
            values = [one[0] for other, one in meant if other == name]
            raise ValueError(f"{term} of {same['condition'].iloc[0]!r} means several rows, for {whose}: {values}")
    return pd.DataFrame.from_dict(found, orient="index", columns=_ENDS, dtype="float64")


def _left_out(rows: pd.DataFrame, terms: Sequence[Term], state: str) -> npt.NDArray[np.float64]:
    """A measure that only the members together have, of all but each of them; empty where there is none."""
    if len(terms) > 1 or terms[0].axis is not None:
        return np.empty(0)
    same = rows[(rows["metric"] == terms[0].metric).to_numpy(bool, na_value=False)]
    places = zip(same["axis"].fillna(""), same["state"].fillna(""), same["value"], strict=True)
    return np.array([value for axis, of, value in places if (axis, of) == (WITHOUT, state)], np.float64)


def of_whole(value: float, left: npt.NDArray[np.float64]) -> Estimate:
    """A number that only the members together have, with those that stand in for its members.

    Args:
        value: of all members together.
        left: of all but each of them, shape (members,).
    """
    values = jackknife_values(value, left)
    return Estimate(over_members(values), values)


def _of_members(each: pd.Series) -> Estimate:
    """Members' numbers as they are, those of pairs as pseudo-values."""
    if "," not in each.index[0]:
        values = each.to_numpy()
        return Estimate(over_members(values), values)
    seeds = list(dict.fromkeys(seed for pair in each.index for seed in pair.split(",")))
    if len(seeds) < 3:
        return Estimate(Interval(float(each.iloc[0]), np.nan, np.nan), np.empty(0))
    pairs = np.array([each[f"{first},{second}"] for first, second in combinations(seeds, 2)])
    values = pseudo_values(pair_matrix(pairs))
    return Estimate(over_members(values), values)
