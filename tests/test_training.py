"""Training runs that can be killed and gone on with, and their recipes."""

import dataclasses
import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import (
    CPU,
    Spy,
    assert_equal,
    endless,
    parameters,
    play,
    recipe,
    tiny_model,
    trained,
)
from torch import Tensor, nn

from learned_envs.data.window import Window
from learned_envs.models.world_model import WorldModel
from learned_envs.training import trainer
from learned_envs.training.closed_loop import closed_loop
from learned_envs.training.progress import cpu_seconds
from learned_envs.training.recipe import Recipe
from learned_envs.training.rounds import DivergedError
from learned_envs.training.trainer import dynamics_trainer


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    run = trained(tmp_path_factory.mktemp("unbroken"))
    return parameters(run.module), parameters(run.average)


def error_of(model: WorldModel) -> float:
    """Error of what the model writes, in one step from true contexts of unseen play."""
    torch.manual_seed(0)
    with torch.no_grad():
        loop = closed_loop(model, play(32, 6, seed=99), resync=1.0, divergence=1.0, device=CPU)
        return float(np.mean([step.loss.parts["write"] for step in loop]))


def test_the_loss_falls(tmp_path):
    run = dynamics_trainer(
        tiny_model(), recipe(steps=120, round_steps=120, average=0.9), endless, tmp_path
    )
    before = error_of(run.module)
    run.run(progress=False)
    assert error_of(run.module) < 0.7 * before
    assert error_of(run.average) < 0.7 * before


def test_a_codec_is_left_as_it_is(tmp_path):
    run = dynamics_trainer(tiny_model(), recipe(), endless, tmp_path)
    assert not any(p.requires_grad for p in run.module.codec.parameters())


class Killed(Exception):
    """Stands in for a kill, where a process of its own is not needed."""


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_run_that_was_stopped_after_a_round_ends_as_an_unbroken_one(tmp_path, unbroken, rounds):
    def stop(step: int, _: nn.Module) -> None:
        if step == 4 * rounds:
            raise Killed

    run = dynamics_trainer(tiny_model(), recipe(), endless, tmp_path, round_end=stop)
    with pytest.raises(Killed):
        run.run(progress=False)
    resumed = trained(tmp_path)
    assert_equal(parameters(resumed.module), unbroken[0])
    assert_equal(parameters(resumed.average), unbroken[1])


def _train_to_death(folder: Path, round_number: int) -> None:
    """Trains until the second window of a round, then dies as under `kill -9`."""

    def deadly(number: int) -> Iterator[Window]:
        for i, window in enumerate(endless(number)):
            if (number, i) == (round_number, 1):
                os.kill(os.getpid(), signal.SIGKILL)
            yield window

    torch.set_num_threads(1)
    dynamics_trainer(tiny_model(), recipe(), deadly, folder).run(progress=False)


def test_a_run_killed_twice_amid_rounds_ends_as_an_unbroken_one(tmp_path, unbroken):
    for round_number in (0, 2):
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_train_to_death, args=(tmp_path, round_number))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        process.close()
    resumed = trained(tmp_path)
    assert_equal(parameters(resumed.module), unbroken[0])
    assert_equal(parameters(resumed.average), unbroken[1])


def _train_and_count(folder: Path, plan: Recipe, counter: Path) -> None:
    """Trains, and makes a file one byte longer with every window."""

    def counted(number: int) -> Iterator[Window]:
        for window in endless(number):
            with counter.open("ab") as file:
                file.write(b".")
            yield window

    torch.set_num_threads(1)
    dynamics_trainer(tiny_model(), plan, counted, folder).run(progress=False)


@pytest.mark.full
def test_a_run_killed_from_outside_at_any_moment_ends_as_an_unbroken_one(tmp_path):
    plan = dict(steps=400, round_steps=2)  # most of the time goes into writing progress
    counter, random = tmp_path / "windows", np.random.default_rng(0)
    counter.touch()
    for _ in range(6):
        enough = counter.stat().st_size + random.integers(1, 12)
        process = multiprocessing.get_context("spawn").Process(
            target=_train_and_count, args=(tmp_path / "run", recipe(**plan), counter)
        )
        process.start()
        while counter.stat().st_size < enough and process.is_alive():
            time.sleep(random.uniform(0, 0.01))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        process.close()
    resumed, straight = trained(tmp_path / "run", **plan), trained(tmp_path / "straight", **plan)
    assert_equal(parameters(resumed.module), parameters(straight.module))


def test_a_half_written_file_of_progress_is_passed_over(tmp_path, unbroken):
    (tmp_path / "progress.safetensors.tmp").write_bytes(b"half")
    assert_equal(parameters(trained(tmp_path).module), unbroken[0])


