"""How a dreamed paint program is measured: episodes, phases, states, what frames say."""

import numpy as np
import pytest
from tiny_minipaint import COLOURS, at, click, program
from tiny_paint_faults import PAPER, WORLD

from learned_envs.evaluation.metrics import ssim
from learned_envs.evaluation.minipaint.controls import probed_steps
from learned_envs.evaluation.minipaint.episodes import phase_of, side_by_side, viewed_episodes
from learned_envs.evaluation.minipaint.fidelity import Fidelity, Likeness, measured_steps
from learned_envs.evaluation.minipaint.pixels import chosen
from learned_envs.evaluation.minipaint.plot import likeness_plot
from learned_envs.evaluation.minipaint.programs import real_programs, rows_of
from sims.minipaint import BRUSHES


def fidelity(*ssim_by_step: float) -> Fidelity:
    values = np.array(ssim_by_step)[:, None]
    names = ("", "canvas_", "toolbar_")
    likeness = Likeness(
        ink_f1=values,
        wrong=values,
        **{f"{n}{of}": values for n in names for of in ("ssim", "psnr")},
    )
    steps = measured_steps(50 * (len(values) - 1))
    return Fidelity(steps=steps, likeness={"dream": likeness})


@pytest.fixture(scope="module")
def episodes():
    return viewed_episodes(WORLD, 3, 60, seed=900_000)


@pytest.mark.parametrize("tool", ["pen", "eraser"])
@pytest.mark.parametrize("soft", [False, True])
def test_what_is_chosen_is_read_from_the_frame(tool, soft):
    for number in range(BRUSHES):
        settings = {"tool": tool, "colour": COLOURS[number % 6], "brush": number}
        assert chosen(program(soft, **settings).render()) == settings


def test_real_programs_begin_as_their_frames_show_them():
    env = program(tool="eraser", colour="red", brush=7, canvas=np.roll(PAPER // 2, 9, 0))
    frame = click(env, "pen")
    programs = real_programs(WORLD, 2)
    assert np.array_equal(programs.start(np.stack([frame, frame])), np.stack([frame, frame]))
    after, *_ = env.step(at(100, 100))
    assert np.array_equal(programs.step(np.stack([at(100, 100)] * 2))[1], after)


def test_a_state_can_be_given_to_other_rows(episodes):
    programs = real_programs(WORLD, 3)
    programs.start(episodes.first)
    state = programs.get_state()
    frames = programs.step(np.stack([at(60, 60), at(90, 90), at(120, 120)]))
    programs.set_state(rows_of(state, np.array([2, 0, 0])))
    again = programs.step(np.stack([at(120, 120), at(60, 60), at(60, 60)]))
    assert np.array_equal(again, frames[[2, 0, 0]])


def test_episodes_are_the_same_for_the_same_seed_and_need_no_other_length(episodes):
    shorter = viewed_episodes(WORLD, 3, 20, seed=900_000)
    assert np.array_equal(shorter.actions, episodes.actions[:20])
    assert np.array_equal(shorter.first, episodes.first)
    other = viewed_episodes(WORLD, 3, 20, seed=900_100)
    assert not np.array_equal(shorter.actions, other.actions)


def test_both_programs_get_the_same_actions_from_the_same_frames(episodes):
    real, other = real_programs(WORLD, 3), real_programs(WORLD, 3)
    for programs in (real, other):
        programs.start(episodes.first)
    moments = list(side_by_side(real, other, episodes))
    assert [moment.step for moment in moments] == list(range(1, 61))
    assert all(np.array_equal(moment.real, moment.dream) for moment in moments)


@pytest.mark.full
def test_episodes_are_dense_enough_that_a_copied_frame_is_far_off():
    episodes = viewed_episodes(WORLD, 20, 1000, seed=900_000)
    programs = real_programs(WORLD, 20)
    programs.start(episodes.first)
    for actions in episodes.actions:
        frames = programs.step(actions)
    assert ssim(episodes.first, frames).mean() <= 0.7


def test_measured_are_the_named_steps_every_fiftieth_and_the_last():
    assert measured_steps(130) == (1, 50, 100, 130)
    assert {1, 50, 150, 500, 800, 1000} <= set(measured_steps(1000))
    assert measured_steps(3000)[-1] == 3000


def test_clicks_are_branched_from_fifteen_moments_of_each_phase():
    phases = list(probed_steps(1000).values())
    assert phases == ["early"] * 15 + ["late"] * 15
    assert list(probed_steps(1000))[-1] == 1000
    assert set(probed_steps(300).values()) == {"early"}
    assert [phase_of(step) for step in (1, 150, 151, 499, 500)] == [
        "early", "early", None, None, "late",
    ]  # fmt: skip


def test_the_cliff_is_where_ssim_first_falls_below_it():
    assert fidelity(1.0, 0.99, 0.94, 0.96).onset.tolist() == [100]
    assert np.isnan(fidelity(1.0, 0.99, 0.95).onset).all()


def test_the_slopes_of_the_toolbar_are_those_of_lines_through_it():
    steps = [1, 50, 100, 150, 200, 250, 300, 350, 400]
    values = [1 - 0.0001 * step - 0.0004 * max(step - 250, 0) for step in steps]
    early, later = fidelity(*values).toolbar_slopes
    assert early == pytest.approx(-0.0001)
    assert later == pytest.approx(-0.0005)


def test_equal_figures_give_equal_plots():
    plots = [likeness_plot(WORLD, fidelity(1.0, 0.99, 0.98)) for _ in range(2)]
    assert plots[0] == plots[1]
    assert plots[0] != likeness_plot(WORLD, fidelity(1.0, 0.99, 0.97))
