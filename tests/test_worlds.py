"""The worlds known by name, their players, and what recordings of them are made of."""

import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learned_envs import worlds
from learned_envs.recording.live import LiveWindows
from learned_envs.worlds.breakout import Players, Style, find_ball, find_paddle
from sims.breakout import BreakoutEnv, BreakoutSimulation

WORLD = worlds.get("breakout")
NOOP, LEFT, RIGHT = 0, 1, 2


def played(names: list[str], players: list[int], games: list[int], steps: int) -> np.ndarray:
    """Actions (steps, rows) of behaviours seeded with `players` in games seeded with `games`."""
    env = WORLD.make_real_vec(len(names), max_episode_steps=60)
    behaviour = WORLD.make_behaviour(names, players)
    frames, _ = env.reset(seed=games)
    first, ended = np.ones(len(names), bool), np.zeros(len(names), bool)
    actions = []
    for _ in range(steps):
        actions.append(behaviour(frames, first))
        frames, _, terminated, truncated, _ = env.step(actions[-1])
        first, ended = ended, terminated | truncated
    return np.array(actions)


def state_after(name: str, rows: int, steps: int) -> dict[str, np.ndarray]:
    """The state of games that were played by one behaviour, without resets."""
    env = WORLD.make_real_vec(rows, autoreset_mode="NextStep")
    behaviour = WORLD.make_behaviour([name] * rows, range(rows))
    frames, _ = env.reset(seed=100)
    first = np.ones(rows, bool)
    for _ in range(steps):
        frames, _, terminated, _, _ = env.step(behaviour(frames, first))
        first = np.zeros(rows, bool)
        assert not terminated.any()
    return env.get_state()


def test_an_unknown_world_is_refused_and_the_nearest_named():
    with pytest.raises(ValueError, match=r"no world 'Brekout'.*Did you mean 'breakout'\?"):
        worlds.get("Brekout")


def test_a_name_like_no_other_is_refused_with_the_worlds_listed():
    with pytest.raises(
        ValueError,
        match=r"no world 'chess'; worlds: "
        r"airstriker, breakout, koi_pond, minipaint, minipaint_soft, my_way_home\.$",
    ):
        worlds.get("chess")


@pytest.mark.parametrize("name", worlds.names())
def test_every_world_answers_to_its_name(name):
    assert worlds.get(name).name == name


SIMULATED = [name for name in worlds.names() if worlds.get(name).real]


@pytest.mark.parametrize("name", SIMULATED)
def test_the_spaces_of_a_world_are_those_of_its_real_envs(name):
    world = worlds.get(name)
    env, batch = world.make_real(), world.make_real_vec(2)
    assert env.observation_space == batch.single_observation_space == world.observation_space
    assert env.action_space == batch.single_action_space == world.action_space
    assert world.idle_action in world.action_space


@pytest.mark.parametrize("name", SIMULATED)
def test_the_real_env_of_a_world_has_no_time_limit_of_its_own(name):
    assert not isinstance(worlds.get(name).make_real(), gym.Wrapper)


@pytest.mark.parametrize("name", worlds.names())
def test_every_preset_has_a_recipe_and_can_be_built(name):
    world = worlds.get(name)
    assert world.presets.keys() == world.recipes.keys()
    for preset in set(world.presets) - set(world.begun_pretrained):  # those ask a hub
        world.recipes[preset]()
        config = world.presets[preset]()
        assert config.image_size == world.observation_space.shape[:2]


def test_the_real_envs_of_a_world_are_made_with_its_arguments_unless_the_caller_has_others():
    shown = replace(WORLD, real_kwargs={"render_mode": "rgb_array"})
    assert shown.make_real().render_mode == shown.make_real_vec(2).render_mode == "rgb_array"
    assert shown.make_real(render_mode=None).render_mode is None
    assert shown.make_real_vec(2, render_mode=None).render_mode is None


def test_a_world_without_a_real_env_says_so():
    dream_only = replace(WORLD, name="hallway", real=None, real_vector=None)
    for make in (dream_only.make_real, lambda: dream_only.make_real_vec(2)):
        with pytest.raises(ValueError, match="'hallway' has no real env.*only its dream"):
            make()


