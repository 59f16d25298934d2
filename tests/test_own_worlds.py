"""Worlds of one's own: any environment described, recorded by chance or by an agent, and found."""

import json
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from own_game import FIELD

from learned_envs import worlds
from learned_envs.data import EpisodeStore, StoreWindows
from learned_envs.recording.facts import facts_of
from learned_envs.recording.inspect import inspect
from learned_envs.recording.opened import recordings_of
from learned_envs.recording.policies import MakeAgent
from learned_envs.recording.recorder import record
from learned_envs.worlds.chance import Chance
from learned_envs.worlds.frame_env import FrameEnv, make_env, resized, rgb
from learned_envs.worlds.look import describe
from learned_envs.worlds.own import OwnWorld, shrunk_size, world_name
from learned_envs.worlds.own_presets import Facts, encoding, with_presets
from learned_envs.worlds.spaces import space_from_json, space_to_json

GAME = "own_game:DotEnv"
KINDS = ("discrete", "multi_discrete", "multi_binary", "box")
SPACES = (
    spaces.Discrete(3, start=2),
    spaces.MultiDiscrete([3, 2]),
    spaces.MultiBinary(4),
    spaces.Box(np.array([-1, 0], np.float32), np.array([1, np.inf], np.float32)),
)


def dot_env(**settings) -> FrameEnv:
    return FrameEnv(GAME, image_size=(FIELD, FIELD), **settings)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_spaces_come_back_from_plain_values(space):
    assert space_from_json(json.loads(json.dumps(space_to_json(space)))) == space


@pytest.mark.parametrize("space", [spaces.Text(3), spaces.MultiDiscrete([[2, 2]])], ids=str)
def test_spaces_that_no_dream_has_are_refused(space):
    with pytest.raises(ValueError, match="a dream has a Box, Discrete, MultiDiscrete or"):
        space_to_json(space)


def test_a_described_game_is_what_it_shows_and_takes():
    own = describe(GAME)
    assert (own.name, own.env, own.fps) == ("dot_env", GAME, 20)
    assert (own.image_size, own.picture) == ((FIELD, FIELD), "observation")
    assert own.action_names == ("left", "noop", "right")
    assert own.idle_action == 1
    assert own.keys == {"left": 0, "a": 0, "right": 2, "d": 2}
    assert describe(GAME, env_kwargs={"shown": False}).picture == "render"


def test_every_kind_of_vector_has_keys_that_move_it():
    assert describe(GAME, env_kwargs={"kind": "box"}).keys == {"left": [-2.0], "right": [2.0]}
    pressed = describe(GAME, env_kwargs={"kind": "multi_binary"}).keys
    assert pressed == {"right": [1, 0], "up": [0, 1]}
    assert describe(GAME, env_kwargs={"kind": "multi_discrete"}).keys["right"] == [2, 0]


def test_the_name_of_a_world_of_the_library_is_refused_to_others():
    own = describe(GAME, name="breakout")
    with pytest.raises(ValueError, match="'breakout'.*choose another than airstriker, breakout"):
        own.world()
    filmed = worlds.get("my_way_home")
    assert filmed.own.world() is filmed
    assert replace(filmed.own, keys={}).world() is filmed  # whoever records may edit them
    with pytest.raises(ValueError, match="is not like this one"):
        replace(filmed.own, fps=30).world()


def test_names_and_sizes_are_short():
    assert world_name("ALE/Pong-v5") == "pong"
    assert world_name("games.arcade:MyEnv") == "my_env"
    assert world_name("ALE/Breakout-v5") == "own_breakout"
    assert shrunk_size(210, 160) == (80, 64)
    assert shrunk_size(96, 96) == (64, 64)
    assert shrunk_size(40, 40) == (40, 40)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"name": "a b"}, r"`name` \(='a b'\)"),
        ({"image_size": (30, 40)}, "multiples of 8"),
        ({"fps": 0}, r"`fps` \(=0\)"),
        ({"action_names": ("one",)}, "1 `action_names` were given, expected 3"),
        ({"picture": "drawing"}, r"`picture` \(='drawing'\)"),
    ],
)
def test_a_description_out_of_range_is_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        OwnWorld(**{**describe(GAME).to_json(), "image_size": (40, 40),
                    "action_names": ("a", "b", "c"), **settings})  # fmt: skip


