"""Contextual embeddings: the hidden states at every layer, their shape, and whether members agree on them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from gfm_utils import tables
from gfm_utils.analyses.alignment import linear_cka
from gfm_utils.analyses.geometry import Moments, effective_rank, participation_ratio, uniformity
from gfm_utils.analyses.neighbours import chance_corrected, compare_neighbours, topk_overlap_chance
from gfm_utils.analyses.rows import Row, member_rows, pair_rows
from gfm_utils.ensembles import STATES, Ensemble, device
from gfm_utils.profiles import Profile
from gfm_utils.tokens import TokenStore

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


@dataclass(frozen=True)
class Layer:
    """One layer of one member, of tokens or of windows.

    Attributes:
        moments: of all vectors.
        sample: the same tokens or windows in every member and layer, shape (SAMPLE or fewer, hidden).
    """

    moments: Moments
    sample: Matrix


@dataclass(frozen=True)
class Windows:
    """The test windows that are read, and the sample of their tokens.

    Attributes:
        ids: token ids, shape (n, window).
        sampled: places in the flattened ids, ascending, the same for all members.
        different: places in ``sampled``, one for each token that occurs there.
        pooled: windows that are kept, ascending.
        around: special tokens in front of each window and behind it, which members read, and no more.
    """

    ids: Integers
    sampled: Integers
    different: Integers
    pooled: Integers
    around: tuple[Integers, Integers]


def clean_windows(store: TokenStore, window: int, count: int, seed: int = 42) -> Windows:
    """Test windows with nothing masked, spread evenly, and a seeded sample of their tokens.

    Args:
        store: the tokens.
        window: tokens a window.
        count: windows wanted; all that exist if there are fewer.
        seed: of the sample.
    """
    starts = store.window_starts("test", window)
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(count, len(starts))).round().astype(np.int64))
    return sampled_windows(store.windows("test", starts[chosen], window), seed)


def sampled_windows(ids: Integers, seed: int = 42, around: tuple[Integers, Integers] | None = None) -> Windows:
    """Windows with a seeded sample of ``SAMPLE`` of their tokens, and of themselves, or all if there are fewer.

    Args:
        ids: token ids, shape (n, window).
        seed: of the sample.
        around: special tokens in front of each window and behind it; None: none.
    """
    rng = np.random.default_rng(seed)
    sampled = np.sort(rng.choice(ids.size, min(SAMPLE, ids.size), replace=False))
    different = np.sort(np.unique(ids.ravel()[sampled], return_index=True)[1])
    pooled = np.sort(rng.choice(len(ids), min(SAMPLE, len(ids)), replace=False))
    none: Integers = np.empty(0, np.int64)
    return Windows(ids, sampled, different, pooled, around or (none, none))


@torch.inference_mode()
def layers_of(model: Any, windows: Windows) -> dict[str, list[Layer]]:
    """Every layer of one model, from the embeddings to the last, streamed over the windows.

    Any masked language model of Hugging Face that gives its ``hidden_states`` will do.

    Args:
        model: in evaluation mode, on any device.
        windows: what it reads.

    Returns:
        The layers by level, ``""`` (tokens) and ``"pooled_"`` (windows).
    """
    count, window = windows.ids.shape
    step = max(1, BATCH_TOKENS // window)
    moments: dict[str, list[Moments]] = {}
    kept: dict[str, list[list[Matrix]]] = {}
    for begin in range(0, count, step):
        ids = torch.from_numpy(windows.ids[begin : begin + step]).to(model.device)
        before, after = (torch.from_numpy(part).to(ids).expand(len(ids), -1) for part in windows.around)
        made = model.base_model(input_ids=torch.cat([before, ids, after], 1), output_hidden_states=True)
        # The last is what the head gets: in transformers 5.0 ModernBERT's hidden states end before its final norm.
        read = (*made.hidden_states[:-1], made.last_hidden_state)
        states = [state[:, before.shape[1] : before.shape[1] + window] for state in read]
        if not moments:
            moments = {level: [Moments(state.shape[-1]) for state in states] for level in LEVELS}
            kept = {level: [[] for _ in states] for level in LEVELS}
        inside = {
            "": _within(windows.sampled, begin * window, ids.numel()),
            "pooled_": _within(windows.pooled, begin, len(ids)),
        }
        for layer, state in enumerate(states):
            for level, vectors in zip(LEVELS, (state.flatten(0, 1), state.double().mean(1)), strict=True):
                moments[level][layer].add(vectors)
                chosen = vectors[torch.from_numpy(inside[level]).to(vectors.device)]
                kept[level][layer].append(chosen.double().cpu().numpy())
    return {
        level: [Layer(own, np.concatenate(parts)) for own, parts in zip(moments[level], kept[level], strict=True)]
        for level in LEVELS
    }


def _within(places: Integers, begin: int, count: int) -> Integers:
    """Those of the places that lie in a batch, counted from its beginning."""
    here: Integers = places[(places >= begin) & (places < begin + count)] - begin
    return here


def contextual_embeddings(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table of the hidden states of trained and untrained members on test windows, nothing masked.

    The paper's code masks 15 % of the tokens; here every vector stands for a token that the model sees.

    Metrics, all on the axis ``layer`` (``embeddings``, which knows no context, then ``encoder.0``, ...) and all
    also for windows, the mean of their tokens, by the same name after ``pooled_``:

    - one row a member and the mean over members: ``effective_rank``, ``participation_ratio``, ``anisotropy``,
      ``uniformity``; see :mod:`gfm_utils.analyses.geometry`. The first three are of all tokens, the last of a
      seeded sample of ``SAMPLE``.
    - one row a pair and the mean over pairs: ``linear_cka`` and ``linear_cka_debiased`` on that sample;
      ``neighbour_alignment``, the Jaccard index of the 10 nearest (fewer if the sample is smaller) by cosine
      among those of the sample that are different tokens, ``neighbour_alignment_chance`` and
      ``neighbour_alignment_corrected``.
    - axis ``layers`` (two names, ``embeddings|encoder.0``): ``layer_cka``, debiased linear CKA of two layers of
      one member.

    Args:
        ensembles: one a condition.
        profile: its ``test_windows`` says how many windows are read.
        seed: of the sample.
    """
    rows: list[Row] = []
    for ensemble in ensembles:
        windows = clean_windows(ensemble.store, ensemble.spec.window, profile.test_windows, seed)
        for state in STATES:
            base = {"condition": ensemble.condition, "state": state}
            found = [layers_of(member.model(state, device()), windows) for member in ensemble.members]
            rows += contextual_rows(base, ensemble.seeds, found, windows.different)
    return tables.table(rows)


