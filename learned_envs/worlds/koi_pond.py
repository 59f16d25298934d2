"""The koi pond: people who tap the water, from those who only watch to those who herd the fish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from gymnasium import spaces

from learned_envs.worlds.world import Pointer, World

if TYPE_CHECKING:
    from learned_envs.data.episode import Episode
    from learned_envs.models.world_model import WorldModelConfig
    from learned_envs.training.motion import MotionRecipe
    from learned_envs.training.recipe import Recipe

FPS = 15
SIZE = 256
TAP_THRESHOLD = 0.1  # strengths up to this are no tap
RING_RADIUS = 47.0

_STRIDE = 4  # every fourth pixel is looked at, across and down
_SHORE = 20.0  # pixels that count as the edge
_BEHIND = 22.0  # pixels behind a fish where a herder taps
_NEVER = 1e3  # a distance from the truth that no latent in (-1, 1) comes to
_FULL = 0.8  # seconds that the button is held for the strongest tap


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How somebody taps.

    Attributes:
        aim: Where: anywhere, near the shore, at a fish, or behind a fish that is to be herded into
            the ring. Who finds no fish taps anywhere, or, to herd, not at all.
        gap: Mean seconds between taps, or between bursts of them.
        burst: Taps in a burst, a fifth of a second apart.
        spread: Standard deviation in pixels of where a tap falls.
        strength: Least and greatest, drawn evenly.
        rest: Mean seconds of the quiet stretches between stretches of tapping of as much again.
    """

    aim: Literal["anywhere", "shore", "fish", "behind"]
    gap: float
    burst: int = 1
    spread: float = 6.0
    strength: tuple[float, float] = (0.15, 1.0)
    rest: float = 6.0


STYLES = {
    "watch": None,
    "random": Style(aim="anywhere", gap=1.5),
    "chase": Style(aim="fish", gap=1.2, spread=12.0),
    "bursts": Style(aim="anywhere", gap=4.0, burst=4, spread=14.0),
    "shore": Style(aim="shore", gap=1.5),
    "herd": Style(aim="behind", gap=0.8, spread=3.0, strength=(0.3, 0.8), rest=4.0),
}
WEIGHTS = {
    "watch": 0.15, "random": 0.2, "chase": 0.25, "bursts": 0.1, "shore": 0.1, "herd": 0.2,
}  # fmt: skip


