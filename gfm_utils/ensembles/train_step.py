"""Steps of training: for one model, or for several of the same shape in one program."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch.func import functional_call, vmap
from torch.nn import functional
from typing_extensions import override

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

    The mean is over all tokens to predict, as in Hugging Face's models, not over windows.

    Args:
        model: a masked language model.
        perhaps_none: whether a batch may have no token to predict; the loss is then 0.
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


class Trainer(ABC):
    """Models of one specification that take their steps together, on one device.

    Their initial weights and what they read decide the result, not which class it is, up to rounding. In low
    precision weights and moments are float32 all the same; each step casts the weights once, and all between them
    and the loss is bfloat16 (what norms, softmax and products sum up, they sum up in float32).

    Args:
        spec: what the members share.
        members: how many they are.
        device: ``cpu`` or ``cuda``.
        compiled: compile the step (its first one then takes a minute).

    Attributes:
        model: a Hugging Face model of the right shape; whose weights it holds, a subclass says.
        parameters: what is optimised, by name.
        loss: of the last step, bits per token, shape (members,).
    """

    model: Any
    parameters: Tensors

    def __init__(self, spec: EnsembleSpec, members: int, device: str, compiled: bool = False) -> None:
        self.spec, self.compiled = spec, compiled
        self.on_gpu = is_gpu(device)
        self.low_precision = self.on_gpu and spec.precision == "bfloat16"
        if self.on_gpu:
            precision = torch.bfloat16 if self.low_precision else torch.float32
            attention.use(self.model, attention.kernel_for(device, precision, preset(spec.preset).head))
        self.masked = MaskedLoss(self.model, spec.independent_masks)
        # The batch has one size in training: a graph for any size would be slower. Others are not compiled.
        self.step_losses = torch.compile(self.losses, dynamic=False) if compiled else self.losses
        self.loss = torch.full((members,), float("nan"), device=device)
        self.optimizers = self._optimizers(device)
        # What is written is filled on the CPU, beside the steps of a GPU and free of the attention used there.
        shape = (spec.preset, spec.vocabulary, spec.window, 0, spec.dropout)
        self.written: Any = build_model(*shape) if self.on_gpu else self.model
        self.graph: Any = None
        self.recorded: Inputs | None = None
        self.plain_steps = 0

    def _optimizers(self, device: str) -> list[tuple[torch.optim.Optimizer, float]]:
        """What moves the parameters, with its peak learning rate: AdamW, and Muon where it has a rate."""
        spec, peak = self.spec, self.spec.matrix_rate
        rate: Any = partial(torch.tensor, device=device) if self.on_gpu else float  # a graph reads it from memory
        hidden, matrices, vectors = (list[torch.Tensor]() for _ in range(3))
        for name, parameter in self.parameters.items():
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

    @abstractmethod
    def losses(self, inputs: Inputs) -> torch.Tensor:
        """Mean cross-entropy of each member, nats, shape (members,)."""

    @abstractmethod
    def clip(self) -> None:
        """Bring the gradient of each member to the specification's largest norm, if it is longer."""

    @abstractmethod
    def one(self, stacked: torch.Tensor, member: int) -> torch.Tensor:
        """The part of a member in a parameter or moment."""

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
        for optimizer, name, parameter in self._moved():
            for moment in MOMENTS[type(optimizer)]:
                of_moment = kept.setdefault(moment, {})
                if parameter in optimizer.state:
                    of_moment[name] = copy(optimizer.state[parameter][moment])
        return kept

    def _moved(self) -> Iterator[tuple[torch.optim.Optimizer, str, torch.Tensor]]:
        """Every parameter with its name and what moves it."""
        names = {parameter: name for name, parameter in self.parameters.items()}
        for optimizer, _ in self.optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    yield optimizer, names[parameter], parameter

    @torch.no_grad()
    def load(self, states: Sequence[Mapping[str, Tensors]], step: int) -> None:
        """Put the members back to where they were after so many steps: to what ``state`` gave then of each."""
        for optimizer, name, parameter in self._moved():
            moments = {moment: torch.zeros_like(parameter) for moment in MOMENTS[type(optimizer)]}
            for member, state in enumerate(states):
                self.one(parameter, member).copy_(state["weights"][name])
                for moment, values in moments.items() if step else ():
                    self.one(values, member).copy_(state[moment][name])
            if step:
                optimizer.state[parameter] = dict(moments)
                if not isinstance(optimizer, Muon):
                    optimizer.state[parameter]["step"] = torch.tensor(float(step), device=parameter.device)

    @torch.no_grad()
    def filled(self, weights: Mapping[str, torch.Tensor]) -> Any:
        """A model to write to disk, with the given weights."""
        for name, parameter in self.written.named_parameters():
            parameter.copy_(weights[name])
        return self.written


class SingleTrainer(Trainer):
    """One model; ``model`` is it."""

    def __init__(self, spec: EnsembleSpec, seed: int, device: str, compiled: bool = False) -> None:
        built: Any = build_model(spec.preset, spec.vocabulary, spec.window, seed, spec.dropout)
        self.model = built.to(device)
        self.parameters = dict(self.model.named_parameters())
        super().__init__(spec, 1, device, compiled)

    @override
    def losses(self, inputs: Inputs) -> torch.Tensor:
        lowered = self._lowered() if self.low_precision else {}
        loss: torch.Tensor = functional_call(self.masked, lowered, inputs) if lowered else self.masked(*inputs)
        return loss[None]

    @override
    def clip(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.spec.clip)

    @override
    def one(self, stacked: torch.Tensor, member: int) -> torch.Tensor:
        return stacked


class BatchedTrainer(Trainer):
    """Several models as one program: weights stacked along a first dimension, the forward pass mapped over it.

    ``model`` lends its forward pass; on a CPU its own weights are those of whichever member was last asked for.
    Dropout would draw other numbers than for a model alone, so there is none.
    """

    def __init__(self, spec: EnsembleSpec, seeds: Sequence[int], device: str, compiled: bool = False) -> None:
        built: list[Any] = [build_model(spec.preset, spec.vocabulary, spec.window, seed, 0.0) for seed in seeds]
        self.model = built[0].to(device)
        weights = [dict(model.named_parameters()) for model in built]
        self.parameters = {
            name: torch.stack([member[name].detach().to(device) for member in weights]).requires_grad_()
            for name in weights[0]
        }
        super().__init__(spec, len(seeds), device, compiled)

    @override
    def losses(self, inputs: Inputs) -> torch.Tensor:
        def loss(weights: Tensors, *batch: torch.Tensor) -> torch.Tensor:
            mean: torch.Tensor = functional_call(self.masked, weights, batch)
            return mean

        batched = 0 if inputs[0].ndim == 3 else None  # each member reads a batch of its own, or all the same
        losses: torch.Tensor = vmap(loss, in_dims=(0, batched, batched, batched), randomness="different")(
            self._lowered(), *inputs
        )
        return losses

    @override
    def clip(self) -> None:
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients])
        factors = (self.spec.clip / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(gradients, [factors.view(-1, *[1] * (gradient.ndim - 1)) for gradient in gradients])

    @override
    def one(self, stacked: torch.Tensor, member: int) -> torch.Tensor:
        return stacked[member]


def trainer(spec: EnsembleSpec, seeds: Sequence[int], device: str, compiled: bool = False) -> Trainer:
    """Members with the given seeds of initial weights, as they begin."""
    if len(seeds) == 1:
        return SingleTrainer(spec, seeds[0], device, compiled)
    return BatchedTrainer(spec, seeds, device, compiled)
