"""Empirical Fisher information: sums of squared per-sequence gradients by group of parameters.

For a sequence s with masked tokens M the gradient is ``g_s = ∇θ (1/|M|) Σ_{t in M} -ln p(x_t)``, and the
trace of the empirical Fisher information of a group G is the mean over sequences of ``Σ_{θ in G} g_s(θ)²``
(Kunstner et al., 2019; Martens, 2020). Each sequence has its own gradient: squaring the gradient of a batch's
mean, as the paper's code does, is another quantity that depends on the size of the batch.

The input embedding matrix also decodes, so its gradient is the sum of two: through the input and through the
output. ``embeddings`` is that sum (the paper's grouping); ``embeddings.input``, ``embeddings.output`` and
``embeddings.cross`` take it apart: |g_in + g_out|² = |g_in|² + |g_out|² + 2 g_in·g_out.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from transformers import PreTrainedModel

from gfm_utils import tables
from gfm_utils.analyses.rows import Row, member_rows
from gfm_utils.ensembles import STATES, Ensemble, device, masked_logits, masked_windows
from gfm_utils.profiles import Profile

#: Sequences whose gradients are held at once, as a number of float32 values.
BUDGET = 2**26
INPUT, OUTPUT = "embeddings.input", "embeddings.output"


def group_of(name: str) -> str:
    """Group of a parameter by its name: ``embeddings``, ``encoder.<i>``, ``encoder.norm`` or ``head``."""
    layer = re.search(r"\.layers?\.(\d+)\.", name)
    if layer:
        return f"encoder.{layer[1]}"
    if ".embeddings." in name:
        return "embeddings"
    return "encoder.norm" if "final_norm" in name else "head"


class _AtPositions(torch.nn.Module):
    """A masked language model as a function of ids and positions, for ``functional_call``."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        return masked_logits(self.model, ids, positions)


