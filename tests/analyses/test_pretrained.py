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
    GPT2Config,
    GPT2LMHeadModel,
    NystromformerConfig,
    NystromformerForMaskedLM,
    PerceiverConfig,
    PerceiverForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
    RoFormerConfig,
    RoFormerForMaskedLM,
)

from gfm_utils.analyses import pretrained
from gfm_utils.analyses.pretrained import check_windows, load_model, load_tokenizer, longest, members_of
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


def resaved(path, change):
    """A checkpoint whose weights are what ``change`` makes of them."""
    weights = path / "model.safetensors"
    save_file(change(load_file(weights)), weights, metadata={"format": "pt"})


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model."])
def test_names_that_a_wrapper_leaves_are_told(bert, prefix, capfd):
    resaved(bert, lambda saved: {prefix + key: value for key, value in saved.items()})
    with pytest.raises(GfmError) as caught:
        load_model(str(bert))
    key = f"{prefix}bert.embeddings.LayerNorm.bias"
    message = str(caught.value)
    assert f"does not know (26, such as {key}): '{prefix}' in front" in message
    assert f"model.{prefix}save_pretrained" in message and "\n" not in message
    assert capfd.readouterr() == ("", "")  # nor does transformers print its list of names


def test_weights_that_are_not_read_are_told(bert, tmp_path):
    """An encoder of relative positions that the architecture no longer has would predict something else."""
    own = "bert.encoder.layer.0.attention.self.distance_embedding.weight"
    resaved(bert, lambda saved: {**saved, own: torch.zeros(3, 8)})
    with pytest.raises(GfmError, match=rf"in its layers that .* does not use \(1, such as {own}\)"):
        load_model(str(bert))
    old = {"bert.embeddings.position_ids": torch.zeros(1, 8), "bert.encoder.layer.0.inv_freq": torch.zeros(8)}
    resaved(bert, lambda saved: {key: value for key, value in saved.items() if key != own} | old)
    assert load_model(str(bert))
    BertForPreTraining(CONFIG).save_pretrained(tmp_path / "both-heads")
    assert load_model(str(tmp_path / "both-heads"))


def test_a_configuration_of_another_width_is_refused(bert):
    changed(bert, hidden_size=32)
    with pytest.raises(GfmError, match=r"such as bert\.embeddings\.LayerNorm\.bias: \(16,\), not \(32,\)"):
        load_model(str(bert))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(bert, value):
    broken = "bert.encoder.layer.0.output.dense.weight"

    def spoil(saved):
        saved[broken][0, :2] = value
        return saved

    resaved(bert, spoil)
    with pytest.raises(GfmError, match=rf"bert has NaN or infinite numbers .* \(2, the first in {broken}\)"):
        load_model(str(bert))


def test_a_model_with_a_decoder_is_refused(tmp_path):
    shape = dict.fromkeys(("encoder_layers", "decoder_layers", "encoder_attention_heads"), 1)
    shape |= {"d_model": 16, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "decoder_attention_heads": 1}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "forced_eos_token_id": 2}
    config = BartConfig(vocab_size=30, max_position_embeddings=16, decoder_start_token_id=2, **shape, **special)
    BartForConditionalGeneration(config).save_pretrained(tmp_path)
    with pytest.raises(GfmError, match=r"\(BartForConditionalGeneration\) has an encoder and a decoder"):
        load_model(str(tmp_path))


SHAPE = {
    "vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 32,
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "most"),
    [
        (lambda: BertForMaskedLM(BertConfig(**SHAPE)), 32),
        (lambda: RobertaForMaskedLM(RobertaConfig(**SHAPE, pad_token_id=1)), 30),
        (lambda: RoFormerForMaskedLM(RoFormerConfig(**SHAPE)), 32),
        (
            lambda: NystromformerForMaskedLM(
                NystromformerConfig(**SHAPE, segment_means_seq_len=32, num_landmarks=8)
            ),
            32,
        ),
    ],
)
def test_the_longest_window_is_read_and_no_longer_one(model, most):
    made = model().eval()
    assert longest(made) == most
    windows = torch.arange(3 * most).reshape(3, most).numpy() % 30
    check_windows("one", made, windows)
    with pytest.raises(GfmError, match=f"one reads {most} tokens at most, not {2 * most}: give a smaller"):
        check_windows("one", made, windows.repeat(2, axis=1))


@pytest.mark.parametrize("window", [8, 12, 16, 24])
def test_windows_that_an_architecture_takes_apart_are_refused(window):
    """Nystromformer averages over segments of a fixed length: other windows mix or fail, two of half at once."""
    config = NystromformerConfig(**SHAPE, segment_means_seq_len=32, num_landmarks=8, conv_kernel_size=3)
    made = NystromformerForMaskedLM(config).eval()
    windows = torch.arange(3 * window).reshape(3, window).numpy() % 30
    with pytest.raises(GfmError, match=f"cannot read windows of {window} tokens .*: give --window 32") as caught:
        check_windows("one", made, windows)
    assert "\n" not in str(caught.value)


def test_answers_that_are_not_finite_are_refused(bert):
    made = load_model(str(bert))
    with torch.no_grad():
        made.cls.predictions.bias[3] = torch.finfo(torch.float32).max
        made.cls.predictions.transform.LayerNorm.weight *= 3e38
    with pytest.raises(GfmError, match="although its weights are finite"):
        check_windows("one", made, torch.arange(24).reshape(3, 8).numpy())


def test_a_model_without_vectors_of_tokens_is_refused(tmp_path):
    shape = dict.fromkeys(
        ("num_self_attends_per_block", "num_self_attention_heads", "num_cross_attention_heads"), 1
    )
    config = PerceiverConfig(
        vocab_size=30, d_model=16, d_latents=16, num_latents=2, max_position_embeddings=8, **shape
    )
    PerceiverForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(GfmError, match=r"\(PerceiverForMaskedLM\) has no vector for each token"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("name", ["/none/such", "./none", "their/seeds/1", "~/model", "their/", "https://h/model"])
def test_a_directory_that_is_not_there_is_told(name):
    with pytest.raises(GfmError, match=f"no directory {name}; give one"):
        members_of([name])


def test_names_of_the_hub_are_left_to_it(bert, hub):
    names = [str(bert), "bert-base-uncased", "mrochk/bert-90M-dna-kmer-1"]
    assert members_of(names) == names
    with pytest.raises(GfmError, match="their/seed-1 is no directory here and, on the hub, has no tokenizer"):
        load_tokenizer("their/seed-1")
