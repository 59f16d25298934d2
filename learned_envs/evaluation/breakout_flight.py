"""Follows Breakout's balls from frame to frame and says where the rules would have them.

The velocity is not in the picture. It is known from the straight line since the ball last turned
or, right after a turn, from the rule of that turn. So every frame is compared with one prediction.
"""

from dataclasses import dataclass, fields

import numpy as np

from sims import breakout as sim

POSITION_TOLERANCE = 0.25
"""Pixels between the ball and where the rules put it. Reading errs by 0.01 px on true frames and by
0.05 on frames with noise of 10 levels; the slightest planted fault that must be seen is 0.4."""

EDGE_TOLERANCE = 0.25
"""Pixels within which a ball may or may not have touched a wall, a brick or the paddle: there the
prediction's own error decides."""

LOST_TOLERANCE = 0.5
"""Pixels around the line below which a ball is lost: its last three frames are out of sight, so its
place is extrapolated; half a frame's fall."""

OUT_OF_SIGHT = 63.5
"""A ball whose middle is below this shows less than half of itself."""

UNSEEN_AT_START = 8
"""Steps after which a ball that an episode begins without showing has been lost: it is less than a
pixel above the line and falls by an eighth of a pixel a step or more."""

LAUNCH = np.array(sim.BALL_START)
_WALLS = np.array([(sim.LEFT_WALL, sim.TOP_WALL), (sim.RIGHT_WALL, np.inf)])
_UNKNOWN = np.full(2, np.nan)
_FREE, _AFTER_PADDLE, _AFTER_BRICK = 0, 1, 2


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Step:
    """What the flight of n balls showed in one step; arrays are (n,) bool, or (T, n) of T steps.

    Attributes:
        hidden: The ball may be out of sight below the frame.
        speed_tested: The ball was seen before and after.
        speed_broken: It moved by other than a ball's speed.
        followed: The ball was seen where a prediction was possible.
        astray: It was not where the rules put it.
        after_paddle: The prediction was about a bounce off the paddle.
        after_brick: The prediction was about the reflection off a brick.
        may_be_lost: It may have fallen below the line, as a ball may that an episode begins without
            showing.
        must_be_lost: It must have fallen below the line.
        relaunched: A ball that may have been lost is back at the start.
        returned: It came down, and went up again from the lower part of the field.
    """

    hidden: np.ndarray
    speed_tested: np.ndarray
    speed_broken: np.ndarray
    followed: np.ndarray
    astray: np.ndarray
    after_paddle: np.ndarray
    after_brick: np.ndarray
    may_be_lost: np.ndarray
    must_be_lost: np.ndarray
    relaunched: np.ndarray
    returned: np.ndarray

    @classmethod
    def stacked(cls, steps: "list[Step]") -> "Step":
        """T steps as one, of shape (T, n)."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: np.stack([getattr(step, name) for step in steps]) for name in names})


class Flight:
    """The flights of n balls, from their places `ball` (n, 2) in the first frame.

    Args:
        ball: (n, 2) x and y in pixels; nan where no ball was found.
    """

    def __init__(self, ball: np.ndarray):
        count = len(ball)
        self._ball = ball.astype(np.float64)
        self._anchor = self._ball.copy()  # where the ball last turned, by axis
        self._since = np.zeros((count, 2))  # steps since then
        self._rule = np.full((count, 2), np.nan)  # velocity that the turn gave
        self._either_way = np.zeros((count, 2), bool)  # it may have turned or not
        self._cause = np.full(count, _FREE)
        self._was_falling = np.zeros(count, bool)
        self._unseen_for = np.where(np.isnan(ball[:, 0]), 0, UNSEEN_AT_START)

    def step(
        self, seen: np.ndarray, paddle: np.ndarray, broke: np.ndarray, begins: np.ndarray
    ) -> Step:
        """Advances by one frame.

        Args:
            seen: (n, 2) the ball's place in the new frame; nan where no ball was found.
            paddle: (n,) left edge in the new frame.
            broke: (n,) bool, the step broke a brick.
            begins: (n,) bool, the new frame begins an episode.
        """
        before, cause = self._ball, self._cause
        velocity = self._velocity(seen)
        free = before + velocity
        must_be_lost = free[:, 1] > sim.LOST_BELOW + LOST_TOLERANCE
        below = self._unseen_for < UNSEEN_AT_START
        hidden = (free[:, 1] > OUT_OF_SIGHT - POSITION_TOLERANCE) & ~must_be_lost
        hidden |= self._unseen_for < UNSEEN_AT_START - 1
        measured = ~np.isnan(seen[:, 0]) & (~hidden | (seen[:, 1] <= OUT_OF_SIGHT))
        expected = np.clip(free, *_WALLS)
        bounced, must_bounce = _bounces(free, velocity, expected[:, 0], seen[:, 1], paddle)
        expected[bounced | must_bounce, 1] = sim.PADDLE_Y - 2
        may_be_lost = below | (free[:, 1] > sim.LOST_BELOW - LOST_TOLERANCE)
        at_start = (abs(seen - LAUNCH) <= POSITION_TOLERANCE).all(1)
        relaunched = may_be_lost & at_start
        followed = measured & ~relaunched & ~begins & ~np.isnan(free).any(1)
        off = abs(seen - expected) > POSITION_TOLERANCE
        speed_tested = measured & ~relaunched & ~begins & ~np.isnan(before[:, 0])
        moved = seen - before
        falling = np.where(measured, moved[:, 1] > 0, self._was_falling)
        outcome = Step(
            hidden=hidden,
            speed_tested=speed_tested,
            speed_broken=speed_tested & _unlawful(moved, seen, bounced),
            followed=followed,
            astray=followed & off.any(1),
            after_paddle=followed & ((cause == _AFTER_PADDLE) | (must_bounce & ~bounced)),
            after_brick=followed & (cause == _AFTER_BRICK),
            may_be_lost=may_be_lost,
            must_be_lost=must_be_lost,
            relaunched=relaunched,
            returned=speed_tested & self._was_falling & ~falling & (before[:, 1] > 50),
        )
        self._was_falling = falling & ~relaunched & ~begins
        restart = speed_tested[:, None] & (off | np.isnan(velocity))
        unseen = np.where(hidden[:, None], free, np.nan)
        self._remember(np.where(measured[:, None], seen, unseen), restart)
        self._turn(velocity, free, paddle, bounced & followed, broke & speed_tested, moved)
        self._forget(~measured & ~hidden | begins)
        self._launch(relaunched & ~begins)
        still = np.isnan(seen[:, 0]) & ~relaunched
        count = np.where(begins, 0, np.minimum(self._unseen_for + 1, UNSEEN_AT_START))
        self._unseen_for = np.where(still, count, UNSEEN_AT_START)
        return outcome

    def _velocity(self, seen: np.ndarray) -> np.ndarray:
        mean = (self._ball - self._anchor) / np.maximum(self._since, 1)
        velocity = np.where(self._since > 0, mean, self._rule)
        miss, miss_turned = (
            abs(np.clip(self._ball + v, *_WALLS) - seen) for v in (velocity, -velocity)
        )
        turned = self._either_way & (miss_turned < miss)
        self._anchor = np.where(turned, self._ball, self._anchor)
        self._since[turned] = 0
        return np.where(turned, -velocity, velocity)

    def _remember(self, ball: np.ndarray, restart: np.ndarray) -> None:
        """Moves on to the new frame; where `restart` holds, on a line from the frame before."""
        self._anchor = np.where(restart, self._ball, self._anchor)
        self._since = np.where(restart, 1, self._since + 1)
        self._ball = ball

    def _turn(
        self,
        velocity: np.ndarray,
        free: np.ndarray,
        paddle: np.ndarray,
        bounced: np.ndarray,
        broke: np.ndarray,
        moved: np.ndarray,
    ) -> None:
        """Gives the balls that turned the velocity that the rules give them."""
        (left, top), (right, _) = _WALLS
        new = np.stack(
            [
                np.where(free[:, 0] <= left, abs(velocity[:, 0]), -abs(velocity[:, 0])),
                abs(velocity[:, 1]),
            ],
            1,
        )
        turned = (free <= (left, top)) | (free >= (right, np.inf))
        near = (abs(free - (left, top)) < EDGE_TOLERANCE) | (
            abs(free - (right, np.inf)) < EDGE_TOLERANCE
        )
        # Nothing was foretold, and at a wall the way to it tells nothing of the way back.
        blind = np.isnan(free) & (
            (self._ball <= np.array([left, top]) + EDGE_TOLERANCE)
            | (self._ball >= np.array([right, np.inf]) - EDGE_TOLERANCE)
        )
        new[blind] = np.nan
        new[broke, 1] = -np.where(np.isnan(velocity[broke, 1]), moved[broke, 1], velocity[broke, 1])
        offset = (self._ball[:, 0] - paddle) / (sim.PADDLE_WIDTH / 2) - 1
        after_paddle = np.stack(
            [np.clip(1.15 * offset, -1.2, 1.2), -np.maximum(0.8, abs(velocity[:, 1]))], 1
        )
        new[bounced] = after_paddle[bounced]
        turned |= blind | bounced[:, None]
        turned[broke, 1] = True
        self._rule = np.where(turned, new, self._rule)
        self._anchor = np.where(turned, self._ball, self._anchor)
        self._since[turned] = 0
        self._either_way = near & ~bounced[:, None]
        self._cause = np.where(bounced, _AFTER_PADDLE, np.where(broke, _AFTER_BRICK, _FREE))

    def _forget(self, rows: np.ndarray) -> None:
        self._anchor[rows] = self._ball[rows]
        self._since[rows] = 0
        self._rule[rows] = _UNKNOWN
        self._either_way[rows] = False
        self._cause[rows] = _FREE

    def _launch(self, rows: np.ndarray) -> None:
        self._forget(rows)
        self._rule[rows] = sim.BALL_VELOCITY[0], -sim.BALL_VELOCITY[1]
        self._either_way[rows, 0] = True


def _bounces(
    free: np.ndarray, velocity: np.ndarray, x: np.ndarray, seen_y: np.ndarray, paddle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which balls bounced off the paddle, and which had to; (n,) bool each."""
    middle = paddle + sim.PADDLE_WIDTH / 2
    # Pixels by which each ball is inside the box in which the paddle catches it.
    inside = np.minimum(
        sim.PADDLE_WIDTH / 2 + 1 - abs(x - middle), 1.5 - abs(free[:, 1] - (sim.PADDLE_Y + 0.5))
    )
    falling = velocity[:, 1] > 0
    lifted = abs(seen_y - (sim.PADDLE_Y - 2)) < abs(seen_y - free[:, 1])
    return (
        falling & (inside > -EDGE_TOLERANCE) & lifted,
        falling & (inside > EDGE_TOLERANCE),
    )


def _unlawful(moved: np.ndarray, seen: np.ndarray, bounced: np.ndarray) -> np.ndarray:
    """Balls that moved sideways faster than any bounce allows, or up or down not at their pace."""
    stopped = bounced | (seen[:, 1] <= sim.TOP_WALL + EDGE_TOLERANCE)
    pace = abs(abs(moved[:, 1]) - sim.BALL_VELOCITY[1]) > POSITION_TOLERANCE
    return (abs(moved[:, 0]) > 1.2 + POSITION_TOLERANCE) | (pace & ~stopped)
