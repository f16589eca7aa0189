"""The paper's claims, the measures of each, and how a measure is read from result tables.

Each claim has one *primary* measure, chosen before the run whose numbers it judges; :mod:`.verdicts` judges by it
alone. All other measures are *robustness*: they are shown and change no verdict.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from gfm_utils.analyses.controls import NO_LAYERS
from gfm_utils.analyses.intervals import LEVEL, Interval, over_members, pseudo_values
from gfm_utils.analyses.rows import OVER_SEQUENCES, WITHOUT

NOT_TESTED = "not tested"
FOR, AGAINST, UNDECIDED = "for", "against", "undecided"
Combine = Callable[..., pd.DataFrame]
_ENDS = ["value", "low", "high"]


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
        above: whether the claim says that DNA has the larger value; None: that DNA has nothing above its null.
        combine: makes one number of the terms' (rows of members or pairs, and the summary).
        percent: write the value as a percentage.
        null: its name, and the terms that take the place of ``terms``; no terms: members in that state.
    """

    text: str
    chapter: str
    terms: tuple[Term, ...]
    above: bool | None
    combine: Combine = lambda one: one
    percent: bool = False
    null: tuple[str, tuple[Term, ...]] | None = ("untrained", ())

    @property
    def unit(self) -> str:
        """Unit of its values in result tables."""
        return "share" if self.percent else TOKEN if "bits" in self.text else "1"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        text: what it says.
        measures: of it; the first is the primary one, the others are robustness.
    """

    text: str
    measures: tuple[Measure, ...]

    @property
    def terms(self) -> Iterator[Term]:
        """All that its measures and their nulls are made of."""
        for measure in self.measures:
            yield from (*measure.terms, *(measure.null[1] if measure.null else ()))

    @property
    def primary(self) -> Measure:
        """The measure that its verdict rests on."""
        return self.measures[0]


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


def share_of(part: pd.DataFrame, whole: pd.DataFrame) -> pd.DataFrame:
    """One number over another."""
    return part / whole


def of_uniform(part: pd.DataFrame, entropy: pd.DataFrame, kl: pd.DataFrame) -> pd.DataFrame:
    """A share of log2 V, which is H(p) + KL(p || uniform)."""
    return part / (entropy + kl)


def beyond_chance(found: pd.DataFrame, chance: pd.DataFrame) -> pd.DataFrame:
    """An agreement without what chance gives: 0 is chance and 1 agreement everywhere."""
    return (found - chance) / (1 - chance)


def above_null(found: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    """What is left of a number without its null; a difference, for the null may be nearly nothing."""
    return found - null


TOKEN = "bits/token"
OUTPUT, KL = Term("output_entropy", unit=TOKEN), Term("kl_from_uniform")
UNIGRAM, GAIN, JS = Term("unigram_nll", unit=TOKEN), Term("context_gain", unit=TOKEN), Term("js_distance")
CLAIMS = (
    Claim("Hidden tokens of DNA have high entropy, those of text have not", (
        Measure("loss on hidden tokens, share of log2 V", "predictions",
                (Term("nll", unit=TOKEN), OUTPUT, KL), True, of_uniform, percent=True,
                null=("token frequencies", (UNIGRAM, OUTPUT, KL))),
        Measure("shortest code of the corpus (an upper bound), share of a uniform choice", "entropy",
                (Term("code_length", least=True), Term("uniform_entropy")), True, share_of, percent=True,
                null=None),
    )),
    Claim("Predictions on DNA are near-uniform", (
        Measure("output entropy, share of log2 V", "predictions", (OUTPUT, OUTPUT, KL), True, of_uniform,
                percent=True),
        Measure("KL(uniform‖p), the paper's code, bits", "predictions", (Term("kl_uniform_authors"),), False),
        Measure("probability of the likeliest token", "predictions", (Term("rank_probability", "rank", "1"),),
                False, percent=True),
    )),
    Claim("Models of DNA disagree more", (
        Measure("Jensen–Shannon distance, full mass", "disagreement", (JS,), True,
                null=("matched null", (Term("js_distance_matched_null"),))),
        Measure("… top-p 0.5, the paper's truncation", "disagreement",
                (Term("js_distance_authors", "top_p", "0.5"),), True,
                null=("matched null", (Term("js_distance_matched_null_authors", "top_p", "0.5"),))),
        Measure("… top-p 0.5, nucleus truncation", "disagreement", (Term("js_distance", "top_p", "0.5"),), True,
                null=("matched null", (Term("js_distance_matched_null", "top_p", "0.5"),))),
        Measure("… top-p 0.05, nucleus truncation", "disagreement", (Term("js_distance", "top_p", "0.05"),), True,
                null=("matched null", (Term("js_distance_matched_null", "top_p", "0.05"),))),
        Measure("… full mass, above its matched null", "disagreement",
                (JS, Term("js_distance_matched_null")), True, above_null),
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
    Claim("Models of DNA keep more of their Fisher information out of the encoder, in the embeddings", (
        Measure("encoder's share, token by token", "fisher", (Term("fisher_share", "group", "encoder"),), False,
                percent=True),
        Measure("encoder's share, the paper's computation", "fisher",
                (Term("fisher_share_paper", "group", "encoder"),), False, percent=True),
        Measure("encoder's share, invariant to rescaling", "fisher",
                (Term("fisher_share_invariant", "group", "encoder"),), False, percent=True),
        Measure("embeddings' share, the paper's computation", "fisher",
                (Term("fisher_share_paper", "group", "embeddings"),), True, percent=True),
        Measure("embeddings' share, token by token, the path that embeds", "fisher",
                (Term("fisher_share", "group", "input"),), True, percent=True),
        Measure("… the path that decodes", "fisher", (Term("fisher_share", "group", "output"),), True,
                percent=True),
    )),
    Claim("Models of DNA do not use the tokens around a hidden one", (
        Measure("context gain above that of members without layers, bits per token", "predictions", (GAIN,), None,
                null=(NO_LAYERS, ())),
        Measure("context gain, share of what token frequencies cost, against text", "predictions",
                (GAIN, UNIGRAM), False, share_of, percent=True),
    )),
)  # fmt: skip


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


def estimate(measure: Measure, rows: pd.DataFrame, null: bool = False) -> Estimate | None:
    """The value of a measure, or of its null, in one condition's rows."""
    terms, state = measure.terms, "trained"
    if null and measure.null is not None:
        if measure.null[1]:
            terms = measure.null[1]
        else:
            state = measure.null[0]
    parts = []
    for term in terms:
        parts.append(_part(rows, term, state))
        if parts[-1].empty:  # the others may mean something else of these rows
            return None
    members = [part[part.index != ""] for part in parts]
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
