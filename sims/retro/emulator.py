"""The process in which one emulator runs; `console.py` starts it and talks to it.

It reads requests from its standard input and writes answers to its standard output, until the input
ends: when the process that asked is gone, however it went, this one goes, too. An answer is
`["done", what was asked for]` or `["refused", why]`.
"""

import contextlib
import json
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sims.retro.messages import receive, send

Moment = tuple[np.ndarray, float, bool, dict[str, int]]
"""A frame (H, W, 3) uint8, the reward since the last one, whether the game is over, variables."""

NO_ROM = "no ROM"


class Emulator:
    """A game of stable-retro that is asked for whole steps.

    Args:
        game: stable-retro's name of it.
        variables: Address and type of variables that the game's own `data.json` does not name.
        image_size: (H, W) of the frames, shrunk by area; None for the screen's own.

    Attributes:
        buttons: Names of the buttons, in the order of a mask's bits.
        size: (H, W) of the frames.
        states: Names of the states that the game can begin in.
        default: The one among them that it begins in if nobody says which, or None.
        variables: Names of all variables.
    """

    def __init__(
        self,
        game: str,
        variables: Mapping[str, Mapping[str, Any]],
        image_size: Sequence[int] | None,
    ):
        import stable_retro
        import stable_retro.data

        with tempfile.TemporaryDirectory() as folder:
            info = _own_data(stable_retro, game, variables, Path(folder))
            self._env: Any = stable_retro.make(game, info=info, render_mode="rgb_array")
        self._frame, _ = self._env.reset()
        self.buttons = tuple(self._env.buttons)
        self.size = tuple(image_size or self._frame.shape[:2])
        self.states = tuple(sorted(stable_retro.data.list_states(game)))
        name = self._env.statename
        self.default = name.removesuffix(".state") if name else None
        self.variables = tuple(self._env.data.lookup_all())
        if missing := [name for name in variables if name not in self.variables]:
            raise ValueError(
                f"stable-retro did not take the variables {missing}: each needs a number as its "
                "`address` and a `type` such as '>u2'"
            )

    def told(self) -> dict[str, Any]:
        """What a console has to know."""
        names = ("buttons", "size", "states", "default", "variables")
        return {name: getattr(self, name) for name in names}

    def begin(self, state: str | None, noops: int) -> Moment:
        """Begins in a state, then lets so many frames pass with no button held."""
        if state is not None:
            self._env.load_state(state)
        self._frame, _ = self._env.reset()
        return self._moment(*self._passed([0] * noops))

    def step(self, masks: list[int]) -> Moment:
        """Lets a frame pass for each mask of held buttons, until the game is over."""
        return self._moment(*self._passed(masks))

    def get_state(self) -> bytes:
        """The emulator's whole state; the screen is not part of it."""
        return self._env.em.get_state()

    def set_state(self, state: bytes) -> None:
        """Restores what `get_state` returned."""
        self._env.em.set_state(state)
        self._env.data.reset()
        self._env.data.update_ram()

    def _passed(self, masks: list[int]) -> tuple[float, bool]:
        reward, over = 0.0, False
        for mask in masks:
            held = [mask >> i & 1 for i in range(len(self.buttons))]
            self._frame, earned, over, _, _ = self._env.step(np.array(held, np.uint8))
            reward += float(earned)
            if over:
                break
        return reward, over

    def _moment(self, reward: float, over: bool) -> Moment:
        import cv2

        frame, (height, width) = self._frame, self.size
        if frame.shape[:2] != (height, width):
            frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        numbers = {name: int(value) for name, value in self._env.data.lookup_all().items()}
        return frame, reward, over, numbers


def _own_data(
    stable_retro: Any, game: str, variables: Mapping[str, Mapping[str, Any]], folder: Path
) -> str:
    """Writes the game's `data.json` with more variables; returns where."""
    path = stable_retro.data.get_file_path(game, "data.json")
    data = json.loads(Path(path).read_text()) if path else {"info": {}}
    data["info"] |= {name: dict(place) for name, place in variables.items()}
    written = folder / "data.json"
    written.write_text(json.dumps(data))
    return str(written)


def _built(*given: Any) -> tuple[Emulator | None, tuple[str, Any]]:
    try:
        emulator = Emulator(*given)
    except FileNotFoundError:
        return None, ("refused", NO_ROM)
    except Exception as error:
        return None, ("refused", f"{type(error).__name__}: {error}")
    return emulator, ("done", emulator.told())


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Builds an emulator as the first request says, and does what the others ask of it."""
    emulator, answer = _built(*receive(requests))
    while True:
        send(answers, answer)
        name, *given = receive(requests)
        try:
            answer = "done", getattr(emulator, name)(*given)
        except Exception as error:
            answer = "refused", f"{type(error).__name__}: {error}"


def main() -> None:
    """Serves on standard input and output; what the emulator prints goes to the error output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(EOFError, BrokenPipeError):
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
