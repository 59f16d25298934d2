"""Reads the state of Breakout games from their pixels alone, by drawing what it recognised.

Each frame is read by itself, without the frame before: lives and bricks by which of two pictures
they resemble more, the paddle by how much of each column it covers, the ball by fitting a drawn
ball to the picture (Gauss-Newton on its position, on top of the background recognised so far).
The frame is then drawn anew from what was read, so that anything else in it shows as a ghost.

Inside this file frames are planar, (3, N, 64, 64), because whole-channel arithmetic is fastest.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from sims import breakout as sim

GHOST_LEVEL = 48
"""A pixel is a ghost if a channel is this far (of 255) from the picture drawn anew. On true frames
what is drawn is off by a few levels; every object stands at least 200 out of what is behind it."""

_CHUNK = 256  # frames read at once: they fit the cache
_PATCH = 7  # pixels on each side of the window in which a ball of 3 is fitted
_RANGE_X, _RANGE_Y = (1.0, 62.0), (2.0, 64.85)  # where a ball can be seen
_FIT_ROUNDS = 4
_NUDGE = 0.25  # pixels; wide enough to see past the kink where a ball lies on whole pixels
_BRIGHT = 140  # of ball and paddle alone: every brick has a channel of 129 or less
_SURELY_A_BALL = 0.5  # below this fit nothing is drawn: what is there, if anything, is a ghost
_STIFFNESS = 1e3  # levels²: keeps the fit in place where no edge of the ball is in the picture

_PIXEL = np.arange(sim.SIZE, dtype=np.float32)
_BACKGROUND = np.array(sim.BACKGROUND, np.float32)
_BRICK = np.array(sim.BRICK_COLOURS, np.float32)  # (6, 3)
_PITCH_X, _PITCH_Y = sim.BRICK_WIDTH + 1, 2 * sim.BRICK_HEIGHT
_WALL = (
    slice(sim.BRICK_Y[0], sim.BRICK_Y[0] + _PITCH_Y * sim.BRICK_ROWS),
    slice(sim.BRICK_X[0], sim.BRICK_X[0] + _PITCH_X * sim.BRICK_COLUMNS),
)
_PIPS = slice(sim.PIP_X[0], sim.PIP_X[0] + 5 * sim.MAX_LIVES)
_PADDLE_ROWS = slice(sim.PADDLE_Y - 1, sim.PADDLE_Y + 2)
_PADDLE_COLOURS = np.array([sim.PADDLE_LINE, sim.PADDLE_COLOUR, sim.PADDLE_COLOUR], np.float32)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reading:
    """What frames show; every array has the frames' leading shape `(...)`.

    Attributes:
        lives: (...) int64, lit pips.
        bricks: (..., 6, 12) bool, True where a brick stands.
        paddle: (...) float32, left edge in pixels.
        ball: (..., 2) float32, x and y of the ball's centre pixel: the best place, ball or not.
        fit: (...) float32, share of the ball's picture that is there: 1 minus the squared error of
            the drawn ball over its squared contrast with what lies under it, in a window of 7
            pixels around it. 1 for a perfect ball, 0 or less where there is none.
        strays: (...) int64, pixels brighter than any brick that belong neither to that ball nor to
            the paddle; a second ball has about nine.
        ghosts: (...) int64, pixels that differ from the picture drawn anew by `GHOST_LEVEL`.
    """

    lives: np.ndarray
    bricks: np.ndarray
    paddle: np.ndarray
    ball: np.ndarray
    fit: np.ndarray
    strays: np.ndarray
    ghosts: np.ndarray

    def __getitem__(self, index: object) -> Self:
        return type(self)(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @classmethod
    def joined(cls, parts: "list[Reading]") -> "Reading":
        """One reading of all frames of `parts`, joined along the first axis."""
        names = [f.name for f in fields(cls)]
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})

    def shaped(self, shape: tuple[int, ...]) -> "Reading":
        """The same reading with its first axis folded into `shape`."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        return Reading(**{name: a.reshape(*shape, *a.shape[1:]) for name, a in arrays.items()})


