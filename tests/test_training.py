"""Training: what the closed loop shows the model, and runs that can be killed and gone on with."""

import dataclasses
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
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from learned_envs import pipeline, worlds
from learned_envs.data.window import Window
from learned_envs.models.actions import DiscreteActions
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.models.codecs.codec import to_images
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.dynamics import Dynamics, Noise, Prediction, State, StepLoss
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
from learned_envs.models.heads import HeadsConfig
from learned_envs.models.world_model import WorldModel, WorldModelConfig
from learned_envs.training import trainer
from learned_envs.training.closed_loop import LoopStep, closed_loop
from learned_envs.training.recipe import Recipe
from learned_envs.training.rounds import DivergedError
from learned_envs.training.trainer import dynamics_trainer

CPU = torch.device("cpu")
CONTEXT, SIZE = 4, 16
IDLE = 2


def tiny_config(size: int = SIZE) -> WorldModelConfig:
    return WorldModelConfig(
        image_size=(size, size),
        actions=DiscreteActions(count=3, idle=IDLE),
        codec=IdentityConfig(),
        dynamics=SparseEditorConfig(widths=(8, 8), blocks=(1, 1), head=8),
        heads=HeadsConfig(rewards=(0.0, 1.0), width=8),
    )


def tiny_model(dynamics: Dynamics | None = None) -> WorldModel:
    torch.manual_seed(0)
    model = tiny_config().build()
    if dynamics is not None:
        model.dynamics = dynamics
    return model


def play(
    rows: int, steps: int, *, first: np.ndarray | None = None, valid: np.ndarray | None = None,
    seed: int = 0,
) -> Window:  # fmt: skip
    """A bar in the middle of every frame, which moves as the action says; frames are all unlike."""
    random = np.random.default_rng(seed)
    action = random.integers(3, size=(rows, steps))
    place = (np.cumsum(action - 1, 1) + random.integers(SIZE, size=(rows, 1))) % SIZE
    frames = np.full((rows, steps + 1, SIZE, SIZE, 3), 100, np.uint8)
    for row, t in np.ndindex(rows, steps):
        frames[row, t + 1, 4:12, place[row, t]] = 160
    frames[:, 0, 4:12, 0] = 130
    frames[:, :, 0, 0, 0] = np.arange(steps + 1)  # a clock, so that no two frames are equal
    begins = np.zeros((rows, steps + 1), bool)
    begins[:, 0] = True
    begins = begins if first is None else first
    return Window(
        observation=frames,
        action=action,
        reward=(action == 1).astype(np.float32),
        terminated=np.zeros((rows, steps), bool),
        first=begins,
        valid=~begins[:, 1:] if valid is None else valid,
        metadata={},
    )


def endless(number: int, *, rows: int = 8, steps: int = 3) -> Iterator[Window]:
    seed = 1000 * number
    while True:
        seed += 1
        yield play(rows, steps, seed=seed)


class Spy(Dynamics):
    """Keeps what it is shown, and predicts the truth plus an error for each row."""

    context = CONTEXT
    state_spec = {}
    noise_spec = {}

    def __init__(self, error: Tensor | float = 0.0):
        super().__init__()
        self.error = torch.as_tensor(error)
        self.shown: list[tuple[State, Tensor]] = []

    def predict(self, state: State, action: Tensor, noise: Noise) -> Prediction:
        raise NotImplementedError

    def loss(self, state: State, action: Tensor, target: Tensor, noise: Noise) -> StepLoss:
        self.shown.append((state, action))
        latent = target + self.error.view(-1, 1, 1, 1)
        prediction = Prediction(latent=latent, surprise=target.new_zeros(len(target)))
        return StepLoss(total=latent.sum() * 0, parts={}, prediction=prediction)


def walk(
    spy: Spy, window: Window, *, resync: float, divergence: float = np.inf, on_truth: float = 0.0
) -> list[tuple[State, Tensor, LoopStep]]:
    """State, action and loop step of each step that the spy was shown."""
    loop = list(
        closed_loop(
            tiny_model(spy), window, resync=resync, divergence=divergence, on_truth=on_truth,
            device=CPU,
        )
    )  # fmt: skip
    return [(*shown, step) for shown, step in zip(spy.shown, loop, strict=True)]


def latents_of(window: Window, t: int) -> Tensor:
    return to_images(torch.from_numpy(window.observation[:, t]))


def true_context(window: Window, row: int, t: int) -> tuple[Tensor, Tensor] | None:
    """Latents and encoded actions before step t of a row, frame by frame, or None if unknown."""
    if not window.valid[row, t]:
        return None
    frames, actions = [t], []
    while len(frames) < CONTEXT:
        if window.first[row, frames[0]]:
            frames, actions = [frames[0], *frames], [IDLE, *actions]
        elif frames[0] == 0:
            return None
        else:
            actions = [window.action[row, frames[0] - 1], *actions]
            frames = [frames[0] - 1, *frames]
    codes = torch.eye(3)[actions]
    return to_images(torch.from_numpy(window.observation[row, frames])), codes


