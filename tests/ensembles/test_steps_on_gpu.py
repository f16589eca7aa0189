"""Steps as a GPU takes them, shown without one: on shapes without numbers, and with stand-ins for its streams."""

from contextlib import contextmanager, nullcontext

import pytest
import torch
import transformers.masking_utils
from alone import members
from packaging.version import Version
from torch.utils._python_dispatch import TorchDispatchMode

from gfm_utils.ensembles import attention, train_step
from gfm_utils.ensembles.train_step import Trainer
from gfm_utils.ensembles.training import Training

#: Whether the transformers that is installed can run ModernBERT on tensors that have shapes alone.
RUNS_WITHOUT_NUMBERS = Version(transformers.__version__).release >= (5, 1)
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")
chosen = pytest.mark.skipif(
    not RUNS_WITHOUT_NUMBERS, reason="ModernBERT of transformers 5.0 has attention of its own"
)


@pytest.fixture
def inputs(spec, store, tmp_path):
    stream = Training(members(spec, store, tmp_path, 1), "cpu").inputs()
    return [next(stream) for _ in range(12)]


class Recorder(TorchDispatchMode):
    """The operations of attention that reach a device: name, arguments and results."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        found = operation(*arguments, **(options or {}))
        if "attention" in operation.__name__:
            self.calls.append((operation.__name__, arguments, found))
        return found


@pytest.fixture
def without_numbers(monkeypatch):
    """Let the device ``meta``, where tensors have shapes alone, pass for a GPU with a certain kernel."""
    adamw, build = torch.optim.AdamW, train_step.build_model

    def built(preset, vocabulary, window, seed, dropout):
        with torch.device("meta" if seed else "cpu"):  # seed 0: what is filled and written
            return build(preset, vocabulary, window, seed, dropout)

    def optimiser(groups, lr, fused, capturable, betas):  # the fused one has no form without numbers
        return adamw(groups, 1e-3, betas)

    def prepared(kernel):
        monkeypatch.setattr(train_step, "build_model", built)
        monkeypatch.setattr(train_step, "is_gpu", lambda device: device == "meta")
        monkeypatch.setattr(attention, "kernel_for", lambda *given: kernel)
        monkeypatch.setattr(torch.optim, "AdamW", optimiser)

    return prepared


@chosen
@pytest.mark.parametrize(
    ("preset", "kernel", "precision"),
    [("modernbert-2x64", "efficient", "float32"), ("modernbert-2x64", "flash", "bfloat16"),
     ("bert-2x64", "efficient", "bfloat16")],
)  # fmt: skip
def test_members_in_one_program_have_gradients_there(
    monkeypatch, without_numbers, spec, inputs, preset, kernel, precision
):
    """The kernel is called once a layer, in the right precision, with what its backward pass reads."""
    monkeypatch.setattr(transformers.masking_utils, "is_tracing", lambda *_: True)  # as while a step is recorded
    without_numbers(kernel)
    trainer = Trainer(spec.model_copy(update={"preset": preset, "precision": precision}), [1, 2, 3], "meta")
    given = tuple(tensor.to("meta") for tensor in inputs[0])
    with Recorder() as recorder:
        losses = trainer.losses(given)
        losses.sum().backward()
    forward = [call for call in recorder.calls if "backward" not in call[0]]
    backward = [call for call in recorder.calls if "backward" in call[0]]
    assert len(forward) == len(backward) == 2 and all(kernel in name for name, _, _ in recorder.calls)
    for _, arguments, found in forward:
        queries, sums = arguments[0], found[1]
        assert queries.dtype == getattr(torch, precision)
        assert sums.shape[-1] >= queries.shape[-2] and sums.shape[:2] == queries.shape[:2]
    assert losses.shape == (3,) and losses.dtype == torch.float32
    for parameter in trainer.parameters.values():
        assert parameter.grad is not None and parameter.grad.shape == parameter.shape
        assert parameter.dtype == parameter.grad.dtype == torch.float32
    trainer.update()


@chosen
@pytest.mark.parametrize("seeds", [[1], [1, 2]])
def test_a_written_member_knows_nothing_of_it(without_numbers, spec, tmp_path, seeds):
    without_numbers("flash")
    trainer = Trainer(spec, seeds, "meta")
    assert trainer.model.config._attn_implementation == attention.NAMES["flash"]
    weights = {name: torch.ones(value.shape) for name, value in trainer.model.named_parameters()}
    trainer.filled(weights).save_pretrained(tmp_path)
    assert "gfm_" not in (tmp_path / "config.json").read_text()
    assert all((value == 1).all() for value in trainer.written.parameters())


@pytest.mark.parametrize("preset", ["modernbert-2x64", "bert-2x64", "roformer-2x64"])
@pytest.mark.parametrize(("seeds", "tracing"), [([1], False), ([1, 2], True)])
def test_the_registered_attention_is_the_models_own(monkeypatch, spec, inputs, preset, seeds, tracing):
    """To rounding; and the step is the same where transformers would make a mask, as while one is recorded."""
    own, registered = (Trainer(spec.model_copy(update={"preset": preset}), seeds, "cpu") for _ in range(2))
    own.losses(inputs[0]).sum().backward()
    attention.use(registered.model, "plain")
    monkeypatch.setattr(transformers.masking_utils, "is_tracing", lambda *given: tracing)
    registered.losses(inputs[0]).sum().backward()
    for name, parameter in own.parameters.items():
        torch.testing.assert_close(registered.parameters[name].grad, parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("can", "kernels"),
    [
        ((True, True), ("flash", "efficient", "efficient")),
        ((False, True), ("efficient",) * 3),
        ((False, False), ("plain",) * 3),
    ],
)
def test_which_kernel_a_device_gets(monkeypatch, can, kernels):
    """FlashAttention for bfloat16 where there is one, then the efficient one, then the formula."""
    for name, there in zip(("flash", "efficient"), can, strict=True):
        monkeypatch.setattr(attention, f"can_use_{name}_attention", lambda given, there=there: there)
    asked = ((torch.bfloat16, 32), (torch.bfloat16, 12), (torch.float32, 32))
    assert tuple(attention.kernel_for("cpu", *one) for one in asked) == kernels


class Streams:
    """Stands in for the streams and graphs of a GPU; each stream has a pool of memory of its own."""

    def __init__(self, monkeypatch, fails=False):
        self.made, self.pools, self.captures, self.set, self.fails = 0, set(), [], [], fails
        self.trainer, self.replays = None, 0
        monkeypatch.setattr(train_step, "is_gpu", lambda device: True)
        monkeypatch.setattr(attention, "kernel_for", lambda *given: "plain")
        streams = self

        class Stream:
            def __init__(self):
                streams.made += 1
                self.number = streams.made

            def wait_stream(self, other):
                pass

        class Graph:
            def replay(self):
                streams.replays += 1
                streams.trainer._take(streams.trainer.recorded)

        default = Stream()
        self.default, self.made = default, 0
        for name, stand_in in {
            "Stream": Stream, "CUDAGraph": Graph, "stream": self.within, "graph": self.capture,
            "current_stream": lambda: default, "synchronize": lambda: None, "set_stream": self.set.append,
        }.items():  # fmt: skip
            monkeypatch.setattr(torch.cuda, name, stand_in)

    def within(self, stream):
        self.pools.add(stream.number)
        return nullcontext()

    @contextmanager
    def capture(self, graph, stream=None, capture_error_mode="global"):
        """Recording executes nothing: what it did is undone."""
        self.captures.append((stream, capture_error_mode))
        self.pools.add(stream.number if stream is not None else -1)
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        trainer = self.trainer
        before = [trainer.state(member) for member in range(len(trainer.loss))]
        yield
        trainer.load(before, train_step.PLAIN_STEPS)


@pytest.mark.parametrize("seeds", [[1], [1, 2]])
def test_recorded_steps_are_the_steps_in_one_stream(monkeypatch, spec, inputs, seeds):
    def trained():
        streams.trainer = Trainer(spec, seeds, "cpu")
        for step, given in enumerate(inputs):
            streams.trainer.learn(step, given)
        return [value.detach() for value in streams.trainer.parameters.values()]

    streams = Streams(monkeypatch)
    recorded = trained()
    assert streams.made == 1 and len(streams.pools) == 1  # steps and recording share one pool of memory
    ((stream, mode),) = streams.captures
    assert stream is streams.trainer.side and mode == "thread_local"
    assert streams.replays == len(inputs) - train_step.PLAIN_STEPS
    monkeypatch.setattr(train_step, "PLAIN_STEPS", 10**9)
    for one, other in zip(recorded, trained(), strict=True):
        assert torch.equal(one, other)


def test_the_training_step_alone_is_compiled_and_for_its_size_alone(monkeypatch, spec, inputs):
    """Validation in other sizes must not make the step's graph one for any size."""
    compiled, sizes = [], []

    def stand_in(function, **options):
        compiled.append(options)
        return lambda given: sizes.append(tuple(given[0].shape)) or function(given)

    monkeypatch.setattr(torch, "compile", stand_in)
    trainer = Trainer(spec, [1, 2], "cpu", compiled=True)
    held_out = [tensor[:3] for tensor in inputs[0]]
    trainer.validation_losses(held_out)
    for step, given in enumerate(inputs[:2]):
        trainer.learn(step, given)
    trainer.validation_losses(held_out)
    assert compiled == [{"dynamic": False}] and sizes == [(spec.batch, spec.window)] * 2
