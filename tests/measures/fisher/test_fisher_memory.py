"""What is held at once, on a CPU and on a stand-in for a GPU: no device is asked but for its free memory."""

import pytest
import torch

from gfm_utils.ensembles import build_model
from gfm_utils.measures.fisher import fisher_types, layers
from gfm_utils.measures.fisher.examples import MaskedTokens

GPU = torch.device("cuda")


@pytest.fixture
def free(monkeypatch):
    """Sets the free bytes of the GPU, of which another 2**10 are kept by PyTorch, unused."""
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda where: 3 * 2**10)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda where: 2 * 2**10)
    return lambda count: monkeypatch.setattr(torch.cuda, "mem_get_info", lambda where: (count, 2**40))


@pytest.mark.parametrize("preset", ["modernbert-6x256", "bert-90m", "roformer-2x64"])
def test_batches_fill_a_gpu_and_fit_into_it(preset, free, monkeypatch):
    with torch.device("meta"):
        model = build_model(preset, 4101, 128, 1).eval()
    places = torch.arange(12).repeat(64, 1)
    given = MaskedTokens(torch.full((64, 128), 7), places, torch.full_like(places, 9), 4)
    sizes = [fisher_types.batch_size(model, given)]
    monkeypatch.setattr(type(model), "device", property(lambda self: GPU))
    for gigabytes in (1e-3, 8, 16, 10**6, 10**7):
        free(int(gigabytes * 2**30))
        sizes.append(fisher_types.batch_size(model, given))
    assert sizes[0] == sizes[1] and 5 * sizes[0] < sizes[2] < sizes[3] < sizes[4] == sizes[5]
    assert 1.9 < sizes[3] / sizes[2] < 2.4


def test_a_gpus_memory_counts_what_is_kept_unused_and_a_cpu_has_its_own(free):
    free(2**34)
    assert layers.values_at_once(5, GPU) == (2**34 + 2**10) // layers.BYTES
    assert layers.values_at_once(2**35, GPU) == 2**35
    assert layers.values_at_once(5, torch.device("cpu")) == 5
