"""Confounds: what is changed and nothing else, the chapters' own numbers, and what is said of a difference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gfm_utils.claims.along_training import primary_rows
from gfm_utils.claims.confounds import (
    APPEARS,
    AS_COMMON,
    AXIS,
    EXPERIMENTS,
    GONE,
    NONE,
    ROLES,
    STANDARD,
    STAYS,
    TURNS,
    as_common,
    at_read,
    confound_effects,
    roles_of,
)
from gfm_utils.measures.rows import member_rows
from gfm_utils.profiles import Profile, profile
from gfm_utils.tables import table
from gfm_utils.tokens import SPECIAL, Condition

CONDITIONS = {"text": "news@bpe256", "dna": "tair10-chr1@bpe256", "kmers": "tair10-chr1@kmer4"}
QUICK = at_read(profile("quick"))


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda one: one.name)
def test_every_experiment_can_be_made_and_changes_one_thing(experiment):
    names, size = experiment.named(CONDITIONS, QUICK), experiment.sized(QUICK)
    assert all(str(Condition.parse(name)) == name for name in names.values()) and set(names) <= set(ROLES)
    assert experiment.beside in list(EXPERIMENTS)[: list(EXPERIMENTS).index(experiment.name) + 1]
    fields = {name for name in Profile.model_fields if getattr(size, name) != getattr(QUICK, name)}
    changed = fields | ({"condition"} if names != {role: CONDITIONS[role] for role in names} else set())
    changed |= {"members"} if experiment.members else set()
    changed |= {"scored"} if experiment.scored != "all" else set()
    assert bool(changed) == (experiment.name != STANDARD)
    if "batch" in fields:
        assert size.batch * size.window == QUICK.batch * QUICK.window
        assert size.test_windows * size.window == QUICK.test_windows * QUICK.window


COUNTS = arrays.arrays(np.int64, st.integers(len(SPECIAL) + 1, 40), elements=st.integers(0, 5000))


@given(COUNTS, COUNTS)
def test_partners_are_as_common(first, second):
    if first.sum() == 0 or second.sum() == 0:
        return
    one, other = as_common(first, second)
    assert one.sum() == other.sum() and not one[: len(SPECIAL)].any() and not other[: len(SPECIAL)].any()
    shares = [np.sort((counts / counts.sum())[chosen]) for counts, chosen in ((first, one), (second, other))]
    ratio = shares[0] / shares[1]
    assert ((ratio <= AS_COMMON * (1 + 1e-12)) & (ratio >= (1 - 1e-12) / AS_COMMON)).all()
    alike = as_common(first, first)
    assert (alike[0] == (first > 0) & (np.arange(len(first)) >= len(SPECIAL))).all()


def rows_of(experiment, values, spread=0.01, metric="js_distance"):
    """Five members a role around a value, in the form of the result table."""
    noise = np.array([-1.2, -0.5, 0.0, 0.6, 1.1]) * spread
    return [
        row
        for role, value in values.items()
        for row in member_rows(
            {"condition": CONDITIONS[role], "state": "trained", "metric": metric, "unit": "1", "axis": AXIS,
             "x": f"{experiment}|{role}"}, range(1, 6), value + noise, 5,
        )
    ]  # fmt: skip


def test_what_becomes_of_a_difference():
    found = table([
        *rows_of(STANDARD, {"text": 0.5, "dna": 0.3, "kmers": 0.5}),
        *rows_of("adamw", {"text": 0.6, "dna": 0.5, "kmers": 0.2}),
        *rows_of("recoded", {"text": 0.4}),
        *rows_of("masks15", {"text": 0.3, "dna": 0.301, "kmers": 0.3}),
        *rows_of("vary-all", {"text": 0.1, "dna": 0.3, "kmers": 0.3}),
        *rows_of("noise", {"text": 0.3, "dna": 0.5}),
        *rows_of("noise-left-alone", {"text": 0.35, "dna": 0.5}),
    ])  # fmt: skip
    effects = confound_effects(found).set_index(["experiment", "role"])
    assert effects["outcome"].to_dict() == {
        ("recoded", "kmers"): APPEARS, ("adamw", "dna"): STAYS, ("adamw", "kmers"): APPEARS,
        ("masks15", "dna"): GONE, ("masks15", "kmers"): NONE,
        ("vary-all", "dna"): TURNS, ("vary-all", "kmers"): APPEARS,
        ("noise", "dna"): TURNS, ("noise", "kmers"): APPEARS, ("noise-left-alone", "dna"): STAYS,  # beside noise
    }  # fmt: skip
    row = effects.loc[("adamw", "dna")]
    assert row["left"] == pytest.approx(0.5)
    assert row["low"] < row["value"] < row["high"] and np.isnan(effects.loc[("adamw", "kmers"), "left"])
    assert effects.loc[("recoded", "kmers"), "value"] == pytest.approx(-0.1)  # beside the standard run's 4-mers


def test_hidden_tokens_that_count_are_all_or_the_sum_of_two_parts(trained, smoke):
    ensemble, few = trained[0], smoke.model_copy(update={"test_windows": 8})
    assert set(roles_of([one.store for one in trained])) == {"text", "kmers"}
    types = np.arange(ensemble.store.vocabulary) % 2 == 0
    own, *parts = (table(primary_rows(ensemble, "trained", few, 42, part)) for part in (None, types, ~types))
    everything = table(primary_rows(ensemble, "trained", few, 42, scored=np.ones(10**7, np.bool_)))
    assert [{"topk_overlap_corrected", "fisher_share"} & set(one["metric"]) for one in (*parts, everything)] == [
        {"topk_overlap_corrected"}, {"topk_overlap_corrected"}, set(),
    ]  # fmt: skip

    def summary(rows, metric):
        rows = rows[rows["member"].isna() & rows["axis"].isna() & (rows["unit"] == "bits/token")]
        return rows.set_index("metric").loc[metric]

    sizes = [float(summary(part, "unigram_nll")["n"]) for part in parts]
    for metric in ("nll", "unigram_nll", "output_entropy"):
        mean = np.average([summary(part, metric)["value"] for part in parts], weights=sizes)
        assert mean == pytest.approx(summary(own, metric)["value"])
        assert mean == pytest.approx(summary(everything, metric)["value"])
