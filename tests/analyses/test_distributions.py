import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from truncation import top_p, top_p_authors

from gfm_utils.analyses.distributions import (
    entropy,
    js_divergence,
    kl_uniform_authors,
)
from gfm_utils.analyses.nucleus import TOP_P, VARIANTS, js_distances, nuclei

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


@given(SHARES)
def test_the_two_divergences_from_uniform_are_scipys(weights):
    p = distribution([weight + 1e-6 for weight in weights])
    uniform = np.full(6, 1 / 6)
    assert float(np.log2(6) - entropy(p)) == pytest.approx(stats.entropy(p, uniform, base=2), abs=1e-9)
    assert float(kl_uniform_authors(p.log())) == pytest.approx(stats.entropy(uniform, p, base=2), abs=1e-9)


def test_the_two_divergences_part_company_on_zipfs_law():
    p = distribution(1 / np.arange(1, 4097))
    assert float(12 - entropy(p)) == pytest.approx(3.25, abs=0.01)
    assert float(kl_uniform_authors(p.log())) == pytest.approx(1.71, abs=0.01)


def authors_truncation(p: list[float], mass: float) -> list[float]:
    """The paper's rule written down plainly, for one distribution.

    Sort, accumulate, strike out what lies beyond the mass, take the strike off the first place, renormalise.
    """
    order = sorted(range(len(p)), key=lambda token: -p[token])
    struck = [total > mass for total in np.cumsum([p[token] for token in order])]
    struck[0] = False
    kept = {token: p[token] for token, out in zip(order, struck, strict=True) if not out}
    return [kept.get(token, 0.0) / sum(kept.values()) for token in range(len(p))]


def test_top_p_keeps_the_token_that_crosses_and_the_authors_drop_it_unless_it_is_the_first():
    p = torch.tensor([0.125, 0.5, 0.125, 0.25], dtype=torch.float64)
    assert top_p(p, 0.5).tolist() == [0, 1, 0, 0] == top_p_authors(p, 0.5).tolist()
    assert top_p(p, 0.51).tolist() == pytest.approx([0, 0.5 / 0.75, 0, 0.25 / 0.75])
    assert top_p_authors(p, 0.51).tolist() == [0, 1, 0, 0]
    assert top_p(p, 0.05).tolist() == [0, 1, 0, 0]
    assert top_p_authors(p, 0.05).tolist() == [0, 1, 0, 0]
    assert top_p(p, 0.8).tolist() == pytest.approx([1 / 7, 4 / 7, 0, 2 / 7])  # of equals the lower id
    assert top_p(p, 1.0) is p and top_p_authors(p, 1.0) is p


@given(SHARES, st.floats(0.01, 0.99))
def test_top_p_is_the_smallest_set_of_that_mass(weights, mass):
    p = distribution(weights)
    kept = top_p(p, mass)
    assert float(kept.sum()) == pytest.approx(1)
    chosen = p[kept > 0]
    assert float(chosen.sum()) >= mass - 1e-12
    assert float(chosen.sum() - chosen.min()) < mass + 1e-12


@given(SHARES, st.floats(0.01, 0.99))
def test_the_authors_truncation_against_their_rule_written_down(weights, mass):
    p = distribution(weights)
    assert top_p_authors(p, mass).tolist() == pytest.approx(authors_truncation(p.tolist(), mass), abs=1e-12)


@pytest.mark.parametrize("mass", [0.05, 0.3, 0.5])
def test_the_authors_curve_is_theirs_for_peaked_and_for_flat_pairs(mass):
    """Pairs as peaked as a model's of text and as flat as one's of DNA: the book's fast way and the plain rule."""
    rng = np.random.default_rng(0)
    for scale in (3.0, 0.3):
        logits = scale * rng.standard_normal((1, 30, 512)) + 0.4 * scale * rng.standard_normal((2, 30, 512))
        p = torch.from_numpy(logits).softmax(-1).numpy()
        plain = [
            jensenshannon(authors_truncation(one.tolist(), mass), authors_truncation(two.tolist(), mass), base=2)
            for one, two in zip(*p, strict=True)
        ]
        found = nuclei(p)
        fast = js_distances(found, found)[:, VARIANTS.index("authors"), TOP_P.index(mass), 0]
        np.testing.assert_allclose(fast, np.nan_to_num(plain), atol=1e-6)


def test_the_authors_truncation_manufactures_disagreement():
    """Trap 3 of the paper's code: two distributions that differ by logit noise of 0.05 and nothing else."""
    rng = np.random.default_rng(0)
    p, q = torch.from_numpy(0.05 * rng.standard_normal((2, 20, 4096))).softmax(-1)
    at = {
        mass: js_divergence(top_p_authors(p, mass), top_p_authors(q, mass)).sqrt().mean()
        for mass in (0.05, 0.5, 1)
    }
    assert at[0.05] == pytest.approx(0.98, abs=0.01)
    assert at[0.5] == pytest.approx(0.72, abs=0.01)
    assert at[1] == pytest.approx(0.03, abs=0.01)
