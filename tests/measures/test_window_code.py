import shutil

import numpy as np
import pytest

from gfm_utils.entropy import Coder
from gfm_utils.entropy.codelength import compressed_bits
from gfm_utils.entropy.dna_mixing import REPEAT_FREE, dna_context_mixing
from gfm_utils.measures.counting import window_code
from gfm_utils.tokens import TokenStore, prepare

EVERY = np.tile(np.arange(16), (12, 1))  # all places of twelve windows of sixteen


@pytest.fixture(scope="module")
def stores(toy_text, toy_fasta, smoke, shared):
    return {"text": prepare(f"{toy_text}@bpe64", smoke, shared / "runs"),
            "kmer": prepare(f"{toy_fasta}@kmer3", smoke, shared / "runs"),
            "bpe": prepare(f"{toy_fasta}@bpe40", smoke, shared / "runs")}  # fmt: skip


def windows_of(store):
    return store.windows("test", store.window_starts("test", 16)[:12], 16)


def trained_on(store, tokens, folder):
    """The store with another training part."""
    shutil.copytree(store.path / "tokenizer", folder / "tokenizer")
    np.save(folder / "train.npy", np.asarray(tokens, np.uint16))
    size = {"tokens": len(tokens), "symbols": int(store.token_lengths[tokens].sum())}
    return TokenStore(folder, store.about | {"parts": {"train": size}})


@pytest.mark.parametrize("name", ["kmer", "bpe"])
def test_a_token_of_dna_costs_what_its_bases_do_after_the_training_part(stores, name):
    store = stores[name]
    windows = windows_of(store)
    words = store.tokenizer.convert_ids_to_tokens(list(range(store.vocabulary)))
    read = "".join(words[token] for token in (*store.tokens("train"), *windows.ravel()))
    costs = dna_context_mixing(np.array(["ACGT".index(base) for base in read]), REPEAT_FREE)
    place, expected = len(read) - sum(len(words[token]) for token in windows.ravel()), []
    for token in windows.ravel():
        expected.append(costs[place : place + len(words[token])].astype(float).sum())
        place += len(words[token])
    found = window_code(store, windows, EVERY)
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-5)
    hidden = np.random.default_rng(0).permuted(EVERY, axis=1)[:, :3]
    np.testing.assert_array_equal(window_code(store, windows, hidden), np.take_along_axis(found, hidden, axis=1))


def test_random_bases_cost_two_bits_and_a_rule_learned_in_training_nothing(stores, tmp_path):
    store, rng = stores["kmer"], np.random.default_rng(0)
    random = rng.integers(5, store.vocabulary, 20_000)
    fresh = rng.integers(5, store.vocabulary, (300, 16))
    cost = window_code(trained_on(store, random, tmp_path / "random"), fresh, np.tile(EVERY, (25, 1)))
    assert cost.mean() / 3 == pytest.approx(2.0, abs=0.03)
    rule = np.resize([7, 30, 51, 12, 44], 20_000)
    cost = window_code(trained_on(store, rule, tmp_path / "rule"), np.resize(rule, (12, 16)), EVERY)
    assert cost[0, 5:].max() < 0.1  # in the first window already
    unknown = window_code(trained_on(store, random, tmp_path / "unlike"), np.resize(rule, (12, 16)), EVERY)
    assert unknown[0].mean() > 4


def test_a_window_of_text_is_coded_by_itself_and_nothing_else_is_read(stores, tmp_path):
    store = stores["text"]
    windows = windows_of(store)
    alone = trained_on(store, windows[0], tmp_path / "alone")
    (alone.path / "train.npy").unlink()
    found = window_code(alone, windows, EVERY)
    for window, costs in zip(windows, found, strict=True):
        words = [str(store.tokenizer.decode([token])) for token in window]
        bits = compressed_bits("".join(words).encode(), Coder.PPMD)
        np.testing.assert_allclose(costs, [bits * len(word) / len("".join(words)) for word in words])
    np.testing.assert_array_equal(window_code(alone, windows[3:4], EVERY[:1]), found[3:4])
