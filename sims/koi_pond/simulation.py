"""n koi ponds as arrays: what a tick does, drawing and state, without Gymnasium's bookkeeping."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sims.koi_pond import bodies, koi, water
from sims.koi_pond.options import checked_options
from sims.koi_pond.picture import compose
from sims.koi_pond.scenery import RING_RADIUS, SIZE, Scenery
from sims.koi_pond.shoal import CENTRE_MARGIN, MAX_KOI, STATE, Shoal

MIN_KOI = 6
MAX_PELLETS = 8
TAP_THRESHOLD = 0.1  # strengths up to this are no tap

_SETTLING = 30  # ticks that fish swim before an episode begins
_UNREST = 24  # ticks in which a pond that does not begin calm is tapped
_FOOD_SPLASH = 0.25


class KoiPondSimulation:
    """n ponds: fish, surface, food and the look of each.

    Attributes:
        shoal: The fish.
        height: (n, 128, 128) float32, the surface.
        before: (n, 128, 128) float32, the surface a substep earlier.
        food: (n, 8, 2) float64, pellets in pixels; NaN where there is none.
        look: (n,) int64, the number that decides scenery and coats.
        varieties: (n, 10) int64, index into `koi.VARIETIES`; -1 where there is no fish.
    """

    def __init__(self, count: int, *, leaving: bool):
        self.shoal = Shoal(count, leaving=leaving)
        self.height = np.zeros((count, water.GRID, water.GRID), np.float32)
        self.before = np.zeros_like(self.height)
        self.food = np.full((count, MAX_PELLETS, 2), np.nan)
        self.look = np.zeros(count, np.int64)
        self.varieties = np.full((count, MAX_KOI), -1)
        self._painted: list[tuple[int, bytes] | None] = [None] * count
        self._scenery: list[Scenery | None] = [None] * count
        self._textures: list[list[np.ndarray]] = [[] for _ in range(count)]

    def start(self, row: int, random: np.random.Generator, options: dict[str, Any] | None) -> None:
        """Begins an episode in one pond; `options` as `KoiPondEnv.reset` documents them."""
        options = checked_options(options or {})
        look = int(random.integers(2**31))
        drawn = int(random.integers(MIN_KOI, MAX_KOI + 1))
        self.look[row] = options.get("look", look)
        given = options.get("positions")
        count = options.get("fish", drawn if given is None else len(given))
        coats = np.random.default_rng([int(self.look[row]), 1]).permutation(len(koi.VARIETIES))
        self.varieties[row] = np.where(np.arange(MAX_KOI) < count, coats[:MAX_KOI], -1)
        centres = _spread(count, random) if given is None else given
        headings = options.get("headings", random.uniform(-np.pi, np.pi, count))
        self.shoal.place(row, centres, headings, random)
        self.height[row] = self.before[row] = 0
        self.food[row] = np.nan
        only = np.arange(len(self.look)) == row
        for _ in range(_SETTLING if given is None else 0):
            self._tick(only, [random] * len(only))
        if not options.get("calm", True):
            for tick in range(_UNREST):
                if tick % 8 == 0:
                    self.tap(row, random.uniform(0, SIZE, 2), random.uniform(0.5, 1))
                self._tick(only, [random] * len(only))

    def tap(self, row: int, point: np.ndarray, strength: float) -> None:
        """A tap at `point` (x, y) in pixels: ripples, and fright."""
        self.shoal.frighten(row, point, strength)
        water.splash(self.height[row], self.before[row], point, strength)

    def feed(self, row: int, point: np.ndarray) -> None:
        """Drops food at `point` (x, y) in pixels; with no room left it replaces the oldest."""
        food = self.food[row]
        food[:] = np.concatenate([food[~np.isnan(food[:, 0])], food[np.isnan(food[:, 0])]])
        if np.isnan(food[-1, 0]):
            food[np.isnan(food[:, 0]).argmax()] = point
        else:
            food[:] = np.concatenate([food[1:], point[None]])
        water.splash(self.height[row], self.before[row], point, _FOOD_SPLASH)

    def advance(
        self, actions: np.ndarray, rows: np.ndarray, random: Sequence[np.random.Generator]
    ) -> np.ndarray:
        """Plays one tick in the ponds where `rows` (n,) bool holds.

        Args:
            actions: (n, 3 or 4) float32 in [0, 1]: u, v, strength, and the kind of tap.
            rows: (n,) bool, the ponds that move.
            random: One generator a pond; draws the whims of its fish.

        Returns:
            Reward (n,) float64, the share of fish in the ring; zero where a pond does not move.
        """
        for row in np.flatnonzero(rows & (actions[:, 2] > TAP_THRESHOLD)).tolist():
            point = np.minimum(np.floor(actions[row, :2].astype(float) * SIZE), SIZE - 1)
            if actions.shape[1] > 3 and actions[row, 3] >= 0.5:
                self.feed(row, point)
            else:
                self.tap(row, point, float(actions[row, 2]))
        self._tick(rows, random)
        return np.where(rows, self.share_in_ring(), 0.0)

    def _tick(self, rows: np.ndarray, random: Sequence[np.random.Generator]) -> None:
        whims = np.zeros((len(rows), MAX_KOI))
        for row in np.flatnonzero(rows).tolist():
            whims[row] = random[row].standard_normal(MAX_KOI)
        eaten = self.shoal.swim(rows, whims, self.food)
        self.food[eaten] = np.nan
        moving = rows & (self.height.any((1, 2)) | self.before.any((1, 2)))
        for row in np.flatnonzero(moving).tolist():
            self.height[row], self.before[row] = water.flow(self.height[row], self.before[row])

    def rings(self) -> np.ndarray:
        """The centre of each pond's ring: (n, 2) in pixels."""
        return np.stack([self.scenery(row).ring for row in range(len(self.look))])

    def share_in_ring(self) -> np.ndarray:
        """The share of each pond's fish whose centre is inside its ring: (n,) float64."""
        away = self.shoal.centres() - self.rings()[:, None]
        inside = (np.sqrt((away**2).sum(-1)) < RING_RADIUS) & self.shoal.present
        return inside.sum(1) / np.maximum(self.shoal.present.sum(1), 1)

    def scenery(self, row: int) -> Scenery:
        """The still parts of one pond, painted when its look or its fish are new."""
        self._paint(row)
        scenery = self._scenery[row]
        assert scenery is not None
        return scenery

    def _paint(self, row: int) -> None:
        look, fish = int(self.look[row]), self.shoal.present[row]
        lengths = self.shoal.length[row, fish]
        key, known = (look, lengths.tobytes()), self._painted[row]
        if known is None or known[0] != look:
            self._scenery[row] = Scenery.of(look)
        if known != key:
            self._textures[row] = [
                koi.paint(variety, length, np.random.default_rng([look, 2, variety]))
                for variety, length in zip(
                    self.varieties[row, fish].tolist(), lengths.tolist(), strict=True
                )
            ]
        self._painted[row] = key

    def fish_layer(self, row: int) -> np.ndarray:
        """One pond's fish alone, as `bodies.draw` gives them."""
        self._paint(row)
        shoal, fish = self.shoal, self.shoal.present[row]
        length, phase = shoal.length[row, fish], shoal.phase[row, fish]
        points, tangents = bodies.swimming_spines(
            shoal.head[row, fish], shoal.bend[row, fish], length, phase, shoal.speed[row, fish]
        )
        return bodies.draw(self._textures[row], points, tangents, length, phase)

    def frame(self, row: int) -> np.ndarray:
        """Draws one pond: (256, 256, 3) uint8."""
        return compose(self.scenery(row), self.fish_layer(row), self.height[row], self.food[row])

    def info(self) -> dict[str, np.ndarray]:
        """Where the fish are, for evaluation only; arrays of their own, 0 where there is none."""
        shoal = self.shoal
        present = shoal.present
        heading = (shoal.bend[..., 0] + np.pi) % (2 * np.pi) - np.pi
        return {
            "fish": present.sum(1),
            "positions": np.where(present[..., None], shoal.centres(), 0),
            "headings": np.where(present, heading, 0),
            "varieties": self.varieties.copy(),
            "fear": np.where(present, shoal.fear, 0),
            "speeds": np.where(present, shoal.speed, 0),
            "ring": self.rings(),
        }

    def state(self) -> dict[str, np.ndarray]:
        """A copy of every pond's state, the random generators excluded."""
        own = {name: getattr(self, name).copy() for name in _OWN_STATE}
        return own | {name: getattr(self.shoal, name).copy() for name in STATE}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        for name in _OWN_STATE:
            getattr(self, name)[:] = state[name]
        for name in STATE:
            getattr(self.shoal, name)[:] = state[name]


_OWN_STATE = ("height", "before", "food", "look", "varieties")


def _spread(count: int, random: np.random.Generator) -> np.ndarray:
    """Centres (count, 2) of fish that begin far from each other: the best of several for each."""
    low, high = 2 * CENTRE_MARGIN, SIZE - 2 * CENTRE_MARGIN
    chosen = random.uniform(low, high, (1, 2))
    while len(chosen) < count:
        offered = random.uniform(low, high, (16, 2))
        gaps = np.sqrt(((offered[:, None] - chosen) ** 2).sum(-1)).min(1)
        chosen = np.concatenate([chosen, offered[gaps.argmax()][None]])
    return chosen
