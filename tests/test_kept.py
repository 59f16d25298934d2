"""What a codec keeps is seen at the start of a dream and goes with it to its end."""

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import onnx
import pytest
import torch
from tiny_pond import SIZE, take, windows
from tiny_pond import config as sprites_config
from torch import Tensor

import learned_envs  # noqa: F401
from learned_envs.data.window import Window
from learned_envs.deploy.onnx_export import embed, export
from learned_envs.deploy.parity import ParityError, check_parity
from learned_envs.dream.dream_env import DreamEnv
from learned_envs.dream.onnx_runtime import OnnxRuntime
from learned_envs.dream.torch_runtime import TorchRuntime
from learned_envs.evaluation.speed.cost import Moment, count_gflop
from learned_envs.models.actions import ActionEncoding, PointActions
from learned_envs.models.checkpoint import GRAPH, Starts, save_checkpoint
from learned_envs.models.codecs.codec import to_frames, to_images
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.configuration import configuration, from_json, to_json
from learned_envs.models.dynamics.dynamics import Dynamics, Noise, Prediction, State, StepLoss
from learned_envs.models.world_model import WorldModel, WorldModelConfig
from learned_envs.packing import measure_surprises
from learned_envs.training.closed_loop import LoopStep, closed_loop
from learned_envs.training.codec import latent_spread

AGES, CONTEXT = (4, 1, 0), 2  # of frames that the codec looks at; latents that the dynamics do
SEEN = len(AGES)
NAMES = ["still", "cover", "coats", "worn"]


@configuration
class StandingConfig:
    """Dynamics in which nothing moves."""

    def build(self, latent_shape: tuple[int, int, int], actions: ActionEncoding) -> "Standing":
        return Standing()


class Standing(Dynamics):
    context = CONTEXT
    state_spec = {}
    noise_spec = {}

    def predict(self, state: State, action: Tensor, noise: Noise) -> Prediction:
        latent = state["latents"][:, -1]
        return Prediction(latent=latent, surprise=latent.mean((1, 2, 3)))

    def loss(
        self, state: State, action: Tensor, target: Tensor, noise: Noise, previous: Tensor
    ) -> StepLoss:
        prediction = self.predict(state, action, noise)
        return StepLoss(total=prediction.latent.sum(), parts={}, prediction=lambda: prediction)


def config() -> WorldModelConfig:
    sprites = sprites_config()
    finder = dataclasses.replace(sprites.finder, chance=0.0)  # so that random weights find fish
    codec = dataclasses.replace(sprites, finder=finder, ages=AGES)
    return WorldModelConfig(
        image_size=(SIZE, SIZE), actions=PointActions(), codec=codec,
        dynamics=StandingConfig(),  # type: ignore[arg-type]
    )  # fmt: skip


def model_of(seed: int = 0) -> WorldModel:
    torch.manual_seed(seed)
    return config().build().eval().requires_grad_(False)


def ponds(rows: int, length: int) -> Tensor:
    """Histories (rows, length, H, W, 3) of two fish in ponds with different beds."""
    fish = [(20.0, 12.0, 0.2), (48.0, 26.0, 2.6)]
    return torch.from_numpy(np.stack([take(fish, length - 1, 1.3, row) for row in range(rows)]))


def taps(rows: int, length: int) -> Tensor:
    return torch.rand(rows, length - 1, 3, generator=torch.Generator().manual_seed(0))


