"""An emulator in a process of its own, as those see it who play.

stable-retro allows one emulator a process; this is how there can be many.
"""

import importlib.util
import os
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import IO, Any

import gymnasium as gym

from sims.retro.emulator import NO_ROM
from sims.retro.messages import receive, send


class Console:
    """Starts an emulator, asks things of it and waits for its answers.

    Asking and waiting are apart, so that many can work at once.

    Args:
        game: stable-retro's name of the game.
        variables: As `Emulator` takes them.
        image_size: As `Emulator` takes it.

    Attributes:
        told: What the emulator says of itself: `Emulator.told`.

    Raises:
        gymnasium.error.DependencyNotInstalled: If stable-retro is missing.
        ValueError: If it knows no such game, has no ROM of it, or cannot start it.
    """

    def __init__(
        self,
        game: str,
        variables: Mapping[str, Mapping[str, Any]],
        image_size: Sequence[int] | None,
    ):
        check_known(game)
        self._game = game
        path = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from sims.retro.emulator import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.close = weakref.finalize(self, _stop, self._process)
        self._send((game, {n: dict(v) for n, v in variables.items()}, image_size))
        self.told: dict[str, Any] = self.answer()

    def ask(self, request: str, *given: Any) -> None:
        """Asks the emulator to call one of its methods; `answer` gives what it returns."""
        self._send((request, *given))

    def answer(self) -> Any:
        """Waits for the answer to what was asked.

        Raises:
            ValueError: If the emulator refused; the message says why.
            RuntimeError: If its process has died.
        """
        try:
            outcome, answer = receive(self._pipe(self._process.stdout))
        except (EOFError, OSError):
            raise self._died() from None
        if outcome == "refused":
            raise ValueError(_no_rom(self._game) if answer == NO_ROM else answer)
        return answer

    def asked(self, request: str, *given: Any) -> Any:
        """Asks, and waits for the answer."""
        self.ask(request, *given)
        return self.answer()

    def _send(self, message: tuple[Any, ...]) -> None:
        pipe = self._pipe(self._process.stdin)
        try:
            send(pipe, message)
        except OSError:
            raise self._died() from None

    def _pipe(self, pipe: IO[bytes] | None) -> IO[bytes]:
        if pipe is None or pipe.closed:
            raise RuntimeError(f"the emulator of {self._game!r} is closed: make the env again")
        return pipe

    def _died(self) -> RuntimeError:
        code = self._process.wait()
        return RuntimeError(
            f"the emulator of {self._game!r} died with exit code {code}: make the env again, and "
            "look above for what it printed"
        )


def check_known(game: str) -> None:
    """Says what is wrong with a game's name before anything is started.

    Raises:
        gymnasium.error.DependencyNotInstalled: If stable-retro is missing.
        ValueError: If it knows no such game; the message suggests the nearest name.
    """
    known = known_games()
    if game not in known:
        near = get_close_matches(game, known, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"stable-retro knows no game {game!r} among its {len(known):,}.{hint} "
            "`python -c 'import stable_retro as r; print(r.data.list_games())'` lists them"
        )


def known_games() -> list[str]:
    """The names of all games that stable-retro knows, whether their ROMs are there or not.

    Raises:
        gymnasium.error.DependencyNotInstalled: If stable-retro is missing.
    """
    if importlib.util.find_spec("stable_retro") is None:
        raise gym.error.DependencyNotInstalled(
            "retro games need stable-retro, which is not installed: run "
            '`pip install "learned-envs[retro]"`'
        )
    from stable_retro.data import list_games

    return list_games()


def _no_rom(game: str) -> str:
    return (
        f"there is no ROM of {game!r}: stable-retro comes with that of Airstriker-Genesis-v0 only. "
        "Import those you own with `python -m stable_retro.import FOLDER`, which finds games by "
        "their checksums"
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process by ending its input; kills one that does not notice."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                pass
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
