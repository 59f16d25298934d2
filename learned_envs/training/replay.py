"""The steps of play that went worst, kept to be shown again: prioritised experience replay.

After Schaul et al., "Prioritized Experience Replay" (2016). True frames are kept, so that a step is
shown again on its true context. Losses are not weighted back to how often steps really come: where
one step has one outcome, what is seen more often is only learned sooner.
"""

import numpy as np

from learned_envs.data.window import Window

_EXPONENT = 0.6  # of the losses that steps are drawn by; 0 would draw all alike


class Replay:
    """Single steps with the frames before them, and how badly each went when last seen.

    Args:
        context: Frames that a model needs to take a step.
        capacity: Steps that are kept, the worst of those seen.
        seed: Of what is drawn.
    """

    def __init__(self, context: int, capacity: int, seed: int):
        self._context, self._capacity = context, capacity
        self._random = np.random.default_rng(seed)
        self._steps: list[Window] = []
        self._losses = np.zeros(0)

    def __len__(self) -> int:
        return len(self._steps)

    def see(self, window: Window, step: int, rows: np.ndarray, losses: np.ndarray) -> None:
        """Keeps of one step of a window what went worse than what is kept so far.

        Args:
            window: Of B rows.
            step: Which of its steps.
            rows: (b,) the rows in which it was taken.
            losses: (b,) how badly, from 0.
        """
        begin = step + 1 - self._context
        if begin < 0:
            return
        for row, loss in zip(rows.tolist(), np.nan_to_num(losses).tolist(), strict=True):
            if len(self._steps) < self._capacity:
                self._steps.append(_cut(window, row, begin, step))
                self._losses = np.append(self._losses, loss)
            elif loss > self._losses[least := int(self._losses.argmin())]:
                self._steps[least], self._losses[least] = _cut(window, row, begin, step), loss

    def draw(self, count: int) -> tuple[np.ndarray, Window]:
        """Draws steps, the worse the likelier.

        Returns:
            Their numbers (count,), to be given back to `saw`, and a window of them of which only
            the last step counts.
        """
        weights = (self._losses + 1e-9) ** _EXPONENT
        chosen = self._random.choice(len(self._steps), count, p=weights / weights.sum())
        steps = [self._steps[number] for number in chosen]
        names = Window.__dataclass_fields__.keys() - {"metadata"}
        arrays = {n: np.concatenate([getattr(step, n) for step in steps]) for n in names}
        return chosen, Window(**arrays, metadata={})

    def saw(self, chosen: np.ndarray, losses: np.ndarray) -> None:
        """Notes how badly drawn steps (n,) went this time, (n,)."""
        self._losses[chosen] = np.nan_to_num(losses)


def _cut(window: Window, row: int, begin: int, step: int) -> Window:
    """A copy of the frames `begin` to `step` + 1 of one row, whose last step alone is valid."""
    one, frames, steps = slice(row, row + 1), slice(begin, step + 2), slice(begin, step + 1)
    valid = window.valid[one, steps].copy()
    valid[:, :-1] = False
    return Window(
        observation=window.observation[one, frames].copy(),
        action=window.action[one, steps].copy(),
        reward=window.reward[one, steps].copy(),
        terminated=window.terminated[one, steps].copy(),
        first=window.first[one, frames].copy(),
        valid=valid,
        metadata={},
    )
