import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def main(request):
    return runpy.run_path(str(EXAMPLES / f"{request.param}.py"))["main"]


@pytest.mark.parametrize("main", ["agent_loop"], indirect=True)
def test_agent_loop_plays_both_worlds(main):
    scores = main(steps=120)
    assert set(scores) == {"Real-Breakout-v0", "Dream-Breakout-v0"}
    assert all(score >= 1 for score in scores.values())


@pytest.mark.parametrize("main", ["branch_and_look_ahead"], indirect=True)
def test_looking_ahead_returns_as_many_actions_as_decisions(main):
    taken = main(horizon=4, decisions=2)
    assert len(taken) == 2
    assert set(taken) <= {0, 1, 2}


@pytest.mark.parametrize("main", ["side_by_side"], indirect=True)
def test_side_by_side_writes_a_moving_gif_of_both(main, tmp_path):
    with Image.open(main(steps=10, path=tmp_path / "both.gif")) as gif:
        assert gif.n_frames == 11
        assert gif.size == (512, 256)
        first = np.asarray(gif.convert("RGB"))
        gif.seek(10)
        assert (np.asarray(gif.convert("RGB")) != first).any()


@pytest.mark.parametrize("main", ["train_tiny_dream"], indirect=True)
def test_training_a_tiny_dream_leaves_a_checkpoint(main, tmp_path):
    checkpoint = main(folder=tmp_path, steps=4)
    assert {path.name for path in checkpoint.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "starts.safetensors",
    }
