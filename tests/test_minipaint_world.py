"""People at Minipaint: that they try everything, see only frames, and what recordings hold."""

import dataclasses
import math
import pickle
from collections import Counter
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector.utils import batch_space
from tiny_minipaint import CONTROLS, IDLE, at, canvas

from learned_envs import pipeline, worlds
from learned_envs.data.writer import EpisodeWriter
from learned_envs.dream.dream_env import DreamEnv
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.models.codecs.variational import VariationalAutoencoderConfig
from learned_envs.models.dynamics.latent_cnn import LatentCNNConfig
from learned_envs.models.dynamics.pointer_editor import _PALETTE_SCALE
from learned_envs.models.world_model import WorldModelConfig
from learned_envs.play.hands import Mouse
from learned_envs.play.stage import Stage
from learned_envs.recording.inspect import inspect
from learned_envs.recording.live import LiveWindows
from learned_envs.recording.metadata import metadata_names
from learned_envs.recording.takes import planned_takes, record_take
from learned_envs.training.codec import CodecRecipe
from learned_envs.training.recipe import Recipe
from learned_envs.worlds.minipaint import STUDIED
from learned_envs.worlds.minipaint_painters import STYLES, Style, eraser_chosen, planned
from sims import minipaint as sim
from sims.minipaint.layout import COLOURS, part_at

WORLD = worlds.get("minipaint")
BLANK = sim.MinipaintEnv().reset(seed=0)[0]
ERASING = sim.MinipaintEnv().reset(options={"tool": "eraser"})[0]


