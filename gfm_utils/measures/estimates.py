"""How a measure is read from result tables: the number of a condition, with its interval and its members."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from gfm_utils import tables
from gfm_utils.corpora import KINDS
from gfm_utils.errors import GfmError
from gfm_utils.measures.entropy import SOURCE
from gfm_utils.measures.intervals import (
    LEVEL,
    Interval,
    jackknife_values,
    mean_variance,
    over_members,
    pseudo_values,
    t_test,
)
from gfm_utils.measures.registry import LAST, LAST_OF, MEASURES, Measure, Term, chosen, share_of
from gfm_utils.measures.rows import OVER_SEQUENCES, WITHOUT, Row, pair_matrix
from gfm_utils.tokens import is_condition, is_control

_ENDS = ["value", "low", "high"]


@dataclass(frozen=True)
class Estimate:
    """A number of one condition."""

    interval: Interval  # over members
    members: npt.NDArray[np.float64]  # the independent values behind it, one a member, if there are any
    windows: float = 0.0  # variance over test windows; 0 where it depends on none, or the table does not say

    @property
    def over_both(self) -> Interval:
        """Over members and test windows together; over members alone where windows have no part."""
        if self.windows == 0 or len(self.members) < 2:
            return self.interval
        variance, freedom = mean_variance(self.members)
        return Interval(*t_test(self.interval.value, [variance], [freedom], self.windows).single()[:3])


def rows_read(rows: pd.DataFrame, terms: Iterable[Term]) -> dict[str, pd.DataFrame]:
    """Condition -> those of its rows that have the metric of a term, as plain objects, which are read faster."""
    read = rows[rows["metric"].isin({term.metric for term in terms})].astype(object)
    return {str(name): of_condition for name, of_condition in read.groupby("condition", sort=False)}


def kinds(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Kind -> its corpora and conditions, told apart by the unit of their symbols."""
    units = {
        kind: (f"{traits.unit}s", f"bits/{traits.unit}", f"{traits.unit}s/token") for kind, traits in KINDS.items()
    }
    return {
        kind: list(dict.fromkeys(rows.loc[rows["unit"].isin(some), "condition"])) for kind, some in units.items()
    }