def test_worlds_import_neither_torch_nor_pygame():
    code = (
        "import sys; from learned_envs import worlds; worlds.get('breakout').make_real_vec(2); "
        "assert not {'torch', 'pygame'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize("name", WORLD.behaviours)
def test_a_row_plays_the_same_alone_and_in_any_company(name):
    together = played(["random", name, "miss"], [1, 5, 2], [10, 11, 12], steps=90)
    assert np.array_equal(together[:, 1:2], played([name], [5], [11], steps=90))


@pytest.mark.parametrize("name", WORLD.behaviours)
def test_players_choose_actions_of_the_world(name):
    actions = played([name] * 3, [0, 1, 2], [0, 1, 2], steps=30)
    assert np.issubdtype(actions.dtype, np.integer)
    assert all(row in gym.vector.utils.batch_space(WORLD.action_space, 3) for row in actions)


def test_the_ladder_holds_20_policies_of_which_the_last_acts_at_random():
    assert len(set(WORLD.ladder)) == 20
    rows = range(len(WORLD.ladder))
    actions = played(list(WORLD.ladder), list(rows), [7] * 20, steps=60)
    assert np.bincount(actions[:, -1], minlength=3).min() > 10


def test_another_seed_is_another_player():
    alike = played(["careful"] * 2, [0, 1], [7, 7], steps=100).T
    assert not np.array_equal(*alike)


def test_careful_players_lose_no_life_in_1000_steps():
    assert (state_after("careful", rows=8, steps=1000)["lives"] == 3).all()


def test_idle_players_mostly_do_nothing():
    assert (played(["idle"] * 4, range(4), range(4), steps=60) == NOOP).mean() > 0.9


def test_missing_players_lose_lives_that_followers_keep():
    rows, steps = 6, 120
    missed, followed = (state_after(name, rows, steps)["lives"] for name in ("miss", "follow"))
    assert (missed < 3).all()
    assert missed.sum() < followed.sum()


def test_sweeping_players_run_from_wall_to_wall():
    env, behaviour = BreakoutEnv(), Players([Style(sweep=True)], [0])
    frame, _ = env.reset(seed=0)
    places = []
    for _ in range(70):
        frame, *_ = env.step(behaviour(frame[None], np.zeros(1, bool))[0])
        places.append(env.get_state()["paddle"])
    assert min(places) < 5
    assert max(places) > 47


def picture(ball: tuple[float, float], paddle: float = 26.0) -> np.ndarray:
    """One frame (1, 64, 64, 3)."""
    return BreakoutEnv().reset(options={"ball": ball, "paddle": paddle})[0][None]


def test_lagging_players_answer_the_ball_they_saw_some_frames_ago():
    play, no = Players([Style(lag=3)], [0]), np.zeros(1, bool)
    play(picture((10, 40)), ~no)
    answers = [play(picture((50, 40)), no)[0] for _ in range(4)]
    assert answers == [LEFT, LEFT, LEFT, RIGHT]


def test_players_forget_the_episode_before():
    play, no = Players([Style(lag=3)], [0]), np.zeros(1, bool)
    for _ in range(5):
        play(picture((10, 40)), no)
    assert play(picture((50, 40)), ~no)[0] == RIGHT


def scattered(rows: int, seed: int) -> BreakoutSimulation:
    """Games with the ball anywhere above the paddle, over bricks as well."""
    random = np.random.default_rng(seed)
    simulation = BreakoutSimulation(rows, antialias=True)
    simulation.ball = random.uniform((2, 4), (61, 54), (rows, 2))
    simulation.paddle = random.uniform(2, 50, rows)
    return simulation


def test_players_read_the_ball_to_a_pixel_over_bricks_and_to_a_third_elsewhere():
    games = scattered(500, seed=0)
    error = abs(find_ball(games.frames(), np.zeros((500, 2))) - games.ball).max(1)
    assert error.max() < 1
    assert error[games.ball[:, 1] > 34].max() < 0.34


def test_players_read_the_paddle_to_a_third_of_a_pixel():
    games = scattered(500, seed=1)
    assert abs(find_paddle(games.frames()) - (games.paddle + 5.5)).max() < 0.34


def test_players_remember_the_ball_where_none_is_seen():
    assert find_ball(picture((30, 66)), np.array([[12.0, 34.0]])).tolist() == [[12, 34]]


@pytest.fixture(scope="module")
def mix():
    """300 steps of 128 games, as training sees them: a wall is refilled in one of fifty of them."""
    windows = LiveWindows(WORLD, 128, 100, seed=0)
    return [next(windows) for _ in range(3)]


def counted(mix, name: str) -> int:
    """How often an event occurs within the episodes of the mix."""
    total = 0
    for window in mix:
        for row in range(len(window.valid)):
            cuts = [0, *np.flatnonzero(~window.valid[row]) + 1, window.valid.shape[1] + 1]
            for begin, end in zip(cuts, cuts[1:], strict=False):
                steps = slice(begin, end - 1)
                episode = SimpleNamespace(
                    observation=window.observation[row, begin:end],
                    reward=window.reward[row, steps],
                    terminated=window.terminated[row, steps],
                )
                total += WORLD.events(episode)[name]
    return total


@pytest.mark.parametrize(
    ("event", "at_least"),
    [("bricks broken", 400), ("lives lost", 80), ("game overs", 20), ("refills", 1)],
)
def test_the_mix_of_behaviours_holds_every_event(mix, event, at_least):
    assert counted(mix, event) >= at_least


def test_the_mix_holds_odd_starts_and_ordinary_ones(mix):
    ordinary = BreakoutEnv().reset()[0]
    starts = np.concatenate([window.observation[window.first] for window in mix])
    same = (starts == ordinary).all((1, 2, 3))
    assert 0.1 < same.mean() < 0.9


def test_the_mix_uses_every_action(mix):
    actions = np.concatenate([window.action.ravel() for window in mix])
    assert (np.bincount(actions, minlength=3) > 0.1 * len(actions)).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31))
