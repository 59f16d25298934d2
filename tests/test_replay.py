"""The steps that went worst are kept, and shown again as they were."""

from functools import partial

import numpy as np
import pytest
import torch
from tiny_training import CONTEXT, Spy, endless, play, recipe, tiny_model, true_context, walk

from learned_envs.training.replay import Replay
from learned_envs.training.trainer import dynamics_trainer

LAST = CONTEXT - 1


def seen(window, capacity: int = 8, steps: int = 8) -> Replay:
    """A replay that saw the first `steps` steps of a window; step t of row r lost 10 t + r."""
    replay = Replay(CONTEXT, capacity, seed=0)
    rows = np.arange(len(window.valid))
    for step in range(steps):
        usable = rows[[true_context(window, row, step) is not None for row in rows]]
        replay.see(window, step, usable, 10.0 * step + usable)
    return replay


def test_the_worst_steps_are_kept_whatever_came_first():
    window = play(3, 12)
    replay = seen(window, capacity=4, steps=6)
    _, drawn = replay.draw(400)
    kept = {frames.tobytes() for frames in drawn.observation}
    worst = [(5, 0), (5, 1), (5, 2), (4, 2)]
    assert kept == {window.observation[r, t - LAST : t + 2].tobytes() for t, r in worst}


def test_a_step_is_shown_again_on_its_true_context():
    first = np.zeros((2, 13), bool)
    first[0, 5], first[1, 0] = True, True  # an episode begins within the context of some steps
    valid = np.ones((2, 12), bool)
    valid[0, 4] = False
    window = play(2, 12, first=first, valid=valid)
    replay = seen(window, capacity=100, steps=12)
    _, drawn = replay.draw(60)
    contexts = [true_context(window, r, t) for r in range(2) for t in range(LAST, 12)]
    spy = Spy()
    [(state, _, step)] = walk(spy, drawn, resync=1)
    assert step.step == LAST and step.rows.tolist() == list(range(60))
    for row in range(60):
        assert any(
            torch.equal(state["latents"][row], latents) and torch.equal(state["actions"][row], acts)
            for latents, acts in filter(None, contexts)
        )


def test_steps_whose_context_lies_before_the_window_are_left_out():
    first = np.zeros((1, 9), bool)
    first[0, 0] = True
    window = play(1, 8, first=first)
    assert len(seen(window, capacity=100, steps=LAST)) == 0
    assert len(seen(window, capacity=100, steps=LAST + 2)) == 2


def test_what_went_worse_is_drawn_more_often_and_what_was_learned_hardly_ever():
    window = play(1, 12)
    replay = seen(window, capacity=2, steps=LAST + 2)
    replay.saw(np.array([0, 1]), np.array([1.0, 8.0]))
    chosen, _ = replay.draw(3000)
    assert (chosen == 1).mean() == pytest.approx(8**0.6 / (8**0.6 + 1), abs=0.03)
    replay.saw(np.array([0, 1]), np.array([1.0, 0.0]))
    assert (replay.draw(1000)[0] == 0).all()


def test_a_training_shows_the_worst_again_besides_what_is_played(tmp_path):
    spy, windows = Spy(), partial(endless, steps=6)
    trainer = dynamics_trainer(tiny_model(spy), recipe(replayed=5), windows, tmp_path)
    trainer.run(progress=False)
    rows = [len(state["latents"]) for state, _ in spy.shown]
    # Three rounds of four steps. The first step with its frames before it is a window's fourth.
    assert rows == 3 * [8, 8, 8, 8, 5]


def test_dynamics_that_cannot_tell_what_went_badly_are_refused(tmp_path):
    run = dynamics_trainer(tiny_model(), recipe(steps=12, replayed=5), endless, tmp_path)
    with pytest.raises(ValueError, match="`replayed` was asked for"):
        run.run(progress=False)


def test_a_share_that_is_negative_is_refused():
    with pytest.raises(ValueError, match=r"`replayed` \(=-1\) must be at least 1, or 0"):
        recipe(replayed=-1)