def played(names: list[str], seeds: list[int], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Actions (steps, rows, 3) of painters, and their last frames."""
    env = WORLD.make_real_vec(len(names), max_episode_steps=200)
    behaviour = WORLD.make_behaviour(names, seeds)
    frames, _ = env.reset(seed=seeds)
    first, ended, actions = np.ones(len(names), bool), np.zeros(len(names), bool), []
    for _ in range(steps):
        actions.append(behaviour(frames, first))
        frames, _, terminated, truncated, _ = env.step(actions[-1])
        first, ended = ended, terminated | truncated
    return np.array(actions), frames


def presses(actions: np.ndarray) -> list[tuple[int, int]]:
    """The pixels at which the button went down in one row's actions (steps, 3)."""
    down = actions[:, 2] >= sim.PRESSED
    began = down & ~np.concatenate([[False], down[:-1]])
    return [sim.pixel_at(*action[:2].tolist()) for action in actions[began]]


@pytest.fixture(scope="module")
def mix() -> np.ndarray:
    """Actions (700, 48, 3) of painters as the packaged model watches them."""
    takes = planned_takes(WORLD, 48, 0, STUDIED)
    return played([take.behaviour for take in takes], [take.seed for take in takes], 700)[0]


def take_of(behaviour: str, steps: int = 120):
    (attributes,) = planned_takes(WORLD, 1, 0, {behaviour: 1.0})
    return record_take(WORLD, WORLD.make_real(), attributes, steps)


def test_what_the_world_says_of_its_simulator_is_so():
    assert WORLD.fps == sim.FPS
    assert WORLD.idle_action.tolist() == list(sim.IDLE_ACTION)


def test_the_soft_dream_says_that_it_has_no_weights():
    with pytest.raises(ValueError, match="holds no weights for 'minipaint_soft'.*weights=<folder"):
        gym.make("Dream-MinipaintSoft-v0")


def test_behaviour_weights_name_every_style_and_add_up_to_one():
    assert WORLD.behaviours.keys() == STYLES.keys()
    assert sum(WORLD.behaviours.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", STYLES)
def test_a_row_paints_the_same_alone_and_in_any_company(name):
    together, _ = played(["random", name, "stray"], [1, 5, 2], 150)
    alone, _ = played([name], [5], 150)
    assert np.array_equal(together[:, 1:2], alone)


@pytest.mark.parametrize("name", STYLES)
def test_painters_choose_actions_of_the_world_and_leave_a_mark(name):
    actions, frames = played([name] * 3, [0, 1, 2], 190)
    assert all(row in batch_space(WORLD.action_space, 3) for row in actions)
    assert (frames != BLANK).any((1, 2, 3)).all()
    assert not np.array_equal(actions[:, 0], actions[:, 1])


def test_a_new_episode_begins_a_new_plan():
    painters = WORLD.make_behaviour(["sketcher"], [3])
    yes, no = np.ones(1, bool), np.zeros(1, bool)
    while len(painters._plans[0]) < 3:
        painters(BLANK[None], no)
    left = list(painters._plans[0])
    painters(BLANK[None], yes)
    assert list(painters._plans[0]) != left[1:]


def test_pickled_painters_go_on_as_the_originals_do():
    painters = WORLD.make_behaviour(list(STYLES), range(len(STYLES)))
    frames, no = np.stack([BLANK] * len(STYLES)), np.zeros(len(STYLES), bool)
    for _ in range(20):
        painters(frames, no)
    copy = pickle.loads(pickle.dumps(painters))
    for _ in range(60):
        assert np.array_equal(painters(frames, no), copy(frames, no))


def test_the_mix_presses_every_control_the_canvas_and_gaps_often(mix):
    parts = Counter(part_at(*place) for row in range(48) for place in presses(mix[:, row]))
    total = sum(parts.values())
    for name in CONTROLS:
        assert parts[name] > 0.01 * total, name
    assert parts["canvas"] > 0.3 * total
    assert parts[None] > 0.04 * total


def test_the_mix_presses_on_both_sides_of_every_edge(mix):
    places = {place for row in range(48) for place in presses(mix[:, row])}
    for name, (x, y, width, height) in CONTROLS.items():
        for near, across in ((x, 0), (x + width, 0), (y, 1), (y + height, 1)):
            other, size = (y, height) if across == 0 else (x, width)
            beside = {
                place[across] - near for place in places
                if -3 <= place[across] - near < 3 and -3 <= place[1 - across] - other < size + 3
            }  # fmt: skip
            assert min(beside) < 0 <= max(beside), (name, near)


def test_the_mix_drags_from_the_toolbar_to_the_canvas_and_back_and_rests(mix):
    held = Counter()
    for row in range(48):
        part = origin = None
        for action in mix[:, row]:
            down = action[2] >= sim.PRESSED
            before, part = part, part_at(*sim.pixel_at(*action[:2].tolist()))
            origin = (origin or part or "gap") if down else None
            held["idle"] += not action.any()
            held["hover"] += bool(action.any()) and not down
            if down and part != before:
                held["onto the canvas"] += part == "canvas" and origin != "canvas"
                held["off the canvas"] += part != "canvas" and origin == "canvas"
                held["off the slider"] += part != "slider" and origin == "slider"
    assert min(held.values()) >= 20
    assert held["idle"] > 1000 and held["hover"] > 1000


def test_the_mix_holds_slow_and_fast_strokes(mix):
    both = (mix[1:, :, 2] > 0) & (mix[:-1, :, 2] > 0)
    lengths = 224 * np.linalg.norm(np.diff(mix[..., :2], axis=0), axis=-1)[both]
    assert np.quantile(lengths, 0.1) < 5 and np.quantile(lengths, 0.95) > 10


def test_the_mix_covers_canvases():
    takes = planned_takes(WORLD, 12, 1, {"sketcher": 1.0})
    env, behaviour = WORLD.make_real_vec(12), WORLD.make_behaviour(["sketcher"] * 12, range(12))
    frames, _ = env.reset(seed=[take.seed for take in takes])
    for t in range(1000):
        frames, *_ = env.step(behaviour(frames, np.full(12, t == 0)))
    inked = (sim.canvas_of(frames) != 255).any(-1).mean((1, 2))
    assert inked.mean() > 0.2


def test_whoever_erases_goes_where_the_ink_is_with_the_eraser():
    frame = BLANK.copy()
    canvas(frame)[120:140, 30:50] = 0
    style = Style(erase=1.0, choose=0.0, stray=0.0, rest=0.0)
    for seed in range(10):
        steps = planned(style, np.random.default_rng(seed), frame)
        pressed = [step[:2] for step in steps if step and step[2]]
        assert part_at(*pressed[0]) == "eraser"
        on_canvas = np.array([p for p in pressed if part_at(*p) == "canvas"]) - (42, 0)
        assert np.linalg.norm(on_canvas - (40, 130), axis=1).min() < 60


def test_whoever_draws_mostly_puts_the_eraser_away_first():
    style = Style(erase=0.0, choose=0.0, stray=0.0, rest=0.0)
    first = []
    for seed in range(60):
        steps = planned(style, np.random.default_rng(seed), ERASING)
        first.append(part_at(*next(step[:2] for step in steps if step and step[2])))
    assert 0.6 < np.mean([part in CONTROLS for part in first]) < 0.95


def test_the_eraser_is_seen_in_frames():
    assert eraser_chosen(np.stack([BLANK, ERASING])).tolist() == [False, True]


def test_styles_differ_in_what_they_do():
    parts, share = {}, {}
    for name in STYLES:
        actions, _ = played([name] * 12, range(12), 300)
        share[name] = (actions[..., 2] > 0).mean()
        parts[name] = Counter(part_at(*p) for row in range(12) for p in presses(actions[:, row]))
    assert share["idler"] < 0.5 < share["sketcher"]
    assert parts["stray"][None] > 3 * parts["sketcher"][None]
    assert parts["corrector"]["eraser"] > parts["writer"]["eraser"]
    on_canvas = {name: count["canvas"] / count.total() for name, count in parts.items()}
    assert on_canvas["fiddler"] < 0.4 < on_canvas["sketcher"]


def test_starts_are_ordinary_and_odd_and_all_accepted():
    random, env, seen = np.random.default_rng(0), sim.MinipaintEnv(), Counter()
    for _ in range(60):
        options = WORLD.reset_options("sketcher", random) or {}
        frame, info = env.reset(seed=0, options=options)
        seen["ordinary"] += np.array_equal(frame, BLANK)
        seen["painted"] += (canvas(frame) != 255).any()
        seen["eraser"] += info["tool"]
        seen["colour"] += info["colour"] != 0
    assert min(seen.values()) >= 4


def test_an_episode_can_be_played_again_from_its_seed_and_its_actions():
    take, env = take_of("fiddler"), sim.MinipaintEnv()
    random = np.random.default_rng([take.attributes.seed, 1])
    random.integers(2**31)
    options = WORLD.reset_options("fiddler", random)
    frame, _ = env.reset(seed=take.attributes.seed, options=options)
    for t, action in enumerate(take.action):
        assert np.array_equal(frame, take.observation[t])
        frame = env.step(action)[0]


def test_a_take_holds_what_is_chosen_but_no_pictures_beside_its_frames():
    take = take_of("fiddler")
    assert take.metadata.keys() == {"tool", "colour", "brush"}
    assert take.metadata["brush"].shape == (121,)


def test_live_windows_hold_the_same_metadata():
    window = next(LiveWindows(WORLD, 2, 5, seed=0, max_episode_steps=3))
    assert window.metadata.keys() == {"tool", "colour", "brush"}
    assert window.metadata["brush"].shape == (2, 6)


def test_numbers_and_tables_are_metadata_and_pictures_masks_and_words_are_not():
    info = {
        "score": 3, "place": np.zeros((4, 2)), "_place": np.ones(2, bool),
        "picture": np.zeros((8, 8, 3), np.uint8), "name": "x",
    }  # fmt: skip
    assert metadata_names(info) == ["score", "place"]
    batched = {"score": np.zeros(4), "_score": np.ones(4, bool), "whole": 3, "place": np.zeros(5)}
    assert metadata_names(batched, rows=4) == ["score"]


def test_events_tell_where_the_button_went_down():
    places = [(100, 100), (20, 20), (20, 60), (100, 100), (120, 90), (20, 100), (2, 2), (45, 199)]
    env, frames, actions = sim.MinipaintEnv(), [], []
    frames.append(env.reset(seed=0)[0])
    for place in places:
        for action in (at(*place), at(*place), IDLE):
            actions.append(action)
            frames.append(env.step(action)[0])
    episode = SimpleNamespace(action=np.array(actions), observation=np.array(frames))
    counted = WORLD.events(episode)
    assert {name: count for name, count in counted.items() if count} == {
        "strokes": 1, "erasing strokes": 2, "pen clicks": 1, "eraser clicks": 1,
        "slider clicks": 1, "red clicks": 1, "gap clicks": 1,
    }  # fmt: skip


def test_a_recording_can_be_inspected(tmp_path):
    writer = EpisodeWriter(tmp_path, WORLD.name)
    for name in ("fiddler", "corrector"):
        writer.write_take(take_of(name, 300))
    report = inspect(tmp_path)
    assert report.events is not None
    assert report.events["strokes"] > 0 and report.events["slider clicks"] > 0
    assert [action.name for action in report.actions] == ["u", "v", "pressed"]


def test_the_seed_preset_has_the_published_sizes():
    model = WORLD.presets["seed"]().build()
    assert model.codec.latent_shape == (16, 56, 56)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(33.6e6, rel=0.02)
    assert len(model.dynamics.blocks) == 4 and model.dynamics.read_actions.in_channels == 4


def test_the_seed_preset_sees_the_button_where_the_program_does():
    actions = WORLD.presets["seed"]().actions
    touches = torch.tensor([[0.5, 0.25, pressed] for pressed in (0.0, 0.499, sim.PRESSED, 1.0)])
    bell, button = actions.draw(touches, (56, 56)).unbind(1)
    assert button.amax((1, 2)).tolist() == [0, 0, 1, 1]
    assert (bell[3] > math.exp(-0.5)).sum() == pytest.approx(math.pi * 2.4**2, abs=4)


def test_the_seed_preset_is_trained_on_as_much_as_was_published():
    recipe = WORLD.recipes["seed"]()
    assert recipe.steps * recipe.batch == pytest.approx(371_799, rel=1e-3)
    assert recipe.codec.steps * recipe.codec.batch == pytest.approx(237_010, rel=1e-3)


def test_the_seed_preset_is_trained_packed_and_dreamed(tmp_path, monkeypatch):
    def tiny() -> WorldModelConfig:
        return dataclasses.replace(
            WORLD.presets["seed"](),
            codec=VariationalAutoencoderConfig(channels=4, widths=(4, 4, 4), blocks=1, groups=2),
            dynamics=LatentCNNConfig(width=8, blocks=2, groups=4),
        )

    def tiny_recipe() -> Recipe:
        few = CodecRecipe(steps=2, round_steps=2, batch=2)
        return dataclasses.replace(
            WORLD.recipes["seed"](), steps=2, round_steps=2, batch=2, window=3, codec=few
        )

    world = dataclasses.replace(WORLD, presets={"seed": tiny}, recipes={"seed": tiny_recipe})
    monkeypatch.setattr(pipeline.windows, "HELD_OUT_ROWS", 2)
    trained = pipeline.train_preset(world, "seed", tmp_path)
    env = DreamEnv(trained.checkpoint)
    assert trained.steps == 2 and env.reset(seed=0)[0] in WORLD.observation_space
    assert env.step(at(100, 100))[0] in WORLD.observation_space


def test_the_packaged_preset_begins_with_the_colours_of_the_program(tmp_path, monkeypatch):
    def tiny_recipe() -> Recipe:
        return dataclasses.replace(
            WORLD.recipes["small"](), steps=3, round_steps=3, batch=16, window=8, replayed=2,
            learning_rate=1e-6,
        )  # fmt: skip

    world = dataclasses.replace(WORLD, recipes={"small": tiny_recipe})
    monkeypatch.setattr(pipeline.windows, "HELD_OUT_ROWS", 2)
    trained = pipeline.train_preset(world, "small", tmp_path)
    assert trained.checkpoint is not None
    state = load_checkpoint(trained.checkpoint).model.state_dict()
    values = (state["dynamics.palette"] * _PALETTE_SCALE + 1) * 127.5
    for colour in (*COLOURS.values(), (200, 200, 200), (240, 240, 240)):
        assert (values - torch.tensor(colour)).abs().amax(1).min() < 1, colour


def test_a_mouse_paints_in_the_real_program():
    env = sim.MinipaintEnv()
    stage, mouse = Stage(WORLD, real=env, make_dream=None), Mouse(WORLD)

    def send(actions):
        for action in actions:
            stage.hold(action)

    def shown() -> np.ndarray:
        game = stage.snapshot().real
        assert game is not None
        return canvas(game.frame)

    send(mouse.press(0.5, 0.25, 0.0))
    stage.tick()
    mouse.move(0.75, 0.25)
    send(mouse.release(0.1))
    while stage.running:
        stage.tick()
    assert (shown()[55:57, 112 - 42 : 168 - 42] == 0).all()
    before = shown().copy()
    send(mouse.press(0.1, 0.25, 0.2) + mouse.release(0.21))  # the eraser
    while stage.running:
        stage.tick()
    assert stage.snapshot().real is not None and env.step(IDLE)[4]["tool"] == 1
    assert np.array_equal(shown(), before)
