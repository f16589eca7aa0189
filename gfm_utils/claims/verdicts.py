"""Verdicts on the paper's claims: one primary measure a claim, a gate, one correction for all claims of a page.

A primary measure is compared between every condition of DNA and every one of text by Welch's test on the numbers
of the members (of pairs: jackknife pseudo-values), with the variance over test windows added where the tables have
it. The p-value of a claim is the largest of its pairs' if all differ the same way, and else 1 (Berger, 1982); over
the claims it is Holm's (1979). At most 0.05, and DNA is as claimed: *supported*; the other way: *not supported*;
else *undecided*.

The gate (`learned`): no verdict where a condition has learned too little, for then a difference may be one of
training. A claim of none (DNA's models do not use context; they are worth no more than counting) is contradicted
by any gain above the null, which needs no gate, and supported by a gain surely below ``NEGLIGIBLE`` of what can be
saved (or below a fixed amount, `Measure.negligible`). Of context the gate then asks of text alone: asking DNA's
own gain would hide the finding.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from gfm_utils.claims.claim import AGAINST, CLAIMS, FOR, NOT_TESTED, UNDECIDED, Claim, Learned, learned
from gfm_utils.measures.estimates import Estimate, estimate, kinds, null_of, rows_read
from gfm_utils.measures.intervals import LEVEL, Difference, TTest, difference, holm, welch
from gfm_utils.measures.registry import Measure
from gfm_utils.tokens import is_control

SUPPORTED, NOT_SUPPORTED, TOO_LITTLE = "supported", "not supported", "too little learned to test"
#: A context gain that is surely below this share of what can be saved is none.
NEGLIGIBLE = 0.1
#: Chance that a difference of ``detectable`` is decided.
POWER = 0.8
_DRAWS = 10_000


class Side(NamedTuple):
    """On which side of a claim all pairs lie, and the p-value of that; UNDECIDED and 1 where they differ."""

    outcome: str
    p: float


class Tested(NamedTuple):
    """What a run says of one measure.

    Attributes:
        measure: which.
        text: condition -> value of each condition of text.
        dna: condition -> value of each condition of DNA.
        nulls: condition -> value of the null, of all conditions that have one.
        decides: the difference DNA - text (of a measure of DNA alone: from its null) of the pair with the largest
            p-value; where pairs differ in sign, of that which favours the claim least. NaN without any.
        side: of all pairs; None without a test.
        pairs: condition of DNA and of text -> the difference DNA - text; none of a measure of DNA alone.
    """

    measure: Measure
    text: dict[str, Estimate]
    dna: dict[str, Estimate]
    nulls: dict[str, float]
    decides: Difference
    side: Side | None
    pairs: Mapping[tuple[str, str], Difference]

    @property
    def outcome(self) -> str | None:
        """For, against or undecided by this measure alone, uncorrected; None without a test."""
        if self.side is None:
            return None
        return self.side.outcome if self.side.p <= 1 - LEVEL else UNDECIDED


class Verdict(NamedTuple):
    """What a run says of a claim.

    Attributes:
        word: supported, not supported, undecided, too little learned to test, or not tested.
        p: of its primary measure after Holm's correction for all claims; NaN without a test.
        lacking: of too little learned: the conditions that have, each with what it has learned.
        reason: of not tested: why.
        dissent: measures of robustness that, each by itself, say the opposite of the verdict.
        primary: what the tables say of the primary measure; None where that was not judged.
    """

    word: str
    p: float = np.nan
    lacking: tuple[tuple[str, Learned], ...] = ()
    reason: str = ""
    dissent: tuple[Tested, ...] = ()
    primary: Tested | None = None


def check_claims(rows: pd.DataFrame, claims: Sequence[Claim] = CLAIMS) -> dict[Claim, list[Tested]]:
    """Claim -> what the result tables of a run say of those of its measures that they can speak of.

    Measures need a condition of text and one of DNA with a value; the result is empty without either kind.
    """
    of_models = learned(rows)
    of_condition = rows_read(rows, (term for claim in claims for term in claim.terms))
    of_kind = kinds(rows)
    text, dna = (
        {name: of_condition[name] for name in of_kind[kind] if name in of_condition and not is_control(name)}
        for kind in ("text", "dna")
    )
    every = {claim: [_test(measure, text, dna, of_models) for measure in claim.measures] for claim in claims}
    known = {claim: [one for one in tested if one is not None] for claim, tested in every.items()}
    return {claim: tested for claim, tested in known.items() if tested}


def verdicts(rows: pd.DataFrame, claims: Sequence[Claim] = CLAIMS) -> dict[Claim, Verdict]:
    """The verdict on each claim by the result tables of a run; empty where these have no text or no DNA."""
    checked, of_models = check_claims(rows, claims), learned(rows)
    if not checked:
        return {}
    primary = {
        claim: next((one for one in checked.get(claim, ()) if one.measure == claim.primary), None)
        for claim in claims
    }
    raw = [np.nan if one is None or one.side is None else one.side.p for one in primary.values()]
    corrected = dict(zip(claims, map(float, holm(raw)), strict=True))
    return {
        claim: _verdict(primary[claim], corrected[claim], checked.get(claim, ()), of_models) for claim in claims
    }


def _verdict(
    primary: Tested | None, p: float, tested: Sequence[Tested], of_models: Mapping[str, Learned]
) -> Verdict:
    if primary is None:
        return Verdict(NOT_TESTED, reason="no value of its primary measure")
    if primary.side is None:
        return Verdict(NOT_TESTED, reason="too few members, or no control, for a test")
    outcome = primary.side.outcome if p <= 1 - LEVEL else UNDECIDED
    absent = primary.measure.above is None
    if not (absent and outcome == AGAINST):
        of_gain = absent and primary.measure.negligible is None
        asked = [*primary.text, *([] if of_gain else primary.dna)]
        unknown = [name for name in asked if name not in of_models or of_models[name].enough is None]
        if unknown:
            return Verdict(NOT_TESTED, p, reason=f"what counting saves is not known of {', '.join(unknown)}")
        lacking = tuple((name, of_models[name]) for name in asked if not of_models[name].enough)
        if lacking:
            return Verdict(TOO_LITTLE, p, lacking)
    opposite = {FOR: AGAINST, AGAINST: FOR}.get(outcome)
    dissent = tuple(one for one in tested if one is not primary and one.outcome == opposite is not None)
    word = {FOR: SUPPORTED, AGAINST: NOT_SUPPORTED}.get(outcome, UNDECIDED)
    return Verdict(word, p, dissent=dissent, primary=primary)


def together(values: npt.ArrayLike, p: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The sign that all differences have, and its p-value: the largest (Berger, 1982); 0 and 1 where signs differ.

    Both of shape (...), of differences and their two-sided p-values of shape (..., pairs).
    """
    signs = np.sign(np.asarray(values, np.float64))
    sign = np.where((signs == signs[..., :1]).all(-1), signs[..., 0], 0.0)
    return sign, np.where(sign == 0, 1.0, np.max(p, axis=-1))


