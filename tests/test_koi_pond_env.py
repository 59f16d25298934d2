"""The koi pond as an environment: Gymnasium's contract, its reward, its state, what it refuses."""

import pickle
import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from sims.koi_pond import IDLE_ACTION, RING_RADIUS, VERSION, KoiPondEnv, KoiPondVectorEnv

IDLE = np.array(IDLE_ACTION, np.float32)
TAP = np.array([0.4, 0.6, 1], np.float32)
APART = [(60, 60), (190, 60), (60, 190), (190, 190)]


def pond(*, seed: int = 0, food: bool = False, leaving: bool = False, **options: Any) -> KoiPondEnv:
    env = KoiPondEnv(food=food, leaving=leaving)
    env.reset(seed=seed, options=options)
    return env


def actions(count: int, seed: int = 0, components: int = 3) -> np.ndarray:
    """Taps in about every third step, the rest too weak to be one."""
    random = np.random.default_rng(seed)
    drawn = random.random((count, components)).astype(np.float32)
    drawn[random.random(count) < 0.6, 2] *= 0.1
    return drawn


def play(env: KoiPondEnv, taps: np.ndarray) -> list[np.ndarray]:
    return [env.step(tap)[0] for tap in taps]


@pytest.mark.parametrize("settings", [{}, {"food": True}, {"leaving": True}])
def test_gymnasiums_checker_finds_nothing(settings):
    check_env(KoiPondEnv(render_mode="rgb_array", **settings), skip_render_check=True)


@pytest.mark.parametrize("settings", [{}, {"food": True, "leaving": True}])
def test_equal_seeds_and_actions_give_equal_bytes(settings):
    envs = KoiPondEnv(**settings), KoiPondEnv(**settings)
    starts = [env.reset(seed=3)[0] for env in envs]
    assert np.array_equal(starts[0], starts[1])
    for action in actions(25, components=4 if "food" in settings else 3):
        (frame, reward, *_, info), (other, other_reward, *_, other_info) = (
            env.step(action) for env in envs
        )
        assert np.array_equal(frame, other)
        assert reward == other_reward
        for name, value in info.items():
            assert np.array_equal(value, other_info[name])


def test_frames_are_of_256_pixels_and_15_a_second():
    env = KoiPondEnv()
    frame, _ = env.reset(seed=0)
    assert (frame.shape, frame.dtype) == ((256, 256, 3), np.uint8)
    assert env.metadata["render_fps"] == 15


def test_the_version_is_an_attribute_of_both_envs():
    assert KoiPondEnv.version == KoiPondVectorEnv.version == VERSION
    assert KoiPondEnv.metadata["version"] == VERSION


def test_render_returns_the_observation_in_rgb_array_mode_only():
    env = KoiPondEnv(render_mode="rgb_array")
    frame, _ = env.reset(seed=0)
    rendered = env.render()
    assert rendered is not None
    assert np.array_equal(rendered, frame)
    assert KoiPondEnv().render() is None


def test_an_episode_never_ends():
    env = pond(fish=6)
    assert not any(any(env.step(tap)[2:4]) for tap in actions(20))


def test_the_reward_is_the_share_of_koi_inside_the_ring():
    env = pond(seed=1)
    seen = set()
    for action in actions(40):
        _, reward, *_, info = env.step(action)
        centres = info["positions"][: info["fish"]]
        inside = np.linalg.norm(centres - info["ring"], axis=1) < RING_RADIUS
        assert reward == pytest.approx(inside.mean())
        seen.add(reward)
    assert len(seen) > 1


def test_a_koi_in_the_ring_pays_and_one_outside_does_not():
    ring = pond(look=5, fish=1).step(IDLE)[4]["ring"]
    env = pond(look=5, positions=[ring, (30, 30)], headings=[0, 0])
    assert env.step(IDLE)[1] == 0.5


def test_seeds_vary_the_number_of_koi_their_varieties_and_the_bed():
    infos, frames = [], []
    env = KoiPondEnv()
    for seed in range(8):
        frame, info = env.reset(seed=seed)
        frames.append(frame)
        infos.append(info)
    counts = {int(info["fish"]) for info in infos}
    assert len(counts) >= 3
    assert counts <= set(range(6, 11))
    assert len({tuple(info["varieties"]) for info in infos}) == 8
    assert min(np.abs(frames[0].astype(int) - other).mean() for other in frames[1:]) > 3


def test_an_equal_look_gives_an_equal_pond_with_other_fish_places():
    still = np.full((2, 256, 256, 3), 0)
    for seed in range(2):
        env = pond(seed=seed, look=9, positions=[(40 + 150 * seed, 128)], headings=[1.5])
        still[seed] = env.step(IDLE)[0]
    differing = (still[0] != still[1]).any(-1)
    assert 0 < differing.mean() < 0.15


def test_koi_begin_where_the_options_say():
    _, info = KoiPondEnv().reset(seed=0, options={"positions": APART, "headings": [0, 1, 2, 3]})
    assert info["positions"][:4] == pytest.approx(np.array(APART, float))
    assert info["headings"][:4] == pytest.approx([0, 1, 2, 3])
    assert not info["positions"][4:].any()


def test_an_episode_begins_with_still_water_and_no_fear_unless_asked_otherwise():
    calm, upset = pond().get_state(), pond(calm=False).get_state()
    assert not calm["height"].any() and not calm["fear"].any()
    assert upset["height"].any() and upset["fear"].any()


