"""What is played: the real world, its dream, or both under one pair of hands, step by step.

A stage knows no thread, no rate and no window.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from learned_envs.data.episode import Episode
from learned_envs.play.player import Player, Recording
from learned_envs.play.probe import BlockProbe, probe
from learned_envs.play.snapshot import Game, Mode, Snapshot
from learned_envs.worlds import World

if TYPE_CHECKING:
    from learned_envs.dream.dream_env import DreamEnv

MAX_SAMPLER_STEPS = 32
BLEND_CADENCE = 8
"""Steps after which the dream that is laid over the real game begins anew from it."""
_DOUBTS = 300
_PATH = 60  # steps in which the pointer's way is remembered
_SMOOTH = 0.1

MakeDream = Callable[[int | None], "DreamEnv"]


class Stage:
    """The games of one world, of which a mode shows one or two.

    Where both are shown, both get the same actions, and the dream begins from the real game's last
    frames: side by side with a new game, once there are as many as it looks back on. A game that is
    over is shown for a second and begins anew. A world whose pointer has manners rests until an
    action is sent.

    Args:
        world: Which world.
        real: Its real env, or None where there is none.
        make_dream: Makes the dream with so many sampler steps (None: its own), or None.
        seed: Of the first reset.
        mode: What to show first; both side by side, if there are both, if None.
        episode: A recording to replay, or None.

    Attributes:
        paused: Whether the session waits before it calls `tick` again.
        speed: Share of the world's own rate.
        error: What went wrong, or empty; nothing is played until a reset or another mode.

    Raises:
        ValueError: If there is nothing to play, or no such mode here.
    """

    def __init__(
        self,
        world: World,
        *,
        real: gym.Env[Any, Any] | None,
        make_dream: MakeDream | None,
        seed: int = 0,
        mode: Mode | None = None,
        episode: Episode | None = None,
    ):
        self.world = world
        self.paused, self.speed, self.error = False, 1.0, ""
        self._make_dream = make_dream
        self._dream_env = make_dream(None) if make_dream else None
        spec = self._dream_env.runtime.spec if self._dream_env else None
        self._context = spec.span if spec else 1
        unseen = self._context - 1 if spec and spec.span > spec.context else 0
        self._real = None
        if real is not None:
            self._real = Player(real, self._context, unseen, world.idle_action)
        self._dream = Player(self._dream_env) if self._dream_env else None
        self._recording = Recording(episode, self._context) if episode and self._dream else None
        self.modes = self._possible_modes()
        if not self.modes:
            raise ValueError(f"{world.name} has neither a real env nor a dream to play here")
        self._held = self._action = world.idle_action
        self._tapped: Any = None
        self._rests = world.pointer is not None and world.pointer.manners is not None
        self._waiting: deque[Any] = deque()
        self._path: deque[tuple[float, float] | None] = deque(maxlen=_PATH)
        self._seed, self._ticks, self._joined = seed, 0, 0
        self._doubts: deque[float] = deque(maxlen=_DOUBTS)
        self._step_ms = float("nan")
        self._change: np.ndarray | None = None
        self._probe: BlockProbe | None = None
        preferred = (Mode.REPLAY, Mode.SIDE, Mode.DREAM, Mode.REAL)
        self.mode = mode or next(m for m in preferred if m in self.modes)
        self.reset(seed)

    def _possible_modes(self) -> tuple[Mode, ...]:
        real, dream = self._real is not None, self._dream is not None
        possible = real, dream, real and dream, real and dream, self._recording is not None
        return tuple(mode for mode, here in zip(Mode, possible, strict=True) if here)

    @property
    def running(self) -> bool:
        """Whether a session should go on calling `tick`."""
        return not (self.paused or self.error or self._resting)

    @property
    def pace(self) -> float:
        """Ticks a second that a session should make: the more, the more actions are waiting."""
        return self.world.fps * self.speed * max(len(self._waiting), 1)

    @property
    def _resting(self) -> bool:
        """Whether there is nothing to play until an action is sent."""
        if not self._led or self._waiting:
            return False
        games = (player.game for player in (self._real, self._dream) if player)
        return not any(game is not None and game.over for game in games)

    @property
    def _led(self) -> bool:
        """Whether each action that is sent is a step, and there is no other."""
        return self._rests and self.mode is not Mode.REPLAY

    def hold(self, action: Any) -> None:
        """Sends `action` from now on. One that is let go before the next step still counts once.

        Where the world's pointer has manners, each is played once, in turn.
        """
        if self._led:
            self._waiting.append(action)
            return
        self._held = action
        if not np.array_equal(action, self.world.idle_action):
            self._tapped = action

    def reset(self, seed: int | None = None) -> None:
        """Begins all games that the mode shows anew, with the seed after the last one if None."""
        self.error = ""
        self._waiting.clear()
        self._path.clear()
        self._seed = self._seed + 1 if seed is None else seed
        for player in filter(None, (self._real, self._dream)):
            player.game = None
        self.show(self.mode)

    def show(self, mode: Mode) -> None:
        """Changes what is played. Games that run already go on.

        Raises:
            ValueError: If this world has no such mode here.
        """
        if mode not in self.modes:
            raise ValueError(f"mode {mode.value!r} was asked for; here are {', '.join(self.modes)}")
        self.error, self.mode = "", mode
        if self._recording and mode is Mode.REPLAY:
            self._recording.rewind()
            self._join()
            return
        if self._real and mode is not Mode.DREAM and self._real.game is None:
            self._real.begin(self._seed)
        if self._dream and mode in (Mode.SIDE, Mode.BLEND):
            self._join()
        elif self._dream and mode is Mode.DREAM and self._dream.game is None:
            self._begin_dream(self._seed, None)

    def take_over(self) -> None:
        """The dream goes on from the real game's last frames, and is what is played from now on.

        Side by side, the real game stays in sight; in a replay, the recording does.
        """
        if self._dream is None or self._leader() is None:
            return
        if self.mode in (Mode.REAL, Mode.BLEND):
            self.mode = Mode.DREAM
        self.error = ""
        self._join()

    def never_rest(self) -> None:
        """Goes on at the world's own rate from now on, whatever is sent."""
        self._rests = False

    def set_speed(self, speed: float) -> None:
        """Sets the share of the world's own rate."""
        self.speed = speed

    def set_paused(self, paused: bool) -> None:
        """Stops or goes on."""
        self.paused = paused

    def probe_blocks(self, wanted: bool) -> None:
        """Begins or ends looking into the network; without one to look into nothing happens."""
        if self._probe and not wanted:
            self._probe.remove()
            self._probe = None
        elif wanted and not self._probe and self._dream_env:
            self._probe = probe(self._dream_env.runtime)

    def set_sampler_steps(self, steps: int) -> None:
        """Dreams on with another number of sampler steps, 1 to `MAX_SAMPLER_STEPS`.

        Nothing happens if the model is no diffusion model.
        """
        env = self._dream_env
        if env is None or self._make_dream is None or env.runtime.sampler_steps is None:
            return
        assert self._dream is not None
        made = self._make_dream(int(np.clip(steps, 1, MAX_SAMPLER_STEPS)))
        if self._dream.game is not None:
            made.set_state(env.get_state())
        self._dream_env = self._dream.env = made
        if self._probe:
            self.probe_blocks(False)
            self.probe_blocks(True)

    def tick(self) -> None:
        """Plays one step of all that the mode shows, paused or not, unless there was an error.

        In a world with manners there is no step without an action that was sent.
        """
        if self.error or self._resting:
            return
        self._ticks += 1
        if self._waiting:
            self._tapped = self._waiting.popleft()
        self._action = self._held if self._tapped is None else self._tapped
        self._tapped = None
        if self._recording and self.mode is Mode.REPLAY:
            self._tick_recording(self._recording)
        else:
            if self._real and self.mode is not Mode.DREAM:
                self._tick_real(self._real)
            if self._dream and self.mode is not Mode.REAL:
                self._tick_dream(self._dream)
        if self.world.pointer is not None:
            idle = np.array_equal(self._action, self.world.idle_action)
            self._path.append(None if idle else (float(self._action[0]), float(self._action[1])))

    def snapshot(self) -> Snapshot:
        """The stage as it stands."""
        real = self._recording if self.mode is Mode.REPLAY else self._real
        env = self._dream_env
        return Snapshot(
            number=self._ticks,
            mode=self.mode,
            modes=self.modes,
            real=real.game if real else None,
            dream=self._dream.game if self._dream else None,
            action=self._action,
            doubts=np.array(self._doubts),
            step_ms=self._step_ms,
            change=self._change,
            norms=self._probe.norms() if self._probe else (),
            path=tuple(self._path),
            sampler_steps=env.runtime.sampler_steps if env else None,
            seed=self._seed,
            paused=self.paused,
            speed=self.speed,
            error=self.error,
        )

    def _tick_recording(self, recording: Recording) -> None:
        """The dream waits where the recording waits."""
        assert self._dream is not None and self._dream.game is not None
        if recording.game.over:
            if self._rested(recording):
                recording.rewind()
                self._join()
            return
        self._action = recording.step()
        if not self._dream.game.over:
            self._dream_on(self._dream)

    def _tick_real(self, real: Player) -> None:
        assert real.game is not None
        if not real.game.over:
            real.step(self._action)
        elif self._rested(real):
            real.begin(None)
            self._joined = BLEND_CADENCE

    def _tick_dream(self, dream: Player) -> None:
        assert dream.game is not None
        if self.mode is Mode.BLEND:
            self._tick_blended(dream, dream.game.over)
        elif self.mode is Mode.SIDE and self._too_early(dream.game):
            self._join()
        elif not dream.game.over:
            self._dream_on(dream)
        elif self._rested(dream):
            self._join() if self.mode is Mode.SIDE else self._begin_dream(None, None)

    def _too_early(self, dreamed: Game) -> bool:
        """Whether the dream has not begun, since the real game shows too few frames for it."""
        assert self._real and self._real.game
        return dreamed.step == 0 and 0 < self._real.game.step < self._context - self._real.unseen

    def _tick_blended(self, dream: Player, over: bool) -> None:
        """The dream waits while the real game is over, and begins anew with it."""
        assert self._real and self._real.game
        self._joined += 1
        if self._real.game.over:
            return
        if over or self._joined > BLEND_CADENCE:
            self._join()
        else:
            self._dream_on(dream)

    def _dream_on(self, dream: Player) -> None:
        assert self._dream_env is not None
        before, began = self._dream_env.latent(), time.perf_counter()
        dream.step(self._action)
        took = 1000 * (time.perf_counter() - began)
        known = self._step_ms == self._step_ms
        self._step_ms = (1 - _SMOOTH) * self._step_ms + _SMOOTH * took if known else took
        self._doubts.append(float(dream.info["doubt"]))
        self._change = np.abs(self._dream_env.latent() - before).mean(0)

    def _rested(self, player: Player | Recording) -> bool:
        """Whether a game that is over was shown for a second."""
        player.rested += 1
        return player.rested >= self.world.fps

    def _leader(self) -> Player | Recording | None:
        """What a dream can take over from."""
        if self.mode is Mode.REPLAY:
            return self._recording
        return self._real if self._real and self._real.game else None

    def _join(self) -> None:
        """Begins the dream from the last frames of the real game or the recording."""
        leader = self._leader()
        assert leader is not None and leader.game is not None
        if leader.game.over and isinstance(leader, Player):
            leader.begin(None)
        assert leader.game is not None
        first = self._dream is not None and self._dream.game is None
        self._begin_dream(self._seed if first else None, leader.history(), leader.game.score)

    def _begin_dream(self, seed: int | None, options: Any, score: float = 0.0) -> None:
        assert self._dream is not None
        self._dream.begin(seed, options, score)
        self._joined, self._change = 0, None
        if self.mode is not Mode.BLEND:
            self._doubts.clear()
