"""Models for worlds of one's own, made to measure, and which of them suits a recording."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from learned_envs.worlds.spaces import KINDS_OF_ACTIONS
from learned_envs.worlds.world import World

if TYPE_CHECKING:
    from learned_envs.models.actions import ActionEncoding
    from learned_envs.models.heads import HeadsConfig
    from learned_envs.models.world_model import WorldModelConfig
    from learned_envs.training.recipe import Recipe

SPARSE = 0.15
"""Share of the picture up to which what changes in a step is written place by place.

Views that turn with a player change half of their places in a step; boards, courts and maps a tenth
and less, and stand still in between, which only a dream that leaves them alone does.
"""

STABLE_DIFFUSION = "stabilityai/sd-vae-ft-mse"
"""Hub id of the autoencoder of Stable Diffusion, fine-tuned for faithful pictures."""

LCM_DREAMSHAPER = "SimianLuo/LCM_Dreamshaper_v7"
"""Hub id of a pipeline of Stable Diffusion's size that was distilled to draw in few passes."""

_SHIFTED = 32  # pixels of the shorter side, for latents to be shifted and still overlap

FEW_REWARDS = 8
"""Rewards of so many values are told apart; of more, they are estimated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What decides how a recorded world is best dreamed.

    Attributes:
        changing: Share of the 4x4 patches of the picture that change in a step, in the mean over
            all steps.
        rewards: The values that rewards take, ascending, if they are few; else empty.
    """

    changing: float
    rewards: tuple[float, ...] = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Facts:
        """Reads what `dataclasses.asdict` made of it, after JSON."""
        return cls(changing=values["changing"], rewards=tuple(values["rewards"]))

    @property
    def preset(self) -> str:
        """The preset to choose."""
        return "sparse" if self.changing <= SPARSE else "latent"

    @property
    def reason(self) -> str:
        """Why that one, in one line."""
        share = f"{self.changing:.1%} of the picture changes in a step"
        if self.preset == "sparse":
            return f"{share}, no more than {SPARSE:.0%}: it is rewritten where it changes"
        return f"{share}, more than {SPARSE:.0%}: each picture is drawn whole, from latents"


def with_presets(world: World, facts: Facts) -> World:
    """The same world of one's own, with the presets that can dream it."""
    return dataclasses.replace(
        world,
        presets={
            "sparse": partial(sparse, world, facts),
            "latent": partial(latent, world, facts),
            "seed": partial(seed, world, facts),
            "pretrained": partial(pretrained, world, facts),
        },
        recipes={
            "sparse": sparse_recipe,
            "latent": partial(latent_recipe, world),
            "seed": seed_recipe,
            "pretrained": pretrained_recipe,
        },
    )


def sparse(world: World, facts: Facts) -> WorldModelConfig:
    """A sparse editor of pixels, as the packaged Breakout has: for things that move on a ground."""
    from learned_envs.models.codecs.identity import IdentityConfig
    from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=_image_size(world),
        actions=encoding(world.action_space, world.idle_action),
        codec=IdentityConfig(),
        dynamics=SparseEditorConfig(as_dreamed=0.33, memory=32),
        heads=_heads(facts, patch=4),
    )


def sparse_recipe() -> Recipe:
    """Under two hours on one core with AMX, the last 40% in the model's own footsteps.

    Small batches: with the same time, four times as many steps of 8 rows get further than of 32.
    """
    from learned_envs.training.recipe import Recipe

    return Recipe(
        steps=60_000, batch=8, window=32, decay=0.5, warmup=300,
        closing=((0.6, 0.0), (0.7, 0.95)), on_truth=0.6, divergence=3.0,
    )  # fmt: skip


def latent(world: World, facts: Facts) -> WorldModelConfig:
    """Diffusion of an autoencoder's latents in three passes: for views that change as a whole."""
    from learned_envs.models.codecs.autoencoder import AutoencoderConfig
    from learned_envs.models.diffusion import DiffusionConfig
    from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
    from learned_envs.models.dynamics.edm_unet import EdmUNetConfig
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=_image_size(world),
        actions=encoding(world.action_space, world.idle_action),
        codec=AutoencoderConfig(channels=8, factor=4, widths=(48, 96), noise=0.05),
        dynamics=DiffusionDynamicsConfig(
            denoiser=EdmUNetConfig(widths=(64, 96), blocks=(2, 1), attention=False),
            diffusion=DiffusionConfig(steps=3, sigma_min=1e-2),
            context_noise=0.1,
            carry=48,
        ),
        heads=_heads(facts, patch=2),
    )


def latent_recipe(world: World) -> Recipe:
    """Forty minutes on one core with AMX: the codec, then dynamics, at last in their footsteps."""
    from learned_envs.training.codec import CodecRecipe
    from learned_envs.training.recipe import Recipe

    shifts = min(_image_size(world)) >= _SHIFTED
    return Recipe(
        steps=8_000, batch=32, window=16, decay=0.4, warmup=300, learning_rate=4e-4,
        closing=((0.7, 0.0), (0.8, 0.7)), on_truth=0.5, damaged=0.0, divergence=30.0,
        codec=CodecRecipe(steps=2_500, batch=32, equivariance=0.1 if shifts else 0.0),
    )  # fmt: skip


