"""Breakout on 64x64 pixels: one numpy simulation behind a single and a batched environment.

Rules, sizes and colours follow the tiny browser world of "Building a tiny browser-playable world
model" (2026), with lives shown in the picture, a seeded launch direction and, by default, a ball
and a paddle drawn with area coverage at their sub-pixel positions.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from sims.batch import SeededBatchEnv

SIZE = 64
FPS = 15
ACTIONS = ("noop", "left", "right")
BRICK_ROWS, BRICK_COLUMNS = 6, 12
BRICK_WIDTH, BRICK_HEIGHT = 4, 2
BRICK_X = 4 + 5 * np.arange(BRICK_COLUMNS)  # left edges
BRICK_Y = 8 + 4 * np.arange(BRICK_ROWS)  # top edges
PADDLE_WIDTH, PADDLE_HEIGHT, PADDLE_Y = 12, 2, 57
PADDLE_START, PADDLE_SPEED, PADDLE_RANGE = 26.0, 2.4, (2.0, 50.0)
BALL_START, BALL_VELOCITY = (32.0, 45.0), (0.72, 0.92)
BALL_SIZE = 3
LEFT_WALL, RIGHT_WALL, TOP_WALL, LOST_BELOW = 2.0, 61.0, 4.0, 66.0
MAX_LIVES = 3

BACKGROUND = (8, 10, 18)
TOP_BAR, SIDE_BAR = (24, 30, 48), (18, 23, 38)
TOP_BAR_HEIGHT, SIDE_BAR_WIDTH = 3, 2
BRICK_COLOURS = (
    (251, 92, 92), (255, 178, 76), (250, 225, 87),
    (87, 217, 139), (73, 190, 255), (166, 129, 255),
)  # fmt: skip
PADDLE_COLOUR, PADDLE_LINE = (235, 241, 252), (112, 221, 255)
BALL_COLOUR, BALL_CENTRE = (255, 255, 255), (255, 221, 103)
PIP_COLOUR, PIP_WIDTH, PIP_Y = (112, 221, 255), 3, 1
PIP_X = 4 + 5 * np.arange(MAX_LIVES)

_PADDED = SIZE + 8  # the canvas reaches below the frame, where a lost ball is drawn


class BreakoutSimulation:
    """n games as arrays: rules, drawing and state, without any of Gymnasium's bookkeeping.

    Attributes:
        paddle: (n,) float64, left edge of the paddle in pixels.
        ball: (n, 2) float64, x and y of the ball's centre pixel.
        velocity: (n, 2) float64, pixels a tick.
        bricks: (n, 6, 12) bool, True where a brick stands.
        lives: (n,) int64, from 3 down to 0.
    """

    def __init__(self, count: int, *, antialias: bool):
        self.antialias = antialias
        self.paddle = np.full(count, PADDLE_START)
        self.ball = np.tile(np.array(BALL_START), (count, 1))
        self.velocity = np.zeros((count, 2))
        self.bricks = np.ones((count, BRICK_ROWS, BRICK_COLUMNS), bool)
        self.lives = np.full(count, MAX_LIVES)
        self._rows = np.arange(count)
        self._canvas = np.empty((count, _PADDED, SIZE, 3), np.uint8)  # all but paddle and ball
        self.draw_board(self._rows)

    def start(self, row: int, random: np.random.Generator, options: dict[str, Any] | None) -> None:
        """Begins a game in one row; `options` as `BreakoutEnv.reset` documents them."""
        options = _checked_options(options or {})
        self.paddle[row] = options.get("paddle", PADDLE_START)
        self.bricks[row] = options.get("bricks", True)
        self.lives[row] = options.get("lives", MAX_LIVES)
        self._launch(row, random)
        self.ball[row] = options.get("ball", BALL_START)
        self.velocity[row] = options.get("velocity", self.velocity[row])
        self.draw_board(np.array([row]))

    def advance(
        self,
        actions: np.ndarray,
        rows: np.ndarray,
        random: Sequence[np.random.Generator],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Plays one tick in the rows where `rows` (n,) bool holds.

        Args:
            actions: (n,) int64 in 0..2.
            rows: (n,) bool, the rows that move.
            random: One generator a row; draws the direction of a new ball.

        Returns:
            Reward (n,) float64 and terminated (n,) bool; zeros where a row does not move.
        """
        move = PADDLE_SPEED * ((actions == 2).astype(float) - (actions == 1))
        self.paddle[rows] = np.clip(self.paddle + move, *PADDLE_RANGE)[rows]
        self.ball[rows] += self.velocity[rows]
        self._bounce_off_walls(rows)
        self._bounce_off_paddle(rows)
        broken = self._break_bricks(rows)
        lost = rows & (self.ball[:, 1] > LOST_BELOW)
        self.lives[lost] -= 1
        for row in np.flatnonzero(lost & (self.lives > 0)).tolist():
            self._launch(row, random[row])
        if broken.any() or lost.any():
            self.draw_board(np.flatnonzero(broken | lost))
        return broken.astype(np.float64), lost & (self.lives <= 0)

    def _launch(self, row: int, random: np.random.Generator) -> None:
        self.ball[row] = BALL_START
        direction = 1.0 if random.integers(2) else -1.0
        self.velocity[row] = direction * BALL_VELOCITY[0], -BALL_VELOCITY[1]

    def _bounce_off_walls(self, rows: np.ndarray) -> None:
        x, y = self.ball[rows].T
        vx, vy = self.velocity[rows].T
        vx = np.where(x <= LEFT_WALL, abs(vx), np.where(x >= RIGHT_WALL, -abs(vx), vx))
        vy = np.where(y <= TOP_WALL, abs(vy), vy)
        self.velocity[rows] = np.stack([vx, vy], 1)
        self.ball[rows] = np.stack([np.clip(x, LEFT_WALL, RIGHT_WALL), np.maximum(y, TOP_WALL)], 1)

    def _bounce_off_paddle(self, rows: np.ndarray) -> None:
        x, y = self.ball.T
        vy = self.velocity[:, 1]
        within = (x >= self.paddle - 1) & (x <= self.paddle + PADDLE_WIDTH + 1)
        falling = rows & (vy > 0)
        hit = np.flatnonzero(falling & within & (y >= PADDLE_Y - 1) & (y <= PADDLE_Y + 2))
        if hit.size:
            offset = (x[hit] - self.paddle[hit]) / (PADDLE_WIDTH / 2) - 1
            self.velocity[hit, 0] = np.clip(1.15 * offset, -1.2, 1.2)
            self.velocity[hit, 1] = -np.maximum(0.8, abs(vy[hit]))
            self.ball[hit, 1] = PADDLE_Y - 2

    def _break_bricks(self, rows: np.ndarray) -> np.ndarray:
        """Breaks at most one brick a game, first in reading order; True (n,) where one broke."""
        x, y = self.ball[:, :1], self.ball[:, 1:]
        in_row = (y >= BRICK_Y - 1) & (y <= BRICK_Y + BRICK_HEIGHT + 1)
        in_column = (x >= BRICK_X - 1) & (x <= BRICK_X + BRICK_WIDTH + 1)
        touched = (in_row[:, :, None] & in_column[:, None] & self.bricks).reshape(len(x), -1)
        hit = touched.any(1) & rows
        if hit.any():
            self.bricks.reshape(len(x), -1)[hit, touched[hit].argmax(1)] = False
            self.velocity[hit, 1] *= -1
            self.bricks[hit & ~self.bricks.any((1, 2))] = True
        return hit

    def draw_board(self, rows: np.ndarray) -> None:
        """Draws bars, pips and bricks of `rows` (m,) into the canvas that `frames` starts from."""
        board = np.tile(np.array(BACKGROUND, np.uint8), (rows.size, _PADDED, SIZE, 1))
        board[:, :, :SIDE_BAR_WIDTH] = board[:, :, -SIDE_BAR_WIDTH:] = SIDE_BAR
        board[:, :TOP_BAR_HEIGHT] = TOP_BAR
        pixel_x = np.arange(SIZE)
        pip = (pixel_x - PIP_X[0]) // 5
        is_pip = (pip >= 0) & (pip < MAX_LIVES) & ((pixel_x - PIP_X[0]) % 5 < PIP_WIDTH)
        alive = is_pip & (pip < self.lives[rows][:, None])
        board[:, PIP_Y][alive] = PIP_COLOUR
        column = (pixel_x - BRICK_X[0]) // 5
        is_brick = (column >= 0) & ((pixel_x - BRICK_X[0]) % 5 < BRICK_WIDTH)
        for i, (top, colour) in enumerate(zip(BRICK_Y, BRICK_COLOURS, strict=True)):
            standing = self.bricks[rows, i][:, np.clip(column, 0, BRICK_COLUMNS - 1)] & is_brick
            for y in range(top, top + BRICK_HEIGHT):
                board[:, y][standing] = colour
        self._canvas[rows] = board

    def frames(self) -> np.ndarray:
        """Draws every game: (n, 64, 64, 3) uint8."""
        canvas = self._canvas.copy()
        ball, paddle = self.ball, self.paddle
        if not self.antialias:
            ball, paddle = np.floor(ball + 0.5), np.floor(paddle + 0.5)
        left, fraction = _split(paddle)
        cover = _coverage(fraction, PADDLE_WIDTH)
        x = left[:, None] + np.arange(PADDLE_WIDTH + 1)
        lines = {PADDLE_Y - 1: PADDLE_LINE, PADDLE_Y: PADDLE_COLOUR, PADDLE_Y + 1: PADDLE_COLOUR}
        for y, colour in lines.items():
            under = canvas[self._rows[:, None], y, x]
            canvas[self._rows[:, None], y, x] = _over(under, cover, colour)
        corner, fraction = _split(ball - 1)
        x = corner[:, :1] + np.arange(BALL_SIZE + 1)
        y = corner[:, 1:] + np.arange(BALL_SIZE + 1)
        index = self._rows[:, None, None], y[:, :, None], x[:, None]
        cover_x, cover_y = (_coverage(fraction[:, axis], BALL_SIZE) for axis in (0, 1))
        body = _over(canvas[index], cover_y[:, :, None] * cover_x[:, None], BALL_COLOUR)
        cover_x, cover_y = (_coverage(fraction[:, axis], 1, pad=1) for axis in (0, 1))
        canvas[index] = _over(body, cover_y[:, :, None] * cover_x[:, None], BALL_CENTRE)
        return canvas[:, :SIZE]


