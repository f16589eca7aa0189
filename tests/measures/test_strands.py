import importlib

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from gfm_utils.ensembles import masked_logits, train_ensembles
from gfm_utils.figures.select import value_of
from gfm_utils.measures import strand_disagreement
from gfm_utils.measures.strands import _words, base_predictions, frequency_flip, hidden_strands, reverse_complement
from gfm_utils.tokens import SPECIAL

MASK = SPECIAL.index("[MASK]")


@pytest.fixture(scope="module")
def dna(trained, toy_fasta, smoke, shared):
    """The same bases in k-mers and in BPE, two members each."""
    profile = smoke.changed(steps=2)
    return [
        trained[1],
        *train_ensembles([f"{toy_fasta}@bpe40"], profile, shared / "runs", members=2, progress=False),
    ]


@pytest.mark.parametrize("which", [0, 1], ids=["kmer", "bpe"])
def test_the_same_bases_are_hidden_on_both_strands(dna, smoke, which):
    ensemble = dna[which]
    words = _words(ensemble)
    strands = hidden_strands(ensemble, smoke.test_windows, smoke.test_mask)
    windows = ensemble.store.windows("test", ensemble.store.window_starts("test", 64), 64)
    texts = {"".join(words[t] for t in ids): ids for ids in windows}
    assert len(strands.forward) == len(strands.reverse) >= 10
    spread = 1 + strands.stretches[:, 2] - strands.stretches[:, 1]
    assert (max(spread) == 1) == (which == 0)
    for number, shown in enumerate(strands.forward):
        own = strands.stretches[strands.stretches[:, 0] == number]
        clean = next(ids for ids in texts.values() if ((ids == shown) | (shown == MASK)).all())
        assert (shown == MASK).sum() == sum(last + 1 - first for _, first, last, *_ in own)
        if which == 0:  # every stretch is a token
            assert (shown == MASK).sum() == round(smoke.test_mask * 64)
        bases = "".join(words[t] for t in clean)
        visible = "".join(
            "." * len(words[t]) if m == MASK else words[t] for t, m in zip(clean, shown, strict=True)
        )
        fast = ensemble.store.tokenizer.backend_tokenizer
        other = fast.encode(reverse_complement(bases), add_special_tokens=False).ids
        flipped = strands.reverse[number]
        back = "".join("." * len(words[t]) if m == MASK else words[t] for t, m in zip(other, flipped, strict=True))
        assert reverse_complement(back) == visible


@pytest.mark.parametrize("which", [0, 1], ids=["kmer", "bpe"])
def test_base_predictions_against_one_window_at_a_time(dna, smoke, which):
    ensemble = dna[which]
    words = _words(ensemble)
    strands = hidden_strands(ensemble, 5, smoke.test_mask)
    forward, reverse = base_predictions(ensemble, strands, "trained")
    count = len(strands.stretches)
    assert forward.shape == reverse.shape == (len(ensemble.members), 2 * count, 4)
    np.testing.assert_allclose(forward.sum(-1), 1)
    np.testing.assert_allclose(reverse.sum(-1), 1)
    model = ensemble.members[1].model()
    for number in (0, count - 1):
        window, *ends = strands.stretches[number].tolist()
        for found, ids, pair, flip in (
            (forward, strands.forward, ends[:2], False),
            (reverse, strands.reverse, ends[2:4], True),
        ):
            with torch.inference_mode():
                shown = torch.tensor(ids[window])[None]
                logits = masked_logits(model, shown, torch.tensor([pair]))[0].double()
            p = logits[:, len(SPECIAL) :].softmax(-1)
            for place, letter in ((0, 0), (1, -1)):
                expected = dict.fromkeys("ACGT", 0.0)
                for share, word in zip(p[place].tolist(), words[len(SPECIAL) :], strict=True):
                    expected[reverse_complement(word[letter]) if flip else word[letter]] += share
                row = number + (place != flip) * count
                np.testing.assert_allclose(found[1, row], list(expected.values()), atol=1e-5)


@pytest.mark.parametrize("which", [0, 1], ids=["kmer", "bpe"])
def test_frequencies_alone_tell_the_strands_apart(dna, which):
    ensemble = dna[which]
    words = _words(ensemble)
    tokens = ensemble.store.tokens("train")
    begin, end = (np.zeros(4), np.zeros(4))
    for token in tokens:
        begin["ACGT".index(words[token][0])] += 1
        end["ACGT".index(reverse_complement(words[token][-1]))] += 1
    expected = jensenshannon(begin, end, base=2)
    assert frequency_flip(ensemble) == pytest.approx(expected, abs=1e-9)


def test_a_model_that_sees_no_strand_is_at_distance_zero(dna, smoke, monkeypatch):
    """Logits that depend on how often a token and its reverse complement are visible, not on where."""
    ensemble = dna[0]
    words, vocabulary = _words(ensemble), ensemble.store.vocabulary
    renamed = torch.tensor(
        [words.index(reverse_complement(word)) if word else at for at, word in enumerate(words)]
    )

    def symmetric(model, ids, positions):
        seen = torch.nn.functional.one_hot(ids, vocabulary).sum(1).float()
        return 0.3 * (seen + seen[:, renamed])[:, None].expand(-1, positions.shape[1], -1).clone()

    def skewed(model, ids, positions):
        return symmetric(model, ids, positions) + torch.linspace(0, 3, vocabulary)

    for logits, zero in ((symmetric, True), (skewed, False)):
        monkeypatch.setattr(importlib.import_module("gfm_utils.ensembles.predictions"), "masked_logits", logits)
        table = strand_disagreement([ensemble], smoke)
        value = value_of(table, ensemble.condition, "strand_js_distance", state="trained")["value"]
        assert value < 1e-6 if zero else value > 0.1
        assert value_of(table, ensemble.condition, "member_js_distance", state="trained")["value"] < 1e-7