def seams() -> Window:
    """An ordinary start, a seam, two seams in a row, a cut-off start, and padding at the end."""
    first, valid = np.zeros((5, 11), bool), np.ones((5, 10), bool)
    first[:4, 0] = True
    first[1, 5] = first[2, 3] = first[2, 4] = True
    first[3, 0] = False
    valid &= ~first[:, 1:]
    valid[4, 7:] = False
    return play(5, 10, first=first, valid=valid)


# --- the closed loop -----------------------------------------------------------------------------


def test_at_resync_1_every_context_is_the_truth_padded_where_an_episode_begins():
    window = seams()
    steps = iter(walk(Spy(error=0.5), window, resync=1.0))
    for t in range(10):
        contexts = [true_context(window, row, t) for row in range(5)]
        rows = [row for row, context in enumerate(contexts) if context is not None]
        state, action, step = next(steps)
        for place, row in enumerate(rows):
            latents, codes = contexts[row]
            assert torch.equal(state["latents"][place], latents)
            assert torch.equal(state["actions"][place], codes)
        assert torch.equal(action, torch.eye(3)[window.action[rows, t]])
        assert torch.equal(step.previous, latents_of(window, t)[rows])
        assert torch.equal(step.target, latents_of(window, t + 1)[rows])
        assert torch.equal(step.reward, torch.from_numpy(window.reward[rows, t]))
        assert torch.equal(step.terminated, torch.from_numpy(window.terminated[rows, t]))
    assert next(steps, None) is None


def test_rows_whose_context_is_unknown_are_not_used():
    window = play(2, 8, first=np.zeros((2, 9), bool))
    steps = walk(Spy(), window, resync=1.0)
    assert len(steps) == 8 - (CONTEXT - 1)
    assert torch.equal(steps[0][2].previous, latents_of(window, CONTEXT - 1))


def test_the_step_across_a_seam_is_not_used():
    first = np.zeros((1, 7), bool)
    first[0, [0, 3]] = True
    window = play(1, 6, first=first)
    shown = [step.target for _, _, step in walk(Spy(), window, resync=0.0)]
    expected = [latents_of(window, t + 1) for t in (0, 1, 3, 4, 5)]
    assert all(torch.equal(a, b) for a, b in zip(shown, expected, strict=True))


def test_after_a_seam_a_row_begins_from_the_truth():
    first = np.zeros((1, 7), bool)
    first[0, [0, 3]] = True
    window = play(1, 6, first=first)
    state, _, _ = walk(Spy(error=0.5), window, resync=0.0)[2]
    assert torch.equal(state["latents"][0], latents_of(window, 3).expand(CONTEXT, -1, -1, -1))


def test_at_resync_0_a_row_walks_on_its_own_predictions():
    window, error = play(3, 6), 8 / 255
    steps = walk(Spy(error=error), window, resync=0.0)
    for t, (state, _, _) in enumerate(steps):
        offset = error if t else 0.0
        assert torch.allclose(state["latents"][:, -1], latents_of(window, t) + offset, atol=1e-5)


def test_the_actions_of_a_walk_are_those_that_were_played():
    window = play(3, 6)
    state, _, _ = walk(Spy(error=0.1), window, resync=0.0)[5]
    assert torch.equal(state["actions"], torch.eye(3)[window.action[:, 5 - CONTEXT + 1 : 5]])


def test_a_walk_that_leaves_the_lattice_is_rounded_back_to_it():
    state, _, _ = walk(Spy(error=0.3 / 255), play(1, 3), resync=0.0)[2]
    assert torch.allclose(state["latents"][:, -1], latents_of(play(1, 3), 2), atol=1e-6)


def test_a_share_of_the_rows_may_stay_on_the_truth_while_the_others_walk():
    window = play(4, 5)
    for t, (state, _, _) in enumerate(walk(Spy(0.1), window, resync=0.0, on_truth=0.5)[1:], 1):
        true = (state["latents"][:, -1] == latents_of(window, t)).flatten(1).all(1)
        assert true.tolist() == [True, True, False, False]


def test_rows_that_diverge_go_back_to_the_truth_and_the_others_walk_on():
    window = play(2, 4)
    steps = walk(Spy(error=torch.tensor([0.5, 0.02])), window, resync=0.0, divergence=64 * 0.1)
    state, _, _ = steps[3]
    truth = latents_of(window, 3)
    assert torch.equal(state["latents"][0, -1], truth[0])
    assert not torch.equal(state["latents"][1, -1], truth[1])