def layer_names(count: int) -> list[str]:
    """Names of the hidden states: ``embeddings``, ``encoder.0``, ``encoder.1``, ..."""
    return ["embeddings", *(f"encoder.{layer}" for layer in range(count - 1))]


def contextual_rows(
    base: Row, seeds: Sequence[int], found: Sequence[dict[str, list[Layer]]], different: Integers
) -> Iterator[Row]:
    """The rows of one ensemble in one state.

    Args:
        base: condition and state.
        seeds: of the members.
        found: of each member, what ``layers_of`` gives.
        different: places in the sample of tokens, one for each token that occurs there.
    """
    for level in LEVELS:
        members = [member[level] for member in found]
        names = layer_names(len(members[0]))
        for place, name in enumerate(names):
            here = [member[place] for member in members]
            axis = {**base, "axis": "layer", "x": name}
            yield from _shape_rows(axis, level, seeds, here)
            samples = [layer.sample for layer in here]
            among = samples if level else [sample[different] for sample in samples]
            yield from _pair_rows(axis, level, seeds, samples, among)
        between = np.stack([linear_cka([layer.sample for layer in member]).debiased for member in members])
        for i, first in enumerate(names):
            for j in range(i + 1, len(names)):
                one = {"metric": f"{level}layer_cka", "unit": "share", "axis": "layers"}
                axis = {**base, **one, "x": f"{first}|{names[j]}"}
                yield from member_rows(axis, seeds, between[:, i, j], len(members[0][0].sample))


def _shape_rows(base: Row, level: str, seeds: Sequence[int], layers: Sequence[Layer]) -> Iterator[Row]:
    """What each member's cloud of vectors looks like at one layer."""
    spectra = [layer.moments.spectrum() for layer in layers]
    count, kept = layers[0].moments.count, len(layers[0].sample)
    by_spectrum: tuple[tuple[str, Callable[[Matrix], float]], ...] = (
        ("effective_rank", effective_rank),
        ("participation_ratio", participation_ratio),
    )
    for metric, measure in by_spectrum:
        values = np.array([measure(spectrum) for spectrum in spectra])
        one = {**base, "metric": level + metric, "unit": "dimensions"}
        yield from member_rows(one, seeds, values, count)
    values = np.array([layer.moments.anisotropy() for layer in layers])
    yield from member_rows({**base, "metric": f"{level}anisotropy", "unit": "cosine"}, seeds, values, count)
    values = np.array([uniformity(layer.sample) for layer in layers])
    yield from member_rows({**base, "metric": f"{level}uniformity", "unit": "nats"}, seeds, values, kept)


def _pair_rows(
    base: Row, level: str, seeds: Sequence[int], samples: Sequence[Matrix], among: Sequence[Matrix]
) -> Iterator[Row]:
    """How far members agree at one layer: on all the sample, and on the neighbours ``among`` a part of it."""
    share = {**base, "unit": "share"}
    cka, tokens = linear_cka(samples), len(among[0])
    for metric, matrix in (("linear_cka", cka.cka), ("linear_cka_debiased", cka.debiased)):
        yield from pair_rows({**share, "metric": level + metric}, seeds, matrix, len(samples[0]))
    k = min(NEIGHBOURS, tokens // 2)
    neighbourhoods = compare_neighbours(among, [k], spearman=False)
    overlap = np.zeros((len(seeds), len(seeds)))
    for pair, (i, j) in enumerate(neighbourhoods.pairs):
        overlap[i, j] = overlap[j, i] = neighbourhoods.overlap[pair, 0].mean()
    chance, name = topk_overlap_chance(tokens, k), f"{level}neighbour_alignment"
    yield {**share, "metric": f"{name}_chance", "value": chance, "n": tokens}
    yield from pair_rows({**share, "metric": name}, seeds, overlap, tokens)
    corrected = chance_corrected(overlap, chance)
    yield from pair_rows({**share, "metric": f"{name}_corrected"}, seeds, corrected, tokens)
