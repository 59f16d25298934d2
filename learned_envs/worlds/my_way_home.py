"""My Way Home: a walk through rooms and corridors, known only from two hours of footage.

Filmed in ViZDoom's scenario of that name by `docs/film_my_way_home.py`; there is no simulator
behind it, and what is known of it is what `learned-envs record video` finds in the clips. Now and
then a menu opens in the footage by a key that is not in its log.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces

from learned_envs.worlds import own_presets
from learned_envs.worlds.own import OwnWorld, as_world
from learned_envs.worlds.spaces import space_to_json

if TYPE_CHECKING:
    from learned_envs.models.world_model import WorldModelConfig
    from learned_envs.training.recipe import Recipe

_INPUTS = ("forward", "back", "left", "right")
_KEYS = {"up": 0, "w": 0, "down": 1, "s": 1, "left": 2, "a": 2, "right": 3, "d": 3}

FILMED = OwnWorld(
    name="my_way_home",
    env=None,
    env_kwargs={"kinds": dict.fromkeys(_INPUTS, "held"), "take_seconds": 60.0},
    image_size=(64, 88),
    fps=15,
    max_episode_steps=1000,
    action_space=space_to_json(spaces.Box(0, 1, (4,), np.float32)),
    action_names=_INPUTS,
    idle_action=[0.0] * 4,
    keys={key: [float(i == place) for i in range(4)] for key, place in _KEYS.items()},
)


def small() -> WorldModelConfig:
    """The packaged model: diffusion in three passes, of the latents of an autoencoder of ours."""
    from learned_envs.models.codecs.autoencoder import AutoencoderConfig
    from learned_envs.models.diffusion import DiffusionConfig, LogNormalSigma
    from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
    from learned_envs.models.dynamics.edm_unet import EdmUNetConfig
    from learned_envs.models.heads import HeadsConfig
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=FILMED.image_size,
        actions=own_presets.encoding(FILMED.space, FILMED.idle_action),
        codec=AutoencoderConfig(channels=8, factor=4, widths=(40, 80), noise=0.05),
        dynamics=DiffusionDynamicsConfig(
            context=6,
            denoiser=EdmUNetConfig(
                widths=(64, 88), blocks=(2, 1), attention=True, head_width=44, embedding=128
            ),
            diffusion=DiffusionConfig(
                training_sigma=LogNormalSigma(mean=-0.2, std=1.4),
                steps=3,
                sigma_max=20.0,
                sigma_min=1e-2,
            ),
            context_noise=0.1,
            carry=48,
        ),
        heads=HeadsConfig(rewards=(0.0,), patch=2),
    )


def small_recipe() -> Recipe:
    """An hour and a half on one core with AMX: the codec, then dynamics, in their own footsteps."""
    from learned_envs.training.codec import CodecRecipe
    from learned_envs.training.recipe import Recipe

    return Recipe(
        steps=20_000, batch=16, window=16, decay=0.4, warmup=300, learning_rate=4e-4,
        closing=((0.6, 0.0), (0.7, 0.8)), on_truth=0.5, damaged=0.0, divergence=30.0,
        codec=CodecRecipe(steps=2_500, batch=32, equivariance=0.1),
    )  # fmt: skip


def seed() -> WorldModelConfig:
    """The published model: ten past frames by cross-attention; here in latents of our own."""
    from learned_envs.models.diffusion import DiffusionConfig
    from learned_envs.models.dynamics.cross_attention import CrossAttentionConfig
    from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig

    return replace(
        small(),
        dynamics=DiffusionDynamicsConfig(
            context=10,
            denoiser=CrossAttentionConfig(widths=(256, 384), blocks=(2, 2), told="tokens"),
            diffusion=DiffusionConfig(steps=3),
        ),
    )


LICENCE = """MIT, like the library, for the weights, which were made by it. Starts and held-out
clips hold pictures of ViZDoom's scenario My Way Home, and dreams draw them: they are
[Freedoom](https://freedoom.github.io)'s, under its BSD licence."""

WORLD = replace(
    as_world(FILMED),
    id_suffix="MyWayHome",
    cap=5 * 2**20,
    licence=LICENCE,
    presets={"small": small, "seed": seed},
    recipes={"small": small_recipe, "seed": own_presets.seed_recipe},
)
