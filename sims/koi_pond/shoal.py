"""How koi swim: boids with bodies, frightened by taps and drawn by food.

All arrays have the leading axes (pond, fish), with room for `MAX_KOI` fish; absent ones are carried
along, far outside the frame, and touch nothing. Lengths are pixels, times seconds, angles radians,
x to the right and y down.
"""

import numpy as np

from sims.koi_pond.koi import WIDTH, half_width
from sims.koi_pond.scenery import SIZE

MAX_KOI = 10
FPS = 15
JOINTS = 12  # segments of a spine
STATE = (
    "present", "length", "cruise", "head", "bend", "turn", "speed", "phase", "wander", "fear",
    "fear_point",
)  # fmt: skip

CENTRE_MARGIN = 16.0  # centres stay at least so far inside the frame
OUTER_MARGIN = -52.0  # and with `leaving`, at most so far outside it

_FLIGHT_RANGE = 52.0  # pixels at which fear has fallen to 61%
_FLIGHT_SPEED, _CALMING = 118.0, 0.85  # pixels a second at full fear; seconds to fall to 37%
_LEAST_FEAR = 0.02
_LOOK_AHEAD = 13.0
_PERSONAL_SPACE, _COMPANY = 40.0, 90.0
_SHORE = 58.0  # pixels from the territory's edge at which fish begin to turn
_SMELL, _MOUTH = 150.0, 5.5  # pixels at which food is noticed, and eaten
_CLEARANCE, _LEAST_CLEARANCE = 6.0, 2.5  # pixels between bodies that ease fish, and push them apart
_ROUNDS = 8  # of easing apart in a tick, at most
_REACH = 62.0  # pixels between the middles of two fish that may come close
_PROBES = np.array([0, 2, 4, 6, 8, 11])  # joints that others see
GIRTH = half_width(np.linspace(0, 1, JOINTS + 1)) * WIDTH  # at the joints, as a share of the length
_AWAY = 1e4


