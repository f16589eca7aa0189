"""The intervention: the entropy of a corpus is changed, and all else stays, from the tokenizer to the masks."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from gfm_utils import tables
from gfm_utils.analyses.claims import (
    OUTPUT,
    TOKEN,
    Estimate,
    Measure,
    Term,
    beyond_chance,
    estimate,
    of_uniform,
    share_of,
)
from gfm_utils.analyses.contextual import contextual_embeddings, layer_names
from gfm_utils.analyses.disagreement import disagreement
from gfm_utils.analyses.fisher import fisher_information
from gfm_utils.analyses.matching import ratio
from gfm_utils.analyses.output import output_distributions
from gfm_utils.analyses.rates import CODED_TOKENS, rate_rows
from gfm_utils.analyses.rows import Row
from gfm_utils.analyses.static import static_embeddings
from gfm_utils.ensembles import PRESETS, Ensemble, train_ensembles
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition, TokenStore, prepare

KL = Term("kl_from_uniform")
GAIN = "context_gain"
#: What the last layer is called here, however many a model has.
LAST = "last"
#: Name in the result table -> what is measured; ``above`` is what the paper says of *more* entropy.
MEASURES: dict[str, Measure] = {
    GAIN: Measure("context gain, bits per token", "predictions", (Term("context_gain", unit=TOKEN),), False),
    "output_entropy_share": Measure(
        "output entropy, share of log2 V", "predictions", (OUTPUT, OUTPUT, KL), True, of_uniform, percent=True
    ),
    "accuracy": Measure("hidden tokens guessed right", "predictions", (Term("accuracy"),), False, percent=True),
    "js_distance": Measure(
        "Jensen–Shannon distance between members", "disagreement", (Term("js_distance"),), True,
        null=("matched null", (Term("js_distance_matched_null"),)),
    ),
    "js_distance_authors": Measure(
        "Jensen–Shannon distance at top-p 0.5, the paper's truncation", "disagreement",
        (Term("js_distance_authors", "top_p", "0.5"),), True,
        null=("matched null", (Term("js_distance_matched_null_authors", "top_p", "0.5"),)),
    ),
    "js_distance_of_null": Measure(
        "Jensen–Shannon distance, share of its matched null", "disagreement",
        (Term("js_distance"), Term("js_distance_matched_null")), True, share_of, percent=True, null=None,
    ),
    "mutual_information": Measure(
        "mutual information of prediction and member, bits per token", "disagreement",
        (Term("mutual_information"),), True,
    ),
    "mutual_information_per_gain": Measure(
        "mutual information, share of the context gain", "disagreement",
        (Term("mutual_information"), Term("context_gain", unit=TOKEN)), True, percent=True, null=None,
    ),
    "top1_agreement": Measure(
        "same likeliest token, beyond chance", "disagreement",
        (Term("top1_agreement"), Term("top1_agreement_chance")), False, beyond_chance, percent=True,
    ),
    "topk_overlap_corrected": Measure(
        "10 nearest embeddings shared, beyond chance", "static_embeddings",
        (Term("topk_overlap_corrected", "k", "10"),), False, percent=True,
    ),
    "local_spearman": Measure(
        "local Spearman among the 100 nearest embeddings", "static_embeddings",
        (Term("local_spearman", "k", "100"),), False,
    ),
    "procrustes_disparity": Measure(
        "Procrustes disparity of embeddings", "static_embeddings", (Term("procrustes_disparity"),), True,
    ),
    "linear_cka_debiased": Measure(
        "linear CKA of embeddings, debiased", "static_embeddings", (Term("linear_cka_debiased"),), False,
    ),
    "contextual_cka": Measure(
        "linear CKA of windows in the last layer, debiased", "contextual_embeddings",
        (Term("pooled_linear_cka_debiased", "layer", LAST),), False,
    ),
    "contextual_alignment": Measure(
        "10 nearest windows shared in the last layer, beyond chance", "contextual_embeddings",
        (Term("pooled_neighbour_alignment_corrected", "layer", LAST),), False, percent=True,
    ),
    "fisher_share": Measure(
        "encoder's share of the Fisher information", "fisher", (Term("fisher_share", "group", "encoder"),), False,
        percent=True,
    ),
    "fisher_share_paper": Measure(
        "encoder's share, the paper's computation", "fisher",
        (Term("fisher_share_paper", "group", "encoder"),), False, percent=True,
    ),
    "fisher_share_invariant": Measure(
        "encoder's share, invariant to rescaling", "fisher",
        (Term("fisher_share_invariant", "group", "encoder"),), False, percent=True,
    ),
}  # fmt: skip
#: Axis of the rows: optimiser steps and model, like ``750|modernbert-2x64``.
AXIS = "steps|preset"
#: Doses of the recorded run and of the chapter's live one: text by the share of tokens that are mixed, DNA by what
#: a Markov chain is left of it, and, with less entropy than DNA has, from a chain at a low temperature.
TEXT_DOSES = (None, "noise0.1", "noise0.2", "noise0.3", "noise0.4", "noise0.5", "shuffle")
DNA_DOSES = ("markov4t0.33", "markov4t0.5", None, "markov11", "markov8", "markov4", "markov0")
LIVE_TOKENS: tuple[str | None, ...] = (None, "noise0.25")
LIVE_DNA: tuple[str | None, ...] = ("markov4t0.33", "markov4t0.33+noise0.25")
#: Members of the live run, the shares of the profile's steps and of its windows that it takes, and the tokens
#: whose code length it measures.
LIVE_MEMBERS, LIVE_STEPS, LIVE_WINDOWS, LIVE_CODED = 3, 1 / 3, 1 / 4, 200_000
#: Below this context gain (bits per token) nothing is divided by it.
LEAST_GAIN = 0.02


def doses(
    stores: Sequence[TokenStore],
    text: Sequence[str | None] = TEXT_DOSES,
    dna: Sequence[str | None] = DNA_DOSES,
) -> list[str]:
    """The first condition of text and the first of DNA (of k-mers, if there is one), each with all doses.

    Args:
        stores: of the conditions of a run.
        text: transforms of text; None is the corpus as it is.
        dna: the same of DNA.
    """
    found = []
    for kind, transforms in (("text", text), ("dna", dna)):
        names = [Condition.parse(store.condition) for store in stores if store.kind == kind]
        names.sort(key=lambda name: not name.tokenizer.startswith("kmer"))
        found += [str(names[0].transformed(transform)) for transform in transforms if names]
    return found


def live_doses(stores: Sequence[TokenStore], profile: Profile, runs_dir: Path, seed: int = 42) -> pd.DataFrame:
    """``dose_response`` of a few doses of the first text and the first DNA, small enough for a chapter.

    Args:
        stores: of the conditions of a run; of DNA that is too large for memory the tokens are mixed.
        profile: of the run; a part of its steps and windows is taken, and ``LIVE_MEMBERS`` members.
        runs_dir: where ensembles are found or made.
        seed: as of ``dose_response``.
    """
    update = {
        name: max(2, round(LIVE_WINDOWS * getattr(profile, name))) for name in ("test_windows", "fisher_windows")
    }
    steps = max(1, round(LIVE_STEPS * profile.steps_taken))
    dna = LIVE_TOKENS if any(store.streamed for store in stores if store.kind == "dna") else LIVE_DNA
    names, size = doses(stores, LIVE_TOKENS, dna), profile.model_copy(update=update)
    return dose_response(names, size, runs_dir, [steps], seed=seed, members=LIVE_MEMBERS, coded=LIVE_CODED)


def dose_response(
    conditions: Sequence[str],
    profile: Profile,
    runs_dir: Path,
    budgets: Sequence[int],
    presets: Sequence[str] | None = None,
    seed: int = 42,
    members: int | None = None,
    coded: int = CODED_TOKENS,
) -> pd.DataFrame:
    """Result table of ``MEASURES`` over conditions, budgets and models; what is not trained yet is trained.

    Axis ``AXIS``: each measure of the trained members, a row a member (of what only pairs or all together have:
    its jackknife pseudo-value, so that members are independent) and the mean with its interval; and one row with
    the state ``untrained``, or the name of another null (``matched null``). ``mutual_information_per_gain`` is
    left out where the gain is below ``LEAST_GAIN`` or its interval reaches there.
    ``entropy_rate`` and ``entropy_per_token``: see :mod:`gfm_utils.analyses.rates`. ``training_time`` (s, axis
    ``AXIS``): of all members, added up.

    Args:
        conditions: with and without transforms.
        profile: the rest of training, and how much the analyses read.
        runs_dir: where ensembles are found or made.
        budgets: optimiser steps.
        presets: models; None: the profile's.
        seed: of splits, order of the windows, masks and transforms.
        members: of each ensemble; None: the profile's number.
        coded: tokens whose code length is measured.
    """
    rows: list[Row] = []
    parsed = list(map(Condition.parse, conditions))
    for condition in parsed:
        rows += rate_rows(prepare(condition, profile, runs_dir, seed), coded)
    for model in presets or [profile.preset]:
        for steps in budgets:
            size = profile.changed(steps=steps, preset=model)
            for ensemble in train_ensembles(parsed, size, runs_dir, seed, members):
                rows += _cell(ensemble, size, f"{steps}|{model}", seed)
    return tables.table(rows)


def _cell(ensemble: Ensemble, profile: Profile, x: str, seed: int) -> Iterator[Row]:
    """Rows of one condition at one budget with one model."""
    one = [ensemble]
    contextual = contextual_embeddings(one, profile, seed)
    deepest = layer_names(1 + PRESETS[ensemble.spec.preset].layers)[-1]
    contextual["x"] = contextual["x"].replace(deepest, LAST)
    found = pd.concat(
        [
            output_distributions(one, profile, seed), disagreement(one, profile, seed), static_embeddings(one),
            contextual, fisher_information(one, profile, seed),
        ],
        ignore_index=True,
    )  # fmt: skip
    # A program that trained several members has its own time in the record of each.
    members = ensemble.members
    seconds = sum(one.metrics["seconds"].iloc[-1] / one.provenance["together"] for one in members)
    yield {"condition": ensemble.condition, "state": "trained", "metric": "training_time", "axis": AXIS, "x": x,
           "value": float(seconds), "unit": "s", "n": len(members)}  # fmt: skip
    for name, measure in MEASURES.items():
        base: Row = {"condition": ensemble.condition, "metric": name, "axis": AXIS, "x": x}
        base["unit"] = "share" if measure.percent else TOKEN if "bits" in measure.text else "1"
        own = _per_gain(found) if name == "mutual_information_per_gain" else estimate(measure, found)
        if own is None:
            continue
        for member, value in zip(ensemble.seeds, own.members, strict=False):
            yield {**base, "state": "trained", "member": member, "value": float(value)}
        ends: Mapping[str, float] = own.interval._asdict()
        yield {**base, "state": "trained", **ends, "n": len(ensemble.seeds)}
        null = None if measure.null is None else estimate(measure, found, null=True)
        if measure.null is not None and null is not None:
            yield {**base, "state": measure.null[0], "value": null.interval.value}


def _per_gain(found: pd.DataFrame) -> Estimate | None:
    """Mutual information over context gain, by the jackknife; None where there is hardly a gain."""
    information, gain = (estimate(MEASURES[name], found) for name in ("mutual_information", GAIN))
    if information is None or gain is None or not len(information.members) or not gain.interval.low > LEAST_GAIN:
        return None
    return ratio(information, gain)
