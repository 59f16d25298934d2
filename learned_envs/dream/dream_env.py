"""One dream as a Gymnasium environment, and how an environment finds its model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from learned_envs import worlds
from learned_envs.dream.dream import Dream
from learned_envs.dream.open_runtime import open_runtime
from learned_envs.dream.runtime import Runtime
from learned_envs.dream.weights import resolve


def refuse(world: str | None, options: Mapping[str, Any]) -> None:
    """Says why a dream takes none of these options.

    Raises:
        ValueError: If it is one that only the real env of `world` has.
        TypeError: If it is any other.
    """
    reasons = worlds.get(world).undreamt if world else {}
    for name, value in options.items():
        if name in reasons:
            raise ValueError(
                f"`{name}` (={value!r}) was given, but the dream of {world!r} has no such option: "
                f"{reasons[name]}. Leave it out, or make the Real id"
            )
        raise TypeError(f"`{name}` (={value!r}) is no argument of a dream")


def open_dream(
    weights: str | Path | None,
    world: str | None,
    runtime: str,
    device: str,
    sampler_steps: int | None,
) -> Runtime:
    """Finds and loads the model that an environment dreams with.

    Args:
        weights: See `learned_envs.dream.weights.resolve`.
        world: The world whose spaces it must have, or None for any.
        runtime: See `learned_envs.dream.open_runtime.open_runtime`.
        device: See `learned_envs.dream.open_runtime.open_runtime`.
        sampler_steps: See `learned_envs.dream.open_runtime.open_runtime`.

    Raises:
        ValueError: If the weights are not found, cannot be read, or have other spaces than `world`.
        gymnasium.error.DependencyNotInstalled: If a package is missing; the message names it.
    """
    opened = open_runtime(resolve(weights, world), runtime, device, sampler_steps)
    if world is None:
        return opened
    expected, spec = worlds.get(world), opened.spec
    for kind in ("observation_space", "action_space"):
        theirs, ours = getattr(expected, kind), getattr(spec, kind)
        if theirs != ours:
            raise ValueError(
                f"{spec.source} dreams {spec.world or 'an unnamed world'} with {kind} {ours}, but "
                f"{world!r} has {theirs}: give weights trained on {world!r}, or make the "
                '"Dream-v0" environment, which plays any'
            )
    return opened


class DreamEnv(gym.Env[np.ndarray, Any]):
    """A world that happens inside a world model.

    ## Description
    `step` runs one step of a small learned model in place of a simulator. What it shows follows
    from its own last frames, the action and a little noise; nothing of the real world runs.

    ## Action Space
    That of the world, equal to its `Real-` id's; for `Dream-v0` the one that the checkpoint names.

    ## Observation Space
    That of the world, equal to its `Real-` id's: `Box(0, 255, (H, W, 3), uint8)`, RGB.

    ## Rewards
    With the meaning that the reward has in the real world: judged from the frames by the same
    function where the world has one (`info` at reset then holds the goal that the seed chose, equal
    to the real env's), else read by the model's reward head from how the dreamed picture changed; 0
    for a model without one.

    ## Starting State
    One of the recorded contexts in the checkpoint, chosen by the seed, or the one whose number is
    `options={"start": i}`, or one's own: `options={"frames": (k, H, W, 3) uint8, "actions":
    (k - 1, ...)}`, consecutive, oldest first, k >= 1. The model looks at those of the ages that it
    wants; before the first of them all is taken to have been as it is there, and idle. A goal can
    be given by its name. `info` at reset names the `runtime` and the `device`: with both and the
    machine the same, equal seeds and actions give equal bytes.

    ## Episode End
    Terminated when the model gives the end a probability above 0.5. The registered id of a world
    truncates at the world's limit, `Dream-v0` at the checkpoint's own.

    `info["doubt"]` in [0, 1] says after every step how unsure the model is: the share of real,
    held-out one-step predictions that it was surer of.

    Where the model is told the world's own variables, `info` holds them from reset on, as the
    model predicts them. At reset they are read from the frames.

    ## Arguments
    - `weights`: name of a world with packaged weights, folder of a checkpoint, exported `.onnx`
      file or hub id (`owner/name@revision`); the world's packaged weights if not given.
    - `world`: name of the world whose spaces the weights must have; the ids set it.
    - `runtime`: `"torch"`, `"onnx"`, or `"auto"`: `"onnx"` for an exported file and, on the CPU,
      for a checkpoint that holds its graph, as the packaged ones do.
    - `device`: `"cpu"` or `"cuda"`.
    - `sampler_steps`: of a diffusion model, instead of the checkpoint's.
    - `render_mode`: None or `"rgb_array"`.
    - `own_limit`: truncate at the checkpoint's own step limit; `Dream-v0` sets it.

    `env.unwrapped.get_state()` and `set_state(state)` branch: a state restored here or in another
    environment with the same weights and runtime has the same future.

    ## Vectorized environment
    `gymnasium.make_vec("Dream-Breakout-v0", n)` steps n dreams in one batch: `DreamVectorEnv`.

    ## Version History
    v0: first version.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        world: str | None = None,
        runtime: str = "auto",
        device: str = "cpu",
        sampler_steps: int | None = None,
        render_mode: str | None = None,
        own_limit: bool = False,
        **others: Any,
    ):
        refuse(world, others)
        self._dream = Dream(open_dream(weights, world, runtime, device, sampler_steps), 1)
        spec = self._dream.spec
        self.metadata = {**self.metadata, "render_fps": spec.fps}
        self.render_mode = render_mode
        self.observation_space, self.action_space = spec.observation_space, spec.action_space
        self._limit = spec.max_episode_steps if own_limit else None
        self._playing = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins a dream; see the class for `options`.

        Raises:
            ValueError: If an option is unknown, or of another shape, dtype or range.
        """
        super().reset(seed=seed)
        self._dream.start(np.zeros(1, np.int64), [self.np_random], [options or {}])
        self._playing = True
        runtime = self._dream.runtime
        info = {"runtime": runtime.name, "device": runtime.device}
        goal = {name: value[0].copy() for name, value in self._dream.goals.items()}
        return self._observe(), info | goal | self._variables()

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Dreams one step.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset or after the end of a dream.
            gymnasium.error.InvalidAction: If `action` is not in the action space.
            DreamError: If the model predicts what is no number.
        """
        if not self._playing:
            raise gym.error.ResetNeeded("the dream is not running: call reset() before step()")
        reward, terminated, doubt = self._dream.advance(
            np.asarray(action)[None], np.ones(1, bool), [self.np_random]
        )
        truncated = self._limit is not None and self._dream.age[0] >= self._limit
        self._playing = not (terminated[0] or truncated)
        info = {"doubt": float(doubt[0])} | self._variables()
        return self._observe(), float(reward[0]), bool(terminated[0]), bool(truncated), info

    def _variables(self) -> dict[str, float]:
        return {name: float(value[0]) for name, value in self._dream.variables().items()}

    def render(self) -> np.ndarray | None:
        """Returns the current frame (H, W, 3) uint8 in `rgb_array` mode, else None."""
        return self._observe() if self.render_mode == "rgb_array" else None

    @property
    def runtime(self) -> Runtime:
        """What steps the model."""
        return self._dream.runtime

    def latent(self) -> np.ndarray:
        """Returns a copy of the newest latent (C, h, w) float32. There is none before a reset."""
        return np.array(self.runtime.to_numpy(self._dream.latents())[0], np.float32)

    def get_state(self) -> dict[str, Any]:
        """Returns a copy of the whole state, the random generator and the frame included.

        Raises:
            ValueError: Before the first reset.
        """
        random = self.np_random.bit_generator.state
        return {**self._dream.get_state(), "playing": self._playing, "random": random}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned, here or in another `DreamEnv` of the same kind.

        Raises:
            ValueError: If it is the state of another model or runtime.
        """
        self._dream.set_state(state)
        self._playing = state["playing"]
        self.np_random.bit_generator.state = state["random"]

    def _observe(self) -> np.ndarray:
        return self._dream.runtime.to_numpy(self._dream.frames())[0].copy()
