"""The whole rule in simulations, and verdicts from tables: primary measures alone, corrected, behind the gate."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gfm_utils.claims.claim import CLAIMS, NOT_TESTED, UNDECIDED, Claim
from gfm_utils.claims.verdicts import (
    NOT_SUPPORTED,
    SUPPORTED,
    TOO_LITTLE,
    check_claims,
    detectable,
    together,
    verdicts,
)
from gfm_utils.measures.controls import NO_LAYERS
from gfm_utils.measures.intervals import difference, holm, pseudo_values, welch
from gfm_utils.measures.rows import OVER_SEQUENCES, member_rows, pair_matrix, pair_rows
from gfm_utils.tables import table

SEEDS = (1, 2, 3, 4, 5)
RUNS = 3000
#: Claims by what their primary measure is of: members, pairs of members, members beside a control of three, or
#: members beside nothing.
OF_MEMBERS, OF_PAIRS, CONTROL, TASKS = [0, 1, 4], [2, 3], 5, 6


# How the numbers of pairs come about, from those of members: (runs, members) -> (runs, pairs).
def effects(rng, members):
    """Each member moves all of its pairs."""
    first, second = np.triu_indices(members.shape[-1], 1)
    return (members[:, first] + members[:, second]) / 2


def mixed(rng, members):
    """… and chance moves each pair."""
    pairs = effects(rng, members)
    return pairs + members.std() * rng.normal(size=pairs.shape) / 2


def distances(rng, members):
    """Distances between points, one a member, which have nothing else to do with the numbers."""
    points = rng.normal(size=(*members.shape, 4))
    first, second = np.triu_indices(members.shape[-1], 1)
    pairs = np.linalg.norm(points[:, first] - points[:, second], axis=-1)
    return pairs - pairs.mean()


def numbers(rng, spread, kind, shift=0.0):
    """Independent numbers of the members in each run, for each claim: (runs, claims, members)."""
    found = shift + spread * rng.normal(size=(RUNS, len(CLAIMS), len(SEEDS)))
    for claim in OF_PAIRS:
        each = pseudo_values(pair_matrix(kind(rng, found[:, claim] - shift)))
        found[:, claim] = shift + spread * each / each.std()
    return found


def decisions(rng, kind, conditions, spreads=(1.0, 1.0), shift=0.0, correct=holm):
    """Sign of each claim's decision in each run, 0 for none, shape (runs, claims).

    There are so many conditions of DNA, beside one of text. Spreads are those of text, and of DNA and control;
    DNA is shifted by standard deviations between members.
    """
    text, values, p = numbers(rng, spreads[0], kind), [], []
    for _ in range(conditions):
        found = welch(numbers(rng, spreads[1], kind, shift * np.sqrt(np.mean(np.square(spreads)))), text)
        values.append(found.value)
        p.append(found.p)
    values, p = np.stack(values, -1), np.stack(p, -1)
    for claim, others in ((CONTROL, rng.normal(size=(RUNS, 3))), (TASKS, np.zeros((RUNS, 5)))):
        beside = welch(spreads[1] * (shift + rng.normal(size=(RUNS, 5))), spreads[1] * others)
        values[:, claim], p[:, claim] = beside.value[:, None], beside.p[:, None]
    sign, p = together(values, p)
    return np.where(correct(p) <= 0.05, sign, 0)


def strictest(p):
    """The first step of Holm's correction, for a claim that differs alone."""
    return len(CLAIMS) * p


@pytest.mark.parametrize("kind", [effects, mixed, distances])
@pytest.mark.parametrize(("conditions", "spreads"), [(1, (1, 1)), (1, (1, 3)), (2, (3, 1))])
def test_without_a_difference_there_is_any_decision_in_at_most_5_percent(kind, conditions, spreads):
    found = decisions(np.random.default_rng(0), kind, conditions, spreads)
    assert (found != 0).any(1).mean() <= 0.05 + 1.65 * np.sqrt(0.05 * 0.95 / RUNS)


@pytest.mark.parametrize("kind", [effects, mixed, distances])
@pytest.mark.parametrize(("conditions", "spreads"), [(1, (1, 1)), (2, (1, 3)), (2, (3, 1))])
def test_four_standard_deviations_are_decided_rightly_in_80_percent(kind, conditions, spreads):
    found = decisions(np.random.default_rng(0), kind, conditions, spreads, 4)
    assert ((found == 1).mean(0) >= 0.8).all()
    assert not (found == -1).any()


def test_the_power_that_is_told_is_that_of_the_simulation():
    least = detectable(len(SEEDS))
    assert detectable(10) < least < 4
    assert detectable(len(SEEDS), claims=1) < least < detectable(len(SEEDS), dna=2) < 4
    found = decisions(np.random.default_rng(0), effects, 1, shift=least, correct=strictest)
    assert (found == 1)[:, OF_MEMBERS].mean() == pytest.approx(0.8, abs=0.02)