def test_every_odd_start_is_one_that_the_game_accepts(seed):
    for behaviour in WORLD.behaviours:
        options = WORLD.reset_options(behaviour, np.random.default_rng(seed))
        BreakoutEnv().reset(options=options)


def test_most_starts_with_a_single_brick_rebuild_the_wall_soon():
    random = np.random.default_rng(0)
    drawn = (WORLD.reset_options("careful", random) or {} for _ in range(1500))
    single = [options for options in drawn if np.sum(options.get("bricks", 0)) == 1]
    rebuilt = [WORLD.events(recorded(20, **options))["refills"] for options in single]
    assert len(single) > 60
    assert 0.5 < np.mean(rebuilt) <= 1


def recorded(steps: int, **options) -> SimpleNamespace:
    """An episode of idle play, of at most so many steps."""
    env = BreakoutEnv()
    frames, rewards, ends = [env.reset(seed=0, options=options)[0]], [], []
    for _ in range(steps):
        frame, reward, terminated, _, _ = env.step(NOOP)
        frames.append(frame)
        rewards.append(reward)
        ends.append(terminated)
        if terminated:
            break
    return SimpleNamespace(
        observation=np.array(frames), reward=np.array(rewards), terminated=np.array(ends)
    )


def test_events_tell_what_happened_in_an_episode():
    last_brick = np.zeros((6, 12), bool)
    last_brick[5, 0] = True
    refilled = recorded(3, bricks=last_brick, ball=(6, 32.5), velocity=(0, -0.92))
    lost = recorded(3, ball=(50, 65.5), velocity=(0, 0.92), lives=3)
    over = recorded(1, ball=(50, 65.5), velocity=(0, 0.92), lives=1)
    assert WORLD.events(refilled) == {
        "bricks broken": 1, "refills": 1, "lives lost": 0, "game overs": 0,
    }  # fmt: skip
    assert WORLD.events(lost) == {
        "bricks broken": 0, "refills": 0, "lives lost": 1, "game overs": 0,
    }  # fmt: skip
    assert WORLD.events(over) == {
        "bricks broken": 0, "refills": 0, "lives lost": 1, "game overs": 1,
    }  # fmt: skip


def test_behaviour_weights_add_up_to_one():
    assert sum(WORLD.behaviours.values()) == pytest.approx(1)


def test_an_unknown_behaviour_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=re.escape(str(sorted(WORLD.behaviours)))):
        LiveWindows(WORLD, 2, 2, seed=0, behaviours={"wise": 1.0})
