"""Dreams in a batch as one Gymnasium vector environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode

from learned_envs.dream.dream import Dream
from learned_envs.dream.dream_env import open_dream, refuse
from learned_envs.dream.runtime import Runtime
from sims.batch import BatchEnv, info_of_begun


class DreamVectorEnv(BatchEnv):
    """n dreams stepped in one batch; row i seeded with seed + i dreams as `DreamEnv` seeded so.

    The options of `reset` are those of `DreamEnv`, the same for all rows or with a leading axis:
    `frames` (n, k, H, W, 3), `actions` (n, k - 1, ...), `start` (n,). Rows outside `reset_mask` are
    left alone. `options["rows"]`, a dict from row to options, overrides them for single rows.

    `info` at a step holds `doubt` (n,) float64, and `_doubt` (n,) bool: the rows that moved. Where
    the world has a task, `info` at a reset holds the goals of the rows that begin.

    Args:
        num_envs: n.
        weights: As in `DreamEnv`.
        world: As in `DreamEnv`.
        runtime: As in `DreamEnv`.
        device: As in `DreamEnv`.
        sampler_steps: As in `DreamEnv`.
        max_episode_steps: Steps after which a dream is truncated, or None.
        autoreset_mode: `NEXT_STEP` (default), `SAME_STEP` or `DISABLED`.
        render_mode: None or `rgb_array`.
        observations: `numpy` for frames as an array, `torch` for frames as a tensor on `device`,
            `latent` for latents (n, C, h, w) as a float32 tensor on `device`, with nothing decoded.
        own_limit: As in `DreamEnv`; `max_episode_steps` goes before it.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}

    def __init__(
        self,
        num_envs: int = 1,
        weights: str | Path | None = None,
        *,
        world: str | None = None,
        runtime: str = "auto",
        device: str = "cpu",
        sampler_steps: int | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        observations: Literal["numpy", "torch", "latent"] = "numpy",
        own_limit: bool = False,
        **others: Any,
    ):
        refuse(world, others)
        if observations not in ("numpy", "torch", "latent"):
            raise ValueError(
                f"`observations` (={observations!r}) must be 'numpy', 'torch' or 'latent'"
            )
        opened = open_dream(weights, world, runtime, device, sampler_steps)
        self._dream = Dream(opened, num_envs)
        spec = self._dream.spec
        latent = spaces.Box(-np.inf, np.inf, spec.latent_shape, np.float32)
        if max_episode_steps is None and own_limit:
            max_episode_steps = spec.max_episode_steps
        super().__init__(
            num_envs,
            observation_space=latent if observations == "latent" else spec.observation_space,
            action_space=spec.action_space,
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            metadata={**self.metadata, "render_fps": spec.fps},
        )
        self.reset_info = self._runtime_info()
        self.render_mode = render_mode
        self._observations = observations
        self._random = [seeding.np_random(None)[0] for _ in range(num_envs)]

    def _start(
        self, rows: np.ndarray, seeds: Sequence[int | None], options: dict[str, Any]
    ) -> None:
        own = options.pop("rows", {})
        common = self._by_row(options)
        for row, seed in zip(rows, seeds, strict=True):
            if seed is not None:
                self._random[row] = seeding.np_random(seed)[0]
        generators = [self._random[row] for row in rows]
        self._dream.start(rows, generators, [{**common[row], **own.get(row, {})} for row in rows])
        begun = np.isin(np.arange(self.num_envs), rows)
        self.reset_info = self._runtime_info() | info_of_begun(self._dream.goals, begun)
        self.reset_info |= self._variables()

    @property
    def runtime(self) -> Runtime:
        """What steps the model."""
        return self._dream.runtime

    def _runtime_info(self) -> dict[str, Any]:
        runtime = self._dream.runtime
        return {"runtime": runtime.name, "device": runtime.device}

    def _advance(
        self, actions: Any, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        given = self._dream.runtime.to_numpy(actions)
        reward, terminated, doubt = self._dream.advance(given, rows, self._random)
        info = {"doubt": doubt, "_doubt": rows.copy()}
        info |= info_of_begun(self._dream.goals, ~rows)
        return reward, terminated, info | self._variables()

    def _variables(self) -> dict[str, Any]:
        info: dict[str, Any] = self._dream.variables()
        return info | {f"_{name}": np.ones(self.num_envs, bool) for name in info}

    def _observe(self) -> Any:
        if self._observations == "numpy":
            return self._dream.runtime.to_numpy(self._dream.frames()).copy()
        import torch

        shown = self._dream.latents() if self._observations == "latent" else self._dream.frames()
        return torch.as_tensor(shown).clone()  # an ordinary tensor, which autograd can save

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Returns one frame (H, W, 3) uint8 for each dream in `rgb_array` mode, else None."""
        if self.render_mode != "rgb_array":
            return None
        return tuple(self._dream.runtime.to_numpy(self._dream.frames()).copy())

    def get_state(self) -> dict[str, Any]:
        """Returns a copy of the whole state of every row, random generators and frames included.

        Raises:
            ValueError: Before the first reset.
        """
        return {
            **self._dream.get_state(),
            "random": [generator.bit_generator.state for generator in self._random],
            "elapsed": self._elapsed.copy(),
            "ended": self._ended.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned, here or in another batch of the same kind and size.

        Raises:
            ValueError: If it is the state of another model, runtime or number of rows.
        """
        self._dream.set_state(state)
        for generator, saved in zip(self._random, state["random"], strict=True):
            generator.bit_generator.state = saved
        self._elapsed, self._ended = state["elapsed"].copy(), state["ended"].copy()
        self._started = True

    def _by_row(self, options: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Splits options that have a leading row axis; the others are the same for every row."""
        if not options:
            return [{} for _ in range(self.num_envs)]
        shapes = {"frames": 3, "actions": len(self._dream.spec.action_shape), "start": -1}
        shapes |= {name: value.ndim - 2 for name, value in self._dream.goals.items()}
        split: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for name, value in options.items():
            array = np.asarray(value)
            batched = array.ndim == shapes.get(name, array.ndim) + 2
            if batched and len(array) != self.num_envs:
                raise ValueError(
                    f"option `{name}` has shape {array.shape}, with a leading axis of "
                    f"{len(array)}: expected one entry for each of {self.num_envs} rows"
                )
            for row, entry in enumerate(split):
                entry[name] = array[row] if batched else array
        return split
