"""Windows of play as a codec of figures learns from them: two moments of one ground, and labels."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from learned_envs.data.window import Window
from learned_envs.training.motion_labels import SHORTEST, Labels, ground_of, label, moving
from learned_envs.training.tracks import takes_of

_RESTLESS = 0.35  # share of the picture that moves when it is more than figures: such are left out
_LATER = 5  # frames after which the direction of a motion is told


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Two moments of one take.

    Attributes:
        now: (H, W, 3) uint8.
        other: (H, W, 3) uint8, a moment shortly before or after.
        ground: (H, W, 3) uint8, what stands still.
        labels: Of the figures that stand alone in `now`.
    """

    now: np.ndarray
    other: np.ndarray
    ground: np.ndarray
    labels: Labels


def scenes(
    windows: Iterator[Window],
    size: tuple[int, int],
    apart: int,
    own: float,
    share: float,
    random: np.random.Generator,
) -> Iterator[Scene]:
    """Draws scenes from windows for ever.

    Args:
        windows: Of at least 40 steps.
        size: Pixels across and along in which a figure fits.
        apart: Most frames between the two moments.
        own: Share of the scenes whose two moments are one.
        share: Of the frames of each window that are used before the next is asked for.
        random: Draws them.

    Raises:
        ValueError: If the windows are too short to tell the ground from what moves.
    """
    for window in windows:
        takes = [take.frames for take in takes_of(window, SHORTEST)]
        if not takes:
            raise ValueError(
                f"windows of {window.valid.shape[1]} steps hold no take of {SHORTEST} frames: "
                "give longer windows and episodes, from which the ground can be told"
            )
        grounds = [ground_of(take) for take in takes]
        draws = max(1, round(share * sum(len(take) for take in takes)))
        for index in random.integers(len(takes), size=draws):
            take, ground = takes[index], grounds[index]
            t = int(random.integers(len(take) - _LATER))
            if moving(take[t], ground).mean() > _RESTLESS:
                continue
            low, high = max(0, t - apart), min(len(take), t + apart + 1)
            other = t if random.random() < own else random.integers(low, high)
            yield Scene(
                now=take[t], other=take[other], ground=ground,
                labels=label(take[t], take[t + _LATER], ground, size),
            )  # fmt: skip


def crowded(scene: Scene, donor: Scene, random: np.random.Generator) -> Scene:
    """Puts a figure of another scene close to one of this, turned at random.

    So a finder meets figures side by side, of which motion alone gives no labels.
    """
    here, there = scene.labels, donor.labels
    if not len(here.centre) or not len(there.centre):
        return scene
    beside, chosen = random.integers(len(here.centre)), random.integers(len(there.centre))
    away, angle = random.uniform(17, 34), random.uniform(0, 2 * np.pi)
    place = here.centre[beside] + away * np.array([np.cos(angle), np.sin(angle)])
    height, width = scene.now.shape[:2]
    if not (14 < place[0] < width - 14 and 14 < place[1] < height - 14):
        return scene
    centre, facing, (length, breadth) = (
        there.centre[chosen], there.facing[chosen], there.extent[chosen],
    )  # fmt: skip
    turn = random.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(turn), np.sin(turn)
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    to_place = np.column_stack([rotation, place - rotation @ centre])
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ahead = (x - centre[0]) * facing[0] + (y - centre[1]) * facing[1]
    aside = (y - centre[1]) * facing[0] - (x - centre[0]) * facing[1]
    inside = 2.2 * (1 - (ahead / (length / 2 + 2)) ** 2 - (aside / (0.36 * breadth)) ** 2)
    mask = cv2.warpAffine(inside.clip(0, 1), to_place, (width, height))[..., None]
    figure = cv2.warpAffine(donor.now, to_place, (width, height))
    now = np.rint(scene.now + mask * (figure.astype(np.float32) - scene.now)).astype(np.uint8)
    labels = Labels(
        centre=np.vstack([here.centre, place[None]]).astype(np.float32),
        facing=np.vstack([here.facing, (rotation @ facing)[None]]).astype(np.float32),
        directed=np.append(here.directed, there.directed[chosen]),
        extent=np.vstack([here.extent, there.extent[chosen]]),
        unsure=here.unsure,
    )
    return Scene(now=now, other=scene.other, ground=scene.ground, labels=labels)
