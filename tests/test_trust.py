"""The trust report: clips, planted faults, classifiers, branches and doubt."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from learned_envs import worlds
from learned_envs.evaluation.rollouts import pieces
from learned_envs.evaluation.trust.branching import measure_branching
from learned_envs.evaluation.trust.clip_net import ClipNet, balanced_accuracy, classify, fit
from learned_envs.evaluation.trust.clips import FAULTS, LENGTH, collect
from learned_envs.evaluation.trust.report import auroc, encoded, idle_motion, kinds
from sims.breakout import BreakoutVectorEnv

BREAKOUT = worlds.get("breakout")
ROWS = 6


def players(style="careful", rows=ROWS):
    return BREAKOUT.make_behaviour([style] * rows, range(rows))


@pytest.fixture(scope="module")
def clips():
    return collect(BREAKOUT.make_real_vec(ROWS), players(), (15, 100), 0)


def test_clips_are_the_frames_and_actions_that_were_played(clips):
    (whole,) = pieces(BREAKOUT.make_real_vec(ROWS), players(), 100, 0, piece=100)
    young, old = clips[15], clips[100]
    assert np.array_equal(young.frames, whole.frames[:16].swapaxes(0, 1))
    assert np.array_equal(young.actions, whole.actions[:15].swapaxes(0, 1))
    assert len(old) == 2 * ROWS
    assert np.array_equal(old.frames[-ROWS:], whole.frames[85:].swapaxes(0, 1))
    assert np.array_equal(old.frames[:ROWS], whole.frames[69:85].swapaxes(0, 1))


def test_a_row_counts_until_its_first_game_ends():
    both = BREAKOUT.make_behaviour(["careful", "miss"] * 4, range(8))
    cut = collect(BREAKOUT.make_real_vec(8), both, (15, 300), 0)
    assert len(cut[15]) == 8
    assert set(cut[300].row) == {0, 2, 4, 6}


def test_no_game_is_in_both_halves(clips):
    one, other = clips[100].halves()
    assert len(one) + len(other) == len(clips[100])
    assert not set(one.row) & set(other.row)


def test_clips_younger_than_a_clip_is_long_are_refused():
    with pytest.raises(ValueError, match=r"`ages` \(=\[14\]\) must be at least 15"):
        collect(BREAKOUT.make_real_vec(1), players(rows=1), (14,), 0)


def test_faults_change_what_they_name_and_nothing_else(clips):
    true, random = clips[100], np.random.default_rng(0)
    planted = {name: plant(true, random) for name, plant in FAULTS.items()}
    for name in ("freeze", "blur", "ghost"):
        assert np.array_equal(planted[name].actions, true.actions)
        assert (planted[name].frames != true.frames).any((1, 2, 3, 4)).all()
    frozen = planted["freeze"].frames
    assert (frozen[:, LENGTH // 2 :] == frozen[:, -1:]).all()
    assert (planted["ghost"].frames >= true.frames).all()
    late = planted["action delay"]
    assert np.array_equal(late.frames, true.frames[:, :-3])
    assert np.array_equal(late.actions, true.actions[:, 3:])


def test_a_net_learns_to_tell_two_kinds_of_clips():
    random = np.random.default_rng(0)
    frames = random.integers(0, 255, (60, 4, 16, 16, 3), np.uint8)
    labels = np.arange(60) % 2
    frames[labels == 1, :, 4:8] = 255
    none = np.zeros((60, 3, 0), np.float32)
    torch.manual_seed(0)
    net = fit(ClipNet((16, 16), 2), frames[:40], none[:40], labels[:40], steps=200, batch=16)
    assert balanced_accuracy(classify(net, frames[40:], none[40:]), labels[40:]) == 1


def test_a_net_is_shown_the_actions():
    random = np.random.default_rng(0)
    frames = np.zeros((80, 4, 16, 16, 3), np.uint8)
    labels = np.arange(80) % 2
    told = random.normal(size=(80, 3, 2)).astype(np.float32)
    told[:, :, 0] = np.where(labels, 1, -1)[:, None]
    torch.manual_seed(0)
    net = fit(ClipNet((16, 16), 2, 2), frames[:40], told[:40], labels[:40], steps=60, batch=16)
    assert balanced_accuracy(classify(net, frames[40:], told[40:]), labels[40:]) == 1


def test_a_class_without_clips_is_refused():
    frames = np.zeros((2, 4, 16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match=r"clips by class are \[2, 0\]"):
        fit(ClipNet((16, 16), 2), frames, np.zeros((2, 3, 0), np.float32), np.zeros(2, int))


def test_balanced_accuracy_weighs_classes_alike():
    labels = np.array([0] * 9 + [1])
    assert balanced_accuracy(np.zeros(10, int), labels) == 0.5


def test_the_area_under_the_curve_of_known_scores():
    error = np.arange(100.0)
    assert auroc(error, error) == 1
    assert auroc(-error, error) == 0
    assert auroc(np.zeros(100), error) == 0.5


def test_discrete_actions_are_one_hot_and_their_own_kinds():
    actions = np.array([[0, 2]])
    assert encoded(BREAKOUT, actions).tolist() == [[[1, 0, 0], [0, 0, 1]]]
    assert kinds(BREAKOUT, actions[0]).tolist() == [0, 2]


class Twin(BreakoutVectorEnv):
    """The real game as its own dream: it takes up the moment that the real one stands at."""

    deaf = False

    def __init__(self, real: BreakoutVectorEnv):
        super().__init__(real.num_envs)
        self._real = real

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.set_state(self._real.get_state())
        return self._observe(), {}

    def step(self, actions):
        return super().step(np.zeros_like(actions) if self.deaf else actions)


@pytest.fixture
def twin(monkeypatch):
    real = BreakoutVectorEnv(16)
    monkeypatch.setattr(worlds.World, "make_real_vec", lambda *_, **__: real)
    return Twin(real)


def test_a_perfect_dream_branches_as_the_real_world(twin):
    found = measure_branching(BREAKOUT, twin, seed=0)
    assert found.recognised == 1
    assert found.spread == pytest.approx(1)


def test_a_dream_deaf_to_actions_is_found_out(twin):
    twin.deaf = True
    found = measure_branching(BREAKOUT, twin, seed=0)
    assert found.recognised == pytest.approx(found.chance, abs=0.1)
    assert found.spread == 0


def test_idle_motion_of_equal_worlds_is_equal():
    pair = [gym.make_vec("Real-Breakout-v0", 2) for _ in range(2)]
    motion = idle_motion(BREAKOUT, *pair, 0)
    assert len(motion) == 5
    assert all(dreamed == real > 0 for dreamed, real in motion.values())
