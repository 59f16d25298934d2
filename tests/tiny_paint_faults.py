"""Real paint programs with planted faults, to be measured as dreams are."""

from collections.abc import Collection

import numpy as np

from learned_envs import worlds
from learned_envs.evaluation.minipaint.programs import real_programs
from sims.minipaint import BRUSHES, IDLE_ACTION, PRESSED, canvas_of, pixel_at
from sims.minipaint.layout import part_at
from sims.minipaint.paint import HardPaint

WORLD = worlds.get("minipaint")
PAPER = HardPaint().paper


class Faulty:
    """n real programs, whose users' actions and whose pictures pass through a fault."""

    def __init__(self, rows: int):
        self.programs = real_programs(WORLD, rows)
        self.memory: dict[str, np.ndarray] = {}

    def start(self, frames: np.ndarray) -> np.ndarray:
        self.begin(frames)
        return self.shown(self.programs.start(frames))

    def step(self, actions: np.ndarray) -> np.ndarray:
        return self.shown(self.programs.step(self.heard(actions)))

    def get_state(self) -> dict:
        memory = {name: value.copy() for name, value in self.memory.items()}
        return {"programs": self.programs.get_state(), "memory": memory}

    def set_state(self, state: dict) -> None:
        self.programs.set_state(state["programs"])
        self.memory = {name: value.copy() for name, value in state["memory"].items()}

    def begin(self, frames: np.ndarray) -> None:
        """Before the first frame."""

    def heard(self, actions: np.ndarray) -> np.ndarray:
        """What reaches the programs."""
        return actions

    def shown(self, frames: np.ndarray) -> np.ndarray:
        """What is seen of them."""
        return frames


class Copying(Faulty):
    """Shows its first frame for ever."""

    def begin(self, frames: np.ndarray) -> None:
        self.memory = {"first": frames.copy()}

    def shown(self, frames: np.ndarray) -> np.ndarray:
        return self.memory["first"].copy()


class Fading(Faulty):
    """Its canvas becomes a little whiter in every step."""

    def begin(self, frames: np.ndarray) -> None:
        self.memory = {"age": np.zeros(len(frames))}

    def shown(self, frames: np.ndarray) -> np.ndarray:
        left = 0.999 ** self.memory["age"][:, None, None, None]
        self.memory["age"] += 1
        frames = frames.copy()
        canvas_of(frames)[:] = np.rint(255 - left * (255.0 - canvas_of(frames)))
        return frames


class Deaf(Faulty):
    """Hears nothing of a share of the presses that begin on some parts of the window."""

    def __init__(self, rows: int, parts: Collection[str], share: float):
        super().__init__(rows)
        self._parts, self._share = parts, share
        self._random = np.random.default_rng(0)

    def begin(self, frames: np.ndarray) -> None:
        self.memory = {name: np.zeros(len(frames), bool) for name in ("held", "deaf")}

    def heard(self, actions: np.ndarray) -> np.ndarray:
        down = actions[:, 2] >= PRESSED
        for row in np.flatnonzero(down & ~self.memory["held"]).tolist():
            unheard = part_at(*pixel_at(*actions[row, :2].tolist())) in self._parts
            self.memory["deaf"][row] = unheard and self._random.random() < self._share
        self.memory["held"] = down
        return np.where((down & self.memory["deaf"])[:, None], np.float32(IDLE_ACTION), actions)


class Thin(Faulty):
    """Draws with a brush that is about a pixel too thin."""

    def __init__(self, rows: int):
        super().__init__(rows)
        for program in self.programs._env._programs:
            program._paint = _ThinPaint()


class _ThinPaint(HardPaint):
    def stroked(self, canvas, start, end, brush, colour, begins):
        thinner = min(max(brush - 1, 0), BRUSHES - 1)
        return super().stroked(canvas, start, end, thinner, colour, begins)


class Smudging(Faulty):
    """What is erased becomes paper but for a few levels."""

    def begin(self, frames: np.ndarray) -> None:
        inked = (canvas_of(frames) != PAPER).any(-1)
        self.memory = {"inked": inked, "smudged": np.zeros_like(inked)}

    def shown(self, frames: np.ndarray) -> np.ndarray:
        inked = (canvas_of(frames) != PAPER).any(-1)
        smudged = (self.memory["smudged"] | self.memory["inked"]) & ~inked
        self.memory = {"inked": inked, "smudged": smudged}
        frames = frames.copy()
        canvas_of(frames)[smudged] -= 5
        return frames
