"""Windows for training: cut from recordings, or played live."""

import itertools
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_world import tiny_world

from learned_envs import worlds
from learned_envs.data import (
    Episode,
    EpisodeAttributes,
    EpisodeStore,
    EpisodeWriter,
    StoreWindows,
    Window,
)
from learned_envs.data.windows import EpisodeCache
from learned_envs.recording.cast import Cast, behaviour_weights
from learned_envs.recording.live import LiveWindows
from learned_envs.worlds.breakout import find_paddle

STEPS = (3, 20, 33, 50)


def make_episode(seed: int, steps: int) -> Episode:
    """Frames, actions and metadata show the seed and the time; the source is one of training."""
    time = np.arange(steps + 1)
    observation = np.zeros((steps + 1, 2, 2, 3), np.uint8)
    observation[:, 0] = seed
    observation[:, 1] = time[:, None, None]
    return Episode(
        observation=observation,
        action=seed * 100 + time[:-1],
        reward=time[:-1].astype(np.float32),
        terminated=time[1:] == steps,
        truncated=np.zeros(steps, bool),
        metadata={"clock": time},
        attributes=EpisodeAttributes(
            world="tiny", fps=15, seed=seed, behaviour="up", action_names=("n",), source="train-2"
        ),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    """One episode of each length in `STEPS`, all in the training split."""
    folder = tmp_path_factory.mktemp("recordings")
    writer = EpisodeWriter(folder, "tiny")
    for seed, steps in enumerate(STEPS):
        writer.write(make_episode(seed, steps))
    return EpisodeStore(folder)


def assert_equal(left: Window, right: Window) -> None:
    for name in ("observation", "action", "reward", "terminated", "first", "valid"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    assert left.metadata.keys() == right.metadata.keys()
    for name in left.metadata:
        np.testing.assert_array_equal(left.metadata[name], right.metadata[name])


def taken(windows: Iterator[Window], count: int) -> list[Window]:
    return list(itertools.islice(windows, count))


def test_windows_have_the_shapes_and_dtypes_of_the_protocol(store: EpisodeStore) -> None:
    window = next(StoreWindows(store, "train", batch=5, length=8, seed=0))
    assert (window.observation.shape, window.observation.dtype) == ((5, 9, 2, 2, 3), np.uint8)
    assert window.action.shape == (5, 8)
    assert (window.reward.shape, window.reward.dtype) == ((5, 8), np.float32)
    assert (window.terminated.shape, window.terminated.dtype) == ((5, 8), np.bool_)
    assert (window.first.shape, window.first.dtype) == ((5, 9), np.bool_)
    assert (window.valid.shape, window.valid.dtype) == ((5, 8), np.bool_)
    assert window.metadata["clock"].shape == (5, 9)


def test_windows_are_pieces_of_episodes(store: EpisodeStore) -> None:
    for window in taken(StoreWindows(store, "train", batch=16, length=8, seed=0), 10):
        seed, time = window.observation[:, :, 0, 0, 0], window.observation[:, :, 1, 0, 0]
        steps = np.array(STEPS)[seed[:, 0]]
        assert (seed == seed[:, :1]).all()
        joined = np.where(window.valid, time[:, :-1] + 1, time[:, :-1])  # padding stands still
        np.testing.assert_array_equal(time[:, 1:], joined)
        np.testing.assert_array_equal(window.metadata["clock"], time)
        action = seed[:, :-1].astype(int) * 100 + time[:, :-1]
        np.testing.assert_array_equal(window.action[window.valid], action[window.valid])
        ends = window.valid & (time[:, 1:] == steps[:, None])
        np.testing.assert_array_equal(window.terminated, ends)
        np.testing.assert_array_equal(window.reward, np.where(window.valid, time[:, :-1], 0))


def test_only_the_first_frame_of_an_episode_is_first(store: EpisodeStore) -> None:
    for window in taken(StoreWindows(store, "train", batch=16, length=8, seed=0), 10):
        at_zero = window.observation[:, 0, 1, 0, 0] == 0
        np.testing.assert_array_equal(window.first[:, 0], at_zero)
        assert not window.first[:, 1:].any()


def test_short_episodes_are_padded_and_the_padding_is_not_valid(store: EpisodeStore) -> None:
    windows = taken(StoreWindows(store, "train", batch=16, length=8, seed=0), 10)
    short = [w.valid[w.observation[:, 0, 0, 0, 0] == 0] for w in windows]
    expected = np.arange(8) < STEPS[0]
    assert sum(map(len, short))
    assert all((valid == expected).all() for valid in short)


def test_every_place_in_the_split_is_drawn_about_equally_often(store: EpisodeStore) -> None:
    windows = StoreWindows(store, "train", batch=256, length=8, seed=0, start_share=0)
    drawn = np.concatenate([w.observation[:, 0, :, 0, 0] for w in taken(windows, 40)])
    places, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(places) == 1 + 13 + 26 + 43
    assert counts.min() > 0.6 * counts.mean()
    assert counts.max() < 1.5 * counts.mean()


def test_a_share_of_windows_begins_with_the_first_frame_of_a_take(store: EpisodeStore) -> None:
    windows = StoreWindows(store, "train", batch=1000, length=8, seed=0, start_share=0.5)
    assert 0.45 < next(windows).first[:, 0].mean() < 0.6


def test_the_second_part_of_a_take_does_not_begin_with_a_first_frame(tmp_path: Path) -> None:
    EpisodeWriter(tmp_path, "tiny").write_take(make_episode(0, 1000))
    store = EpisodeStore(tmp_path)
    for window in taken(
        StoreWindows(store, "train", batch=64, length=99, seed=0, start_share=0.3), 3
    ):
        np.testing.assert_array_equal(window.first[:, 0], window.metadata["clock"][:, 0] == 0)


def test_equal_seeds_give_equal_windows_and_others_do_not(store: EpisodeStore) -> None:
    one, same, other = (
        next(StoreWindows(store, "train", batch=8, length=8, seed=seed)) for seed in (1, 1, 2)
    )
    assert_equal(one, same)
    assert (one.observation != other.observation).any()


def test_skipped_windows_are_those_that_would_have_come_first(store: EpisodeStore) -> None:
    windows = taken(StoreWindows(store, "train", batch=4, length=8, seed=0), 4)
    assert_equal(next(StoreWindows(store, "train", batch=4, length=8, seed=0, skip=3)), windows[3])


def test_a_pickled_iterator_goes_on_where_it_was(store: EpisodeStore) -> None:
    windows = StoreWindows(store, "train", batch=4, length=8, seed=0)
    taken(windows, 3)
    copy = pickle.loads(pickle.dumps(windows))
    assert_equal(next(copy), next(windows))


@pytest.mark.parametrize("cache_bytes", [0, 600])
def test_windows_do_not_depend_on_the_cache(store: EpisodeStore, cache_bytes: int) -> None:
    cached = StoreWindows(store, "train", batch=8, length=8, seed=0)
    cache = EpisodeCache(store, cache_bytes)
    other = StoreWindows(store, "train", batch=8, length=8, seed=0, cache=cache)
    for left, right in zip(taken(cached, 3), taken(other, 3), strict=True):
        assert_equal(left, right)


def test_a_split_without_episodes_is_refused(store: EpisodeStore) -> None:
    with pytest.raises(ValueError, match="none of the 4 episodes .* validation split: record more"):
        StoreWindows(store, "validation", batch=8, length=8, seed=0)


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"length": 0}, {"start_share": 1.5}])
def test_arguments_out_of_range_are_refused(store: EpisodeStore, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=rf"`{next(iter(wrong))}` \(="):
        StoreWindows(store, "train", **({"batch": 8, "length": 8, "seed": 0} | wrong))


