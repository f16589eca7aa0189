"""Contextual embeddings: the hidden states at every layer, their shape, and whether members agree on them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from gfm_utils import tables
from gfm_utils.ensembles import STATES, Ensemble
from gfm_utils.errors import GfmError
from gfm_utils.measures.geometry import (
    Moments,
    direction_distance,
    effective_rank,
    effective_rank_authors,
    linear_cka,
    pairwise_distance_spread,
    participation_ratio,
    uniformity,
)
from gfm_utils.measures.neighbours import chance_corrected, compare_neighbours, topk_overlap_chance, topk_shared
from gfm_utils.measures.rows import Row, member_rows, pair_matrix, pair_rows
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL, TokenStore, evenly_spaced

Matrix = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
#: Vectors that are kept of each layer for what needs pairs: tokens, and windows.
SAMPLE = 1024
#: Neighbourhood size for the alignment of neighbours.
NEIGHBOURS = 10
#: Tokens of a batch.
BATCH_TOKENS = 2**14
#: Prefix of a metric by what the vectors stand for: a token, or a window (the mean of its tokens).
LEVELS = ("", "pooled_")
#: Share of the tokens that the paper's code masks before it looks at contextual embeddings.
AUTHORS_MASK = 0.15
#: Axis of the last layer of windows with that share masked.
MASKED = "layer_masked"


class Layer(NamedTuple):
    """One layer of one member, of tokens or of windows."""

    moments: Moments  # of all vectors
    sample: Matrix  # the same tokens or windows in every member and layer, (SAMPLE or fewer, hidden)


@dataclass(frozen=True)
class Windows:
    """The test windows that are read, and the sample of their tokens."""

    ids: Integers  # of tokens, (n, window)
    sampled: Integers  # places in the flattened ids, ascending, the same for all members
    different: Integers  # places in ``sampled``, one for each token that occurs there
    pooled: Integers  # windows that are kept, ascending
    around: tuple[Integers, Integers]  # special tokens before and behind each window, which are read and no more


def clean_windows(store: TokenStore, window: int, count: int, seed: int) -> Windows:
    """Test windows with nothing masked, so many or all, spread evenly, and a seeded sample of their tokens."""
    starts = store.window_starts("test", window)
    return sampled_windows(store.windows("test", starts[evenly_spaced(len(starts), count)], window), seed)


def sampled_windows(ids: Integers, seed: int = 42, around: tuple[Integers, Integers] | None = None) -> Windows:
    """Windows, (n, window), with a seeded sample of ``SAMPLE`` of their tokens and of themselves, or all of fewer.

    ``around`` are special tokens in front of each window and behind it.
    """
    rng = np.random.default_rng(seed)
    sampled = np.sort(rng.choice(ids.size, min(SAMPLE, ids.size), replace=False))
    different = np.sort(np.unique(ids.ravel()[sampled], return_index=True)[1])
    pooled = np.sort(rng.choice(len(ids), min(SAMPLE, len(ids)), replace=False))
    return Windows(ids, sampled, different, pooled, around or (np.empty(0, np.int64), np.empty(0, np.int64)))


def masked_windows(windows: Windows, mask: int, seed: int = 42) -> Windows:
    """The windows as the paper's code reads them: each token is ``[MASK]`` with a probability of 15 %.

    Special tokens around a window are left as they are; in the paper's code they are masked, too, and in the mean.
    """
    hidden = np.random.default_rng(seed).random(windows.ids.shape) < AUTHORS_MASK
    return replace(windows, ids=np.where(hidden, mask, windows.ids))


def hidden_states(model: Any, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The states of every layer, from the embeddings to what the head gets, (n, length, hidden) each."""
    output = model.base_model(input_ids=ids, output_hidden_states=True)
    # In transformers 5.0 ModernBERT's hidden states end before its final norm.
    return (*output.hidden_states[:-1], output.last_hidden_state)


