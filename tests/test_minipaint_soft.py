"""Soft paint as a world of its own: the same as Minipaint but for what the brush leaves."""

import pickle
from dataclasses import fields

import gymnasium as gym
import numpy as np
import pytest
from tiny_minipaint import at, canvas

from learned_envs import worlds
from learned_envs.recording.live import LiveWindows
from learned_envs.recording.takes import planned_takes, record_take
from sims.minipaint import MinipaintEnv, MinipaintVectorEnv

HARD, SOFT = worlds.get("minipaint"), worlds.get("minipaint_soft")
PAPER = canvas(MinipaintEnv(soft=True).reset(seed=0)[0])


def test_it_is_minipaint_but_for_its_name_its_paint_its_starts_and_its_targets():
    differ = {f.name for f in fields(HARD) if getattr(HARD, f.name) is not getattr(SOFT, f.name)}
    assert differ == {"name", "id_suffix", "real_kwargs", "reset_options", "task"}


def test_its_ids_and_its_makers_make_the_soft_program():
    singles = gym.make("Real-MinipaintSoft-v0"), SOFT.make_real()
    batches = gym.make_vec("Real-MinipaintSoft-v0", 2), SOFT.make_real_vec(2)
    expected = MinipaintEnv(soft=True)
    expected.reset(seed=4)
    painted = expected.step(at(100, 100))[0]
    for env in singles:
        env.reset(seed=4)
        assert np.array_equal(env.step(at(100, 100))[0], painted)
    for batch in batches:
        batch.reset(seed=4)
        assert isinstance(batch, MinipaintVectorEnv)
        assert np.array_equal(batch.step(np.stack([at(100, 100)] * 2))[0], [painted] * 2)
    assert batches[0].max_episode_steps == singles[0].spec.max_episode_steps == 1000


def test_the_ids_of_minipaint_make_the_hard_program_still():
    for env in (gym.make("Real-Minipaint-v0"), HARD.make_real()):
        assert (canvas(env.reset(seed=0)[0]) == 255).all()


def test_its_dream_says_that_it_has_no_weights():
    with pytest.raises(ValueError, match="holds no weights for 'minipaint_soft'"):
        gym.make("Dream-MinipaintSoft-v0")


def test_its_painted_starts_are_soft_drawings_and_otherwise_those_of_minipaint():
    painted = 0
    for seed in range(20):
        hard, soft = (w.reset_options("writer", np.random.default_rng(seed)) for w in (HARD, SOFT))
        assert hard is not None and soft is not None
        pictures = hard.pop("canvas", None), soft.pop("canvas", None)
        assert hard == soft
        if pictures[0] is not None and pictures[1] is not None:
            painted += 1
            assert (pictures[0] == 255).all(-1).any() and len(np.unique(pictures[0])) <= 3
            assert (pictures[1] == PAPER).all(-1).any() and len(np.unique(pictures[1])) > 60
    assert painted >= 2


def test_takes_and_live_windows_are_painted_softly():
    (attributes,) = planned_takes(SOFT, 1, 0, {"sketcher": 1.0})
    assert attributes.world == "minipaint_soft"
    take = record_take(SOFT, SOFT.make_real(), attributes, 60)
    window = next(LiveWindows(SOFT, 2, 60, seed=0))
    for frame in (take.observation[60], *window.observation[:, 60]):
        assert not np.array_equal(canvas(frame), PAPER)
        assert len(np.unique(canvas(frame))) > 60  # hard paint has three values


def test_recording_processes_can_be_sent_it():
    sent = pickle.loads(pickle.dumps(SOFT))
    assert np.array_equal(canvas(sent.make_real().reset(seed=0)[0]), PAPER)
