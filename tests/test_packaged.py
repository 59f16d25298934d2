"""What comes with the library stays small enough to come with it."""

import subprocess
from pathlib import Path

import pytest

import learned_envs
from learned_envs import worlds
from learned_envs.dream.weights import packaged

MIB = 2**20
CAPS = {"breakout": 3, "koi_pond": 14, "minipaint": 5, "minipaint_soft": 5}
ROOT = Path(learned_envs.__file__).parents[1]


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.parametrize("world", [name for name in worlds.names() if packaged(name)])
def test_the_weights_of_a_world_keep_within_their_cap(world):
    folder = packaged(world)
    assert folder is not None
    assert size_of(folder) <= CAPS[world] * MIB
    assert {"config.json", "model.safetensors", "starts.safetensors", "graph.zip", "README.md"} == {
        file.name for file in folder.iterdir()
    }


def test_all_weights_together_keep_within_32_mib():
    folders = [packaged(name) for name in worlds.names()]
    assert 0 < sum(size_of(folder) for folder in folders if folder) <= 32 * MIB


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_tree_keeps_within_48_mib():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert sum(file.stat().st_size for file in files if file.exists()) <= 48 * MIB
