"""Tables as programs write them, read as they are meant."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gfm_utils.corpora.columns import values

from .conftest import random_text


def column(path, name=None):
    return list(values(Path(path), Path(path).suffix[1:], name, "utf-8"))


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("x.csv", "text,label\none two,a,\nthree four,b,\n"),
        ("x.csv", "text,label,\none two,a,\nthree four,b,,,\n"),
        ("x.csv", "text;label\none two;a\nthree four;b\n"),
        ("x.csv", "label;text\r\na;one two\r\nb;three four\r\n"),
        ("x.csv", "text|label\none two|a\nthree four|b\n"),
        ("x.csv", "label\ttext\na\tone two\nb\tthree four\n"),
        ("x.tsv", "label,text\na,one two\nb,three four\n"),
        ("x.csv", 'label , text\na,"one two"\n\n  \nb,three four\n'),
        ("x.csv", "\ufeff\n\nlabel,text\ra,one two\rb,three four\r"),
        ("x.csv", "words\none two\nthree four\n"),
        ("x.tsv", 'label\ttext\n1\t"one two"\n2\t"three four"\n'),
    ],
)
def test_tables(put, name, rows):
    assert column(put(name, rows)) == ["one two", "three four"]


def test_a_column_of_empty_fields_and_one_that_is_named(put):
    path = put("x.csv", "content,sequence\na,\n,b\n")
    assert column(path) == ["", "b"] and column(path, "content") == ["a", ""]
    assert column(put("y.csv", "words\na\n \nb\n")) == ["a", " ", "b"]  # of a single column a blank is a value


def test_quotes_between_tabs(put):
    """They enclose fields where the file can be read so, and are letters where it cannot."""
    enclosed = 'id\ttext\n1\t"one\n""two"" \tthree"\n2\tfour\n'
    assert column(put("a.tsv", enclosed)) == ['one\n"two" \tthree', "four"]
    literal = 'id\ttext\n1\t"one two\n2\tthree" four\n3\t"five" six\n4\t"seven\n'
    assert column(put("b.tsv", literal)) == ['"one two', 'three" four', '"five" six', '"seven']


def test_a_field_of_any_length(put):
    long = random_text(50_000)
    assert column(put("x.csv", f"text,id\n{long},1\n")) == [long]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary(2)]
)
def test_texts_of_parquet_in_any_type(tmp_path, kind):
    texts, path = ["ïa", None, "ab"] if kind == pa.string() else ["cd", None, "ab"], tmp_path / "x.parquet"
    array = pa.array(texts).cast(kind)
    encoded = [] if kind == pa.string_view() else [array.dictionary_encode()]
    for each in (array, *encoded):
        pq.write_table(pa.table({"text": each, "id": range(3)}), path)
        assert column(path) == [text or "" for text in texts]
