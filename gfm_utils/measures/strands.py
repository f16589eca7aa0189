"""Predictions for DNA read on one strand and on the other: is a strand flip worse than another seed?

A window's bases are reverse-complemented and tokenized again. Hidden are the same bases on both strands:
stretches between neighbouring borders that both tokenizations have. Of a stretch the first and the last base are
predicted: on the forward strand the first base is the first letter of the token at the first hidden place, on the
other strand the complement of the last letter of the token at the last hidden place, and the other way round for
the last base. Each is a sum over tokens, an exact marginal of the model's prediction for that place. What still
differs is how the visible bases are cut into tokens, and how many places are hidden: that is part of what a model
sees of a strand.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gfm_utils import tables
from gfm_utils.ensembles import STATES, Ensemble, State, masked_windows, predictions_of
from gfm_utils.measures.distributions import js_divergence
from gfm_utils.measures.rows import Row, member_rows, pair_rows
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL

Ints = NDArray[np.int64]
_MASK = SPECIAL.index("[MASK]")
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


class Strands(NamedTuple):
    """Windows on both strands, with the same stretches hidden."""

    forward: list[Ints]  # ids with ``[MASK]``, one array a window
    reverse: list[Ints]  # of the other strand; lengths may differ
    #: Number of the window, in its order, and the first and last place of a hidden stretch's tokens on the forward
    #: strand and on the other one, (stretches, 5).
    stretches: Ints


def reverse_complement(bases: str) -> str:
    """The other strand, read in its own direction."""
    return bases.translate(_COMPLEMENT)[::-1]


def hidden_strands(ensemble: Ensemble, windows: int, rate: float, seed: int = 42) -> Strands:
    """Test windows on both strands, with about a share ``rate`` of the forward tokens hidden in each.

    So many windows are spread evenly over the test part. Stretches are drawn at random, one at least; a window
    whose other strand has more tokens than a model has places for (or no stretch short enough) is left out.
    """
    store, size = ensemble.store, ensemble.spec.window
    starts = masked_windows(store, "test", size, windows, rate, seed)[3]
    words = _words(ensemble)
    fast = store.tokenizer.backend_tokenizer
    rng = np.random.default_rng(seed)
    parts: list[tuple[Ints, Ints, Ints]] = []
    for ids in store.windows("test", starts, size):
        bases = "".join(words[token] for token in ids)
        other = np.array(fast.encode(reverse_complement(bases), add_special_tokens=False).ids)
        if len(other) > max(size, 512):  # presets have places for so many tokens
            continue
        drawn = _drawn(ids, other, words, max(1, round(rate * size)), rng)
        if len(drawn):
            shown, flipped = ids.copy(), other.copy()
            for first, last, first_back, last_back in drawn:
                shown[first : last + 1], flipped[first_back : last_back + 1] = _MASK, _MASK
            parts.append((shown, flipped, np.insert(drawn, 0, len(parts), axis=1)))
    stretches = np.concatenate([np.empty((0, 5), np.int64), *(part[2] for part in parts)])
    return Strands([part[0] for part in parts], [part[1] for part in parts], stretches)


def _drawn(ids: Ints, other: Ints, words: Sequence[str], wanted: int, rng: np.random.Generator) -> Ints:
    """Stretches between common borders, in random order, until ``wanted`` forward tokens are hidden; (n, 4)."""
    ahead = np.cumsum([0, *(len(words[token]) for token in ids)])
    back = ahead[-1] - np.cumsum([0, *(len(words[token]) for token in other)])  # from the end of the window
    _, places, places_back = np.intersect1d(ahead, back, return_indices=True)
    drawn: list[list[int]] = []
    taken = 0
    for index in rng.permutation(len(places) - 1):
        (first, end), (end_back, first_back) = places[index : index + 2], places_back[index : index + 2]
        if (taken and taken + end - first > wanted) or end - first > len(ids) // 2:
            continue
        taken += end - first
        drawn.append([first, end - 1, first_back, end_back - 1])
        if taken >= wanted:
            break
    return np.array(drawn, np.int64).reshape(-1, 4)


def base_predictions(ensemble: Ensemble, strands: Strands, state: State) -> tuple[torch.Tensor, torch.Tensor]:
    """Distributions over A, C, G, T of the first and last base of every stretch, from either strand.

    Returns:
        From the forward strand and from the other one, in bases of the forward strand, both of shape
        (members, 2 * stretches, 4): first bases, then last ones.
    """
    models, window = list(ensemble.models(state)), strands.stretches[:, 0]
    letters = torch.stack(_letters(ensemble)).to(models[0].device)
    forward = _marginals(models, strands.forward, window, strands.stretches[:, 1:3], letters)
    reverse = _marginals(models, strands.reverse, window, strands.stretches[:, 3:], letters)
    reverse = reverse.flip(2, 3)  # last base first, A <-> T, C <-> G
    return torch.cat(forward.unbind(2), dim=1), torch.cat(reverse.unbind(2), dim=1)


def _marginals(
    models: Sequence[Any], sequences: list[Ints], window: Ints, places: Ints, letters: torch.Tensor
) -> torch.Tensor:
    """Distributions over A, C, G, T at both ends of stretches; only these leave the models' device.

    Given are the stretches' ascending windows and their first and last places, (stretches, 2); what comes is the
    first letter at the first place and the last letter at the last place, (members, stretches, 2, 4).
    """
    out = torch.zeros(len(models), len(window), 2, 4, dtype=torch.float64)
    slots = np.arange(len(window)) - np.searchsorted(window, window)  # of stretches in their windows
    lengths = np.array([len(sequence) for sequence in sequences])
    for length in np.unique(lengths):
        same = np.flatnonzero(lengths == length)
        within = np.flatnonzero(np.isin(window, same))
        rows, columns = np.searchsorted(same, window[within]), slots[within]
        ends = np.zeros((len(same), columns.max() + 1, 2), dtype=np.int64)
        ends[rows, columns] = places[within]
        shown, asked = np.stack([sequences[number] for number in same]), ends.reshape(len(same), -1)
        batches = predictions_of(models, shown, asked, asked, letters.shape[1], to_cpu=False)
        p = torch.cat([_of_letters(batch.log_p, letters).cpu() for batch in batches], dim=1)
        out[:, within] = p[:, rows, columns]
    return out


def _of_letters(log_p: torch.Tensor, letters: torch.Tensor) -> torch.Tensor:
    """Distributions over bases, (members, n, stretches, 2, 4); special tokens, which have none, do not count."""
    p = torch.einsum("mnsev,evl->mnsel", log_p.exp().unflatten(2, (-1, 2)), letters)
    return p / p.sum(-1, keepdim=True)


def strand_disagreement(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table of reverse-complement consistency of the conditions on DNA, trained and untrained.

    Of the first and last bases of hidden stretches (see the module): ``strand_js_distance``, between one member's
    predictions from the two strands, one row a member; ``member_js_distance``, between two members' predictions
    from the forward strand, one row a pair; and without a state ``strand_js_distance_unigram``, see
    ``frequency_flip``. What is predicted the profile's ``test_windows`` and ``test_mask`` say.
    """
    rows: list[Row] = []
    for ensemble in (ensemble for ensemble in ensembles if ensemble.store.genome):
        strands = hidden_strands(ensemble, profile.test_windows, profile.test_mask, seed)
        level: Row = {"condition": ensemble.condition, "metric": "strand_js_distance_unigram", "unit": "distance"}
        rows.append({**level, "value": frequency_flip(ensemble)})
        for state in STATES:
            rows += _base_rows({"condition": ensemble.condition, "state": state}, ensemble, strands, state)
    return tables.table(rows)


