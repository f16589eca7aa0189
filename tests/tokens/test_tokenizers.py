import numpy as np
import pytest
from transformers import AutoTokenizer

from gfm_utils.corpora import Segment
from gfm_utils.errors import GfmError
from gfm_utils.tokens import SPECIAL, encode, token_lengths, train_tokenizer
from gfm_utils.tokens.tokenizers import STRETCH

RNG = np.random.default_rng(3)
DNA = [Segment("a", 0, "".join(RNG.choice(list("ACGT"), 2 * STRETCH + 137))), Segment("b", 9, "ACGTACG")]
PROTEIN = [Segment("a", 0, "".join(RNG.choice(list("ACDEFGHIKLMNPQRSTVWY"), 2 * STRETCH + 137)))]
TEXT = [Segment("a", 0, "the cat sat on the mat; naïve café — the cat!\n" * 50), Segment("b", 0, "mat cat")]


@pytest.mark.parametrize(
    ("k", "kind", "letters"), [(k, "dna", 4) for k in range(1, 9)] + [(k, "protein", 20) for k in (1, 2, 3)]
)
def test_kmer_ids_are_those_of_the_saved_tokenizer(k, kind, letters, tmp_path):
    name, segments = f"kmer{k}", DNA if kind == "dna" else PROTEIN
    train_tokenizer(name, segments, kind, 100, 0).save_pretrained(tmp_path)
    reloaded = AutoTokenizer.from_pretrained(tmp_path)
    assert len(reloaded) == letters**k + len(SPECIAL)
    short = [Segment("a", 0, segments[0].text[:400]), Segment("b", 9, segments[0].text[-7:])]
    for segment, ids in zip(short, encode(reloaded, name, short, kind), strict=True):
        whole = segment.text[: len(segment.text) // k * k]
        assert ids.dtype == np.uint16
        assert ids.tolist() == (reloaded(whole, add_special_tokens=False)["input_ids"] if whole else [])


@pytest.mark.parametrize(
    ("kind", "segments", "size"), [("dna", DNA, 64), ("text", TEXT, 42), ("protein", PROTEIN, 99)]
)
def test_bpe_round_trip_after_reload(kind, segments, size, tmp_path):
    train_tokenizer(f"bpe{size}", segments, kind, 10**6, 0).save_pretrained(tmp_path)
    reloaded = AutoTokenizer.from_pretrained(tmp_path)
    assert len(reloaded) == size + len(SPECIAL)
    assert reloaded.convert_ids_to_tokens(list(range(5))) == list(SPECIAL)
    assert reloaded.mask_token == "[MASK]" and reloaded.pad_token_id == 0
    lengths = token_lengths(reloaded, kind)
    for segment, ids in zip(segments, encode(reloaded, f"bpe{size}", segments, kind), strict=True):
        assert reloaded.decode(ids, clean_up_tokenization_spaces=False) == segment.text
        assert lengths[ids].sum() == len(segment.text)
        assert ids.min() >= len(SPECIAL)


def test_special_tokens_that_a_text_mentions_are_text(tmp_path):
    mentions = [Segment("a", 0, f"{word} and [SEP]{word} the cat sat on the mat ") for word in SPECIAL * 20]
    train_tokenizer("bpe50", mentions, "text", 10**6, 0).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for segment, ids in zip(mentions, encode(tokenizer, "bpe50", mentions, "text"), strict=True):
        assert ids.min() >= len(SPECIAL)
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == segment.text
        assert tokenizer(segment.text, add_special_tokens=False)["input_ids"] == ids.tolist()


def test_characters_between_white_space_are_merged_from_all_that_is_read(tmp_path):
    texts = [
        *TEXT,
        Segment("c", 0, "then that hat met the comet at noon, hence the tenth match on that mat.\t" * 50),
    ]
    reads: list[int] = []

    class Read:
        """Segments that are made as they are read, anew each time."""

        def __iter__(self):
            for number, segment in enumerate(texts):
                reads.append(number)
                yield segment

    learned = train_tokenizer("bpe40", Read(), "text", None, 0, "characters")
    assert reads == 2 * [0, 1, 2]
    assert train_tokenizer("bpe40", iter(texts), "text", None, 0, "characters").get_vocab() == learned.get_vocab()
    learned.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == 40 + len(SPECIAL)
    words = set(tokenizer.get_vocab()) - set(SPECIAL)
    assert {"ï", "—", "the", "cat"} <= words and not any(set(word) & set(" \nĠ") for word in words)
    lengths = token_lengths(tokenizer, "text")
    for segment, ids in zip(texts, encode(tokenizer, "bpe40", texts, "text"), strict=True):
        letters = "".join(segment.text.split())
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == letters
        assert lengths[ids].sum() == len(letters) and ids.min() >= len(SPECIAL)
    with pytest.raises(GfmError, match="no room for the different characters"):
        train_tokenizer("bpe8", texts, "text", None, 0, "characters")


def test_bpe_is_the_same_for_the_same_seed_and_reads_the_given_segments_alone():
    first, second = (train_tokenizer("bpe64", DNA, "dna", 5000, seed=1) for _ in range(2))
    assert first.get_vocab() == second.get_vocab()
    poor = train_tokenizer("bpe16", [Segment("a", 0, "ACACACAC" * 500)], "dna", 10**6, 0)
    assert not any("G" in word or "T" in word for word in list(poor.get_vocab()) if word not in SPECIAL)


def test_of_equally_common_symbols_the_first_are_kept():
    common = Segment("a", 0, "then that hat met the comet at noon hence the tenth match on that sat mat " * 900)
    rare = [chr(number) for number in range(0x100, 0x120)]
    text = [common, *(Segment(str(number), 0, letter) for number, letter in enumerate(rare))]
    tokenizer = train_tokenizer("bpe40", text, "text", None, 0, "characters")
    letters = {token for token in tokenizer.get_vocab() if len(token) == 1}
    assert letters == {*"thencamos", *rare[:11]}


@pytest.mark.parametrize(
    ("name", "kind", "segments", "message"),
    [
        ("kmer3", "text", TEXT, "'kmer3' is for DNA and protein"),
        ("kmer4", "protein", PROTEIN, "'kmer4' would have 160,000 tokens of protein, and 65,536 are the most"),
        ("bpe6", "text", TEXT, "no room for the different bytes"),
        ("bpe900", "text", TEXT, "use bpe"),
        ("kmer9", "dna", DNA, "from 1 to 8"),
        ("wordpiece", "dna", DNA, "unknown tokenizer 'wordpiece'"),
        ("bpe70000", "dna", DNA, "from 5 to 65000"),
    ],
)
def test_bad_tokenizers_say_what_to_do(name, kind, segments, message):
    with pytest.raises(GfmError, match=message):
        train_tokenizer(name, segments, kind, 10**6, 0)


def test_rare_bytes_are_unknown_and_the_refusal_names_a_size_that_works():
    rare = [Segment("a", 0, "the cat sat on the mat " * 2000 + "é")]
    with pytest.raises(GfmError, match="use bpe20 or larger"):
        train_tokenizer("bpe8", rare, "text", 10**6, 0)
    ids = encode(train_tokenizer("bpe20", rare, "text", 10**6, 0), "bpe20", rare, "text")[0]
    assert (ids == SPECIAL.index("[UNK]")).sum() == 2
