import sys
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import jensenshannon
from truncation import top_p, top_p_authors

from gfm_utils import tables
from gfm_utils.ensembles import masked_windows
from gfm_utils.figures.select import value_of
from gfm_utils.measures.disagreement import disagreement_rows, disagreement_sums
from gfm_utils.measures.nucleus import TOP_P
from gfm_utils.measures.strata import bands_of, quarters, soft_masks
from gfm_utils.tokens import Condition, prepare

BASE = {"condition": "c", "state": "trained"}
PAIRS = list(combinations(range(4), 2))


def batches(seed=0, members=4):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(np.log(rng.dirichlet(np.full(9, 0.5), (members, windows, 3)))) for windows in (3, 2)]


def test_sums_against_a_plain_loop():
    parts = batches()
    sums = disagreement_sums(parts)
    p = np.concatenate([part.exp().flatten(1, 2).numpy() for part in parts], axis=1)
    assert sums.compared.tolist() == [p.shape[1]] * 2 == [15, 15]
    for row, mass in enumerate(TOP_P):
        for variant, truncated in enumerate((top_p, top_p_authors)):
            cut = truncated(torch.from_numpy(p), mass).numpy()
            each = np.array([jensenshannon(cut[0, t], cut[2, t], base=2) for t in range(15)])
            assert sums.js[0, variant, row, PAIRS.index((0, 2))] == pytest.approx(np.nansum(each), abs=1e-6)
    agree = sum(p[1, t].argmax() == p[3, t].argmax() for t in range(15))
    assert sums.shared[0, PAIRS.index((1, 3))] == agree == sums.each.agree[:, PAIRS.index((1, 3))].sum()
    np.testing.assert_allclose(sums.each.js.sum(0), sums.js[0, 0, -1], rtol=1e-6)
    np.testing.assert_allclose(sums.each.js_null.sum(0), sums.js[1, 0, -1], rtol=1e-6)
    table = tables.table(disagreement_rows(BASE, [1, 2, 3, 4], sums))
    information = np.mean([
        stats.entropy(p[:, t].mean(0), base=2) - np.mean([stats.entropy(p[m, t], base=2) for m in range(4)])
        for t in range(15)
    ])  # fmt: skip
    row = value_of(table, "c", "mutual_information")
    assert row["value"] == pytest.approx(information, abs=1e-10)
    assert row["low"] < information < row["high"]


def test_information_without_a_member_is_that_of_the_others_alone():
    rows = tables.table(disagreement_rows(BASE, [1, 2, 3, 4], disagreement_sums(batches())))
    without = (rows["axis"] == "without") & (rows["metric"] == "mutual_information")
    left = rows[without.fillna(False)].set_index("x")["value"]
    for member, seed in enumerate(left.index):
        others = disagreement_sums([part[[i for i in range(4) if i != member]] for part in batches()])
        alone = tables.table(disagreement_rows(BASE, [1, 2, 3], others))
        assert left[seed] == pytest.approx(value_of(alone, "c", "mutual_information")["value"], abs=1e-10)


def test_nulls_of_every_third_token_are_their_own_mean():
    p = np.random.default_rng(0).dirichlet(np.full(9, 0.5), (2, 120, 3))
    part = torch.from_numpy(np.log(p))
    dense, sparse = (disagreement_sums([part, part], stride) for stride in (1, 3))
    assert dense.compared.tolist() == [720] * 2 and sparse.compared.tolist() == [720, 240]
    assert (~np.isnan(sparse.each.js_null[:, 0])).nonzero()[0].tolist() == list(range(0, 720, 3))
    assert sparse.js[1, 0, -1, 0] / 240 == pytest.approx(dense.js[1, 0, -1, 0] / 720, abs=0.05)
    np.testing.assert_array_equal(dense.js[0], sparse.js[0])


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_batches_change_nothing(stride, monkeypatch):
    p = np.random.default_rng(0).dirichlet(np.full(9, 0.5), (3, 7, 3))
    whole = torch.from_numpy(np.log(p))
    one = disagreement_sums([whole], stride)
    monkeypatch.setattr(sys.modules[disagreement_sums.__module__], "_AT_ONCE", 4 * 3 * 9)
    for parts in (whole.split(1, 1), whole.split([2, 5], 1), [whole]):
        sums = disagreement_sums(parts, stride)
        np.testing.assert_allclose(sums.js, one.js, rtol=1e-12)
        np.testing.assert_array_equal(sums.each.js_null, one.each.js_null)


