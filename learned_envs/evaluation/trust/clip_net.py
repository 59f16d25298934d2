"""A small network that looks at clips: tells real from dreamed, or reads the action played."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.precision import mixed_precision


class ClipNet(nn.Module):
    """Classifies clips from frames, how they change, and, if it is told, the actions.

    Args:
        image_size: (H, W), each at least 16.
        classes: How many.
        action_size: Length of an encoded action; 0 if actions are not shown.
    """

    def __init__(self, image_size: tuple[int, int], classes: int, action_size: int = 0):
        super().__init__()
        halvings = max(2, round(math.log2(min(image_size) / 8)))
        widths = [*(min(32 + 16 * i, 64) for i in range(halvings - 1)), 64]
        strides = [*(2 for _ in range(halvings - 2)), 1]
        layers: list[nn.Module] = [nn.Conv2d(6, widths[0], 6, 4, 1), nn.ReLU()]
        for a, b, stride in zip(widths[:-1], widths[1:], strides, strict=True):
            layers += [nn.Conv2d(a, b, 3, stride, 1), nn.ReLU()]
        self.see = nn.Sequential(*layers)
        self.follow = nn.Sequential(
            nn.Conv1d(2 * widths[-1] + action_size, 64, 3, 1, 1), nn.ReLU(),
            nn.Conv1d(64, 64, 5, 1, 2), nn.ReLU(),
        )  # fmt: skip
        self.decide = nn.Linear(128, classes)

    def forward(self, frames: Tensor, actions: Tensor) -> Tensor:
        """Maps frames (B, L, H, W, 3) uint8 and actions (B, L - 1, A) to logits (B, classes)."""
        pictures = frames.float() / 255
        change = 4 * (pictures[:, 1:] - pictures[:, :-1])
        both = torch.cat([pictures[:, 1:], change], 4)
        seen = self.see(both.flatten(0, 1).movedim(3, 1))  # channels last, as they lie
        pooled = torch.cat([seen.amax((2, 3)), seen.mean((2, 3))], 1).unflatten(0, both.shape[:2])
        told = torch.cat([pooled, actions.to(pooled.dtype)], 2)
        followed = self.follow(told.transpose(1, 2))
        return self.decide(torch.cat([followed.amax(2), followed.mean(2)], 1)).float()


def fit(
    net: ClipNet,
    frames: np.ndarray,
    actions: np.ndarray,
    labels: np.ndarray,
    *,
    steps: int = 400,
    batch: int = 32,
    seed: int = 0,
) -> ClipNet:
    """Trains a net, every class as often as any other.

    Args:
        net: What is trained, in place.
        frames: (N, L, H, W, 3) uint8.
        actions: (N, L - 1, A) float32.
        labels: (N,) int64.
        steps: Optimiser steps.
        batch: Clips in each.
        seed: Of the choice of clips.

    Raises:
        ValueError: If a class has no clip.
    """
    counts = np.bincount(labels, minlength=net.decide.out_features)
    if not counts.all():
        raise ValueError(f"clips by class are {counts.tolist()}: every class needs at least one")
    random = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == c) for c in range(len(counts))]
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    net.train()
    for _ in range(steps):
        chosen = random.integers(len(counts), size=batch)
        picked = np.array([random.choice(members[c]) for c in chosen])
        with mixed_precision(torch.device("cpu")):
            logits = net(torch.from_numpy(frames[picked]), torch.from_numpy(actions[picked]))
        loss = F.cross_entropy(logits, torch.from_numpy(chosen))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def classify(net: ClipNet, frames: np.ndarray, actions: np.ndarray, batch: int = 128) -> np.ndarray:
    """The likeliest class of each clip: (N,) int64."""
    found = []
    for i in range(0, len(frames), batch):
        now = slice(i, i + batch)
        found.append(net(torch.from_numpy(frames[now]), torch.from_numpy(actions[now])).argmax(1))
    return torch.cat(found).numpy()


def balanced_accuracy(found: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes in `labels` of the share of their clips that were recognised."""
    return float(np.mean([(found[labels == c] == c).mean() for c in np.unique(labels)]))
