"""Steps of training: for one model, or for several of the same shape in one program."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import product
from typing import Any

import numpy as np
import torch
from torch.func import functional_call, vmap
from torch.nn import functional

from gfm_utils.ensembles import attention
from gfm_utils.ensembles.batches import IGNORED
from gfm_utils.ensembles.member_job import BITS
from gfm_utils.ensembles.muon import Muon
from gfm_utils.ensembles.presets import build_model, masked_logits, preset
from gfm_utils.ensembles.specification import EnsembleSpec
from gfm_utils.errors import first_line

Tensors = dict[str, torch.Tensor]
#: Ids (batch, window), positions (batch, m) and targets (batch, m), each with a leading dimension of members
#: where these read different batches.
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
#: What an optimiser remembers of each parameter.
MOMENTS: dict[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq"),
    Muon: ("momentum",),
}
#: Steps on a GPU that are taken kernel by kernel before one is recorded as a graph.
PLAIN_STEPS = 5


def is_gpu(device: str) -> bool:
    """Whether steps on a device are recorded, and taken with the kernels of :mod:`.attention`."""
    return device.startswith("cuda")


def learning_rate_factor(step: int, spec: EnsembleSpec) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then half a cosine or a line down to zero."""
    rising = max(1, round(spec.warmup * spec.steps))
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, spec.steps - rising)
    return 1 - done if spec.schedule == "linear" else 0.5 * (1 + float(np.cos(np.pi * done)))


def is_hidden_matrix(name: str, dimensions: int) -> bool:
    """Whether a parameter of so many dimensions is a matrix between embeddings and decoder, as Muon needs."""
    return dimensions == 2 and "embeddings" not in name and "decoder" not in name


