"""The intervention: the entropy of a corpus is changed, and all else stays, from the tokenizer to the masks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from gfm_utils import tables
from gfm_utils.corpora import KINDS
from gfm_utils.ensembles import Ensemble, train_ensembles
from gfm_utils.files import digest
from gfm_utils.measures.contextual import contextual_embeddings
from gfm_utils.measures.controls import CONTROL_MEMBERS
from gfm_utils.measures.disagreement import disagreement
from gfm_utils.measures.entropy import CODED_TOKENS, rate_rows
from gfm_utils.measures.estimates import estimate, measure_rows, name_last
from gfm_utils.measures.fisher import fisher_information
from gfm_utils.measures.output import output_distributions
from gfm_utils.measures.registry import chosen
from gfm_utils.measures.rows import Row
from gfm_utils.measures.static import static_embeddings
from gfm_utils.profiles import Profile
from gfm_utils.tokens import Condition, TokenStore, prepare

GAIN = "context_gain"
#: What is measured of every dose.
DOSE_MEASURES = chosen(
    GAIN, "output_entropy_share", "accuracy", "js_distance", "js_distance_authors", "js_distance_of_null",
    "mutual_information", "mutual_information_per_gain", "top1_agreement", "topk_overlap_corrected",
    "topk_shared", "local_spearman", "procrustes_disparity", "linear_cka_debiased", "contextual_cka",
    "contextual_alignment", "fisher_share", "fisher_share_paper", "fisher_share_invariant",
)  # fmt: skip
#: Axis of the rows: optimiser steps and model, like ``1000|modernbert-2x64``.
AXIS = "steps|preset"
#: Doses of text, close to each other where it gains as little from its context as DNA does.
TEXT_DOSES = (
    None, "noise0.2", "noise0.3", "noise0.35", "noise0.4", "noise0.45", "noise0.5", "noise0.6", "shuffle",
)  # fmt: skip
#: Doses of DNA: also of a source with its letters whose context tells much.
DNA_DOSES = (None, "noise0.3", "shuffle", "markov4t0.33", "markov4t0.33+noise0.3")
#: Of DNA that is cut into tokens as text is.
ALIKE_DOSES = (None, "noise0.3", "shuffle")
#: Of the chapter's live run: its dose, share of the profile's windows, and tokens whose code length is measured.
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
    protein: Sequence[str | None] = (),
) -> list[str]:
    """The first condition of each kind (of k-mers, if there is one), each with all doses; None: as it is.

    Args:
        stores: of the conditions of a run.
        text: transforms of text.
        dna: the same of DNA.
        alike: the same of that DNA with the tokenizer of the text.
        protein: the same of protein.
    """
    first: dict[str, Condition] = {}
    for kind in KINDS:
        of_kind = [store for store in stores if store.kind == kind and (kind != "dna" or store.genome)]
        names = [Condition.parse(store.condition) for store in of_kind]
        if names:
            first[kind] = min(names, key=lambda name: not name.tokenizer.startswith("kmer"))
    if {"text", "dna"} <= set(first) and first["dna"].tokenizer != first["text"].tokenizer:
        first["alike"] = replace(first["dna"], tokenizer=first["text"].tokenizer)
    every = {"text": text, "dna": dna, "alike": alike, "protein": protein}
    return [str(name.transformed(dose)) for kind, name in first.items() for dose in every[kind]]


def live_windows(profile: Profile, share: float) -> Profile:
    """The profile with that share of its windows, for a live run of a chapter."""
    fewer = {name: max(2, round(share * getattr(profile, name))) for name in ("test_windows", "fisher_windows")}
    return profile.model_copy(update=fewer)


def live_conditions(stores: Sequence[TokenStore]) -> list[str]:
    """The first text, DNA and protein of a run; of these the first in this order is noisy, too."""
    there = {store.kind for store in stores}
    plain, both = (None,), (None, LIVE_DOSE)
    dna, protein = (plain if there & set(before) else both for before in (("text",), ("text", "dna")))
    return doses(stores, both, dna, protein=protein)


def live_doses(stores: Sequence[TokenStore], profile: Profile, runs_dir: Path, seed: int = 42) -> pd.DataFrame:
    """``dose_response`` of ``live_conditions``, small enough for a chapter."""
    members = min(CONTROL_MEMBERS, profile.members)
    return dose_response(
        live_conditions(stores), live_windows(profile, LIVE_WINDOWS), runs_dir, seed, members, LIVE_CODED
    )


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
    ``entropy_rate`` and ``entropy_per_token``: see :mod:`gfm_utils.measures.entropy`. ``training_time`` (s, axis
    ``AXIS``): of all members, added up.

    Args:
        conditions: with and without transforms.
        profile: model, budget and the rest of training, and how much the analyses read.
        runs_dir: where ensembles are found or made.
        seed: of splits, order of the windows, masks and transforms.
        members: of each ensemble; None: the profile's number.
        coded: tokens whose code length is measured.
        kept: folder of the rows of each condition, where a run that was stopped finds them again; None: nowhere.
            It has to go when an analysis changes.
    """
    ensembles = train_ensembles(list(map(Condition.parse, conditions)), profile, runs_dir, seed, members)
    return pd.concat([_rows(one, profile, seed, coded, kept) for one in ensembles], ignore_index=True)


