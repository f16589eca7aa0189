"""The result tables of the Fisher information: shares that add up, controls, and rows of known traces."""

from itertools import product

import numpy as np
import pytest

from gfm_utils import tables
from gfm_utils.figures.select import value_of
from gfm_utils.measures import fisher_flow, fisher_information, fisher_rescaling, shuffled_control
from gfm_utils.measures.fisher.examples import masked_tokens, random_context
from gfm_utils.measures.fisher.fisher_types import paper_fisher
from gfm_utils.measures.fisher.measuring import PAPER, Measure, group_rows


@pytest.fixture(scope="module")
def table(measured):
    return measured("fisher")


def test_shares_add_up_in_every_state_and_form(table, trained):
    forms = [("trained", suffix) for suffix in ("", "_sampled", "_paper", "_invariant")]
    for ensemble, (state, suffix) in product(trained, [*forms, ("untrained", ""), ("random_context", "")]):
        at = {"state": state, "axis": "group"}
        shares = {
            group: value_of(table, ensemble.condition, f"fisher_share{suffix}", x=group, **at)["value"]
            for group in ("embeddings", "encoder", "head", "encoder.0", "encoder.1", "encoder.norm")
            if suffix != "_paper" or group != "encoder.norm"
        }
        assert shares["embeddings"] + shares["encoder"] + shares["head"] == pytest.approx(1)
        layers = sum(share for group, share in shares.items() if group.startswith("encoder."))
        assert layers <= shares["encoder"] if suffix == "_paper" else layers == pytest.approx(shares["encoder"])


def test_intervals_over_windows_stand_beside_those_over_members(table, trained):
    for ensemble in trained:
        rows = table[(table["condition"] == ensemble.condition) & (table["state"] == "trained")]
        row = rows[(rows["axis"] == "group_over_sequences") & (rows["x"] == "encoder")].iloc[0]
        member = value_of(table, ensemble.condition, "fisher_share", state="trained", axis="group", x="encoder")
        assert row["low"] <= row["value"] <= row["high"] and row["value"] == pytest.approx(
            member["value"], rel=0.05
        )


def test_a_random_context_keeps_masks_targets_and_frequencies(trained, smoke):
    plain = masked_tokens(trained[0], smoke.fisher_windows, smoke.fisher_mask, 42)
    mixed = random_context(plain, 1)
    assert (mixed.ids == plain.mask_id).equal(plain.ids == plain.mask_id)
    assert mixed.ids.flatten().sort().values.equal(plain.ids.flatten().sort().values)
    assert not mixed.ids.equal(plain.ids) and mixed.targets.equal(plain.targets)


def test_flow_begins_untrained_and_ends_trained(trained, smoke):
    flow = fisher_flow(trained, smoke)
    steps = trained[0].members[0].checkpoints
    found = flow[(flow["condition"] == trained[0].condition) & (flow["axis"] == "step")]
    assert set(found["x"]) == {str(step) for step in steps}
    shares = [
        value_of(flow, trained[0].condition, "fisher_share", state="trained", axis="group|step", x=f"{group}|0")
        for group in ("embeddings", "encoder", "head")
    ]
    assert sum(row["value"] for row in shares) == pytest.approx(1)


def test_inflation_is_between_none_and_all_in_common(trained, smoke):
    """And the paper's form is taken of the batches and masks of its own."""
    one = smoke.model_copy(update={"fisher_batch": 1, "fisher_mask": 0.3})
    flow = fisher_flow(trained[:1], one)
    found = flow[(flow["metric"] == "fisher_inflation") & flow["member"].notna()]["value"]
    examples = masked_tokens(trained[0], max(2, smoke.fisher_windows // 4), 0.3, 42)
    paper = flow[(flow["metric"] == "fisher_trace_paper") & flow["member"].notna()]
    member, step = trained[0].members[0], trained[0].spec.steps
    last = paper[(paper["member"] == member.seed) & (paper["x"] == str(step))]["value"].item()
    assert last == pytest.approx(sum(paper_fisher(member.model(step), examples, 1).values()), rel=1e-3)
    assert (found > 0).all() and (found < 2 * examples.tokens).all()
    assert found.iloc[0] > 1  # gradients that have nothing in common give 1; untrained ones have much in common


def test_rescaling_moves_one_and_not_the_other(trained, smoke):
    table = fisher_rescaling(trained, smoke)

    def share(metric, state):
        return value_of(table, trained[0].condition, metric, state=state, axis="group", x="embeddings")["value"]

    invariant = "fisher_share_invariant_sequence"
    assert share(invariant, "rescaled") == pytest.approx(share(invariant, "trained"), rel=1e-3)
    assert share("fisher_share_sequence", "rescaled") < 0.9 * share("fisher_share_sequence", "trained")


def test_shuffled_members_are_a_control_of_the_plain_condition(trained, smoke):
    control = shuffled_control(trained, smoke)
    assert control.condition != trained[0].condition
    for made, at in (
        (fisher_information(trained[1:], smoke, shuffled=control), {"axis": "group", "x": "encoder"}),
        (fisher_flow(trained[1:], smoke, shuffled=control), {"axis": "group|step", "x": "encoder|0"}),
    ):
        assert value_of(made, trained[0].condition, "fisher_share", state="shuffled", **at)["n"] > 1
        assert set(made.loc[made["condition"] == trained[0].condition, "state"]) == {"shuffled"}


def test_rows_of_known_traces():
    traces = [{"embedding.visible": 1.0, "decoder.weight": 2.0, "decoder.cross": -0.5, "encoder.0.attention": 0.5,
               "encoder.1.feed_forward": 1.0, "decoder.bias": 4.0}] * 3  # fmt: skip
    base = {"condition": "c", "state": "s"}
    table = tables.table(group_rows(base, [1, 2, 3], traces, 7))

    def share(group):
        return value_of(table, "c", "fisher_share", axis="group", x=group)["value"]

    expected = {"embeddings": 2.5, "encoder": 1.5, "head": 4, "input": 1, "output": 6, "head_with_decoder": 5.5}
    for group, value in expected.items():
        assert share(group) == pytest.approx(value / 8)
    assert value_of(table, "c", "fisher_trace")["value"] == 8
    assert set(table.loc[table["member"].notna(), "n"]) == {7}
    paper = tables.table(group_rows(base, [1, 2, 3], traces, 7, Measure(PAPER, lambda model, examples: {})))
    assert "input" not in set(paper["x"].dropna()) and "embeddings" in set(paper["x"].dropna())
    assert np.isfinite(paper["value"]).all()
