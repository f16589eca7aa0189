from dataclasses import replace

import numpy as np
import pytest

from gfm_utils import claims
from gfm_utils.claims import learning_curves, paper, position_curves
from gfm_utils.claims.learning import POSITIONS
from gfm_utils.ensembles import Member
from gfm_utils.figures import deviation_overview, position_chart, summary_of_training
from gfm_utils.figures.select import value_of
from gfm_utils.measures import controls, disagreement, fisher_information, no_layers_control, output_distributions
from gfm_utils.profiles import profile


@pytest.fixture(scope="module")
def table(trained):
    return learning_curves(trained)


def test_levels_are_what_counting_reaches(trained, table):
    for ensemble in trained:
        own = table[table["condition"] == ensemble.condition]
        unigram = own.loc[own["metric"] == "validation_unigram_nll", "value"].item()
        given = own[own["metric"] == "conditional_entropy"].sort_values("x")
        assert given["x"].astype(int).tolist() == list(range(1, len(given) + 1))
        assert len(given) > 1 or ensemble.store.kind == "dna"  # of the few tokens of DNA pairs are too rare
        counts = ensemble.store.counts("train")
        shares = counts[counts > 0] / counts.sum()
        plugin = float(-shares @ np.log2(shares))
        assert given["value"].iloc[0] == pytest.approx(plugin, abs=0.01)  # Grassberger's correction is small
        assert unigram == pytest.approx(plugin, abs=0.1)
        assert given["value"].is_monotonic_decreasing  # conditioning cannot raise entropy
        assert (given["low"] <= given["value"]).all() and (given["value"] <= given["high"]).all()


def test_curves_times_and_speeds_are_the_members_own(trained, table):
    ensemble = trained[0]
    own = table[table["condition"] == ensemble.condition]
    curve = own[(own["metric"] == "validation_nll") & (own["member"] == ensemble.seeds[0])]
    np.testing.assert_allclose(curve["value"], ensemble.members[0].metrics["validation_loss"])
    time, speed = (
        own[(own["metric"] == metric) & own["member"].notna()].set_index("member")["value"]
        for metric in ("training_time", "training_speed")
    )
    assert time[ensemble.seeds[0]] == ensemble.members[0].provenance["seconds"]
    np.testing.assert_allclose(time * speed, ensemble.spec.tokens_seen)


def test_where_the_best_weights_are_kept_the_loss_is_theirs(trained):
    steps = trained[0].members[0].checkpoints
    members = tuple(Member(member.path, member.seed) for member in trained[0].members)
    for member, step in zip(members, (steps[-2], steps[-3], steps[-2]), strict=True):
        member.__dict__["provenance"] = {**member.provenance, "kept_step": step}
    spec = trained[0].spec.model_copy(update={"keep": "best"})
    table = learning_curves([replace(trained[0], spec=spec, members=members), trained[1]])
    kept = table[(table["metric"] == "validation_nll_kept") & table["member"].notna()]
    assert kept["value"].tolist() == [
        member.metrics["validation_loss"].iloc[place] for member, place in zip(members, (-2, -3, -2), strict=True)
    ]
    shown = summary_of_training(table).data.set_index("condition")["validation loss (bits/token)"]
    plain = summary_of_training(learning_curves(trained)).data.set_index("condition")[shown.name]
    assert shown[trained[0].condition].startswith(f"{kept['value'].mean():.3f} ")
    assert shown[trained[0].condition] != plain[trained[0].condition]
    assert shown[trained[1].condition] == plain[trained[1].condition]


def test_what_differs_from_the_paper_stands_in_one_table_and_is_the_profiles(monkeypatch):
    """Numbers of the profile are read from it; those of the paper's code are its own."""
    plain = claims.deviations()
    shown = deviation_overview(plain).to_html()
    assert "&lt;cls&gt;" in shown and "<cls>" not in shown  # a token, not a tag
    numbers = {
        "window": "77 ", "max_symbols": "88,888", "tokenizer_symbols": "9,999", "rows": "33,333",
        "validation_every": "333 ", "validation_windows": "4,444", "test_windows": "5,555",
        "fisher_windows": "666",
    }  # fmt: skip
    update = {name: int(number.replace(",", "")) for name, number in numbers.items()}
    update |= {"train_mask": 0.21, "test_mask": 0.31, "fisher_mask": 0.41, "warmup": 0.5}
    monkeypatch.setattr(paper, "profile", lambda name: profile(name).model_copy(update=update))
    other = claims.deviations()
    here = " ".join(other["here"])
    assert all(number in here for number in (*numbers.values(), "21%", "31%", "41%", "52,085"))
    assert other["paper"].equals(plain["paper"])


def test_positions_are_compared_on_text_with_one_budget(trained, smoke):
    found = position_curves(trained[::-1], smoke.changed(steps=3))
    assert set(found["condition"]) == {e.condition for e in trained if e.store.kind == "text"}
    curves = found[found["metric"] == "validation_nll"]
    assert list(dict.fromkeys(curves["state"])) == list(POSITIONS)
    assert {tuple(rows["x"].astype(int).unique()) for _, rows in curves.groupby("state")} == {
        tuple(step * smoke.batch * smoke.window for step in (0, 1, 2, 3))
    }
    assert set(curves["member"].dropna()) == {1, 2}
    level = value_of(found, found["condition"].iloc[0], "validation_unigram_nll")["value"]
    last = curves[curves["member"].eq(2) & (curves["state"] == POSITIONS[-1])]["value"].iloc[-1]
    drawn = [row for rows in position_chart(found).to_dict()["datasets"].values() for row in rows]
    ends = [row["value"] for row in drawn if row.get("state") == "BERT (absolute)" and row["member"] == 2]
    assert ends[-1] == pytest.approx(level - last)


def test_members_without_layers_are_a_control_of_their_condition(trained, smoke, monkeypatch):
    """They are trained along with the positions."""
    brief = smoke.changed(steps=3)
    position_curves(trained, brief)
    monkeypatch.setattr(controls, "train_planned", lambda planned: None)  # they are trained
    no_layers = no_layers_control([*trained, trained[0]], brief)
    made = {
        "output": output_distributions(trained, smoke, no_layers=no_layers),
        "disagreement": disagreement(trained, smoke, no_layers=no_layers),
        "fisher": fisher_information(trained, smoke, no_layers=no_layers),
    }
    assert [one.condition for one in no_layers] == [one.condition for one in trained]  # once each
    for ensemble in no_layers:
        assert ensemble.spec.preset == "bert-0x64" and ensemble.seeds == [1, 2]

        def of(table, metric, condition=ensemble.condition, **where):
            return value_of(made[table], condition, metric, state="no layers", **where)

        assert of("output", "accuracy")["n"] == of("disagreement", "js_distance")["n"] == 2
        shares = {group: of("fisher", "fisher_share", axis="group", x=group)["value"] for group in (
            "encoder", "embeddings", "head", "input", "head_with_decoder",
        )}  # fmt: skip
        assert shares["encoder"] == 0
        assert shares["embeddings"] + shares["head"] == pytest.approx(1)
        assert shares["input"] + shares["head_with_decoder"] == pytest.approx(1)
        in_windows = of("fisher", "fisher_share", axis="group_over_sequences", x="encoder")
        assert in_windows["value"] == in_windows["low"] == in_windows["high"] == 0
