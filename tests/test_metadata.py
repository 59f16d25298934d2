"""A game's own variables: how they are shown, predicted, read, and learned."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_told import FAR, METADATA, VARIABLES, told_model, window, windows

from learned_envs.models.codecs.codec import to_images
from learned_envs.models.configuration import from_json, to_json
from learned_envs.models.metadata.memories import FAMILIES, memory_of
from learned_envs.models.metadata.predictor import MetadataConfig
from learned_envs.models.metadata.variables import Clock, Count, Flag, Position
from learned_envs.training.metadata import MetadataRecipe, Told, metadata_trainer

COUNT, FLAG, PLACE = VARIABLES
CPU = torch.device("cpu")


def values(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32)


def test_values_are_shown_as_different_numbers():
    for variable, two in ((COUNT, (3, 4)), (FLAG, (0, 1)), (PLACE, (4, 5))):
        shown = variable.show(values(*two))
        assert shown.shape == (2, variable.seen)
        assert (shown[0] - shown[1]).abs().max() > 0.05


def test_a_count_is_predicted_by_its_changes():
    written = values(0, 9)[None]
    assert COUNT.likeliest(written, values(7)).tolist() == [8]
    assert COUNT.surprise(written, values(7), values(8)) < 0.01
    assert COUNT.surprise(written, values(7), values(7)) > 8
    lives = Count(name="lives", changes=(0.0, -1.0))
    assert lives.likeliest(values(0, 9)[None], values(3)).tolist() == [2]


def test_a_flag_is_predicted_by_its_values():
    phase = Flag(name="phase", values=(2.0, 9.0))
    written = values(0, 9)[None]
    assert phase.likeliest(written, values(2)).tolist() == [9]
    assert phase.surprise(written, values(2), values(9)) < phase.surprise(written, *[values(2)] * 2)


def test_a_position_moves_or_jumps():
    """Two ways: a tenth of the range to the right, likelier, and six tenths to the left."""
    place = Position(name="place", low=0.0, high=100.0, ways=2)
    written = torch.tensor([[1.0, 0.0, 1.0, -6.0, -3.0, -3.0]])
    assert place.likeliest(written, values(70)).item() == pytest.approx(80)
    assert place.draw(written, values(70), values(0.99)).item() == pytest.approx(10)
    near, far, nowhere = (place.surprise(written, values(70), values(x)) for x in (80, 10, 40))
    assert near < far < nowhere
    assert place.likeliest(written, values(95)).item() == 100  # and no further


def test_a_clock_goes_on_or_begins_anew():
    clock = Clock(name="time", tick=4.0, span=64.0)
    on, anew = values(9, 0)[None], values(0, 9)[None]
    assert clock.likeliest(on, values(12)).tolist() == [16]
    assert clock.draw(anew, values(12), values(0.5)).tolist() == [0]
    assert clock.surprise(anew, values(12), values(3)) < 0.01
    assert clock.surprise(on, values(12), values(3)) > 8
    assert clock.value_read(values(0.5)[None]).tolist() == [32]
    assert clock.misread(values(0.5)[None], values(32)) == 0
    assert (clock.show(values(12)) - clock.show(values(16))).abs().max() > 0.3


def test_what_a_step_came_to_is_told_as_numbers():
    lives = Count(name="lives", changes=(0.0, -1.0))
    clock = Clock(name="time", tick=4.0, span=64.0)
    assert lives.outcome(values(3, 3), values(3, 2)).tolist() == [[1, 0], [0, 1]]
    assert FLAG.outcome(values(0, 0), values(0, 1)).tolist() == [[1, 0], [0, 1]]
    assert PLACE.outcome(values(0), values(FAR / 2)).tolist() == [[5]]
    assert clock.outcome(values(12, 12), values(16, 3)).tolist() == [[0], [1]]


@pytest.mark.parametrize("variable", [COUNT, FLAG], ids=lambda variable: variable.name)
def test_the_odds_of_a_change_are_raised(variable):
    written = values(0.3, -0.2)[None]

    def odds(written: torch.Tensor) -> float:
        stays, changes = (variable.surprise(written, values(0), values(x)).item() for x in (0, 1))
        return math.exp(stays - changes)

    raised = variable.raised(written, values(0), 5.0)
    assert odds(raised) == pytest.approx(5 * odds(written))


def test_what_is_far_less_likely_is_never_drawn():
    chances = torch.linspace(0, 0.999, 1000)
    seldom = torch.tensor([[3.0, 0.0]]).expand(1000, -1)
    assert set(COUNT.draw(seldom, torch.zeros(1000), chances).tolist()) == {0}
    often = torch.tensor([[1.0, 0.0]]).expand(1000, -1)
    assert COUNT.draw(often, torch.zeros(1000), chances).mean() == pytest.approx(0.27, abs=0.01)


def test_values_are_read_from_pictures_in_their_own_units():
    score = Count(name="score", changes=(0.0, 20.0), scale=20.0)
    assert score.value_read(values(2.9)[None]).tolist() == [60]
    assert (
        score.misread(values(3)[None], values(60)) == 0 < score.misread(values(2)[None], values(60))
    )
    assert FLAG.value_read(values(1, 3)[None]).tolist() == [1]
    assert PLACE.value_read(values(0.5)[None]).tolist() == [FAR / 2]
    assert PLACE.value_read(values(7)[None]).tolist() == [FAR]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Count(name="score", changes=(20.0,)), r"`changes` .=.20.0,.. of 'score' must"),
        (lambda: Count(name="score", changes=(0.0,), scale=0.0), "`scale` .=0.0. be more than 0"),
        (lambda: Flag(name="on", values=(1.0, 1.0)), "`values` .* of 'on' must be at least two"),
        (lambda: Position(name="x", low=3.0, high=3.0), "`low` .=3.0. of 'x' must be below"),
        (lambda: Clock(name="t", tick=4.0, span=4.0), "`tick` .=4.0. of 't' must be more than 0"),
        (lambda: MetadataConfig(variables=()), "must be at least one"),
        (lambda: MetadataConfig(variables=(FLAG, FLAG)), "each with its own name"),
        (lambda: replace(METADATA, reward="gold"), r"name \['gold'\], which are none of"),
        (lambda: replace(METADATA, family="rnn").build((3, 16, 24), 3), "lstm, gru, transformer"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_configuration_comes_back_from_json():
    config = replace(METADATA, reward="bumps", over=(("side", 1.0), ("bumps", 3.0)))
    assert from_json(to_json(config)) == config


def test_reward_and_end_follow_from_the_variables_where_these_say_so():
    config = replace(METADATA, reward="bumps", over=(("side", 1.0), ("bumps", 3.0)))
    before, after = values(2, 1, 8), values(3, 1, 12)
    assert config.rewards(before, after) == 1
    assert config.ended(after) == 1 and config.ended(before) == 0
    assert METADATA.rewards(before, after) is None and METADATA.ended(after) is None


def test_recordings_without_a_variable_are_refused():
    with pytest.raises(ValueError, match=r"metadata \['side'\].*\['bumps', 'place'\] are missing"):
        METADATA.collect({"side": np.zeros(2)})


@pytest.mark.parametrize("family", FAMILIES)
def test_what_came_before_counts_and_what_never_was_does_not(family):
    torch.manual_seed(0)
    memory = memory_of(family, 8)
    first, second, now = torch.randn(3, 2, 8)
    empty = torch.zeros(2, *memory.shape)
    after_first, after_second = (memory.step(x, empty)[1] for x in (first, second))
    assert after_first.shape == empty.shape
    told = memory.step(now, after_first)[0]
    assert told.shape == (2, 8)
    assert not torch.allclose(told, memory.step(now, after_second)[0])
    alone = memory.step(now[:1], after_first[:1])[0]
    assert torch.allclose(told[:1], alone, atol=1e-6)


def test_a_transformer_looks_back_on_so_many_steps_and_no_more():
    torch.manual_seed(0)
    memory = memory_of("transformer", 8)
    span = memory.shape[0]
    steps = torch.randn(span + 1, 1, 8)

    def outcome(old: torch.Tensor, count: int) -> torch.Tensor:
        kept, out = torch.zeros(1, *memory.shape), old
        for features in [old, *steps[:count]]:
            out, kept = memory.step(features, kept)
        return out

    one, other = torch.randn(2, 1, 8)
    assert not torch.allclose(outcome(one, span - 1), outcome(other, span - 1))
    assert torch.allclose(outcome(one, span), outcome(other, span))


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A model whose predictor has learned the dot's variables."""
    torch.manual_seed(0)
    model = told_model()
    recipe = MetadataRecipe(steps=250, round_steps=125, learning_rate=4e-3, average=0.98)
    folder = tmp_path_factory.mktemp("metadata")
    trainer = metadata_trainer(model.metadata, model.codec, model.actions, recipe, windows, folder)
    assert trainer.run(progress=False)
    model.metadata.load_state_dict(trainer.average.state_dict())
    return model.eval()