def measured(measure, condition, level, rng, state="trained", seeds=SEEDS, spread=0.01):
    """Rows of members, or of pairs, in which the first term of a measure has a level."""
    term = measure.terms[0]
    base = {"condition": condition, "state": state, "metric": term.metric, "unit": term.unit or "share",
            "axis": term.axis, "x": term.x}  # fmt: skip
    values = level + spread * rng.normal(size=len(seeds))
    if measure.chapter in ("disagreement", "embeddings"):
        return list(pair_rows(base, seeds, (values[:, None] + values) / 2, 10))
    return list(member_rows(base, seeds, values, 10))


def run(levels, gains=(2.0, 0.5, 0.2), savings=(3.0, 0.4, 0.1), spread=0.01, seed=0, tasks=()):
    """Tables of a text and two DNA conditions.

    Levels are those of each primary measure but the last two in text and in DNA, where log2 V is 1; savings those
    of counting, bits/token; and tasks what probes gain over counting.
    """
    rng, rows = np.random.default_rng(seed), []
    for name, gain in zip(NAMES, tasks, strict=False):
        rows += measured(CLAIMS[TASKS].primary, name, gain, rng, spread=spread)
        rows += measured(CLAIMS[TASKS].primary, name, 0.0, rng, "counting", spread=0.0)
    for name, gain, saving in zip(NAMES, gains, savings, strict=True):
        unit = "bits/character" if name == NAMES[0] else "bits/base"
        rows.append({"condition": name, "metric": "symbols", "unit": unit, "value": 1.0})
        plain = {"condition": name, "unit": "bits/token"}
        rows.append({**plain, "metric": "unigram_nll", "value": 7.0})
        rows.append({**plain, "metric": "ngram_nll", "axis": "sides", "x": "both", "value": 7.0 - saving})
        rows += measured(CLAIMS[CONTROL].primary, name, gain, rng, spread=spread)
        if name != NAMES[2]:
            rows += measured(CLAIMS[CONTROL].primary, name, 0.0, rng, NO_LAYERS, SEEDS[:3], spread)
        for claim, of_kinds in zip(CLAIMS, levels, strict=False):
            level = of_kinds[name != NAMES[0]]
            made = measured(claim.primary, name, level, rng, spread=spread)
            rows += made
            if claim == CLAIMS[1]:  # entropy and KL divergence add up to 1
                rows += [{**row, "metric": "kl_from_uniform", "value": 1 - row["value"]} for row in made]
    return table(rows)


NAMES = ("t@bpe9", "d@bpe9", "d@kmer2")
SAME = [(0.5, 0.5)] * 5
AS_CLAIMED = [(0.2, 0.5), (0.2, 0.5), (0.2, 0.5), (0.5, 0.2), (0.5, 0.2)]
OPPOSITE = [pair[::-1] for pair in AS_CLAIMED]


def words(rows, claims=CLAIMS):
    return [one.word for one in verdicts(rows, claims).values()]


def test_verdicts_of_whole_runs():
    assert words(run(AS_CLAIMED)) == [SUPPORTED] * 5 + [NOT_SUPPORTED, NOT_TESTED]
    assert words(run(OPPOSITE, tasks=(0.2, 0.1, 0.05))) == [NOT_SUPPORTED] * 7
    assert words(run(SAME, spread=0.03)) == [UNDECIDED] * 5 + [NOT_SUPPORTED, NOT_TESTED]


def test_the_correction_counts_claims_that_are_not_tested():
    rows = run(AS_CLAIMED, spread=0.2, seed=1)
    claim = CLAIMS[1]
    alone = verdicts(rows, [claim])[claim]
    gone = rows[~rows["metric"].isin(["nll", "js_distance", "topk_overlap_corrected", "fisher_share"])]
    found = verdicts(gone)
    assert [one.word for one in found.values()].count(NOT_TESTED) == 5
    assert found[claim].p >= 5 * alone.p  # beside that of the gain
    assert (alone.word, found[claim].word) == (SUPPORTED, UNDECIDED)


def test_robustness_changes_no_verdict_and_is_named_where_it_says_the_opposite():
    rows, rng = run(AS_CLAIMED), np.random.default_rng(1)
    claim = CLAIMS[2]
    other = claim.measures[1]
    further = [row for name in NAMES for row in measured(other, name, 0.5 if name == NAMES[0] else 0.2, rng)]
    more = pd.concat([rows, table(further)])
    plain, found = verdicts(rows), verdicts(more)
    assert [(one.word, one.p) for one in plain.values()] == [(one.word, one.p) for one in found.values()]
    assert [[one.measure for one in many[claim].dissent] for many in (plain, found)] == [[], [other]]
    many = [replace(one, measures=(one.primary, *[other] * 2)) for one in CLAIMS]
    assert words(more, many) == [one.word for one in plain.values()]


def test_too_little_learned_gives_no_verdict_but_that_context_is_used():
    found = verdicts(run(AS_CLAIMED, gains=(2.0, 0.15, 0.2)))
    assert [one.word for one in found.values()] == [TOO_LITTLE] * 5 + [NOT_SUPPORTED, NOT_TESTED]
    ((name, one),) = found[CLAIMS[0]].lacking
    assert name == NAMES[1] and (one.gain, one.saving) == pytest.approx((0.15, 0.4), abs=0.02)


