"""A game of stable-retro as a Gymnasium environment, single and batched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import EzPickle
from gymnasium.vector import AutoresetMode

from sims.batch import SeededBatchEnv
from sims.retro.console import Console

EMULATED_FPS = 60
MAX_NOOPS = 60

_METADATA = {"render_modes": ["rgb_array"], "render_fps": 15}
_OPTIONS = ("state", "noops")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rules:
    """What a game is made of, beside its emulator; `RetroEnv` says what each is."""

    game: str
    actions: Mapping[str, Sequence[str]] | None = None
    image_size: Sequence[int] | None = None
    frame_skip: int = 4
    tapped: Sequence[str] = ()
    variables: Mapping[str, Mapping[str, Any]] | None = None
    states: Sequence[str] = ()
    max_noops: int = MAX_NOOPS

    def __post_init__(self):
        if self.frame_skip < 1 or self.max_noops < 0:
            raise ValueError(
                f"`frame_skip` (={self.frame_skip}) must be at least 1 and `max_noops` "
                f"(={self.max_noops}) at least 0"
            )

    def masks(self, buttons: Sequence[str]) -> list[list[int]]:
        """For each action, the buttons held in each emulated frame, as masks."""
        actions = self.actions or {"noop": (), **{name: (name,) for name in buttons}}
        used = {name for held in actions.values() for name in held} | set(self.tapped)
        if unknown := used - set(buttons):
            raise ValueError(
                f"{self.game!r} has no buttons {sorted(unknown)}; it has {', '.join(buttons)}"
            )
        bits = {name: 1 << i for i, name in enumerate(buttons)}
        masks = []
        for held in actions.values():
            whole = sum(bits[name] for name in held)
            after = sum(bits[name] for name in held if name not in self.tapped)
            pressed = (self.frame_skip + 1) // 2
            masks.append([whole] * pressed + [after] * (self.frame_skip - pressed))
        return masks


class _Play:
    """One game being played: its emulator and what it showed last."""

    def __init__(self, rules: _Rules):
        self._rules = rules
        self._console = Console(rules.game, rules.variables or {}, rules.image_size)
        told = self._console.told
        self._masks = rules.masks(told["buttons"])
        self._states = tuple(rules.states) or (told["default"],)
        for state in rules.states:
            self._check_state(state)
        height, width = told["size"]
        self.actions = len(self._masks)
        self.frame = np.zeros((height, width, 3), np.uint8)
        self.variables = dict.fromkeys(told["variables"], 0)

    def ask_to_begin(self, random: np.random.Generator, options: dict[str, Any] | None) -> None:
        """Draws a start and asks for it; `answer` waits until it is there."""
        options = options or {}
        if unknown := set(options) - set(_OPTIONS):
            raise ValueError(
                f"unknown reset options {sorted(unknown)}; a game knows {', '.join(_OPTIONS)}"
            )
        state = self._states[random.integers(len(self._states))]
        noops = random.integers(self._rules.max_noops + 1)
        if options.get("state") is not None:
            self._check_state(state := options["state"])
        if options.get("noops") is not None:
            noops = options["noops"]
            if isinstance(noops, bool) or not isinstance(noops, int | np.integer) or noops < 0:
                raise ValueError(f"`noops` (={noops!r}) must be a number of emulated frames from 0")
        self._console.ask("begin", state, int(noops))

    def ask_to_step(self, action: Any) -> None:
        """Asks for the frames of an action; `answer` waits until they have passed."""
        self._console.ask("step", self._masks[int(action)])

    def answer(self) -> tuple[float, bool]:
        """Waits for what was asked; returns the reward and whether the game is over."""
        self.frame, reward, over, self.variables = self._console.answer()
        return reward, over

    def get_state(self) -> dict[str, Any]:
        emulator = self._console.asked("get_state")
        return {"emulator": emulator, "frame": self.frame.copy(), "variables": {**self.variables}}

    def set_state(self, state: dict[str, Any]) -> None:
        self._console.asked("set_state", state["emulator"])
        self.frame, self.variables = state["frame"].copy(), {**state["variables"]}

    def close(self) -> None:
        self._console.close()

    def _check_state(self, state: str) -> None:
        known = self._console.told["states"]
        if state not in known:
            raise ValueError(
                f"{self._rules.game!r} has no state {state!r}; it has {', '.join(known) or 'none'}"
            )


class RetroEnv(gym.Env[np.ndarray, int | np.integer], EzPickle):
    """A game of stable-retro, in an emulator of its own.

    ## Description
    Any game that stable-retro knows and has a ROM of. stable-retro allows one emulator a process,
    so each env starts one in a process that ends with it, however the env's own process ends.

    ## Action Space
    `Discrete(len(actions))`: each action is a set of buttons, held for `frame_skip` emulated
    frames. Buttons among `tapped` are let go after half of them, so that a game that answers to
    presses answers to every step that has one.

    ## Observation Space
    `Box(0, 255, (H, W, 3), uint8)`, RGB, the screen after the last of those frames, shrunk by area
    to `image_size`. A step is `frame_skip / 60` seconds.

    ## Rewards
    Those of stable-retro's scenario of the game, summed over the emulated frames.

    ## Starting State
    An emulator knows no seed. What is drawn from the seeded generator is one of `states`, and how
    many emulated frames (0 to `max_noops`) pass before the first observation with no button held.
    `reset(options=...)` accepts `state` (a name) and `noops` (frames, from 0) instead.

    ## Episode End
    Terminated when stable-retro's scenario says that the game is over.

    ## Information
    The game's variables, int, from reset on: those of its `data.json` and those of `variables`.

    ## Arguments
    `game`: stable-retro's name. `actions`: by name, the buttons held; None for nothing, and each
    button alone. `image_size`: (H, W), None for the screen's own. `frame_skip`: emulated frames a
    step. `tapped`: buttons. `variables`: by name, `{"address": ..., "type": ...}` as in a
    `data.json`. `states`: names to begin in; () for the game's default. `max_noops`: as above.

    ## Vectorized environment
    `RetroVectorEnv` lets n emulators work at once.

    Raises:
        gymnasium.error.DependencyNotInstalled: If stable-retro is missing.
        ValueError: If it knows no such game, has no ROM of it, or an argument does not fit it.
    """

    metadata = _METADATA

    def __init__(
        self,
        game: str,
        *,
        actions: Mapping[str, Sequence[str]] | None = None,
        image_size: Sequence[int] | None = None,
        frame_skip: int = 4,
        tapped: Sequence[str] = (),
        variables: Mapping[str, Mapping[str, Any]] | None = None,
        states: Sequence[str] = (),
        max_noops: int = MAX_NOOPS,
        render_mode: str | None = None,
    ):
        given = {
            "actions": actions, "image_size": image_size, "frame_skip": frame_skip,
            "tapped": tapped, "variables": variables, "states": states, "max_noops": max_noops,
        }  # fmt: skip
        EzPickle.__init__(self, game, **given, render_mode=render_mode)
        rules = _Rules(game=game, **given)
        self._play = _Play(rules)
        self.render_mode = render_mode
        self.metadata = _metadata(rules)
        self.observation_space = spaces.Box(0, 255, self._play.frame.shape, np.uint8)
        self.action_space = spaces.Discrete(self._play.actions)
        self._playing = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins an episode; see the class for `options`.

        Raises:
            ValueError: If an option is unknown or out of its range.
        """
        super().reset(seed=seed)
        self._play.ask_to_begin(self.np_random, options)
        self._play.answer()
        self._playing = True
        return self._play.frame.copy(), dict(self._play.variables)

    def step(
        self, action: int | np.integer
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Plays `frame_skip` emulated frames.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset, or after the game was over.
            gymnasium.error.InvalidAction: If `action` is not within the action space.
            RuntimeError: If the emulator has died.
        """
        if not self._playing:
            raise gym.error.ResetNeeded("no game is being played: call reset() before step()")
        if not self.action_space.contains(action):
            raise gym.error.InvalidAction(
                f"action {action!r} was given, expected an integer from 0 to "
                f"{self._play.actions - 1}"
            )
        self._play.ask_to_step(action)
        reward, over = self._play.answer()
        self._playing = not over
        return self._play.frame.copy(), reward, over, False, dict(self._play.variables)

    def render(self) -> np.ndarray | None:
        """Returns the current frame (H, W, 3) uint8 in `rgb_array` mode, else None."""
        return self._play.frame.copy() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Ends the emulator."""
        self._play.close()

    def get_state(self) -> dict[str, Any]:
        """Returns a copy of the whole state, the emulator's and the random generator's included."""
        random = self.np_random.bit_generator.state
        return self._play.get_state() | {"playing": self._playing, "random": random}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned, here or in another env of the same game."""
        self._play.set_state(state)
        self._playing = state["playing"]
        self.np_random.bit_generator.state = state["random"]


class RetroVectorEnv(SeededBatchEnv):
    """n games of `RetroEnv` in n emulators that work at once, each equal to the single env.

    With `SAME_STEP`, the info of a row that has just been reset is that of its last step.

    Args:
        num_envs: Number of games.
        game: stable-retro's name of it.
        max_episode_steps: Steps after which a game is truncated, or None.
        autoreset_mode: `NEXT_STEP` (default), `SAME_STEP` or `DISABLED`.
        render_mode: None or `rgb_array`.
        **settings: As of `RetroEnv`.
    """

    metadata = _METADATA

    def __init__(
        self,
        num_envs: int,
        *,
        game: str,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **settings: Any,
    ):
        rules = _Rules(game=game, **settings)
        self._plays = [_Play(rules) for _ in range(max(1, num_envs))]
        super().__init__(
            num_envs,
            observation_space=spaces.Box(0, 255, self._plays[0].frame.shape, np.uint8),
            action_space=spaces.Discrete(self._plays[0].actions),
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            metadata=_metadata(rules),
        )
        self.render_mode = render_mode

    def _start(
        self, rows: np.ndarray, seeds: Sequence[int | None], options: dict[str, Any]
    ) -> None:
        for row, random, row_options in self._seeded(rows, seeds, options):
            self._plays[row].ask_to_begin(random, row_options)
        for row in rows.tolist():
            self._plays[row].answer()
        self.reset_info = self._info()

    def _advance(
        self, actions: Any, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        reward, over = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        for row in np.flatnonzero(rows).tolist():
            self._plays[row].ask_to_step(actions[row])
        for row in np.flatnonzero(rows).tolist():
            reward[row], over[row] = self._plays[row].answer()
        return reward, over, self._info()

    def _info(self) -> dict[str, Any]:
        told = [play.variables for play in self._plays]
        info: dict[str, Any] = {name: np.array([one[name] for one in told]) for name in told[0]}
        return info | {f"_{name}": np.ones(self.num_envs, bool) for name in info}

    def _observe(self) -> np.ndarray:
        return np.stack([play.frame for play in self._plays])

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Returns one frame (H, W, 3) uint8 for each game in `rgb_array` mode, else None."""
        return tuple(self._observe()) if self.render_mode == "rgb_array" else None

    def close_extras(self, **kwargs: Any) -> None:
        """Ends the emulators."""
        for play in self._plays:
            play.close()

    def get_state(self) -> dict[str, Any]:
        """Returns a copy of the whole state of every game, the random generators included."""
        return {"games": [play.get_state() for play in self._plays]} | self._clock()

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned, here or in another batch of as many games."""
        for play, saved in zip(self._plays, state["games"], strict=True):
            play.set_state(saved)
        self._set_clock(state)


def _metadata(rules: _Rules) -> dict[str, Any]:
    return {**_METADATA, "render_fps": max(1, round(EMULATED_FPS / rules.frame_skip))}
