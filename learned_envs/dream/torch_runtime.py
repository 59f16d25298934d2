"""Plays a checkpoint with torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch.nn.utils import convert_conv2d_weight_memory_format

from learned_envs import worlds
from learned_envs.dream.dream_spec import DreamSpec
from learned_envs.dream.runtime import OUTCOME, Outcome, Runtime, RuntimeState
from learned_envs.models.actions import (
    ActionEncoding,
    DiscreteActions,
    MultiDiscreteActions,
)
from learned_envs.models.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
from learned_envs.models.world_model import WorldModel
from learned_envs.worlds.spaces import space_from_json

DEFAULT_FPS = 15


class TorchRuntime(Runtime):
    """A checkpoint's model in torch, in inference mode.

    Args:
        folder: Of the checkpoint.
        device: `cpu` or `cuda`, `cuda:1`, …
        sampler_steps: Of a diffusion model, instead of the checkpoint's.

    Attributes:
        model: The model itself, for who wants to look inside.

    Raises:
        CheckpointError: If the folder cannot be read or contradicts itself.
        ValueError: If torch does not have the device, or the model has no sampler.
    """

    name = "torch"

    def __init__(self, folder: Path, device: str = "cpu", sampler_steps: int | None = None):
        checkpoint = load_checkpoint(folder)
        self.spec = spec_of(checkpoint, folder)
        self.device = device
        self.state_shapes = self.spec.state
        if torch.device(device).type == "cuda" and not torch.cuda.is_available():
            raise ValueError(
                f"device={device!r} was given, but torch finds no GPU: use device='cpu', or "
                "install a build of torch that fits this machine's GPU"
            )
        model = checkpoint.model
        if sampler_steps is not None:
            model = _with_steps(model, sampler_steps)
        dynamics = model.config.dynamics
        if isinstance(dynamics, DiffusionDynamicsConfig):
            self.sampler_steps = dynamics.diffusion.steps
        self.model = convert_conv2d_weight_memory_format(model.to(device), torch.channels_last)

    def start(self, frames: np.ndarray, actions: np.ndarray) -> RuntimeState:
        with torch.inference_mode():
            return self.model.start(self.from_numpy(frames), self.from_numpy(actions))

    def step(
        self, state: RuntimeState, action: np.ndarray, noise: Mapping[str, np.ndarray]
    ) -> tuple[RuntimeState, Outcome]:
        with torch.inference_mode():
            given = {name: self._moved(value) for name, value in noise.items()}
            following, prediction = self.model.step(state, self._moved(action), given)
            zero = torch.zeros_like(prediction.surprise)
            doubt = zero if prediction.doubt is None else prediction.doubt
            reward = zero if prediction.reward is None else prediction.reward
            termination = zero if prediction.termination is None else prediction.termination
            finite = prediction.latent.isfinite().flatten(1).all(1)
            figures = (reward, termination, doubt, prediction.surprise, finite)
            table = torch.stack([figure.float() for figure in figures]).cpu().numpy()
        return following, {
            **dict(zip(OUTCOME, table, strict=False)),
            "finite": (table[-1] > 0) & np.isfinite(table).all(0),
        }

    def frames(self, state: RuntimeState) -> torch.Tensor:
        with torch.inference_mode():
            return self.model.render(state).contiguous()

    def latents(self, state: RuntimeState) -> torch.Tensor:
        return state["latents"][:, -1]

    def rows(self, state: RuntimeState, rows: np.ndarray) -> RuntimeState:
        with torch.inference_mode():
            return {name: value[torch.from_numpy(rows)] for name, value in state.items()}

    def put(self, state: RuntimeState, rows: np.ndarray, source: RuntimeState) -> None:
        with torch.inference_mode():
            for name, value in source.items():
                state[name][torch.from_numpy(rows)] = value

    def to_numpy(self, array: Any) -> np.ndarray:
        return torch.as_tensor(array).detach().cpu().numpy()

    def from_numpy(self, array: np.ndarray) -> torch.Tensor:
        return torch.tensor(array, device=self.device)

    def _moved(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)


def _with_steps(model: WorldModel, steps: int) -> WorldModel:
    dynamics = model.config.dynamics
    if not isinstance(dynamics, DiffusionDynamicsConfig):
        raise ValueError(
            f"`sampler_steps` (={steps}) was given, but {type(model.dynamics).__name__} has no "
            "sampler, it predicts in one pass: leave it out"
        )
    config = dataclasses.replace(model.config, dynamics=dynamics.with_steps(steps))
    with torch.random.fork_rng(devices=[]):
        built = config.build()
    built.load_state_dict(model.state_dict())
    return built.eval().requires_grad_(False)


def spec_of(checkpoint: Checkpoint, folder: Path) -> DreamSpec:
    """Describes the dream that a checkpoint holds.

    Raises:
        CheckpointError: If the action space that its world or its settings name is not what its
            model takes, or its reward comes from a source that this version does not know.
    """
    model, settings = checkpoint.model, checkpoint.settings
    actions = model.config.actions
    space = _action_space(checkpoint)
    if not _takes(actions, space):
        raise CheckpointError(
            f"{folder}: world {checkpoint.world!r} has actions {space}, but the model was built "
            f"for {actions}: these weights are of another world, or of another version of it"
        )
    metadata = model.config.metadata
    said = metadata is not None and metadata.reward is not None
    own = "metadata" if said else "head" if model.heads is not None else "none"
    reward = settings.get("reward", own)
    can = {
        "head": model.heads is not None and not said,
        "metadata": said,
        "frames": checkpoint.world in worlds.names() and bool(worlds.get(checkpoint.world).task),
        "none": True,
    }
    if not can.get(reward):
        raise CheckpointError(
            f"{folder}: the reward's source is {reward!r}; expected 'head' or 'metadata' (of a "
            "model that has one), 'frames' (of a world with a task that they are judged by) or "
            "'none'"
        )
    height, width = model.config.image_size
    return DreamSpec(
        source=str(folder),
        world=checkpoint.world,
        observation_space=spaces.Box(0, 255, (height, width, 3), np.uint8),
        action_space=space,
        ages=model.ages,
        idle_action=actions.idle,
        latent_shape=model.codec.latent_shape,
        state=model.state_spec,
        noise=model.noise_spec,
        variables=metadata.names if metadata is not None else (),
        reward=reward,
        fps=settings.get("fps", DEFAULT_FPS),
        max_episode_steps=settings.get("max_episode_steps"),
        start_frames=checkpoint.starts.frames.numpy(),
        start_actions=checkpoint.starts.actions.numpy(),
    )


def _takes(actions: ActionEncoding, space: gym.Space[Any]) -> bool:
    """Whether a model's encoding is one of actions of that space."""
    match actions:
        case DiscreteActions():
            return isinstance(space, spaces.Discrete) and space.n == actions.count
        case MultiDiscreteActions():
            return (
                isinstance(space, spaces.MultiDiscrete)
                and tuple(space.nvec.tolist()) == actions.counts
            )
        case _:
            return space.shape == actions.shape


def _action_space(checkpoint: Checkpoint) -> gym.Space[Any]:
    """The space that the settings describe, else the world's own, else one made for the model."""
    if "action_space" in checkpoint.settings:
        return space_from_json(checkpoint.settings["action_space"])
    if checkpoint.world in worlds.names():
        return deepcopy(worlds.get(checkpoint.world).action_space)  # its generator is one's own
    actions = checkpoint.model.config.actions
    if isinstance(actions, DiscreteActions):
        return spaces.Discrete(actions.count)
    if isinstance(actions, MultiDiscreteActions):
        return spaces.MultiDiscrete(list(actions.counts))
    return spaces.Box(0.0, 1.0, actions.shape, np.float32)