def test_strata_and_sequences_are_parts_of_the_whole(trained, measured):
    table = measured("disagreement")
    for ensemble in trained:
        for state in ("trained", "untrained"):
            own = table[(table["condition"] == ensemble.condition) & (table["state"] == state)]
            axes = ["token_frequency", "output_entropy"] + ["gc", "soft_masked"] * (ensemble.store.kind == "dna")
            assert set(own["axis"].dropna()) == {"top_p", "k", "interval_over", "without", *axes}
            for axis in axes:
                rows = own[(own["metric"] == "js_distance") & (own["axis"] == axis)]
                mean = np.average(rows["value"], weights=rows["n"].astype(int))
                whole = value_of(own, ensemble.condition, "js_distance")["value"]
                assert mean == pytest.approx(whole, abs=1e-5)
            for metric in ("js_distance", "top1_agreement", "mutual_information"):
                row = value_of(own, ensemble.condition, metric, axis="interval_over", x="sequences")
                whole = value_of(own, ensemble.condition, metric)["value"]
                assert row["value"] == pytest.approx(whole, abs=1e-5) and row["low"] <= row["value"] <= row["high"]


def test_gc_is_the_share_of_both_strong_bases_in_the_window(tmp_path, smoke):
    rng = np.random.default_rng(0)
    records = (f">r{i}\n{''.join(rng.choice(list('ACGT'), 300, p=rng.dirichlet(np.ones(4))))}" for i in range(300))
    (tmp_path / "a.fa").write_text("\n".join(records))
    store = prepare(f"{tmp_path / 'a.fa'}@kmer2", smoke, tmp_path / "runs")
    ensemble = SimpleNamespace(store=store, spec=SimpleNamespace(window=16))
    starts = masked_windows(store, "test", 16, smoke.test_windows, smoke.test_mask, 42)[3]
    windows = (store.tokenizer.decode(ids).replace(" ", "") for ids in store.windows("test", starts, 16))
    share = np.array([sum(base in "GC" for base in bases) / len(bases) for bases in windows])
    found = bands_of(ensemble, smoke)["gc"].reshape(len(starts), -1)
    assert (found[:, :1] == found).all() and (found[:, 0] == quarters(share)).all()


def test_soft_masks_are_the_lower_case_of_the_file(trained, smoke, toy_fasta):
    ensemble = trained[1]
    source = {}
    for record in toy_fasta.read_text().split(">")[1:]:
        name, _, letters = record.partition("\n")
        source[name.split()[0]] = letters.replace("\n", "")
    masks = soft_masks(ensemble, smoke)
    tokens = ensemble.store.tokens("test")
    assert masks.shape == tokens.shape and 0 < masks.mean() < 1
    words = ensemble.store.tokenizer.convert_ids_to_tokens(list(range(ensemble.store.vocabulary)))
    text = "".join(words[t].lower() if m == 1 else words[t] for t, m in zip(tokens, masks, strict=True))
    pure = [text[i : i + 60] for i in range(0, len(text) - 60, 60)]
    found = [any(piece in whole for whole in source.values()) for piece in pure]
    assert np.mean(found) > 0.9  # but for pieces across the ends of segments and of masked stretches


def test_a_control_has_no_soft_masks(trained, smoke, shared):
    """Its tokens are not where the file has them."""
    control = f"{Condition.parse(trained[1].condition).transformed('reverse')}"
    store = prepare(control, smoke, shared / "runs")
    assert soft_masks(replace(trained[1], store=store), smoke) is None
