"""Minipaint as a Gymnasium environment, single and batched."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from sims.batch import SeededBatchEnv, info_of_begun
from sims.minipaint.layout import SIZE
from sims.minipaint.program import PaintProgram

VERSION = "1"
FPS = 15
IDLE_ACTION = (0.0, 0.0, 0.0)  # the button is up; where the cursor is then makes no difference

_METADATA = {"render_modes": ["rgb_array"], "render_fps": FPS, "version": VERSION}


def _observation_space() -> spaces.Box:
    return spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)


def _action_space() -> spaces.Box:
    return spaces.Box(0, 1, (3,), np.float32)


def _checked_actions(actions: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Actions as float32, refused where they are outside the space."""
    try:
        values = np.asarray(actions, np.float32)
    except (TypeError, ValueError):
        values = np.array(np.nan, np.float32)
    if values.shape != shape or not (values.min() >= 0 and values.max() <= 1):
        raise gym.error.InvalidAction(
            f"action {actions!r} was given, expected (u, v, pressed) of shape {shape}, each from 0 "
            "to 1: clip it, or send zeros for a button that is up"
        )
    return values


class MinipaintEnv(gym.Env[np.ndarray, np.ndarray]):
    """A small paint program: a canvas, a pen, an eraser, ten brushes and six colours.

    ## Description
    A canvas of 182x182 pixels with its left edge at x = 42; beside it, all in (x, y, width,
    height), the pen (4, 4, 35, 35), the eraser (4, 46, 35, 35) and a slider (12, 88, 18, 88), whose
    handle stands at one of ten heights, the smallest brush at the bottom; below it six swatches of
    26x26 at y = 186 and x = 4, 34, 65, 95, 126, 157: black, red, blue, green, yellow, white. What
    is chosen has a black border; a bar in the pen's button has its colour. The cursor is not drawn.

    A button or swatch is chosen in the step in which the mouse button goes down on it; moving over
    it with the button held does nothing. The slider sets the brush in that step too, and goes on to
    in every step that begins and ends on it with the button held. The canvas is painted wherever
    the button is down: a round brush, 2 to 10 pixels wide, is put down where the button goes down
    and follows the straight line from the cursor's last place to its new one, as far as that lies
    on the canvas. A cursor that comes to it with the button held, from a tool or a gap too, begins
    to paint where it crosses the edge; one that passes over a corner of it paints what it crosses.
    The eraser brings back the paper, with the brush's width; while it is chosen no colour is
    marked. Choosing a colour also chooses the pen; the pen comes back with its colour.

    The frame, the previous action and the action decide the next frame exactly: nothing else is
    remembered. The action before an episode's first is the idle one.

    ## Action Space
    `Box(0, 1, (3,), float32)`: u (to the right), v (down), pressed. The cursor is on the pixel
    min(floor(224 u), 223), likewise v. The button is down from a pressed of 0.5 on. While it is up
    the cursor's place has no effect; `IDLE_ACTION` is (0, 0, 0).

    ## Observation Space
    `Box(0, 255, (224, 224, 3), uint8)`, RGB.

    ## Rewards
    By how much the step lowered the mean absolute difference between the canvas and the target, in
    levels of a colour value (0 to 255); see `progress`. Painting the whole target on an empty
    canvas earns what the two differ by at first.

    ## Starting State
    An empty canvas, the pen, black and the smallest brush; a target that the seeded generator
    chooses. `reset(options=...)` accepts `tool` ("pen" or "eraser"), `colour` (a name as above),
    `brush` (0 to 9), `canvas` and `target`, pictures (182, 182, 3) uint8.

    ## Episode End
    Never terminated. The registered id truncates after 1,000 steps.

    ## Information
    The `target` (182, 182, 3) uint8 at reset only; `target()` gives it at any time. For evaluation
    only, since the frame shows them: `tool` (0 pen, 1 eraser), `colour` (0 to 5) and `brush` (0 to
    9).

    ## Arguments
    `soft=True` is another program behind the same toolbar: its brush covers in part, less towards
    the rim, its strokes build up, and its paper has a grain, always the same.
    `Real-MinipaintSoft-v0` is this.

    ## Vectorized environment
    `MinipaintVectorEnv` runs n programs; its `target` is (n, 182, 182, 3).

    ## Version History
    `VERSION` 1: first version. Recordings and weights belong to one version.
    """

    metadata = _METADATA
    version = VERSION

    def __init__(self, render_mode: str | None = None, *, soft: bool = False):
        self.render_mode = render_mode
        self.observation_space = _observation_space()
        self.action_space = _action_space()
        self._program = PaintProgram(soft=soft)
        self._playing = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins an episode; see the class for `options`.

        Raises:
            ValueError: If an option is unknown or out of its range.
        """
        super().reset(seed=seed)
        self._program.start(self.np_random, options)
        self._playing = True
        return self._program.frame.copy(), self._program.info() | {"target": self.target()}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Moves the cursor.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset.
            gymnasium.error.InvalidAction: If `action` is not within the action space.
        """
        if not self._playing:
            raise gym.error.ResetNeeded("there is no canvas yet: call reset() before step()")
        reward = self._program.act(*_checked_actions(action, (3,)).tolist())
        return self._program.frame.copy(), reward, False, False, self._program.info()

    def target(self) -> np.ndarray:
        """Returns what the canvas is to become: (182, 182, 3) uint8."""
        return self._program.target.copy()

    def render(self) -> np.ndarray | None:
        """Returns the current frame (224, 224, 3) uint8 in `rgb_array` mode, else None."""
        return self._program.frame.copy() if self.render_mode == "rgb_array" else None

    def get_state(self) -> dict[str, Any]:
        """Returns a copy of the whole state, the random generator included."""
        clock = {"playing": self._playing, "random": self.np_random.bit_generator.state}
        return self._program.state() | clock

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned, here or in another `MinipaintEnv`."""
        self._program.restore(state)
        self._playing = state["playing"]
        self.np_random.bit_generator.state = state["random"]


class MinipaintVectorEnv(SeededBatchEnv):
    """n programs of `MinipaintEnv`, each equal to the single env byte by byte.

    With `SAME_STEP`, the info of a row that has just been reset is that of its last step, without a
    target; `targets()` has them all.

    Args:
        num_envs: Number of programs.
        max_episode_steps: Steps after which an episode is truncated, or None.
        autoreset_mode: `NEXT_STEP` (default), `SAME_STEP` or `DISABLED`.
        render_mode: None or `rgb_array`.
        soft: As in `MinipaintEnv`.
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
        soft: bool = False,
    ):
        super().__init__(
            num_envs,
            observation_space=_observation_space(),
            action_space=_action_space(),
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            metadata=self.metadata,
        )
        self.render_mode = render_mode
        self._programs = [PaintProgram(soft=soft) for _ in range(num_envs)]

    def _start(
        self, rows: np.ndarray, seeds: Sequence[int | None], options: dict[str, Any]
    ) -> None:
        for row, random, row_options in self._seeded(rows, seeds, options):
            self._programs[row].start(random, row_options)
        begun = np.isin(np.arange(self.num_envs), rows)
        self.reset_info = self._info(begun)

    def _advance(
        self, actions: Any, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        values = _checked_actions(actions, (self.num_envs, 3)).tolist()
        reward = np.zeros(self.num_envs)
        for row in np.flatnonzero(rows).tolist():
            reward[row] = self._programs[row].act(*values[row])
        return reward, np.zeros(self.num_envs, bool), self._info(~rows)

    def _info(self, begun: np.ndarray) -> dict[str, Any]:
        """What is chosen in every program, and the targets of those that have just begun."""
        rows = [program.info() for program in self._programs]
        info: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        info |= {f"_{name}": np.ones(self.num_envs, bool) for name in rows[0]}
        targets = {"target": self.targets()} if begun.any() else {}
        return info | info_of_begun(targets, begun)

    def _observe(self) -> np.ndarray:
        return np.stack([program.frame for program in self._programs])

    def targets(self) -> np.ndarray:
        """Returns what each canvas is to become: (n, 182, 182, 3) uint8."""
        return np.stack([program.target for program in self._programs])

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Returns one frame (224, 224, 3) uint8 for each program in `rgb_array` mode, else None."""
        return tuple(self._observe()) if self.render_mode == "rgb_array" else None

    def get_state(self) -> dict[str, Any]:
        """Returns a copy of the whole state of every program, the random generators included."""
        rows = [program.state() for program in self._programs]
        stacked = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        return stacked | self._clock()

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned, here or in another batch of as many programs."""
        for row, program in enumerate(self._programs):
            program.restore({name: state[name][row] for name in program.state()})
        self._set_clock(state)