class Shoal:
    """The fish of n ponds as arrays; `STATE` names all that a pond's fish are.

    Attributes:
        present: (n, 10) bool, the fish there are.
        length: (n, 10) float64, nose to tail tip.
        cruise: (n, 10) float64, speed when calm.
        head: (n, 10, 2) float64, the nose.
        bend: (n, 10, 12) float64, the direction of each segment of the spine, nose to tail.
        turn: (n, 10) float64, radians a second.
        speed: (n, 10) float64.
        phase: (n, 10) float64 in [0, 2 pi), of the body wave.
        wander: (n, 10) float64, the present whim to turn.
        fear: (n, 10) float64 in [0, 1].
        fear_point: (n, 10, 2) float64, where the tap was that frightened the fish.
    """

    def __init__(self, count: int, *, leaving: bool):
        self.leaving = leaving
        shape = (count, MAX_KOI)
        self.present = np.zeros(shape, bool)
        self.length = np.full(shape, 50.0)
        self.cruise = np.full(shape, 24.0)
        self.head = np.full((*shape, 2), _AWAY)
        self.bend = np.zeros((*shape, JOINTS))
        self.turn, self.speed, self.phase = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.wander, self.fear = np.zeros(shape), np.zeros(shape)
        self.fear_point = np.zeros((*shape, 2))

    def place(
        self, row: int, centres: np.ndarray, headings: np.ndarray, random: np.random.Generator
    ) -> None:
        """Puts calm, straight fish of random build at `centres` (m, 2) of one pond."""
        count = len(centres)
        self.present[row] = np.arange(MAX_KOI) < count
        self.length[row] = random.uniform(46, 55, MAX_KOI) - 1.1 * max(count - 6, 0)
        self.cruise[row] = random.uniform(19, 30, MAX_KOI)
        self.phase[row] = random.uniform(0, 2 * np.pi, MAX_KOI)
        self.speed[row] = self.cruise[row]
        self.turn[row] = self.wander[row] = self.fear[row] = self.bend[row] = 0
        self.fear_point[row] = 0
        self.head[row] = _AWAY
        self.bend[row, :count] = headings[:, None]
        ahead = np.stack([np.cos(headings), np.sin(headings)], -1)
        self.head[row, :count] = centres + ahead * (self.length[row, :count, None] / 2)

    def spine(self) -> np.ndarray:
        """Joints of every fish without its body wave: (n, 10, 13, 2), nose to tail."""
        step = np.stack([np.cos(self.bend), np.sin(self.bend)], -1)
        step *= (self.length / JOINTS)[..., None, None]
        joints = np.empty((*self.length.shape, JOINTS + 1, 2))
        joints[..., 0, :] = self.head
        joints[..., 1:, :] = self.head[..., None, :] - np.cumsum(step, -2)
        return joints

    def centres(self) -> np.ndarray:
        """The middle of every fish: (n, 10, 2)."""
        return self.spine()[..., JOINTS // 2, :]

    def frighten(self, row: int, point: np.ndarray, strength: float) -> None:
        """A tap at `point` (x, y) frightens the fish of one pond, the near ones most."""
        distance = np.linalg.norm(self.centres()[row] - point, axis=-1)
        fear = strength * np.exp(-0.5 * (distance / _FLIGHT_RANGE) ** 2)
        startled = (fear > _LEAST_FEAR) & (fear > 0.6 * self.fear[row])
        self.fear[row] = np.where(startled, np.maximum(fear, self.fear[row]), self.fear[row])
        self.fear_point[row, startled] = point

    def swim(self, rows: np.ndarray, whims: np.ndarray, food: np.ndarray) -> np.ndarray:
        """One tick of the ponds where `rows` (n,) bool holds.

        Args:
            rows: (n,) bool.
            whims: (n, 10) float64, standard normal.
            food: (n, k, 2) float64, pellets; NaN where there is none.

        Returns:
            (n, k) bool, the pellets that were eaten.
        """
        if not rows.all():
            part = Shoal(int(rows.sum()), leaving=self.leaving)
            for name in STATE:
                setattr(part, name, getattr(self, name)[rows])
            eaten = np.zeros(food.shape[:2], bool)
            eaten[rows] = part.swim(np.ones(len(part.head), bool), whims[rows], food[rows])
            for name in STATE:
                getattr(self, name)[rows] = getattr(part, name)
            return eaten
        self.wander += -0.9 / FPS * self.wander + 0.95 / np.sqrt(FPS) * whims
        joints = self.spine()
        ahead = np.stack([np.cos(self.bend[..., 0]), np.sin(self.bend[..., 0])], -1)
        wish, crowding = self._wish(joints, ahead)
        hunger, appetite = self._hunger(food)
        wish += hunger
        cross = ahead[..., 0] * wish[..., 1] - ahead[..., 1] * wish[..., 0]
        off = np.arctan2(cross, (ahead * wish).sum(-1))
        nimble = 1.5 + 5 * self.fear + 1.2 * appetite
        self.turn += 0.45 * (np.clip(3.2 * off, -nimble, nimble) - self.turn)
        self.bend[..., 0] += self.turn / FPS
        aim = self.cruise * (1 - 0.55 * crowding * (1 - self.fear)) * (1 + 0.5 * appetite)
        aim += _FLIGHT_SPEED * self.fear
        self.speed += np.where(aim > self.speed, 0.5, 0.16) * (aim - self.speed)
        ahead = np.stack([np.cos(self.bend[..., 0]), np.sin(self.bend[..., 0])], -1)
        self.head += ahead * (self.speed / FPS)[..., None]
        self._follow()
        crowded = rows
        for _ in range(_ROUNDS):
            touching = self._ease_apart(crowded)
            self._stay_in(crowded)
            crowded = touching
            if not crowded.any():
                break
        self.phase = (self.phase + 2 * np.pi / FPS * (0.75 + self.speed / 42)) % (2 * np.pi)
        self.fear *= np.exp(-1 / FPS / _CALMING)
        self.fear[self.fear < _LEAST_FEAR] = 0
        mouths = np.linalg.norm(self.head[:, :, None] - food[:, None], axis=-1)  # (n, 10, k)
        return ((mouths < _MOUTH) & self.present[..., None]).any(1)

    def _wish(self, joints: np.ndarray, ahead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each fish would like to go (n, 10, 2), and how crowded it is in front (n, 10)."""
        across = np.stack([-ahead[..., 1], ahead[..., 0]], -1)
        wish = ahead + 0.85 * self.wander[..., None] * across
        eyes = joints[..., 0, :] + _LOOK_AHEAD * ahead
        others = joints[..., _PROBES, :]
        itself = np.eye(MAX_KOI, dtype=bool)
        crowding = np.zeros(self.speed.shape)
        for feeler, weight in ((eyes, 6), (joints[..., 4, :], 3)):
            apart = feeler[:, :, None, None] - others[:, None]  # (n, 10, 10, 6, 2)
            distance = np.sqrt((apart**2).sum(-1)) + 1e-6
            close = np.clip(1 - distance / _PERSONAL_SPACE, 0, 1) ** 2
            close[:, itself] = 0
            wish += weight * (close[..., None] / distance[..., None] * apart).sum((2, 3))
            crowding = np.maximum(crowding, weight / 3 * close.max((2, 3)))
        crowding = np.clip(crowding, 0, 1)
        centres = joints[..., JOINTS // 2, :]
        to = centres[:, None] - centres[:, :, None]
        far = np.sqrt((to**2).sum(-1))
        company = ((far < _COMPANY) & ~itself & self.present[:, None])[..., None].astype(float)
        count = np.maximum(company.sum(2), 1)
        wish += 0.3 * (company * ahead[:, None]).sum(2) / count
        wish += 0.22 * (company * to / _COMPANY).sum(2) / count
        margin = OUTER_MARGIN if self.leaving else 0.0
        inside = np.minimum(eyes, joints[..., 0, :]) - margin
        outside = SIZE - margin - np.maximum(eyes, joints[..., 0, :])
        wish += 4 * np.clip(1 - inside / _SHORE, 0, 1.6) ** 1.5
        wish -= 4 * np.clip(1 - outside / _SHORE, 0, 1.6) ** 1.5
        away = centres - self.fear_point
        away /= np.sqrt((away**2).sum(-1, keepdims=True)) + 1e-6
        return wish + 4.5 * self.fear[..., None] * away, crowding

    def _hunger(self, food: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pull of the nearest pellet (n, 10, 2), and how strong it is (n, 10) in [0, 1]."""
        to = food[:, None] - self.head[:, :, None]  # (n, 10, k, 2)
        distance = np.sqrt((to**2).sum(-1))
        distance = np.where(np.isnan(distance), np.inf, distance)
        nearest = distance.argmin(-1)[..., None]
        least = np.take_along_axis(distance, nearest, -1)
        appetite = np.where(least < _SMELL, 1 - 0.6 * least / _SMELL, 0) * (
            1 - np.clip(2 * self.fear, 0, 1)[..., None]
        )
        pull = np.take_along_axis(np.nan_to_num(to), nearest[..., None], 2)[:, :, 0]
        pull = pull / (np.where(np.isfinite(least), least, 1) + 1e-6)
        return 3.2 * appetite * pull, appetite[..., 0]

    def _follow(self) -> None:
        """The body goes where the head went; how far it can bend is limited."""
        passed = np.clip(self.speed / FPS / (self.length / JOINTS), 0, 2)[..., None] / 2
        for _ in range(2):
            self.bend[..., 1:] += passed * (self.bend[..., :-1] - self.bend[..., 1:])
        reach = 1.5 * np.arange(JOINTS) / (JOINTS - 1)
        head = self.bend[..., :1]
        self.bend = np.clip(self.bend, head - reach, head + reach)

    def _ease_apart(self, rows: np.ndarray) -> np.ndarray:
        """Moves and turns fish whose bodies come too close; gives the ponds where some touched."""
        touching = np.zeros(len(rows), bool)
        joints = self.spine()
        middle = joints[..., JOINTS // 2, :]
        gap = np.sqrt(((middle[:, :, None] - middle[:, None]) ** 2).sum(-1))
        pairs = (gap < _REACH) & rows[:, None, None]
        pairs &= self.present[:, :, None] & self.present[:, None]
        row, one, other = np.nonzero(np.triu(pairs, 1))
        if not row.size:
            return touching
        apart = joints[row, one][:, :, None] - joints[row, other][:, None]  # (pairs, 13, 13, 2)
        distance = np.sqrt((apart**2).sum(-1)) + 1e-6
        girth = self.length[..., None] * GIRTH
        clear = distance - girth[row, one][:, :, None] - girth[row, other][:, None]
        nearest = clear.reshape(len(row), -1).argmin(1)
        here, there = np.divmod(nearest, JOINTS + 1)
        pair = np.arange(len(row))
        clear = clear[pair, here, there]
        direction = apart[pair, here, there] / distance[pair, here, there, None]
        push = 0.55 * np.clip(_LEAST_CLEARANCE - clear, 0, 5)
        push += 0.04 * np.clip(_CLEARANCE - clear, 0, _CLEARANCE)
        push = push[:, None] * direction
        headings = self.bend[..., 0]
        for fish, joint, shift in ((one, here, push), (other, there, -push)):
            np.add.at(self.head, (row, fish), shift)
            heading = headings[row, fish]
            sideways = np.cos(heading) * shift[:, 1] - np.sin(heading) * shift[:, 0]
            lever = 0.5 - joint / JOINTS
            np.add.at(headings, (row, fish), np.clip(0.08 * lever * sideways, -0.08, 0.08))
        touching[row[clear < 0]] = True
        return touching

    def _stay_in(self, rows: np.ndarray) -> None:
        margin = OUTER_MARGIN if self.leaving else CENTRE_MARGIN
        centres = self.centres()
        held = np.clip(centres, margin, SIZE - margin) - centres
        self.head += np.where((self.present & rows[:, None])[..., None], held, 0)