def test_that_context_is_not_used_needs_a_gain_surely_negligible_and_a_text_that_has_learned():
    def word(gains, savings):
        return words(run([], gains, savings), [CLAIMS[CONTROL]])[0]

    assert word((2.0, 0.0, 0.0), (3.0, 1.0, 0.2)) == SUPPORTED
    assert word((2.0, 0.0, 0.0), (3.0, 0.02, 0.2)) == UNDECIDED  # 0.002 bits cannot be told from none
    assert word((2.0, 0.0, 0.0), (9.0, 1.0, 0.2)) == TOO_LITTLE
    assert word((2.0, 0.05, 0.0), (3.0, 1.0, 0.2)) == NOT_SUPPORTED  # little, but some
    rows = run([])
    assert words(rows[(rows["state"] != NO_LAYERS).fillna(True)], [CLAIMS[CONTROL]]) == [NOT_TESTED]


@pytest.mark.parametrize(
    ("tasks", "spread", "word"),
    [((0.0, 0.1, 0.05), 0.01, NOT_SUPPORTED), ((0.0, 0.006, 0.007), 0.001, NOT_SUPPORTED),  # little, but some
     ((0.2, 0.0, 0.0), 0.001, SUPPORTED), ((0.2, -0.1, -0.2), 0.01, SUPPORTED),
     ((0.2, 0.0, 0.0), 0.02, UNDECIDED),  # neither surely below 0.01 nor above 0
     ((0.0, 0.1, -0.1), 0.001, UNDECIDED)],
)  # fmt: skip
def test_models_of_dna_are_worth_no_more_than_counting_if_what_they_gain_is_surely_negligible(tasks, spread, word):
    assert words(run([], spread=spread, tasks=tasks), [CLAIMS[TASKS]]) == [word]


def test_worth_no_more_than_counting_needs_models_that_have_learned_and_worth_more_does_not():
    """Also of DNA: its gain from context is another measure than the gain over counting."""

    def found(tasks, gains):
        return verdicts(run([], gains, spread=0.001, tasks=tasks), [CLAIMS[TASKS]])[CLAIMS[TASKS]]

    none, some = (0.0, -0.1, -0.1), (0.0, 0.1, 0.1)
    for gains, name in (((2.0, 0.15, 0.2), NAMES[1]), ((1.0, 0.5, 0.2), NAMES[0])):
        assert found(none, gains).word == TOO_LITTLE and [one for one, _ in found(none, gains).lacking] == [name]
        assert found(some, gains).word == NOT_SUPPORTED
    rows = run([], spread=0.001, tasks=none)
    known = verdicts(rows[rows["metric"] != "ngram_nll"], [CLAIMS[TASKS]])[CLAIMS[TASKS]]
    assert known.word == NOT_TESTED and "what counting saves is not known" in known.reason
    alone = rows[(rows["state"] != "counting").fillna(True)]
    assert words(alone, [CLAIMS[TASKS]]) == [NOT_TESTED]


def test_windows_widen_the_interval_where_the_tables_have_them():
    rows, claim = run(AS_CLAIMED), CLAIMS[2]
    one = {"metric": "js_distance", "unit": "distance", "state": "trained", **OVER_SEQUENCES, "value": 0.5}
    more = table([{**one, "condition": name, "low": 0.5 - 0.196, "high": 0.5 + 0.196} for name in NAMES])
    plain, wide = (check_claims(frame)[claim][0] for frame in (rows, pd.concat([rows, more])))
    assert (plain.text[NAMES[0]].windows, wide.text[NAMES[0]].windows) == pytest.approx((0, 0.01), rel=1e-3)
    assert wide.text[NAMES[0]].interval == plain.text[NAMES[0]].interval
    expected = [difference(one.members, wide.text[NAMES[0]].members, further=0.02) for one in wide.dna.values()]
    assert wide.decides == pytest.approx(max(expected, key=lambda pair: pair.p), rel=1e-3)
    assert wide.side.p > plain.side.p


def test_without_a_test_or_without_what_counting_saves_a_claim_is_not_tested():
    """Two members have one pair; tables of foreign checkpoints have no counting."""
    rows, claim = run(AS_CLAIMED), Claim("claim", (CLAIMS[2].primary,))
    few = rows[~(rows["member"] > 2).fillna(False) & ~(rows["other"] > 2).fillna(False)]
    assert (
        verdicts(few, [claim])[claim].word == NOT_TESTED and check_claims(few, [claim])[claim][0].outcome is None
    )
    found = verdicts(rows[rows["metric"] != "ngram_nll"])
    assert [one.word for one in found.values()] == [NOT_TESTED] * 5 + [NOT_SUPPORTED, NOT_TESTED]
    assert "what counting saves is not known of t@bpe9" in found[CLAIMS[0]].reason
