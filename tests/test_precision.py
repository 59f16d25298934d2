import pytest
import torch
from torch.nn import functional as F

from learned_envs.models.precision import mixed_precision


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [("AVX512", torch.bfloat16), ("AVX2", torch.float32), ("DEFAULT", torch.float32)],
)
def test_half_precision_is_for_processors_that_are_fast_in_it(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    image, kernel = torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3)
    with mixed_precision(torch.device("cpu")):
        assert F.conv2d(image, kernel).dtype == dtype
    assert F.conv2d(image, kernel).dtype == torch.float32


def test_a_moved_weight_counts_within_the_same_context(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    image, kernel = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4, requires_grad=True)
    with mixed_precision(torch.device("cpu")):
        before = F.conv2d(image, kernel).item()
        with torch.no_grad():
            kernel.mul_(2)
        assert F.conv2d(image, kernel).item() == 2 * before
