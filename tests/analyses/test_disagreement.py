import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from gfm_utils import tables
from gfm_utils.analyses import disagreement
from gfm_utils.analyses.disagreement import TOP_P, disagreement_rows, disagreement_sums, js_divergence, top_p
from gfm_utils.figures.select import value_of

# Without subnormal numbers: halving the smallest of them gives 0, and SciPy's distance then is infinite.
SHARES = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=6, max_size=6).filter(lambda x: sum(x) > 1e-3)


def distribution(weights):
    p = np.array(weights)
    return torch.from_numpy(p / p.sum())


@given(SHARES, SHARES)
def test_js_is_scipys_symmetric_and_bounded(a, b):
    p, q = distribution(a), distribution(b)
    ours = float(js_divergence(p, q))
    assert ours == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    assert ours == pytest.approx(float(js_divergence(q, p)), abs=1e-15)
    assert 0 <= ours <= 1


def test_js_of_identical_disjoint_and_half_overlapping():
    p = torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=torch.float64)
    q = torch.tensor([0.0, 0.5, 0.5, 0.0], dtype=torch.float64)
    r = torch.tensor([0.0, 0.0, 0.5, 0.5], dtype=torch.float64)
    assert js_divergence(p, p) == 0
    assert js_divergence(p, r) == pytest.approx(1)
    assert js_divergence(p, q) == pytest.approx(0.5)


def test_js_of_close_distributions_is_neither_nan_nor_negative():
    """Rounding alone makes the plain difference negative for some: the authors' NaN after the root."""
    p = torch.full((4096,), 1 / 4096, dtype=torch.float64)
    wave = torch.cos(torch.arange(4096, dtype=torch.float64)) * 1e-4
    q = p * (1 + wave - wave.mean())
    # second order: JS = chi² / 8 in nats
    assert float(js_divergence(p, q)) == pytest.approx(float(((p - q) ** 2 / p).sum() / 8 / np.log(2)), rel=1e-3)
    same = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(257), 500))
    nudged = same * (1 + 1e-16)
    assert (js_divergence(same, nudged) >= 0).all()


def test_top_p_keeps_the_token_that_crosses():
    p = torch.tensor([0.1, 0.5, 0.15, 0.25], dtype=torch.float64)
    assert top_p(p, 0.5).tolist() == [0, 1, 0, 0]
    assert top_p(p, 0.51).tolist() == pytest.approx([0, 0.5 / 0.75, 0, 0.25 / 0.75])
    assert top_p(p, 0.05).tolist() == [0, 1, 0, 0]
    assert top_p(p, 1.0) is p


@given(SHARES, st.floats(0.01, 0.99))
def test_top_p_is_the_smallest_set_of_that_mass(weights, mass):
    p = distribution(weights)
    kept = top_p(p, mass)
    assert float(kept.sum()) == pytest.approx(1)
    chosen = p[kept > 0]
    assert float(chosen.sum()) >= mass - 1e-12
    assert float(chosen.sum() - chosen.min()) < mass + 1e-12


def batches(seed=0, members=4):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(np.log(rng.dirichlet(np.full(9, 0.5), (members, windows, 3)))) for windows in (3, 2)]


def test_sums_against_a_plain_loop():
    parts = batches()
    sums = disagreement_sums(parts)
    p = np.concatenate([part.exp().flatten(1, 2).numpy() for part in parts], axis=1)
    assert sums.tokens == p.shape[1] == 15
    for row, mass in enumerate(TOP_P):
        cut = top_p(torch.from_numpy(p), mass).numpy()
        expected = sum(jensenshannon(cut[0, t], cut[2, t], base=2) for t in range(15))
        assert sums.js[row, 0, 2] == sums.js[row, 2, 0] == pytest.approx(expected, abs=1e-6)
    agree = sum(p[1, t].argmax() == p[3, t].argmax() for t in range(15))
    assert sums.agree[1, 3] == agree
    rows = disagreement_rows({"condition": "c", "state": "trained"}, [1, 2, 3, 4], sums)
    table = tables.table(rows)
    information = np.mean([
        stats.entropy(p[:, t].mean(0), base=2) - np.mean([stats.entropy(p[m, t], base=2) for m in range(4)])
        for t in range(15)
    ])  # fmt: skip
    row = value_of(table, "c", "mutual_information")
    assert row["value"] == pytest.approx(information, abs=1e-10)
    assert row["low"] < information < row["high"]


def test_mutual_information_of_two_members_is_their_js_divergence():
    part = batches(members=2)[:1]
    sums = disagreement_sums(part)
    p, q = part[0].exp().flatten(1, 2)
    rows = disagreement_rows({"condition": "c", "state": "trained"}, [1, 2], sums)
    value = value_of(tables.table(rows), "c", "mutual_information")["value"]
    assert value == pytest.approx(float(js_divergence(p, q).mean()))


def test_identical_members_do_not_disagree():
    one = batches(members=1)
    sums = disagreement_sums([part.expand(3, -1, -1, -1) for part in one])
    rows = disagreement_rows({"condition": "c", "state": "trained"}, [1, 2, 3], sums)
    table = tables.table(rows)
    assert value_of(table, "c", "js_distance")["value"] == 0
    assert value_of(table, "c", "top1_agreement")["value"] == 1
    assert value_of(table, "c", "mutual_information")["value"] == pytest.approx(0, abs=1e-12)
    assert value_of(table, "c", "js_distance_mismatched")["value"] > 0.3


def test_chance_agreement_by_simulation():
    rng = np.random.default_rng(0)
    share = np.array([0.6, 0.3, 0.1])
    logits = np.full((2, 20_000, 3), -20.0)
    for member in range(2):
        logits[member, np.arange(20_000), rng.choice(3, 20_000, p=share)] = 0
    sums = disagreement_sums([torch.from_numpy(logits).log_softmax(-1)[:, None]])
    table = tables.table(disagreement_rows({"condition": "c", "state": "trained"}, [1, 2], sums))
    chance = value_of(table, "c", "top1_agreement_chance")["value"]
    assert chance == pytest.approx((share**2).sum(), abs=0.01)
    assert value_of(table, "c", "top1_agreement")["value"] == pytest.approx(chance, abs=0.015)


def test_table_has_every_pair_and_its_control(trained, smoke):
    table = disagreement(trained, smoke)
    pairs = table[(table["metric"] == "js_distance") & table["axis"].isna() & table["member"].notna()]
    assert len(pairs) == 2 * 2 * 3
    assert set(table["state"]) == {"trained", "untrained"}
    full = table[(table["metric"] == "js_distance") & (table["x"] == "1.0") & table["member"].isna()]
    for _, row in full.iterrows():
        assert row["value"] == value_of(table, row["condition"], "js_distance", state=row["state"])["value"]
        assert row["low"] < row["value"] < row["high"] and row["n"] == 3
