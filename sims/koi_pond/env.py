"""The koi pond as a Gymnasium environment, single and batched."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from sims.batch import SeededBatchEnv
from sims.koi_pond.scenery import SIZE
from sims.koi_pond.shoal import FPS
from sims.koi_pond.simulation import KoiPondSimulation

VERSION = "1"
IDLE_ACTION = (0.0, 0.0, 0.0)  # no tap; with food a fourth 0

_METADATA = {"render_modes": ["rgb_array"], "render_fps": FPS, "version": VERSION}


def _observation_space() -> spaces.Box:
    return spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)


def _action_space(food: bool) -> spaces.Box:
    return spaces.Box(0, 1, (4 if food else 3,), np.float32)


def _checked_actions(actions: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Actions as float32, refused where they are outside the space."""
    try:
        values = np.asarray(actions, np.float32)
    except (TypeError, ValueError):
        values = np.array(np.nan, np.float32)
    if values.shape != shape or not (np.all(values >= 0) and np.all(values <= 1)):
        names = "u, v, strength, kind" if shape[-1] == 4 else "u, v, strength"
        raise gym.error.InvalidAction(
            f"action {actions!r} was given, expected ({names}) of shape {shape}, each from 0 to 1: "
            "clip it, or send zeros for no tap"
        )
    return values