def test_a_description_comes_back_from_json():
    own = describe(GAME, env_kwargs={"kind": "box"})
    assert OwnWorld.from_json(json.loads(json.dumps(own.to_json())), "here") == own
    with pytest.raises(ValueError, match="here does not describe a world"):
        OwnWorld.from_json({"name": "dots"}, "here")


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ("Pnog-v5", "there is no environment 'Pnog-v5'"),
        ("no_such_module:Env-v0", "'no_such_module', which is not installed"),
        ("own_game:Nothing-v0", "there is no environment"),
        ("own_game:FIELD", "there is no environment"),
        ("own_game:make_dot", "there is no environment"),  # a file may name any function
        ("os:system", "there is no environment"),
    ],
)
def test_an_unknown_environment_is_named(env, told):
    with pytest.raises((ValueError, gym.error.DependencyNotInstalled), match=told):
        make_env(env, {})


def test_wrong_arguments_of_an_environment_are_named():
    with pytest.raises(ValueError, match=r"cannot be made with .*'colour'"):
        make_env(GAME, {"colour": "red"})


def test_an_environment_that_draws_nothing_is_refused():
    with pytest.raises(ValueError, match="expected a picture"):
        describe("own_game:Blind", env_kwargs={"shown": False})


def test_frames_are_pictures_of_the_asked_size():
    env = FrameEnv(GAME, image_size=(16, 24), env_kwargs={"shown": False})
    frame, info = env.reset(seed=0)
    assert frame.shape == (16, 24, 3)
    assert env.observation_space.contains(frame)
    assert env.native.shape == (1,)
    assert info["place"] == env.native[0]
    with pytest.raises(ValueError, match="not pictures"):
        FrameEnv(GAME, image_size=(16, 16), picture="observation", env_kwargs={"shown": False})


def test_pictures_are_shrunk_by_area_and_enlarged_sharply():
    board = np.zeros((8, 8, 3), np.uint8)
    board[::2] = 200
    assert (resized(board, (4, 4)) == 100).all()
    assert set(np.unique(resized(board, (16, 16)))) == {0, 200}
    assert rgb(board[..., :1], "grey").shape == board.shape
    with pytest.raises(ValueError, match=r"'deep' showed .* expected a picture"):
        rgb(np.zeros((8, 8, 4), np.uint8), "deep")


def test_discrete_actions_are_numbered_from_0_however_the_game_numbers_them(tmp_path):
    own, agent = describe(GAME, env_kwargs={"first": 5}), MakeAgent("own_game:stay_at_6", 0.0)
    assert own.space == spaces.Discrete(3)
    assert (own.idle_action, own.keys["left"], own.keys["x"]) == (1, 0, 2)
    env = dot_env(env_kwargs={"first": 5})
    _, before = env.reset(seed=0)
    assert env.step(0)[4]["place"] == before["place"] - 1
    record(
        own.world(), tmp_path, 1, workers=0, max_steps=4, progress=False,
        agent=(agent.name, agent),
    )  # fmt: skip
    assert (next(iter(EpisodeStore(tmp_path))).action == 1).all()


def test_a_state_is_played_again():
    env = dot_env()
    env.reset(seed=3)
    for action in (0, 0, 2):
        env.step(action)
    state = env.get_state()
    after = [env.step(action)[0] for action in (2, 2)]
    other = dot_env()
    other.set_state(state)
    assert np.array_equal([other.step(action)[0] for action in (2, 2)], after)


def test_an_environment_that_cannot_branch_says_so():
    env = dot_env(env_kwargs={"unseeded": True})
    env.reset(seed=3)
    state = env.get_state()
    with pytest.raises(ValueError, match="cannot branch"):
        for _ in range(20):  # it may begin at the same place by chance
            env.set_state(state)


@pytest.mark.parametrize("kind", KINDS)
def test_players_by_chance_stay_within_any_space(kind):
    space = make_env(GAME, {"kind": kind}).action_space
    play = Chance(space, ["held", "random"], [5, 6])
    actions = [play(np.zeros(0), np.zeros(2, bool)) for _ in range(200)]
    assert all(
        space.contains(row if np.shape(row) else row[()]) for pair in actions for row in pair
    )
    changed = (np.diff(np.reshape(actions, (200, 2, -1)), axis=0) != 0).any(2).mean(0)
    assert changed[0] < changed[1]
    again = Chance(space, ["held", "random"], [5, 6])
    assert np.array_equal([again(np.zeros(0), np.zeros(2, bool)) for _ in range(200)], actions)


@pytest.mark.parametrize("kind", KINDS)
def test_recordings_of_every_kind_of_action_are_found_again(kind, tmp_path):
    own = describe(GAME, env_kwargs={"kind": kind})
    record(own.world(), tmp_path, 4, workers=0, max_steps=12, progress=False)
    store = EpisodeStore(tmp_path)
    assert store.world == "dot_env"
    assert worlds.find(str(tmp_path)).own == own
    episode = next(iter(store))
    assert episode.observation.shape[1:] == (FIELD, FIELD, 3)
    assert episode.metadata["place"].shape == (episode.steps + 1,)
    assert set(episode.metadata) == {"place"}
    left = (episode.observation[:][:, 16, :, 0] > 100).argmax(1)
    assert np.array_equal(left, episode.metadata["place"])
    assert inspect(tmp_path).events == {}


