"""A recording becomes footage again."""

from pathlib import Path

import numpy as np
import pytest
from tiny_footage import imported, numbered, numbers

from learned_envs import worlds
from learned_envs.data import Episode, EpisodeAttributes, EpisodeStore, EpisodeWriter
from learned_envs.recording.footage.export import export_clip
from learned_envs.recording.footage.video import Clip


def episode_of(
    start: int, steps: int, action: np.ndarray, names: tuple[str, ...], **about: object
) -> Episode:
    """An episode whose frames show their numbers from `start` on."""
    return Episode(
        observation=np.stack([numbered(start + number) for number in range(steps + 1)]),
        action=action,
        reward=np.zeros(steps, np.float32),
        terminated=np.zeros(steps, bool),
        truncated=np.zeros(steps, bool),
        attributes=EpisodeAttributes(
            world="game", behaviour="b", action_names=names, **{"fps": 15, "seed": 0, **about}
        ),
    )


def test_a_recording_that_is_exported_and_imported_is_the_same(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    held = random.integers(2, size=(40, 2)).astype(np.float32)
    action = np.column_stack([held, random.normal(size=(40, 2)).astype(np.float32)])
    episode = episode_of(0, 40, action, ("a", "d", "dx", "height"))
    made = Clip(tmp_path / "game.mp4", tmp_path / "game.csv")
    assert export_clip([episode], made.video, made.inputs) == 41
    imported(made, tmp_path / "out")
    (back,) = EpisodeStore(tmp_path / "out")
    assert back.observation.shape == episode.observation.shape
    assert np.abs(back.observation[:].astype(int) - episode.observation[:]).mean() < 3
    np.testing.assert_array_equal(back.action, action)
    assert back.attributes.action_names == episode.attributes.action_names


def test_discrete_actions_become_held_inputs(tmp_path: Path) -> None:
    action = np.array([0, 2, 1, 1, 0])
    made = Clip(tmp_path / "game.mp4", tmp_path / "game.csv")
    export_clip([episode_of(0, 5, action, ("noop", "left", "right"))], made.video, made.inputs)
    imported(made, tmp_path / "out")
    (back,) = EpisodeStore(tmp_path / "out")
    np.testing.assert_array_equal(back.action, np.eye(3)[action])
    assert {*worlds.find(str(tmp_path / "out")).keys} == {"left", "right"}


def test_parts_go_on_where_they_ended_and_other_takes_follow_behind_a_cut(tmp_path: Path) -> None:
    def piece(start: int, seed: int, part: int) -> Episode:
        action = np.ones((4, 1), np.float32)
        return episode_of(start, 4, action, ("w",), seed=seed, part=part)

    made = Clip(tmp_path / "game.mp4", tmp_path / "game.csv")
    export_clip([piece(0, 0, 0), piece(4, 0, 1), piece(50, 1, 0)], made.video, made.inputs)
    imported(made, tmp_path / "out")
    (back,) = EpisodeStore(tmp_path / "out")
    assert numbers(back.observation[:]) == [*range(9), *range(50, 55)]
    assert back.action[:, 0].tolist() == [1] * 8 + [0] + [1] * 4


def test_episodes_that_do_not_make_one_clip_are_refused(tmp_path: Path) -> None:
    video, inputs = tmp_path / "game.mp4", tmp_path / "game.csv"
    one = episode_of(0, 4, np.ones((4, 1), np.float32), ("w",))
    with pytest.raises(ValueError, match="no episodes were given"):
        export_clip([], video, inputs)
    faster = episode_of(0, 4, np.ones((4, 1), np.float32), ("w",), fps=30, seed=1)
    with pytest.raises(ValueError, match="has 30 steps a second .* before it 15"):
        export_clip([one, faster], video, inputs)
    with pytest.raises(ValueError, match=r"has actions from 1 to 1, expected places in .*'w'"):
        export_clip([episode_of(0, 4, np.ones(4, int), ("w",))], video, inputs)


def test_an_exported_store_is_footage(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path / "game", "game")
    for seed in range(3):
        writer.write(episode_of(10 * seed, 4, np.ones((4, 1), np.float32), ("w",), seed=seed))
    made = Clip(tmp_path / "game.mp4", tmp_path / "game.csv")
    assert export_clip(EpisodeStore(tmp_path / "game"), made.video, made.inputs) == 15
    assert imported(made, tmp_path / "out").takes == 1
