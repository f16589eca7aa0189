"""Groups of parameters, decided by name and by what a module is for; every parameter belongs to exactly one.

The matrix of the input embedding is split further, by row (``[MASK]`` or a visible token) and, where it also
decodes, by the path on which the gradient reaches it: ‖g_in + g_out‖² = ‖g_in‖² + ‖g_out‖² + 2 g_in·g_out.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

#: Rows of the input embedding that the visible tokens read, and the row of ``[MASK]``.
VISIBLE, MASK = "embedding.visible", "embedding.mask"
#: What is added to the tokens' embeddings (positions, types), and their norm.
OTHER = "embedding.other"
#: The norm after the last layer, and anything else of the encoder that lies in no layer.
NORM = "encoder.norm"
#: From the encoder to the decoder.
TRANSFORM = "head.transform"
#: The matrix and the bias that turn features into logits, and the cross term of a matrix that plays both parts.
DECODER, BIAS, CROSS = "decoder.weight", "decoder.bias", "decoder.cross"
#: Derived groups that need the two paths of a tied matrix apart.
PATHS = ("input", "output", "head_with_decoder")
#: The input embedding as a parameter, before its gradient is split.
TOKENS = "embedding.tokens"

_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.(.*)")
_ATTENTION = re.compile(r"att(n|ention)|(^|\.)sa_")
_FEED_FORWARD = re.compile(r"mlp|ffn|intermediate|output|feed_?forward|dense|(^|\.)fc\d?")
Number = TypeVar("Number")


def groups_of(model: Any) -> dict[str, str]:
    """Group of every parameter of a masked language model, by the name that ``named_parameters`` gives it.

    A parameter of a layer that is neither attention nor feed-forward by its name is in ``encoder.<i>.other``.
    A tied matrix is in ``TOKENS``.
    """
    table, decoder = model.get_input_embeddings().weight, model.get_output_embeddings()
    base = f"{model.base_model_prefix}."
    groups = {}
    for name, value in model.named_parameters():
        if value is table:
            groups[name] = TOKENS
        elif value is decoder.weight:
            groups[name] = DECODER
        elif value.shape == decoder.weight.shape[:1] and not name.startswith(base):
            groups[name] = BIAS  # the decoder's own, or one beside it: an untied BERT has one that it does not use
        else:
            groups[name] = _by_name(name, inside=name.startswith(base))
    return groups


def _by_name(name: str, inside: bool) -> str:
    if layer := _LAYER.search(name):
        rest = layer[2]
        kind = "feed_forward" if _FEED_FORWARD.search(rest) else "other"
        return f"encoder.{layer[1]}.{'attention' if _ATTENTION.search(rest) else kind}"
    if "embed" in name:
        return OTHER
    return NORM if inside else TRANSFORM


def derived(parts: Mapping[str, Number]) -> dict[str, Number]:
    """Sums over the groups of ``squared_gradients``: the paper's grouping, and two others.

    The paper's are ``embeddings`` (a tied matrix counts here, with both paths), ``encoder.<i>``, ``encoder`` (all
    layers and the norm) and ``head`` (with the decoder's bias, and its matrix unless it is tied). The two paths
    are ``input`` (all that embeds) and ``output`` (the decoder's matrix and bias); ``head_with_decoder`` has the
    decoder, tied or not.
    """
    numbers: Mapping[str, Any] = parts
    nothing = 0 * next(iter(numbers.values()))  # an encoder without layers has as many zeros

    def total(*wanted: str) -> Any:
        return sum((value for name, value in numbers.items() if name.startswith(wanted)), nothing)

    numbers_of = {int(name.split(".")[1]) for name in parts if name.startswith("encoder.") and name != NORM}
    tied = (DECODER, CROSS) if CROSS in parts else ()
    return {
        "embeddings": total("embedding.", *tied),
        **{f"encoder.{number}": total(f"encoder.{number}.") for number in sorted(numbers_of)},
        "encoder": total("encoder."),
        "head": total("head.", BIAS) if tied else total("head.", "decoder."),
        "input": total("embedding."),
        "output": total(DECODER, BIAS),
        "head_with_decoder": total("head.", "decoder."),
    }