def live(batch: int = 4, length: int = 6, seed: int = 0, **kwargs: object) -> LiveWindows:
    return LiveWindows(worlds.get("breakout"), batch, length, seed, **kwargs)


def test_live_windows_have_the_shapes_and_dtypes_of_the_protocol() -> None:
    window = next(live())
    assert (window.observation.shape, window.observation.dtype) == ((4, 7, 64, 64, 3), np.uint8)
    assert (window.action.shape, window.action.dtype) == ((4, 6), np.int64)
    assert (window.reward.shape, window.reward.dtype) == ((4, 6), np.float32)
    assert (window.terminated.shape, window.terminated.dtype) == ((4, 6), np.bool_)
    assert (window.first.shape, window.valid.shape) == ((4, 7), (4, 6))
    assert window.metadata == {}


def test_live_windows_follow_each_other_without_a_gap() -> None:
    one, two = taken(live(), 2)
    np.testing.assert_array_equal(one.observation[:, -1], two.observation[:, 0])
    np.testing.assert_array_equal(one.first[:, -1], two.first[:, 0])


def test_the_step_between_two_live_episodes_is_not_valid_and_the_next_frame_is_first() -> None:
    one, two = taken(live(max_episode_steps=4), 2)
    first = np.concatenate([one.first, two.first[:, 1:]], 1)
    terminated = np.concatenate([one.terminated, two.terminated], 1)
    steps, ended = np.zeros(4, int), np.zeros(4, bool)
    for t in range(12):
        np.testing.assert_array_equal(first[:, t + 1], ended)
        steps = np.where(ended, 0, steps + 1)
        ended = ~ended & (terminated[:, t] | (steps == 4))
    assert first[:, 0].all()
    np.testing.assert_array_equal(one.valid, ~one.first[:, 1:])


