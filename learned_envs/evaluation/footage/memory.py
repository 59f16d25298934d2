"""Whether dreams know a place again after looking away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.data.store import EpisodeStore
from learned_envs.evaluation.footage.signs import colours_of, distance
from learned_envs.evaluation.footage.stretches import Stretch, dreamed_ends, stretches
from learned_envs.models.world_model import WorldModel

AWAY_STEPS = 30, 75
"""Steps of the ways that lead back to where they began, at least and at most."""

_LEAST = 4  # ways
_SAME = 0.06  # distance of colours up to which a picture is back
_AWAY = 0.25  # distance of colours to which it must have gone
_STRIDE = 5  # frames between those where a way may begin
_CANDIDATES = 32
_FILMS = 16  # that the probe learns from
_NEAR = 3  # frames between two pictures of a place that it learns from
_PROBE_STEPS, _PROBE_BATCH = 300, 64
_SHARPNESS = 10.0  # of its likenesses


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Whether a place is known again by who looked away for two to five seconds.

    Attributes:
        dream: Share of the dreams under the inputs of a real way that led back, whose last frame a
            probe takes for the place of the first frame and for none of 31 others.
        real: The same of the last frames that were filmed.
        ways: How many there were.
    """

    dream: float
    real: float
    ways: int


def measure_memory(
    model: WorldModel, store: EpisodeStore, *, ways: int, seed: int
) -> Memory | None:
    """Has ways that led away and back dreamed under their inputs, and asks a probe where they end.

    The probe is a small network, trained on the training split to tell frames a moment apart from
    frames of other moments.

    Args:
        model: What dreams.
        store: Of the recording.
        ways: At most so many, from the test split.
        seed: Of everything random.

    Returns:
        What came of it, or None if there are fewer than four such ways.
    """
    random, before = np.random.default_rng(seed), model.span - 1
    found = list(_ways(store, before, ways, random))
    if len(found) < _LEAST:
        return None
    probe = _probe(store, random, seed)
    others = np.stack([f[0] for f, _ in stretches(store, "test", 4 * _CANDIDATES, 1, seed)])
    ends = {
        "dream": np.concatenate([dreamed_ends(model, [w], seed + i) for i, w in enumerate(found)]),
        "real": np.stack([frames[-1] for frames, _ in found]),
    }
    shares = {
        who: np.mean(
            [
                _recognised(probe, frames[before], end, others, np.random.default_rng(seed + i))
                for i, ((frames, _), end) in enumerate(zip(found, last, strict=True))
            ]
        )
        for who, last in ends.items()
    }
    return Memory(dream=float(shares["dream"]), real=float(shares["real"]), ways=len(found))


def _ways(
    store: EpisodeStore, before: int, count: int, random: np.random.Generator
) -> Iterator[Stretch]:
    """Stretches of the test split whose last frame is like the first after the context."""
    names = list(store.names("test"))
    random.shuffle(names)
    found = 0
    for name in names:
        episode = store.read(name, lazy=True)
        colours, free = colours_of(episode.observation[:]), 0
        for begin in range(before, episode.steps - AWAY_STEPS[0], _STRIDE):
            apart = distance(colours[begin : begin + AWAY_STEPS[1] + 1], colours[begin])
            ends = np.flatnonzero(apart < _SAME)
            ends = ends[(ends >= AWAY_STEPS[0]) & (np.maximum.accumulate(apart)[ends] > _AWAY)]
            if found < count and begin >= free and len(ends):
                end = begin + int(ends[0])
                found, free = found + 1, end
                yield (
                    episode.observation[begin - before : end + 1],
                    episode.action[begin - before : end],
                )


def _probe(store: EpisodeStore, random: np.random.Generator, seed: int) -> nn.Module:
    """A network whose outputs (n, 32) are alike for frames of one place."""
    names = store.names("train")
    films = [store.read(names[i]).observation for i in random.permutation(len(names))[:_FILMS]]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Conv2d(3, 32, 6, 4, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU()]
        with torch.no_grad():
            size = nn.Sequential(*layers)(torch.zeros(1, 3, *films[0].shape[1:3])).numel()
        probe = nn.Sequential(*layers, nn.Flatten(), nn.Linear(size, 32))
    optimiser = torch.optim.AdamW(probe.parameters(), lr=1e-3)
    for _ in range(_PROBE_STEPS):
        one, other = [], []
        for film in (films[i] for i in random.integers(len(films), size=_PROBE_BATCH)):
            at = int(random.integers(len(film)))
            near = int(np.clip(at + random.integers(-_NEAR, _NEAR + 1), 0, len(film) - 1))
            one.append(film[at])
            other.append(film[near])
        logits = _SHARPNESS * _seen(probe, one) @ _seen(probe, other).T
        loss = F.cross_entropy(logits, torch.arange(_PROBE_BATCH))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return probe.eval()


def _seen(probe: nn.Module, frames: Sequence[np.ndarray]) -> Tensor:
    """What a probe makes of frames, as unit vectors (n, 32)."""
    pictures = torch.from_numpy(np.stack(frames)).movedim(3, 1).float() / 127.5 - 1
    return F.normalize(probe(pictures))


@torch.no_grad()
def _recognised(
    probe: nn.Module,
    place: np.ndarray,
    frame: np.ndarray,
    others: np.ndarray,
    random: np.random.Generator,
) -> bool:
    """Whether a frame is liker to its place than to any of other pictures, all unlike the place."""
    unlike = others[distance(colours_of(others), colours_of(place[None])) > _SAME]
    rivals = unlike[random.permutation(len(unlike))[: _CANDIDATES - 1]]
    likeness = _seen(probe, [frame]) @ _seen(probe, [place, *rivals]).T
    return bool(likeness.argmax() == 0)
