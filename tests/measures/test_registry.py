"""What the registry's functions compute, and what the claims say of a world whose numbers are known."""

import numpy as np
import pandas as pd
import pytest

from gfm_utils.claims.claim import CLAIMS, FOR, Claim
from gfm_utils.claims.verdicts import NOT_SUPPORTED, SUPPORTED, check_claims, verdicts
from gfm_utils.errors import GfmError
from gfm_utils.measures.controls import NO_LAYERS
from gfm_utils.measures.estimates import estimate, estimate_of
from gfm_utils.measures.registry import LAST, MEASURES, Measure, Term, beyond_chance
from gfm_utils.measures.rows import WITHOUT, member_rows, pair_rows
from gfm_utils.tables import table

TEXT, DNA, SEEDS = "t@bpe9", "d@kmer2", (1, 2, 3, 4, 5)
NOISE = 1e-4 * np.array([-2, -1, 0, 1, 2])
MEMBERS, PAIRS, TOGETHER, ONCE = "members", "pairs", "together", "once"
#: Metric, axis, place on it, what its rows are of, and its value in text and in DNA; log2 V is 8.
WORLD = [
    ("nll", None, None, MEMBERS, 3.0, 6.0),
    ("output_entropy", None, None, MEMBERS, 3.5, 5.6),
    ("kl_from_uniform", None, None, MEMBERS, 4.5, 2.4),
    ("unigram_nll", None, None, ONCE, 7.5, 7.0),
    ("ngram_nll", "sides", "both", ONCE, 5.0, 6.5),
    ("context_gain", None, None, MEMBERS, 4.5, 1.0),
    ("code_length", None, None, ONCE, 2.0, 1.9),
    ("code_length", None, None, ONCE, 3.0, 1.95),
    ("uniform_entropy", None, None, ONCE, 4.0, 2.0),
    ("kl_uniform_authors", None, None, MEMBERS, 5.0, 2.0),
    ("rank_probability", "rank", "1", MEMBERS, 0.5, 0.3),
    ("rank_probability", "rank", "2", MEMBERS, 0.1, 0.2),
    ("js_distance", None, None, PAIRS, 0.2, 0.5),
    ("js_distance", "top_p", "0.5", PAIRS, 0.12, 0.32),
    ("js_distance", "top_p", "0.05", PAIRS, 0.02, 0.22),
    ("js_distance_authors", "top_p", "0.5", PAIRS, 0.1, 0.3),
    ("js_distance_matched_null", None, None, PAIRS, 0.15, 0.25),
    ("mutual_information", None, None, TOGETHER, 0.1, 0.4),
    ("top1_agreement", None, None, PAIRS, 0.6, 0.4),
    ("top1_agreement_chance", None, None, PAIRS, 0.2, 0.25),
    ("rank_biased_overlap", None, None, PAIRS, 0.7, 0.5),
    ("rank_biased_overlap_chance", None, None, PAIRS, 0.4, 0.375),
    ("topk_overlap_corrected", "k", "10", PAIRS, 0.6, 0.2),
    ("local_spearman", "k", "100", PAIRS, 0.7, 0.3),
    ("procrustes_disparity", None, None, PAIRS, 0.2, 0.8),
    ("linear_cka_debiased", None, None, PAIRS, 0.9, 0.4),
    ("fisher_share", "group", "encoder", MEMBERS, 0.7, 0.4),
    ("fisher_share", "group", "input", MEMBERS, 0.1, 0.2),
    ("fisher_share", "group", "output", MEMBERS, 0.1, 0.25),
    ("fisher_share", "group", "head", MEMBERS, 0.1, 0.15),
    ("fisher_share_paper", "group", "encoder", MEMBERS, 0.6, 0.3),
    ("fisher_share_paper", "group", "embeddings", MEMBERS, 0.2, 0.5),
    ("fisher_share_invariant", "group", "encoder", MEMBERS, 0.5, 0.35),
    ("probe_gain", None, None, MEMBERS, 0.1, 0.05),
    ("probe_gain", "task", "coding", MEMBERS, 0.3, 0.4),
]
#: What each measure of a claim is in this world, in text and in DNA, worked out by hand.
KNOWN = {
    "nll_share": (3 / 8, 6 / 8), "nll_of_frequencies": (3 / 7.5, 6 / 7), "entropy_share": (0.5, 0.95),
    "output_entropy_share": (3.5 / 8, 0.7), "effective_tokens": (2**3.5, 2**5.6),
    "kl_uniform_authors": (5, 2), "top_probability": (0.5, 0.3),
    "js_distance": (0.2, 0.5), "js_distance_authors": (0.1, 0.3), "js_distance_half": (0.12, 0.32),
    "js_distance_head": (0.02, 0.22), "js_distance_above_null": (0.05, 0.25), "mutual_information": (0.1, 0.4),
    "mutual_information_per_gain": (0.1 / 4.5, 0.4),
    "top1_agreement": (0.5, 0.2), "rank_biased_overlap": (0.5, 0.2), "topk_overlap_corrected": (0.6, 0.2),
    "local_spearman": (0.7, 0.3), "procrustes_disparity": (0.2, 0.8), "linear_cka_debiased": (0.9, 0.4),
    "fisher_share": (0.7, 0.4), "fisher_share_paper": (0.6, 0.3), "fisher_share_invariant": (0.5, 0.35),
    "embeddings_share_paper": (0.2, 0.5), "input_share": (0.1, 0.2), "output_share": (0.1, 0.25),
    "head_share": (0.1, 0.15), "context_gain_of_layers": (4.5, 1.0), "context_gain_share": (0.6, 1 / 7),
    "task_gain": (0.1, 0.05),
}  # fmt: skip