def test_another_seed_leads_elsewhere(tmp_path, unbroken):
    other = parameters(trained(tmp_path, seed=1).module)
    assert any(not torch.equal(value, unbroken[0][name]) for name, value in other.items())


def test_the_loop_closes_as_the_recipe_says_for_each_windows_first_step(tmp_path, monkeypatch):
    asked = []

    def noted(*args, resync: float, on_truth: float, **settings):
        asked.append((resync, on_truth))
        return closed_loop(*args, resync=resync, on_truth=on_truth, **settings)

    monkeypatch.setattr(trainer, "closed_loop", noted)
    trained(tmp_path, on_truth=0.25)
    begins = (0, 3, 4, 7, 8, 11)  # windows of 3 steps, cut where a round of 4 ends
    assert asked == [(recipe().resync_at(step), 0.25) for step in begins]


def test_a_finished_run_does_not_train_on(tmp_path):
    before = parameters(trained(tmp_path).module)
    again = dynamics_trainer(tiny_model(), recipe(), endless, tmp_path)
    assert again.step == 12
    assert again.run(progress=False)
    assert_equal(parameters(again.module), before)


def test_what_training_costs_adds_up_over_runs_and_folders(tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(time, "process_time", lambda: float(next(ticks)))
    trained(tmp_path, steps=4)
    assert cpu_seconds(tmp_path) == 1.0
    trained(tmp_path)
    assert cpu_seconds(tmp_path) == 3.0
    trained(tmp_path / "codec", steps=4)
    assert cpu_seconds(tmp_path) == 4.0


def test_a_run_out_of_time_is_not_complete(tmp_path):
    run = dynamics_trainer(tiny_model(), recipe(), endless, tmp_path)
    assert not run.run(minutes=0, progress=False)
    assert run.step == 0


def test_the_last_round_stops_at_the_recipes_last_step(tmp_path):
    ends = []
    run = dynamics_trainer(
        tiny_model(),
        recipe(steps=6),
        endless,
        tmp_path,
        round_end=lambda step, _: ends.append(step),
    )
    run.run(progress=False)
    assert ends == [4, 6]


def test_figures_are_logged_every_20_steps(tmp_path):
    logged = {}
    run = dynamics_trainer(
        tiny_model(), recipe(steps=45, round_steps=30), endless, tmp_path, log=logged.__setitem__
    )
    run.run(progress=False)
    assert list(logged) == [20, 40]
    assert logged[40].keys() >= {"write", "mask", "reward", "termination", "norm", "age"}
    assert all(np.isfinite(value) for value in logged[40].values())


def test_a_broken_weight_is_a_divergence_that_names_the_step_and_the_remedy(tmp_path):
    model = tiny_model()

    def broken_in_round_1(number: int) -> Iterator[Window]:
        if number == 1:
            next(model.dynamics.parameters()).data.fill_(float("nan"))
        return endless(number)

    run = dynamics_trainer(model, recipe(), broken_in_round_1, tmp_path)
    with pytest.raises(DivergedError, match=r"loss is nan.* at step 4.*lower learning rate"):
        run.run(progress=False)


def test_after_a_divergence_the_last_good_round_is_still_there(tmp_path):
    model = tiny_model()
    kept = {}

    def broken_in_round_1(number: int) -> Iterator[Window]:
        if number == 1:
            kept.update(parameters(model))
            next(model.dynamics.parameters()).data.fill_(float("nan"))
        return endless(number)

    with pytest.raises(DivergedError, match=str(tmp_path)):
        dynamics_trainer(model, recipe(), broken_in_round_1, tmp_path).run(progress=False)
    resumed = dynamics_trainer(tiny_model(), recipe(), endless, tmp_path)
    assert resumed.step == 4
    assert_equal(parameters(resumed.module), kept)


class Scripted(Spy):
    """A dynamics of one weight, whose loss is a function of that weight and the step."""

    def __init__(self, script):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self._script = script

    def loss(self, state, action, target, noise, previous):
        loss = super().loss(state, action, target, noise, previous)
        return dataclasses.replace(loss, total=self._script(self.weight, len(self.shown)))


def test_a_gradient_that_is_no_number_is_a_divergence_though_the_loss_is_one(tmp_path):
    model = tiny_model(Scripted(lambda weight, _: (0 * weight).sqrt()))
    with pytest.raises(DivergedError, match=r"norm nan at step 0"):
        dynamics_trainer(model, recipe(), endless, tmp_path).run(progress=False)
    assert model.dynamics.weight.isfinite()


def test_a_loss_that_explodes_is_a_divergence(tmp_path):
    model = tiny_model(Scripted(lambda weight, step: weight * (1e4 if step >= 3 else 1.0)))
    with pytest.raises(DivergedError, match=r"usually .*at step 6"):
        dynamics_trainer(model, recipe(), endless, tmp_path).run(progress=False)


def test_a_round_that_ends_among_unusual_losses_is_not_kept(tmp_path):
    model = tiny_model(Scripted(lambda weight, step: weight * (1e4 if step >= 3 else 1.0)))
    with pytest.raises(DivergedError):
        dynamics_trainer(model, recipe(), endless, tmp_path).run(progress=False)
    resumed = dynamics_trainer(tiny_model(Scripted(None)), recipe(), endless, tmp_path)
    assert resumed.step == 0


def test_one_strange_window_is_no_divergence(tmp_path):
    model = tiny_model(Scripted(lambda weight, step: weight * (1e4 if step % 4 == 3 else 1.0)))
    assert dynamics_trainer(model, recipe(), endless, tmp_path).run(progress=False)


def test_a_loss_below_zero_is_no_divergence(tmp_path):
    model = tiny_model(Scripted(lambda weight, step: 0 * weight - (4.0 if step < 3 else 2.0)))
    assert dynamics_trainer(model, recipe(), endless, tmp_path).run(progress=False)


class Mirror(Spy):
    """Notes the weight that a step computes with, and the weight that it has."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2, bias=False)
        self.used: list[Tensor] = []
        self.held: list[Tensor] = []

    def loss(self, state, action, target, noise, previous):
        loss = super().loss(state, action, target, noise, previous)
        product = self.layer(torch.eye(2))
        self.used.append(product.detach().clone())
        self.held.append(self.layer.weight.detach().T.to(product.dtype).clone())
        return dataclasses.replace(loss, total=product.float().square().sum())


def test_every_step_computes_with_the_weights_that_the_step_before_left(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    mirror = Mirror()
    run = dynamics_trainer(
        tiny_model(mirror), recipe(steps=4, learning_rate=0.3, warmup=0), endless, tmp_path
    )
    run.run(progress=False)
    assert mirror.used[0].dtype == torch.bfloat16
    assert all(torch.equal(a, b) for a, b in zip(mirror.used, mirror.held, strict=True))
    assert all(not torch.equal(a, b) for a, b in zip(mirror.used, mirror.used[1:], strict=False))


def test_the_learning_rate_rises_stays_and_falls():
    plan = Recipe(steps=1000, learning_rate=1e-3, warmup=100, decay=0.3)
    at = plan.learning_rate_at
    assert at(0) == pytest.approx(1e-5)
    assert at(99) == at(400) == at(700) == 1e-3
    assert at(850) == pytest.approx(5e-4)
    assert at(999) == pytest.approx(1e-3 / 300)


def test_a_recipe_without_warm_up_or_decay_keeps_its_learning_rate():
    plan = Recipe(steps=10, learning_rate=1e-3, warmup=0, decay=0.0)
    assert {plan.learning_rate_at(step) for step in range(10)} == {1e-3}


def test_the_loop_closes_along_the_points_of_its_schedule():
    plan = Recipe(steps=1000, closing=((0.1, 0.0), (0.3, 0.8), (0.5, 0.9)))
    expected = {0: 1, 100: 1, 200: 0.6, 300: 0.2, 400: 0.15, 500: 0.1, 999: 0.1}
    assert {step: plan.resync_at(step) for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize("own", [0.0, 0.5, 1.0])
def test_one_point_is_a_schedule_that_stays(own):
    plan = Recipe(steps=100, closing=((0.0, own),))
    assert {plan.resync_at(step) for step in range(100)} == {1 - own}


@pytest.mark.parametrize(
    "wrong", [(), ((0.0, -0.1),), ((0.0, 1.1),), ((0.7, 0.0), (0.6, 1.0))], ids=str
)
def test_a_schedule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"`closing` .*their shares rising"):
        Recipe(closing=wrong)


def test_a_rollout_of_less_than_nothing_is_refused():
    with pytest.raises(ValueError, match=r"`rollout` \(=-1\) must be at least 1, or 0"):
        Recipe(rollout=-1)


@given(
    steps=st.integers(1, 50_000),
    place=st.floats(0, 1, exclude_max=True),
    warmup=st.integers(0, 1000),
    decay=st.floats(0, 1),
    shares=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted),
    own=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_schedules_stay_within_their_bounds(steps, place, warmup, decay, shares, own):
    closing = tuple(zip(shares, own, strict=True))
    plan = Recipe(steps=steps, warmup=warmup, decay=decay, closing=closing)
    step = int(place * steps)
    assert 0 < plan.learning_rate_at(step) <= plan.learning_rate
    assert min(own) - 1e-9 <= 1 - plan.resync_at(step) <= max(own) + 1e-9


@pytest.mark.parametrize("name", ["steps", "round_steps", "batch", "window"])
def test_a_recipe_refuses_to_do_nothing(name):
    with pytest.raises(ValueError, match=rf"`{name}` \(=0\) must be at least 1"):
        Recipe(**{name: 0})
