"""Controls of a condition: names, exact counts, and parts that learn nothing of each other."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.corpora import split
from gfm_utils.corpora.controls import COLDEST, LONGEST
from gfm_utils.errors import GfmError
from gfm_utils.profiles import profile
from gfm_utils.tokens import PARTS, SPECIAL, Condition, prepare
from gfm_utils.tokens import store as stores
from gfm_utils.tokens.transforms import FORMAT, Transform, transform_tokens

#: Hashes of the tokens of all parts, by the number of the format.
GOLDEN = {2: {
    "a.fa+shuffle@kmer2": "71297cfe8d8ecf9f", "a.fa+noise0.25@kmer2": "d3ea2eda7591eca5",
    "a.fa+windows16@kmer2": "0f301178eaa1dcc5", "a.fa+within16@kmer2": "9f018f12480be2c5",
    "a.fa+reverse@kmer2": "49813de9d98624e8", "a.fa+uniform@kmer2": "173322b83328f901",
    "a.fa+markov3@kmer2": "27547d1fd9feb4e3", "a.fa+markov2t0.5@kmer2": "ef467f22ae42b77c",
    "a.fa+mononucleotide@kmer2": "d042c49570c4fb5a", "a.fa+dinucleotide@kmer2": "1b4b5b1d2823b034",
    "b.txt+words@bpe64": "953bc1ad2a169dd7", "b.txt+sentences@bpe64": "46bae59529467d3f",
    "b.txt+recoded@kmer2": "65414a3a4a15f2e6",
}}  # fmt: skip


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
        ("noise0.250", "noise0.25"), ("noise1", "noise1"), ("markov0", "markov0"), ("markov4t0.50", "markov4t0.5"),
        ("markov4t1", "markov4"), ("windows1000000", "windows1000000"), ("noise.1234567", "noise0.1234567"),
        ("within64", "within64"), ("recoded", "recoded"), ("markov4t0.33+noise0.30", "markov4t0.33+noise0.3"),
    ],
)  # fmt: skip
def test_names(text, told):
    parsed = Condition.parse(f"my/a+b.fa+{text}@kmer4")
    assert (parsed.corpus, parsed.transform) == ("my/a+b.fa", told)
    assert str(parsed) == f"my/a+b.fa+{told}@kmer4"


@pytest.mark.parametrize(
    "text",
    ["noise", "noise0", "noise1.5", "noise1..5", "markov", "markov13", "markov2.5", "markov4t0", "windows0",
     "within", "within0", "recoded2", "windows2.5", "windows1" + 20 * "0", "markov4t0.001", "markov4t1001",
     "shuffle3", "words2", "noise0.5t2", "uniformt2"],
)  # fmt: skip
def test_wrong_numbers_are_refused(text):
    with pytest.raises(GfmError, match=r"transform .* (takes|holds)"):
        Condition.parse(f"news+{text}@bpe256")


TEMPERATURES = st.floats(COLDEST, 1000).map(np.format_float_positional)
NAMES = st.one_of(
    st.floats(0, 1, exclude_min=True).map(lambda x: f"noise{np.format_float_positional(x)}"),
    st.integers(1, 2**53).map("windows{}".format),
    st.builds("markov{}t{}".format, st.integers(0, LONGEST), TEMPERATURES),
)


@given(NAMES)
def test_a_name_is_read_back_as_it_was_written(text):
    once = Transform.parse(text)
    assert Transform.parse(str(once)) == once and str(Transform.parse(str(once))) == str(once)


@pytest.mark.parametrize("name", GOLDEN[FORMAT])
def test_the_tokens_of_this_format_are_what_they_were(name, files, tmp_path):
    """The hashes are of what the recorded results were made with."""
    made, found = prepare(f"{files}/{name}", profile("smoke"), tmp_path), hashlib.sha256()
    for part in PARTS:
        found.update(made.tokens(part).tobytes() + str(made.about["parts"][part]).encode())
    assert found.hexdigest()[:16] == GOLDEN[FORMAT][name], "a transform changed: bump FORMAT and pin new hashes"


def test_a_corpus_that_changes_meanwhile_is_noticed(files, tmp_path, monkeypatch):
    """After the plain tokens were made, before the letters are read for a surrogate."""
    path, load = tmp_path / "a.fa", stores.load_corpus
    path.write_bytes((files / "a.fa").read_bytes())
    prepare(f"{path}@kmer2", profile("smoke"), tmp_path / "runs")

    def changed_first(source, size):
        path.write_bytes(path.read_bytes()[:-3000])
        return load(source, size)

    monkeypatch.setattr(stores, "load_corpus", changed_first)
    with pytest.raises(
        GfmError, match=r"a\.fa has changed while the tokens of '.*a\.fa\+markov2@kmer2' were made"
    ):
        prepare(f"{path}+markov2@kmer2", profile("smoke"), tmp_path / "runs")
    assert not list((tmp_path / "runs/tokens").glob("*markov2*/store.json"))


LENGTHS = np.array([40, 7, 53])


def changed(name, seed=0):
    tokens = np.random.default_rng(5).integers(5, 30, 100).astype(np.uint16)
    rng = np.random.default_rng(seed)
    return tokens, transform_tokens(Transform.parse(name), tokens, LENGTHS, (5, 30), rng)


@pytest.mark.parametrize("name", ["shuffle", "noise0.3", "noise1", "windows8", "within8", "within500", "reverse"])
def test_counts_stay_and_the_seed_decides(name):
    tokens, got = changed(name)
    assert got.dtype == np.uint16 and (got != tokens).any()
    assert (np.bincount(got, minlength=30) == np.bincount(tokens, minlength=30)).all()
    assert name == "reverse" or (got != changed(name, 1)[1]).any()
    if name == "windows8":  # stay whole
        assert {tuple(w) for w in got[:96].reshape(-1, 8)} == {tuple(w) for w in tokens[:96].reshape(-1, 8)}
        assert (got[96:] == tokens[96:]).all()
    if name == "reverse":  # undoes itself
        assert (np.concatenate([part[::-1] for part in np.split(got, np.cumsum(LENGTHS)[:-1])]) == tokens).all()


@pytest.mark.parametrize("name", ["noise0.3", "noise1", "noise0.5+noise0.3"])
def test_what_noise_has_moved_is_known(name, files, tmp_path):
    before = "+".join(["", *name.split("+")[:-1]])
    plain, noisy = (
        prepare(f"{files}/a.fa{one}@kmer2", profile("smoke"), tmp_path) for one in (before, f"+{name}")
    )
    for part in PARTS:
        moved, other = noisy.moved(part), noisy.tokens(part) != plain.tokens(part)
        assert moved.sum() == round(float(name.rpartition("noise")[2]) * len(moved))
        assert not other[~moved].any() and other[moved].mean() > 0.7
        if name == "noise0.5+noise0.3":  # the second does not choose the tokens of the first
            assert 0.3 < plain.moved(part)[moved].mean() < 0.7


@given(st.lists(st.integers(0, 90), min_size=1, max_size=6), st.integers(1, 40))
def test_what_stands_in_a_window_stays(lengths, size):
    """Windows are cut from each segment's beginning, and what is left of it is mixed by itself."""
    tokens = np.random.default_rng(sum(lengths)).integers(5, 500, sum(lengths)).astype(np.uint16)
    rng = np.random.default_rng(0)
    got = transform_tokens(Transform.parse(f"within{size}"), tokens, np.array(lengths), (5, 500), rng)
    ends = np.cumsum(lengths)[:-1]
    for before, after in zip(np.split(tokens, ends), np.split(got, ends), strict=True):
        for first in range(0, len(before), size):
            here = slice(first, first + size)
            np.testing.assert_array_equal(np.sort(after[here]), np.sort(before[here]))
    if sum(lengths) > 100 and size > 10 and max(lengths) > 20:
        assert (got != tokens).any()