def test_what_info_holds_is_the_callers_own():
    env = pond()
    info = env.step(IDLE)[4]
    for value in info.values():
        np.asarray(value)[...] = 0
    assert env.step(IDLE)[4]["positions"][0].all()


@pytest.mark.parametrize("food", [False, True])
def test_a_branch_repeats_the_future_to_the_byte(food):
    env, components = pond(food=food), 4 if food else 3
    play(env, actions(8, components=components))
    state = env.get_state()
    future = play(env, actions(12, 1, components))
    other = pond(food=food, seed=77)
    for branch in (env, other):
        branch.set_state(state)
        assert np.array_equal(play(branch, actions(12, 1, components)), future)


def test_a_state_stays_as_it_was_taken():
    env = pond()
    state = env.get_state()
    kept = pickle.dumps(state)
    play(env, actions(5))
    assert pickle.dumps(state) == kept


def test_a_pickled_pond_goes_on_as_the_original_does():
    env = pond()
    play(env, actions(5))
    copy = pickle.loads(pickle.dumps(env))
    assert np.array_equal(play(env, actions(5, 1)), play(copy, actions(5, 1)))


@pytest.mark.parametrize("settings", [{}, {"food": True, "leaving": True}])
def test_a_batch_equals_single_ponds_through_autoreset(settings):
    batch = KoiPondVectorEnv(2, max_episode_steps=5, **settings)
    singles = SyncVectorEnv([lambda: TimeLimit(KoiPondEnv(**settings), 5)] * 2)
    frames, infos = batch.reset(seed=4)
    expected, expected_infos = singles.reset(seed=4)
    components = 4 if settings else 3
    for step in range(12):
        assert np.array_equal(frames, expected)
        assert infos.keys() == expected_infos.keys()
        for name, value in infos.items():
            assert np.array_equal(value, expected_infos[name])
        taps = actions(2, step, components)
        frames, reward, terminated, truncated, infos = batch.step(taps)
        expected, *flags, expected_infos = singles.step(taps)
        assert all(map(np.array_equal, (reward, terminated, truncated), flags))


def test_a_branch_of_a_batch_repeats_its_future():
    batch = KoiPondVectorEnv(2)
    batch.reset(seed=0)
    batch.step(actions(2))
    state = batch.get_state()
    future = [batch.step(actions(2, step))[0] for step in range(6)]
    batch.set_state(state)
    assert np.array_equal([batch.step(actions(2, step))[0] for step in range(6)], future)


def test_a_masked_reset_leaves_the_other_ponds_alone():
    batch = KoiPondVectorEnv(2, autoreset_mode=AutoresetMode.DISABLED)
    before, _ = batch.reset(seed=0)
    after, _ = batch.reset(seed=9, options={"reset_mask": np.array([False, True])})
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_actions_outside_the_space_are_refused_by_a_batch():
    batch = KoiPondVectorEnv(2)
    batch.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="from 0 to 1"):
        batch.step(np.full((2, 3), 1.5, np.float32))


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        ({"frogs": 3}, "frogs", "positions"),
        ({"fish": 11}, "11", "from 1 to 10"),
        ({"fish": 0}, "0", "from 1 to 10"),
        ({"fish": 6.5}, "6.5", "whole number"),
        ({"fish": "many"}, "many", "whole number"),
        ({"look": -1}, "-1", "from 0 to 2147483647"),
        ({"calm": 1}, "1", "True or False"),
        ({"positions": [(128, 128, 0)]}, "(1, 3)", "(fish, 2)"),
        ({"positions": np.empty((0, 2))}, "(0, 2)", "1 to 10 fish"),
        ({"positions": [(128, 5)]}, "(128, 5)", "from 16.0 to 240.0"),
        ({"positions": [(128, float("nan"))]}, "nan", "from 16.0 to 240.0"),
        ({"positions": [(128, 128), (130, 128)]}, "2.0 pixels apart", "at least 16"),
        ({"fish": 2, "positions": [(128, 128)]}, "2", "1 given `positions`"),
        ({"headings": [0]}, "headings", "give both"),
        ({"headings": [0, 1], "positions": [(128, 128)]}, "[0, 1]", "1 angles"),
    ],
)
def test_a_wrong_reset_option_is_refused_with_what_was_given_and_expected(options, given, expected):
    with pytest.raises(ValueError, match=re.escape(next(iter(options)))) as error:
        KoiPondEnv().reset(options=options)
    assert given in str(error.value)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    "action", [None, "tap", 1, [0.5, 0.5], [0.5, 0.5, 1.1], [-0.1, 0, 0], [np.nan, 0, 0], [0] * 4]
)
def test_a_wrong_action_is_refused_and_leaves_the_pond_as_it_was(action):
    env = pond(positions=[(128, 128)])
    before = pickle.dumps(env.get_state())
    with pytest.raises(gym.error.InvalidAction, match=r"given, expected \(u, v, strength\)"):
        env.step(action)
    assert pickle.dumps(env.get_state()) == before


def test_with_food_an_action_needs_its_kind():
    with pytest.raises(gym.error.InvalidAction, match=r"\(u, v, strength, kind\)"):
        pond(food=True).step(TAP)


def test_stepping_before_the_first_reset_is_refused():
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\)"):
        KoiPondEnv().step(IDLE)
