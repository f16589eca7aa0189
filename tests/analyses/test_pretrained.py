"""What is loaded, and what is refused: no pickles, no code of a model, no heads made up."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertForMaskedLM, BertModel, GPT2Config, GPT2LMHeadModel

from gfm_utils.analyses import pretrained
from gfm_utils.analyses.pretrained import load_model, load_tokenizer
from gfm_utils.errors import GfmError

CONFIG = BertConfig(
    vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
)


@pytest.fixture
def bert(tmp_path):
    BertForMaskedLM(CONFIG).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def pickled(path):
    weights = path / "model.safetensors"
    torch.save(load_file(weights), path / "pytorch_model.bin")
    weights.unlink()


def in_hub_cache(hub, name, folder):
    """A folder laid out as the hub's cache has it after a download."""
    commit, place = "0" * 40, hub / f"models--{name.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    (place / "snapshots").mkdir()
    folder.rename(place / "snapshots" / commit)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of the hub, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    real = pretrained.AutoModelForMaskedLM.from_pretrained
    asked = []

    def watched(name, **options):
        asked.append((name, options["use_safetensors"], options["trust_remote_code"]))
        return real(name, cache_dir=str(tmp_path / "hub"), **options)

    monkeypatch.setattr(pretrained.AutoModelForMaskedLM, "from_pretrained", watched)
    return tmp_path / "hub", asked


def test_weights_are_those_that_were_saved_in_float32(bert):
    saved = BertForMaskedLM.from_pretrained(bert)
    saved.half().save_pretrained(bert)
    loaded = load_model(str(bert))
    assert not loaded.training and loaded.dtype == torch.float32
    for name, weight in saved.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name].cpu(), weight.float())


def test_a_name_of_the_hub_goes_to_its_loader(bert, hub):
    cache, asked = hub
    in_hub_cache(cache, "someone/bert", bert)
    assert load_model("someone/bert").config.vocab_size == 30
    assert asked == [("someone/bert", True, False)]


def test_pickles_of_the_hub_are_not_read(bert, hub):
    cache, _ = hub
    pickled(bert)
    in_hub_cache(cache, "someone/old", bert)
    with pytest.raises(GfmError, match=r"someone/old cannot be loaded .* safetensors"):
        load_model("someone/old")


def test_pickled_weights_are_not_read(bert):
    pickled(bert)
    torch.save({}, bert / "training_args.bin")
    with pytest.raises(
        GfmError, match=r"weights in pytorch_model\.bin alone, a pickle, .* is refused; give .*safet"
    ):
        load_model(str(bert))


def changed(path, **values):
    config = path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | values))


def test_damaged_weights_are_refused(bert):
    weights = bert / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(GfmError, match="cannot be loaded"):
        load_model(str(bert))


def test_code_of_a_model_is_not_run(bert):
    """Neither that of an architecture that transformers lacks, nor that beside one that it has."""
    code = {"AutoConfig": "own.OwnConfig", "AutoModelForMaskedLM": "own.OwnModel"}
    (bert / "own.py").write_text(f"open({str(bert / 'ran')!r}, 'w')\n")
    changed(bert, auto_map=code)
    assert type(load_model(str(bert))) is BertForMaskedLM
    changed(bert, model_type="own")
    with pytest.raises(GfmError, match="contains custom code") as caught:
        load_model(str(bert))
    assert "\n" not in str(caught.value) and not (bert / "ran").exists()


def test_no_weights_are_made_up(tmp_path):
    """An encoder without a head, or another architecture under a known name, would get random weights."""
    BertModel(CONFIG).save_pretrained(tmp_path / "encoder")
    with pytest.raises(GfmError, match=r"lacks \d+ weights of a BertForMaskedLM"):
        load_model(str(tmp_path / "encoder"))


def test_models_of_another_kind_are_refused(tmp_path):
    GPT2LMHeadModel(GPT2Config(vocab_size=30, n_embd=16, n_layer=1, n_head=2)).save_pretrained(tmp_path / "gpt")
    for name in (str(tmp_path / "gpt"), str(tmp_path)):
        with pytest.raises(GfmError, match="cannot be loaded as a masked language model"):
            load_model(name)


def test_a_configuration_is_no_tokenizer(bert):
    with pytest.raises(GfmError, match="no tokenizer"):
        load_tokenizer(str(bert))