def seed(world: World, facts: Facts, pretrained: str = STABLE_DIFFUSION) -> WorldModelConfig:
    """The published model for footage: pretrained latents, ten past frames by cross-attention.

    `pretrained` is the folder or hub id of their autoencoder, or of a pipeline that has one. Of the
    model's sizes only the ten frames are known. Ours, 48M parameters and 33 GFLOP a pass at 256x256
    pixels, sees 5 million frames in 12 hours at a third of an A100's peak in bf16. It has a level
    less for every time that the latents cannot be halved.
    """
    from learned_envs.models.codecs.pretrained import pretrained_autoencoder
    from learned_envs.models.diffusion import DiffusionConfig
    from learned_envs.models.dynamics.cross_attention import CrossAttentionConfig
    from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
    from learned_envs.models.world_model import WorldModelConfig

    size, codec = _image_size(world), pretrained_autoencoder(pretrained)
    sides = [side // codec.factor for side in size]
    halvings = min(2, *((side & -side).bit_length() - 1 for side in sides))
    widths = CrossAttentionConfig().widths[2 - halvings :]
    return WorldModelConfig(
        image_size=size,
        actions=encoding(world.action_space, world.idle_action),
        codec=codec,
        dynamics=DiffusionDynamicsConfig(
            context=10,
            denoiser=CrossAttentionConfig(
                widths=widths, blocks=(2,) * len(widths), asking=min(2, len(widths)),
                patch=2 if halvings else 1, told="tokens",
            ),
            diffusion=DiffusionConfig(steps=3),
        ),
        heads=_heads(facts, patch=2**halvings),
    )  # fmt: skip


def seed_recipe() -> Recipe:
    """Teacher forcing only, as far as it was told."""
    from learned_envs.training.recipe import Recipe

    return Recipe(
        steps=80_000, round_steps=100, batch=64, window=16, learning_rate=1e-4, decay=0.0,
        closing=((0.0, 0.0),),
    )  # fmt: skip


def pretrained(world: World, facts: Facts, pretrained: str = LCM_DREAMSHAPER) -> WorldModelConfig:
    """Autoencoder and UNet of the pipeline `pretrained` (folder or hub id), taught this world."""
    size, actions = _image_size(world), encoding(world.action_space, world.idle_action)
    return dataclasses.replace(taught(pretrained, size, actions), heads=_heads(facts, patch=1))


def taught(pipeline: str, image_size: tuple[int, int], actions: ActionEncoding) -> WorldModelConfig:
    """A pretrained latent diffusion model that is taught a world in two stages.

    Args:
        pipeline: Folder or hub id of autoencoder, UNet and schedule.
        image_size: (H, W) of the world's frames, divisible by the autoencoder's shrinking.
        actions: How it is told them.

    Raises:
        ValueError: If there is no such pipeline, or it draws in another way.
        gymnasium.error.DependencyNotInstalled: If diffusers is missing.
    """
    from learned_envs.models.codecs.pretrained import pretrained_autoencoder
    from learned_envs.models.diffusion import predicting_noise
    from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
    from learned_envs.models.dynamics.pretrained_unet import pretrained_unet
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=image_size,
        actions=actions,
        codec=pretrained_autoencoder(pipeline),
        dynamics=DiffusionDynamicsConfig(
            denoiser=pretrained_unet(pipeline), diffusion=predicting_noise(), context_noise=0.1
        ),
    )


def pretrained_recipe() -> Recipe:
    """Two stages: frames alone through adapters, then with their past, actions and variables."""
    from learned_envs.training.frames import FramesRecipe
    from learned_envs.training.recipe import Recipe

    return Recipe(
        steps=20_000, round_steps=250, batch=16, window=16, learning_rate=1e-4, decay=0.2,
        closing=((0.0, 0.0),), frames=FramesRecipe(steps=3_000, round_steps=250),
    )  # fmt: skip


def encoding(space: gym.Space, idle: object) -> ActionEncoding:
    """How a model is told actions of a space.

    Raises:
        ValueError: If it is not a kind of space that a dream can have.
    """
    from learned_envs.models.actions import DiscreteActions, MultiDiscreteActions, VectorActions

    still = np.asarray(idle)
    match space:
        case spaces.Discrete(start=0):
            return DiscreteActions(count=int(space.n), idle=int(still))
        case spaces.MultiDiscrete() if not np.any(space.start):
            return MultiDiscreteActions(
                counts=tuple(space.nvec.tolist()), idle=tuple(still.tolist())
            )
        case spaces.MultiBinary():
            return VectorActions(idle=tuple(still.astype(float).tolist()))
        case spaces.Box():
            ends = np.maximum(abs(space.low), abs(space.high)).astype(float)
            scale = np.where(np.isfinite(ends) & (ends > 0), ends, 1.0)
            return VectorActions(
                idle=tuple(still.astype(float).tolist()), scale=tuple(scale.tolist())
            )
    raise ValueError(f"actions {space} were given: a dream has {KINDS_OF_ACTIONS}, from 0 on")


def _image_size(world: World) -> tuple[int, int]:
    height, width, _ = world.observation_space.shape
    return height, width


def _heads(facts: Facts, patch: int) -> HeadsConfig:
    from learned_envs.models.heads import HeadsConfig

    return HeadsConfig(rewards=facts.rewards, patch=patch)
