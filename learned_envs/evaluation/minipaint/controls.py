"""Do the toolbar's controls answer, early and late in an episode?

From states that episodes came to, real and dreamed, programs are branched: the button goes up, and
then down once on some place of the toolbar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learned_envs.evaluation.minipaint.episodes import EARLY, LATE, PHASES, Moment, phase_of
from learned_envs.evaluation.minipaint.pixels import TOOLBAR, chosen, far
from learned_envs.evaluation.minipaint.programs import Programs, rows_of
from learned_envs.evaluation.proportion import Proportion
from sims.minipaint.env import IDLE_ACTION
from sims.minipaint.layout import COLOURS, CONTROLS, SIZE, brush_at

KINDS = (*CONTROLS, "edges", "gaps")
"""What is clicked: each control, at least 2 pixels inside its border; the pixels on either side of
a control's border; and those of the toolbar where nothing is, at least 2 pixels from any control.
"""

WRONG_PIXELS = 8
"""Pixels of the toolbar, one in two thousand, that may be wrong after a click that was answered.
Any click that changes something changes more than ten times as many."""

_MOMENTS = 15  # in each phase, from which clicks are branched
_BORDER = 2  # pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """How clicks of one kind were answered in one phase; answers add up.

    Attributes:
        answered: Clicks in whose step the dreamed toolbar did what the real one did: of the pixels
            of the toolbar that this step changed in either program by more than 16 levels in any
            channel, at most 8 are then farther than that from the real ones. What was wrong in the
            toolbar before, and was not to change, does not count.
        exact: Clicks after which the whole toolbar equals the real one byte by byte.
    """

    answered: Proportion = Proportion()
    exact: Proportion = Proportion()

    def __add__(self, other: Answers) -> Answers:
        return Answers(answered=self.answered + other.answered, exact=self.exact + other.exact)

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return {"answered": self.answered.to_json(), "exact": self.exact.to_json()}


def probed_steps(steps: int) -> dict[int, str]:
    """The steps of an episode of so many after which clicks are branched, with their phases."""
    early = np.linspace(EARLY / _MOMENTS, EARLY, _MOMENTS)
    late = np.linspace(LATE, max(steps, LATE), _MOMENTS)
    probed = {int(step): phase_of(int(step)) for step in (*early, *late)}
    return {step: phase for step, phase in probed.items() if phase and step <= steps}


class ControlsWatch:
    """Branches clicks from two programs at some of the steps that they go through side by side.

    Args:
        steps: Length of the episodes.
        clicks: Of each kind in each phase.
        seed: Of the choice of rows and places.

    Attributes:
        answers: By phase and kind.
    """

    def __init__(self, steps: int, *, clicks: int, seed: int = 0):
        self._probed = probed_steps(steps)
        self._clicks = clicks
        self._random = np.random.default_rng(seed)
        self.answers: dict[str, dict[str, Answers]] = {
            phase: dict.fromkeys(KINDS, Answers()) for phase in PHASES
        }

    def watch(self, moment: Moment, real: Programs, dream: Programs) -> None:
        """Asks both programs, which are at that moment, and puts them back.

        A click on a control is asked where it changes the real program: the pen where the eraser is
        chosen, another colour than the chosen one, another brush. Where the dream shows before the
        click already what the real program makes of it, nothing can be seen and the click is left
        out. Of a kind of which clicks are lacking, more are asked later.
        """
        if moment.step not in self._probed:
            return
        answers = self.answers[self._probed[moment.step]]
        states = [programs.get_state() for programs in (real, dream)]
        branches = [_Branch(programs, len(moment.real)) for programs in (real, dream)]
        questions = self._questions(moment.step, [chosen(frame) for frame in branches[0].before])
        for start in range(0, len(questions), len(moment.real)):
            group = questions[start : start + len(moment.real)]
            rows = np.array([row for _, row, _ in group])
            places = np.array([place for *_, place in group])
            outcome = _judged(*(branch.click(rows, places) for branch in branches))
            for (kind, *_), counted, answered, exact in zip(group, *outcome, strict=True):
                if counted:
                    answers[kind] += Answers(
                        answered=Proportion(hits=answered, trials=1),
                        exact=Proportion(hits=exact, trials=1),
                    )
        for programs, state in zip((real, dream), states, strict=True):
            programs.set_state(state)

    def _questions(
        self, step: int, settings: Sequence[Mapping[str, Any]]
    ) -> list[tuple[str, int, np.ndarray]]:
        """What is asked now of programs with these settings: kind, row and place (x, y)."""
        phase = self._probed[step]
        left = sum(of == phase and other >= step for other, of in self._probed.items())
        questions = []
        for kind in KINDS:
            wanted = self._clicks - self.answers[phase][kind].answered.trials
            rows = [row for row, now in enumerate(settings) if _changes(kind, now)]
            for _ in range(-(-wanted // left) if rows else 0):
                row = int(self._random.choice(rows))
                place = self._random.choice(_PLACES[kind])
                while kind == "slider" and brush_at(place[1]) == settings[row]["brush"]:
                    place = self._random.choice(_PLACES[kind])
                questions.append((kind, row, place))
        return questions


class _Branch:
    """Programs in a moment, with the button up, from which clicks are branched."""

    def __init__(self, programs: Programs, rows: int):
        self._programs, self._rows = programs, rows
        self.before = programs.step(np.tile(np.array(IDLE_ACTION, np.float32), (rows, 1)))
        self._state = programs.get_state()

    def click(self, rows: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The toolbars (m, pixels, 3) of m rows before and after clicks at places (m, 2)."""
        idle = self._rows - len(rows)
        rows = np.pad(rows, (0, idle))
        points = (np.pad(places, ((0, idle), (0, 0))) + 0.5) / SIZE
        self._programs.set_state(rows_of(self._state, rows))
        actions = np.concatenate([points, np.ones((self._rows, 1))], 1).astype(np.float32)
        after = self._programs.step(actions)
        count = self._rows - idle
        return self.before[rows[:count]][:, TOOLBAR], after[:count][:, TOOLBAR]


