"""A model written down in another way: other weights, the same function."""

import copy
from typing import Any

import torch
from transformers import BertForMaskedLM, ModernBertForMaskedLM


def can_rescale(model: Any) -> bool:
    """Whether ``rescaled`` knows the model."""
    return isinstance(model, BertForMaskedLM | ModernBertForMaskedLM)


@torch.no_grad()
def rescaled(model: Any, factor: float) -> Any:
    """A copy with larger embeddings and the same predictions.

    What is embedded is multiplied by ``factor``; the norm after it undoes that (its epsilon grows with it). A tied
    decoder is multiplied too, and the norm before it divided.

    Args:
        model: one that ``can_rescale``.
        factor: above 0.
    """
    made = copy.deepcopy(model)
    embeddings = made.base_model.embeddings
    for module in embeddings.children():
        if isinstance(module, torch.nn.Embedding):
            module.weight *= factor
    norm = embeddings.LayerNorm if isinstance(made, BertForMaskedLM) else embeddings.norm
    norm.eps *= factor**2
    if made.get_output_embeddings().weight is made.get_input_embeddings().weight:
        last = made.cls.predictions.transform.LayerNorm if isinstance(made, BertForMaskedLM) else made.head.norm
        for value in last.parameters():
            value /= factor
    return made
