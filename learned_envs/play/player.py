"""One running game, real, dreamed or recorded, and what is remembered of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from learned_envs.data.episode import Episode
from learned_envs.play.snapshot import Game


class Player:
    """An env, where its game stands, and the last frames, from which a dream can take over.

    Args:
        env: The real env or the dream.
        context: Frames to remember.
        unseen: Steps that a game is left idle before it is shown, so that there is something to
            look back on from its beginning.
        idle: The action of these steps.

    Attributes:
        game: Where it stands; None before `begin`.
        info: Of the latest step.
        rested: Calls of `rest` since the game ended.
    """

    def __init__(self, env: gym.Env[Any, Any], context: int = 1, unseen: int = 0, idle: Any = None):
        self.env, self.unseen, self._idle = env, unseen, idle
        self.game: Game | None = None
        self.info: Mapping[str, Any] = {}
        self.rested = 0
        self._frames: deque[np.ndarray] = deque(maxlen=context)
        self._actions: deque[Any] = deque(maxlen=context - 1)

    def begin(
        self, seed: int | None, options: dict[str, Any] | None = None, score: float = 0.0
    ) -> None:
        """Begins a game: `Env.reset`, with a score to start from."""
        frame, _ = self.env.reset(seed=seed, options=options)
        self._frames.clear()
        self._actions.clear()
        self._frames.append(_frozen(frame))
        for _ in range(self.unseen):
            frame, *_ = self.env.step(self._idle)
            self._frames.append(_frozen(frame))
            self._actions.append(self._idle)
        self.info, self.rested = {}, 0
        self.game = Game(frame=self._frames[-1], score=score)

    def step(self, action: Any) -> None:
        """Plays one step of a game that is not over."""
        assert self.game is not None
        frame, reward, terminated, truncated, self.info = self.env.step(action)
        self._frames.append(_frozen(frame))
        self._actions.append(action)
        self.game = Game(
            frame=self._frames[-1],
            score=self.game.score + float(reward),
            step=self.game.step + 1,
            over=bool(terminated or truncated),
        )

    def history(self) -> dict[str, Any]:
        """The last frames and the actions between them, as a dream's reset options."""
        return {"frames": np.stack(self._frames), "actions": np.array(self._actions)}


class Recording:
    """A recorded episode that is watched.

    Args:
        episode: Its frames are kept in memory.
        context: Frames that a dream of it starts from; it is watched from the last of them on.

    Attributes:
        game: Where it stands.
        rested: Calls since its end.
    """

    def __init__(self, episode: Episode, context: int):
        self._frames = _frozen(episode.observation[:])
        self._actions = episode.action
        self._scores = np.concatenate([[0.0], episode.reward.cumsum(dtype=np.float64)])
        self._first = min(context, episode.steps) - 1
        self.rewind()

    def rewind(self) -> None:
        """Goes back to where it is watched from."""
        self._at, self.rested = self._first, 0
        self.game = self._game()

    def history(self) -> dict[str, Any]:
        """The frames up to now and the actions between them, as a dream's reset options."""
        return {"frames": self._frames[: self._at + 1], "actions": self._actions[: self._at]}

    def step(self) -> Any:
        """Goes on to the next frame and returns the action that led there."""
        action = self._actions[self._at]
        self._at += 1
        self.game = self._game()
        return action

    def _game(self) -> Game:
        at = self._at
        over = at == len(self._actions)
        return Game(frame=self._frames[at], score=float(self._scores[at]), step=at, over=over)


def _frozen(frames: np.ndarray) -> np.ndarray:
    frozen = np.array(frames)
    frozen.flags.writeable = False
    return frozen
