"""Airstriker as a world: pilots that see only frames, what is recorded, other games."""

import gymnasium as gym
import numpy as np
import pytest
from tiny_airstriker import FIRE, WORLD, game

from learned_envs.data.store import EpisodeStore
from learned_envs.play.hands import Hands
from learned_envs.recording.policies import MakeAgent
from learned_envs.recording.recorder import record
from learned_envs.recording.takes import planned_takes, record_take
from learned_envs.worlds.airstriker import STYLES, find_ship, make_behaviour
from learned_envs.worlds.retro import retro_world


@pytest.fixture(scope="module")
def takes():
    """Two takes of every behaviour, 300 steps at most."""
    env = WORLD.make_real()
    plans = [planned_takes(WORLD, 2, 0, {name: 1.0}) for name in STYLES]
    return [record_take(WORLD, env, take, 300) for plan in plans for take in plan]


def test_the_ship_is_found_where_it_is(takes):
    found, true = [], []
    for take in takes:
        alive = take.metadata["gameover"] == 9
        found += [find_ship(frame, np.nan) for frame in take.observation[alive][::5]]
        true += ((take.metadata["x"][alive][::5].astype(int) - 128) / 2 + 8).tolist()
    off = abs(np.array(found) - true)
    assert np.mean(off < 3) > 0.95


def test_every_behaviour_plays_alike_for_one_seed_and_some_hit_and_some_lose(takes):
    again = record_take(WORLD, WORLD.make_real(), takes[0].attributes, 300)
    assert np.array_equal(again.observation, takes[0].observation)
    counts = [WORLD.events(take) for take in takes]
    assert sum(one["hits"] for one in counts) > 20
    assert sum(one["lives lost"] for one in counts) > 10


def test_events_are_those_of_the_variables(takes):
    for take in takes:
        events = WORLD.events(take)
        assert events["lives lost"] == take.metadata["lives"][0] - take.metadata["lives"][-1]
        assert events["hits"] == np.count_nonzero(take.reward)
        assert events["shots"] == np.count_nonzero(take.action >= 3)


def test_those_who_shoot_earn_more_than_those_who_do_not(takes):
    earned = {}
    for take in takes:
        earned.setdefault(take.attributes.behaviour, []).append(take.reward.sum())
    assert np.mean(earned["sweep"]) > np.mean(earned["idle"])


def test_pilots_of_a_batch_fly_on_their_own():
    names, seeds = list(STYLES), list(range(len(STYLES)))
    together, alone = make_behaviour(names, seeds), make_behaviour(["hunter"], [1])
    env = game()
    frame, _ = env.reset(seed=0)
    for step in range(40):
        first = np.full(len(names), step == 0)
        actions = together(np.repeat(frame[None], len(names), 0), first)
        action = alone(frame[None], first[:1])[0]
        assert actions[names.index("hunter")] == action
        frame = env.step(int(action))[0]


def test_variables_are_recorded_beside_the_frames(tmp_path):
    assert record(WORLD, tmp_path, episodes=2, workers=1, max_steps=20, progress=False) == 2
    for episode in EpisodeStore(tmp_path):
        assert episode.metadata.keys() == {"gameover", "lives", "score", "time", "x"}
        assert episode.metadata["x"].shape == (21,)


def test_an_agent_sees_frames_and_names_its_takes(tmp_path):
    agent = MakeAgent("tiny_airstriker:fire", chance=0.0)
    record(
        WORLD, tmp_path, episodes=1, workers=0, max_steps=12, progress=False,
        agent=(agent.name, agent),
    )  # fmt: skip
    (episode,) = EpisodeStore(tmp_path)
    assert episode.attributes.behaviour == "fire"
    assert set(episode.action) == {FIRE}


def test_its_ids_have_equal_spaces_and_a_limit():
    env = gym.make("Real-Airstriker-v0")
    assert env.spec is not None and env.spec.max_episode_steps == WORLD.max_episode_steps == 900
    assert env.observation_space == WORLD.observation_space
    env.close()


def test_two_keys_held_are_the_action_that_is_named_after_both():
    hands = Hands(WORLD)
    hands.press("left")
    hands.press("space")
    assert hands.action == WORLD.action_names.index("left+fire")
    hands.press("d")  # and to the right instead, while firing
    assert hands.action == WORLD.action_names.index("right+fire")
    hands.release("space")
    assert hands.action == WORLD.action_names.index("right")


def test_any_game_is_a_world_whose_rom_is_missed_when_it_is_played():
    sonic = retro_world("SonicTheHedgehog-Genesis-v0")
    assert sonic.name == "sonic_the_hedgehog_genesis"
    assert sonic.action_names[:3] == ("noop", "b", "a") and "start" not in sonic.action_names
    assert sonic.keys["left"] == sonic.action_names.index("left")
    with pytest.raises(ValueError, match="no ROM of 'SonicTheHedgehog-Genesis-v0'"):
        sonic.make_real()


def test_another_world_of_a_game_is_played_with_its_own_actions():
    drift = retro_world(
        "Airstriker-Genesis-v0",
        actions={"none": (), "right": ("RIGHT",)},
        image_size=(56, 80),
        name="drift",
    )
    env = drift.make_real()
    frame, info = env.reset(seed=0)
    assert frame.shape == (56, 80, 3) and info["lives"] == 3
    assert drift.idle_action == 0 and drift.keys == {"right": 1, "d": 1}


def test_a_world_of_a_game_needs_a_known_game_and_an_idle_action():
    with pytest.raises(ValueError, match="no game 'Sonic'"):
        retro_world("Sonic")
    with pytest.raises(ValueError, match=r"\['right'\] all hold a button: add one"):
        retro_world("Airstriker-Genesis-v0", actions={"right": ("RIGHT",)})