def _split(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    whole = np.floor(position)
    return whole.astype(np.int64), position - whole


def _coverage(fraction: np.ndarray, width: int, pad: int = 0) -> np.ndarray:
    """Share of each pixel that a bar covers: the bar begins `fraction` into pixel `pad`.

    Returns (n, width + 1 + 2 pad) float64 in [0, 1].
    """
    cover = np.zeros((len(fraction), width + 1 + 2 * pad))
    cover[:, pad : pad + width] = 1
    cover[:, pad] -= fraction
    cover[:, pad + width] = fraction
    return cover


def _over(under: np.ndarray, cover: np.ndarray, colour: Sequence[int]) -> np.ndarray:
    blend = under + cover[..., None] * (np.array(colour, np.float64) - under)
    return np.rint(blend).astype(np.uint8)


def _checked_options(options: dict[str, Any]) -> dict[str, Any]:
    known = {"bricks", "ball", "velocity", "lives", "paddle"}
    unknown = set(options) - known
    if unknown:
        raise ValueError(f"unknown reset options {sorted(unknown)}: Breakout knows {sorted(known)}")
    checked: dict[str, Any] = {}
    if "bricks" in options:
        checked["bricks"] = bricks = np.asarray(options["bricks"], bool)
        if bricks.shape != (BRICK_ROWS, BRICK_COLUMNS) or not bricks.any():
            raise ValueError(
                f"option `bricks` has shape {bricks.shape} and {bricks.sum()} bricks, expected "
                f"({BRICK_ROWS}, {BRICK_COLUMNS}) with at least one"
            )
    limits = {
        "ball": ((LEFT_WALL, TOP_WALL), (RIGHT_WALL, LOST_BELOW)),
        "velocity": ((-1.2, -1.2), (1.2, 1.2)),
        "paddle": PADDLE_RANGE,
        "lives": (1, MAX_LIVES),
    }
    for name, (low, high) in limits.items():
        if name in options:
            value = checked[name] = _numbers(options[name])
            if value.shape != np.shape(low) or not (np.all(value >= low) and np.all(value <= high)):
                raise ValueError(f"option `{name}` (={options[name]}) must be from {low} to {high}")
    if "lives" in checked and checked["lives"] % 1:
        raise ValueError(f"option `lives` (={options['lives']}) must be a whole number")
    if "velocity" in checked and abs(checked["velocity"][1]) < 0.1:
        raise ValueError(
            f"option `velocity` (={options['velocity']}) must have a vertical speed of at least 0.1"
        )
    return checked


def _numbers(value: Any) -> np.ndarray:
    """The value as float64, or NaN where it is no number or array of numbers."""
    try:
        return np.asarray(value, float)
    except (TypeError, ValueError):
        return np.array(np.nan)


def _observation_space() -> spaces.Box:
    return spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)