def heard(model, seed: int) -> Told:
    return Told.of(window(seed), METADATA, model.codec, model.actions, CPU)


def test_variables_are_learned_a_step_ahead(learned):
    told = heard(learned, 999_001)
    ahead = learned.metadata.likeliest(
        told.values, told.latents, told.codes, told.first, fed_on=False
    )
    off = (ahead - told.values[:, 1:]).abs()
    assert (off[..., 0] == 0).float().mean() > 0.97
    assert (off[..., 1] == 0).float().mean() > 0.97
    assert off[..., 2].median() < 1


def test_variables_fed_on_stay_with_what_is_seen(learned):
    told = heard(learned, 999_002)
    fed = learned.metadata.likeliest(told.values, told.latents, told.codes, told.first, fed_on=True)
    assert (fed[:, -1, 2] - told.values[:, -1, 2]).abs().median() < 2
    assert torch.equal(fed[:, 0, 1], told.values[:, 1, 1])


def test_variables_are_read_from_pictures(learned):
    seen = window(999_003)
    latents = to_images(torch.from_numpy(seen.observation[:, 0]))
    with torch.no_grad():
        read = learned.metadata.read(latents)
    assert (read[:, 1].numpy() == seen.metadata["side"][:, 0]).mean() > 0.8
    assert np.median(abs(read[:, 2].numpy() - seen.metadata["place"][:, 0])) < 3


