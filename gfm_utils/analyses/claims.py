"""The paper's claims put to the test: several measures a claim, each with its null, and a verdict from numbers.

A measure speaks *for* a claim if the difference between DNA and text has the claimed sign, its 95 % interval over
members clear of zero, for every condition of DNA against every one of text (but controls); *against* if it has the
other sign likewise; else it is *undecided*. Asking this of every pair at once needs no correction for their number
(an intersection-union test: Berger, 1982). A claim is *supported* if all of its measures speak for it, *undecided*
if none speaks at all, *not supported* if one speaks against it and none for it, and else *depends on the
definition*.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pandas as pd

from gfm_utils.analyses.intervals import Difference, Interval, difference, over_members, pseudo_values
from gfm_utils.analyses.rows import WITHOUT
from gfm_utils.tokens import is_control

SUPPORTED, NOT_SUPPORTED = "supported", "not supported"
DEPENDS, NOT_TESTED = "depends on the definition", "not tested"
FOR, AGAINST, UNDECIDED = "for", "against", "undecided"
Combine = Callable[..., pd.DataFrame]


@dataclass(frozen=True)
class Term:
    """A quantity of the result tables; ``least`` takes the smallest of several rows (the best coder).

    An axis without ``x`` is one on which the quantity has one row, wherever that is.
    """

    metric: str
    axis: str | None = None
    x: str | None = None
    unit: str | None = None
    least: bool = False


@dataclass(frozen=True)
class Measure:
    """One way to measure what a claim says.

    Attributes:
        text: what is measured, for people.
        chapter: where the evidence is.
        terms: what it is made of.
        above: whether the claim says that DNA has the larger value; None: that DNA has nothing above zero.
        combine: makes one number of the terms' (rows of members or pairs, and the summary).
        percent: write the value as a percentage.
        null: its name, and the terms that take the place of ``terms``; no terms: the untrained members.
    """

    text: str
    chapter: str
    terms: tuple[Term, ...]
    above: bool | None
    combine: Combine = lambda one: one
    percent: bool = False
    null: tuple[str, tuple[Term, ...]] | None = ("untrained", ())


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and the measures that test it; the first is the one closest to the paper's."""

    text: str
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Estimate:
    """A number of one condition with its interval, and the independent values behind it, one a member, if any."""

    interval: Interval
    members: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tested:
    """What a run says of one measure.

    Attributes:
        measure: which.
        text: condition -> value of each condition of text.
        dna: condition -> value of each condition of DNA.
        nulls: condition -> value of the null, of all conditions that have one.
        weakest: the difference DNA - text of the pair whose interval favours the claim least; of a measure of
            DNA alone, the value against zero whose interval reaches lowest. The p-value is NaN where members are
            too few for a test.
        outcome: for, against or undecided; None where there is no interval at all.
    """

    measure: Measure
    text: dict[str, Estimate]
    dna: dict[str, Estimate]
    nulls: dict[str, float]
    weakest: Difference
    outcome: str | None