def world_rows(condition, metric, axis, x, of, value, state="trained"):
    """Rows of one quantity, and the same in another unit, which no measure means."""
    symbol = "bits/character" if condition == TEXT else "bits/base"
    units = ("bits/token", symbol) if metric in ("nll", "output_entropy", "context_gain") else ("share",)
    units = ("bits/token",) if metric in ("unigram_nll", "ngram_nll") else units
    for unit in units:
        level = value if unit != symbol else 99.0
        base = {"condition": condition, "metric": metric, "axis": axis, "x": x, "unit": unit}
        if of == ONCE:
            yield {**base, "value": level}
        elif of == MEMBERS:
            yield from member_rows({**base, "state": state}, SEEDS, level + NOISE, 9)
        elif of == PAIRS:
            yield from pair_rows({**base, "state": state}, SEEDS, level + NOISE[:, None] + NOISE, 9)
        else:
            yield {**base, "state": state, "value": level}
            for seed, noise in zip(SEEDS, NOISE, strict=True):
                yield {**base, "state": state, "axis": WITHOUT, "x": seed, "value": level - noise / 4}


@pytest.fixture(scope="module")
def world():
    rows = [{"condition": TEXT, "metric": "symbols", "unit": "bits/character", "value": 1.0}]
    rows.append({"condition": DNA, "metric": "symbols", "unit": "bits/base", "value": 1.0})
    for *quantity, text, dna in WORLD:
        for condition, value in ((TEXT, text), (DNA, dna)):
            rows += world_rows(condition, *quantity, value)
    rows += world_rows(DNA, "context_gain", None, None, MEMBERS, 0.0, NO_LAYERS)
    rows += world_rows(DNA, "probe_gain", None, None, MEMBERS, 0.0, "counting")
    return table(rows)


def test_the_claims_in_a_world_whose_numbers_are_known(world):
    found = check_claims(world)
    values = {
        name: (one.text[TEXT].interval.value, one.dna[DNA].interval.value)
        for claim in CLAIMS
        for one in found[claim]
        for name in MEASURES
        if MEASURES[name] == one.measure
    }
    assert list(values) == list(KNOWN)
    for name, known in KNOWN.items():
        assert values[name] == pytest.approx(known, abs=1e-3), name
    assert [one.word for one in verdicts(world).values()] == [SUPPORTED] * 5 + [NOT_SUPPORTED] * 2
    outcomes = {one.outcome for claim in CLAIMS[:5] for one in found[claim]} - {None}
    assert outcomes == {FOR}
    without = {one.measure.text for claim in CLAIMS for one in found[claim] if one.outcome is None}
    assert without == {MEASURES["entropy_share"].text}  # numbers without an interval allow no test


def test_every_measure_reads_the_rows_of_its_own_terms_alone(world):
    """A row of another metric, axis, place, unit or state changes no number."""
    assert estimate(MEASURES["nll"], world[world["condition"] == TEXT]).interval.value == pytest.approx(3.0)
    untrained = list(world_rows(TEXT, "nll", None, None, MEMBERS, 8.0, "untrained"))
    rows = table([*world[world["condition"] == TEXT].to_dict("records"), *untrained])
    assert estimate(MEASURES["nll"], rows).interval.value == pytest.approx(3.0)
    assert estimate(MEASURES["nll"], rows, "untrained").interval.value == pytest.approx(8.0)
    assert estimate(MEASURES["contextual_cka"], rows) is None and LAST not in set(rows["x"].dropna())


def test_a_number_of_an_answer_is_found_by_its_name_and_condition(world):
    assert [estimate_of(world, "context_gain", name).interval.value for name in (TEXT, DNA)] == [4.5, 1.0]
    with pytest.raises(GfmError, match="no context_gain of 'news@bpe256'"):
        estimate_of(world, "context_gain", "news@bpe256")


def test_one_pair_without_a_test_leaves_its_claim_without_one(world):
    """A condition of one member beside one of five."""
    lone = world[(world["condition"] == DNA) & (world["metric"] == "nll") & (world["member"].fillna(1) == 1)]
    measure = Measure("m", "bits/token", "c", (Term("nll", unit="bits/token"),), True)
    lone = lone.assign(condition="lone@kmer2", low=np.nan, high=np.nan)
    (found,) = check_claims(pd.concat([world, lone]), [Claim("claim", (measure,))]).popitem()[1]
    assert len(found.dna) == 2 and found.outcome is None


def test_a_summary_beyond_a_chance_of_one_is_unknown():
    measure = Measure("", "share", "", (Term("seen"), Term("chance")), combine=beyond_chance)
    rows = [
        {"condition": "c", "state": "trained", "metric": name, "value": value, "unit": "share"}
        for name, value in (("seen", 1.0), ("chance", 1.0))
    ]
    assert estimate(measure, table(rows)) is None
    rows[1]["value"] = 0.5
    assert estimate(measure, table(rows)).interval.value == 1