class KoiPondEnv(gym.Env[np.ndarray, np.ndarray]):
    """A pond of koi seen from above; a tap makes ripples and frightens the fish nearby.

    ## Description
    6 to 10 koi, each of another variety, swim over stones, sand and algae, keep apart, turn back
    before the shore and flee from taps: the nearer and the stronger the tap, the faster and the
    farther. Calm returns within a few seconds. Ripples follow a damped wave equation; they bend
    and light what lies below. Lily pads float on top, each shorter than a koi; a ring of small
    ones, three in blossom, marks where the fish are to be herded.

    ## Action Space
    `Box(0, 1, (3,), float32)`: u (to the right), v (down), strength. The tap falls on the pixel
    min(floor(256 u), 255), likewise v. A strength of at most 0.1 is no tap; `IDLE_ACTION` is
    (0, 0, 0). With `food=True` a fourth component is the kind of tap: from 0.5 on it drops food,
    which makes a faint ripple, frightens nobody, draws the fish and is eaten.

    ## Observation Space
    `Box(0, 255, (256, 256, 3), uint8)`, RGB, at 15 frames a second.

    ## Rewards
    The share of the koi whose centre is less than 47 pixels from the ring's centre.

    ## Starting State
    Calm water; number, varieties and places of the fish, the bed and the pads as the seeded
    generator draws. `reset(options=...)` accepts `fish` (1 to 10; drawn from 6 to 10 without it),
    `positions` (fish, 2), x and y of each centre in pixels, from 16 to 240 and 16 apart,
    `headings` (fish,) in radians beside `positions`, clockwise from the right, `calm` (False: the
    pond was tapped three times in the 24 ticks before), and `look` (0 to 2**31 - 1), which decides
    bed, pads and the order of the fish's varieties.

    ## Episode End
    Never terminated. The registered id truncates after 900 steps.

    ## Information
    For evaluation only, with room for 10 fish, 0 (varieties: -1) where there is none: `fish`, how
    many there are, `positions` (10, 2) of their centres in pixels, `headings` in radians,
    `varieties` (index into `VARIETIES`), `fear` from 0 to 1, `speeds` in pixels a second, and
    `ring` (2,), the ring's centre.

    ## Arguments
    `food=True` adds the second kind of tap. `leaving=True` lets fish swim out of the frame and
    return; otherwise their centres stay inside.

    ## Vectorized environment
    `KoiPondVectorEnv` steers the fish of n ponds together.

    ## Version History
    `VERSION` 1: first version. Recordings and weights belong to one version.
    """

    metadata = _METADATA
    version = VERSION

    def __init__(
        self, render_mode: str | None = None, *, food: bool = False, leaving: bool = False
    ):
        self.render_mode = render_mode
        self.observation_space = _observation_space()
        self.action_space = _action_space(food)
        self._simulation = KoiPondSimulation(1, leaving=leaving)
        self._playing = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins an episode; see the class for `options`.

        Raises:
            ValueError: If an option is unknown or out of its range.
        """
        super().reset(seed=seed)
        self._simulation.start(0, self.np_random, options)
        self._playing = True
        return self._simulation.frame(0), self._info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Plays one tick.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset.
            gymnasium.error.InvalidAction: If `action` is not within the action space.
        """
        if not self._playing:
            raise gym.error.ResetNeeded("the pond has not begun: call reset() before step()")
        values = _checked_actions(action, self.action_space.shape or ())
        reward = self._simulation.advance(values[None], np.ones(1, bool), [self.np_random])
        return self._simulation.frame(0), float(reward[0]), False, False, self._info()

    def _info(self) -> dict[str, Any]:
        return {name: value[0] for name, value in self._simulation.info().items()}

    def render(self) -> np.ndarray | None:
        """Returns the current frame (256, 256, 3) uint8 in `rgb_array` mode, else None."""
        return self._simulation.frame(0) if self.render_mode == "rgb_array" else None

    def get_state(self) -> dict[str, Any]:
        """Returns a copy of the whole state, the random generator included."""
        state = {name: values[0] for name, values in self._simulation.state().items()}
        return state | {"playing": self._playing, "random": self.np_random.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned, here or in another `KoiPondEnv`."""
        self._simulation.restore(state)
        self._playing = state["playing"]
        self.np_random.bit_generator.state = state["random"]


class KoiPondVectorEnv(SeededBatchEnv):
    """n ponds of `KoiPondEnv` in one simulation, each equal to the single env byte by byte.

    With `SAME_STEP`, the info of a row that has just been reset is that of its last step.

    Args:
        num_envs: Number of ponds.
        max_episode_steps: Steps after which a pond is truncated, or None.
        autoreset_mode: `NEXT_STEP` (default), `SAME_STEP` or `DISABLED`.
        render_mode: None or `rgb_array`.
        food: As in `KoiPondEnv`.
        leaving: As in `KoiPondEnv`.
    """

    metadata = _METADATA
    version = VERSION

    def __init__(
        self,
        num_envs: int,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        food: bool = False,
        leaving: bool = False,
    ):
        super().__init__(
            num_envs,
            observation_space=_observation_space(),
            action_space=_action_space(food),
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            metadata=self.metadata,
        )
        self.render_mode = render_mode
        self._simulation = KoiPondSimulation(num_envs, leaving=leaving)

    def _start(
        self, rows: np.ndarray, seeds: Sequence[int | None], options: dict[str, Any]
    ) -> None:
        for row, random, row_options in self._seeded(rows, seeds, options):
            self._simulation.start(row, random, row_options)
        self.reset_info = self._info()

    def _advance(
        self, actions: Any, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        values = _checked_actions(actions, self.action_space.shape or ())
        reward = self._simulation.advance(values, rows, self._random)
        return reward, np.zeros(self.num_envs, bool), self._info()

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = self._simulation.info()
        return info | {f"_{name}": np.ones(self.num_envs, bool) for name in info}

    def _observe(self) -> np.ndarray:
        return np.stack([self._simulation.frame(row) for row in range(self.num_envs)])

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Returns one frame (256, 256, 3) uint8 for each pond in `rgb_array` mode, else None."""
        return tuple(self._observe()) if self.render_mode == "rgb_array" else None

    def get_state(self) -> dict[str, Any]:
        """Returns a copy of the whole state of every pond, the random generators included."""
        return self._simulation.state() | self._clock()

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned, here or in another batch of as many ponds."""
        self._simulation.restore(state)
        self._set_clock(state)
