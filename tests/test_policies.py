"""Ranking policies in two worlds."""

import numpy as np
import pytest

from learned_envs import worlds
from learned_envs.evaluation.policies import (
    PolicyScores,
    episode_returns,
    ranks,
    score_policies,
    spearman,
)
from sims.breakout import BreakoutVectorEnv

WORLD = worlds.get("breakout")


def test_equal_values_share_the_mean_of_their_ranks():
    np.testing.assert_array_equal(ranks(np.array([3.0, 1.0, 3.0, 7.0])), [2.5, 1, 2.5, 4])


def test_spearman_depends_on_order_alone():
    one = np.array([1.0, 2.0, 3.0, 4.0])
    assert spearman(one, np.exp(one)) == pytest.approx(1)
    assert spearman(one, -one) == pytest.approx(-1)
    assert spearman(one, np.array([1.0, 3.0, 2.0, 4.0])) == pytest.approx(0.8)
    assert np.isnan(spearman(one, np.ones(4)))


def test_error_is_a_share_of_the_span_between_best_and_random():
    scores = PolicyScores(
        names=("a", "b", "random"),
        real=np.array([[11.0, 13.0], [5.0, 5.0], [2.0, 2.0]]),
        dreamed=np.array([[13.0, 13.0], [3.0, 3.0], [2.0, 2.0]]),
    )
    assert scores.span == 10
    assert scores.error == pytest.approx((1 + 2 + 0) / 3 / 10)
    assert scores.rank_correlation == pytest.approx(1)
    assert "Spearman 1.000, mean error 10.0%" in scores.table()
    assert scores.to_json()["policies"]["b"] == {"real": 5, "dreamed": 3}
    assert [row[0] for row in scores.rows()] == ["a", "b", "random"]


def test_only_the_first_episode_of_each_row_counts():
    class Script(BreakoutVectorEnv):
        def _advance(self, actions, rows):
            rewards, terminated = np.ones(2), (self._elapsed >= [2, 4]) & rows
            return rewards * rows, terminated, {}

    env = Script(2)
    returns = episode_returns(env, lambda frame, first: np.zeros(2, int), steps=9, seed=0)
    np.testing.assert_array_equal(returns, [3, 5])


def test_a_ladder_has_twenty_policies_and_ends_with_random():
    assert len(set(WORLD.ladder)) == 20 and WORLD.ladder[-1] == "random"


def test_the_real_world_agrees_with_itself_and_not_with_a_world_without_bricks():
    class Barren(BreakoutVectorEnv):
        def _advance(self, actions, rows):
            reward, terminated, info = super()._advance(actions, rows)
            return 0 * reward, terminated, info

    names = ("good", "lag 8", "random")

    def make(kind):
        return lambda rows: kind(rows, max_episode_steps=300)

    same, barren = (
        score_policies(
            make(BreakoutVectorEnv), make(kind), WORLD.make_behaviour, names,
            episodes=8, steps=300, seed=3,
        )
        for kind in (BreakoutVectorEnv, Barren)
    )  # fmt: skip
    assert same.error == 0 and same.rank_correlation == pytest.approx(1)
    assert barren.error > 0.3 and np.isnan(barren.rank_correlation)


def test_one_policy_cannot_be_ranked():
    with pytest.raises(ValueError, match="at least 2"):
        score_policies(None, None, WORLD.make_behaviour, ["random"])


@pytest.mark.full
def test_the_ladder_ranks_alike_in_two_samples_of_the_real_world():
    def means(seed):
        env = WORLD.make_real_vec(100, max_episode_steps=1000)
        return np.array(
            [
                episode_returns(
                    env,
                    WORLD.make_behaviour([name] * 100, range(seed, seed + 100)),
                    steps=1000,
                    seed=seed,
                ).mean()
                for name in WORLD.ladder
            ]
        )

    assert spearman(means(0), means(50_000)) >= 0.97
