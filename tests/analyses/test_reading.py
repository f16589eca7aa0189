"""What models read: windows, lengths of tokens, seeded masks, and the frequencies of the rest."""

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from gfm_utils.analyses.reading import read
from gfm_utils.corpora import load
from gfm_utils.errors import GfmError
from gfm_utils.tokens import SPECIAL


class Slow:
    """A tokenizer that does not say where tokens begin."""

    is_fast = False

    def __init__(self, fast):
        self.fast = fast

    def __getattr__(self, name):
        return getattr(self.fast, name)

    def __call__(self, texts, return_offsets_mapping, **options):
        assert not return_offsets_mapping
        return self.fast(texts, **options)


@pytest.fixture(scope="module")
def genome(toy_fasta):
    return load(str(toy_fasta))


@pytest.fixture(scope="module")
def codons(trained):
    return trained[1].store.tokenizer


def test_windows_are_the_corpus_and_the_rest_is_counted(genome, codons):
    reading = read(genome, codons, 60, 10)
    texts = "\n".join(segment.text for segment in genome.segments)
    for ids in reading.ids:
        assert "".join(codons.convert_ids_to_tokens(ids.tolist())) in texts
    assert reading.ids.shape == (10, 60) and (reading.windows.lengths == 3).all()
    whole = sum(len(segment) // 3 // 60 * 60 for segment in genome.segments)
    assert reading.counts.sum() == whole and reading.aside.sum() == whole - 600
    assert len(reading.counts) == len(codons)


def test_text_lengths_add_up_to_the_characters(toy_text, trained):
    corpus, tokenizer = load(str(toy_text)), trained[0].store.tokenizer
    vocabulary = {word: place for place, word in enumerate([*SPECIAL, "a", "##a"])}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    for one in (tokenizer, PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]")):
        reading = read(corpus, one, 1, 10**9)  # every second token: its characters, with the white space after it
        tokens = sum(len(one(segment.text, add_special_tokens=False)["input_ids"]) for segment in corpus.segments)
        assert len(reading.ids) == (tokens + 1) // 2 and reading.counts.sum() == tokens
        assert reading.windows.lengths.mean() == pytest.approx(corpus.symbols / tokens, rel=0.02)


def test_lengths_of_byte_pairs_are_those_of_our_own_table(toy_text, trained):
    store = trained[0].store
    windows = read(load(str(toy_text)), store.tokenizer, 64, 50).windows
    np.testing.assert_array_equal(windows.lengths, store.token_lengths[windows.ids])


@pytest.mark.parametrize("fast", [True, False])
def test_special_tokens_that_a_text_mentions_are_text_to_a_tokenizer_that_takes_them_for_its_own(
    tmp_path, trained, fast
):
    path = tmp_path / "tutorial.txt"
    path.write_text("\n\n".join(f"the [MASK] token, and [PAD] beside {n}[UNK]" * 9 for n in range(40)))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(
        trained[0].store.path / "tokenizer", split_special_tokens=False
    )
    assert tokenizer("[PAD]", add_special_tokens=False)["input_ids"] == [0]
    ids = read(load(str(path)), tokenizer if fast else Slow(tokenizer), 1, 10**9).ids
    assert not np.isin(ids, [0, 2, 3, 4]).any()


def test_bases_of_tokens_know_their_letters(genome, codons):
    fast, slow = read(genome, codons, 60, 50), read(genome, Slow(codons), 60, 50)
    for name in ("ids", "lengths", "strong", "soft"):
        np.testing.assert_array_equal(getattr(slow.windows, name), getattr(fast.windows, name))
    words = codons.convert_ids_to_tokens(fast.ids.ravel().tolist())
    strong = [(word.count("G") + word.count("C")) / 3 for word in words]
    np.testing.assert_allclose(fast.windows.strong.ravel(), strong)
    bands = fast.bands(fast.hidden(0.15, 0))
    assert set(bands) == {"token_frequency", "gc", "soft_masked"}
    everywhere = np.concatenate([segment.soft_mask for segment in genome.segments]).mean()
    assert read(genome, codons, 60, 10**6).windows.soft.mean() == pytest.approx(everywhere, abs=0.02)


def test_only_ordinary_tokens_are_hidden_at_seeded_places(genome):
    """Half of the three-letter words are unknown to this tokenizer, in some windows nearly all."""
    words = [*SPECIAL, *(f"{a}{b}{c}" for a in "ACG" for b in "ACG" for c in "ACGT")]
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(".{1,3}"), behavior="isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", mask_token="[MASK]")
    reading = read(genome, tokenizer, 16, 200)
    hidden, again, other = (reading.hidden(0.5, seed) for seed in (3, 3, 4))
    assert 0 < len(hidden.windows) < len(reading.ids)
    assert not np.isin(hidden.targets, tokenizer.all_special_ids).any()
    np.testing.assert_array_equal(hidden.positions, again.positions)
    assert (hidden.positions != other.positions).any()
    original = reading.ids[hidden.windows]
    np.testing.assert_array_equal(np.take_along_axis(original, hidden.positions, 1), hidden.targets)
    changed = np.zeros(original.shape, bool)
    np.put_along_axis(changed, hidden.positions, True, 1)
    assert (hidden.shown[changed] == tokenizer.mask_token_id).all()
    np.testing.assert_array_equal(hidden.shown[~changed], original[~changed])


def test_the_level_of_frequencies_is_that_of_the_rest(genome, codons):
    reading = read(genome, codons, 60, 10)
    hidden = reading.hidden(0.15, 0)
    level = reading.counting("a@b", hidden)
    smoothed = (reading.aside + 1) / (reading.aside.sum() + len(codons))
    np.testing.assert_allclose(level.unigram, -np.log2(smoothed[hidden.targets]))
    assert level.unit == "bits/base" and not level.ngram and (level.lengths == 3).all()
    assert {row["metric"] for row in level.rows()} == {"majority_accuracy", "unigram_nll"}


def test_too_short_a_corpus_is_refused(genome, codons):
    with pytest.raises(GfmError, match="windows of 6000 tokens"):
        read(genome, codons, 6000, 10)