def detectable(members: int, claims: int = len(CLAIMS), dna: int = 1, text: int = 1) -> float:
    """The least difference that is decided in ``POWER`` of cases, in standard deviations between members.

    Simulated: in each of ``_DRAWS`` cases without a difference, the least one that would have let all pairs of
    conditions pass the strictest step of Holm's correction for so many claims; spreads are equal.
    """
    rng = np.random.default_rng(0)
    tests = welch(rng.normal(size=(_DRAWS, dna, 1, members)), rng.normal(size=(_DRAWS, 1, text, members)))
    passes = stats.t.ppf(1 - (1 - LEVEL) / claims / 2, tests.freedom) * tests.error - tests.value
    return float(np.quantile(passes.max((1, 2)), POWER))


Rows = Mapping[str, pd.DataFrame]  # of each condition
Reader = Callable[[Measure, pd.DataFrame], Estimate | None]


def _test(measure: Measure, text: Rows, dna: Rows, of_models: Mapping[str, Learned]) -> Tested | None:
    """A measure on the conditions of text and of DNA; None where either has no value."""
    of_text, of_dna = (_values(measure, rows) for rows in (text, dna))
    if not of_text or not of_dna:
        return None
    nulls, pairs = _values(measure, {**text, **dna}, null_of), {}
    if measure.above is None:
        beside = {name: (one, nulls[name]) for name, one in of_dna.items() if name in nulls}
        decides, side = _beside_null(beside, of_models, measure.negligible)
    else:
        pairs = {(one, other): _difference(of_dna[one], of_text[other]) for one, other in product(of_dna, of_text)}
        decides, side = _strictest(list(pairs.values()), measure.above)
    levels = {name: one.interval.value for name, one in nulls.items() if name in of_text or name in of_dna}
    return Tested(measure, of_text, of_dna, levels, decides, side, pairs)


