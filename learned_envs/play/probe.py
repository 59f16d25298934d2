"""Looks inside a network while it dreams: how strongly each block speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from learned_envs.dream.runtime import Runtime


class BlockProbe:
    """Root mean squares of what the blocks of a network put out, by forward hooks.

    Blocks are the modules of the dynamics whose class is called so (`ResidualBlock`, `UpBlock`, …),
    the outer ones where they are nested. A network that runs several times a step, as a sampler's
    does, shows its last pass.

    Args:
        model: The world model whose dynamics are looked into.
    """

    def __init__(self, model: nn.Module):
        self._norms: dict[str, float] = {}
        dynamics = model.get_submodule("dynamics")
        names: list[str] = []
        for name, module in dynamics.named_modules():
            inside = any(name.startswith(f"{outer}.") for outer in names)
            if type(module).__name__.endswith("Block") and not inside:
                names.append(name)
        self._hooks = [
            dynamics.get_submodule(name).register_forward_hook(self._listener(name))
            for name in names
        ]

    def norms(self) -> tuple[tuple[str, float], ...]:
        """Names and root mean squares, in the order in which the blocks ran."""
        return tuple(self._norms.items())

    def remove(self) -> None:
        """Takes the hooks away."""
        for hook in self._hooks:
            hook.remove()

    def _listener(self, name: str) -> Any:
        def listen(module: nn.Module, inputs: Any, output: Any) -> None:
            self._norms[name] = float(output.detach().float().square().mean().sqrt())

        return listen


def probe(runtime: Runtime) -> BlockProbe | None:
    """A probe of a runtime's network, or None if the runtime does not let one look inside."""
    from learned_envs.dream.torch_runtime import TorchRuntime

    return BlockProbe(runtime.model) if isinstance(runtime, TorchRuntime) else None
