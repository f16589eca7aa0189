"""Models that other code saved: plain ``save_pretrained``, with and without a tokenizer beside them."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    set_seed,
)

from gfm_utils import cli
from gfm_utils.analyses import (
    analyse_models,
    contextual_embeddings,
    disagreement,
    output_distributions,
    static_embeddings,
)
from gfm_utils.analyses.alignment import procrustes
from gfm_utils.analyses.checkpoints import ANALYSES
from gfm_utils.analyses.pretrained import members_of
from gfm_utils.analyses.reading import read
from gfm_utils.corpora import load
from gfm_utils.errors import GfmError
from gfm_utils.figures.select import value_of
from gfm_utils.tables import COLUMNS
from gfm_utils.tokens import SPECIAL

SHAPE = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
FAMILIES = {
    "bert": (BertConfig, BertForMaskedLM),
    "roberta": (RobertaConfig, RobertaForMaskedLM),
    "modernbert": (ModernBertConfig, ModernBertForMaskedLM),
}


def save_model(path, vocabulary=64, layers=2, seed=0, family="bert", **options):
    set_seed(seed)
    config, model = FAMILIES[family]
    special = dict.fromkeys(("pad_token_id", "bos_token_id", "cls_token_id", "eos_token_id", "sep_token_id"), 0)
    options = {**SHAPE, "num_hidden_layers": layers, **special, **options}
    model(config(vocab_size=vocabulary, **options)).save_pretrained(path)
    return str(path)


def word_pieces(corpus):
    """A lower-casing WordPiece tokenizer, as BERT's: whole words of the corpus, else letters."""
    letters = sorted({letter for segment in corpus.segments for letter in segment.text.lower() if letter != " "})
    words = sorted({word for segment in corpus.segments for word in segment.text.lower().split()})[:40]
    vocabulary = dict.fromkeys([*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *words])
    made = Tokenizer(models.WordPiece({word: place for place, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    roles = {token[1:-1].lower() + "_token": token for token in SPECIAL}
    return PreTrainedTokenizerFast(tokenizer_object=made, **roles)


def save_members(folder, tokenizer, count=3, padding=0, family="bert", **options):
    paths = [
        save_model(folder / f"{family}-{seed}", len(tokenizer) + padding, seed=seed, family=family, **options)
        for seed in range(count)
    ]
    for path in paths:
        tokenizer.save_pretrained(path)
    return paths


@pytest.fixture(scope="module")
def corpus(toy_text):
    return load(str(toy_text))


@pytest.fixture(scope="module")
def genome(toy_fasta):
    return load(str(toy_fasta))


@pytest.fixture(scope="module")
def berts(tmp_path_factory, corpus):
    return save_members(tmp_path_factory.mktemp("berts"), word_pieces(corpus), padding=7)


@pytest.fixture(scope="module")
def tables_of_berts(berts, corpus):
    return analyse_models(berts, corpus, windows=32)


def test_plain_berts_have_the_metrics_of_our_ensembles(tables_of_berts, corpus, trained, smoke):
    ours = {
        "predictions": output_distributions(trained[:1], smoke),
        "disagreement": disagreement(trained[:1], smoke),
        "static_embeddings": static_embeddings(trained[:1]),
        "contextual_embeddings": contextual_embeddings(trained[:1], smoke),
    }
    fisher = {"fisher_trace", "fisher_share"}  # of the chapter's forms the first, for people's own models
    assert set(tables_of_berts) == {*ours, "fisher"}
    for name, table in tables_of_berts.items():
        assert set(table["condition"]) == {f"{corpus.name}@bert-0"}
        assert set(table["state"].dropna()) == {"trained"}
        assert set(table["member"].dropna()) <= {1, 2, 3} and table["value"].notna().all()
        expected = set(ours[name]["metric"]) if name in ours else fisher
        expected = expected - {"symbols_per_token"}  # of our stores
        assert set(table["metric"]) == {metric for metric in expected if "ngram" not in metric}


def test_predictions_are_over_the_tokenizers_tokens_whatever_the_padding(tables_of_berts, berts, corpus):
    table, tokenizer = tables_of_berts["predictions"], word_pieces(corpus)
    name = f"{corpus.name}@bert-0"
    reading = read(corpus, tokenizer, 64, 32)
    hidden = reading.hidden(0.15, 42)
    model = BertForMaskedLM.from_pretrained(berts[1]).eval().double()
    assert model.config.vocab_size == len(tokenizer) + 7
    losses, entropies = [], []
    with torch.no_grad():
        for shown, places, truth in zip(hidden.shown, hidden.positions, hidden.targets, strict=True):
            logits = model(input_ids=torch.tensor(shown)[None]).logits[0, places, : len(tokenizer)].numpy()
            p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
            losses += [-np.log2(row[token]) for row, token in zip(p, truth, strict=True)]
            entropies += [-(row * np.log2(row)).sum() for row in p]
    second = table[(table["member"] == 2) & table["axis"].isna() & (table["unit"] == "bits/token")]
    for metric, expected in (("nll", losses), ("output_entropy", entropies)):
        assert second[second["metric"] == metric]["value"].item() == pytest.approx(np.mean(expected), abs=1e-5)
    kl = value_of(table, name, "kl_from_uniform", state="trained")["value"]
    entropy = value_of(table, name, "output_entropy", state="trained", unit="bits/token")["value"]
    assert kl + entropy == pytest.approx(np.log2(len(tokenizer)))
    assert value_of(table, name, "unigram_nll", unit="bits/token")["n"] == hidden.targets.size


def test_masks_are_seeded_and_analyses_see_the_same_ones(berts, corpus):
    first, second, other = (
        analyse_models(berts, corpus, only=["disagreement"], windows=16, seed=seed)["disagreement"]
        for seed in (1, 1, 2)
    )
    assert first.equals(second) and not first["value"].equals(other["value"])


@pytest.mark.parametrize("family", ["roberta", "modernbert"])
def test_other_families_on_dna_by_k_mers(family, trained, genome, tmp_path):
    tokenizer = trained[1].store.tokenizer
    paths = save_members(tmp_path, tokenizer, count=2, padding=3, family=family)
    found = analyse_models(paths, genome, windows=16, only=["predictions", "disagreement", "contextual"])
    name = f"{genome.name}@{family}-0"
    bits, per_base = (
        value_of(found["predictions"], name, "nll", state="trained", unit=unit)["value"]
        for unit in ("bits/token", "bits/base")
    )
    assert per_base == pytest.approx(bits / 3) and 1 < bits < 20
    assert {"token_frequency", "output_entropy", "gc", "soft_masked"} <= set(
        found["disagreement"]["axis"].dropna()
    )
    layers = found["contextual_embeddings"]
    assert set(layers.loc[layers["axis"] == "layer", "x"]) == {"embeddings", "encoder.0", "encoder.1"}


def test_identical_models_agree(berts, corpus):
    table = analyse_models([berts[0]] * 3, corpus, only=["disagreement"], windows=8)["disagreement"]
    name = f"{corpus.name}@bert-0"
    for metric, value in (("js_distance", 0), ("mutual_information", 0), ("top1_agreement", 1)):
        assert value_of(table, name, metric, state="trained")["value"] == pytest.approx(value, abs=1e-6)
    assert value_of(table, name, "js_distance_matched_null", state="trained")["value"] > 0


def test_one_model_has_predictions_and_fisher_information_without_intervals(berts, corpus):
    one = analyse_models(berts[:1], corpus, windows=8)
    assert set(one) == {"predictions", "fisher"}
    means = one["fisher"][one["fisher"]["member"].isna()]
    assert means["low"].isna().all() and means["value"].notna().all()
    alone = analyse_models(berts[:1], corpus, only=["fisher"], windows=8)["fisher"]
    pd.testing.assert_frame_equal(alone, one["fisher"])


def test_static_numbers_without_corpus_and_tokenizer(tmp_path):
    paths = [save_model(tmp_path / f"{seed}", seed=seed) for seed in (1, 2)]
    found = analyse_models(paths)
    assert set(found) == {"static_embeddings"}
    table = found["static_embeddings"]
    first, second = (
        BertForMaskedLM.from_pretrained(path).bert.embeddings.word_embeddings.weight.detach().double().numpy()
        for path in paths
    )
    row = table[(table["metric"] == "procrustes_disparity") & (table["member"] == 1)].iloc[0]
    assert row["value"] == pytest.approx(procrustes(first, second).disparity, abs=1e-9)
    assert row["n"] == 64


def test_our_ensemble_is_its_members(trained, smoke):
    folder = trained[0].members[0].path.parent
    assert members_of([str(folder)]) == [str(member.path) for member in trained[0].members]
    corpus = load(trained[0].condition.rpartition("@")[0])
    found = analyse_models([str(folder)], corpus, only=["static", "predictions"], windows=32)
    table, own = found["static_embeddings"], static_embeddings(trained[:1])
    ours, theirs = (
        rows[(rows["metric"] == "linear_cka") & rows["axis"].isna() & (rows["state"] == "trained")]["value"]
        for rows in (table, own)
    )
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), atol=0.05)
    # the same models, other windows of the same source, and other parts that the frequencies come from
    predicted, name = found["predictions"], found["predictions"]["condition"].iloc[0]
    own = output_distributions(trained[:1], smoke)
    for metric, where in (("nll", {"state": "trained"}), ("unigram_nll", {})):
        theirs = value_of(own, trained[0].condition, metric, unit="bits/token", **where)["value"]
        ours = value_of(predicted, name, metric, unit="bits/token", **where)["value"]
        assert ours == pytest.approx(theirs, rel=0.06), metric


def test_what_cannot_be_compared_is_one_sentence(berts, corpus, genome, trained, tmp_path):
    pieces = word_pieces(corpus)
    deep = save_members(tmp_path / "deep", pieces, count=1, padding=7, layers=3)[0]
    other = save_members(tmp_path / "other", trained[0].store.tokenizer, count=1)[0]
    mute = save_members(tmp_path / "mute", pieces, count=2, padding=7)
    pieces.mask_token = None
    for path in mute:
        pieces.save_pretrained(path)
    dna = save_members(tmp_path / "dna", trained[1].store.tokenizer, count=2)
    for arguments, message in (
        ({"names": berts[:1], "corpus": corpus, "only": ["disagreement"]}, "nothing to be compared with"),
        ({"names": berts[:1]}, "nothing to be compared with"),
        ({"names": berts, "only": ["predictions"]}, "need something to read"),
        ({"names": berts, "only": ["fischer"]}, "unknown analysis"),
        ({"names": [*berts, save_model(tmp_path / "wide", 999)], "corpus": corpus}, "share a vocabulary"),
        ({"names": [berts[0], other], "corpus": corpus}, "another tokenizer"),
        ({"names": [*berts, deep], "corpus": corpus, "only": ["contextual"]}, "numbers of layers"),
        ({"names": [str(tmp_path / "wide")] * 2, "corpus": corpus}, "no tokenizer"),
        ({"names": berts, "corpus": corpus, "window": 10**6}, "windows of 1000000 tokens"),
        ({"names": berts, "corpus": corpus, "window": 600}, "reads 512 tokens at most"),
        ({"names": mute, "corpus": corpus, "only": ["predictions"]}, "no mask token"),
        ({"names": dna, "corpus": corpus, "only": ["disagreement"]}, "the tokenizer knows .* of the tokens"),
    ):
        with pytest.raises(GfmError, match=message) as caught:
            analyse_models(**arguments)
        assert "\n" not in str(caught.value)


def test_the_command_writes_a_table_a_chapter_and_a_report(berts, toy_text, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    options = ["--corpus", str(toy_text), "--windows", "16", "--json", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["gfm", "analyse", *berts, *options])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    assert all(set(row) == set(COLUMNS) for row in rows)
    assert {"nll", "js_distance", "procrustes_disparity", "effective_rank"} <= {row["metric"] for row in rows}
    assert {path.stem for path in out.glob("*.parquet")} == {analysis.chapter for analysis in ANALYSES.values()}
    assert json.loads((out / "provenance.json").read_text())["configuration"]["models"] == berts
    assert "No untrained members" in printed.err and (out / "report.html").is_file()


def test_without_a_report_nothing_of_the_book_is_loaded(tmp_path):
    """A machine that analyses many models has neither the time nor the memory for what makes pages."""
    paths = [save_model(tmp_path / f"{seed}", seed=seed) for seed in (1, 2)]
    script = (
        "import sys; from gfm_utils import cli; cli.app(sys.argv[1:], standalone_mode=False); "
        "made = ('gfm_utils.book', 'gfm_utils.figures', 'altair', 'papermill', 'sphinx'); "
        "sys.exit(', '.join(name for name in sys.modules if name.startswith(made)) or 0)"
    )
    command = [sys.executable, "-c", script, "analyse", *paths, "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "procrustes_disparity" in {row["metric"] for row in json.loads(found.stdout)}