def _changes(kind: str, settings: Mapping[str, Any]) -> bool:
    """Whether a click of that kind can change a program with these settings."""
    if kind in ("pen", "eraser"):
        return settings["tool"] != kind
    if kind in COLOURS:
        return settings["tool"] == "eraser" or settings["colour"] != kind
    return True


def _judged(
    real: tuple[np.ndarray, np.ndarray], dream: tuple[np.ndarray, np.ndarray]
) -> tuple[list[bool], list[bool], list[bool]]:
    """Whether each click counts, was answered, and was exactly, from toolbars before and after."""
    (before, after), (dreamed_before, dreamed_after) = real, dream
    moved = far(before, after)
    at_rest = moved.sum(1) <= WRONG_PIXELS
    ahead = (moved & far(dreamed_before, after)).sum(1) <= WRONG_PIXELS
    wrong = (moved | far(dreamed_before, dreamed_after)) & far(dreamed_after, after)
    answered = wrong.sum(1) <= WRONG_PIXELS
    exact = (dreamed_after == after).all((1, 2))
    return (at_rest | ~ahead).tolist(), answered.tolist(), exact.tolist()


def _places() -> dict[str, np.ndarray]:
    """Of each kind the pixels (k, 2) int64, x and y, that are clicked."""
    whose = np.zeros((SIZE, SIZE), np.int64)
    for number, area in enumerate(CONTROLS.values(), 1):
        whose[area.pixels] = number
    around = np.pad(whose, _BORDER, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, (2 * _BORDER + 1,) * 2)
    edge = (windows != whose[..., None, None]).any((2, 3)) & TOOLBAR
    masks = {name: (whose == number) & ~edge for number, name in enumerate(CONTROLS, 1)}
    masks |= {"edges": edge, "gaps": (whose == 0) & ~edge & TOOLBAR}
    return {kind: np.argwhere(mask)[:, ::-1] for kind, mask in masks.items()}


_PLACES = _places()