def _values(measure: Measure, rows: Rows, of: Reader = estimate) -> dict[str, Estimate]:
    return {name: one for name, of_condition in rows.items() if (one := of(measure, of_condition)) is not None}


def _strictest(pairs: Sequence[Difference], above: bool) -> tuple[Difference, Side | None]:
    """The pair that decides, and on which side all pairs lie; ``above``: the claim says above zero."""
    least = min(pairs, key=lambda pair: pair.value if above else -pair.value)
    if any(np.isnan(pair.p) for pair in pairs):
        return least, None
    sign, p = together([pair.value for pair in pairs], [pair.p for pair in pairs])
    if sign == 0:
        return least, Side(UNDECIDED, 1.0)
    side = Side(FOR if (sign > 0) == above else AGAINST, float(p))
    return max(pairs, key=lambda pair: pair.p), side


def _beside_null(
    pairs: Mapping[str, tuple[Estimate, Estimate]], of_models: Mapping[str, Learned], negligible: float | None
) -> tuple[Difference, Side | None]:
    """Whether the gain is surely above that of the null (against a claim of none), or else surely negligible."""
    if not pairs:
        return Difference(*[np.nan] * 4), None
    decides, side = _strictest([_difference(*pair) for pair in pairs.values()], above=False)
    if side is None or (side.outcome == AGAINST and side.p <= 1 - LEVEL):
        return decides, side
    least = dict.fromkeys(pairs, negligible)
    if negligible is None:
        savings = {name: of_models[name].saving if name in of_models else np.nan for name in pairs}
        least = {name: NEGLIGIBLE * max(saving, 0.0) for name, saving in savings.items() if not np.isnan(saving)}
    if len(least) < len(pairs):
        return decides, Side(UNDECIDED, 1.0)
    over = [_difference(*pair, least[name] or 0.0) for name, pair in pairs.items()]
    below = _strictest(over, above=False)[1]
    return decides, below if below is not None and below.outcome == FOR else Side(UNDECIDED, 1.0)


def _difference(first: Estimate, second: Estimate, beyond: float = 0.0) -> Difference:
    """How much more than ``beyond`` the first is than the second, over members and test windows.

    Of numbers without members from their intervals, as of independent normal estimates.
    """
    if len(first.members) and len(second.members):
        return difference(first.members - beyond, second.members, further=first.windows + second.windows)
    value = first.interval.value - second.interval.value - beyond
    halves = [(one.interval.high - one.interval.low) / 2 for one in (first, second)]
    error = math.hypot(*halves) / float(stats.norm.ppf(0.5 + LEVEL / 2))
    return TTest(*map(np.asarray, (value, error, np.inf))).single()
