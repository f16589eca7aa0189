"""What tables say of a measure, from members' numbers alone."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gfm_utils.analyses.claims import AGAINST, CLAIMS, FOR, UNDECIDED, Claim
from gfm_utils.analyses.estimates import kinds
from gfm_utils.analyses.intervals import difference, over_pairs, pseudo_values
from gfm_utils.analyses.measures import Measure, Term
from gfm_utils.analyses.rows import member_rows, pair_rows
from gfm_utils.analyses.verdicts import check_claims, verdicts
from gfm_utils.tables import table

SEEDS = (1, 2, 3, 4, 5)
NOISE = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])


def run(*levels, metric="m", seeds=SEEDS, state="trained"):
    """Rows of a text condition and of DNA conditions whose members scatter a little around a level."""
    rows = [{"condition": "t@x", "metric": "nll", "unit": "bits/character", "value": 1.0}]
    rows += [{"condition": f"d{i}@x", "metric": "nll", "unit": "bits/base", "value": 1.0}
             for i in range(1, len(levels))]  # fmt: skip
    for condition, level in zip(["t@x", *(f"d{i}@x" for i in range(1, len(levels)))], levels, strict=True):
        base = {"condition": condition, "state": state, "metric": metric, "unit": "share"}
        rows += member_rows(base, seeds, level + NOISE[: len(seeds)], 10)
    return table(rows)


def one(rows, **more):
    measure = Measure("text", "1", "chapter", (Term("m"),), **{"above": True, **more})
    return check_claims(rows, [Claim("claim", (measure,))]).popitem()[1][0]


@pytest.mark.parametrize(
    ("levels", "above", "outcome"),
    [((0.2, 0.5), True, FOR), ((0.2, 0.5), False, AGAINST), ((0.5, 0.2), False, FOR),
     ((0.2, 0.201), True, UNDECIDED),
     ((0.3, 0.5, 0.1), True, UNDECIDED), ((0.3, 0.5, 0.6), True, FOR), ((0.3, 0.5, 0.302), True, UNDECIDED)],
)  # fmt: skip
def test_a_measure_speaks_only_if_every_pair_does(levels, above, outcome):
    assert one(run(*levels), above=above).outcome == outcome


def test_the_difference_is_that_of_the_pair_with_the_largest_p_value():
    found = one(run(0.3, 0.5, 0.6)).decides
    assert found == pytest.approx(difference(0.5 + NOISE, 0.3 + NOISE))
    rows = run(0.3, 0.5, 0.6)
    wide = (rows["condition"] == "d2@x") & (rows["metric"] == "m") & rows["member"].notna()
    rows.loc[wide, "value"] = 0.6 + 20 * NOISE  # further away, and hardly told from nothing
    found = one(rows)
    assert found.outcome == UNDECIDED and found.decides == pytest.approx(difference(0.6 + 20 * NOISE, 0.3 + NOISE))
    assert found.side.p == pytest.approx(found.decides.p)
    assert one(run(0.6, 0.2, 0.4), above=False).decides.value == pytest.approx(-0.2)


def test_pairs_are_compared_by_their_pseudo_values():
    rng = np.random.default_rng(0)
    matrices = {}
    rows = [run(0.0, 0.0)[lambda rows: rows["metric"] == "nll"]]
    for condition in ("t@x", "d1@x"):
        matrix = rng.random((5, 5))
        matrices[condition] = matrix + matrix.T
        base = {"condition": condition, "state": "trained", "metric": "m", "unit": "share"}
        rows.append(table(pair_rows(base, SEEDS, matrices[condition], 10)))
    found = one(pd.concat(rows))
    assert found.dna["d1@x"].interval == pytest.approx(over_pairs(matrices["d1@x"]))
    assert found.decides == pytest.approx(difference(*(pseudo_values(matrices[c]) for c in ("d1@x", "t@x"))))


def test_terms_are_combined_member_by_member_and_nulls_stand_beside():
    rows = pd.concat([run(0.2, 0.6), run(0.4, 0.3, metric="whole"), run(0.1, 0.1, state="untrained")])
    measure = Measure("m", "1", "c", (Term("m"), Term("whole")), True, lambda a, b: a / b,
                      null=("whole", (Term("whole"), Term("whole"))))  # fmt: skip
    found = check_claims(rows, [Claim("claim", (measure,))]).popitem()[1][0]
    assert found.dna["d1@x"].members == pytest.approx((0.6 + NOISE) / (0.3 + NOISE))
    assert found.nulls == pytest.approx({"t@x": 1.0, "d1@x": 1.0})
    assert one(rows).nulls == pytest.approx({"t@x": 0.1, "d1@x": 0.1})


def test_summaries_alone_are_compared_by_their_intervals_and_the_best_coder_counts():
    rows = [
        {"condition": name, "metric": "code_length", "unit": unit, "value": v, "low": v - 0.3, "high": v + 0.3}
        for name, unit, best in (("t", "bits/character", 1.0), ("d", "bits/base", 1.9))
        for v in (best, best + 1)
    ]
    rows += [{"condition": c, "metric": "uniform_entropy", "unit": "bits", "value": 2.0} for c in ("t", "d")]
    (found,) = check_claims(table(rows))[CLAIMS[0]]
    assert found.text["t"].interval == pytest.approx((0.5, 0.35, 0.65))
    assert found.decides[:3] == pytest.approx((0.45, 0.45 - 0.15 * 2**0.5, 0.45 + 0.15 * 2**0.5))
    assert found.outcome == FOR and found.decides.p == pytest.approx(
        2 * stats.norm.sf(1.96 * 0.45 / 0.15 / 2**0.5), rel=1e-3
    )


def test_two_members_allow_an_interval_over_members():
    assert one(run(0.2, 0.9, seeds=(1, 2))).outcome is not None


def test_rows_that_differ_are_never_chosen_between():
    rows = run(0.2, 0.6)
    assert one(pd.concat([rows, rows])).outcome == FOR  # the same row in two tables is one row
    with pytest.raises(ValueError, match=r"metric='m'.*'t@x' means several rows, for member\(s\) 1"):
        one(pd.concat([rows, run(0.3, 0.6)]))


def test_a_measure_that_is_not_defined_is_left_out():
    rows = pd.concat([run(0.2, 0.6), run(0.0, 0.0, metric="whole")])
    rows.loc[rows["metric"] == "whole", "value"] = 0.0
    rows.loc[rows["metric"] == "m", "value"] = 0.0
    measure = Measure("m", "1", "c", (Term("m"), Term("whole")), True, lambda a, b: a / b)
    assert check_claims(rows, [Claim("claim", (measure,))]) == {}


def test_a_run_without_text_has_no_claims_and_kinds_are_told_by_units():
    rows = run(0.2, 0.3, 0.4)
    assert kinds(rows) == (["t@x"], ["d1@x", "d2@x"])
    assert check_claims(rows[rows["condition"] != "t@x"]) == verdicts(rows[rows["condition"] != "t@x"]) == {}


def test_controls_are_neither_text_nor_dna_of_a_claim():
    rows = run(0.2, 0.5)
    control = rows[rows["condition"] == "t@x"].assign(condition="t+shuffle@bpe9")
    plain = rows.assign(condition=rows["condition"].replace({"t@x": "t@bpe9", "d1@x": "d@kmer2"}))
    found = one(pd.concat([plain, control.assign(value=9.0)], ignore_index=True))
    assert list(found.text) == ["t@bpe9"] and found.outcome == FOR


def test_what_is_left_above_a_null_is_a_difference_for_the_null_may_be_nothing():
    rows = pd.concat([run(0.2, 0.6, metric="js_distance"), run(0.0, 0.0, metric="js_distance_matched_null")])
    (left,) = (one for one in check_claims(rows)[CLAIMS[2]] if "above" in one.measure.text)
    assert left.dna["d1@x"].members == pytest.approx(np.full(5, 0.6))  # members and null vary alike here


def test_the_table_of_every_chapter_with_claims_tells_text_from_dna(measured):
    """Also alone, as the chapter shows it: a table of shares and distances has no bits per base."""
    found = {name: measured(name) for name in ("predictions", "disagreement", "static_embeddings", "fisher")}
    chapters = {measure.chapter.rpartition("/")[2] for claim in CLAIMS for measure in claim.measures}
    assert chapters == {"entropy", *found}  # whose table counts bits per base and character
    assert {name for name, rows in found.items() if check_claims(rows)} == set(found)
