"""What models read: windows, lengths of tokens, seeded masks, and the frequencies of the rest."""

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from gfm_utils.corpora import Corpus, Segment, load
from gfm_utils.errors import GfmError
from gfm_utils.measures.pretrained import special_ids
from gfm_utils.measures.reading import read
from gfm_utils.tokens import SPECIAL


class Slow:
    """A tokenizer that does not say where tokens begin."""

    is_fast = False

    def __init__(self, fast):
        self.fast = fast

    def __getattr__(self, name):
        return getattr(self.fast, name)

    def __call__(self, texts, return_offsets_mapping=False, **options):
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
    assert reading.ids.shape == (10, 60) and (reading.windows["length"] == 3).all()
    whole = sum(len(segment) // 3 // 60 * 60 for segment in genome.segments)
    assert reading.counts.sum() == whole and reading.aside.sum() == whole - 600
    assert len(reading.counts) == len(codons)


def test_text_lengths_add_up_to_the_characters(toy_text, trained):
    corpus, tokenizer = load(str(toy_text)), trained[0].store.tokenizer
    words = [
        *SPECIAL,
        *"etaoinshrdlu",
        *(f"##{letter}" for letter in "etaoinshrdlu"),
    ]  # others make a word unknown
    vocabulary = {word: place for place, word in enumerate(words)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    for one in (tokenizer, PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]")):
        reading = read(corpus, one, 1, 10**9)  # every second token: its characters, with the white space after it
        tokens = sum(len(one(segment.text, add_special_tokens=False)["input_ids"]) for segment in corpus.segments)
        assert len(reading.ids) == (tokens + 1) // 2 and reading.counts.sum() == tokens
        assert reading.windows["length"].mean() == pytest.approx(corpus.symbols / tokens, rel=0.02)


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
    np.testing.assert_array_equal(slow.windows, fast.windows)
    words = codons.convert_ids_to_tokens(fast.ids.ravel().tolist())
    strong = [(word.count("G") + word.count("C")) / 3 for word in words]
    np.testing.assert_allclose(fast.windows["strong"].ravel(), strong)
    bands = fast.bands(fast.hidden(0.15, 0))
    assert set(bands) == {"token_frequency", "gc", "soft_masked"}
    everywhere = np.concatenate([segment.soft_mask for segment in genome.segments]).mean()
    assert read(genome, codons, 60, 10**6).windows["soft"].mean() == pytest.approx(everywhere, abs=0.02)


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


PROSE = "a model of some words tells more words than it was told and <MASK> is none of them; "


def written(kind, *texts):
    """A corpus of the given records."""
    segments = [Segment(str(number), 0, text) for number, text in enumerate(texts)]
    return Corpus("one", kind, segments, "checksum", "", "", "here")


def test_six_mers_have_their_token_in_front(six_mers):
    """4,105 entries; the model reads ``<cls>`` and is asked for none, and no symbol or frequency counts it."""
    tokenizer, rng = six_mers, np.random.default_rng(0)
    bases = "".join(rng.choice(list("ACGT"), 6 * 15 * 12))
    reading = read(written("dna", bases), tokenizer, 16, 100)
    assert len(tokenizer) == reading.vocabulary == 4105
    assert reading.before.tolist() == [tokenizer.cls_token_id] == [3] and reading.after.size == 0
    assert reading.ids.shape == (6, 15) and reading.shown.shape == (6, 16)
    assert (reading.shown[:, 0] == 3).all() and reading.counts[3] == 0 and reading.counts.sum() == 12 * 15
    expected = [bases[begin : begin + 90] for begin in range(0, len(bases), 180)]
    assert ["".join(tokenizer.convert_ids_to_tokens(window.tolist())) for window in reading.ids] == expected
    hidden = reading.hidden(0.2, 0)
    assert hidden.positions.min() >= 1 and (hidden.targets > 3).all() and hidden.targets.shape == (6, 3)
    assert (hidden.shown[:, 0] == 3).all() and (hidden.shown == tokenizer.mask_token_id).sum() == 18
    np.testing.assert_array_equal(np.take_along_axis(reading.shown, hidden.positions, 1), hidden.targets)
    level = reading.counting("a@b", hidden)
    smoothed = (reading.aside + 1) / (reading.aside.sum() + 4105)
    np.testing.assert_allclose(level.unigram, -np.log2(smoothed[hidden.targets]))
    assert level.unit == "bits/base" and not level.ngram and (level.lengths == 6).all()


def test_soft_masked_bases_are_those_of_the_hidden_tokens(six_mers):
    """Special tokens in front move the places that a model is asked for, not those of the bases."""
    bases = "".join(np.random.default_rng(1).choice(list("ACGT"), 6 * 7 * 10))
    corpus = written("dna", bases)
    lower = np.zeros(len(bases), bool)
    lower[6 * 7 * 4 :] = True
    corpus.segments[0] = Segment("0", 0, bases, lower)
    reading = read(corpus, six_mers, 8, 100)
    hidden = reading.hidden(0.3, 0)
    soft = np.repeat(hidden.windows >= 2, hidden.positions.shape[1])  # windows 0, 2, 4, 6, 8 are read
    np.testing.assert_array_equal(reading.bands(hidden)["soft_masked"] == "repeat", soft)


@pytest.mark.parametrize(
    ("template", "asked", "before", "after"),
    [
        ("", "auto", [], []),
        ("<CLS> $A <SEP>", "auto", ["<CLS>"], ["<SEP>"]),
        ("$A <SEP>", "auto", [], ["<SEP>"]),
        ("<CLS> $A <SEP>", "none", [], []),
    ],
)
def test_the_tokenizers_own_template_is_read(template, asked, before, after, byte_pairs):
    tokenizer = byte_pairs(PROSE, template)
    reading = read(written("text", PROSE * 30), tokenizer, 12, 100, asked)
    assert tokenizer.convert_ids_to_tokens(reading.before.tolist()) == before
    assert tokenizer.convert_ids_to_tokens(reading.after.tolist()) == after
    assert reading.shown.shape[1] == 12 and reading.ids.shape[1] == 12 - len(before + after)
    hidden = reading.hidden(0.5, 0)
    ends = [place for place, there in ((0, before), (11, after)) if there]
    assert not np.isin(hidden.positions, ends).any()
    visible = np.ones(hidden.shown.shape, bool)
    np.put_along_axis(visible, hidden.positions, False, 1)
    np.testing.assert_array_equal(hidden.shown[visible], reading.shown[hidden.windows][visible])
    assert (hidden.shown[~visible] == tokenizer.mask_token_id).all()
    if len(before + after) == 2:
        with pytest.raises(GfmError, match="has no room beside 2 special ones"):
            read(written("text", PROSE * 30), tokenizer, 2, 10)


def test_special_tokens_without_a_role_are_not_hidden(byte_pairs):
    """As in a tokenizer.json alone: only the unknown token has its role there."""
    tokenizer = byte_pairs(PROSE)
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, mask_token="<MASK>")
    assert bare.all_special_ids == [4]
    assert special_ids(bare) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_a_tokenizer_that_knows_next_to_nothing_is_refused(share):
    """Lower-case letters alone: one word in twenty is known, or none."""
    made = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "c": 2, "g": 3, "t": 4, "AA": 5}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(".."), behavior="isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", mask_token="[UNK]")
    known = round(100 * share)
    text = ("AA" * known + "CG" * (100 - known)) * 10
    message = rf"knows {share:.0%} of the tokens of one \(it reads '{text[:12]}'\.\.\. as .* \.\.\.\): give the"
    with pytest.raises(GfmError, match=message):
        read(written("dna", text), tokenizer, 8, 10)
    assert read(written("dna", ("AA" * 20 + "CG" * 80) * 10), tokenizer, 8, 10).ids.shape == (10, 8)
