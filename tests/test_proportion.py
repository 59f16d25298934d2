import pytest

from learned_envs.evaluation.proportion import Proportion


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(500, 500, 0.9924, 1.0), (495, 500, 0.9768, 0.9957), (5, 10, 0.2366, 0.7634), (0, 0, 0, 1)],
)
def test_intervals_are_wilsons(hits, trials, low, high):
    assert Proportion(hits=hits, trials=trials).interval == pytest.approx((low, high), abs=1e-4)


def test_proportions_add_up_by_their_counts():
    both = Proportion(hits=1, trials=2) + Proportion(hits=3, trials=3)
    assert both.share == 0.8


def test_the_share_of_nothing_is_not_a_number():
    assert Proportion().share != Proportion().share
    assert Proportion().to_json()["share"] is None
