"""What it is worth to be told a game's variables, and how well they are foretold."""

import numpy as np
import pytest
import torch
from tiny_told import METADATA, VARIABLES, told_model, window, windows

from learned_envs.evaluation.told.feeding import fed, whole_rows
from learned_envs.evaluation.told.foretold import foretold_table, measure_foretold
from learned_envs.evaluation.told.worth import Interval, measure_worth, worth_table
from learned_envs.worlds import get

SEEN = window(7, rows=6, steps=10)
NAMES = [variable.name for variable in VARIABLES]


def told_truth(model) -> np.ndarray:
    """Values (B, T + 1, V) of the window."""
    return np.stack([SEEN.metadata[name] for name in NAMES], -1).astype(np.float32)


def foretell(model, monkeypatch, say):
    """Has the predictor say `say(values)` of values (B, 2, V)."""

    def predict(values, memory, latent, action, chance):
        return say(values), memory

    def likeliest(values, latents, actions, first, *, fed_on):
        return say(torch.stack([values[:, :-1]] * 2, 2).flatten(0, 1)).unflatten(
            0, values[:, 1:].shape[:2]
        )

    monkeypatch.setattr(model.metadata, "predict", predict)
    monkeypatch.setattr(model.metadata, "likeliest", likeliest)


def test_an_oracle_tells_the_true_values_and_a_shuffle_those_of_another_game():
    model = told_model()
    truth = told_truth(model)
    oracle, shuffled = (fed(model, SEEN, feed) for feed in ("oracle", "shuffled"))
    assert np.array_equal(oracle.values, truth[:, 2:])
    assert np.array_equal(shuffled.values, np.roll(truth, -1, 0)[:, 2:])
    assert np.array_equal(oracle.true_frames, SEEN.observation[:, 2:])
    assert np.array_equal(oracle.true_values, truth[:, 1:])


def test_a_prediction_goes_on_from_the_true_values_at_the_start(monkeypatch):
    model = told_model()
    foretell(model, monkeypatch, lambda values: values[:, 1] + 1)
    dream = fed(model, SEEN, "predicted")
    steps = np.arange(1, dream.values.shape[1] + 1)
    assert np.array_equal(dream.values, told_truth(model)[:, 1:2] + steps[:, None])


def test_equal_seeds_dream_alike_and_what_they_are_told_is_all_that_differs():
    torch.manual_seed(0)
    model = told_model()
    again = [fed(model, SEEN, "oracle", seed=3).frames for _ in range(2)]
    assert np.array_equal(*again)
    same = fed(model, SEEN, "oracle", seed=3).true_frames
    assert np.array_equal(same, fed(model, SEEN, "shuffled", seed=3).true_frames)


def test_a_blind_model_dreams_but_cannot_be_fed():
    blind = told_model(metadata=None)
    assert fed(blind, SEEN, "predicted").values.shape[2] == 0
    with pytest.raises(
        ValueError, match="`feed` .='oracle'. was given for a model that is told no"
    ):
        fed(blind, SEEN, "oracle")


def test_rows_in_which_an_episode_begins_are_left_out():
    broken = window(8, rows=6, steps=10)
    broken.valid[2, 4] = False
    broken.valid[3, 9] = False
    (whole,) = whole_rows(iter([broken]), 1, 8)
    assert len(whole.action) == 5 and whole.observation.shape[1] == 9
    assert np.array_equal(whole.metadata["place"][2], broken.metadata["place"][3, :9])


def test_saying_what_it_was_is_as_good_as_copying(monkeypatch):
    model = told_model()
    foretell(model, monkeypatch, lambda values: values[:, 1])
    for one in measure_foretold(model, [SEEN], seed=0):
        assert one.next == one.next_copied
    bumps = measure_foretold(model, [SEEN], seed=0)[0]
    assert bumps.name == "bumps" and bumps.f1 == 0
    assert bumps.events == np.count_nonzero(np.diff(SEEN.metadata["bumps"]))


def test_foretelling_every_change_wrongly_timed_is_between_all_and_nothing(monkeypatch):
    model = told_model()
    foretell(model, monkeypatch, lambda values: values[:, 1] + torch.tensor([1.0, 0.0, 0.0]))
    bumps = measure_foretold(model, [SEEN], seed=0)[0]
    share = bumps.events / SEEN.action.size
    assert bumps.f1 == pytest.approx(2 * share / (1 + share))
    assert bumps.dreamed.mean > bumps.next.mean


def test_foretelling_needs_a_model_that_is_told():
    with pytest.raises(ValueError, match="of a model that is told variables"):
        measure_foretold(told_model(metadata=None), [SEEN], seed=0)


def test_worth_is_measured_for_every_feed_and_horizon_that_there_is():
    model = told_model()
    found = measure_worth(model, [SEEN, next(windows(3))], seed=0)
    assert list(found) == ["predicted", "oracle", "shuffled"]
    assert list(found["oracle"]) == [1, 4]
    one = found["oracle"][1]
    assert one.psnr.low <= one.psnr.mean <= one.psnr.high
    assert list(measure_worth(told_model(metadata=None), [SEEN], seed=0)) == ["predicted"]


def test_an_interval_holds_the_mean_and_shrinks_with_more():
    random = np.random.default_rng(1)
    few, many = (Interval.of(random.normal(5, 1, n)) for n in (10, 1000))
    assert few.low < few.mean < few.high
    assert many.high - many.low < (few.high - few.low) / 3
    assert many.low < 5.1 and many.high > 4.9


def test_tables_have_a_row_for_each_variable_and_each_feed():
    model, world = told_model(), get("breakout")
    foretold = measure_foretold(model, [SEEN], seed=0)
    table = foretold_table(world, foretold, [SEEN], "command")
    assert [row[0] for row in table.rows] == list(METADATA.names)
    assert all(len(row) == len(table.columns) for row in table.rows)
    table = worth_table(world, measure_worth(model, [SEEN], seed=0), [SEEN], "command")
    assert [row[0] for row in table.rows] == ["predicted", "oracle", "shuffled"]
    assert all(len(row) == len(table.columns) for row in table.rows)