def _base_rows(base: Row, ensemble: Ensemble, strands: Strands, state: State) -> Iterator[Row]:
    forward, reverse = base_predictions(ensemble, strands, state)
    seeds, n = ensemble.seeds, forward.shape[1]
    distance = {**base, "unit": "distance"}
    flip = js_divergence(forward, reverse).sqrt().mean(1).numpy()
    between = torch.stack([js_divergence(one[None], forward).sqrt().sum(1) for one in forward]).numpy() / n
    yield from member_rows({**distance, "metric": "strand_js_distance"}, seeds, flip, n)
    yield from pair_rows({**distance, "metric": "member_js_distance"}, seeds, between, n)


def frequency_flip(ensemble: Ensemble) -> float:
    """Distance between a base's distributions from the two strands if only token frequencies are known.

    Tokens of BPE begin with other letters than they end with (complemented), so that a model that has learned no
    more than the training part's token frequencies is already so far from itself on the other strand.
    """
    counts = torch.from_numpy(ensemble.store.counts("train")).double()
    begin, end = (counts @ letters / counts.sum() for letters in _letters(ensemble))
    return float(js_divergence(begin, end.flip(-1)).sqrt())


def _letters(ensemble: Ensemble) -> tuple[torch.Tensor, torch.Tensor]:
    """Which tokens begin with A, C, G, T, and which end with them, both of shape (vocabulary, 4)."""
    words = _words(ensemble)
    first, last = (
        torch.tensor([[word[end : end + 1 or None] == base for base in "ACGT"] for word in words]).double()
        for end in (0, -1)
    )
    return first, last


def _words(ensemble: Ensemble) -> list[str]:
    """The bases of each token; special tokens have none."""
    words = ensemble.store.tokenizer.convert_ids_to_tokens(list(range(ensemble.store.vocabulary)))
    return ["" if word in SPECIAL else word for word in words]
