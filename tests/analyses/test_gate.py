"""What models have learned, of what counting and a code save."""

import numpy as np
import pandas as pd
import pytest

from gfm_utils.analyses.gate import learned, learned_share, tokens_read
from gfm_utils.analyses.rows import member_rows
from gfm_utils.tables import table


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
    base = {
        "condition": "t@bpe9",
        "metric": "validation_nll",
        "unit": "bits/token",
        "axis": "tokens",
        "value": 1.0,
    }
    curve = [{**base, "state": "trained", "x": x} for x in (0, 100, 1024)]
    assert tokens_read(table([*curve, {**base, "state": "bert-2x64", "x": 4096}])) == 1024
    assert tokens_read(rows()) == 0
