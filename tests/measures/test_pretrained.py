"""What is loaded, and what is refused: no pickles, no code of a model, no heads made up."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertModel,
    NystromformerConfig,
    NystromformerForMaskedLM,
    PerceiverConfig,
    PerceiverForMaskedLM,
)

from gfm_utils.errors import GfmError
from gfm_utils.measures import pretrained
from gfm_utils.measures.pretrained import check_windows, load_model, load_tokenizer, members_of

CONFIG = BertConfig(
    vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
)


@pytest.fixture
def bert(tmp_path):
    BertForMaskedLM(CONFIG).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


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


def test_pickled_weights_are_not_read(bert, hub):
    weights = bert / "model.safetensors"
    torch.save(load_file(weights), bert / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(GfmError, match=r"bert cannot be loaded .* pickled weights are refused: give"):
        load_model(str(bert))
    in_hub_cache(hub[0], "someone/old", bert)
    with pytest.raises(GfmError, match=r"someone/old cannot be loaded .* safetensors"):
        load_model("someone/old")


def changed(path, **values):
    config = path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | values))


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


def resaved(path, change):
    """A checkpoint whose weights are what ``change`` makes of them."""
    weights = path / "model.safetensors"
    save_file(change(load_file(weights)), weights, metadata={"format": "pt"})


DENSE, RELATIVE = (
    f"bert.encoder.layer.0.{name}.weight" for name in ("output.dense", "attention.self.distance_embedding")
)
ONES = ("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads")
BART = {
    **dict.fromkeys(ONES, 1), "d_model": 16, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "forced_eos_token_id": 2, "decoder_start_token_id": 2,
    "max_position_embeddings": 16,
}  # fmt: skip
HEADS = ("num_self_attends_per_block", "num_self_attention_heads", "num_cross_attention_heads")
PERCEIVER = {
    **dict.fromkeys(HEADS, 1), "d_model": 16, "d_latents": 16, "num_latents": 2, "max_position_embeddings": 8,
}  # fmt: skip


def spoiled(saved):
    saved[DENSE][0, :2] = float("inf")
    return saved


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: resaved(path, lambda saved: {f"module.{key}": value for key, value in saved.items()}),
         r"lacks 28 weights .* that a wrapper left; it has 26 others .* \(such as module\.bert\.embeddings"),
        # An encoder without a head would get random weights.
        (lambda path: BertModel(CONFIG).save_pretrained(path), r"lacks \d+ weights of a BertForMaskedLM"),
        # One of relative positions that the architecture no longer has would predict something else.
        (lambda path: resaved(path, lambda saved: {**saved, RELATIVE: torch.zeros(3, 8)}),
         rf"in its layers that .* does not use \(1, such as {RELATIVE}\)"),
        (lambda path: changed(path, hidden_size=32), r"bert\.embeddings\.LayerNorm\.bias: \(16,\), not \(32,"),
        (lambda path: resaved(path, spoiled), rf"bert has NaN or .* \(2, the first in {DENSE}\)"),
        (lambda path: BartForConditionalGeneration(BartConfig(vocab_size=30, **BART)).save_pretrained(path),
         r"\(BartForConditionalGeneration\) has an encoder and a decoder"),
        (lambda path: PerceiverForMaskedLM(PerceiverConfig(vocab_size=30, **PERCEIVER)).save_pretrained(path),
         r"\(PerceiverForMaskedLM\) has no vector for each token"),
    ],
)  # fmt: skip
def test_what_is_no_whole_masked_language_model_is_refused(bert, change, message):
    change(bert)
    with pytest.raises(GfmError, match=message):
        load_model(str(bert))


def test_weights_that_nothing_depends_on_are_passed_over(bert, tmp_path):
    old = {"bert.embeddings.position_ids": torch.zeros(1, 8), "bert.encoder.layer.0.inv_freq": torch.zeros(8)}
    resaved(bert, lambda saved: saved | old)
    BertForPreTraining(CONFIG).save_pretrained(tmp_path / "both-heads")
    assert load_model(str(bert)) and load_model(str(tmp_path / "both-heads"))


SHAPE = {
    "vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 32,
}  # fmt: skip
SEGMENTS = {"segment_means_seq_len": 32, "num_landmarks": 8, "conv_kernel_size": 3}


def test_windows_that_a_model_has_no_places_for_or_takes_apart_are_refused():
    """Nystromformer averages over segments of a fixed length: other windows mix or fail, two of half at once."""
    made = NystromformerForMaskedLM(NystromformerConfig(**SHAPE, **SEGMENTS)).eval()
    check_windows("one", made, torch.arange(96).reshape(3, 32).numpy() % 30)
    for window in (8, 16, 24, 64):
        windows = torch.arange(3 * window).reshape(3, window).numpy() % 30
        with pytest.raises(GfmError, match=f"cannot read windows of {window} tokens .* there are 32 positions"):
            check_windows("one", made, windows)


def test_answers_that_are_not_finite_are_refused(bert):
    made = load_model(str(bert))
    with torch.no_grad():
        made.cls.predictions.bias[3] = torch.finfo(torch.float32).max
        made.cls.predictions.transform.LayerNorm.weight *= 3e38
    with pytest.raises(GfmError, match="although its weights are finite"):
        check_windows("one", made, torch.arange(24).reshape(3, 8).numpy())


@pytest.mark.parametrize("name", ["/none/such", "./none", "their/seeds/1", "~/model", "their/", "https://h/model"])
def test_a_directory_that_is_not_there_is_told(name):
    with pytest.raises(GfmError, match=f"no directory {name}; give one"):
        members_of([name])


def test_names_of_the_hub_are_left_to_it(bert, hub):
    names = [str(bert), "bert-base-uncased", "mrochk/bert-90M-dna-kmer-1"]
    assert members_of(names) == names
    with pytest.raises(GfmError, match="their/seed-1 is no directory here and, on the hub, has no tokenizer"):
        load_tokenizer("their/seed-1")