def test_an_environment_may_tell_of_itself_what_it_likes(tmp_path):
    world = describe("own_game:Chatty").world()
    record(world, tmp_path, 12, workers=0, max_steps=30, progress=False)
    episodes = list(EpisodeStore(tmp_path))
    assert {"place"} <= set.intersection(*(set(e.metadata) for e in episodes))
    assert {name for e in episodes for name in e.metadata} <= {"place", "lives", "legal"}
    assert any("lives" in e.metadata for e in episodes)
    assert any("lives" not in e.metadata for e in episodes)  # it says none at the end
    window = next(StoreWindows(EpisodeStore(tmp_path), "train", batch=32, length=4, seed=0))
    assert window.metadata["place"].shape == (32, 5)
    assert "lives" not in window.metadata


def test_windows_may_leave_out_episodes_that_are_too_short(tmp_path):
    record(describe(GAME).world(), tmp_path, 12, workers=0, max_steps=6, progress=False)
    record(describe(GAME).world(), tmp_path, 2, workers=0, max_steps=40, seed=1, progress=False)
    store = EpisodeStore(tmp_path)
    longest = max(store.headers[name].steps for name in store.names("train"))
    window = next(StoreWindows(store, "train", batch=8, length=longest, seed=0, whole=True))
    assert window.valid.all()
    with pytest.raises(ValueError, match=f"no episode of {longest + 1} steps"):
        StoreWindows(store, "train", batch=8, length=longest + 1, seed=0, whole=True)


def test_keys_may_be_edited_and_nothing_else(tmp_path):
    world = describe(GAME).world()
    record(world, tmp_path, 1, workers=0, max_steps=3, progress=False)
    path = tmp_path / "world.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"keys": {"j": 0}}))
    assert worlds.find(str(tmp_path)).keys == {"j": 0}
    record(world, tmp_path, 2, workers=0, max_steps=3, progress=False)
    assert len(recordings_of(world, tmp_path)) == 2
    other = replace(describe(GAME, fps=3), name="dot_env").world()
    with pytest.raises(ValueError, match="fps 20, not 3"):
        recordings_of(other, tmp_path)


def test_a_url_is_a_folder_of_recordings_too(tmp_path):
    world = describe(GAME).world()
    url = f"memory://{tmp_path.name}"
    record(world, url, 1, workers=0, max_steps=3, progress=False)
    assert worlds.find(url).own == world.own
    assert inspect(url).world == "dot_env"
    record(worlds.get("breakout"), url + "b", 1, workers=0, max_steps=3, progress=False)
    assert worlds.find(url + "b") is worlds.get("breakout")


def test_a_folder_keeps_to_one_way_of_seeing_a_world(tmp_path):
    record(describe(GAME).world(), tmp_path, 1, workers=0, max_steps=3, progress=False)
    smaller = describe(GAME, image_size=(24, 24)).world()
    with pytest.raises(ValueError, match=r"image_size \[40, 40\], not \[24, 24\]"):
        record(smaller, tmp_path, 2, workers=0, max_steps=3, progress=False)