@pytest.mark.parametrize(
    ("corpus", "name", "tokenizer"), [("a.fa", "markov2t0.5", "bpe20"), ("b.txt", "words", "bpe64")]
)
def test_letters_are_transformed_before_tokenizing_and_tokens_after(corpus, name, tokenizer, files, tmp_path):
    plain, made, both = (
        prepare(f"{files}/{corpus}{names}@{tokenizer}", profile("smoke"), tmp_path)
        for names in ("", f"+{name}", f"+{name}+shuffle")
    )
    assert made.condition == f"{files}/{corpus}+{name}@{tokenizer}" and made.path != plain.path
    assert made.tokenizer.get_vocab() == plain.tokenizer.get_vocab()
    assert ("entropy_rate" in made.about) == ("markov" in name) and "entropy_rate" not in both.about
    for part in PARTS:
        assert made.about["parts"][part]["symbols"] == plain.about["parts"][part]["symbols"]
        assert made.tokens(part).min() >= len(SPECIAL)
        assert not np.array_equal(made.tokens(part), plain.tokens(part))
        np.testing.assert_array_equal(np.sort(made.tokens(part)), np.sort(both.tokens(part)))


@pytest.mark.parametrize("name", ["a.fa+markov2@kmer2", "b.txt+noise0.5@bpe64", "b.txt+words@bpe64"])
def test_training_part_does_not_depend_on_the_test_part(name, files, tmp_path, monkeypatch):
    """With another test part the transformed training and validation parts are the same."""

    def other_test(corpus, **arguments):
        made = split(corpus, **arguments)
        return replace(made, test=[replace(one, text=one.text[::-1], soft_mask=None) for one in made.test])

    condition = str(files / name)
    made = prepare(condition, profile("smoke"), tmp_path / "one")
    monkeypatch.setattr(stores.corpora, "split", other_test)
    other = prepare(condition, profile("smoke"), tmp_path / "two")
    assert all(np.array_equal(made.tokens(part), other.tokens(part)) for part in ("train", "validation"))


@pytest.mark.parametrize(
    ("name", "large", "message"),
    [
        ("a.fa+words@kmer2", 10**8, "DNA has no words"),
        ("a.fa+recoded@kmer4", 10**8, "'recoded' is for text, and DNA has few letters"),
        ("b.txt+shuffle+recoded@kmer4", 10**8, "'recoded' changes letters, so it must come before all others"),
        ("a.fa+noise0.3+markov4@kmer4", 10**8, "'markov4' changes letters, so it must come before"),
        ("a.fa+markov2@kmer2", 1000, "needs the corpus in memory"),
        ("b.txt+recoded@kmer4", 1000, "needs the corpus in memory"),
    ],
)
def test_what_cannot_be_transformed_is_said(name, large, message, files, tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "LARGE", large)
    monkeypatch.setattr("gfm_utils.tokens.streaming.cores", lambda: 1)
    with pytest.raises(GfmError, match=message):
        prepare(f"{files}/{name}", profile("smoke"), tmp_path)