def read(frames: np.ndarray) -> Reading:
    """Reads frames (..., 64, 64, 3) uint8, each on its own.

    Raises:
        ValueError: If the frames' shape or type is another.
    """
    if frames.shape[-3:] != (sim.SIZE, sim.SIZE, 3) or frames.dtype != np.uint8:
        raise ValueError(
            f"frames of shape {frames.shape} and dtype {frames.dtype} were given, expected "
            f"(..., {sim.SIZE}, {sim.SIZE}, 3) uint8"
        )
    flat = frames.reshape(-1, *frames.shape[-3:])
    parts = [_read_chunk(flat[i : i + _CHUNK]) for i in range(0, max(len(flat), 1), _CHUNK)]
    return Reading.joined(parts).shaped(frames.shape[:-3])


def _read_chunk(frames: np.ndarray) -> Reading:
    picture = np.ascontiguousarray(np.moveaxis(frames, -1, 0))
    darkest_channel = picture.min(0)
    lives = _lives(picture)
    ball = _brightest_spot(picture, darkest_channel)
    paddle = _paddle(picture, ball)
    bricks = _bricks(picture, ball)
    drawn = _draw_still(lives, bricks, paddle)
    ball, fit = _fit_ball(picture, drawn, ball)
    # A brick under the ball is told from the ball only once the ball's place is known.
    again = _bricks(picture, ball)
    changed = np.flatnonzero((again != bricks).any((1, 2)))
    if changed.size:
        bricks = again
        drawn[:, changed] = _draw_still(lives[changed], bricks[changed], paddle[changed])
        ball[changed], fit[changed] = _fit_ball(
            picture[:, changed], drawn[:, changed], ball[changed]
        )
    _draw_ball(drawn, ball, np.flatnonzero(fit > _SURELY_A_BALL))
    error = (np.maximum(picture, drawn) - np.minimum(picture, drawn)).max(0)
    ghost = error >= GHOST_LEVEL
    return Reading(
        lives=lives,
        bricks=bricks,
        paddle=paddle,
        ball=ball,
        fit=fit,
        strays=(ghost & (darkest_channel >= _BRIGHT)).sum((1, 2)),
        ghosts=ghost.sum((1, 2)),
    )


def _lives(picture: np.ndarray) -> np.ndarray:
    _, n, _, _ = picture.shape
    row = picture[:, :, sim.PIP_Y, _PIPS].reshape(3, n, sim.MAX_LIVES, 5)[..., : sim.PIP_WIDTH]
    colour = row.mean(-1, dtype=np.float32)
    lit, unlit = (np.array(c, np.float32) for c in (sim.PIP_COLOUR, sim.TOP_BAR))
    return (_resemblance(colour, lit, unlit) > 0).sum(1)