def squared_gradients(
    model: PreTrainedModel, ids: torch.Tensor, positions: torch.Tensor, targets: torch.Tensor
) -> dict[str, npt.NDArray[np.float64]]:
    """Sum of squared gradients of each group, exactly, sequence by sequence.

    Args:
        model: in evaluation mode, with its decoder tied to the input embedding or not.
        ids: masked sequences, shape (n, window).
        positions: masked positions, shape (n, m).
        targets: true tokens there, shape (n, m).

    Returns:
        Group -> one number a sequence, shape (n,), in nats². The groups ``embeddings`` (tied: both paths
        together), ``encoder.<i>``, ``encoder.norm`` and ``head`` hold every parameter once;
        ``embeddings.input``, ``embeddings.output`` and ``embeddings.cross`` are parts of ``embeddings``.
    """
    wrapped = _AtPositions(model)
    names = {id(value): name for name, value in reversed(list(wrapped.named_parameters(remove_duplicate=False)))}
    alias = {n: names[id(v)] for n, v in wrapped.named_parameters(remove_duplicate=False)}
    table = alias[_weight_name(wrapped, model.get_input_embeddings())]
    decoder = _weight_name(wrapped, model.get_output_embeddings())
    tied = alias[decoder] == table
    if tied:  # give the output path an entry of its own, so that the two gradients come apart
        alias[decoder] = decoder
    values = dict(wrapped.named_parameters(remove_duplicate=False))
    parameters = {name: values[name].detach() for name in alias.values()}

    def loss(values: dict[str, torch.Tensor], *example: torch.Tensor) -> torch.Tensor:
        one, where, truth = (tensor.unsqueeze(0) for tensor in example)
        named = {name: values[source] for name, source in alias.items()}
        logits = functional_call(wrapped, named, (one, where), tie_weights=False)
        return functional.cross_entropy(logits[0], truth[0])

    per_sequence = vmap(grad(loss), in_dims=(None, 0, 0, 0))
    size = sum(value.numel() for value in parameters.values())
    step = max(1, BUDGET // size)
    parts = []
    with _eager_attention(model):
        for begin in range(0, len(ids), step):
            batch = (tensor[begin : begin + step] for tensor in (ids, positions, targets))
            parts.append(_group_sums(per_sequence(parameters, *batch), table, decoder if tied else None))
    return {group: np.concatenate([part[group] for part in parts]) for group in parts[0]}


def _weight_name(wrapped: torch.nn.Module, module: torch.nn.Module) -> str:
    return next(name for name, found in wrapped.named_modules() if found is module) + ".weight"


@contextmanager
def _eager_attention(model: PreTrainedModel) -> Iterator[None]:
    """Attention written out: the fused kernel has no batching rule, so ``vmap`` would run it row by row."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _group_sums(
    gradients: dict[str, torch.Tensor], table: str, decoder: str | None
) -> dict[str, npt.NDArray[np.float64]]:
    sums: dict[str, torch.Tensor] = {}
    for name, value in gradients.items():
        if decoder is not None and name in (table, decoder):
            group = INPUT if name == table else OUTPUT
        else:
            group = group_of(name)
        sums[group] = sums.get(group, 0) + value.double().flatten(1).square().sum(1)
    if decoder is not None:
        cross = 2 * (gradients[table].double() * gradients[decoder].double()).flatten(1).sum(1)
        sums["embeddings.cross"] = cross
        sums["embeddings"] = sums.get("embeddings", 0) + sums[INPUT] + sums[OUTPUT] + cross
    return {group: value.cpu().numpy() for group, value in sums.items()}


def fisher_information(ensembles: Sequence[Ensemble], profile: Profile, seed: int = 42) -> pd.DataFrame:
    """Result table of the empirical Fisher information by group, for trained and untrained members.

    Metrics, with the axis ``group``, a row a member and the mean with its interval over members:
    ``fisher_trace`` (nats²) and ``fisher_share`` of the model's whole trace. Groups: ``embeddings``,
    ``encoder.<i>``, ``head`` as in the paper, ``encoder`` (all layers and the final norm), and the parts of
    ``embeddings``.

    Args:
        ensembles: one a condition.
        profile: its ``fisher_windows`` and ``test_mask`` say which sequences are read.
        seed: of the masks.
    """
    rows: list[Row] = []
    where = device()
    for ensemble in ensembles:
        ids, positions, targets, _ = masked_windows(
            ensemble.store, "test", ensemble.spec.window, profile.fisher_windows, profile.test_mask, seed
        )
        tensors = [torch.from_numpy(array).to(where) for array in (ids, positions, targets)]
        for state in STATES:
            traces = [
                {
                    group: float(values.mean())
                    for group, values in squared_gradients(member.model(state, where), *tensors).items()
                }
                for member in ensemble.members
            ]
            base = {"condition": ensemble.condition, "state": state, "axis": "group"}
            rows += fisher_rows(base, ensemble.seeds, traces, len(ids))
    return tables.table(rows)


def fisher_rows(base: Row, seeds: Sequence[int], traces: Sequence[dict[str, float]], n: int) -> list[Row]:
    """The rows of one ensemble in one state; ``traces`` are group -> mean over n sequences, one a member."""
    rows: list[Row] = []
    whole = np.array([sum(v for g, v in trace.items() if not g.startswith("embeddings.")) for trace in traces])
    groups = list(traces[0])
    values = {group: np.array([trace[group] for trace in traces]) for group in groups}
    layers = [values[group] for group in groups if group.startswith("encoder.")]
    values["encoder"] = np.sum(layers, axis=0)
    for group, trace in values.items():
        rows += member_rows({**base, "x": group, "metric": "fisher_trace", "unit": "nats²"}, seeds, trace, n)
        share = {**base, "x": group, "metric": "fisher_share", "unit": "share"}
        rows += member_rows(share, seeds, trace / whole, n)
    return rows
