"""What went wrong in a film, judged by what is usual in real ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from learned_envs.evaluation.footage.signs import Signs, distance
from learned_envs.evaluation.footage.tracked import FADED_FRAMES

STUCK_SECONDS = 3.0
BLURRED_SECONDS = 1.0
OVERLAY_SECONDS = 5.0
FLASH_SECONDS = 0.3
MORPH_SECONDS = 1.0

_RETURNED = 0.5  # of a jump: nearer than that to before it, the picture is back
_ELSEWHERE = 0.15  # distance of colours from one place to another
_ACTING = 0.5  # share of the steps
_MOVING = 1.0  # levels a step


@dataclass(frozen=True, kw_only=True, slots=True)
class Usual:
    """What is usual in real films; beyond it something is wrong.

    Attributes:
        fps: Steps a second.
        still: Change a step, in levels, below which nothing moves although someone acts: a tenth of
            the median of real steps with an action.
        blurred: Sharpness, in levels, below which a picture is blurred: half of the lowest
            hundredth of real frames.
        jump: `Signs.jump` beyond which a step is one: 2.5 times what one real step in a hundred
            exceeds.
        fading: `Signs.fading` beyond which a thing was deleted: 1.25 times what one real second in
            a hundred exceeds.
        unexplained: Share of the change in a second that no motion explains, beyond which pictures
            dissolve into each other: what one real second in a hundred exceeds, of those in which
            something moves.
    """

    fps: int
    still: float
    blurred: float
    jump: float
    fading: float
    unexplained: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What was found in one film.

    Attributes:
        stuck: Whether nothing moved for three seconds in which someone acted at least half of the
            time.
        blurred: Whether the picture was blurred for a second.
        morphed: Whether, within a second and without a jump, colours went as far as from one place
            to another and no motion explains it.
        teleports: Jumps to where the picture stays.
        overlays: Jumps after which the picture is back within five seconds, by another jump: a menu
            that opens and closes.
        deletions: Things that faded out: within a second and without a jump a place, followed by
            the flow, lost its detail while the rest of the picture kept it.
        seconds: Length of the film.
    """

    stuck: bool
    blurred: bool
    morphed: bool
    teleports: int
    overlays: int
    deletions: int
    seconds: float


def usual(films: Sequence[Signs], acting: Sequence[np.ndarray], fps: int) -> Usual:
    """Learns from real films what is usual.

    Args:
        films: Their signs.
        acting: Of each, (T,) bool: someone acts.
        fps: Steps a second.
    """
    moved = np.concatenate([film.change[acts] for film, acts in zip(films, acting, strict=True)])
    sharpness = np.concatenate([film.sharpness for film in films])
    jumps = np.concatenate([film.jump for film in films])
    fading = np.concatenate([film.fading for film in films])
    shares = np.concatenate([_unexplained(film, fps)[0] for film in films])
    return Usual(
        fps=fps,
        still=float(np.median(moved)) / 10,
        blurred=float(np.quantile(sharpness, 0.01)) / 2,
        jump=2.5 * float(np.quantile(jumps, 0.99)),
        fading=1.25 * float(np.quantile(fading, 0.99)) if len(fading) else float("inf"),
        unexplained=float(np.quantile(shares, 0.99)),
    )


def findings(film: Signs, acting: np.ndarray, known: Usual) -> Findings:
    """Judges one film.

    Args:
        film: Its signs.
        acting: (T,) bool: someone acts.
        known: What is usual.
    """
    fps = known.fps
    window = round(STUCK_SECONDS * fps)
    still = _means(film.change <= known.still, window) == 1
    teleports, overlays = _jumps(film, known)
    unexplained, far = _unexplained(film, fps)
    jumped = _means(film.jump > known.jump, round(MORPH_SECONDS * fps)) > 0
    morphed = (unexplained > known.unexplained) & (far > _ELSEWHERE) & ~jumped
    return Findings(
        stuck=bool((still & (_means(acting, window) >= _ACTING)).any()),
        blurred=bool(
            (_means(film.sharpness < known.blurred, round(BLURRED_SECONDS * fps)) == 1).any()
        ),
        morphed=bool(morphed.any()),
        teleports=teleports,
        overlays=overlays,
        deletions=_deletions(film, known),
        seconds=len(film.change) / fps,
    )


def _jumps(film: Signs, known: Usual) -> tuple[int, int]:
    """How many jumps lead elsewhere, and how many pairs lead back."""
    jumps = list(_events(film, known))
    teleports = overlays = 0
    while jumps:
        first, last = jumps.pop(0)
        before, reach = film.colours[first], last + OVERLAY_SECONDS * known.fps
        apart = float(distance(film.colours[last + 1], before))
        back = [
            later
            for later in jumps
            if later[0] <= reach
            and distance(film.colours[later[1] + 1], before) < _RETURNED * apart
        ]
        if back:
            overlays += 1
            jumps = [later for later in jumps if later[0] > back[0][1]]
        else:
            teleports += 1
    return teleports, overlays


def _deletions(film: Signs, known: Usual) -> int:
    """How often a thing fades out; what follows within a second counts as the same."""
    jumped = _means(film.jump > known.jump, FADED_FRAMES) > 0
    times = np.flatnonzero((film.fading > known.fading) & ~jumped)
    return int((np.diff(times, prepend=-known.fps - 1) > known.fps).sum())


def _events(film: Signs, known: Usual) -> Iterator[tuple[int, int]]:
    """First and last step of each jump; those that follow at once are one, as a flash is.

    A flash that leads back to the same picture is none.
    """
    times = np.flatnonzero(film.jump > known.jump)
    for group in np.split(times, np.flatnonzero(np.diff(times) > FLASH_SECONDS * known.fps) + 1):
        if len(group):
            first, last = int(group[0]), int(group[-1])
            if distance(film.colours[last + 1], film.colours[first]) > _ELSEWHERE:
                yield first, last


def _unexplained(film: Signs, fps: int) -> tuple[np.ndarray, np.ndarray]:
    """By second, each beginning a step later: the share of the change that no motion explains.

    It is 0 where hardly anything moves. Also the distance of colours from its begin to its end.
    """
    window = round(MORPH_SECONDS * fps)
    change, left = _means(film.change, window), _means(film.unexplained, window)
    share = np.where(change > _MOVING, left / np.maximum(change, _MOVING), 0.0)
    return share, distance(film.colours[window:], film.colours[:-window])


def _means(values: np.ndarray, window: int) -> np.ndarray:
    """Means over `window` values in a row, (len - window + 1,); none where there are fewer."""
    if len(values) < window:
        return np.empty(0)
    return np.lib.stride_tricks.sliding_window_view(values, window).mean(1)