def test_predicting_step_by_step_is_the_walk_through_a_window(learned):
    """Where nothing is in doubt, what `predict` draws is what `likeliest` says."""
    told = heard(learned, 999_004)
    walked = learned.metadata.likeliest(
        told.values, told.latents, told.codes, told.first, fed_on=True
    )
    both = told.values[:, :1].expand(-1, 2, -1)
    memory = torch.zeros(len(both), *learned.metadata.memory_shape)
    same = 0
    for t in range(told.latents.shape[1]):
        with torch.no_grad():
            after, memory = learned.metadata.predict(
                both, memory, told.latents[:, t], told.codes[:, t], torch.zeros(len(both), 3)
            )
        both = torch.stack([both[:, 1], after], 1)
        same += (after[:, 1] == walked[:, t, 1]).float().mean().item()
    assert same / told.latents.shape[1] > 0.9


def test_training_stops_and_goes_on_to_the_same_parameters(tmp_path):
    recipe = MetadataRecipe(steps=4, round_steps=2)

    def trained(folder, minutes):
        torch.manual_seed(1)
        model = told_model()
        make = (model.metadata, model.codec, model.actions, recipe, windows, folder)
        whole = metadata_trainer(*make).run(minutes, progress=False)
        return model.metadata.state_dict(), whole

    through, whole = trained(tmp_path / "through", None)
    assert whole
    assert not trained(tmp_path / "parts", 1e-9)[1]
    again, whole = trained(tmp_path / "parts", None)
    assert whole and all(torch.equal(through[name], again[name]) for name in through)