def name_last(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the last place of each condition on ``LAST_OF`` under the name that measures know it by."""
    of_axis, place = table["axis"].isin(LAST_OF), table["condition"] + " " + table["axis"]
    last = place.map(table.loc[of_axis, "x"].groupby(place[of_axis]).last())
    return table.assign(x=table["x"].mask(of_axis & (table["x"] == last), LAST))


def measure_rows(
    base: Row, measures: Mapping[str, Measure], rows: pd.DataFrame, seeds: Sequence[int], nulls: bool = False
) -> Iterator[Row]:
    """Rows of each measure that the tables of an ensemble have: members' values and the mean with its interval.

    With ``nulls`` also the value of each null, whose state is its name.
    """
    for name, measure in measures.items():
        whole = estimate(measure, rows)
        if whole is None:
            continue
        one: Row = {**base, "metric": name, "unit": measure.unit, "state": "trained"}
        for member, value in zip(seeds, whole.members, strict=False):
            yield {**one, "member": member, "value": float(value)}
        yield {**one, **whole.interval._asdict(), "n": len(seeds)}
        null = null_of(measure, rows) if nulls else None
        if measure.null is not None and null is not None:
            yield {**one, "state": measure.null[0], "value": null.interval.value}


def estimate_of(table: pd.DataFrame, name: str, condition: str) -> Estimate:
    """A measure of ``MEASURES`` of a condition's trained members, from result tables one below the other.

    Raises:
        GfmError: the tables do not have it.
    """
    found = estimate(MEASURES[name], name_last(table[table["condition"] == condition]))
    if found is None:
        raise GfmError(f"the result tables have no {name} of {condition!r}")
    return found


def null_of(measure: Measure, rows: pd.DataFrame) -> Estimate | None:
    """The value of a measure's null in one condition's rows."""
    if measure.null is None:
        return None
    name, terms = measure.null
    return estimate(replace(measure, terms=terms), rows) if terms else estimate(measure, rows, name)


def estimate(measure: Measure, rows: pd.DataFrame, state: str = "trained") -> Estimate | None:
    """The value of a measure in one condition's rows."""
    terms, parts = measure.terms, list[pd.DataFrame]()
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
            return _of_whole(float(measure.combine(*(one.mean() for one in known))), measure.combine(*rests))
    if members[0].empty:  # a summary is all there is
        left = _left_out(rows, terms, state)
        if not len(left):
            ends = measure.combine(*(part.loc[""].fillna(part.loc["", "value"]) for part in parts))
            if pd.isna(ends["value"]):  # chance itself can be 1
                return None
            if pd.isna(parts[0].loc["", "low"]):
                ends[["low", "high"]] = np.nan
            return Estimate(Interval(*(float(ends[name]) for name in ("value", "low", "high"))), np.empty(0))
        whole = _of_whole(float(parts[0].loc["", "value"]), left)
    else:
        numbers = (
            of_members["value"] if len(of_members) else part.loc["", "value"]
            for of_members, part in zip(members, parts, strict=True)
        )
        each = measure.combine(*numbers)
        if each.isna().any():  # likewise
            return None
        whole = _of_members(each)
    of_windows = _part(rows, _over_windows(terms[0]), state)
    if of_windows.empty or not all("" in part.index for part in parts):
        return whole
    others = (part.loc["", "value"] for part in parts[1:])
    ends = measure.combine(of_windows.loc[""], *others)
    error = abs(float(ends["high"] - ends["low"])) / (2 * float(stats.norm.ppf(0.5 + LEVEL / 2)))
    return replace(whole, windows=0.0 if np.isnan(error) else error**2)


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
    same_metric = (rows["metric"] == term.metric).to_numpy(bool, na_value=False)
    if not same_metric.any():
        return pd.DataFrame(columns=_ENDS, dtype="float64")
    same = rows[same_metric]
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
    values_of: dict[str, tuple[float, ...]] = {}
    for name, ends in meant:
        if not np.array_equal(values_of.setdefault(name, ends), ends, equal_nan=True):
            whose = f"member(s) {name}" if name else "all members"
            values = [one[0] for other, one in meant if other == name]
            raise ValueError(f"{term} of {same['condition'].iloc[0]!r} means several rows, for {whose}: {values}")
    return pd.DataFrame.from_dict(values_of, orient="index", columns=_ENDS, dtype="float64")


def _left_out(rows: pd.DataFrame, terms: Sequence[Term], state: str) -> npt.NDArray[np.float64]:
    """A measure that only the members together have, of all but each of them; empty where there is none."""
    if len(terms) > 1 or terms[0].axis is not None:
        return np.empty(0)
    same = rows[(rows["metric"] == terms[0].metric).to_numpy(bool, na_value=False)]
    places = zip(same["axis"].fillna(""), same["state"].fillna(""), same["value"], strict=True)
    return np.array([value for axis, of, value in places if (axis, of) == (WITHOUT, state)], np.float64)


def _of_whole(value: float, left: npt.NDArray[np.float64]) -> Estimate:
    """A number that only the members together have, from its values without each of them, (members,)."""
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


#: The corpus's code length is not that of what a transform made of it.
CONTROL_ENTROPY = Measure(
    "entropy rate, share of a uniform choice", "share", "entropy",
    (Term("entropy_rate", SOURCE), Term("uniform_entropy")), combine=share_of, null=None,
)  # fmt: skip
#: What corpora are compared by at a glance, and all that is said of many of them.
COMPARED = chosen("entropy_share", "context_gain_share", "js_distance", "topk_overlap_corrected", "fisher_share")
ACROSS_CORPORA = COMPARED | chosen(
    "context_gain", "accuracy", "output_entropy_share", "token_frequencies", "counting_gain", "counting_gain_left",
    "code_gain", "js_distance_authors", "top1_agreement", "procrustes_disparity", "fisher_share_paper",
    "symbols_per_token", "tokens", "leaked_windows",
)  # fmt: skip


def compared(rows: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """One row a condition and quantity of ``ACROSS_CORPORA``, with its interval, and one for its null.

    Args:
        rows: all result tables of one report, whose conditions are of one corpus.
        conditions: ``corpus@tokenizer`` each.

    Returns:
        Result table; ``state`` is ``trained`` or the name of the null, ``axis`` is ``kind`` and ``x`` is
        ``text``, ``dna`` or ``protein``. The interval is over members; of the corpus's entropy it is along the
        corpus, and a control's entropy has none.
    """
    of_corpus = ~rows["condition"].map(is_condition).astype(bool)
    return tables.table(row for condition in conditions for row in _rows(rows, condition, of_corpus))


def _rows(rows: pd.DataFrame, condition: str, of_corpus: pd.Series) -> Iterator[Row]:
    """Of the rows of a condition and of its corpus; others may be there, such as doses of the causal test."""
    of_symbols = of_corpus | (rows["metric"] != "uniform_entropy")  # and not of the tokens
    of_condition = rows[((rows["condition"] == condition) & of_symbols) | of_corpus].assign(condition=condition)
    *_, kind = "text", *(kind for kind, names in kinds(of_condition).items() if names)  # DNA in letters of a text
    control = is_control(condition)
    for name, measure in ACROSS_CORPORA.items():
        if control and name == "entropy_share":
            measure = CONTROL_ENTROPY
        base: Row = {"condition": condition, "metric": name, "axis": "kind", "x": kind}
        base["unit"] = measure.unit
        value = estimate(measure, of_condition)
        if value is None:
            continue
        yield {**base, "state": "trained", **_ends(value)}
        null = null_of(measure, of_condition)
        if measure.null is not None and null is not None:
            yield {**base, "state": measure.null[0], **_ends(null)}


def _ends(value: Estimate) -> Row:
    low, high = (None if np.isnan(end) else end for end in (value.interval.low, value.interval.high))
    return {"value": value.interval.value, "low": low, "high": high, "n": len(value.members) or None}