def test_live_actions_lead_from_their_frame_to_the_next() -> None:
    window = next(live(batch=8, length=60, behaviours={"random": 1.0}, max_episode_steps=25))
    paddle = np.stack([find_paddle(frames) for frames in window.observation])
    wanted = 2.4 * ((window.action == 2).astype(float) - (window.action == 1))
    free = window.valid & (abs(paddle[:, :-1] - 32) < 20)
    assert free.mean() > 0.5
    as_wanted = abs(np.diff(paddle)[free] - wanted[free]) < 0.1
    assert as_wanted.mean() > 0.9  # the ball sometimes hides a part of the paddle


def test_live_rows_change_their_behaviour_from_episode_to_episode() -> None:
    window = next(
        live(batch=16, length=60, behaviours={"idle": 1.0, "random": 1.0}, max_episode_steps=20)
    )
    busy = (window.action != 0).reshape(16, -1)[:, :60]
    lively = np.stack([busy[:, 0:20].mean(1), busy[:, 21:41].mean(1)]) > 0.3
    assert (lively[0] & ~lively[1]).any()
    assert (~lively[0] & lively[1]).any()


def test_live_rewards_and_ends_are_zero_on_seams() -> None:
    for window in taken(live(length=40, max_episode_steps=15), 2):
        seams = ~window.valid
        assert not window.reward[seams].any()
        assert not window.terminated[seams].any()


def test_equal_seeds_give_equal_live_windows_and_others_do_not() -> None:
    one, same, other = (taken(live(seed=seed, max_episode_steps=5), 2)[1] for seed in (1, 1, 2))
    assert_equal(one, same)
    assert (one.observation != other.observation).any()


def test_a_pickled_live_stream_goes_on_where_it_was() -> None:
    windows = live(max_episode_steps=5)
    next(windows)
    copy = pickle.loads(pickle.dumps(windows))
    for left, right in zip(taken(copy, 3), taken(windows, 3), strict=True):
        assert_equal(left, right)


def test_a_warm_up_spreads_the_ages_of_live_rows() -> None:
    window = next(live(batch=32, length=10, max_episode_steps=10, warm_up=10))
    seams = (~window.valid).argmax(1)
    assert len(np.unique(seams)) >= 6


def test_live_windows_refuse_a_behaviour_that_the_world_has_not() -> None:
    with pytest.raises(ValueError, match=r"no behaviours \['brave'\]: choose among"):
        live(behaviours={"brave": 1.0})


def test_behaviour_weights_become_shares() -> None:
    world = tiny_world()
    assert behaviour_weights(world, None) == {"up": 0.75, "down": 0.25}
    assert behaviour_weights(world, {"up": 2.0, "down": 0.0}) == {"up": 1.0}


@pytest.mark.parametrize("weights", [{}, {"up": 0.0}, {"up": 1.0, "down": -1.0}])
def test_weights_that_are_none_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="behaviour weights"):
        behaviour_weights(tiny_world(), weights)


def test_a_cast_plays_each_row_as_it_was_last_given() -> None:
    names = ["up", "down", "down", "down"]
    cast = Cast(tiny_world(), names, np.random.default_rng(0))
    frames, first = np.zeros((4, 4, 6, 3), np.uint8), np.zeros(4, bool)
    random = np.random.default_rng(1)
    for _ in range(20):
        for row in random.permutation(4)[:2].tolist():
            names[row] = str(random.choice(["up", "down"]))
            cast.give(row, names[row])
        actions = np.stack([cast(frames, first) for _ in range(30)])
        assert ((actions == 1).all(0) == [name == "up" for name in names]).all()
