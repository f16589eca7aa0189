import numpy as np
import pytest

from gfm_utils.tokens import PARTS, Condition, prepare
from gfm_utils.tokens.conditions import TRANSFORMS
from gfm_utils.tokens.transforms import FUNCTIONS


def test_a_transform_is_part_of_the_name_of_a_condition():
    found = Condition.parse("news+shuffle@bpe256")
    assert (found.corpus, found.transform, found.tokenizer) == ("news", "shuffle", "bpe256")
    assert str(found) == "news+shuffle@bpe256" and str(found.transformed(None)) == "news@bpe256"
    assert Condition.parse("my+file.fa@kmer2") == Condition("my+file.fa", "kmer2")
    assert set(FUNCTIONS) == set(TRANSFORMS)


@pytest.mark.parametrize("tokenizer", ["kmer2", "bpe40"])
def test_shuffled_tokens_are_the_same_tokens_in_another_order(toy_fasta, smoke, tmp_path, tokenizer):
    plain = prepare(f"{toy_fasta}@{tokenizer}", smoke, tmp_path)
    mixed = prepare(f"{toy_fasta}+shuffle@{tokenizer}", smoke, tmp_path)
    again = prepare(f"{toy_fasta}+shuffle@{tokenizer}", smoke, tmp_path)
    assert mixed.condition == f"{toy_fasta}+shuffle@{tokenizer}" and mixed.path == again.path != plain.path
    assert mixed.about["key"]["of"] == plain.about["key"] and mixed.kind == plain.kind
    assert mixed.tokenizer.get_vocab() == plain.tokenizer.get_vocab()
    for part in PARTS:
        np.testing.assert_array_equal(mixed.counts(part), plain.counts(part))
        assert (mixed.tokens(part) != plain.tokens(part)).mean() > 0.5
        lengths = [len(segment) for segment in mixed.segments(part)]
        assert lengths == [len(segment) for segment in plain.segments(part)]
    other = prepare(f"{toy_fasta}+shuffle@{tokenizer}", smoke, tmp_path, seed=1)
    assert other.path != mixed.path
