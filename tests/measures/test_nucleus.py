from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from truncation import top_p, top_p_authors

from gfm_utils.measures.nucleus import DEPTH, TOP_P, js_distances, nuclei, shared_ranks


def distance(p, q):
    """SciPy's distance, which is NaN where rounding puts the divergence below 0."""
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(jensenshannon(p, q, base=2))


def plain(p):
    """Distances of members' truncated distributions one at a time: (tokens, variants, top_p, pairs)."""
    pairs = list(combinations(range(len(p)), 2))
    out = np.empty((p.shape[1], 2, len(TOP_P), len(pairs)))
    for variant, cut in enumerate((top_p, top_p_authors)):
        for k, mass in enumerate(TOP_P):
            kept = cut(torch.from_numpy(p), mass).numpy()
            for number, (i, j) in enumerate(pairs):
                for t in range(p.shape[1]):
                    out[t, variant, k, number] = distance(kept[i, t], kept[j, t])
    return out


@pytest.mark.parametrize(
    ("concentration", "vocabulary"), [(0.05, 9), (0.5, 60), (5, 300), (1000, 200)], ids=["peaked", "", "", "flat"]
)
def test_all_curves_at_once_against_one_at_a_time(concentration, vocabulary):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(vocabulary, concentration), (4, 5))
    np.testing.assert_allclose(js_distances(nuclei(p)), plain(p), atol=1e-6)
    assert (js_distances(nuclei(np.stack([p[0], p[0]]))) == 0).all()


def test_members_that_differ_in_certainty_take_the_other_way_to_the_same_distances():
    """Nuclei of one token of 0.6 and of many small ones: no series in the ratio of their masses converges fast."""
    rng = np.random.default_rng(0)
    sure = rng.dirichlet(np.full(40, 0.5), 6) * 0.4
    sure[:, 0] += 0.6
    p = np.stack([sure, rng.dirichlet(np.full(40, 3.0), 6)])
    np.testing.assert_allclose(js_distances(nuclei(p)), plain(p), atol=1e-6)


COUNTS = st.lists(st.integers(0, 3), min_size=7, max_size=7).filter(any)


@given(st.lists(COUNTS, min_size=3, max_size=3))
def test_ties_and_zeros(counts):
    p = np.array(counts, float)[:, None]
    p /= p.sum(-1, keepdims=True)
    found = nuclei(p)
    order = np.argsort(-p, axis=-1, kind="stable")
    assert (found.first == order).all()
    np.testing.assert_allclose(js_distances(found), plain(p), atol=1e-6)


def test_shared_ranks_against_sets():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(80, 0.3), (3, 4))
    first = nuclei(p).first
    assert first.shape[-1] == DEPTH
    found = shared_ranks(first, 80)
    for t in range(4):
        for number, (i, j) in enumerate(combinations(range(3), 2)):
            for d in (1, 2, 7, DEPTH):
                top = [set(np.argsort(-p[m, t])[:d]) for m in (i, j)]
                assert found[t, d - 1, number] == len(top[0] & top[1])
