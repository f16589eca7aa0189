"""A model written down in another way: other weights, the same function."""

import copy
from typing import Any

import torch
from transformers import BertForMaskedLM


@torch.no_grad()
def rescaled(model: Any, factor: float) -> Any:
    """A copy with larger embeddings and the same predictions.

    What is embedded is multiplied by ``factor``; the norm after it undoes that (its epsilon grows with it). A tied
    decoder is multiplied too, and the norm before it divided.

    Args:
        model: BERT or ModernBERT.
        factor: above 0.
    """
    other = copy.deepcopy(model)
    embeddings = other.base_model.embeddings
    for module in embeddings.children():
        if isinstance(module, torch.nn.Embedding):
            module.weight *= factor
    norm = embeddings.LayerNorm if isinstance(other, BertForMaskedLM) else embeddings.norm
    norm.eps *= factor**2
    if other.get_output_embeddings().weight is other.get_input_embeddings().weight:
        last = other.cls.predictions.transform.LayerNorm if isinstance(other, BertForMaskedLM) else other.head.norm
        for value in last.parameters():
            value /= factor
    return other