def share_of(part: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """One number over another."""
    return part / whole


def of_uniform(part: pd.DataFrame, entropy: pd.DataFrame, kl: pd.DataFrame) -> pd.DataFrame:
    """A share of log2 V, which is H(p) + KL(p || uniform)."""
    return part / (entropy + kl)


def beyond_chance(found: pd.DataFrame, chance: pd.DataFrame) -> pd.DataFrame:
    """An agreement without what chance gives: 0 is chance and 1 agreement everywhere."""
    return (found - chance) / (1 - chance)


TOKEN = "bits/token"
OUTPUT, KL = Term("output_entropy", unit=TOKEN), Term("kl_from_uniform")
UNIGRAM = Term("unigram_nll", unit=TOKEN)
CLAIMS = (
    Claim("Genomic sequence has high entropy, text has not", (
        Measure("shortest code, share of a uniform choice", "entropy",
                (Term("code_length", least=True), Term("uniform_entropy")), True, share_of, percent=True,
                null=None),
        Measure("loss on hidden tokens, share of log2 V", "predictions",
                (Term("nll", unit=TOKEN), OUTPUT, KL), True, of_uniform, percent=True,
                null=("token frequencies", (UNIGRAM, OUTPUT, KL))),
    )),
    Claim("Predictions on DNA are near-uniform", (
        Measure("output entropy, share of log2 V", "predictions", (OUTPUT, OUTPUT, KL), True, of_uniform,
                percent=True),
        Measure("KL(uniform‖p), the paper's code, bits", "predictions", (Term("kl_uniform_authors"),), False),
        Measure("probability of the likeliest token", "predictions", (Term("rank_probability", "rank", "1"),),
                False, percent=True),
    )),
    Claim("Models of DNA disagree more", (
        Measure("Jensen–Shannon distance, full mass", "disagreement", (Term("js_distance"),), True,
                null=("matched null", (Term("js_distance_matched_null"),))),
        Measure("… top-p 0.5, the paper's truncation", "disagreement",
                (Term("js_distance_authors", "top_p", "0.5"),), True,
                null=("matched null", (Term("js_distance_matched_null_authors", "top_p", "0.5"),))),
        Measure("… top-p 0.5, nucleus truncation", "disagreement", (Term("js_distance", "top_p", "0.5"),), True,
                null=("matched null", (Term("js_distance_matched_null", "top_p", "0.5"),))),
        Measure("… top-p 0.05, nucleus truncation", "disagreement", (Term("js_distance", "top_p", "0.05"),), True,
                null=("matched null", (Term("js_distance_matched_null", "top_p", "0.05"),))),
        Measure("… full mass, share of its matched null", "disagreement",
                (Term("js_distance"), Term("js_distance_matched_null")), True, share_of, percent=True),
        Measure("mutual information, bits per token", "disagreement", (Term("mutual_information"),), True),
        Measure("top-1 agreement beyond chance", "disagreement",
                (Term("top1_agreement"), Term("top1_agreement_chance")), False, beyond_chance, percent=True),
        Measure("rank-biased overlap beyond chance", "disagreement",
                (Term("rank_biased_overlap"), Term("rank_biased_overlap_chance")), False, beyond_chance,
                percent=True),
    )),
    Claim("Static embeddings of DNA are less stable", (
        Measure("10 nearest neighbours shared, beyond chance", "static_embeddings",
                (Term("topk_overlap_corrected", "k", "10"),), False, percent=True),
        Measure("local Spearman among the 100 nearest", "static_embeddings", (Term("local_spearman", "k", "100"),),
                False),
        Measure("Procrustes disparity", "static_embeddings", (Term("procrustes_disparity"),), True),
        Measure("debiased linear CKA", "static_embeddings", (Term("linear_cka_debiased"),), False),
    )),
    Claim("Models of DNA keep their Fisher information out of the encoder", (
        Measure("encoder's share, the paper's computation", "fisher",
                (Term("fisher_share_paper", "group", "encoder"),), False, percent=True),
        Measure("encoder's share, token by token", "fisher", (Term("fisher_share", "group", "encoder"),), False,
                percent=True),
        Measure("encoder's share, invariant to rescaling", "fisher",
                (Term("fisher_share_invariant", "group", "encoder"),), False, percent=True),
    )),
    Claim("… and in the embeddings", (
        Measure("embeddings' share, the paper's computation", "fisher",
                (Term("fisher_share_paper", "group", "embeddings"),), True, percent=True),
        Measure("of it, token by token, the path that embeds", "fisher",
                (Term("fisher_share", "group", "input"),), True, percent=True),
        Measure("… and the path that decodes", "fisher", (Term("fisher_share", "group", "output"),), True,
                percent=True),
    )),
    Claim("Models of DNA do not use the tokens around a hidden one", (
        Measure("gain over token frequencies, share of their cost, against text", "predictions",
                (Term("context_gain", unit=TOKEN), UNIGRAM), False, share_of, percent=True),
        Measure("the same of DNA, against none", "predictions", (Term("context_gain", unit=TOKEN), UNIGRAM), None,
                share_of, percent=True),
    )),
)  # fmt: skip


def kinds(rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Corpora and conditions of text, and of DNA, told apart by the unit of their symbols."""
    text, dna = (
        list(dict.fromkeys(rows.loc[rows["unit"].isin(units), "condition"]))
        for units in (("bits/character", "characters/token"), ("bits/base", "bases/token"))
    )
    return text, dna


def check_claims(rows: pd.DataFrame, claims: Sequence[Claim] = CLAIMS) -> dict[Claim, list[Tested]]:
    """What the result tables of a run say of each claim that they can speak of.

    Args:
        rows: result tables of chapters, one below the other.
        claims: which.

    Returns:
        Claim -> its measures for which a condition of text and one of DNA have a value; empty without either kind.
    """
    text, dna = ([name for name in names if not is_control(name)] for names in kinds(rows))
    found = {
        claim: [one for measure in claim.measures for one in _test(measure, rows, text, dna)] for claim in claims
    }
    return {claim: tested for claim, tested in found.items() if tested}


def verdict(tested: Iterable[Tested]) -> str:
    """Supported, not supported, undecided, depends on the definition, or not tested (without any interval)."""
    outcomes = [one.outcome for one in tested if one.outcome is not None]
    if not outcomes:
        return NOT_TESTED
    if set(outcomes) == {UNDECIDED}:
        return UNDECIDED
    if FOR not in outcomes:
        return NOT_SUPPORTED
    return SUPPORTED if set(outcomes) == {FOR} else DEPENDS


def _test(measure: Measure, rows: pd.DataFrame, *names: Sequence[str]) -> Iterator[Tested]:
    """A measure on the conditions of text and of DNA; nothing where either has no value."""
    text, dna = (_values(measure, rows, of_kind) for of_kind in names)
    if not text or not dna:
        return
    if measure.above is None:
        pairs = [Difference(*one.interval, np.nan) for one in dna.values()]
    else:
        pairs = [_difference(one, other) for one, other in product(dna.values(), text.values())]
    weakest = min(pairs, key=lambda pair: _least(pair, below=measure.above is False))
    nulls: dict[str, float] = {}
    if measure.null is not None:
        for name in (*text, *dna):
            null = estimate(measure, rows[rows["condition"] == name], null=True)
            nulls |= {} if null is None else {name: null.interval.value}
    yield Tested(measure, text, dna, nulls, weakest, _outcome(pairs, measure.above))


def _least(pair: Difference, below: bool) -> float:
    """The end of an interval that favours a claim least, or the value without one."""
    end = pair.high if below else pair.low
    return (-1 if below else 1) * (pair.value if np.isnan(end) else end)


def _outcome(pairs: Sequence[Difference], above: bool | None) -> str | None:
    if any(np.isnan(pair.low) for pair in pairs):
        return None
    over, under = all(pair.low > 0 for pair in pairs), all(pair.high < 0 for pair in pairs)
    if above is None:
        return AGAINST if over else FOR if under else UNDECIDED
    if not (over or under):
        return UNDECIDED
    return FOR if over == above else AGAINST


def _values(measure: Measure, rows: pd.DataFrame, names: Sequence[str]) -> dict[str, Estimate]:
    found = {name: estimate(measure, rows[rows["condition"] == name]) for name in names}
    return {name: one for name, one in found.items() if one is not None}


def estimate(measure: Measure, rows: pd.DataFrame, null: bool = False) -> Estimate | None:
    """The value of a measure, or of its null, in one condition's rows."""
    terms, state = measure.terms, "trained"
    if null and measure.null is not None:
        if measure.null[1]:
            terms = measure.null[1]
        else:
            state = "untrained"
    parts = []
    for term in terms:
        parts.append(_part(rows, term, state))
        if parts[-1].empty:  # the others may mean something else of these rows
            return None
    members = [part[part.index != ""] for part in parts]
    if members[0].empty:  # a summary is all there is
        left = _left_out(rows, terms, state)
        if len(left):
            return of_whole(float(parts[0].loc["", "value"]), left)
        ends = measure.combine(*(part.loc[""].fillna(part.loc["", "value"]) for part in parts))
        if pd.isna(parts[0].loc["", "low"]):
            ends[["low", "high"]] = np.nan
        return Estimate(Interval(*(float(ends[name]) for name in ("value", "low", "high"))), np.empty(0))
    each = measure.combine(
        *(own["value"] if len(own) else part.loc["", "value"] for own, part in zip(members, parts, strict=True))
    )
    return None if each.isna().any() else _of_members(each)  # chance itself can be 1


def _part(rows: pd.DataFrame, term: Term, state: str) -> pd.DataFrame:
    """Value, low and high of a term, by member (``1``), pair (``1,2``) or for all (the empty text).

    Raises:
        ValueError: the term means several rows that differ.
    """
    place = rows["axis"].isna() if term.axis is None else rows["axis"] == term.axis
    if term.x is not None:
        place &= rows["x"] == term.x
    here = (rows["metric"] == term.metric) & place & ((rows["state"] == state) | rows["state"].isna())
    if term.unit is not None:
        here &= rows["unit"] == term.unit
    found = rows[here.fillna(False)]
    if term.least and len(found):
        found = found.loc[[found["value"].idxmin()]]
    seeds = zip(found["member"], found["other"], strict=True)
    names = [",".join(str(int(seed)) for seed in pair if not pd.isna(seed)) for pair in seeds]
    ends = found[["value", "low", "high"]].astype("float64").assign(name=names).drop_duplicates().set_index("name")
    if not ends.index.is_unique:
        twice = ends.index[ends.index.duplicated()][0]
        whose = f"member(s) {twice}" if twice else "all members"
        values = ends.loc[twice, "value"].tolist()
        raise ValueError(f"{term} of {found['condition'].iloc[0]!r} means several rows, for {whose}: {values}")
    return ends


def _left_out(rows: pd.DataFrame, terms: Sequence[Term], state: str) -> npt.NDArray[np.float64]:
    """A measure that only the members together have, of all but each of them; empty where there is none."""
    if len(terms) > 1 or terms[0].axis is not None:
        return np.empty(0)
    here = (rows["metric"] == terms[0].metric) & (rows["axis"] == WITHOUT) & (rows["state"] == state)
    return rows.loc[here.fillna(False), "value"].to_numpy("float64")


def of_whole(value: float, left: npt.NDArray[np.float64]) -> Estimate:
    """Numbers with this mean that vary as the jackknife says (Tukey's pseudo-values, moved to the value).

    Args:
        value: of all members together.
        left: of all but each of them, shape (members,).
    """
    values = value - (len(left) - 1) * (left - left.mean())
    return Estimate(over_members(values), values)


def _of_members(each: pd.Series) -> Estimate:
    """Members' numbers as they are, those of pairs as pseudo-values."""
    if "," not in each.index[0]:
        values = each.to_numpy()
        return Estimate(over_members(values), values)
    seeds = list(dict.fromkeys(seed for pair in each.index for seed in pair.split(",")))
    if len(seeds) < 3:
        return Estimate(Interval(float(each.iloc[0]), np.nan, np.nan), np.empty(0))
    matrix = np.zeros((len(seeds), len(seeds)))
    for i, j in combinations(range(len(seeds)), 2):
        matrix[i, j] = matrix[j, i] = each[f"{seeds[i]},{seeds[j]}"]
    values = pseudo_values(matrix)
    return Estimate(over_members(values), values)


def _difference(first: Estimate, second: Estimate) -> Difference:
    """Over members where there are any; else from the two intervals, as of independent estimates."""
    if len(first.members) and len(second.members):
        return difference(first.members, second.members)
    value = first.interval.value - second.interval.value
    reach = math.hypot(*((one.interval.high - one.interval.low) / 2 for one in (first, second)))
    return Difference(value, value - reach, value + reach, np.nan)