class Tappers:
    """People at the pond in a batch: they see only frames, so they tap real and dreamed alike.

    Args:
        styles: One a row; None taps never.
        seeds: One a row.
    """

    def __init__(self, styles: Sequence[Style | None], seeds: Sequence[int]):
        self._styles = tuple(styles)
        self._random = [np.random.default_rng(seed) for seed in seeds]
        count = len(self._styles)
        self._wait = np.full(count, np.inf)  # ticks to the next tap; who has not begun taps never
        self._left = np.zeros(count, int)  # taps left in a burst
        self._tapping = np.zeros(count)  # ticks left of a stretch of tapping
        self._place = np.zeros((count, 2))

    def __call__(self, observation: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Actions (n, 3) float32 for frames (n, 256, 256, 3) uint8; see `Behaviour`."""
        actions = np.zeros((len(self._styles), 3), np.float32)
        for row in np.flatnonzero(first).tolist():
            self._begin(row)
        self._wait -= 1
        self._tapping -= 1
        for row in np.flatnonzero(self._wait <= 0).tolist():
            actions[row] = self._tap(row, observation[row])
        return actions

    def _begin(self, row: int) -> None:
        style, random = self._styles[row], self._random[row]
        if style is None:
            self._wait[row] = np.inf
            return
        self._left[row] = 0
        self._wait[row] = FPS * style.gap * random.exponential()
        self._tapping[row] = FPS * style.rest * random.uniform(0.5, 1.5)

    def _tap(self, row: int, frame: np.ndarray) -> tuple[float, float, float]:
        style, random = self._styles[row], self._random[row]
        assert style is not None
        if not self._left[row]:
            place = self._aimed(style, random, frame)
            if place is None:
                self._wait[row] = FPS * style.gap * random.exponential()
                return 0.0, 0.0, 0.0
            self._left[row], self._place[row] = style.burst, place
        self._left[row] -= 1
        self._wait[row] = FPS / 5 if self._left[row] else FPS * style.gap * random.exponential()
        if self._tapping[row] <= 0 and not self._left[row]:
            self._wait[row] += FPS * style.rest * random.uniform(0.5, 1.5)
            self._tapping[row] = self._wait[row] + FPS * style.rest * random.uniform(0.5, 1.5)
        x, y = self._place[row] + random.normal(size=2) * style.spread
        u, v = np.clip((x + 0.5) / SIZE, 0, 1), np.clip((y + 0.5) / SIZE, 0, 1)
        return float(u), float(v), float(random.uniform(*style.strength))

    def _aimed(
        self, style: Style, random: np.random.Generator, frame: np.ndarray
    ) -> np.ndarray | None:
        """Where the next tap or burst is centred, x and y in pixels; None for nowhere."""
        anywhere = random.uniform(0, SIZE, 2)
        if style.aim == "anywhere":
            return anywhere
        if style.aim == "shore":
            side, axis = random.uniform(0, _SHORE), int(random.integers(2))
            anywhere[axis] = side if random.random() < 0.5 else SIZE - side
            return anywhere
        fish = find_fish(frame)
        if style.aim == "fish":
            return random.choice(fish) if len(fish) else anywhere
        ring = find_ring(frame)
        outward = fish - ring
        distance = np.linalg.norm(outward, axis=1)
        outside = distance > RING_RADIUS
        if not outside.any():
            return None
        chosen = random.choice(np.flatnonzero(outside))
        return np.clip(fish[chosen] + _BEHIND * outward[chosen] / distance[chosen], 2, SIZE - 2)


def find_fish(frame: np.ndarray) -> np.ndarray:
    """Places (k, 2) on fish, x and y in pixels: what is as red as it is green, and no blossom."""
    red, green, blue = frame[_STRIDE // 2 :: _STRIDE, _STRIDE // 2 :: _STRIDE].astype(int).T
    fish = (red > 120) & (5 * red >= 4 * green) & ~_pink(red, green, blue)
    return np.argwhere(fish) * _STRIDE + _STRIDE // 2  # transposed above: x comes first


def find_ring(frame: np.ndarray) -> np.ndarray:
    """The ring's centre (2,), x and y in pixels: the middle of its three blossoms.

    The middle of the pond if a dream has lost them.
    """
    blossoms = np.argwhere(_pink(*frame.astype(int).T))
    return blossoms.mean(0) if len(blossoms) else np.full(2, SIZE / 2)


def _pink(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    return (red > 180) & (blue > green + 20)


def make_behaviour(names: Sequence[str], seeds: Sequence[int]) -> Tappers:
    """Tappers in the styles of `STYLES` called `names`, each with its own seed."""
    return Tappers([STYLES[name] for name in names], seeds)


def reset_options(behaviour: str, random: np.random.Generator) -> None:
    """Every episode begins calm, so that no ripple is without its tap."""


def tap(u: float, v: float, pressed: bool, held: float) -> np.ndarray:
    """A mouse at the pond: a tap falls when the button is let go, harder the longer it was held."""
    if not held:
        return np.zeros(3, np.float32)
    return np.array([u, v, 0.25 + 0.75 * min(held / _FULL, 1.0)], np.float32)


def events(episode: Episode) -> dict[str, int]:
    """Counts taps, seconds in stretches of ten or more without one, and koi that came to the ring.

    A koi that leaves the ring and comes back counts twice.
    """
    tapped = np.flatnonzero(episode.action[:, 2] > TAP_THRESHOLD)
    stretches = np.diff(np.concatenate([[-1], tapped, [episode.steps]])) - 1
    inside = np.rint(episode.reward * episode.metadata["fish"][1:])
    return {
        "taps": len(tapped),
        "quiet seconds": int(stretches[stretches >= 10 * FPS].sum() // FPS),
        "koi herded": int(np.maximum(np.diff(inside), 0).sum()),
    }


def small() -> WorldModelConfig:
    """The packaged model: fish as figures over a kept ground, under a surface with waves."""
    from learned_envs.models.actions import PointActions
    from learned_envs.models.codecs.sprites import SpritesConfig
    from learned_envs.models.dynamics.sprite_dynamics import SpriteDynamicsConfig
    from learned_envs.models.place_reward import PlaceRewardConfig
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=(SIZE, SIZE),
        actions=PointActions(threshold=TAP_THRESHOLD),
        codec=SpritesConfig(),
        dynamics=SpriteDynamicsConfig(),
        heads=PlaceRewardConfig(),
    )


def small_recipe() -> MotionRecipe:
    """About four hours on one core: half of it for drawing fish in coats of other moments."""
    from learned_envs.training.motion import MotionRecipe
    from learned_envs.training.ripples import RipplesRecipe
    from learned_envs.training.sprites import SpritesRecipe

    return MotionRecipe(
        steps=8_000, round_steps=500, learning_rate=2e-3, warmup=50, decay=0.5, average=0.998,
        codec=SpritesRecipe(
            steps=5_000, round_steps=200, learning_rate=1.5e-3, warmup=50, decay=0.4,
            average=0.995, finding=0.18,
        ),
        ripples=RipplesRecipe(steps=700),
    )  # fmt: skip


def seed() -> WorldModelConfig:
    """The published model at its full size: an autoencoder and a latent EDM UNet of four steps.

    `sigma_data` is the published one until a training measures that of its own latents. The widths
    are ours, chosen for the published numbers of parameters; so is the level of context noise.
    """
    from learned_envs.models.actions import PointActions
    from learned_envs.models.codecs.autoencoder import AutoencoderConfig
    from learned_envs.models.diffusion import DiffusionConfig, LogNormalSigma
    from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
    from learned_envs.models.dynamics.edm_unet import EdmUNetConfig
    from learned_envs.models.heads import HeadsConfig
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=(SIZE, SIZE),
        actions=PointActions(threshold=TAP_THRESHOLD),
        codec=AutoencoderConfig(channels=8, factor=8, widths=(64, 160, 384), blocks=2),
        dynamics=DiffusionDynamicsConfig(
            context=8,
            denoiser=EdmUNetConfig(
                widths=(192, 320, 384), blocks=(2, 2, 2), head_width=32, planes=True
            ),
            diffusion=DiffusionConfig(
                training_sigma=LogNormalSigma(mean=-1.2, std=1.2, low=1e-3),
                steps=4, sigma_max=1.0, sigma_min=2e-3, sigma_data=0.154,
            ),
            delta_weight=1.0,
            context_noise=0.05,
        ),
        heads=HeadsConfig(),
    )  # fmt: skip


def seed_recipe() -> Recipe:
    """Rollouts of two steps: the second is on the first's prediction ever more often.

    Never at first, in half of the cases after 10,000 steps, always from 50,000 on.
    """
    from learned_envs.training.recipe import Recipe

    return Recipe(
        steps=60_000, batch=32, window=32, learning_rate=2e-4,
        closing=((0, 0.0), (10 / 60, 0.5), (50 / 60, 1.0)), rollout=2, on_truth=0.0, damaged=0.0,
        divergence=_NEVER,
    )  # fmt: skip


def pixels() -> WorldModelConfig:
    """The published model's forerunner, which collapsed: a network of pixels, one pass."""
    from learned_envs.models.actions import PointActions
    from learned_envs.models.codecs.identity import IdentityConfig
    from learned_envs.models.diffusion import warm_start
    from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
    from learned_envs.models.dynamics.edm_unet import EdmUNetConfig
    from learned_envs.models.heads import HeadsConfig
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=(SIZE, SIZE),
        actions=PointActions(threshold=TAP_THRESHOLD, spread=4.0),
        codec=IdentityConfig(),
        dynamics=DiffusionDynamicsConfig(
            denoiser=EdmUNetConfig(
                widths=(16, 32, 64, 96, 128), blocks=(1, 1, 1, 1, 1), attention=False, planes=True
            ),
            diffusion=warm_start(steps=1),
        ),
        heads=HeadsConfig(patch=16),
    )


