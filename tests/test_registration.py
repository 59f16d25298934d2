import subprocess
import sys
import tomllib
from pathlib import Path

import gymnasium as gym
import pytest
from tiny_dream import save_tiny, tiny_config, tiny_model

import learned_envs
from learned_envs import worlds

ROOT = Path(__file__).parents[1]


def test_importing_the_package_imports_neither_torch_nor_pygame():
    code = (
        "import sys, learned_envs; "
        "print(sorted({'torch', 'pygame', 'onnxruntime', 'cv2'} & set(sys.modules)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"


def test_every_world_has_its_ids():
    for name in worlds.names():
        world = worlds.get(name)
        assert f"Dream-{world.id_suffix}-v0" in gym.registry
        assert (f"Real-{world.id_suffix}-v0" in gym.registry) == (world.real is not None)


def test_an_id_that_names_the_module_registers_what_it_needs():
    code = "import gymnasium; print(gymnasium.make('learned_envs:Real-Breakout-v0'))"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_registering_again_changes_nothing():
    before = dict(gym.registry)
    learned_envs.register_envs()
    assert gym.registry == before


def test_an_unknown_id_gets_the_nearest_name():
    with pytest.raises(gym.error.NameNotFound, match="Did you mean: `Dream-Breakout`"):
        gym.make("Dream-Brakeout-v0")


def test_both_ids_of_a_world_have_equal_spaces_and_limits(tmp_path):
    weights = save_tiny(tmp_path / "w", tiny_model(tiny_config(size=64)), world="breakout")
    real, dream = gym.make("Real-Breakout-v0"), gym.make("Dream-Breakout-v0", weights=weights)
    assert real.observation_space == dream.observation_space
    assert real.action_space == dream.action_space
    assert real.spec is not None
    assert dream.spec is not None
    assert real.spec.max_episode_steps == dream.spec.max_episode_steps == 1000
    assert real.metadata["render_fps"] == dream.metadata["render_fps"]
    real_batch = gym.make_vec("Real-Breakout-v0", 2)
    dream_batch = gym.make_vec("Dream-Breakout-v0", 2, weights=weights)
    assert real_batch.observation_space == dream_batch.observation_space
    assert real_batch.action_space == dream_batch.action_space
    assert real_batch.max_episode_steps == dream_batch.max_episode_steps == 1000


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert learned_envs.__version__ == project["version"]