class BreakoutEnv(gym.Env[np.ndarray, int | np.integer]):
    """Breakout with sub-pixel physics, drawn on 64x64 pixels.

    ## Description
    A ball breaks bricks; a paddle keeps it in play. The frame shows everything that decides the
    future except the direction of a ball that was launched in this very tick.

    ## Action Space
    `Discrete(3)`: 0 noop, 1 left, 2 right. The paddle moves 2.4 pixels a tick.

    ## Observation Space
    `Box(0, 255, (64, 64, 3), uint8)`, RGB. The lives left are pips inside the top bar (y < 4).

    ## Rewards
    +1 for each brick broken. The wall of 72 bricks is rebuilt when the last one falls.

    ## Starting State
    Paddle in the middle, ball at (32, 45) moving up, to the left or right as the seeded generator
    draws. `reset(options=...)` accepts `bricks` (6, 12) bool with at least one standing, `ball`
    (x, y), its centre pixel, from (2, 4) to (61, 66), `velocity` (vx, vy) in pixels a tick, each
    within 1.2 of 0 and vy not within 0.1 of it, `lives` (1 to 3) and `paddle` (left edge, 2 to 50).

    ## Episode End
    Terminated when the third ball is lost below the frame. The registered id truncates after
    1,000 steps.

    ## Arguments
    `antialias=False` draws ball and paddle on whole pixels, as the published world does.

    ## Vectorized environment
    `gymnasium.make_vec("Real-Breakout-v0", n)` plays n games in one numpy simulation.

    ## Version History
    v0: first version.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}

    def __init__(self, render_mode: str | None = None, antialias: bool = True):
        self.render_mode = render_mode
        self.observation_space = _observation_space()
        self.action_space = spaces.Discrete(len(ACTIONS))
        self._simulation = BreakoutSimulation(1, antialias=antialias)
        self._playing = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins a game; see the class for `options`.

        Raises:
            ValueError: If an option is unknown or out of its range.
        """
        super().reset(seed=seed)
        self._simulation.start(0, self.np_random, options)
        self._playing = True
        return self._simulation.frames()[0], {}

    def step(
        self, action: int | np.integer
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Plays one tick.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset or after the end of a game.
            gymnasium.error.InvalidAction: If `action` is not 0, 1 or 2.
        """
        if not self._playing:
            raise gym.error.ResetNeeded("the game is not running: call reset() before step()")
        if not self.action_space.contains(action):
            raise gym.error.InvalidAction(
                f"action {action!r} was given, expected 0 (noop), 1 (left) or 2 (right)"
            )
        reward, terminated = self._simulation.advance(
            np.array([action]), np.ones(1, bool), [self.np_random]
        )
        self._playing = not terminated[0]
        return self._simulation.frames()[0], float(reward[0]), bool(terminated[0]), False, {}

    def render(self) -> np.ndarray | None:
        """Returns the current frame (64, 64, 3) uint8 in `rgb_array` mode, else None."""
        return self._simulation.frames()[0] if self.render_mode == "rgb_array" else None

    def get_state(self) -> dict[str, Any]:
        """Returns a copy of the whole state, the random generator included."""
        simulation = self._simulation
        return {
            "paddle": simulation.paddle[0].item(),
            "ball": simulation.ball[0].copy(),
            "velocity": simulation.velocity[0].copy(),
            "bricks": simulation.bricks[0].copy(),
            "lives": simulation.lives[0].item(),
            "playing": self._playing,
            "random": self.np_random.bit_generator.state,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned, here or in another `BreakoutEnv`."""
        simulation = self._simulation
        for name in ("paddle", "ball", "velocity", "bricks", "lives"):
            getattr(simulation, name)[0] = state[name]
        simulation.draw_board(np.array([0]))
        self._playing = state["playing"]
        self.np_random.bit_generator.state = state["random"]


class BreakoutVectorEnv(SeededBatchEnv):
    """n games of `BreakoutEnv` in one simulation, each equal to the single env state by state.

    Args:
        num_envs: Number of games.
        max_episode_steps: Steps after which a game is truncated, or None.
        autoreset_mode: `NEXT_STEP` (default), `SAME_STEP` or `DISABLED`.
        render_mode: None or `rgb_array`.
        antialias: As in `BreakoutEnv`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}

    def __init__(
        self,
        num_envs: int,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        antialias: bool = True,
    ):
        super().__init__(
            num_envs,
            observation_space=_observation_space(),
            action_space=spaces.Discrete(len(ACTIONS)),
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            metadata=self.metadata,
        )
        self.render_mode = render_mode
        self._simulation = BreakoutSimulation(num_envs, antialias=antialias)

    def _start(
        self, rows: np.ndarray, seeds: Sequence[int | None], options: dict[str, Any]
    ) -> None:
        for row, random, row_options in self._seeded(rows, seeds, options):
            self._simulation.start(row, random, row_options)

    def _advance(
        self, actions: Any, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        return *self._simulation.advance(np.asarray(actions), rows, self._random), {}

    def _observe(self) -> np.ndarray:
        return self._simulation.frames()

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Returns one frame (64, 64, 3) uint8 for each game in `rgb_array` mode, else None."""
        return tuple(self._simulation.frames()) if self.render_mode == "rgb_array" else None

    def get_state(self) -> dict[str, Any]:
        """Returns a copy of the whole state of every game, the random generators included."""
        simulation = self._simulation
        arrays = {name: getattr(simulation, name).copy() for name in _STATE}
        return arrays | self._clock()

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned, here or in another batch of as many games."""
        for name in _STATE:
            getattr(self._simulation, name)[:] = state[name]
        self._simulation.draw_board(np.arange(self.num_envs))
        self._set_clock(state)


_STATE = ("paddle", "ball", "velocity", "bricks", "lives")
