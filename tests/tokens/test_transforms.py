"""Controls of a condition: names, exact counts, and parts that learn nothing of each other."""

import numpy as np
import pytest

from gfm_utils.errors import GfmError
from gfm_utils.profiles import profile
from gfm_utils.tokens import PARTS, SPECIAL, Condition, prepare
from gfm_utils.tokens.transforms import Transform, transform_tokens


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("corpora"), np.random.default_rng(0)
    bases = ["".join(rng.choice(list("ACGT"), 2000, p=[0.4, 0.3, 0.2, 0.1])) for _ in range(30)]
    (folder / "a.fa").write_text("".join(f">r{i}\n{one}\n" for i, one in enumerate(bases)))
    words = [f"word{i}" for i in range(300)]
    (folder / "b.txt").write_text("\n\n".join(" ".join(rng.choice(words, 60)) + "." for _ in range(120)))
    return folder


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("noise0.25", "noise0.25"), ("noise0.250", "noise0.25"), ("noise1", "noise1"), ("markov0", "markov0"),
        ("markov12", "markov12"), ("markov4t0.50", "markov4t0.5"), ("markov4t1", "markov4"),
        ("windows16", "windows16"), ("shuffle", "shuffle"), ("dinucleotide", "dinucleotide"),
    ],
)  # fmt: skip
def test_names(text, told):
    assert str(Transform.parse(text)) == told
    parsed = Condition.parse(f"my/a+b.fa+{text}@kmer4")
    assert (parsed.corpus, parsed.transform) == ("my/a+b.fa", told)
    assert str(parsed) == f"my/a+b.fa+{told}@kmer4"


@pytest.mark.parametrize(
    "text",
    ["noise", "noise0", "noise1.5", "noise1..5", "markov", "markov13", "markov2.5", "markov4t0", "windows0",
     "windows2.5", "shuffle3", "words2", "noise0.5t2", "uniformt2"],
)  # fmt: skip
def test_wrong_numbers_are_refused(text):
    with pytest.raises(GfmError, match=r"transform .* (takes|holds)"):
        Condition.parse(f"news+{text}@bpe256")


def test_another_plus_belongs_to_the_name():
    assert Condition.parse("a+b.fa@kmer4").corpus == "a+b.fa"
    with pytest.raises(GfmError, match="unknown transform"):
        Transform.parse("noisy0.5")


LENGTHS = np.array([40, 7, 53])


def changed(name, seed=0):
    tokens = np.random.default_rng(5).integers(5, 30, 100).astype(np.uint16)
    rng = np.random.default_rng(seed)
    return tokens, transform_tokens(Transform.parse(name), tokens, LENGTHS, (5, 30), rng)


@pytest.mark.parametrize("name", ["shuffle", "noise0.3", "noise1", "windows8", "reverse"])
def test_counts_stay_and_the_seed_decides(name):
    tokens, got = changed(name)
    assert got.dtype == np.uint16 and (got != tokens).any()
    assert (np.bincount(got, minlength=30) == np.bincount(tokens, minlength=30)).all()
    assert (got == changed(name)[1]).all()
    assert name == "reverse" or (got != changed(name, 1)[1]).any()


def test_noise_leaves_the_other_tokens():
    tokens, got = changed("noise0.3")
    assert 15 < (got != tokens).sum() <= 30


def test_windows_stay_whole_and_reverse_undoes_itself():
    tokens, got = changed("windows8")
    assert {tuple(w) for w in got[:96].reshape(-1, 8)} == {tuple(w) for w in tokens[:96].reshape(-1, 8)}
    assert (got[96:] == tokens[96:]).all()
    tokens, got = changed("reverse")
    assert (np.concatenate([part[::-1] for part in np.split(got, np.cumsum(LENGTHS)[:-1])]) == tokens).all()


def test_uniform_is_uniform():
    got = transform_tokens(
        Transform.parse("uniform"), np.zeros(50_000, np.uint16), LENGTHS, (5, 30), np.random.default_rng(0)
    )
    counts = np.bincount(got, minlength=30)
    assert counts[:5].sum() == 0 and counts[5:].min() > 1800


@pytest.mark.parametrize(
    "name",
    [
        "a.fa+markov3@kmer2",
        "a.fa+dinucleotide@kmer2",
        "a.fa+markov2t0.5@bpe20",
        "b.txt+words@bpe64",
        "b.txt+markov2@bpe64",
    ],
)
def test_letters_are_transformed_before_tokenizing(name, files, tmp_path):
    condition = str(files / name)
    made = prepare(condition, profile("smoke"), tmp_path)
    plain = prepare(str(Condition.parse(condition).transformed(None)), profile("smoke"), tmp_path)
    assert made.condition == condition and made.path != plain.path
    assert made.tokenizer.get_vocab() == plain.tokenizer.get_vocab()
    for part in PARTS:
        assert made.about["parts"][part]["symbols"] == plain.about["parts"][part]["symbols"]
        assert made.tokens(part).min() >= len(SPECIAL)
        assert not np.array_equal(made.tokens(part), plain.tokens(part))
    rate = made.about.get("entropy_rate")
    assert (rate is not None) == ("markov" in name)
    again = prepare(condition, profile("smoke"), tmp_path / "again")
    assert all(np.array_equal(again.tokens(part), made.tokens(part)) for part in PARTS)


@pytest.mark.parametrize("name", ["a.fa+markov2@kmer2", "b.txt+noise0.5@bpe64", "b.txt+words@bpe64"])
def test_training_part_does_not_depend_on_the_test_part(name, files, tmp_path, monkeypatch):
    """With another test part the transformed training and validation parts are the same."""
    from gfm_utils.corpora import Segment, Split, split
    from gfm_utils.tokens import store

    def other_test(corpus, **arguments):
        made = split(corpus, **arguments)
        test = [Segment(one.record, one.start, one.text[::-1]) for one in made.test]
        return Split(made.train, made.validation, test, made.seed, made.block, made.gap)

    condition = str(files / name)
    made = prepare(condition, profile("smoke"), tmp_path / "one")
    monkeypatch.setattr(store.corpora, "split", other_test)
    other = prepare(condition, profile("smoke"), tmp_path / "two")
    assert all(np.array_equal(made.tokens(part), other.tokens(part)) for part in ("train", "validation"))


def test_words_of_dna_and_a_large_corpus_are_refused(files, tmp_path, monkeypatch):
    with pytest.raises(GfmError, match="DNA has no words"):
        prepare(str(files / "a.fa+words@kmer2"), profile("smoke"), tmp_path)
    monkeypatch.setattr("gfm_utils.tokens.store.LARGE", 1000)
    with pytest.raises(GfmError, match="needs the corpus in memory"):
        prepare(str(files / "a.fa+markov2@kmer2"), profile("smoke"), tmp_path)