def parts(model: WorldModel, frames: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    return model.codec.begin(to_images(frames))


def save(folder: Path, model: WorldModel) -> Path:
    starts = Starts(frames=ponds(4, SEEN), actions=taps(4, SEEN))
    save_checkpoint(folder, model, starts, world=None)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save(tmp_path_factory.mktemp("kept") / "pond", model_of())


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    folder = save(tmp_path_factory.mktemp("embedded") / "pond", model_of())
    embed(folder, steps=8)
    return folder


def test_a_codec_of_single_images_keeps_nothing_and_adds_nothing_to_the_state():
    model = dataclasses.replace(config(), codec=IdentityConfig()).build()
    frames = ponds(2, 2)
    latents, kept = parts(model, frames)
    assert torch.equal(latents[:, 1], to_images(frames[:, 1]))
    assert kept == model.kept_spec == {} and model.context == CONTEXT
    assert list(model.start(frames, taps(2, 2))) == list(model.state_spec) == ["latents", "actions"]


def test_a_start_looks_at_as_many_frames_as_the_codec_wants():
    model, frames, actions = model_of(), ponds(2, 5), taps(2, 5)
    state = model.start(frames, actions)
    latents, kept = parts(model, frames[:, -SEEN:])
    assert model.context == SEEN
    assert {name: tuple(value.shape[1:]) for name, value in state.items()} == model.state_spec
    assert list(model.kept_spec) == [f"kept_{name}" for name in NAMES]
    assert all(torch.equal(state[f"kept_{name}"], kept[name]) for name in NAMES)
    assert torch.equal(state["latents"], latents[:, -CONTEXT:])
    assert torch.equal(state["actions"], actions[:, 1 - CONTEXT :])


def test_a_single_frame_is_start_enough():
    model, frames = model_of(), ponds(2, 1)
    state = model.start(frames, taps(2, 1))
    assert torch.equal(state["latents"][:, 0], state["latents"][:, 1])
    assert torch.equal(state["kept_still"], parts(model, frames)[1]["still"])


def test_a_step_leaves_what_is_kept_and_rendering_needs_it():
    model = model_of()
    state = model.start(ponds(2, SEEN), taps(2, SEEN))
    for _ in range(3):
        following, _ = model.step(state, torch.zeros(2, 3), {})
        assert list(following) == list(model.state_spec)
        assert all(torch.equal(following[name], state[name]) for name in model.kept_spec)
        state = following
    latents, kept = parts(model, ponds(2, SEEN))
    drawn = to_frames(model.codec.decode(latents[:, -1], kept))
    assert torch.equal(model.render(state), drawn)
    swapped = {**state, "kept_still": state["kept_still"].flip(0)}
    assert not torch.equal(model.render(swapped), drawn)


@pytest.mark.parametrize(("length", "places"), [(8, (3, 6, 7)), (2, (0, 0, 1)), (1, (0, 0, 0))])
def test_of_a_history_in_a_row_a_dream_looks_at_frames_of_its_ages(weights, length, places):
    frames, actions = ponds(1, length)[0], taps(1, length)[0]
    env = DreamEnv(weights)
    env.reset(options={"frames": frames.numpy(), "actions": actions.numpy()})
    led = [actions[place - 1] if place else torch.zeros(3) for place in places[1:]]
    state = model_of().start(frames[list(places)][None], torch.stack(led)[None])
    dreamed = env.get_state()["model"]
    assert all(np.allclose(dreamed[name], value, atol=1e-3) for name, value in state.items())


def test_a_configuration_with_sprites_comes_back_equal_from_json():
    assert from_json(json.loads(json.dumps(to_json(config())))) == config()


def test_a_state_goes_on_in_another_load_of_the_same_checkpoint(weights):
    env, other = DreamEnv(weights), DreamEnv(weights)
    env.reset(seed=0)
    other.reset(seed=1, options={"frames": ponds(6, 2)[5].numpy(), "actions": np.zeros((1, 3))})
    assert not np.array_equal(env.get_state()["frames"], other.get_state()["frames"])
    other.set_state(env.get_state())
    tap = np.ones(3, np.float32)
    assert np.array_equal(env.step(tap)[0], other.step(tap)[0])
    assert set(env.get_state()["model"]) == set(model_of().state_spec)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_each_row_of_a_batch_has_what_was_kept_at_its_own_start(weights, embedded, runtime):
    env = gym.make_vec("Dream-v0", 3, weights=embedded, runtime=runtime)
    before, _ = env.reset(options={"start": 0})
    env.step(np.zeros((3, 3), np.float32))
    env.reset(options={"start": 2, "reset_mask": np.array([False, True, False])})
    after, *_ = env.step(np.zeros((3, 3), np.float32))
    other, _ = DreamEnv(weights).reset(options={"start": 2})
    assert np.array_equal(after[[0, 2]], before[[0, 2]]) and np.array_equal(after[1], other)


def test_the_graph_of_a_step_takes_what_is_kept_and_does_not_give_it_back(embedded):
    with zipfile.ZipFile(embedded / GRAPH) as file:
        graph = onnx.load_from_string(file.read("step.onnx")).graph
    given, made = ([value.name for value in values] for values in (graph.input, graph.output))
    assert [f"state_kept_{name}" for name in NAMES] == given[2:6]
    assert made[:3] == ["next_latents", "next_actions", "frame"]
    assert not [name for name in made if "kept" in name]


def test_parity_compares_what_is_kept(embedded, tmp_path):
    model = TorchRuntime(embedded).model
    with torch.no_grad():
        model.codec.shade[0].weight.add_(0.2)
    changed = TorchRuntime(save(tmp_path / "changed", model))
    with pytest.raises(ParityError, match="'kept_still' at the start differs"):
        check_parity(changed, OnnxRuntime(embedded), tolerance=1e-3, steps=4)


@pytest.mark.full
def test_an_exported_file_begins_from_frames_as_its_checkpoint_does(weights, tmp_path):
    for path in export(weights, tmp_path, steps=20):
        onnx.checker.check_model(onnx.load(path), full_check=True)
        env = DreamEnv(path)
        shown, _ = env.reset(seed=0)
        assert np.mean(shown == DreamEnv(weights).reset(seed=0)[0]) > 0.99
        assert env.step(np.ones(3, np.float32))[0] in env.observation_space


def seam(window: Window, t: int) -> Window:
    """The window, whose first row shows another pond from frame `t` on."""
    first, frames = window.first.copy(), window.observation.copy()
    first[0, t] = True
    frames[0, t:] = take([(30.0, 30.0, 1.0)], first.shape[1] - t - 1, seed=77)
    return dataclasses.replace(
        window, observation=frames, first=first, valid=window.valid & ~first[:, 1:]
    )


def walk(model: WorldModel, window: Window, **how: Any) -> tuple[list[State], list[LoopStep]]:
    """The states that dynamics are shown in training, and the steps."""
    shown: list[State] = []
    loss = model.dynamics.loss

    def spied(state: State, *rest: Tensor) -> StepLoss:
        shown.append(state)
        return loss(state, *rest)

    model.dynamics.loss = spied  # type: ignore[method-assign]
    loop = closed_loop(model, window, divergence=np.inf, device=torch.device("cpu"), **how)
    return shown, list(loop)


def test_in_training_latents_and_what_is_kept_are_of_one_look_at_each_take():
    model, window = model_of(), seam(next(windows(0, rows=2, steps=9)), 4)
    shown, steps = walk(model, window, resync=0.3)
    frames = torch.from_numpy(window.observation)
    takes = {
        (0, 4): parts(model, frames[:1, :4]),
        (4, 10): parts(model, frames[:1, 4:]),
        (0, 10): parts(model, frames[1:]),
    }
    assert [len(step.target) for step in steps] == [2, 2, 1, 2, 2, 2, 2, 2]
    for t, (state, step) in enumerate(zip(shown, steps, strict=True), CONTEXT - 1):
        for place, row in enumerate(range(2 - len(step.target), 2)):
            begin, end = (0, 10) if row else ((0, 4) if t < 4 else (4, 10))
            latents, kept = takes[begin, end]
            assert torch.equal(step.target[place], latents[0, t + 1 - begin])
            assert torch.equal(step.previous[place], latents[0, t - begin])
            assert all(torch.equal(state[f"kept_{n}"][place], kept[n][0]) for n in NAMES)


def test_faults_are_planted_in_what_is_latent_and_never_in_what_is_kept():
    torch.manual_seed(0)
    model, window = model_of(), next(windows(1, rows=4, steps=6))
    shown, steps = walk(model, window, resync=1.0, damaged=1.0)
    takes = [parts(model, torch.from_numpy(frames)[None])[1] for frames in window.observation]
    for state in shown:
        for name in NAMES:
            assert torch.equal(state[f"kept_{name}"], torch.cat([kept[name] for kept in takes]))
    newest = [(s["latents"][:, -1], step.previous) for s, step in zip(shown, steps, strict=True)]
    assert any(not torch.equal(seen, true) for seen, true in newest)


@configuration
class CountingConfig:
    """Dynamics that are the more surprised the more steps they remember."""

    def build(self, latent_shape: tuple[int, int, int], actions: ActionEncoding) -> "Counting":
        return Counting()


class Counting(Standing):
    state_spec = {"steps": (1,)}

    def predict(self, state: State, action: Tensor, noise: Noise) -> Prediction:
        steps = state["steps"]
        return Prediction(
            latent=state["latents"][:, -1], surprise=steps[:, 0], state={"steps": steps + 1}
        )


def test_surprise_is_measured_once_dynamics_remember():
    model = dataclasses.replace(config(), dynamics=CountingConfig()).build()
    assert (measure_surprises(model, windows(2, rows=1, steps=12)) == 8).all()


def test_surprise_the_spread_of_latents_and_the_cost_of_a_step_are_measured():
    model, window = model_of(), next(windows(2, rows=2, steps=12))
    table = measure_surprises(model, iter([window]))
    assert table.isfinite().all() and table[0] < table[-1]
    assert latent_spread(model.codec, window) > 0
    history = torch.from_numpy(window.observation[:1]), torch.from_numpy(window.action[:1])
    moment = Moment(frames=history[0][:, :-1], actions=history[1][:, :-1], action=history[1][:, -1])
    assert count_gflop(model, [moment]) > 0


@pytest.mark.parametrize("ages", [(), (2, 1), (0, 1), (1, 1, 0)])
def test_ages_that_do_not_fall_to_now_are_refused(ages):
    with pytest.raises(ValueError, match="must fall to 0"):
        dataclasses.replace(sprites_config(), ages=ages)