def test_a_thing_misplaced_in_one_corner_is_a_divergence():
    class Misplaced(Spy):
        def loss(self, state, action, target, noise):
            loss = super().loss(state, action, target, noise)
            loss.prediction.latent[:, :, :4, :4] += 0.9
            return loss

    window = play(1, 3)
    state, _, _ = walk(Misplaced(), window, resync=0.0, divergence=6.0)[2]
    assert torch.equal(state["latents"][:, -1], latents_of(window, 2))


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_rows_that_are_no_longer_numbers_go_back_to_the_truth(error):
    window = play(1, 4)
    for t, (state, _, _) in enumerate(walk(Spy(error=error), window, resync=0.0, divergence=6.0)):
        assert torch.equal(state["latents"][:, -1], latents_of(window, t))


def test_a_latent_smaller_than_the_neighbourhood_that_divergence_looks_at_will_do():
    model = dataclasses.replace(
        tiny_config(4), dynamics=SparseEditorConfig(widths=(8,), blocks=(1,), head=8, patch=2)
    ).build()
    window = play(2, 4)
    small = dataclasses.replace(window, observation=window.observation[:, :, 4:8, 4:8])
    assert len(list(closed_loop(model, small, resync=0.0, divergence=1.0, device=CPU))) == 4


@pytest.mark.parametrize(("resync", "ages"), [(1.0, [0, 0, 0, 0]), (0.0, [0, 1, 2, 3])])
def test_age_counts_the_steps_since_the_truth(resync, ages):
    assert [step.age for *_, step in walk(Spy(), play(3, 4), resync=resync)] == ages


def test_resync_sends_about_that_share_of_rows_back():
    steps = walk(Spy(error=8 / 255), play(400, 3), resync=0.25)
    back = (steps[2][0]["latents"][:, -1] == latents_of(play(400, 3), 2)).all(3).all(2).all(1)
    assert 0.15 < back.float().mean() < 0.35


# --- runs ----------------------------------------------------------------------------------------


def recipe(**changes) -> Recipe:
    few = dict(steps=12, round_steps=4, warmup=2, learning_rate=3e-3, batch=8, window=4)
    return Recipe(**few | changes)


