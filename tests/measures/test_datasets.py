import numpy as np
import pytest

from gfm_utils import corpora
from gfm_utils.figures.select import value_of
from gfm_utils.measures import corpus_entropies, corpus_table, token_table


def test_parts_leaks_and_sizes(toy_text, toy_fasta, smoke):
    found = [corpora.load(str(path)) for path in (toy_text, toy_fasta)]
    table = corpus_table(found, smoke)
    for corpus in found:
        assert value_of(table, corpus.name, "symbols")["value"] == corpus.symbols
        split = corpora.split(corpus, seed=42, max_symbols=smoke.max_symbols)
        for part, segments in split.parts().items():
            row = value_of(table, corpus.name, "part_symbols", axis="part", x=part)
            assert row["value"] == sum(map(len, segments))
    dna = set(table.loc[table["condition"] == found[1].name, "metric"])
    assert {"leaked_windows", "leaked_windows_reverse"} <= dna
    assert "leaked_windows_reverse" not in set(table.loc[table["condition"] == found[0].name, "metric"])


def test_tokens(trained):
    table = token_table([ensemble.store for ensemble in trained])
    dna = trained[1].condition
    assert value_of(table, dna, "symbols_per_token")["value"] == 3  # the rest of a record is in no token
    assert value_of(table, dna, "vocabulary_used")["value"] == 1
    ranks = table[(table["metric"] == "token_frequency") & (table["condition"] == dna)]
    assert (np.diff(ranks["value"]) <= 0).all()
    counts = np.sort(trained[1].store.counts("train"))[::-1]
    assert ranks["value"].iloc[0] == pytest.approx(counts[0] / counts.sum())


def test_entropy_per_token_and_per_symbol_are_the_same_bits(trained, smoke):
    found = [corpora.load(ensemble.condition.rpartition("@")[0]) for ensemble in trained]
    table, _ = corpus_entropies(found, [ensemble.store for ensemble in trained], smoke, progress=False)
    for ensemble in trained:
        own = table[(table["condition"] == ensemble.condition) & (table["metric"] == "unigram_entropy")]
        own = own[own["estimator"] == "miller_madow"].set_index("unit")["value"]
        part = ensemble.store.about["parts"]["train"]
        per_token = part["symbols"] / part["tokens"]
        assert own["bits/token"] == pytest.approx(own[f"bits/{ensemble.store.unit}"] * per_token)
        assert own["bits/token"] <= np.log2(ensemble.spec.vocabulary)
