"""What the published viewer makes of a hand's moves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_minipaint import IDLE, at

from learned_envs.evaluation.minipaint.viewer import as_viewed

PLACES = st.tuples(st.integers(0, 223), st.integers(0, 223), st.booleans())


def pixels(actions: np.ndarray) -> list[tuple[float, float]]:
    return [(round(u * 224 - 0.5, 2), round(v * 224 - 0.5, 2)) for u, v, _ in actions.tolist()]


def test_a_cursor_without_the_button_is_not_sent():
    assert as_viewed(np.stack([IDLE, at(50, 50, 0), at(90, 90, 0)])).shape == (0, 3)


def test_one_idle_action_ends_a_stroke():
    viewed = as_viewed(np.stack([at(50, 50), at(60, 50), at(60, 50, 0), IDLE, IDLE, at(9, 9)]))
    assert viewed[:, 2].tolist() == [1, 1, 0, 1]
    assert np.array_equal(viewed[2], IDLE)


def test_moves_within_the_dead_zone_add_up_until_they_are_sent():
    moved = [at(50 + step, 50) for step in range(9)]
    assert pixels(as_viewed(np.stack(moved))) == [(50, 50), (54, 50), (58, 50)]


@pytest.mark.parametrize(("length", "pieces"), [(12, 1), (13, 2), (24, 2), (40, 4)])
def test_long_segments_come_in_equal_pieces(length, pieces):
    sent = pixels(as_viewed(np.stack([at(50, 50), at(50, 50 + length)])))
    assert len(sent) == 1 + pieces
    assert np.diff(np.array(sent)[:, 1]) == pytest.approx(length / pieces, abs=0.02)


@given(st.lists(PLACES, max_size=30), st.integers(0, 30))
def test_strokes_keep_their_beginnings_and_the_viewers_manners(steps, cut):
    actions = np.array([at(*step) for step in steps], np.float32).reshape(-1, 3)
    viewed = as_viewed(actions)
    held, down = viewed[:, 2] > 0.5, actions[:, 2] > 0.5
    apart = 224 * np.linalg.norm(np.diff(viewed[:, :2], axis=0), axis=1)[held[1:] & held[:-1]]
    assert ((apart > 3.99) & (apart < 12.01)).all()
    starts, began = (d & ~np.concatenate([[False], d[:-1]]) for d in (held, down))
    assert np.array_equal(viewed[starts], actions[began])
    assert held[~held].size == (~held & np.concatenate([[False], held[:-1]])).sum()
    early = as_viewed(actions[:cut])
    assert np.array_equal(early, viewed[: len(early)])
