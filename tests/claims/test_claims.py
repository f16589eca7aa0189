"""What tables say of a measure, from the numbers of members alone; and what models have learned."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gfm_utils.claims.claim import AGAINST, CLAIMS, FOR, UNDECIDED, Claim, learned, learned_share, tokens_read
from gfm_utils.claims.verdicts import check_claims, verdicts
from gfm_utils.measures.estimates import kinds
from gfm_utils.measures.intervals import difference, over_pairs, pseudo_values
from gfm_utils.measures.registry import Measure, Term
from gfm_utils.measures.rows import member_rows, pair_rows
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


def test_rows_that_differ_are_never_chosen_between():
    rows = run(0.2, 0.6)
    assert one(pd.concat([rows, rows])).outcome == FOR  # the same row in two tables is one row
    with pytest.raises(ValueError, match=r"metric='m'.*'t@x' means several rows, for member\(s\) 1"):
        one(pd.concat([rows, run(0.3, 0.6)]))


def test_a_run_without_text_has_no_claims_and_kinds_are_told_by_units():
    rows = run(0.2, 0.3, 0.4)
    assert kinds(rows) == {"text": ["t@x"], "dna": ["d1@x", "d2@x"], "protein": []}
    assert check_claims(rows[rows["condition"] != "t@x"]) == verdicts(rows[rows["condition"] != "t@x"]) == {}


def test_the_table_of_every_chapter_with_claims_tells_text_from_dna(measured):
    """Also alone, as the chapter shows it: a table of shares and distances has no bits per base."""
    found = {name: measured(name) for name in ("predictions", "disagreement", "fisher")}
    found["embeddings"] = measured("static_embeddings")
    chapters = {measure.chapter.rpartition("/")[2] for claim in CLAIMS for measure in claim.measures}
    assert chapters == {"entropy", "tasks", *found}  # those two have no labels, and bits per base and character
    assert {name for name, rows in found.items() if check_claims(rows)} == set(found)


def rows(condition="t@bpe9", gain=1.0, counting=None, code=None, unit="bits/character"):
    """One condition whose token frequencies cost 7 bits, with levels that save so many."""
    plain = {"condition": condition, "unit": "bits/token"}
    found = [
        {**plain, "metric": "unigram_nll", "value": 7.0},
        {**plain, "metric": "x", "unit": unit, "value": 1.0},
    ]
    found += member_rows({**plain, "metric": "context_gain", "state": "trained"}, (1, 2), np.array([gain] * 2), 9)
    if counting is not None:
        found.append({**plain, "metric": "ngram_nll", "axis": "sides", "x": "both", "value": 7 - counting})
        found.append({**plain, "metric": "ngram_nll", "axis": "sides", "x": "left", "value": 1.0})
    if code is not None:
        found.append({**plain, "metric": "window_code_nll", "value": 7 - code})
    return table(found)


@pytest.mark.parametrize(
    ("counting", "code", "saving", "enough"),
    [(2.0, None, 2.0, True), (2.01, None, 2.01, False), (0.5, 2.5, 2.5, False), (2.0, 0.5, 2.0, True),
     (None, 1.5, 1.5, True), (-0.2, None, -0.2, True)],
)  # fmt: skip
def test_enough_is_half_of_the_larger_saving(counting, code, saving, enough):
    one = learned(rows(counting=counting, code=code))["t@bpe9"]
    assert (one.gain, one.saving) == pytest.approx((1.0, saving)) and one.enough is enough


def test_without_a_saving_it_is_not_known_and_without_a_gain_there_is_nothing():
    assert learned(rows())["t@bpe9"].enough is None
    assert np.isnan(learned_share(rows()))
    plain = rows(counting=1.0)
    assert learned(plain[plain["metric"] != "context_gain"]) == {}


def test_the_share_of_a_run_is_a_mean_over_conditions_of_at_most_all():
    run = pd.concat([
        rows(gain=1.0, counting=4.0), rows("d@bpe9", 0.5, 0.25, 9.0, "bits/base"),
        rows("d@kmer2", -0.1, 0.5, unit="bits/base"), rows("d+noise0.3@kmer2", 0.1, 0.5, unit="bits/base"),
    ])  # fmt: skip
    assert learned_share(run) == pytest.approx((0.25 + 1 + 0) / 3)


def test_tokens_are_those_at_the_end_of_training():
    base = {"condition": "t@bpe9", "metric": "validation_nll", "unit": "bits/token", "axis": "tokens"}
    curve = [{**base, "value": 1.0, "state": "trained", "x": x} for x in (0, 100, 1024)]
    assert tokens_read(table([*curve, {**curve[0], "state": "bert-2x64", "x": 4096}])) == 1024
    assert tokens_read(rows()) == 0
