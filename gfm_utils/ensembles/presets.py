"""Model presets: architecture and size by name, built as Hugging Face masked language models."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, cast

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedModel,
    RoFormerConfig,
    RoFormerForMaskedLM,
)
from transformers.models.bert.modeling_bert import BertCrossAttention

from gfm_utils.errors import unknown
from gfm_utils.tokens import SPECIAL


@dataclass(frozen=True)
class Preset:
    """Shape of an encoder, or of embeddings and a head with none between them.

    ModernBERT has rotary positions, BERT (the paper's) absolute ones, and RoFormer is BERT with rotary ones.
    """

    family: Literal["modernbert", "bert", "roformer"]
    layers: int  # of the transformer
    hidden: int  # width of the residual stream
    heads: int  # of attention
    intermediate: int  # width of the feed-forward layer
    initializer_range: float  # standard deviation of the initial weights
    # Of ModernBERT: the slowest pair of a head turns once in about 2 pi times so many tokens (its own: for 8,192).
    rotary_base: float = 160_000.0
    revision: int = 1  # raised when a preset gets another shape under its name; part of an ensemble's key

    @property
    def head(self) -> int:
        """Width of an attention head."""
        return self.hidden // self.heads


PRESETS: dict[str, Preset] = {
    # Wide initial weights let so small a rotary encoder leave the unigram plateau within seconds, and a small base
    # tells apart the places of so short a window.
    "modernbert-2x64": Preset("modernbert", 2, 64, 2, 128, 0.1, rotary_base=100, revision=2),
    "modernbert-2x32": Preset("modernbert", 2, 32, 2, 64, 0.1, rotary_base=100, revision=2),
    "modernbert-4x128": Preset("modernbert", 4, 128, 4, 256, 0.05, rotary_base=100, revision=2),
    "modernbert-6x256": Preset("modernbert", 6, 256, 4, 512, 0.02, rotary_base=100, revision=2),
    # Two of the smallest size that differ in their positions alone, absolute and rotary.
    "bert-2x64": Preset("bert", 2, 64, 2, 128, 0.02),
    "roformer-2x64": Preset("roformer", 2, 64, 2, 128, 0.02),
    # The paper's models: BERT with Hugging Face's defaults in three sizes.
    "bert-4m": Preset("bert", 6, 256, 8, 512, 0.02, revision=2),
    "bert-20m": Preset("bert", 8, 512, 8, 1024, 0.02),
    "bert-90m": Preset("bert", 12, 768, 12, 3072, 0.02),
    # Embeddings and head alone, which can use no context; transformers has no ModernBERT without layers.
    # The widest is the paper's largest model without its transformer.
    **{f"bert-0x{width}": Preset("bert", 0, width, 1, width, 0.02) for width in (32, 64, 128, 256, 512, 768)},
}


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        GfmError: no preset has that name.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def without_layers(name: str) -> str:
    """The preset as wide as another, of embeddings and head alone."""
    return f"bert-0x{preset(name).hidden}"


def build_model(name: str, vocabulary: int, window: int, seed: int, dropout: float = 0.0) -> PreTrainedModel:
    """A masked language model with fresh weights, the same for the same seed.

    ``vocabulary`` counts the special tokens too, ``window`` is the longest sequence in tokens, and ``dropout`` the
    probability everywhere.
    """
    shape = preset(name)
    special = {token[1:-1].lower(): index for index, token in enumerate(SPECIAL)}
    common: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": max(window, 512),
        "initializer_range": shape.initializer_range,
        "pad_token_id": special["pad"],
        "bos_token_id": special["cls"],
        "eos_token_id": special["sep"],
    }
    dropouts: dict[str, Any] = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel
        if shape.family == "bert":
            model = BertForMaskedLM(BertConfig(**common, **dropouts))
        elif shape.family == "roformer":
            model = RoFormerForMaskedLM(RoFormerConfig(**common, **dropouts))
        else:
            options: dict[str, Any] = {
                "cls_token_id": special["cls"], "sep_token_id": special["sep"],
                "global_attn_every_n_layers": 1,  # every layer sees the whole window
                "embedding_dropout": dropout, "mlp_dropout": dropout, "attention_dropout": dropout,
            }  # fmt: skip
            config: Any = ModernBertConfig(**common, **options)
            for rope in config.rope_parameters.values():  # of layers that see the whole window, and of others
                if isinstance(rope, dict):
                    rope["rope_theta"] = shape.rotary_base
            model = ModernBertForMaskedLM(config)
    model.tie_weights()  # transformers 5.0 leaves embeddings and decoder apart on the meta device
    return model


@cache
def parameters_of(name: str, vocabulary: int, window: int) -> int:
    """Parameters of a preset's model, those of tied matrices counted once."""
    with torch.device("meta"):
        model = build_model(name, vocabulary, window, seed=0)
    return sum(parameter.numel() for parameter in model.parameters())


def masked_logits(model: Any, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Logits at the given positions only, computing as little else as possible.

    For any masked language model of Hugging Face, ids (n, window) and positions (n, m) -> (n, m, vocabulary).
    Of a family that no preset has, all logits are computed.
    """
    if isinstance(model, BertForMaskedLM | RoFormerForMaskedLM | ModernBertForMaskedLM):
        logits: torch.Tensor = model.get_output_embeddings()(masked_features(model, ids, positions))
        return logits
    return _at(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits, positions)


def masked_features(model: Any, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """What the decoder multiplies, at the given positions only.

    The head never sees the other tokens. In a BERT neither does the last layer, where the others only lend their
    keys and values; the layer's own modules do the work, and the result is the same. For a model of a preset's
    family, ids (n, window) and positions (n, m) -> (n, m, width of the decoder).
    """
    if isinstance(model, BertForMaskedLM):
        chosen = _last_hidden_of_bert(model.bert, ids, positions)
    else:
        chosen = _at(model.base_model(input_ids=ids).last_hidden_state, positions)
    features: torch.Tensor = (model.cls.predictions.transform if hasattr(model, "cls") else model.head)(chosen)
    return features


def _at(hidden: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """States or logits at some positions: (n, window, hidden) and (n, m) -> (n, m, hidden)."""
    return hidden.gather(1, positions.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))


def _last_hidden_of_bert(bert: Any, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    hidden = bert.embeddings(input_ids=ids)
    if not len(bert.encoder.layer):
        return _at(hidden, positions)
    *layers, last = bert.encoder.layer
    for layer in layers:
        output = layer(hidden, None)
        hidden = output if isinstance(output, torch.Tensor) else output[0]
    chosen = _at(hidden, positions)
    # Queries of the chosen tokens, keys and values of all: what transformers calls attention to another sequence.
    context = BertCrossAttention.forward(last.attention.self, chosen, hidden)[0]
    return cast(torch.Tensor, last.feed_forward_chunk(last.attention.output(context, chosen)))
