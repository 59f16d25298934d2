"""A world model that is told a game's variables: in its steps, its training and its dreams."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from tiny_told import METADATA, VARIABLES, told_model, window, windows

from learned_envs.deploy.onnx_export import embed, export
from learned_envs.models.actions import PointActions
from learned_envs.models.checkpoint import Starts, save_checkpoint
from learned_envs.models.world_model import draw_noise
from learned_envs.training.closed_loop import closed_loop
from learned_envs.training.recipe import Recipe
from learned_envs.training.trainer import dynamics_trainer

CPU = torch.device("cpu")
SEEN = window(5, rows=3)
SAYING = replace(METADATA, reward="bumps", over=(("bumps", 2.0), ("side", 1.0)))


def began(model, metadata=None):
    frames, actions = (torch.from_numpy(x) for x in (SEEN.observation, SEEN.action))
    return model.start(frames[:, :2], actions[:, :1], metadata)


def true_values(frames: int = 2) -> torch.Tensor:
    columns = [torch.from_numpy(SEEN.metadata[v.name][:, :frames]) for v in VARIABLES]
    return torch.stack(columns, -1).float()


def stepped(model, state, action=2):
    noise = draw_noise(model.noise_spec, [np.random.default_rng(row) for row in range(3)])
    given = {name: torch.from_numpy(value) for name, value in noise.items()}
    with torch.no_grad():
        return model.step(state, torch.full((3,), action), given)


def foretell(model, monkeypatch, *numbers):
    """Has the predictor say these values, whatever it sees."""

    def predict(values, memory, latent, action, chance):
        return torch.tensor(numbers, dtype=torch.float32).expand(len(latent), -1), memory

    monkeypatch.setattr(model.metadata, "predict", predict)


def test_a_state_holds_the_last_two_values_and_a_step_moves_them_on(monkeypatch):
    model = told_model()
    state = began(model, true_values())
    assert state["metadata"].tolist() == true_values().tolist()
    foretell(model, monkeypatch, 7, 1, 12)
    following, prediction = stepped(model, state)
    assert following["metadata"][:, 0].tolist() == true_values()[:, 1].tolist()
    assert following["metadata"][0, 1].tolist() == [7, 1, 12]
    assert {name: value[0].item() for name, value in prediction.metadata.items()} == {
        "bumps": 7, "side": 1, "place": 12,
    }  # fmt: skip
    assert set(model.metadata_spec) == {"metadata", "metadata_memory"} < set(following)


def test_dynamics_are_told_the_action_and_the_values_it_leads_to(monkeypatch):
    model = told_model()
    foretell(model, monkeypatch, 7, 1, 12)
    following, _ = stepped(model, began(model, true_values()))
    code = following["actions"][0, -1]
    assert code[:3].tolist() == [0, 0, 1]
    assert torch.equal(code[3:], METADATA.show(torch.tensor([7.0, 1.0, 12.0])))


def test_what_it_is_told_changes_what_it_dreams(monkeypatch):
    torch.manual_seed(0)
    model = told_model()
    state = began(model, true_values())
    raws = []
    for place in (0, 20):
        foretell(model, monkeypatch, 0, 0, place)
        code, _ = model.tell(state, torch.eye(3), {"metadata": torch.zeros(3, 3)})
        raws.append(model.dynamics.predict(state, code, {"choice": torch.zeros(3, 1)}).latent)
    assert not torch.allclose(*raws)


def test_reward_and_end_are_said_by_the_variables(monkeypatch):
    model = told_model(metadata=SAYING)
    state = began(model, torch.tensor([1.0, 1.0, 16.0]).expand(3, 2, -1))
    foretell(model, monkeypatch, 2, 1, 20)
    _, prediction = stepped(model, state)
    assert prediction.reward.tolist() == [1, 1, 1] == prediction.termination.tolist()
    foretell(model, monkeypatch, 2, 0, 8)
    _, prediction = stepped(model, state)
    assert prediction.termination.tolist() == [0, 0, 0]


def test_values_that_nobody_tells_are_read_from_the_frames(monkeypatch):
    model = told_model()
    monkeypatch.setattr(model.metadata, "read", lambda seen: seen[:, :3].amax((2, 3)))
    told = began(model)["metadata"]
    assert told.shape == (3, 2, 3)
    brightest = SEEN.observation[:, :2].max((2, 3)) / 127.5 - 1
    assert np.allclose(told.numpy(), brightest, atol=1e-6)


def test_values_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"metadata of shape \(3, 1, 3\).* expected \(3, 2, 3\)"):
        began(told_model(), true_values(1))
    with pytest.raises(ValueError, match=r"expected \(3, 2, 0\)"):
        began(told_model(metadata=None), true_values())


def test_actions_that_are_drawn_leave_no_room_for_variables():
    config = replace(told_model().config, metadata=None)
    with pytest.raises(ValueError, match="`metadata` was given with actions that are drawn"):
        replace(config, metadata=METADATA, actions=PointActions())


def told_in_a_loop(model, monkeypatch, **settings):
    """Codes that the dynamics were told in each step of a window, and the states they saw."""
    told, loss = [], model.dynamics.loss

    def watched(state, code, *others):
        told.append((code, state))
        return loss(state, code, *others)

    monkeypatch.setattr(model.dynamics, "loss", watched)
    for _ in closed_loop(model, SEEN, divergence=1e9, device=CPU, **settings):
        pass
    return told


def test_on_the_truth_the_dynamics_are_told_true_values(monkeypatch):
    model = told_model()
    foretell(model, monkeypatch, 99, 0, 0)
    for t, (code, state) in enumerate(told_in_a_loop(model, monkeypatch, resync=1.0)):
        shown = METADATA.show(true_values(t + 2)[:, -1])
        assert torch.equal(code[:, 3:], shown)
        assert torch.equal(state["metadata"][:, 1], true_values(t + 1)[:, -1])


def test_off_the_truth_they_are_told_the_values_of_the_dream(monkeypatch):
    model = told_model()
    foretell(model, monkeypatch, 99, 0, 0)
    steps = told_in_a_loop(model, monkeypatch, resync=0.0, on_truth=1 / 3)
    code, state = steps[5]
    dreamed = METADATA.show(torch.tensor([99.0, 0.0, 0.0]))
    assert torch.equal(code[0, 3:], METADATA.show(true_values(7)[0, -1]))
    assert torch.equal(code[1, 3:], dreamed) and torch.equal(code[2, 3:], dreamed)
    assert state["metadata"][1].tolist() == [[99, 0, 0]] * 2


def test_training_the_dynamics_leaves_the_predictor_as_it_is(tmp_path):
    model = told_model()
    before = {name: value.clone() for name, value in model.metadata.state_dict().items()}
    recipe = Recipe(steps=2, round_steps=2, batch=8, window=12, damaged=0.0)
    trainer = dynamics_trainer(model, recipe, windows, tmp_path)
    assert trainer.run(progress=False)
    after = trainer.module.metadata.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("told") / "checkpoint"
    starts = Starts(
        frames=torch.from_numpy(SEEN.observation[:, :1]),
        actions=torch.from_numpy(SEEN.action[:, :0]),
    )
    endless = replace(SAYING, over=(("bumps", 99.0),))
    save_checkpoint(folder, told_model(metadata=endless), starts, world=None)
    return folder


def test_a_dream_tells_its_variables_from_reset_on(checkpoint):
    env = gym.make("Dream-v0", weights=checkpoint, runtime="torch")
    _, info = env.reset(seed=0)
    assert {"bumps", "side", "place"} < info.keys()
    before = info["bumps"]
    _, reward, terminated, _, info = env.step(2)
    assert reward == info["bumps"] - before
    assert not terminated
    batch = gym.make_vec("Dream-v0", 2, weights=checkpoint, runtime="torch")
    assert batch.reset(seed=0)[1]["place"].shape == (2,)
    info = batch.step(np.array([2, 2]))[4]
    assert info["place"].shape == (2,) and info["_place"].all()


def test_a_branched_dream_has_the_same_variables(checkpoint):
    env = gym.make("Dream-v0", weights=checkpoint, runtime="torch").unwrapped
    env.reset(seed=0)
    env.step(0)
    state = env.get_state()
    ahead = [env.step(2)[4] for _ in range(3)]
    env.set_state(state)
    assert [env.step(2)[4] for _ in range(3)] == ahead


def test_the_graph_of_its_step_is_the_models(checkpoint, tmp_path):
    embed(checkpoint, steps=20)
    env = gym.make("Dream-v0", weights=checkpoint, runtime="onnx")
    other = gym.make("Dream-v0", weights=checkpoint, runtime="torch")
    infos = [e.reset(seed=3)[1] for e in (env, other)]
    assert infos[0]["place"] == pytest.approx(infos[1]["place"], abs=1e-3)
    written = export(checkpoint, tmp_path, dtype="fp32", steps=4)
    alone = gym.make("Dream-v0", weights=written[0])
    assert alone.reset(seed=3)[1]["place"] == pytest.approx(infos[1]["place"], abs=1e-3)
    assert "side" in alone.step(1)[4]


@pytest.mark.full
@pytest.mark.parametrize("family", ["lstm", "transformer"])
def test_the_graph_of_every_family_is_the_models(family, tmp_path):
    model = told_model(metadata=replace(SAYING, family=family))
    starts = Starts(
        frames=torch.from_numpy(SEEN.observation[:, :1]),
        actions=torch.from_numpy(SEEN.action[:, :0]),
    )
    save_checkpoint(tmp_path / "c", model, starts, world=None)
    embed(tmp_path / "c", steps=40)
