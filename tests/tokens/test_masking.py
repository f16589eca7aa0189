"""Masks: uniform or independent, whatever the batch; the scheme; and the masks of recorded ensembles."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.tokens import (
    choose_independently,
    choose_positions,
    corrupt,
    corrupt_where,
    evenly_spaced,
    masked_per_window,
    most_masked,
    places_of,
)
from gfm_utils.tokens.masking import RARE

WINDOWS, FEW, SCHEME = np.arange(4000), np.array([5, 0, 17]), (0.8, 0.1, 0.1)


@given(window=st.integers(8, 80), rate=st.floats(0.01, 0.9), seed=st.integers(0, 2**40), epoch=st.integers(0, 50))
def test_positions_are_distinct_ascending_and_independent_of_the_batch(window, rate, seed, epoch):
    chosen = choose_positions(FEW, window, rate, seed, epoch)
    assert chosen.shape == (3, masked_per_window(window, rate))
    assert (np.diff(chosen, axis=1) > 0).all() and chosen.min() >= 0 and chosen.max() < window
    for row, index in enumerate(FEW):
        assert (choose_positions(np.array([index]), window, rate, seed, epoch) == chosen[row]).all()


def test_positions_are_uniform_and_differ_between_seeds_epochs_and_windows():
    chosen = choose_positions(WINDOWS, 64, 0.15, seed=7)
    counts, expected = np.bincount(chosen.ravel(), minlength=64), chosen.size / 64
    # Pearson's statistic has mean 63 and standard deviation 11 for 64 equal cells
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 5 * 11
    others = [choose_positions(WINDOWS, 64, 0.15, 8), choose_positions(WINDOWS, 64, 0.15, 7, epoch=1)]
    for other in [*others, np.roll(chosen, 1, axis=0)]:
        overlap = np.mean([len(np.intersect1d(a, b)) for a, b in zip(chosen, other, strict=True)])
        assert overlap == pytest.approx(10 * 10 / 64, rel=0.1)


def test_corruption_follows_the_scheme():
    ids, positions = np.full((4000, 64), 9), choose_positions(WINDOWS, 64, 0.15, seed=7)
    shown = corrupt(ids, positions, WINDOWS, 4, (5, 261), SCHEME, seed=7)
    changed = np.take_along_axis(shown, positions, axis=1)
    np.put_along_axis(shown, positions, 9, axis=1)
    assert (ids == 9).all() and (shown == 9).all()
    assert (changed == 4).mean() == pytest.approx(0.8, abs=0.01)
    assert (changed == 9).mean() == pytest.approx(0.1 + 0.1 / 256, abs=0.01)
    random = changed[(changed != 4) & (changed != 9)]
    assert random.min() >= 5 and random.max() < 261 and len(np.unique(random)) > 250


def test_masks_are_pinned():
    """The masks of every recorded ensemble: if this fails on purpose, raise ensembles.FORMAT."""
    pinned = [[0, 4, 14, 17, 21], [0, 12, 20, 30, 31]]
    assert choose_positions(np.array([0, 1]), 32, 0.15, 42, 3).tolist() == pinned


def test_independent_masks_are_binomial_and_depend_on_nothing_but_seed_epoch_window_and_place():
    chosen = choose_independently(WINDOWS, 64, 0.15, seed=7)
    counts, expected = chosen.sum(1), 64 * 0.15
    # The mean of 4,000 counts has a standard error of 0.045, their variance (0 for a fixed number) one of 0.18.
    assert counts.mean() == pytest.approx(expected, abs=0.2)
    assert counts.var() == pytest.approx(expected * 0.85, abs=0.8)
    assert np.corrcoef(chosen[:, :-1].ravel(), chosen[:, 1:].ravel())[0, 1] == pytest.approx(0, abs=0.01)
    assert (choose_independently(FEW, 64, 0.15, 7) == chosen[FEW]).all()
    others = [choose_independently(WINDOWS, 64, 0.15, 8), choose_independently(WINDOWS, 64, 0.15, 7, epoch=1)]
    for other in [*others, np.roll(chosen, 1, axis=0)]:
        assert (chosen & other).mean() == pytest.approx(0.15**2, abs=0.002)


@pytest.mark.parametrize(("window", "rate"), [(8, 0.15), (64, 0.3), (512, 0.15), (8, 0.9)])
def test_more_tokens_than_there_is_room_for_are_rare(window, rate):
    def above(most):
        return sum(comb(window, k) * rate**k * (1 - rate) ** (window - k) for k in range(most + 1, window + 1))

    most = most_masked(window, rate)
    assert above(most) <= RARE < above(most - 1) and window * rate < most <= window


def test_places_of_chosen_tokens_are_ascending_and_all_there():
    chosen = np.array([[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]], bool)
    places, there = places_of(chosen, 3)
    assert places.tolist() == [[1, 3, 0], [0, 0, 0], [0, 4, 0]]
    assert there.tolist() == [[True, True, False], [False] * 3, [True, True, False]]
    places, there = places_of(chosen, 1)  # one window has more: there is room for all tokens
    assert places.shape == (3, 5) and there.sum() == 4 and places[0, :2].tolist() == [1, 3]


def test_where_masks_are_independent_so_is_what_is_shown():
    ids, chosen = np.full((4000, 64), 9), choose_independently(WINDOWS, 64, 0.15, seed=7)
    shown = corrupt_where(ids, chosen, WINDOWS, 4, (0, 261), SCHEME, seed=7)
    assert (shown[~chosen] == 9).all() and (ids == 9).all()
    changed = shown[chosen]
    assert (changed == 4).mean() == pytest.approx(0.8 + 0.1 / 261, abs=0.01)
    drawn = np.bincount(changed, minlength=261)[np.setdiff1d(np.arange(261), [4, 9])]
    assert drawn[:4].sum() > 0  # special tokens are drawn like others
    assert ((drawn - drawn.mean()) ** 2 / drawn.mean()).sum() < 258 + 5 * (2 * 258) ** 0.5
    whole = np.ones((3, 64), bool)  # more tokens chosen: what befalls one is the same
    again = corrupt_where(ids[:3], whole, FEW, 4, (0, 261), SCHEME, seed=7)
    assert (again[chosen[FEW]] == shown[FEW][chosen[FEW]]).all()


def test_evenly_spaced_places_reach_both_ends():
    assert evenly_spaced(10, 3).tolist() == [0, 4, 9] and evenly_spaced(4, 9).tolist() == [0, 1, 2, 3]
    assert evenly_spaced(0, 3).tolist() == [] and evenly_spaced(7, 1).tolist() == [0]
    assert set(np.diff(evenly_spaced(1000, 37))) == {27, 28}