def met(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (rows, 3, 32, 48) of two dots, and whether one is right above the other."""
    y, x = torch.randint(4, 28, (rows,)), torch.randint(2, 46, (rows,))
    meets = torch.rand(rows) < 0.5
    off = torch.where(meets, 0, torch.randint(4, 12, (rows,)))
    latents, row = torch.full((rows, 3, 32, 48), -0.9), torch.arange(rows)
    latents[row, 0, y, x] = 1.0
    latents[row, 1, y - 2, (x + off) % 48] = 1.0
    return latents, meets


def test_what_is_small_and_may_be_anywhere_is_spotted():
    torch.manual_seed(0)
    config = MetadataConfig(variables=(COUNT,), width=16, widths=(8, 8), spotted=16)
    predictor = config.build((3, 32, 48), 1)
    optimiser = torch.optim.AdamW(predictor.parameters(), 3e-3)

    def foretold(rows: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        latents, meets = met(rows)
        seen = {
            "values": torch.stack([torch.zeros(rows), meets.float()], 1)[..., None],
            "latents": latents[:, None], "actions": torch.zeros(rows, 1, 1),
            "first": torch.tensor([True, False]).expand(rows, 2),
        }  # fmt: skip
        return seen, meets

    for _ in range(400):
        seen, _ = foretold(64)
        optimiser.zero_grad()
        predictor.surprise(**seen).mean().backward()
        optimiser.step()
    seen, meets = foretold(500)
    ahead = predictor.likeliest(**seen, fed_on=False)[:, 0, 0]
    assert ((ahead == 1) == meets).float().mean() > 0.95


def play(rows: int, steps: int) -> dict[str, torch.Tensor]:
    """Nothing to see; in three steps of ten, without a warning, a life is lost.

    The clock begins anew in the same step.
    """
    lost = torch.rand(rows, steps) < 0.3
    lives, time = [torch.zeros(rows)], [torch.full((rows,), 8.0)]
    for fell in lost.unbind(1):
        lives.append(lives[-1] - fell.float())
        time.append(torch.where(fell, 0.0, time[-1] + 4))
    return {
        "values": torch.stack([torch.stack(lives, 1), torch.stack(time, 1)], 2),
        "latents": torch.zeros(rows, steps, 3, 16, 16),
        "actions": torch.zeros(rows, steps, 1),
        "first": torch.zeros(rows, steps + 1, dtype=torch.bool),
    }


@pytest.fixture(scope="module")
def unforeseen():
    """A predictor of `play`, taught of one in ten of the steps in which no life is lost."""
    torch.manual_seed(0)
    lives, time = Count(name="lives", changes=(0.0, -1.0)), Clock(name="time", tick=4.0, span=99.0)
    config = MetadataConfig(variables=(lives, time), width=16, widths=(4, 4))
    predictor = config.build((3, 16, 16), 1)
    optimiser = torch.optim.AdamW(predictor.parameters(), 1e-2)
    for _ in range(300):
        seen = play(64, 2)
        unexpected = predictor.surprise(**seen, raised=10.0)
        lost = seen["values"][..., 0].diff(dim=1) != 0
        taught = lost | (torch.rand(lost.shape) < 0.1)
        loss = unexpected[..., 0][taught].mean() + unexpected[..., 1].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return predictor.eval()


@torch.no_grad()
def test_changes_shown_more_often_are_foretold_as_often_as_they_come(unforeseen):
    seen = play(1000, 1)
    lost = seen["values"][:, 1, 0] < 0
    chance = (-unforeseen.surprise(**seen)[:, 0, 0]).exp()[lost].mean()
    assert chance == pytest.approx(0.3, abs=0.08)  # 0.81 as shown


@torch.no_grad()
def test_variables_that_change_together_are_drawn_together(unforeseen):
    before = torch.tensor([[0.0, 4.0], [0.0, 8.0]]).expand(2, -1, -1)
    memory, latents = torch.zeros(2, *unforeseen.memory_shape), torch.zeros(2, 3, 16, 16)
    chance = torch.tensor([[0.0, 0.5], [0.99, 0.5]])
    after, _ = unforeseen.predict(before, memory, latents, torch.zeros(2, 1), chance)
    assert after.tolist() == [[0, 12], [-1, 0]]
