"""A soak finds what is planted: a leak, numbers that are none, doubt that drifts."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from tiny_dream import save_tiny, tiny_config, tiny_model

from learned_envs import cli, worlds
from learned_envs.dream.dream_vector_env import DreamVectorEnv
from learned_envs.evaluation.speed.soak import (
    PARTS,
    Sample,
    Soak,
    SoakError,
    faults,
    resident_bytes,
    soak,
    soak_world,
)

ROWS, STEPS, INTERVAL = 3, 200, 4
WORLD = worlds.get("breakout")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("soak") / "weights")


def flat():
    return 1_000_000


def idle(observation, first):
    return np.zeros(len(first), np.int64)


def soaked(env, memory=flat):
    return soak(env, idle, steps=STEPS, interval=INTERVAL, memory=memory)


def planted(**figures):
    """A soak of forty samples, the second half of them with these figures."""
    sample = Sample(steps=1, memory=flat(), doubt=0.5, broken=0)
    return Soak(rows=1, samples=[sample] * 20 + [dataclasses.replace(sample, **figures)] * 20)


def test_a_sound_dream_is_found_sound(weights):
    found = soaked(DreamVectorEnv(ROWS, weights, max_episode_steps=15))
    assert faults(found) == []
    assert [sample.steps for sample in found.samples] == list(range(INTERVAL, STEPS + 1, INTERVAL))
    assert all(0 <= sample.doubt <= 1 for sample in found.samples)


def test_steps_that_only_begin_an_episode_do_not_count_as_sure(weights):
    often, never = (
        np.mean([sample.doubt for sample in soaked(env).samples])
        for env in (
            DreamVectorEnv(ROWS, weights, max_episode_steps=1),
            DreamVectorEnv(ROWS, weights, max_episode_steps=None),
        )
    )
    assert often == pytest.approx(never, rel=0.3)


def test_a_list_that_grows_is_found(weights):
    class Leaking(DreamVectorEnv):
        kept: list[np.ndarray] = []

        def _observe(self):
            observation = super()._observe()
            self.kept.append(observation)
            return observation

    env = Leaking(ROWS, weights)
    (wrong,) = faults(soaked(env, lambda: flat() + sum(kept.nbytes for kept in env.kept)))
    assert wrong.startswith("memory grew by")


def test_a_reward_that_is_no_number_is_found(weights):
    class Sick(DreamVectorEnv):
        def _advance(self, actions, rows):
            reward, terminated, info = super()._advance(actions, rows)
            reward[0] = np.nan if self._elapsed[0] == 30 else reward[0]
            return reward, terminated, info

    assert faults(soaked(Sick(ROWS, weights))) == ["1 numbers were not finite"]


def test_a_state_that_holds_nan_is_found(weights):
    class Sick(DreamVectorEnv):
        def get_state(self):
            state = super().get_state()
            state["model"]["latents"][0, 0, 0, 0, :2] = np.nan
            return state

    assert faults(soaked(Sick(ROWS, weights))) == [
        f"{2 * STEPS // INTERVAL} numbers were not finite"
    ]


def test_a_dream_that_gives_up_ends_the_soak(weights):
    env = DreamVectorEnv(ROWS, weights)
    runtime, clean = env._dream.runtime, env._dream.runtime.step
    made = []

    def step(*given):
        following, outcome = clean(*given)
        made.append(1)
        return following, {**outcome, "finite": outcome["finite"] & (len(made) < 10)}

    runtime.step = step
    found = soaked(env)
    assert len(made) == 10
    assert [sample.steps for sample in found.samples] == [4, 8]
    assert "NaN" in faults(found)[0]


@pytest.mark.parametrize(("growth", "count"), [(1.009, 0), (1.011, 1), (0.5, 0)])
def test_memory_may_grow_by_one_percent(growth, count):
    assert len(faults(planted(memory=round(growth * flat())))) == count


def test_memory_that_is_given_back_is_no_leak():
    sample = planted().samples[0]
    swing = [sample, dataclasses.replace(sample, memory=2 * flat())]
    assert faults(Soak(rows=1, samples=swing * 20)) == []
    assert faults(Soak(rows=1, samples=swing[::-1] * 20)) == []


def test_memory_of_the_warm_up_does_not_count():
    sound, grown = planted().samples[0], planted(memory=2 * flat()).samples[-1]
    warm_up = 40 // PARTS
    assert faults(Soak(rows=1, samples=[sound] * warm_up + [grown] * (40 - warm_up))) == []


@pytest.mark.parametrize(("doubt", "count"), [(0.74, 0), (0.76, 1), (0.34, 0), (0.32, 1), (0.0, 1)])
def test_doubt_may_change_by_half(doubt, count):
    assert len(faults(planted(doubt=doubt))) == count


def test_too_few_steps_for_a_tenth_are_refused(weights):
    with pytest.raises(ValueError, match="at least 160, for 10 samples"):
        soak(DreamVectorEnv(1, weights), idle, steps=159)


def test_this_process_holds_memory():
    assert resident_bytes() > 2**20


@pytest.fixture(scope="module")
def breakout_weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("soak") / "breakout"
    return str(save_tiny(folder, tiny_model(tiny_config(64)), world="breakout"))


def test_minutes_are_minutes_of_play_and_the_samples_are_kept(
    breakout_weights, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("learned_envs.evaluation.speed.soak.packaged", lambda _: None)
    found = soak_world(
        WORLD, 0.12, breakout_weights, out=tmp_path / "soak.json", docs=tmp_path, memory=flat
    )
    assert found.samples[-1].steps == 108
    assert len(found.samples) == 108  # a short soak is looked at after every step
    kept = json.loads((tmp_path / "soak.json").read_text())
    assert kept["faults"] == []
    assert len(kept["samples"]) == len(found.samples)
    assert "a soak of 0.12 minutes of play" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


def test_a_leak_ends_the_command_after_its_table(breakout_weights, capsys):
    held = iter(range(10**6, 10**9, 10**6))
    with pytest.raises(SoakError, match="memory grew by"):
        soak_world(WORLD, 0.12, breakout_weights, memory=held.__next__)
    assert "| 108 | 16 |" in capsys.readouterr().out


@pytest.mark.parametrize("minutes", ["-1", "0", "0.1", "nan", "inf"])
def test_too_few_minutes_are_refused(monkeypatch, minutes):
    monkeypatch.setattr(sys, "argv", ["learned-envs", "bench", "breakout", "--soak", minutes])
    with pytest.raises(SystemExit, match="must be at least 0.11 minutes of play: 100 steps"):
        cli.main()