class MaskedLoss(torch.nn.Module):
    """A masked language model as a function: ids, positions, targets -> mean cross-entropy in nats.

    The mean is over all tokens to predict, as in Hugging Face's models, not over windows. ``perhaps_none`` says
    that a batch may have no token to predict; the loss is then 0.
    """

    def __init__(self, model: torch.nn.Module, perhaps_none: bool = False) -> None:
        super().__init__()
        self.model, self.perhaps_none = model, perhaps_none

    def forward(self, ids: torch.Tensor, positions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Shapes: ids (batch, window), positions and targets (batch, m); the result is a number, in float32."""
        logits = masked_logits(self.model, ids, positions).float().flatten(0, 1)
        if not self.perhaps_none:
            return functional.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED)
        total = functional.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, reduction="sum")
        return total / (targets != IGNORED).sum().clamp(min=1)


class Trainer:
    """Members of one specification, each with a seed of its initial weights, that take their steps together.

    Several are one program: their ``parameters`` are stacked along a first dimension, and the forward pass of
    ``model`` is mapped over it. The result does not depend on how many they are, up to rounding; only dropout
    would draw other numbers, so several have none. In low precision weights and moments stay float32; each step
    casts the weights once, and computes the loss in bfloat16 (norms, softmax and products add up in float32).
    """

    def __init__(self, spec: EnsembleSpec, seeds: Sequence[int], device: str, compiled: bool = False) -> None:
        self.spec, self.compiled, self.alone = spec, compiled, len(seeds) == 1
        shape, dropout = (spec.preset, spec.vocabulary, spec.window), spec.dropout if self.alone else 0.0
        built: list[Any] = [build_model(*shape, seed, dropout) for seed in seeds]
        self.model = built[0].to(device)
        named = [dict(model.named_parameters()) for model in built]
        self.parameters: Tensors = dict(named[0])
        if not self.alone:
            for name, own in named[0].items():
                stacked = torch.stack([weights[name].detach().to(device) for weights in named])
                self.parameters[name] = stacked.requires_grad_(own.requires_grad)
        self.on_gpu = is_gpu(device)
        self.low_precision = self.on_gpu and spec.precision == "bfloat16"
        if self.on_gpu:
            precision = torch.bfloat16 if self.low_precision else torch.float32
            attention.use(self.model, attention.kernel_for(device, precision, preset(spec.preset).head))
        self.masked = MaskedLoss(self.model, spec.independent_masks)
        # The batch has one size in training: a graph for any size would be slower. Others are not compiled.
        self.step_losses = torch.compile(self.losses, dynamic=False) if compiled else self.losses
        self.loss = torch.full((len(seeds),), float("nan"), device=device)  # of the last step, bits per token
        self.optimizers = self._optimizers(device)
        # What is written is filled on the CPU, while a GPU takes steps and without the attention used there.
        self.written: Any = build_model(*shape, 0, spec.dropout) if self.on_gpu else self.model
        self.graph: Any = None
        self.recorded: Inputs | None = None
        self.plain_steps = 0

    def _optimizers(self, device: str) -> list[tuple[torch.optim.Optimizer, float]]:
        """What moves the parameters, with its peak learning rate: AdamW, and Muon where it has a rate."""
        spec, peak = self.spec, self.spec.matrix_rate
        rate: Any = partial(torch.tensor, device=device) if self.on_gpu else float  # a graph reads it from memory
        hidden, matrices, vectors = (list[torch.Tensor]() for _ in range(3))
        for name, parameter in self.parameters.items():
            if not parameter.requires_grad:  # positions that are not learned
                continue
            dimensions = self.one(parameter, 0).ndim
            own = peak is not None and is_hidden_matrix(name, dimensions)
            (hidden if own else matrices if dimensions >= 2 else vectors).append(parameter)
        # Weight decay for matrices alone: norms and biases have no direction to shrink towards.
        decays = ((matrices, spec.weight_decay), (vectors, 0.0))
        groups = [{"params": parameters, "weight_decay": decay} for parameters, decay in decays]
        adam = torch.optim.AdamW(
            groups, lr=rate(spec.learning_rate), betas=spec.betas, fused=True, capturable=self.on_gpu
        )
        muon = [(Muon(hidden, rate(peak)), peak)] if peak is not None and hidden else []
        return [(adam, spec.learning_rate), *muon]

    @cached_property
    def side(self) -> Any:
        """The stream of steps that are taken kernel by kernel, and of recording; each has memory of its own."""
        return torch.cuda.Stream()

    def _lowered(self) -> dict[str, torch.Tensor]:
        """The weights as a step multiplies them, by their names in ``masked``."""
        to = torch.bfloat16 if self.low_precision else torch.float32
        return {f"model.{name}": value.to(to) for name, value in self.parameters.items()}

    def losses(self, inputs: Inputs) -> torch.Tensor:
        """Mean cross-entropy of each member, nats, shape (members,)."""

        def loss(weights: Tensors, *batch: torch.Tensor) -> torch.Tensor:
            mean: torch.Tensor = functional_call(self.masked, weights, batch)
            return mean

        if self.alone:
            return (loss(self._lowered(), *inputs) if self.low_precision else self.masked(*inputs))[None]
        batched = 0 if inputs[0].ndim == 3 else None  # each member reads a batch of its own, or all the same
        mapped = vmap(loss, in_dims=(0, batched, batched, batched), randomness="different")
        losses: torch.Tensor = mapped(self._lowered(), *inputs)
        return losses

    def clip(self) -> None:
        """Bring the gradient of each member to the specification's largest norm, if it is longer."""
        if self.alone:
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.spec.clip)
            return
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients])
        factors = (self.spec.clip / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(gradients, [factors.view(-1, *[1] * (gradient.ndim - 1)) for gradient in gradients])

    def one(self, stacked: torch.Tensor, member: int) -> torch.Tensor:
        """The part of a member in a parameter or moment."""
        return stacked if self.alone else stacked[member]

    def learn(self, step: int, inputs: Inputs) -> None:
        """Take one step of all members; its number, counted from 0, decides the learning rate."""
        factor = learning_rate_factor(step, self.spec)
        for optimizer, peak in self.optimizers:
            for group in optimizer.param_groups:
                if self.on_gpu:
                    group["lr"].fill_(peak * factor)
                else:
                    group["lr"] = peak * factor
        if not self.on_gpu:
            self._take(inputs)
        elif self.recorded is None or any(a.shape != b.shape for a, b in zip(inputs, self.recorded, strict=True)):
            self._take_and_record(inputs)
        else:
            for place, values in zip(self.recorded, inputs, strict=True):
                place.copy_(values)
            self.graph.replay()

    def _take(self, inputs: Inputs) -> None:
        losses = self.step_losses(inputs)
        losses.sum().backward()
        self.update()
        self.loss.copy_(losses.detach() * BITS)

    def update(self) -> None:
        """Move the parameters by their gradients, and forget these."""
        self.clip()
        for optimizer, _ in self.optimizers:
            optimizer.step()
        self._forget()

    def _forget(self) -> None:
        """Let go of the gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def _take_and_record(self, inputs: Inputs) -> None:
        """The first steps kernel by kernel, on a stream of their own; then one is recorded as a CUDA graph.

        A small model's kernels are shorter than the time that Python takes to launch them; a graph launches
        all of a step at once. Recording executes nothing, so no step is lost or taken twice.
        """
        self.side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.side):
            self._take(inputs)
        torch.cuda.current_stream().wait_stream(self.side)
        self.plain_steps += 1
        if self.plain_steps == PLAIN_STEPS:
            self._record(inputs)

    def _record(self, inputs: Inputs) -> None:
        torch.cuda.synchronize()
        places = (inputs[0].clone(), inputs[1].clone(), inputs[2].clone())
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            # What other threads ask of the GPU meanwhile (memory for the next batches) is none of the graph's.
            with torch.cuda.graph(graph, stream=self.side, capture_error_mode="thread_local"):
                self._take(places)
        except RuntimeError as error:
            torch.cuda.set_stream(before)  # a capture that fails leaves its own
            self._forget()
            reason = first_line(error)
            warnings.warn(f"training goes on kernel by kernel, no CUDA graph: {reason}", stacklevel=2)
        else:
            self.graph, self.recorded = graph, places

    @torch.no_grad()
    def validation_losses(self, held_out: Sequence[torch.Tensor]) -> list[float]:
        """Mean cross-entropy of each member, bits per token: of ids (n, window), positions and targets (n, m)."""
        self.model.eval()
        total, count = torch.zeros(len(self.loss), dtype=torch.float64), 0
        for ids, positions, targets in zip(*(tensor.split(self.spec.batch) for tensor in held_out), strict=True):
            total += self.losses((ids, positions, targets)).double().cpu() * targets.numel()
            count += targets.numel()
        self.model.train()
        return (total * BITS / count).tolist()

    def state(self, member: int) -> dict[str, Tensors]:
        """Weights and moments of a member, on the CPU: what ``load`` takes."""

        def copy(stacked: torch.Tensor) -> torch.Tensor:
            return self.one(stacked.detach(), member).to("cpu", copy=True)

        kept = {"weights": {name: copy(values) for name, values in self.parameters.items()}}
        for moment, name, state in self._moments():
            if moment in state:
                kept.setdefault(moment, {})[name] = copy(state[moment])
        return kept

    def _moments(self) -> Iterator[tuple[str, str, Tensors]]:
        """Every moment of a learned parameter: its name, the parameter's, and the optimiser's state."""
        names = {parameter: name for name, parameter in self.parameters.items()}
        for optimizer, _ in self.optimizers:
            for group in optimizer.param_groups:
                for moment, parameter in product(MOMENTS[type(optimizer)], group["params"]):
                    yield moment, names[parameter], optimizer.state[parameter]

    @torch.no_grad()
    def load(self, states: Sequence[Mapping[str, Tensors]], step: int) -> None:
        """Put the members back to where they were after so many steps: to what ``state`` gave then of each."""

        def fill(whole: torch.Tensor, kind: str, name: str) -> torch.Tensor:
            for member, state in enumerate(states):
                self.one(whole, member).copy_(state[kind][name])
            return whole

        for name, parameter in self.parameters.items():
            fill(parameter, "weights", name)
        for moment, name, state in self._moments() if step else ():
            state[moment] = fill(torch.zeros_like(self.parameters[name]), moment, name)
            if moment != "momentum":
                state["step"] = torch.tensor(float(step), device=state[moment].device)

    @torch.no_grad()
    def filled(self, weights: Mapping[str, torch.Tensor]) -> Any:
        """A model to write to disk, with the given weights."""
        for name, parameter in self.written.named_parameters():
            parameter.copy_(weights[name])
        return self.written
