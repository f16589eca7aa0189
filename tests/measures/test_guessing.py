"""The game of hidden tokens: what its data are of, and that its rule is fair."""

import numpy as np
import pytest

from gfm_utils.ensembles import masked_windows, predictions, predictions_of
from gfm_utils.measures import along_windows
from gfm_utils.measures.counting import chosen_ngram, frequency_bits
from gfm_utils.measures.guessing import CANDIDATES, ROUNDS, among_candidates, draw_candidates, guessing_games
from gfm_utils.tokens import SPECIAL

MASK = SPECIAL.index("[MASK]")


@pytest.fixture(scope="module")
def size(smoke):
    return smoke.model_copy(update={"test_windows": 64})


@pytest.fixture(scope="module")
def games(trained, size):
    return guessing_games(trained, size)


def test_rounds_are_of_the_test_part_and_hold_what_the_players_say(trained, size, games):
    """Found again from the tokens that a round shows, and computed anew from the whole distributions."""
    for ensemble, game in zip(trained, games, strict=True):
        store, window = ensemble.store, ensemble.spec.window
        assert (game["condition"], game["kind"]) == (ensemble.condition, store.kind)
        assert len(game["rounds"]) == ROUNDS <= game["n"]
        ids = {store.readable(token): token for token in range(store.vocabulary)}
        starts = store.window_starts("test", window)
        test_part = {tuple(ids) for ids in store.windows("test", starts, window).tolist()}
        shown, positions, targets, _ = masked_windows(store, "test", window, 64, 1 / window, 42)
        p = np.concatenate([b.log_p.exp() for b in predictions(ensemble, "trained", 64, 1 / window)], axis=1)
        q = 2 ** -frequency_bits(store.counts("train"))
        ngram, order = chosen_ngram(store, window, size, 42, "both")
        for one in game["rounds"]:
            tokens, candidates = ([ids[token] for token in one[name]] for name in ("tokens", "candidates"))
            assert tuple(tokens) in test_part and len({*candidates}) == CANDIDATES
            assert candidates[one["truth"]] == tokens[one["at"]]
            seen = np.array(tokens)
            seen[one["at"]] = MASK
            (place,) = np.flatnonzero((shown == seen).all(1) & (targets[:, 0] == tokens[one["at"]]))
            assert positions[place, 0] == one["at"]
            weights = p[:, place, 0, candidates] / q[candidates]
            np.testing.assert_allclose(one["models"], weights / weights.sum(1, keepdims=True), rtol=1e-3)
            asked = seen[None], np.full((1, CANDIDATES), one["at"]), np.array([candidates])
            weights = ngram.probability(*asked, MASK, order)[0] / q[candidates]
            np.testing.assert_allclose(one["counting"], weights / weights.sum(), rtol=1e-3)


def test_a_strip_has_the_likeliest_token_of_each_member(trained, size):
    """The middle window of the test part, its tokens hidden in turn."""
    store, window = trained[0].store, trained[0].spec.window
    rows = along_windows(trained[:1], size, windows=1)
    starts = store.window_starts("test", window)
    (ids,) = store.windows("test", starts[[round((len(starts) - 1) / 2)]], window)
    seen = np.where(np.arange(window) == 9, MASK, ids)[None]
    (batch,) = predictions_of(list(trained[0].models()), seen, np.array([[9]]), ids[None, [9]], store.vocabulary)
    place = rows[rows["x"] == "10"]
    members = place[place["metric"] == "position_confidence"]
    p, likeliest = batch.log_p[:, 0, 0].exp().max(-1)
    np.testing.assert_allclose(members["value"], p, rtol=1e-5)
    assert members["named"].tolist() == list(map(store.readable, likeliest.tolist()))
    assert set(place["token"]) == {store.readable(int(ids[9]))}
    assert place["named"].iloc[0] == ", ".join(members["named"])


def test_games_depend_on_the_seed_alone(trained, size, games):
    assert guessing_games(trained[1:], size) == games[1:] != guessing_games(trained[1:], size, 43)


def test_the_rule_is_that_of_bayes():
    """Who knows the source is calibrated, saves no more than the context tells, and frequencies save nothing."""
    rng = np.random.default_rng(0)
    source = rng.dirichlet(np.full(30, 0.3), 6)  # tokens by context
    q = source.mean(0)
    contexts = rng.integers(0, 6, 40_000)
    truth = (rng.random((40_000, 1)) > source[contexts].cumsum(1)).sum(1)
    kept, candidates = draw_candidates(truth, q, rng)
    true = candidates == truth[kept, None]
    assert (true.sum(1) == 1).all() and abs(true[:, 0].mean() - 1 / CANDIDATES) < 0.01

    p = source[contexts[kept, None], candidates]
    by_rule, naive = among_candidates(p, q[candidates]), among_candidates(p, np.ones_like(p))
    surplus = {name: x[true] - (x**2).sum(1) for name, x in (("rule", by_rule), ("naive", naive))}
    error = surplus["rule"].std() / np.sqrt(len(kept))
    assert abs(surplus["rule"].mean()) < 4 * error < abs(surplus["naive"].mean())

    saved = np.log2(CANDIDATES) + np.log2(by_rule[true]).mean()
    information = (source * np.log2(source / q)).sum(1).mean()
    assert 0.3 * information < saved < information
    np.testing.assert_allclose(among_candidates(q[candidates], q[candidates]), 1 / CANDIDATES)


def test_of_four_bases_two_are_candidates():
    q = np.array([0.0] * len(SPECIAL) + [0.25] * 4)
    kept, candidates = draw_candidates(np.full(50, 6), q, np.random.default_rng(1))
    assert candidates.shape == (len(kept), 2) and 20 < len(kept) < 50 and (candidates == 6).any(1).all()
