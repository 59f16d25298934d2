"""What `inspect` says of a recordings folder."""

import dataclasses
from collections import deque
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from tiny_world import tiny_world

from learned_envs import worlds
from learned_envs.data import Episode, EpisodeAttributes, EpisodeWriter
from learned_envs.recording.inspect import Report, inspect
from learned_envs.recording.lag import MAX_LAG, input_lag
from learned_envs.recording.recorder import record
from learned_envs.recording.takes import planned_takes, record_take

BREAKOUT = worlds.get("breakout")


class Late(gym.Wrapper[Any, Any, Any, Any]):
    """Carries out every action `lag` steps late."""

    def __init__(self, env: gym.Env[Any, Any], lag: int):
        super().__init__(env)
        self._lag = lag

    def reset(self, **kwargs: Any) -> Any:
        self._waiting = deque([BREAKOUT.idle_action] * self._lag)
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        self._waiting.append(action)
        return self.env.step(self._waiting.popleft())


def played(lag: int, behaviours: dict[str, float] | None = None) -> list[Episode]:
    env = Late(BREAKOUT.make_real(), lag)
    return [
        record_take(BREAKOUT, env, take, 200) for take in planned_takes(BREAKOUT, 6, 0, behaviours)
    ]


@pytest.mark.parametrize("lag", [0, 3])
def test_a_planted_lag_is_found(lag: int) -> None:
    assert input_lag(played(lag)).lag == lag


@pytest.mark.full
@pytest.mark.parametrize("behaviour", BREAKOUT.behaviours)
@pytest.mark.parametrize("lag", [0, 2, 5, MAX_LAG])
def test_a_planted_lag_is_found_whoever_plays(lag: int, behaviour: str) -> None:
    assert input_lag(played(lag, {behaviour: 1.0})).lag == lag


def moving_box(action: np.ndarray, shift: np.ndarray) -> Episode:
    """A bright box moved by `shift` (T, 2) pixels, down and right, on a dark ring."""
    steps = len(action)
    at = np.concatenate([np.zeros((1, 2)), np.cumsum(shift, 0)]).astype(int)
    frames = np.zeros((steps + 1, 32, 48, 3), np.uint8)
    for frame, (y, x) in zip(frames, at, strict=True):
        frame[:6, :6] = 200
        frame[:] = np.roll(frame, (y, x), (0, 1))
    return Episode(
        observation=frames,
        action=action,
        reward=np.zeros(steps, np.float32),
        terminated=np.zeros(steps, bool),
        truncated=np.zeros(steps, bool),
        attributes=EpisodeAttributes(
            world="boxes", fps=15, seed=0, behaviour="drag", action_names=("down", "right")
        ),
    )


def test_the_lag_of_continuous_actions_is_found() -> None:
    action = np.random.default_rng(0).uniform(-3, 3, size=(400, 2)).astype(np.float32)
    late = np.concatenate([np.zeros((2, 2)), action[:-2]])
    assert input_lag([moving_box(action, late.round())]).lag == 2


def test_the_lag_of_a_mouse_that_mostly_rests_is_found() -> None:
    random = np.random.default_rng(0)
    action = random.uniform(0.5, 3, size=(400, 2)) * (random.random((400, 1)) < 0.2)
    late = np.concatenate([np.zeros((3, 2)), action[:-3]])
    assert input_lag([moving_box(action.astype(np.float32), late.round())]).lag == 3


def test_many_components_are_looked_at_one_by_one() -> None:
    action = np.random.default_rng(0).uniform(-3, 3, size=(600, 8)).astype(np.float32)
    late = np.concatenate([np.zeros((2, 2)), action[:-2, :2]])
    assert input_lag([moving_box(action, late.round())]).lag == 2


def test_actions_without_effect_have_no_lag() -> None:
    random = np.random.default_rng(0)
    action, shift = random.uniform(-3, 3, size=(2, 600, 2))
    assert input_lag([moving_box(action, shift.round())]).lag is None


def test_episodes_too_short_to_tell_have_no_lag() -> None:
    action = np.ones((MAX_LAG, 2))
    assert input_lag([moving_box(action, action)]).lag is None


