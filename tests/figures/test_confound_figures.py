"""Tables of the confounds: what becomes of every difference, in words and in numbers, or one sentence."""

import numpy as np
import pytest
from drawing import cells

from gfm_utils import figures
from gfm_utils.claims.confounds import AXIS
from gfm_utils.figures.confounds import NOTHING
from gfm_utils.measures.rows import member_rows
from gfm_utils.tables import table

NAMES = {"text": "news@bpe256", "dna": "tair10-chr1@bpe256", "kmers": "tair10-chr1@kmer4"}
SPREAD = np.array([-1.2, -0.5, 0.0, 0.6, 1.1]) / 100


def measured(experiment, metric, unit="share", **values):
    for role, value in values.items():
        base = {"condition": NAMES[role], "state": "trained", "metric": metric, "unit": unit, "axis": AXIS}
        yield from member_rows({**base, "x": f"{experiment}|{role}"}, range(1, 6), value + SPREAD, 5)


@pytest.fixture(scope="module")
def found():
    attainable = {"metric": "attainable_gain", "unit": "bits/token", "axis": AXIS, "condition": "a@kmer4"}
    return table([
        *measured("standard", "context_gain", "bits/token", text=2.5, dna=0.2, kmers=0.1),
        *measured("standard", "js_distance", "1", text=0.3, dna=0.1, kmers=0.3),
        *measured("recoded", "js_distance", "1", text=0.2),
        *measured("adamw", "context_gain", "bits/token", text=1.4, dna=0.1, kmers=0.3),
        *measured("adamw", "js_distance", "1", text=0.3, dna=0.3, kmers=0.3),
        *measured("within", "context_gain", "bits/token", text=0.1, dna=0.5, kmers=0.1),
        *measured("chain", "context_gain", "bits/token", kmers=0.5),
        *measured("chain-cold", "context_gain", "bits/token", kmers=0.5),
        {**attainable, "x": "chain|kmers", "value": 1.0},
        {**attainable, "x": "chain-cold|kmers", "value": 0.625},
    ])  # fmt: skip


def test_every_experiment_says_what_is_left_of_the_differences(found):
    """A star marks DNA that has learned less than half of what it has learned before."""
    recoded, optimiser = cells(figures.confounds_table(found).data)
    assert "alphabet and tokenizer of DNA" in recoded[0] and recoded[2:4] == ["–\u00a0/ *new*", "–"]
    assert optimiser[1:3] == ["1.40\u00a0/ 0.10\u00a0/ 0.30", "*undecided*\u00a0/ *none*"]
    rows = cells(figures.confounds_table(found, predictability=True).data)
    assert len(rows) == 3 and rows[0][1] == "0.10\u00a0/ 0.50\u00a0/ 0.10"
    adamw = (found["x"] == "adamw|dna") & (found["metric"] == "context_gain") & found["member"].isna()
    less = found.assign(value=found["value"].mask(adamw, 0.09))
    assert cells(figures.confounds_table(less).data)[1][1] == "1.40\u00a0/ 0.09*\u00a0/ 0.30"


def test_differences_that_keep_their_sign_are_counted(found):
    assert figures.differences_kept(found) == "0 of 1"
    assert figures.differences_kept(table([])) == "0 of 0"


def test_sources_are_ordered_by_what_is_attained(found):
    rows = cells(figures.sources_table(found).data)
    assert [row[2:4] for row in rows] == [
        ["0.625", "80.0\u00a0%"], ["1.000", "50.0\u00a0%"], *[["unknown", "–"]] * 3
    ]  # fmt: skip
    assert rows[2][0] == "text" and rows[2][4] == "0.300" and rows[2][5] == "–"


@pytest.mark.parametrize("name", ["confounds_table", "sources_table"])
def test_where_nothing_is_recorded_one_sentence_says_so(name):
    assert getattr(figures, name)(table([])).data == NOTHING