def pixels_recipe() -> Recipe:
    """On its own predictions for 8 steps on average at first, for 32 at last."""
    from learned_envs.training.recipe import Recipe

    return Recipe(
        steps=20_000, batch=8, closing=((0.0, 1 - 1 / 8), (1.0, 1 - 1 / 32)), on_truth=0.0,
        damaged=0.0, divergence=_NEVER,
    )  # fmt: skip


WORLD = World(
    name="koi_pond",
    id_suffix="KoiPond",
    fps=FPS,
    max_episode_steps=900,
    observation_space=spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8),
    action_space=spaces.Box(0, 1, (3,), np.float32),
    action_names=("u", "v", "strength"),
    idle_action=np.zeros(3, np.float32),
    real="sims.koi_pond:KoiPondEnv",
    real_vector="sims.koi_pond:KoiPondVectorEnv",
    behaviours=WEIGHTS,
    undreamt={"food": "its model knows one kind of tap, and was never shown food"},
    pointer=Pointer(action=tap, hint="Tap the water with the mouse: hold longer to tap harder"),
    make_behaviour=make_behaviour,
    reset_options=reset_options,
    events=events,
    presets={"small": small, "seed": seed, "pixels": pixels},
    recipes={"small": small_recipe, "seed": seed_recipe, "pixels": pixels_recipe},
)
