"""Where figures were in takes of play, read by a codec of figures from the frames alone."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from learned_envs.data.window import Window
from learned_envs.models.codecs.codec import to_images
from learned_envs.models.codecs.poses import Poses
from learned_envs.models.codecs.sprites import REACH, Sprites

_LOST = 3  # frames without a find after which a figure's row is another's
_AROUND = 6  # frames before and after that tell which way a figure faces
_AT_ONCE = 16  # frames read in one batch


@dataclass(frozen=True, kw_only=True, slots=True)
class Tracks:
    """N figures in each of B takes of T steps.

    Attributes:
        centre: (B, T + 1, N, 2), x and y in pixels.
        facing: (B, T + 1, N, 2), unit vectors.
        code: (B, T + 1, N, P).
        there: (B, T + 1, N) bool, where a figure was found.
        action: (B, T, A) raw.
    """

    centre: Tensor
    facing: Tensor
    code: Tensor
    there: Tensor
    action: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All of them, by name."""
        return {field.name: getattr(self, field.name).contiguous() for field in fields(self)}

    def part(self, row: Tensor, start: Tensor, steps: int) -> "Tracks":
        """Stretches of so many steps: of takes `row` (b,) from frames `start` (b,) on."""
        frame = start[:, None] + torch.arange(steps + 1)
        picked = {
            name: value[row[:, None], frame[:, :-1] if name == "action" else frame]
            for name, value in self.tensors().items()
        }
        return Tracks(**picked)


def joined(tracks: list[Tracks]) -> Tracks:
    """Takes of equal length, one after another."""
    all_of = [track.tensors() for track in tracks]
    return Tracks(**{name: torch.cat([one[name] for one in all_of]) for name in all_of[0]})


class Take(NamedTuple):
    """T steps of play in a row.

    Attributes:
        frames: (T + 1, H, W, 3) uint8.
        action: (T, A) raw.
        reward: (T,).
        fresh: Whether it is the beginning of an episode.
    """

    frames: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    fresh: bool


def takes_of(window: Window, shortest: int) -> Iterator[Take]:
    """Takes of a window of at least so many frames."""
    for row in range(len(window.first)):
        begins = np.flatnonzero(window.first[row]).tolist()
        edges = sorted({0, *begins, window.first.shape[1]})
        for a, b in zip(edges, edges[1:], strict=False):
            if b - a >= shortest:
                yield Take(
                    frames=window.observation[row, a:b], action=window.action[row, a : b - 1],
                    reward=window.reward[row, a : b - 1], fresh=bool(window.first[row, a]),
                )  # fmt: skip


def read_tracks(codec: Sprites, window: Window) -> Tracks | None:
    """Reads all takes of a window that last from its one end to the other; None if none does."""
    frames = window.first.shape[1]
    read = [_read(codec, take) for take in takes_of(window, frames)]
    return joined(read) if read else None


@torch.no_grad()
def _read(codec: Sprites, take: Take) -> Tracks:
    device = next(codec.parameters()).device
    images = [
        to_images(torch.from_numpy(take.frames[start : start + _AT_ONCE]).to(device))
        for start in range(0, len(take.frames), _AT_ONCE)
    ]
    finds = [codec.finder.find(part, codec.config.count) for part in images]
    centre = torch.cat([poses.centre for poses, _ in finds]).cpu().numpy()
    facing = torch.cat([poses.facing for poses, _ in finds]).cpu().numpy()
    index = linked(centre, torch.cat([found for _, found in finds]).cpu().numpy())
    there, picked = index >= 0, np.maximum(index, 0)[..., None]
    centre, facing = (np.take_along_axis(value, picked, 1) for value in (centre, facing))
    facing = oriented(centre, facing, there)
    rough = Poses(
        centre=torch.from_numpy(centre).to(device), facing=torch.from_numpy(facing).to(device)
    )
    read = []
    for start, part in zip(range(0, len(take.frames), _AT_ONCE), images, strict=True):
        now = slice(start, start + _AT_ONCE)
        code, poses = codec.figures.read(
            part, Poses(centre=rough.centre[now], facing=rough.facing[now])
        )
        read.append(torch.cat([poses.centre, poses.facing, code], -1).cpu())
    seen = torch.from_numpy(there)
    smooth = _smoothed(torch.cat(read), seen)
    codes = smooth[..., 4:]  # they swing: what is smoothed more swings less
    centres, facings = _smoothed(smooth[..., :4], seen).tensor_split([2], dim=-1)
    return Tracks(
        centre=centres[None], facing=F.normalize(facings, dim=-1)[None], code=codes[None],
        there=seen[None], action=torch.from_numpy(take.action)[None],
    )  # fmt: skip


def linked(centre: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Which find of each frame is of which figure, by where it was before.

    Args:
        centre: (T, N, 2) in pixels.
        found: (T, N) bool.

    Returns:
        (T, N) int64: the find of each row's figure, -1 where it was not found.
    """
    count = centre.shape[1]
    index = np.full(found.shape, -1)
    last, missing = np.full((count, 2), np.inf), np.full(count, _LOST + 1)
    for t in range(len(centre)):
        free = found[t].copy()
        gaps = np.linalg.norm(last[:, None] - centre[t], axis=2)
        gaps[missing > _LOST] = gaps[:, ~free] = np.inf
        while gaps.min() < REACH * 2:
            row, find = np.unravel_index(gaps.argmin(), gaps.shape)
            if gaps[row, find] < REACH * (1 + missing[row]):
                index[t, row] = find
                free[find] = False
                gaps[row], gaps[:, find] = np.inf, np.inf
            else:
                gaps[row, find] = np.inf
        empty = np.flatnonzero((missing > _LOST) & (index[t] < 0))
        for row, find in zip(empty, np.flatnonzero(free), strict=False):
            index[t, row] = find
        there = index[t] >= 0
        last[there] = centre[t, index[t, there]]
        missing = np.where(there, 0, missing + 1)
    return index


def oriented(centre: np.ndarray, facing: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Directions, turned round where those shortly before and after and the way gone say so.

    Args:
        centre: (T, N, 2) in pixels.
        facing: (T, N, 2), of which some point the wrong way round.
        there: (T, N) bool.
    """
    facing = facing.copy()
    for row in range(facing.shape[1]):
        frames = np.flatnonzero(there[:, row])
        for part in np.split(frames, np.flatnonzero(np.diff(frames) > _LOST) + 1):
            if not len(part):
                continue
            places, ways = centre[part, row], facing[part, row]
            first = np.maximum(np.arange(len(part)) - _AROUND, 0)
            last = np.minimum(np.arange(len(part)) + _AROUND, len(part) - 1)
            summed = np.concatenate([np.zeros((1, 2)), ways.cumsum(0)])
            told = summed[last + 1] - summed[first] + places[last] - places[first]
            facing[part, row] *= np.where((ways * told).sum(-1) < 0, -1, 1)[:, None]
    return facing


def _smoothed(values: Tensor, there: Tensor) -> Tensor:
    """Values (T, N, n) averaged over three frames, where all three are of the same figure."""
    whole = torch.zeros_like(there)
    whole[1:-1] = there[:-2] & there[1:-1] & there[2:]
    mean = values.clone()
    mean[1:-1] = (values[:-2] + 2 * values[1:-1] + values[2:]) / 4
    return torch.where(whole[..., None], mean, values)
