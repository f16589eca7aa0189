"""The result tables of the Fisher information: shares that add up, controls, and rows of known traces."""

import pytest

from gfm_utils import tables
from gfm_utils.figures.select import value_of
from gfm_utils.measures import fisher_flow, fisher_information, fisher_rescaling, shuffled_control
from gfm_utils.measures.fisher.examples import masked_tokens, random_context
from gfm_utils.measures.fisher.measuring import group_rows


def share_of(table, ensemble, group, metric="fisher_share", state="trained"):
    return value_of(table, ensemble.condition, metric, state=state, axis="group", x=group)["value"]


@pytest.mark.parametrize("state", ["trained", "untrained", "random_context"])
@pytest.mark.parametrize("form", ["", "_paper", "_invariant"])
def test_shares_add_up_in_every_state_and_form(measured, trained, state, form):
    table = measured("fisher")
    if (state, form) == ("random_context", "_invariant"):
        assert not ((table["state"] == state) & table["metric"].str.endswith(form)).any()
        return
    for ensemble in trained:
        names = ["embeddings", "encoder", "head", "encoder.0", "encoder.1", *["encoder.norm"] * (form != "_paper")]
        shares = {name: share_of(table, ensemble, name, f"fisher_share{form}", state) for name in names}
        assert shares["embeddings"] + shares["encoder"] + shares["head"] == pytest.approx(1)
        layers = sum(share for group, share in shares.items() if group.startswith("encoder."))
        assert layers <= shares["encoder"] if form == "_paper" else layers == pytest.approx(shares["encoder"])


def test_intervals_over_windows_are_beside_those_over_members(measured, trained):
    table = measured("fisher")
    for ensemble in trained:
        rows = table[(table["condition"] == ensemble.condition) & (table["state"] == "trained")]
        row = rows[(rows["axis"] == "group_over_sequences") & (rows["x"] == "encoder")].iloc[0]
        assert row["low"] <= row["value"] <= row["high"]
        assert row["value"] == pytest.approx(share_of(table, ensemble, "encoder"), rel=0.05)


def test_a_random_context_keeps_masks_targets_and_frequencies(trained, smoke):
    plain = masked_tokens(trained[0], smoke, 42)
    mixed = random_context(plain, 1)
    assert (mixed.ids == plain.mask_id).equal(plain.ids == plain.mask_id)
    assert mixed.ids.flatten().sort().values.equal(plain.ids.flatten().sort().values)
    assert not mixed.ids.equal(plain.ids) and mixed.targets.equal(plain.targets)


def test_flow_begins_untrained_and_ends_trained(trained, smoke):
    flow, name = fisher_flow(trained, smoke), trained[0].condition
    steps = {str(step) for step in trained[0].members[0].checkpoints}
    for state in ("trained", "random_context"):
        found = flow[(flow["condition"] == name) & (flow["state"] == state) & (flow["axis"] == "step")]
        assert set(found["x"]) == steps and set(found["metric"]) == {"fisher_trace"}
        at = {"state": state, "axis": "group|step"}
        groups = ("embeddings", "encoder", "head")
        shares = [value_of(flow, name, "fisher_share", x=f"{group}|0", **at)["value"] for group in groups]
        assert sum(shares) == pytest.approx(1)


def test_rescaling_moves_one_and_not_the_other(trained, smoke):
    table = fisher_rescaling(trained, smoke)
    before, after = (
        [share_of(table, trained[0], "embeddings", f"fisher_share{form}_sequence", state)
         for form in ("", "_invariant")]
        for state in ("trained", "rescaled")
    )  # fmt: skip
    assert after[0] < 0.9 * before[0] and after[1] == pytest.approx(before[1], rel=1e-3)


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
    expected = {"embeddings": 2.5, "encoder": 1.5, "head": 4, "input": 1, "output": 6, "head_with_decoder": 5.5}
    for group, value in expected.items():
        assert value_of(table, "c", "fisher_share", axis="group", x=group)["value"] == pytest.approx(value / 8)
    assert value_of(table, "c", "fisher_trace")["value"] == 8
    assert set(table.loc[table["member"].notna(), "n"]) == {7}
    paper = tables.table(group_rows(base, [1, 2, 3], traces, 7, "_paper"))
    assert set(paper["x"].dropna()) == {"embeddings", "encoder.0", "encoder.1", "encoder", "head"}
