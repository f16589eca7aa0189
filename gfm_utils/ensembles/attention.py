"""Attention of members in training on a GPU, by the operations that ``scaled_dot_product_attention`` calls."""

from typing import Any

import torch
from torch.backends.cuda import SDPAParams, can_use_efficient_attention, can_use_flash_attention
from torch.nn import functional
from transformers import AttentionInterface


def attend(
    kernel: str, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, dropout: float, scale: float
) -> torch.Tensor:
    """Attention by a kernel: (n, heads, tokens, width of a head) each -> the same.

    ``flash`` is FlashAttention (bfloat16), ``efficient`` the memory-efficient kernel, ``plain`` the formula.
    """
    if kernel == "plain":
        weights = (query * scale @ key.mT).softmax(-1, dtype=torch.float32).to(value.dtype)
        return (functional.dropout(weights, dropout) if dropout else weights) @ value
    if kernel == "flash":
        flash = torch.ops.aten._scaled_dot_product_flash_attention
        results = flash(query, key, value, dropout, False, False, scale=scale)
    else:
        efficient = torch.ops.aten._scaled_dot_product_efficient_attention
        results = efficient(query, key, value, None, True, dropout, False, scale=scale)
    attended: torch.Tensor = results[0]
    return attended


#: What transformers knows them by; it takes a name with "flash" in it for a package that is not installed.
NAMES = {"flash": "gfm_fast", "efficient": "gfm_efficient", "plain": "gfm_plain"}


def kernel_for(device: str, precision: torch.dtype, head: int) -> str:
    """The fastest kernel, a key of ``NAMES``, for queries of a precision and heads of a width on a device."""
    tensor = torch.empty((1, 1, 64, head), device=device, dtype=precision, requires_grad=True)
    parameters = SDPAParams(tensor, tensor, tensor, None, 0.0, False, False)
    if head % 8 == 0 and precision != torch.float32 and can_use_flash_attention(parameters):
        return "flash"
    return "efficient" if can_use_efficient_attention(parameters) else "plain"


def use(model: Any, kernel: str) -> None:
    """Let a Hugging Face model attend by a kernel, unless its architecture has no choice.

    ``scaled_dot_product_attention`` asks whether its queries need a gradient before it keeps what the backward
    pass reads; under ``vmap`` (members in one program) they say no. As an implementation with a name of its own it
    also gets no mask, which transformers else makes of nothing but ones while a step is recorded as a CUDA graph.
    The name is in the model's configuration from then on: what is written to disk must be another model.
    """
    # transformers 5.0 looks for padding among the ids, and so waits for the GPU in the midst of a step.
    model.base_model.warn_if_padding_and_no_attention_mask = lambda *_: None
    if not (model._supports_sdpa and model._can_set_attn_implementation()):
        return
    AttentionInterface.register(NAMES[kernel], _implementation(kernel))
    model.set_attn_implementation(NAMES[kernel])


def _implementation(kernel: str) -> Any:
    def attention(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        dropout: float = 0.0,
        scaling: float | None = None,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        """What transformers calls: -> (n, tokens, heads, width of a head), and no weights."""
        assert attention_mask is None, "windows in training have no padding"
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return attend(kernel, query, key, value, dropout, scale).transpose(1, 2).contiguous(), None

    return attention