def _rows(ensemble: Ensemble, profile: Profile, seed: int, coded: int, kept: Path | None) -> pd.DataFrame:
    def make() -> pd.DataFrame:
        return tables.table([*rate_rows(ensemble.store, coded), *_cell(ensemble, profile, seed)])

    read = profile.model_dump(mode="json", include=set(_READ))
    return make() if kept is None else kept_rows(ensemble, kept, "", [read, seed, coded], make)


def kept_rows(
    ensemble: Ensemble, folder: Path, name: str, read: Sequence[Any], make: Callable[[], pd.DataFrame]
) -> pd.DataFrame:
    """Rows of an ensemble, found in the folder or made and left there; ``read``: what else they depend on."""
    key = digest([ensemble.spec.key, len(ensemble.members), *read, tables.DEFINITIONS])
    slug = Condition.parse(ensemble.condition).slug
    return tables.kept_table(folder / f"{slug}{name}-{key}.parquet", make)


def _cell(ensemble: Ensemble, profile: Profile, seed: int) -> Iterator[Row]:
    """Rows of the measures of one condition."""
    one = [ensemble]
    tables_read = [
        output_distributions(one, profile, seed, counting=False), disagreement(one, profile, seed),
        static_embeddings(one), contextual_embeddings(one, profile, seed), fisher_information(one, profile, seed),
    ]  # fmt: skip
    rows = name_last(pd.concat(tables_read, ignore_index=True))
    base = {"condition": ensemble.condition, "axis": AXIS, "x": f"{ensemble.spec.steps}|{ensemble.spec.preset}"}
    time = {"metric": "training_time", "value": ensemble.training_seconds, "unit": "s", "n": len(ensemble.members)}
    yield {**base, "state": "trained", **time}
    measures = dict(DOSE_MEASURES)
    gain = estimate(measures[GAIN], rows)
    if gain is None or not gain.interval.low > LEAST_GAIN:
        del measures["mutual_information_per_gain"]
    yield from measure_rows(base, measures, rows, ensemble.seeds, nulls=True)


#: k-mers, and BPE by its number of symbols and merges.
TOKENIZERS = (*(f"kmer{k}" for k in range(1, 7)), *(f"bpe{size}" for size in (32, 128, 512, 1024, 4096)))
#: What is matched between tokenizers: the tokens that a model reads, or the bases.
MATCHED = ("tokens", "bases")
METRICS = ("output_entropy", "nll", "context_gain", "unigram_nll")


def tokenizer_sweep(
    conditions: Sequence[str], profile: Profile, runs_dir: Path, members: int | None = None
) -> pd.DataFrame:
    """Result table of the output distributions of one corpus of DNA under several tokenizers.

    Matched ``tokens``: windows, batches and steps are the profile's, so that a model with longer tokens reads
    more bases, and has more of them around. Matched ``bases``: a window has as many bases, on average, as the
    profile's window of the first condition that is k-mers of 4 (or of the first one), with as many windows a step
    and steps; context and budget in bases are equal, and the number of tokens differs.

    Axis ``matched``: ``METRICS`` of trained and untrained members as in ``output_distributions``;
    ``vocabulary`` (with special tokens), ``bases_per_token`` and ``window`` (tokens) of each condition.
    """
    parsed = {name: Condition.parse(name) for name in conditions}
    stores = {name: prepare(one, profile, runs_dir) for name, one in parsed.items()}
    parts = {name: store.about["parts"]["train"] for name, store in stores.items()}
    bases = {name: part["symbols"] / part["tokens"] for name, part in parts.items()}
    reference = next((name for name in conditions if parsed[name].tokenizer == "kmer4"), conditions[0])
    frames = []
    for matched in MATCHED:
        for name in conditions:
            window = profile.window
            if matched == "bases":
                window = max(8, round(profile.window * bases[reference] / bases[name]))
            size = profile.changed(window=window)
            table = output_distributions(train_ensembles([parsed[name]], size, runs_dir, members=members), size)
            kept = table[table["metric"].isin(METRICS) & table["axis"].isna()]
            base = {"condition": name, "unit": "1"}
            sizes = tables.table([
                {**base, "metric": "vocabulary", "value": stores[name].vocabulary},
                {**base, "metric": "bases_per_token", "value": bases[name]},
                {**base, "metric": "window", "value": window},
            ])  # fmt: skip
            frames.append(pd.concat([kept, sizes], ignore_index=True).assign(axis="matched", x=matched))
    return pd.concat(frames, ignore_index=True)
