"""How much is held at once: on a CPU what its caches hold, on a GPU a share of the memory that is free."""

import torch

#: Bytes of a GPU's free memory for each value: up to five copies in float32, and some room.
BYTES = 32
#: Values beyond which more at once make no GPU faster; with fewer the free memory decides.
LARGEST = 2**30


def values_at_once(on_cpu: int, where: torch.device) -> int:
    """Values of a batch, or of gradients that are formed, to be held at once on a device.

    Args:
        on_cpu: how many on a CPU, and on any other device at least.
        where: the device; what PyTorch keeps of a GPU's memory without using it counts as free.
    """
    if where.type != "cuda":
        return on_cpu
    free, _ = torch.cuda.mem_get_info(where)
    free += torch.cuda.memory_reserved(where) - torch.cuda.memory_allocated(where)
    return max(on_cpu, min(LARGEST, free // BYTES))