@torch.inference_mode()
def layers_of(model: Any, windows: Windows, levels: Sequence[str] = LEVELS) -> dict[str, list[Layer]]:
    """Every layer of one model by level, from the embeddings to the last, streamed over the windows.

    Any masked language model of Hugging Face that gives its ``hidden_states`` will do.

    Raises:
        GfmError: a layer has not one state for each token.
    """
    count, window = windows.ids.shape
    step = max(1, BATCH_TOKENS // window)
    layers: dict[str, list[tuple[Moments, list[Matrix]]]] = {}
    for begin in range(0, count, step):
        ids = torch.from_numpy(windows.ids[begin : begin + step]).to(model.device)
        before, after = (torch.from_numpy(part).to(ids).expand(len(ids), -1) for part in windows.around)
        states = hidden_states(model, torch.cat([before, ids, after], 1))
        if short := {state.shape[1] for state in states} - {before.shape[1] + window + after.shape[1]}:
            raise GfmError(
                f"{type(model).__name__} has layers of {min(short)} places for windows of {window} tokens, so "
                "tokens have no hidden state of their own there: leave out contextual embeddings by --only"
            )
        for level in levels:
            sampled, size = (windows.pooled, 1) if level else (windows.sampled, window)
            inside = sampled[(sampled >= begin * size) & (sampled < (begin + len(ids)) * size)] - begin * size
            places = torch.from_numpy(inside).to(model.device)
            if level not in layers:
                layers[level] = [(Moments(state.shape[-1]), []) for state in states]
            for state, (moments, kept) in zip(states, layers[level], strict=True):
                inner = state[:, before.shape[1] : before.shape[1] + window]
                vectors = inner.double().mean(1) if level else inner.flatten(0, 1)
                moments.add(vectors)
                kept.append(vectors[places].double().cpu().numpy())
    return {
        level: [Layer(moments, np.concatenate(kept)) for moments, kept in parts] for level, parts in layers.items()
    }


def contextual_embeddings(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table of the hidden states of trained and untrained members on test windows with nothing masked.

    Metrics, on the axis ``layer`` (``embeddings``, which knows no context, then ``encoder.0``, ...), of tokens,
    and of windows, the mean of their tokens, by the same name after ``pooled_``:

    - a row a member and the mean: ``effective_rank``, ``participation_ratio`` and ``anisotropy`` of all tokens,
      ``uniformity`` and ``pairwise_dist_std`` of a seeded sample; see :mod:`gfm_utils.measures.geometry`.
    - a row a pair and the mean, of that sample: ``linear_cka`` and ``linear_cka_debiased``; and
      ``neighbour_alignment_corrected``, the Jaccard index of the 10 nearest (fewer if the sample is smaller) by
      cosine among those that are different tokens, beyond chance.
    - axis ``layers`` (two names, ``embeddings|encoder.0``): ``layer_cka``, debiased linear CKA of two layers of
      one member, of tokens.

    The paper's reference code reads the last layer of windows alone, with 15 % of the tokens masked (the masked
    ones are in the mean): those are the ``pooled_`` metrics on the axis ``layer_masked``. Its own definitions
    stand on both axes: ``effective_rank_authors``, ``anisotropy_authors`` (its mean cosine, ``avgcosim``, is
    ``anisotropy``), ``alignment_l2_authors`` and ``neighbour_alignment_authors``, the share of the 10 nearest that
    both members have, not corrected. Its linear CKA is the biased one.

    Args:
        ensembles: one a condition.
        profile: its ``test_windows`` says how many windows are read.
        seed: of the sample and of the masks.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        windows = clean_windows(ensemble.store, ensemble.spec.window, profile.test_windows, seed)
        masked = masked_windows(windows, SPECIAL.index("[MASK]"), seed)
        for state in STATES:
            base = {"condition": ensemble.condition, "state": state}
            rows += member_layer_rows(base, ensemble.seeds, ensemble.models(state), windows, masked)
    return tables.table(rows)


def member_layer_rows(
    base: Row, seeds: Sequence[int], models: Iterable[Any], windows: Windows, masked: Windows | None
) -> Iterator[Row]:
    """The rows of some members in one state, which read windows, and the same masked where there is a mask.

    Raises:
        GfmError: they have different numbers of layers.
    """
    layers: dict[str, list[list[Layer]]] = {level: [] for level in (*LEVELS, MASKED)}
    for model in models:
        for level, of_model in layers_of(model, windows).items():
            layers[level].append(of_model)
        if masked is not None:
            layers[MASKED].append(layers_of(model, masked, ["pooled_"])["pooled_"])
    depths = [len(of_model) - 1 for of_model in layers[""]]
    if len(set(depths)) > 1:
        raise GfmError(
            f"the models have different numbers of layers ({', '.join(map(str, depths))}), of which none can be "
            "compared with another: name models of one depth"
        )
    names = ["embeddings", *(f"encoder.{layer}" for layer in range(depths[0]))]
    for level in LEVELS:
        among = slice(None) if level else windows.different
        for name, members in zip(names, zip(*layers[level], strict=True), strict=True):
            yield from _layer_rows({**base, "axis": "layer", "x": name}, level, seeds, members, among)
    between = np.stack([linear_cka([layer.sample for layer in member]).debiased for member in layers[""]])
    for (i, first), (j, second) in combinations(enumerate(names), 2):
        one = {**base, "metric": "layer_cka", "unit": "share", "axis": "layers", "x": f"{first}|{second}"}
        yield from member_rows(one, seeds, between[:, i, j], len(windows.sampled))
    if masked is not None:
        last = [of_model[-1] for of_model in layers[MASKED]]
        yield from _layer_rows({**base, "axis": MASKED, "x": names[-1]}, "pooled_", seeds, last)


def _layer_rows(
    base: Row, level: str, seeds: Sequence[int], layers: Sequence[Layer], among: Integers | slice = slice(None)
) -> Iterator[Row]:
    """Each member's cloud of vectors at one layer, and how far members agree; neighbours ``among`` some places."""
    moments, samples = [layer.moments for layer in layers], [layer.sample for layer in layers]
    spectra, count, kept = [one.spectrum() for one in moments], moments[0].count, len(samples[0])
    for metric, unit, values, n in (
        ("effective_rank", "dimensions", map(effective_rank, spectra), count),
        ("effective_rank_authors", "dimensions", map(effective_rank_authors, spectra), count),
        ("participation_ratio", "dimensions", map(participation_ratio, spectra), count),
        ("anisotropy", "cosine", map(Moments.anisotropy, moments), count),
        ("anisotropy_authors", "length", map(Moments.anisotropy_authors, moments), count),
        ("uniformity", "nats", map(uniformity, samples), kept),
        ("pairwise_dist_std", "distance", map(pairwise_distance_spread, samples), kept),
    ):
        one = {**base, "metric": level + metric, "unit": unit}
        yield from member_rows(one, seeds, np.fromiter(values, np.float64), n)
    cka = linear_cka(samples)
    compared = [sample[among] for sample in samples]
    tokens = len(compared[0])
    k = min(NEIGHBOURS, tokens // 2)
    each = compare_neighbours(compared, [k], spearman=False).overlap[:, 0]
    corrected = chance_corrected(each.mean(1), topk_overlap_chance(tokens, k))
    agreement = [
        ("linear_cka", "share", cka.cka, kept),
        ("linear_cka_debiased", "share", cka.debiased, kept),
        ("neighbour_alignment_corrected", "share", pair_matrix(corrected), tokens),
        ("neighbour_alignment_authors", "share", pair_matrix(topk_shared(each, k).mean(1) / k), tokens),
    ]
    if len({sample.shape[1] for sample in samples}) == 1:
        distances = np.array([direction_distance(*pair) for pair in combinations(samples, 2)])
        agreement.append(("alignment_l2_authors", "squared distance", pair_matrix(distances), kept))
    for metric, unit, matrix, n in agreement:
        yield from pair_rows({**base, "metric": level + metric, "unit": unit}, seeds, matrix, n)