@pytest.fixture(scope="module")
def breakout(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A report on eight short takes of Breakout."""
    folder = tmp_path_factory.mktemp("breakout")
    record(BREAKOUT, folder, 8, workers=0, max_steps=120, progress=False)
    return inspect(folder)


def test_breakout_is_looked_up_and_its_events_are_counted(breakout: Report) -> None:
    assert breakout.world == "breakout"
    assert breakout.events is not None
    assert breakout.events["bricks broken"] == breakout.reward > 0


def test_breakout_recordings_are_lively_and_not_late(breakout: Report) -> None:
    assert breakout.frozen < 0.01  # while a ball is out of sight below a paddle at rest
    assert breakout.lag.lag == 0
    assert all(action.share > 0.02 for action in breakout.actions)


def test_few_takes_and_empty_splits_are_warned_of(breakout: Report) -> None:
    assert any("only 8 takes: record at least 20" in warning for warning in breakout.warnings)
    empty = [split for split, count in breakout.splits.items() if not count]
    warned = [split for split in breakout.splits if f"into the {split} split" in str(breakout)]
    assert warned == empty


def test_sums_agree_with_what_was_recorded(tmp_path: Path) -> None:
    record(tiny_world(), tmp_path, 20, workers=0, progress=False)
    report = inspect(tmp_path, tiny_world())
    assert report.takes == report.episodes == 20
    assert report.hours == pytest.approx((report.frames - 20) / 10 / 3600)
    assert report.behaviours == {"up": 15, "down": 5}
    assert report.events is not None and 0 < report.events["ends"] < 20
    assert sum(report.splits.values()) == 20
    assert sum(action.share for action in report.actions) == pytest.approx(1)


def test_the_table_shows_every_figure(tmp_path: Path) -> None:
    record(tiny_world(), tmp_path, 3, workers=0, progress=False)
    table = str(inspect(tmp_path))
    for text in ("tiny", "3 takes", "hours", "frames", "MB", "up 2", "train", "rise", "unknown"):
        assert text in table


def write(folder: Path, episode: Episode) -> Report:
    EpisodeWriter(folder, episode.attributes.world).write(episode)
    return inspect(folder)


def test_frozen_frames_are_counted_and_warned_of(tmp_path: Path) -> None:
    action = np.random.default_rng(0).uniform(1, 3, size=(40, 2))
    report = write(tmp_path, moving_box(action, action * (np.arange(40) % 2)[:, None]))
    assert report.frozen == pytest.approx(0.5)
    assert any("50% of the frames repeat" in warning for warning in report.warnings)


def test_a_component_that_never_changes_is_warned_of(tmp_path: Path) -> None:
    action = np.random.default_rng(0).uniform(1, 3, size=(40, 2)) * (1, 0)
    report = write(tmp_path, moving_box(action, action))
    assert (report.actions[0].share, report.actions[1].share) == (pytest.approx(39 / 40), 0)
    assert any("'right' is always 0: a model would learn" in w for w in report.warnings)


def test_an_action_that_is_never_used_is_warned_of(tmp_path: Path) -> None:
    box = moving_box(np.zeros(20, np.int64), np.ones((20, 2)))
    report = write(tmp_path, box)
    assert any("'right' is never used" in warning for warning in report.warnings)


def test_late_actions_are_warned_of(tmp_path: Path) -> None:
    action = np.random.default_rng(0).uniform(-3, 3, size=(400, 2))
    late = np.concatenate([np.zeros((4, 2)), action[:-4]])
    report = write(tmp_path, moving_box(action, late.round()))
    assert any("actions show 4 frames late" in warning for warning in report.warnings)


def test_a_folder_of_another_world_is_refused(tmp_path: Path) -> None:
    record(tiny_world(), tmp_path, 1, workers=0, progress=False)
    other = dataclasses.replace(tiny_world(), name="other", action_space=spaces.Discrete(2))
    with pytest.raises(ValueError, match="'tiny'.*expected 'other'"):
        inspect(tmp_path, other)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no recordings folder"):
        inspect(tmp_path / "nowhere")
