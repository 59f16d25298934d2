"""What comes with the library stays small enough to come with it."""

import subprocess
from pathlib import Path

import pytest

import learned_envs
from learned_envs import worlds
from learned_envs.data import EpisodeStore
from learned_envs.dream.weights import PACKAGED, packaged
from learned_envs.evaluation.held_out import CLIPS, held_out_footage

MIB = 2**20
CAPS = {
    "airstriker": 5,
    "breakout": 3,
    "koi_pond": 14,
    "minipaint": 5,
    "minipaint_soft": 5,
    "my_way_home": 5,
}
ROOT = Path(learned_envs.__file__).parents[1]


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


@pytest.mark.parametrize("world", [name for name in worlds.names() if packaged(name)])
def test_the_weights_of_a_world_keep_within_their_cap(world):
    folder = packaged(world)
    assert folder is not None
    assert size_of(folder) <= CAPS[world] * MIB
    assert {"config.json", "model.safetensors", "starts.safetensors", "graph.zip", "README.md"} == {
        file.name for file in folder.iterdir() if file.is_file()
    }


@pytest.mark.parametrize("world", [name for name in worlds.names() if packaged(name)])
def test_a_card_says_under_what_licence_weights_and_pictures_are(world):
    folder = packaged(world)
    assert folder is not None
    assert worlds.get(world).licence in (folder / "README.md").read_text()


def test_the_footage_that_comes_with_a_world_is_small_and_all_held_out():
    world = worlds.get("my_way_home")
    folder = held_out_footage(world)
    assert folder is not None
    clips = PACKAGED / "my_way_home" / CLIPS
    assert size_of(clips) <= 3 * MIB
    store = EpisodeStore(folder, world.name)
    assert store.names() == store.names("test")
    assert len(store.names()) == 3
    assert held_out_footage(world) == folder
    assert held_out_footage(worlds.get("breakout")) is None


def test_all_weights_together_keep_within_32_mib():
    folders = [packaged(name) for name in worlds.names()]
    assert 0 < sum(size_of(folder) for folder in folders if folder) <= 32 * MIB


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_tree_keeps_within_48_mib():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert sum(file.stat().st_size for file in files if file.exists()) <= 48 * MIB