def _resemblance(picture: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Above 0 where a picture (3, ...) is nearer to colour `one` (3,) than to `other` (3,)."""
    contrast = one - other
    return np.tensordot(contrast, picture, 1) - contrast @ (one + other) / 2


def _brightest_spot(picture: np.ndarray, darkest_channel: np.ndarray) -> np.ndarray:
    """Where 3x3 pixels are brightest in all channels: (N, 2) x, y, good to about a pixel."""
    light = np.maximum(darkest_channel, _LEAST_LIGHT) - _LEAST_LIGHT
    red, blue = picture[0, :, _PADDLE_ROWS], picture[2, :, _PADDLE_ROWS]
    light[:, _PADDLE_ROWS] = np.maximum(red, blue) - blue  # beside the paddle only the yellow tells
    wide = light.astype(np.uint16)
    wide = wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]
    wide = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    y, x = np.divmod(wide.reshape(len(wide), -1).argmax(1), wide.shape[2])
    y_last = wide.shape[1] - 1
    y += y == y_last  # a ball that leaves the frame has its middle below
    return np.stack([x, y], 1).astype(np.float32) + 1


_LEAST_LIGHT = np.full((sim.SIZE, 1), 100, np.uint8)
_LEAST_LIGHT[: sim.TOP_BAR_HEIGHT] = 255
_LEAST_LIGHT[_WALL[0]] = _BRIGHT


def _paddle(picture: np.ndarray, ball: np.ndarray) -> np.ndarray:
    """Left edge (N,): where coverage of the columns ends, on the side that the ball leaves free."""
    rows = picture[:, :, sim.PADDLE_Y : sim.PADDLE_Y + sim.PADDLE_HEIGHT].mean(2, dtype=np.float32)
    white = np.array(sim.PADDLE_COLOUR, np.float32) - _BACKGROUND
    cover = np.tensordot(white / (white @ white), rows - _BACKGROUND[:, None, None], 1)
    cover = np.clip(cover, 0, 1)
    cover[:, : sim.SIDE_BAR_WIDTH] = cover[:, -sim.SIDE_BAR_WIDTH :] = 0
    total = np.pad(cover.cumsum(1), ((0, 0), (1, 0)))
    width = sim.PADDLE_WIDTH
    middle = (total[:, width:] - total[:, :-width]).argmax(1) + width // 2
    reach = width // 2 + 4
    frame = np.arange(len(ball))
    before = total[frame, middle] - total[frame, np.maximum(middle - reach, 0)]
    after = total[frame, np.minimum(middle + reach, sim.SIZE)] - total[frame, middle]
    left, right = middle - before, middle + after - width
    beside = abs(ball[:, 1] - sim.PADDLE_Y - 0.5) < 4
    ball_left = ball[:, 0] < middle
    paddle = np.where(beside, np.where(ball_left, right, left), (left + right) / 2)
    return np.clip(paddle, 0, sim.SIZE - width).astype(np.float32)


def _bricks(picture: np.ndarray, ball: np.ndarray) -> np.ndarray:
    """Which bricks stand (N, 6, 12), judged by the part of each that the ball leaves free."""
    n = len(ball)
    wall = _of_wall(picture).astype(np.float32)
    light = np.einsum("rc,cnrykx->nrykx", _BRICK - _BACKGROUND, wall)
    across, down = (_span(_PIXEL, ball[:, axis], sim.BALL_SIZE) for axis in (0, 1))
    free = 1 - _of_wall((down[:, :, None] * across[:, None])[None])[0]
    at_half = ((_BRICK - _BACKGROUND) * (_BRICK + _BACKGROUND) / 2).sum(1)
    of_ball = (_BRICK - _BACKGROUND) @ np.array(sim.BALL_COLOUR, np.float32)
    per_row = (1, sim.BRICK_ROWS, 1, 1, 1)
    expected = free * at_half.reshape(per_row) + (1 - free) * of_ball.reshape(per_row)
    return (free * (light - expected)).sum((2, 4)).reshape(n, sim.BRICK_ROWS, -1) > 0


def _of_wall(planes: np.ndarray) -> np.ndarray:
    """The bricks' pixels of planes (C, N, 64, 64): a view (C, N, 6, 2, 12, 4)."""
    wall = planes[:, :, _WALL[0], _WALL[1]]
    grid = wall.reshape(*wall.shape[:2], sim.BRICK_ROWS, _PITCH_Y, sim.BRICK_COLUMNS, _PITCH_X)
    return grid[:, :, :, : sim.BRICK_HEIGHT, :, : sim.BRICK_WIDTH]


def _span(pixel: np.ndarray, centre: np.ndarray, width: float) -> np.ndarray:
    """Covered share of pixels (..., P) by bars of `width` centred at `centre` (...)."""
    return np.clip((width + 1) / 2 - abs(pixel - centre[..., None]), 0, 1, dtype=np.float32)


def _empty_field() -> np.ndarray:
    field = np.empty((3, 1, sim.SIZE, sim.SIZE), np.uint8)
    field[:] = np.array(sim.BACKGROUND)[:, None, None, None]
    bars = np.array(sim.SIDE_BAR)[:, None, None, None]
    field[..., : sim.SIDE_BAR_WIDTH] = field[..., -sim.SIDE_BAR_WIDTH :] = bars
    field[:, :, : sim.TOP_BAR_HEIGHT] = np.array(sim.TOP_BAR)[:, None, None, None]
    return field


_EMPTY_FIELD = _empty_field()


def _draw_still(lives: np.ndarray, bricks: np.ndarray, paddle: np.ndarray) -> np.ndarray:
    """Draws everything but the ball: (3, N, 64, 64) uint8."""
    n = len(lives)
    drawn = np.repeat(_EMPTY_FIELD, n, 1)
    wall, standing = _of_wall(drawn), bricks[:, :, None, :, None]
    for channel in range(3):
        colour = _BRICK[:, channel].astype(np.uint8).reshape(-1, 1, 1, 1)
        np.copyto(wall[channel], colour, where=standing)
    lit = np.arange(sim.MAX_LIVES) < lives[:, None]
    pips = drawn[:, :, sim.PIP_Y, _PIPS].reshape(3, n, sim.MAX_LIVES, 5)[..., : sim.PIP_WIDTH]
    colour = np.array(sim.PIP_COLOUR, np.uint8)[:, None, None, None]
    np.copyto(pips, colour, where=lit[..., None])
    cover = _span(_PIXEL, paddle + (sim.PADDLE_WIDTH - 1) / 2, sim.PADDLE_WIDTH)
    under = drawn[:, :, _PADDLE_ROWS].astype(np.float32)
    colours = _PADDLE_COLOURS.T[:, None, :, None]
    drawn[:, :, _PADDLE_ROWS] = np.rint(under + cover[:, None] * (colours - under))
    return drawn


def _fit_ball(
    picture: np.ndarray, drawn: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fits a ball drawn over `drawn` (3, N, 64, 64) to `picture`, from `start` (N, 2).

    Returns the ball's place (N, 2) and the fit (N,) of `Reading`.
    """
    low, high = np.array([_RANGE_X, _RANGE_Y], np.float32).T
    ball = np.clip(start, low, high)
    window = _Window(ball)
    under, seen = (window.of(planes).astype(np.float32) for planes in (drawn, picture))
    for _ in range(_FIT_ROUNDS):
        error = seen - window.with_ball(under, ball)
        slope = [
            (window.with_ball(under, ball + nudge) - window.with_ball(under, ball - nudge))
            / (2 * _NUDGE)
            for nudge in np.array([(_NUDGE, 0), (0, _NUDGE)], np.float32)
        ]
        (xx, xy, yy), (xe, ye) = (
            [np.einsum("cnij,cnij->n", slope[i], slope[j]) for i, j in ((0, 0), (0, 1), (1, 1))],
            [np.einsum("cnij,cnij->n", slope[i], error) for i in (0, 1)],
        )
        xx, yy = xx + _STIFFNESS, yy + _STIFFNESS
        move = np.stack([yy * xe - xy * ye, xx * ye - xy * xe], 1) / (xx * yy - xy**2)[:, None]
        ball = np.clip(ball + np.clip(move, -1, 1), low, high)
    best = window.with_ball(under, ball)
    contrast = ((best - under) ** 2).sum((0, 2, 3))
    return ball, 1 - ((seen - best) ** 2).sum((0, 2, 3)) / np.maximum(contrast, 1)


def _draw_ball(drawn: np.ndarray, ball: np.ndarray, frame: np.ndarray) -> None:
    """Draws the balls of the frames numbered `frame` (m,) into `drawn`, in place."""
    window = _Window(ball)
    both = window.with_ball(window.of(drawn).astype(np.float32), ball)
    drawn[:, frame[:, None, None], window.y[frame], window.x[frame]] = np.rint(both[:, frame])


class _Window:
    """The pixels around each ball (N, 2): a window of fixed size, wholly inside the frame."""

    def __init__(self, ball: np.ndarray):
        corner = np.rint(ball).astype(np.int64) - _PATCH // 2
        corner = np.clip(corner, 0, sim.SIZE - _PATCH)[:, :, None] + np.arange(_PATCH)
        self._columns, self._lines = corner[:, 0], corner[:, 1]
        self.x, self.y = self._columns[:, None, :], self._lines[:, :, None]

    def of(self, planes: np.ndarray) -> np.ndarray:
        return planes[:, np.arange(planes.shape[1])[:, None, None], self.y, self.x]

    def with_ball(self, under: np.ndarray, ball: np.ndarray) -> np.ndarray:
        """Draws balls (N, 2) over `under` (3, N, 7, 7) float32."""
        body, centre = (
            _span(self._lines, ball[:, 1], width)[:, :, None]
            * _span(self._columns, ball[:, 0], width)[:, None]
            for width in (sim.BALL_SIZE, 1)
        )
        white, yellow = (
            np.array(colour, np.float32)[:, None, None, None]
            for colour in (sim.BALL_COLOUR, sim.BALL_CENTRE)
        )
        return under + body * (white - under) + centre * (yellow - white)
