from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfm_utils.corpora.cleaning import clean_sequence, clean_text
from gfm_utils.corpora.readers import plain


@given(st.text(alphabet="ACGTUacgtuNnRYé-", max_size=60))
def test_dna_segments_agree_with_the_source_base_for_base(sequence):
    counts = Counter()
    segments = clean_sequence("r", sequence, counts)
    rebuilt = ["."] * len(sequence)
    for segment in segments:
        assert segment.text
        rebuilt[segment.start : segment.start + len(segment)] = segment.text
        source = sequence[segment.start : segment.start + len(segment)]
        assert segment.soft_mask.tolist() == [base.islower() for base in source]
    expected = [b.upper().replace("U", "T") if b in "ACGTUacgtu" else "." for b in sequence]
    assert rebuilt == expected
    masked = sum(base in "acgtu" for base in sequence)
    assert (counts["cut"], counts["soft_masked"]) == (rebuilt.count("."), masked)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  a \t b\u00a0c  ", "a b c"),
        ("one\r\n\r\n  two \n\n\nthree", "one\ntwo\nthree"),
        ("schÃ¶n donâ€™t", "schön don’t"),
        ("a\x00b\x07c\x85d\u200b\ufeffe", "abc…de"),
        ("F\ufffd\ufffd\ufffdin", "F\ufffdin"),
        ("caf&eacute; &amp; bar", "café & bar"),
        ("“kept” – as is", "“kept” – as is"),
        (" \n ", ""),
    ],
)
def test_text(raw, clean):
    assert clean_text(raw)[0] == clean
    assert clean_text(clean) == (clean, False)
    assert clean_text("plain  text\n\n")[1] is False and clean_text("schÃ¶n")[1] is True


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ('on DeVos"?highly', 'on DeVos" highly'),
        ('case."?Trump', 'case." Trump'),
        ('didn"t, I"m, we"ve', "didn't, I'm, we've"),
        ('the "\ufffd\u00a0article', 'the " article'),
        ('is this "it"? Yes', 'is this "it"? Yes'),
        ('a "word" here', 'a "word" here'),
    ],
)
def test_quotes_that_the_news_lost(raw, clean):
    assert clean_text(raw, ("lost-quotes",))[0] == clean


def test_wiki_markup_goes_and_prose_stays():
    markup = (
        "{{Infobox|a={{b}}}}'''Bold''' and ''italic'' [[link|shown]] [[plain]] [http://x.y site]"
        "<ref name=a>no</ref><!-- no -->&nbsp;end<math>x</math>\n== Heading ==\n* item\n"
        "{| class=x\n| cell\n|}[[File:a.png|no [[b]]]][[Category:C]][[de:Deutsch]]<ref>open"
    )
    text = clean_text(plain(markup))[0]
    assert text == "Bold and italic shown plain site end\nHeading\nitem\nopen"
