"""What the closed loop shows a model: the truth, its own predictions, planted faults."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_training import (
    CONTEXT,
    CPU,
    Spy,
    latents_of,
    play,
    seams,
    tiny_config,
    tiny_model,
    true_context,
    walk,
)

from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
from learned_envs.training.closed_loop import closed_loop
from learned_envs.training.recipe import Recipe


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


def test_a_row_that_diverged_walks_on_for_as_long_as_there_is_patience():
    window = play(1, 6)
    steps = walk(Spy(0.5), window, resync=0.0, divergence=64 * 0.1, patience=2)
    ages = [step.age for *_, step in steps]
    assert ages == [0, 1, 2, 0, 1, 2]


def test_a_thing_misplaced_in_one_corner_is_a_divergence():
    class Misplaced(Spy):
        def loss(self, state, action, target, noise, previous):
            loss = super().loss(state, action, target, noise, previous)
            loss.prediction().latent[:, :, :4, :4] += 0.9
            return loss

    window = play(1, 3)
    state, _, _ = walk(Misplaced(), window, resync=0.0, divergence=6.0)[2]
    assert torch.equal(state["latents"][:, -1], latents_of(window, 2))


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_rows_that_are_no_longer_numbers_go_back_to_the_truth(error):
    window = play(1, 4)
    steps = walk(Spy(error=error), window, resync=0.0, divergence=6.0, patience=5)
    for t, (state, _, _) in enumerate(steps):
        assert torch.equal(state["latents"][:, -1], latents_of(window, t))


def test_a_latent_smaller_than_the_neighbourhood_that_divergence_looks_at_will_do():
    model = dataclasses.replace(
        tiny_config(4),
        dynamics=SparseEditorConfig(
            widths=(8,), blocks=(1,), head=8, patch=2, glimpse=8, glimpse_widths=(8, 8, 8)
        ),
    ).build()
    window = play(2, 4)
    small = dataclasses.replace(window, observation=window.observation[:, :, 4:8, 4:8])
    assert len(list(closed_loop(model, small, resync=0.0, divergence=1.0, device=CPU))) == 4


class Counter(Spy):
    """Remembers how many steps there were."""

    state_spec = {"count": (1,)}

    def remember(self, state, before, after):
        return {"count": state["count"] + 1}


@pytest.mark.parametrize("resync", [0.0, 0.5, 1.0])
def test_on_the_truth_or_off_it_an_episode_is_remembered_from_where_it_is_known(resync):
    window = seams()
    begin = np.maximum.accumulate(np.where(window.first, np.arange(11), 0), axis=1)
    for state, _, step in walk(Counter(error=0.5), window, resync=resync):
        expected = step.step - begin[step.rows, step.step]
        assert state["count"][:, 0].tolist() == expected.tolist()


@pytest.mark.parametrize(("resync", "ages"), [(1.0, [0, 0, 0, 0]), (0.0, [0, 1, 2, 3])])
def test_age_counts_the_steps_since_the_truth(resync, ages):
    assert [step.age for *_, step in walk(Spy(), play(3, 4), resync=resync)] == ages


@pytest.mark.parametrize(
    ("rollout", "ages"), [(1, [0, 0, 0, 0]), (2, [0, 1, 0, 1]), (3, [0, 1, 2, 0])]
)
def test_a_rollout_is_as_long_as_it_may_be(rollout, ages):
    steps = walk(Spy(), play(3, 4), resync=0.0, rollout=rollout)
    assert [step.age for *_, step in steps] == ages


def test_resync_sends_about_that_share_of_rows_back():
    steps = walk(Spy(error=8 / 255), play(400, 3), resync=0.25)
    back = (steps[2][0]["latents"][:, -1] == latents_of(play(400, 3), 2)).all(3).all(2).all(1)
    assert 0.15 < back.float().mean() < 0.35


@pytest.fixture(scope="module")
def damaged_walk():
    """Steps of teacher forcing with faults planted in the first half of four rows."""
    torch.manual_seed(0)
    window = play(4, 9)
    loop = closed_loop(
        tiny_model(spy := Spy()), window, resync=1.0, divergence=np.inf, damaged=0.5, device=CPU
    )
    return window, [(state, step) for step, (state, _) in zip(loop, spy.shown, strict=False)]


def test_faults_are_planted_in_a_share_of_the_rows_and_nowhere_else(damaged_walk):
    window, steps = damaged_walk
    faulty = np.zeros(4)
    for t, (state, _) in enumerate(steps):
        true = state["latents"][:, -1] == latents_of(window, t)
        faulty += ~true.flatten(1).all(1).numpy()
    assert (faulty[:2] > 2).all()
    assert (faulty[2:] == 0).all()


def test_the_target_of_a_faulty_context_is_the_truth(damaged_walk):
    window, steps = damaged_walk
    for t, (_, step) in enumerate(steps):
        assert torch.equal(step.target, latents_of(window, t + 1))
        assert torch.equal(step.previous, latents_of(window, t))


def test_faults_come_from_earlier_moments():
    window = play(16, 9)
    window.observation[:, :4, 5:9, 5:9] = 0  # a square that appears in the fifth frame, to stay
    window.observation[:, 4:, 5:9, 5:9] = 255
    torch.manual_seed(0)
    loop = closed_loop(
        tiny_model(spy := Spy()), window, resync=1.0, divergence=np.inf, damaged=1.0, device=CPU
    )
    contexts = [state["latents"] for _, (state, _) in zip(loop, spy.shown, strict=False)]
    square = torch.stack(contexts)[:, :, -1, :, 5:9, 5:9]
    assert (square[:4] == -1).all()
    assert (square[4:] == -1).any()


def test_faults_beyond_the_true_rows_are_refused():
    with pytest.raises(ValueError, match=r"`damaged` \(=0.3\) must be at most `on_truth` \(=0.2\)"):
        Recipe(damaged=0.3, on_truth=0.2)
