"""The regression over corpora, on simulated ones whose answer is known."""

import numpy as np
import numpy.testing as npt
import pandas as pd
import pytest
from scipy import stats

from gfm_utils.claims.atlas import (
    DIFFERS,
    NOT_SEPARABLE,
    UNDECIDED,
    atlas_points,
    gain_scale,
    kind_contrasts,
    line,
    over_families,
    random_intercepts,
    slopes,
    without_each,
)
from gfm_utils.errors import GfmError
from gfm_utils.measures.estimates import ACROSS_CORPORA
from gfm_utils.tables import table

#: Corpora of each kind, and the families of those that have kin.
SIZES = {"dna": 14, "protein": 4, "text": 11}


def simulated(rng, apart=0.0, slope=0.05, noise=0.02, gains=None, kin=True, measure="js_distance"):
    """Corpora whose measure is a line in the logarithm of the gain; text lies ``apart`` below the others."""
    rows = []
    for kind, count in SIZES.items():
        low, high = (gains or {}).get(kind, (-3.0, 1.0))
        for number in range(count):
            of_kin = kin and number < 4
            rows.append({
                "kind": kind, "label": f"{kind}-{number}",
                "family": f"{kind}-kin" if of_kin else f"{kind}-{number}",
                "context_gain": 2 ** rng.uniform(low, high),
            })  # fmt: skip
    points = pd.DataFrame(rows)
    families = {name: rng.normal(0, noise) for name in dict.fromkeys(points["family"])}
    return points.assign(**{
        measure: 0.3 + slope * np.log2(points["context_gain"]) - apart * (points["kind"] == "text")
        + points["family"].map(families) + rng.normal(0, noise / 4, len(points))
    })  # fmt: skip


def test_a_line_without_noise_is_found_whatever_the_degree():
    points = simulated(np.random.default_rng(0), apart=0.1, noise=0)
    kinds = ["dna", "protein", "text", "unseen"]
    npt.assert_allclose(line(points, "js_distance", kinds), [0.05, 0.3, 0.3, 0.2, np.nan], atol=1e-12)
    npt.assert_allclose(line(points, "js_distance", kinds, 2), [0, 0.05, 0.3, 0.3, 0.2, np.nan], atol=1e-12)
    (slope,) = slopes(points).to_dict("records")
    assert slope["value"] == pytest.approx(0.05) and slope["both"] == pytest.approx(1)
    assert slope["gain_alone"] < 0.9 and slope["kind_alone"] < 0.9


def test_random_intercepts_are_those_of_the_greatest_restricted_likelihood():
    """The restricted likelihood by its definition: that of contrasts of the data which no fixed effect moves."""
    points = simulated(np.random.default_rng(1), apart=0.1, kin=False)
    x, y = gain_scale(points["context_gain"]), points["js_distance"].to_numpy()
    of_kind = pd.get_dummies(points["kind"]).to_numpy(float)
    fixed = np.stack([x, np.ones(len(x))], 1)
    contrasts = np.linalg.svd(fixed)[0][:, 2:].T

    def log_likelihood(between, within):
        covariance = within * np.eye(len(x)) + between * of_kind @ of_kind.T
        return stats.multivariate_normal.logpdf(contrasts @ y, cov=contrasts @ covariance @ contrasts.T)

    grid = [(b, w) for b in np.geomspace(1e-4, 1e-1, 61) for w in np.geomspace(1e-4, 2e-3, 61)]
    between, within = max(grid, key=lambda pair: log_likelihood(*pair))
    covariance = within * np.eye(len(x)) + between * of_kind @ of_kind.T
    inverse = np.linalg.inv(covariance)
    fitted = np.linalg.solve(fixed.T @ inverse @ fixed, fixed.T @ inverse @ y)
    effects = between * of_kind.T @ inverse @ (y - fixed @ fitted)
    npt.assert_allclose(
        random_intercepts(points, "js_distance", ["dna", "protein", "text"]), [*fitted, *effects], atol=2e-3
    )