def parameters(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def trained(folder: Path, **changes):
    """A run from where the folder stands to the recipe's end."""
    run = dynamics_trainer(tiny_model(), recipe(**changes), endless, folder)
    assert run.run(progress=False)
    return run


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

    def loss(self, state, action, target, noise):
        loss = super().loss(state, action, target, noise)
        return dataclasses.replace(loss, total=self._script(self.weight, len(self.shown)))


def test_a_gradient_that_is_no_number_is_a_divergence_though_the_loss_is_one(tmp_path):
    model = tiny_model(Scripted(lambda weight, _: (0 * weight).sqrt()))
    with pytest.raises(DivergedError, match=r"norm nan at step 0"):
        dynamics_trainer(model, recipe(), endless, tmp_path).run(progress=False)
    assert model.dynamics.weight.isfinite()


def test_a_loss_that_explodes_is_a_divergence(tmp_path):
    model = tiny_model(Scripted(lambda weight, step: weight * (1e4 if step == 3 else 1.0)))
    with pytest.raises(DivergedError, match=r"usually .*at step 2"):
        dynamics_trainer(model, recipe(), endless, tmp_path).run(progress=False)


class Mirror(Spy):
    """Notes the weight that a step computes with, and the weight that it has."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2, bias=False)
        self.used: list[Tensor] = []
        self.held: list[Tensor] = []

    def loss(self, state, action, target, noise):
        loss = super().loss(state, action, target, noise)
        product = self.layer(torch.eye(2))
        self.used.append(product.detach().clone())
        self.held.append(self.layer.weight.detach().T.to(product.dtype).clone())
        return dataclasses.replace(loss, total=product.float().square().sum())


def test_every_step_computes_with_the_weights_that_the_step_before_left(tmp_path):
    mirror = Mirror()
    run = dynamics_trainer(
        tiny_model(mirror), recipe(steps=4, learning_rate=0.3, warmup=0), endless, tmp_path
    )
    run.run(progress=False)
    assert mirror.used[0].dtype == torch.bfloat16
    assert all(torch.equal(a, b) for a, b in zip(mirror.used, mirror.held, strict=True))
    assert all(not torch.equal(a, b) for a, b in zip(mirror.used, mirror.used[1:], strict=False))


# --- recipes -------------------------------------------------------------------------------------


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


def test_resync_falls_from_teacher_forcing_to_its_least():
    plan = Recipe(steps=1000, teacher_forced=0.1, closed_by=0.3, resync=0.2)
    assert plan.resync_at(0) == plan.resync_at(100) == 1
    assert plan.resync_at(200) == pytest.approx(0.6)
    assert plan.resync_at(300) == plan.resync_at(999) == pytest.approx(0.2)


def test_a_recipe_may_close_the_loop_at_once():
    plan = Recipe(steps=1000, teacher_forced=0.0, closed_by=0.0, resync=0.0)
    assert [plan.resync_at(step) for step in (0, 1, 999)] == [1, 0, 0]


def test_resync_1_is_teacher_forcing_throughout():
    plan = Recipe(steps=100, resync=1.0)
    assert {plan.resync_at(step) for step in range(100)} == {1}


@given(
    steps=st.integers(1, 50_000),
    place=st.floats(0, 1, exclude_max=True),
    warmup=st.integers(0, 1000),
    decay=st.floats(0, 1),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    resync=st.floats(0, 1),
)
def test_schedules_stay_within_their_bounds(steps, place, warmup, decay, shares, resync):
    plan = Recipe(
        steps=steps, warmup=warmup, decay=decay, resync=resync,
        teacher_forced=shares[0], closed_by=shares[1],
    )  # fmt: skip
    step = int(place * steps)
    assert 0 < plan.learning_rate_at(step) <= plan.learning_rate
    assert resync - 1e-9 <= plan.resync_at(step) <= 1


@pytest.mark.parametrize("name", ["steps", "round_steps", "batch", "window"])
def test_a_recipe_refuses_to_do_nothing(name):
    with pytest.raises(ValueError, match=rf"`{name}` \(=0\) must be at least 1"):
        Recipe(**{name: 0})


# --- the whole line ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world():
    """Breakout with a preset that trains in no time."""

    def tiny() -> WorldModelConfig:
        return tiny_config(64)

    def tiny_recipe() -> Recipe:
        return Recipe(steps=20, round_steps=10, batch=4, window=6, warmup=2)

    breakout = worlds.get("breakout")
    return dataclasses.replace(breakout, presets={"tiny": tiny}, recipes={"tiny": tiny_recipe})


@pytest.fixture(scope="module")
def packed_run(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, pipeline.train_preset(world, "tiny", folder)


def test_a_preset_is_trained_into_a_checkpoint_that_loads(packed_run):
    folder, packed = packed_run
    assert packed == folder / "checkpoint"
    checkpoint = load_checkpoint(packed)
    assert checkpoint.world == "breakout"
    assert checkpoint.settings == {"fps": 15, "max_episode_steps": 1000}
    assert checkpoint.model.config == tiny_config(64)


def test_the_starts_are_frames_of_the_real_reset(packed_run, world):
    frames = load_checkpoint(packed_run[1]).starts.frames.numpy()
    real = world.make_real().reset(seed=0)[0]
    assert frames.shape == (1, 1, 64, 64, 3)
    assert np.array_equal(frames[0, 0], real)


def test_the_table_of_doubt_is_sorted_and_not_empty(packed_run):
    surprises = load_checkpoint(packed_run[1]).model.surprises
    assert (surprises.diff() >= 0).all()
    assert surprises[0] < surprises[-1]


def test_tensorboard_shows_scalars_sample_grids_and_rollout_strips(packed_run):
    events = EventAccumulator(str(packed_run[0] / "log"))
    events.Reload()
    tags = events.Tags()
    assert {"train/write", "held_out/psnr_1"} <= set(tags["scalars"])
    assert {"one_step", "rollout"} <= set(tags["images"])


def test_the_same_command_again_finds_the_run_complete(packed_run, world):
    folder, packed = packed_run
    before = dict(load_checkpoint(packed).model.named_parameters())
    assert pipeline.train_preset(world, "tiny", folder) == packed
    assert_equal(dict(load_checkpoint(packed).model.named_parameters()), before)


def test_other_settings_in_the_same_folder_are_refused(packed_run, world):
    with pytest.raises(ValueError, match=r"run with another recipe: give another --out"):
        pipeline.train_preset(world, "tiny", packed_run[0], steps=21)


def test_an_unknown_preset_is_refused_with_the_known_ones(world, tmp_path):
    with pytest.raises(ValueError, match="breakout has no preset 'huge'; it has tiny"):
        pipeline.train_preset(world, "huge", tmp_path)


def test_a_preset_out_of_time_leaves_no_checkpoint_and_can_be_gone_on_with(world, tmp_path):
    assert pipeline.train_preset(world, "tiny", tmp_path, minutes=0, steps=4) is None
    assert not (tmp_path / "checkpoint").exists()
    assert load_checkpoint(pipeline.train_preset(world, "tiny", tmp_path, steps=4))
