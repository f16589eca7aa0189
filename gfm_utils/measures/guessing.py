"""Hidden tokens shown one by one: a game of guessing them, and what members say along a window.

A reader plays the game against models and counting on the same few candidates.

The wrong candidates are drawn by the frequencies q of tokens, so that knowing these is worth nothing: where p is a
player's distribution over all tokens, given their context, the candidates c_1, ..., c_K leave by Bayes' rule

    P(c_i is the hidden token) = [p(c_i) / q(c_i)] / Σ_j p(c_j) / q(c_j),

and who knows q alone pays log2 K bits. The game is that of contrastive predictive coding (van den Oord, Li and
Vinyals, arXiv:1807.03748, 2018): on average, log2 K minus a player's bits is at most what the context tells of the
hidden token, I(token; context).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from gfm_utils import tables
from gfm_utils.ensembles import Ensemble, masked_windows, predictions, predictions_of
from gfm_utils.measures.counting import chosen_ngram, frequency_bits
from gfm_utils.measures.disagreement import disagreement_sums
from gfm_utils.measures.distributions import LOG2
from gfm_utils.measures.rows import Row
from gfm_utils.profiles import Profile
from gfm_utils.tokens import SPECIAL, evenly_spaced, mask_all

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
#: Among so many tokens the hidden one is to be found.
CANDIDATES = 5
#: Rounds of a game, or fewer where windows are long: all of a game are to have so many tokens at most.
ROUNDS, MOST_TOKENS = 20, 2_560


def guessing_games(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> list[dict[str, Any]]:
    """A game for each kind of corpus (text, DNA, protein), of the last condition of that kind.

    Of each of ``test_windows`` windows one token is hidden, drawn by the seed like the candidates.

    Returns:
        Plain values, ready for JSON. A game has its ``kind``, ``condition`` and ``rounds``, and ``means`` over
        ``n`` windows, the rounds among them: bits of ``counting``, which sees both sides, and of ``models``,
        over members. A round has the ``tokens`` of the window, with the hidden one ``at`` its place, the
        ``candidates``, the ``truth`` among them by its place, and what each player gives them, four digits:
        ``counting``, shape (candidates,), and ``models``, shape (members, candidates).
    """
    last = {ensemble.store.kind: ensemble for ensemble in ensembles}
    return [_game(ensemble, profile, seed) for ensemble in last.values()]


def _game(ensemble: Ensemble, profile: Profile, seed: int) -> dict[str, Any]:
    store, window = ensemble.store, ensemble.spec.window
    which = profile.test_windows, 1 / window, seed
    shown, positions, targets, _ = masked_windows(store, "test", window, *which)
    q = 2 ** -frequency_bits(store.counts("train"))
    kept, candidates = draw_candidates(targets[:, 0], q, np.random.default_rng(seed))

    log_p = torch.cat([batch.log_p for batch in predictions(ensemble, "trained", *which)], dim=1)[:, kept, 0]
    of_models = np.take_along_axis(log_p.exp().numpy(), candidates[None], axis=2)
    shown, positions, targets = shown[kept], positions[kept], targets[kept]
    ngram, order = chosen_ngram(store, window, profile, seed, "both")
    places = np.repeat(positions, candidates.shape[1], axis=1)
    of_counting = ngram.probability(shown, places, candidates, SPECIAL.index("[MASK]"), order)

    models, counting = (among_candidates(p, q[candidates]) for p in (of_models, of_counting))
    true, clean = candidates == targets, np.where(np.arange(window) == positions, targets, shown)
    short = np.vectorize(lambda value: float(f"{value:.4g}"))
    rounds = [
        {
            "tokens": list(map(store.readable, clean[one].tolist())),
            "at": int(positions[one, 0]),
            "candidates": list(map(store.readable, candidates[one].tolist())),
            "truth": int(true[one].argmax()),
            "counting": short(counting[one]).tolist(),
            "models": short(models[:, one]).tolist(),
        }
        for one in range(min(len(kept), ROUNDS, max(1, MOST_TOKENS // window)))
    ]
    bits = {name: float(-np.log2(p[..., true]).mean()) for name, p in (("models", models), ("counting", counting))}
    return {"kind": store.kind, "condition": ensemble.condition, "rounds": rounds, "means": bits, "n": len(kept)}


def draw_candidates(truth: Integers, q: Floats, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Candidates of hidden tokens (n,): each with others that are drawn by their frequencies q, in any order.

    Where a token is drawn twice the hidden one is left out of the game, so that the rule of Bayes above is exact.

    Returns:
        Which of the hidden tokens are in the game, in any order, (k,), and the candidates of these,
        (k, ``CANDIDATES``), or fewer where a vocabulary has not twice as many.
    """
    count = min(CANDIDATES, (len(q) - len(SPECIAL)) // 2)
    candidates = np.column_stack([truth, rng.choice(len(q), (len(truth), count - 1), p=q)])
    distinct = (np.diff(np.sort(candidates, axis=1), axis=1) > 0).all(axis=1)
    kept = rng.permutation(np.flatnonzero(distinct))
    return kept, rng.permuted(candidates[kept], axis=1)


def among_candidates(p: Floats, q: Floats) -> Floats:
    """What a player gives each candidate by the rule above, (..., n, candidates), from its p of them and q."""
    weight = p / q
    return np.asarray(weight / weight.sum(-1, keepdims=True))


#: Columns beside those of every result table: which window, its token, and the tokens that members name.
EXTRA = ("window", "token", "named")
#: Of a longer window so many first tokens are shown.
LONGEST = 64


def along_windows(ensembles: Sequence[Ensemble], profile: Profile, windows: int = 3) -> pd.DataFrame:
    """Result table of trained members along test windows (axis ``position``), each token hidden in turn.

    Metrics, means over members or pairs, with the columns ``EXTRA``: ``position_entropy`` and ``position_nll``
    (bits/token), ``position_js_distance`` and ``position_top1_agreement``; and of each member
    ``position_confidence``, the probability of its likeliest token, the one that it ``named``. Of so many windows,
    spread evenly over the test part.
    """
    return tables.table((row for ensemble in ensembles for row in _along(ensemble, windows)), EXTRA)


def _along(ensemble: Ensemble, windows: int) -> Iterator[Row]:
    store, size = ensemble.store, ensemble.spec.window
    starts = store.window_starts("test", size)
    chosen = starts[evenly_spaced(len(starts), windows + 2)[1:-1]]
    models = list(ensemble.models())
    for number, ids in enumerate(store.windows("test", chosen, size), 1):
        places = np.arange(min(len(ids), LONGEST))[:, None]
        shown = mask_all(np.tile(ids, (len(places), 1)), places, SPECIAL.index("[MASK]"))
        batches = predictions_of(models, shown, places, ids[places], ensemble.spec.vocabulary)
        log_p = torch.cat([batch.log_p[:, :, 0] for batch in batches], dim=1)
        each = disagreement_sums([log_p]).each
        count = log_p.shape[1]
        nll = -log_p[:, torch.arange(count), torch.from_numpy(ids[:count])].mean(0).numpy() / LOG2
        highest, likeliest = log_p.max(-1)
        confidence, first = highest.exp().T.tolist(), likeliest.T.tolist()
        for place in range(count):
            base = {
                "condition": ensemble.condition, "state": "trained", "axis": "position", "x": place + 1,
                "n": len(models), "window": number, "token": store.readable(int(ids[place])),
                "named": ", ".join(map(store.readable, first[place])),
            }  # fmt: skip
            for metric, unit, value in (
                ("position_entropy", "bits/token", each.entropy[place]),
                ("position_nll", "bits/token", nll[place]),
                ("position_js_distance", "distance", each.js[place].mean()),
                ("position_top1_agreement", "share", each.agree[place].mean()),
            ):
                yield {**base, "metric": metric, "unit": unit, "value": float(value)}
            base |= {"metric": "position_confidence", "unit": "probability"}
            for member, value, token in zip(ensemble.seeds, confidence[place], first[place], strict=True):
                yield {**base, "member": member, "named": store.readable(token), "value": value}
