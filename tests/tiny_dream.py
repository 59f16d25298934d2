"""Checkpoints of tiny models with random weights, made on the spot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from learned_envs.models.actions import DiscreteActions, VectorActions
from learned_envs.models.checkpoint import Starts, save_checkpoint
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
from learned_envs.models.heads import HeadsConfig
from learned_envs.models.world_model import DynamicsConfig, WorldModel, WorldModelConfig

EDITOR = SparseEditorConfig(widths=(8, 8), head=8, glimpses=1, glimpse=8, glimpse_widths=(8, 8, 8))
SIZE = 16
CONTEXTS = 5


def tiny_config(
    size: int = SIZE,
    dynamics: DynamicsConfig = EDITOR,
    actions: DiscreteActions | VectorActions | None = None,
) -> WorldModelConfig:
    """Pixels, three actions, rewards of 0 and 1."""
    return WorldModelConfig(
        image_size=(size, size),
        actions=actions or DiscreteActions(count=3),
        codec=IdentityConfig(),
        dynamics=dynamics,
        heads=HeadsConfig(rewards=(0.0, 1.0), width=8),
    )


def tiny_model(config: WorldModelConfig | None = None, *, ends: bool = False) -> WorldModel:
    """A lively model: half of its places change in every step. With `ends`, each is its last."""
    torch.manual_seed(0)
    model = (config or tiny_config()).build()
    with torch.no_grad():
        model.surprises.copy_(torch.linspace(-3, 3, len(model.surprises)))
        if isinstance(model.config.dynamics, SparseEditorConfig):
            model.dynamics.write[2].weight.mul_(30)
            model.dynamics.write[2].bias.fill_(-0.3)
        if model.heads is not None:
            model.heads.termination.weight.zero_()
            model.heads.termination.bias.fill_(4.0 if ends else -4.0)
    return model


def tiny_starts(config: WorldModelConfig, length: int = 4) -> Starts:
    """Five contexts of noise."""
    random = torch.Generator().manual_seed(1)
    shape = (CONTEXTS, length, *config.image_size, 3)
    between = (CONTEXTS, length - 1, *config.actions.shape)
    return Starts(
        frames=torch.randint(0, 256, shape, dtype=torch.uint8, generator=random),
        actions=torch.randint(0, 2, between, generator=random).to(config.actions.dtype),
    )


def save_tiny(
    folder: Path,
    model: WorldModel | None = None,
    *,
    world: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a checkpoint and returns its folder."""
    model = model or tiny_model()
    starts = tiny_starts(model.config)
    save_checkpoint(folder, model, starts, world=world, settings=settings)
    return folder