def test_folders_say_what_they_are_of(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="neither a checkpoint nor a folder of recordings"):
        worlds.find(str(tmp_path / "empty"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "world.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        worlds.find(str(tmp_path / "broken"))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "config.json").write_text("[]")
    with pytest.raises(ValueError, match=r"not the config\.json of a checkpoint"):
        worlds.find(str(tmp_path / "weights"))
    assert worlds.find("breakout") is worlds.get("breakout")


@pytest.mark.parametrize(("policy", "name"), [("go_right", "go_right"), ("Homing", "Homing")])
def test_an_agent_sees_its_own_observations_and_names_its_takes(policy, name, tmp_path):
    own, agent = describe(GAME, env_kwargs={"shown": False}), MakeAgent(f"own_game:{policy}", 0.0)
    record(own.world(), tmp_path, 2, workers=0, progress=False, agent=(agent.name, agent))
    for episode in EpisodeStore(tmp_path):
        assert episode.attributes.behaviour == name
        assert (episode.action == 2).all()
        assert episode.terminated[-1]
        assert episode.reward.sum() == 1


def test_an_agent_strays_for_a_share_of_its_steps(tmp_path):
    own, agent = describe(GAME, env_kwargs={"shown": False}), MakeAgent("own_game:go_right", 0.5)
    record(own.world(), tmp_path, 12, workers=0, progress=False, agent=(agent.name, agent))
    actions = np.concatenate([episode.action for episode in EpisodeStore(tmp_path)])
    assert 0.1 < (actions != 2).mean() < 0.6


def test_agents_that_are_none_are_refused(tmp_path):
    env = dot_env()
    for policy, told in [
        ("own_game:nobody", "there is no policy"),
        (str(tmp_path / "gone.zip"), "there is no file"),
    ]:
        with pytest.raises(ValueError, match=told):
            MakeAgent(policy)(env, 0)
    with pytest.raises(ValueError, match=r"`chance` \(=2\)"):
        MakeAgent("own_game:go_right", 2)
    env.reset(seed=0)
    lawless = MakeAgent("own_game:lawless", 0.0)(env, 0)
    with pytest.raises(ValueError, match="which is not in"):
        lawless(np.zeros((1, 8, 8, 3), np.uint8), np.ones(1, bool))


def test_a_file_that_is_no_agent_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "agent.zip"
    path.write_bytes(b"nothing")
    with monkeypatch.context() as without:
        without.setitem(__import__("sys").modules, "stable_baselines3", None)
        with pytest.raises(gym.error.DependencyNotInstalled, match="needs stable-baselines3"):
            MakeAgent(str(path))(dot_env(), 0)
    pytest.importorskip("stable_baselines3")
    with pytest.raises(ValueError, match="no agent that Stable-Baselines3 saved"):
        MakeAgent(str(path))(dot_env(), 0)


@pytest.mark.parametrize("algorithm", ["PPO", "A2C", "DQN"])
def test_agents_of_stable_baselines_play(algorithm, tmp_path):
    sb3 = pytest.importorskip("stable_baselines3")
    path = tmp_path / "agent.zip"
    getattr(sb3, algorithm)("MlpPolicy", make_env(GAME, {"shown": False}), device="cpu").save(path)
    own, agent = describe(GAME, env_kwargs={"shown": False}), MakeAgent(str(path), 0.0)
    record(
        own.world(), tmp_path / "out", 1, workers=0, max_steps=5, progress=False,
        agent=(agent.name, agent),
    )  # fmt: skip
    assert next(iter(EpisodeStore(tmp_path / "out"))).attributes.behaviour == "agent"


def test_what_changes_decides_the_preset(tmp_path: Path):
    record(describe(GAME).world(), tmp_path, 6, workers=0, max_steps=20, progress=False)
    store = EpisodeStore(tmp_path)
    facts = facts_of(store)
    frames = [episode.observation[:] for episode in store]
    moves = np.concatenate([(f[1:] != f[:-1]).any((1, 2, 3)) for f in frames])
    # The dot's edges, two columns of two or three patches, when it moves by a pixel; else nothing.
    assert 4 / 100 * moves.mean() <= facts.changing <= 6 / 100 * moves.mean()
    assert set(facts.rewards) <= {0.0, 1.0}
    assert facts.preset == "sparse"
    assert Facts(changing=0.4).preset == "latent"
    assert "40.0%" in Facts(changing=0.4).reason


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preset", ["sparse", "latent"])
def test_presets_fit_every_kind_of_action(kind, preset):
    world = describe(GAME, env_kwargs={"kind": kind}).world()
    world = with_presets(world, Facts(changing=0.1, rewards=(0.0, 1.0)))
    model = world.presets[preset]().build()
    action = torch.as_tensor(np.stack([world.action_space.sample() for _ in range(2)]))
    codes = model.actions.encode(action.to(model.actions.dtype))
    assert codes.shape == (2, model.actions.size)
    assert abs(codes).max() <= 1
    assert model.actions.idle_code().shape == (model.actions.size,)


def test_choices_are_told_one_by_one():
    coded = encoding(spaces.MultiDiscrete([3, 2]), [1, 0])
    assert coded.encode(torch.tensor([2, 1])).tolist() == [0, 0, 1, 0, 1]
    assert coded.idle_code().tolist() == [0, 1, 0, 1, 0]
    with pytest.raises(ValueError, match="from 0 on"):
        encoding(spaces.Discrete(3, start=2), 2)
    scaled = encoding(spaces.Box(-4.0, 4.0, (2,)), [0.0, 0.0])
    assert scaled.encode(torch.tensor([2.0, -4.0])).tolist() == [0.5, -1.0]
    with pytest.raises(ValueError, match="from 0 on"):
        encoding(spaces.MultiDiscrete([3], start=[1]), [1])
