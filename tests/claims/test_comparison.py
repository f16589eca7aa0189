"""Conditions on the same scales: each share is the plain quotient of the members' numbers, with its interval."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from gfm_utils.measures.estimates import COMPARED, compared
from gfm_utils.tables import COLUMNS, table

CONDITIONS = ["/data/a.fa@kmer2", "/data/a.fa@kmer4"]
GAINS = {"/data/a.fa@kmer2": [0.1, 0.2, 0.4], "/data/a.fa@kmer4": [0.5, 0.6, 0.7]}


def rows() -> pd.DataFrame:
    """One corpus with two tokenizers: what their chapters leave, as far as the comparison reads it."""
    found = []
    for condition, gains in GAINS.items():
        own = {"condition": condition, "state": "trained", "unit": "bits/token"}
        for seed, gain in enumerate(gains, 1):
            found.append({**own, "metric": "context_gain", "member": seed, "value": gain})
        found.append({**own, "metric": "context_gain", "value": float(np.mean(gains))})
        found.append({**own, "metric": "unigram_nll", "state": None, "value": 4.0})
        for unit, value in (
            ("bits/token", 4.0),
            ("bits/base", 1.5),
        ):  # of tokens
            found.append({**own, "metric": "uniform_entropy", "state": None, "unit": unit, "value": value})
        for state, value in (("trained", 0.3), ("untrained", 0.05)):
            share = {**own, "metric": "fisher_share", "unit": "share", "axis": "group", "x": "encoder"}
            found += [{**share, "state": state, "member": seed, "value": value} for seed in (1, 2)]
    for name, value in (("zlib", 2.2), ("context_mixing", 1.9)):
        code = {"condition": "a.fa", "metric": "code_length", "unit": "bits/base", "n": len(name)}
        found.append({**code, "value": value, "low": value - 0.1, "high": value + 0.1})
    found.append({"condition": "a.fa", "metric": "uniform_entropy", "unit": "bits/base", "value": 2.0})
    return table(found)


def test_shares_are_quotients_with_the_interval_of_the_members() -> None:
    found = compared(rows(), CONDITIONS)
    assert list(found.columns) == list(COLUMNS)
    for condition, gains in GAINS.items():
        own = found[found["condition"] == condition].set_index(["metric", "state"])
        gain = own.loc[("context_gain_share", "trained")]
        shares = np.array(gains) / 4
        reach = t.ppf(0.975, 2) * shares.std(ddof=1) / np.sqrt(3)
        assert gain["value"] == pytest.approx(shares.mean())
        assert (gain["low"], gain["high"]) == pytest.approx((shares.mean() - reach, shares.mean() + reach))
        entropy = own.loc[("entropy_share", "trained")]  # of the corpus, by its best coder
        assert entropy[["value", "low", "high"]].tolist() == pytest.approx([0.95, 0.9, 1.0])
        assert own.loc[("fisher_share", "untrained")]["value"] == pytest.approx(0.05)
        assert set(own["x"]) == {"dna"}


def test_a_control_has_the_entropy_of_what_its_models_read() -> None:
    control = "/data/a.fa+markov1@kmer2"
    rate = {"condition": control, "metric": "entropy_rate", "axis": "source", "x": "exact", "unit": "bits/base"}
    with_control = pd.concat([rows(), table([{**rate, "value": 1.96}])], ignore_index=True)
    found = compared(with_control, [*CONDITIONS, control])
    shares = found[found["metric"] == "entropy_share"].set_index("condition")["value"]
    assert shares[control] == pytest.approx(0.98)
    assert shares[CONDITIONS].tolist() == pytest.approx([0.95, 0.95])


def test_what_a_report_lacks_has_no_row() -> None:
    found = compared(rows(), CONDITIONS)
    assert set(found["metric"]) & set(COMPARED) == {"entropy_share", "context_gain_share", "fisher_share"}
    assert compared(rows().iloc[:0], CONDITIONS).empty
