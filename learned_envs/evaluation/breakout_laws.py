"""The laws of Breakout, judged from pixels: real games keep all of them, and a dream should.

A law is judged wherever it applies, from two consecutive frames, the action between them, and what
`Flight` remembers of the ball's way. Each tolerance is a named constant with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from learned_envs.evaluation.breakout_flight import EDGE_TOLERANCE, Flight, Step
from learned_envs.evaluation.breakout_pixels import Reading, read
from learned_envs.evaluation.laws import Verdict
from learned_envs.evaluation.rollouts import Rollout
from sims import breakout as sim

LAWS = {
    "ball": "exactly one ball, as a ball is drawn, unless it is leaving below the frame",
    "speed": "the ball moves up or down at its pace of 0.92 px, and sideways by at most 1.2",
    "turns": "the ball flies straight and turns only at walls, paddle and bricks",
    "bounce": "off the paddle vx = clip(1.15 offset, ±1.2); nothing falls through the paddle",
    "bricks": "a ball that meets a brick breaks exactly one and reflects; no brick goes otherwise",
    "invented": "no brick appears, except the whole wall after its last brick",
    "paddle": "the paddle moves as the action says, relative to the frame before",
    "lives": "a lost ball costs one life and returns to (32, 45); nothing else changes the lives",
    "reward": "the reward is the number of bricks broken",
    "ending": "the game terminates exactly when the last life goes",
    "clean": "nothing is in the picture that the others do not account for",
}

BALL_FIT = 0.93
"""Least share of the ball's picture that must be there. True frames give above 0.999, frames with
noise of 10 levels above 0.97; a ball blurred over 3x3 pixels gives 0.7 to 0.9, one smeared over its
last four places 0.6 to 0.9."""

STRAY_PIXELS = 4
"""Bright pixels that make a second ball: about half of one. A true frame has none."""

GHOST_PIXELS = 6
"""Unaccounted pixels that make a ghost: two thirds of a ball, three quarters of a brick, so that a
half-drawn thing counts and a rough edge does not. A true frame has none."""

PADDLE_TOLERANCE = 0.5
"""Pixels between the paddle and where the action sends it, as the project's criterion says."""

REWARD_TOLERANCE = 0.5
"""Rewards are whole numbers, and a reward head's output may not be quite."""


class BreakoutReferee:
    """Judges Breakout from its frames; see `learned_envs.evaluation.laws.Referee`.

    Feed it the pieces of one rollout in their order. What a step says of itself, its reward and
    its end, is compared with what its frames show.

    Attributes:
        laws: Each law by name, in words.
        events: "bricks broken" (bricks that went), "paddle hits" (a falling ball turned up again in
            the lowest fifth of the frame) and "lost balls" (pips that went out) so far.
    """

    def __init__(self) -> None:
        self.laws: Mapping[str, str] = LAWS
        self.events = {"bricks broken": 0, "paddle hits": 0, "lost balls": 0}
        self._flight: Flight | None = None

    def watch(self, rollout: Rollout) -> dict[str, Verdict]:
        """Judges the next T steps; verdicts are (T, n) and False where a step begins an episode."""
        reading = read(rollout.frames)
        before, after = reading[:-1], reading[1:]
        begins = rollout.first[1:]
        ball_there = reading.fit >= BALL_FIT
        ball = np.where(ball_there[..., None], reading.ball, np.nan)
        broken, appeared = _changed_bricks(before.bricks, after.bricks)
        broken_count = broken.sum((2, 3))
        if self._flight is None:
            self._flight = Flight(ball[0])
        flight = self._fly(ball[1:], after.paddle, broken_count > 0, begins)
        live = ~begins
        in_flight = flight.followed & ~flight.after_paddle & ~flight.after_brick
        verdicts = {
            "ball": _ball(flight, after, ball_there[1:]),
            "speed": _verdict(flight.speed_tested, flight.speed_broken),
            "turns": _verdict(in_flight, flight.astray),
            "bounce": _verdict(flight.after_paddle, flight.astray),
            "bricks": _bricks(flight, before.bricks, broken, ball[1:]),
            "invented": _verdict(live, appeared.sum((2, 3)) > 0),
            "paddle": _verdict(live, _paddle_off(before.paddle, after.paddle, rollout.actions)),
            "lives": _verdict(live, _lives_off(flight, before.lives, after.lives)),
            "reward": _verdict(live, abs(rollout.rewards - broken_count) >= REWARD_TOLERANCE),
            "ending": _verdict(live, np.not_equal(rollout.terminated, after.lives == 0)),
            "clean": _verdict(live, after.ghosts >= GHOST_PIXELS),
        }
        self.events["bricks broken"] += int(broken_count[live].sum())
        self.events["paddle hits"] += int((flight.returned & live).sum())
        self.events["lost balls"] += int(np.maximum(before.lives - after.lives, 0)[live].sum())
        return {law: _verdict(v.applies & live, v.broken) for law, v in verdicts.items()}

    def _fly(
        self, ball: np.ndarray, paddle: np.ndarray, broke: np.ndarray, begins: np.ndarray
    ) -> Step:
        assert self._flight is not None
        steps = [self._flight.step(*now) for now in zip(ball, paddle, broke, begins, strict=True)]
        return Step.stacked(steps)


def _verdict(applies: np.ndarray, broken: np.ndarray) -> Verdict:
    return Verdict(applies=applies, broken=applies & broken)


def _ball(flight: Step, after: Reading, there: np.ndarray) -> Verdict:
    visible = ~flight.hidden & (after.lives > 0)
    return _verdict(visible, ~there | (after.strays >= STRAY_PIXELS))


def _changed_bricks(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bricks that went and bricks that came, (T, n, 6, 12); a rebuilt wall came lawfully."""
    rebuilt = (before.sum((2, 3)) == 1) & after.all((2, 3))
    after = after & ~rebuilt[..., None, None]
    return before & ~after, after & ~before


def _bricks(flight: Step, standing: np.ndarray, broken: np.ndarray, ball: np.ndarray) -> Verdict:
    depth = _depth(ball)
    count = broken.sum((2, 3))
    must_break = (standing & (depth > EDGE_TOLERANCE)).any((2, 3))
    out_of_reach = (broken & ~(depth > -EDGE_TOLERANCE)).any((2, 3))
    wrong = (count > 1) | out_of_reach | (must_break & (count == 0))
    reflects = flight.after_brick
    return _verdict((count > 0) | must_break | reflects, wrong | (reflects & flight.astray))


def _depth(ball: np.ndarray) -> np.ndarray:
    """Pixels by which balls (T, n, 2) are inside each brick's hit box: (T, n, 6, 12)."""
    half = np.array([sim.BRICK_WIDTH, sim.BRICK_HEIGHT]) / 2
    across = half[0] + 1 - abs(ball[..., :1] - (sim.BRICK_X + half[0]))
    down = half[1] + 1 - abs(ball[..., 1:] - (sim.BRICK_Y + half[1]))
    return np.minimum(down[..., :, None], across[..., None, :])


def _paddle_off(before: np.ndarray, after: np.ndarray, actions: np.ndarray) -> np.ndarray:
    move = sim.PADDLE_SPEED * ((actions == 2).astype(float) - (actions == 1))
    return abs(after - np.clip(before + move, *sim.PADDLE_RANGE)) > PADDLE_TOLERANCE


def _lives_off(flight: Step, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    lost = before - after
    cost = (lost == 1) & flight.may_be_lost & (flight.relaunched | (after == 0))
    spared = (lost == 0) & ~flight.must_be_lost & ~flight.relaunched
    return ~(cost | spared)
