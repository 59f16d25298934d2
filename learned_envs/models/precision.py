"""In which precision a device multiplies matrices fastest."""

import torch


def half_precision_pays(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32.

    On a processor without AVX-512, PyTorch computes convolutions in bfloat16 by plain loops: a step
    of Breakout's training took 7.3 s instead of 0.9 on two cores with AVX2. Processors that are no
    x86 count among these, though nothing was measured on them.
    """
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability() == "AVX512"


def mixed_precision(device: torch.device) -> torch.autocast:
    """A context for training in which matrices are multiplied in bfloat16 where that is faster.

    Cast weights are not kept for the rest of the context: an optimiser may move them within it.
    """
    fast = half_precision_pays(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=fast, cache_enabled=False)
