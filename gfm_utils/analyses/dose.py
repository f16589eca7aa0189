"""The intervention: the entropy of a corpus is changed, and all else stays, from the tokenizer to the masks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from gfm_utils import tables
from gfm_utils.analyses.contextual import contextual_embeddings, layer_names
from gfm_utils.analyses.controls import CONTROL_MEMBERS
from gfm_utils.analyses.disagreement import disagreement
from gfm_utils.analyses.estimates import Estimate, estimate, null_of
from gfm_utils.analyses.fisher import fisher_information
from gfm_utils.analyses.measures import LAST, Measure, chosen
from gfm_utils.analyses.output import output_distributions
from gfm_utils.analyses.rates import CODED_TOKENS, rate_rows
from gfm_utils.analyses.rows import Row
from gfm_utils.analyses.static import static_embeddings
from gfm_utils.ensembles import PRESETS, Ensemble, train_ensembles
from gfm_utils.files import digest
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition, TokenStore

GAIN = "context_gain"
#: What is measured of every dose.
DOSE_MEASURES = chosen(
    GAIN, "output_entropy_share", "accuracy", "js_distance", "js_distance_authors", "js_distance_of_null",
    "mutual_information", "mutual_information_per_gain", "top1_agreement", "topk_overlap_corrected",
    "local_spearman", "procrustes_disparity", "linear_cka_debiased", "contextual_cka", "contextual_alignment",
    "fisher_share", "fisher_share_paper", "fisher_share_invariant",
)  # fmt: skip
#: Axis of the rows: optimiser steps and model, like ``1000|modernbert-2x64``.
AXIS = "steps|preset"
#: Doses of text: the share of its tokens that are put in random order among themselves, close to each other where
#: text gains as little from its context as DNA does.
TEXT_DOSES = (
    None, "noise0.2", "noise0.3", "noise0.35", "noise0.4", "noise0.45", "noise0.5", "noise0.6", "shuffle",
)  # fmt: skip
#: DNA as it is, noisy and in random order; and a source with its letters whose context tells much, noisy too.
DNA_DOSES = (None, "noise0.3", "shuffle", "markov4t0.33", "markov4t0.33+noise0.3")
#: Of DNA that is cut into tokens as text is.
ALIKE_DOSES = (None, "noise0.3", "shuffle")
#: The dose of the chapter's live run, the share of the profile's windows that it takes, and the tokens whose code
#: length it measures.
LIVE_DOSE, LIVE_WINDOWS, LIVE_CODED = "noise0.3", 1 / 2, 200_000
#: Below this context gain (bits per token) nothing is divided by it.
LEAST_GAIN = 0.02
#: What of a profile the analyses read.
_READ = ("test_windows", "test_mask", "fisher_windows", "fisher_mask", "fisher_batch")


def doses(
    stores: Sequence[TokenStore],
    text: Sequence[str | None] = TEXT_DOSES,
    dna: Sequence[str | None] = DNA_DOSES,
    alike: Sequence[str | None] = (),
) -> list[str]:
    """The first condition of text and the first of DNA (of k-mers, if there is one), each with all doses.

    Args:
        stores: of the conditions of a run.
        text: transforms of text; None is the corpus as it is.
        dna: the same of DNA.
        alike: the same of that DNA with the tokenizer of the text.
    """
    first: dict[str, Condition] = {}
    for kind in ("text", "dna"):
        of_kind = [store for store in stores if (store.genome if kind == "dna" else store.kind == kind)]
        names = [Condition.parse(store.condition) for store in of_kind]
        names.sort(key=lambda name: not name.tokenizer.startswith("kmer"))
        if names:
            first[kind] = names[0]
    if len(first) == 2 and first["dna"].tokenizer != first["text"].tokenizer:
        first["alike"] = replace(first["dna"], tokenizer=first["text"].tokenizer)
    every = {"text": text, "dna": dna, "alike": alike}
    return [str(name.transformed(dose)) for kind, name in first.items() for dose in every[kind]]


def live_conditions(stores: Sequence[TokenStore]) -> list[str]:
    """The first text as it is and noisy, and the first DNA as it is; without text, the first DNA likewise.

    Args:
        stores: of the conditions of a run.
    """
    with_text = any(store.kind == "text" for store in stores)
    return doses(stores, (None, LIVE_DOSE), (None,) if with_text else (None, LIVE_DOSE))


def live_doses(stores: Sequence[TokenStore], profile: Profile, runs_dir: Path, seed: int = 42) -> pd.DataFrame:
    """``dose_response`` of ``live_conditions``, small enough for a chapter: the run's own members, and a few more.

    Args:
        stores: of the conditions of a run.
        profile: of the run; a part of its windows is taken.
        runs_dir: where ensembles are found or made.
        seed: as of ``dose_response``.
    """
    update = {
        name: max(2, round(LIVE_WINDOWS * getattr(profile, name))) for name in ("test_windows", "fisher_windows")
    }
    members = min(CONTROL_MEMBERS, profile.members)
    conditions = live_conditions(stores)
    return dose_response(conditions, profile.model_copy(update=update), runs_dir, seed, members, LIVE_CODED)


def dose_response(
    conditions: Sequence[str],
    profile: Profile,
    runs_dir: Path,
    seed: int = 42,
    members: int | None = None,
    coded: int = CODED_TOKENS,
    kept: Path | None = None,
) -> pd.DataFrame:
    """Result table of ``DOSE_MEASURES`` over conditions; what is not trained yet is trained.

    Axis ``AXIS``: each measure of the trained members, a row a member (of what only pairs or all together have:
    its jackknife pseudo-value, so that members are independent) and the mean with its interval; and one row with
    the state ``untrained``, or the name of another null (``matched null``). ``mutual_information_per_gain`` is
    left out where the gain is below ``LEAST_GAIN`` or its interval reaches there.
    ``entropy_rate`` and ``entropy_per_token``: see :mod:`gfm_utils.analyses.rates`. ``training_time`` (s, axis
    ``AXIS``): of all members, added up.

    Args:
        conditions: with and without transforms.
        profile: model, budget and the rest of training, and how much the analyses read.
        runs_dir: where ensembles are found or made.
        seed: of splits, order of the windows, masks and transforms.
        members: of each ensemble; None: the profile's number.
        coded: tokens whose code length is measured.
        kept: folder where the rows of each condition are written when they are there, and found again by the run
            that continues one that was ended; None: nowhere. It has to go when an analysis changes.
    """
    ensembles = train_ensembles(list(map(Condition.parse, conditions)), profile, runs_dir, seed, members)
    return pd.concat([_kept(one, profile, seed, coded, kept) for one in ensembles], ignore_index=True)


def _kept(ensemble: Ensemble, profile: Profile, seed: int, coded: int, folder: Path | None) -> pd.DataFrame:
    """Rows of a condition, found in the folder or made and left there."""
    if folder is None:
        return tables.table([*rate_rows(ensemble.store, coded), *_cell(ensemble, profile, seed)])
    read = profile.model_dump(mode="json", include=set(_READ))
    key = [ensemble.spec.key, len(ensemble.members), read, seed, coded, tables.DEFINITIONS]
    path = folder / f"{Condition.parse(ensemble.condition).slug}-{digest(key)}.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        tables.write_table(_kept(ensemble, profile, seed, coded, None), path)
    return pd.read_parquet(path)


def _cell(ensemble: Ensemble, profile: Profile, seed: int) -> Iterator[Row]:
    """Rows of the measures of one condition."""
    one, x = [ensemble], f"{ensemble.spec.steps}|{ensemble.spec.preset}"
    contextual = contextual_embeddings(one, profile, seed)
    deepest = layer_names(1 + PRESETS[ensemble.spec.preset].layers)[-1]
    contextual["x"] = contextual["x"].replace(deepest, LAST)
    found = pd.concat(
        [
            output_distributions(one, profile, seed, counting=False), disagreement(one, profile, seed),
            static_embeddings(one), contextual, fisher_information(one, profile, seed),
        ],
        ignore_index=True,
    )  # fmt: skip
    # A program that trained several members has its own time in the record of each.
    members = ensemble.members
    seconds = sum(one.metrics["seconds"].iloc[-1] / one.provenance["together"] for one in members)
    yield {"condition": ensemble.condition, "state": "trained", "metric": "training_time", "axis": AXIS, "x": x,
           "value": float(seconds), "unit": "s", "n": len(members)}  # fmt: skip
    for name, measure in DOSE_MEASURES.items():
        base: Row = {"condition": ensemble.condition, "metric": name, "axis": AXIS, "x": x}
        base["unit"] = measure.unit
        own = _per_gain(found) if name == "mutual_information_per_gain" else estimate(measure, found)
        if own is None:
            continue
        yield from estimate_rows({**base, "state": "trained"}, ensemble.seeds, own)
        null = null_of(measure, found)
        if measure.null is not None and null is not None:
            yield {**base, "state": measure.null[0], "value": null.interval.value}


def measure_rows(
    base: Row, measures: Mapping[str, Measure], found: pd.DataFrame, ensemble: Ensemble
) -> Iterator[Row]:
    """Rows of each measure that the tables of an ensemble have.

    Args:
        base: condition, state, axis and x.
        measures: name -> measure.
        found: result tables of the ensemble.
        ensemble: whose members they are.
    """
    for name, measure in measures.items():
        own = estimate(measure, found)
        if own is not None:
            yield from estimate_rows({**base, "metric": name, "unit": measure.unit}, ensemble.seeds, own)


def estimate_rows(base: Row, seeds: Sequence[int], own: Estimate) -> Iterator[Row]:
    """A row a member, where an estimate has independent values behind it, and the mean with its interval.

    Args:
        base: condition, state, metric, unit, axis and x.
        seeds: of the members.
        own: the estimate.
    """
    for member, value in zip(seeds, own.members, strict=False):
        yield {**base, "member": member, "value": float(value)}
    ends: Mapping[str, float] = own.interval._asdict()
    yield {**base, **ends, "n": len(seeds)}


def _per_gain(found: pd.DataFrame) -> Estimate | None:
    """Mutual information over context gain, by the jackknife; None where there is hardly a gain."""
    gain = estimate(DOSE_MEASURES[GAIN], found)
    if gain is None or not gain.interval.low > LEAST_GAIN:
        return None
    return estimate(DOSE_MEASURES["mutual_information_per_gain"], found)
