"""Text in four letters: nothing is lost, and what reads it takes it for bases, not for a genome."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.corpora import Segment
from gfm_utils.measures.entropy import entropy_rate
from gfm_utils.profiles import profile
from gfm_utils.tokens import PARTS, prepare
from gfm_utils.tokens.transforms import BASES, BaseCode, recode

ENGLISH = "It was the best of times, it was the worst of times, it was the age of wisdom…\n"


@given(st.text(), st.text())
def test_any_text_is_read_back_whatever_the_code_was_fitted_to(read, text):
    code = BaseCode.fit([Segment("a", 0, read)])
    bases = code.encode(text)
    assert set(bases) <= set("ACGT") and len(bases) % BASES == 0
    assert code.decode(bases) == text
    cut = code.decode(bases[:-1])
    assert text.startswith(cut) and (not text or len(cut) < len(text))


def test_the_commonest_bytes_take_three_bases():
    code = BaseCode.fit([Segment("a", 0, ENGLISH)])
    assert len(code.encode(ENGLISH)) == BASES * len(ENGLISH.encode())
    unseen = BaseCode.fit([]).encode("\xff")  # bytes 0xc3 and 0xbf: ranks 195 and 191
    assert len(unseen) == BASES * 2 * (1 + 3)
    assert code.encode("it") == "GTAGCA", "another code: bump FORMAT"


def test_a_recoded_corpus_is_split_as_the_text_and_cut_as_dna(toy_text, tmp_path):
    size = profile("smoke")
    text, recoded, noisy = (
        prepare(f"{toy_text}{name}", size, tmp_path)
        for name in ("@bpe64", "+recoded@kmer4", "+recoded+noise0.3@kmer4")
    )
    assert (recoded.kind, recoded.unit, recoded.vocabulary) == ("dna", "base", 4**4 + 5)
    assert not recoded.genome and not noisy.genome and not text.genome
    code = BaseCode(tuple(recoded.about["base_code"]))
    for part in PARTS:
        for own, plain in zip(recoded.segments(part), text.segments(part), strict=True):
            letters, whole = recoded.tokenizer.decode(own), str(text.tokenizer.decode(plain))
            assert whole.startswith(code.decode(letters)) and len(code.encode(whole)) - len(letters) < 4
            assert recode(code, [Segment("a", 0, whole)])[0].text.startswith(letters)
    assert len(noisy.tokens("train")) == len(recoded.tokens("train"))
    assert np.mean(noisy.tokens("train") != recoded.tokens("train")) > 0.2


def test_its_rate_is_that_of_the_better_code(toy_text, tmp_path):
    size = profile("smoke")
    text, recoded = (
        entropy_rate(prepare(f"{toy_text}{name}", size, tmp_path)) for name in ("@bpe64", "+recoded@kmer4")
    )
    assert recoded[0] == pytest.approx(text[0] / BASES, rel=0.05) and not recoded[1]