def test_an_interval_leaves_families_out_and_not_corpora():
    points = simulated(np.random.default_rng(3))
    value, left = without_each(points, lambda some: line(some, "js_distance", ["dna", "protein", "text"]))
    families = points["family"].unique()
    assert len(left) == len(families) < len(points)
    error = np.sqrt((len(left) - 1) / len(left) * ((left[:, 0] - left[:, 0].mean()) ** 2).sum())
    reach = stats.t.ppf(0.975, len(families) - 4) * error
    found = over_families(value[0], left[:, 0], 4)
    npt.assert_allclose(found[:3], [value[0], value[0] - reach, value[0] + reach])
    assert np.isnan(over_families(1.0, np.array([1.0, np.nan, 2.0, 3.0]), 1).low)
    assert np.isnan(over_families(1.0, np.ones(3), 3).low)


def test_the_difference_of_kinds_at_equal_gain_is_held_by_its_interval_and_told_only_if_it_is_there():
    rng = np.random.default_rng(4)
    for apart, told in ((0.0, 0.05), (0.15, 1.0)):
        rows = pd.concat([kind_contrasts(simulated(rng, apart)) for _ in range(20)])
        held = rows[(rows["kind"] == "dna") & (rows["other"] == "text")]
        assert held["low"].le(apart).mean() >= 0.9 and held["high"].ge(apart).mean() >= 0.9
        assert abs((held["outcome"] == DIFFERS).mean() - told) <= 0.1
    assert (held["least"] <= held["value"]).all() and (held["value"] <= held["most"]).all()


def test_kinds_without_gains_in_common_are_not_separable():
    rng = np.random.default_rng(5)
    gains = {"dna": (-3, -1), "protein": (-3, -1), "text": (0, 1)}
    found = kind_contrasts(simulated(rng, 0.3, gains=gains)).set_index(["kind", "other"])
    assert found.loc[("dna", "text"), "outcome"] == NOT_SEPARABLE
    assert found.loc[("dna", "text"), "shared"] == 0
    # Four corpora of protein that are kin are one family: nothing is said of them either.
    assert found.loc[("dna", "protein"), "outcome"] == NOT_SEPARABLE


def test_where_a_line_and_a_parabola_disagree_no_difference_is_told():
    """A measure that bends with the gain sets kinds of other gains apart on a line, and not on a parabola."""
    rng, ends = np.random.default_rng(6), {"dna": (-5, -0.2), "text": (-1, 2)}
    gain = np.concatenate([np.linspace(*ends[kind], 60) for kind in ends])
    points = pd.DataFrame({
        "kind": np.repeat(list(ends), 60), "family": np.arange(120), "context_gain": 2**gain,
        "js_distance": 0.02 * gain**2 + rng.normal(0, 0.01, 120),
    })  # fmt: skip
    (row,) = kind_contrasts(points).to_dict("records")
    assert row["p_holm"] < 0.01 and row["shared"] > 3 and row["outcome"] == UNDECIDED
    assert abs(row["value"]) > 0.02


def test_points_are_the_trained_values_with_what_the_registry_says():
    assert {"context_gain", "js_distance", "fisher_share", "topk_overlap_corrected"} <= set(ACROSS_CORPORA)
    base = {"axis": "kind", "unit": "1"}
    rows = [
        {**base, "condition": name, "x": kind, "metric": metric, "state": state, "value": value}
        for name, kind in (("alyrata-chr12@bpe512", "dna"), ("news@bpe512", "text"))
        for metric, value in (("context_gain", 0.5), ("js_distance", 0.1))
        for state in ("trained", "untrained")
    ]
    points = atlas_points(table(rows)).set_index("corpus")
    assert points.loc["news"].to_dict() == {
        "condition": "news@bpe512", "label": "English news", "group": "natural language", "family": "news",
        "kind": "text", "context_gain": 0.5, "js_distance": 0.1,
    }  # fmt: skip
    assert points.loc["alyrata-chr12", "family"] == "brassicaceae"
    with pytest.raises(GfmError, match="nowhere"):
        atlas_points(table([rows[0] | {"condition": "nowhere@bpe512"}]))
