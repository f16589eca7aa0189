"""Models that other code saved: plain ``save_pretrained`` of BERT, with and without a tokenizer beside it."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertForMaskedLM, set_seed

from gfm_utils import cli
from gfm_utils.analyses import analyse_models, contextual_embeddings, static_embeddings
from gfm_utils.analyses.alignment import procrustes
from gfm_utils.analyses.checkpoints import members_of
from gfm_utils.corpora import load
from gfm_utils.errors import GfmError
from gfm_utils.tables import COLUMNS


def save_bert(path, vocabulary=64, layers=2, seed=0):
    set_seed(seed)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertForMaskedLM(config).save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def berts(tmp_path_factory, trained):
    folder, store = tmp_path_factory.mktemp("berts"), trained[0].store
    paths = [save_bert(folder / f"bert-{seed}", store.vocabulary, seed=seed) for seed in range(3)]
    for path in paths:
        store.tokenizer.save_pretrained(path)
    return paths


@pytest.fixture(scope="module")
def corpus(toy_text):
    return load(str(toy_text))


def test_plain_berts_have_the_metrics_of_our_ensembles(berts, corpus, trained, smoke):
    table = analyse_models(berts, corpus, windows=32)
    assert set(table["condition"]) == {f"{corpus.name}@bert-0"} and set(table["state"]) == {"trained"}
    ours = {*static_embeddings(trained[:1])["metric"], *contextual_embeddings(trained[:1], smoke)["metric"]}
    assert set(table["metric"]) == ours
    assert set(table["member"].dropna()) == {1, 2, 3}
    assert table["value"].notna().all()


def test_static_numbers_without_corpus_and_tokenizer(tmp_path):
    paths = [save_bert(tmp_path / f"{seed}", seed=seed) for seed in (1, 2)]
    table = analyse_models(paths, only=["static"])
    first, second = (
        BertForMaskedLM.from_pretrained(path).bert.embeddings.word_embeddings.weight.detach().double().numpy()
        for path in paths
    )
    row = table[(table["metric"] == "procrustes_disparity") & (table["member"] == 1)].iloc[0]
    assert row["value"] == pytest.approx(procrustes(first, second).disparity, abs=1e-9)
    assert row["n"] == 64


def test_our_ensemble_is_its_members(trained):
    folder = trained[0].members[0].path.parent
    assert members_of([str(folder)]) == [str(member.path) for member in trained[0].members]
    table = analyse_models([str(folder)], load(trained[0].condition.rpartition("@")[0]), only=["static"])
    own = static_embeddings(trained[:1])
    ours, theirs = (
        rows[(rows["metric"] == "linear_cka") & rows["axis"].isna() & (rows["state"] == "trained")]["value"]
        for rows in (table, own)
    )
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), atol=0.05)


def test_what_cannot_be_compared_is_one_sentence(berts, corpus, trained, tmp_path):
    deep = save_bert(tmp_path / "deep", trained[0].store.vocabulary, layers=3)
    for arguments, message in (
        ({"names": berts[:1], "corpus": corpus}, "nothing to be compared with"),
        ({"names": berts}, "need something to read"),
        ({"names": berts, "only": ["fischer"]}, "unknown analysis"),
        ({"names": [*berts, save_bert(tmp_path / "wide", 75)], "corpus": corpus}, "share a vocabulary"),
        ({"names": [*berts, deep], "corpus": corpus}, "numbers of layers"),
        ({"names": [str(tmp_path / "wide")] * 2, "corpus": corpus}, "no tokenizer"),
        ({"names": [str(tmp_path)] * 2, "only": ["static"]}, "cannot be loaded"),
        ({"names": berts, "corpus": corpus, "window": 10**6}, "windows of 1000000 tokens"),
    ):
        with pytest.raises(GfmError, match=message):
            analyse_models(**arguments)


def test_pickled_weights_are_not_read(tmp_path):
    path = tmp_path / "pickled"
    save_bert(path)
    weights = path / "model.safetensors"
    torch.save(load_file(weights), path / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(GfmError, match="safetensors"):
        analyse_models([str(path)] * 2, only=["static"])


def test_the_command(berts, toy_text, tmp_path, capsys, monkeypatch):
    options = ["--corpus", str(toy_text), "--windows", "16", "--json", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["gfm", "analyse", *berts, *options])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    rows = json.loads(capsys.readouterr().out)
    assert all(set(row) == set(COLUMNS) for row in rows)
    assert {"procrustes_disparity", "effective_rank"} <= {row["metric"] for row in rows}
    assert any((tmp_path / "out").glob("*.parquet"))
