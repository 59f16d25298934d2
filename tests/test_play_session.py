"""What is played, and the thread that plays it. No window, no clock."""

import dataclasses
import threading

import numpy as np
import pytest
from tiny_play import LEFT, RIGHT, WORLD, recorded, save_tiny_breakout, tiny_stage

from learned_envs.dream.dream_env import DreamEnv
from learned_envs.models.dynamics.diffusion_dynamics import tiny_denoiser
from learned_envs.play.keepsakes import Saver
from learned_envs.play.session import Session
from learned_envs.play.snapshot import Mode, pictures
from learned_envs.play.stage import BLEND_CADENCE, Stage


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_tiny_breakout(tmp_path_factory.mktemp("weights") / "w")


@pytest.fixture
def stage(weights):
    return tiny_stage(weights)


def played(stage, steps, mode=None):
    if mode is not None:
        stage.show(mode)
    for _ in range(steps):
        stage.tick()
    return stage.snapshot()


def differ(a, b):
    return bool((a.frame != b.frame).any())


def test_side_by_side_the_dream_begins_when_it_has_seen_enough_of_the_real_game(stage):
    for steps in range(4):
        now = stage.snapshot()
        assert (now.mode, now.real.step, now.dream.step) == (Mode.SIDE, steps, 0)
        assert not differ(now.real, now.dream)
        stage.tick()
    now = stage.snapshot()
    assert (now.number, now.real.step, now.dream.step) == (4, 4, 1)
    assert differ(now.real, now.dream)


def test_a_game_is_left_idle_unseen_where_a_dream_looks_far_back(weights):
    def far_sighted(steps):
        env = DreamEnv(weights, world="breakout", sampler_steps=steps)
        env.runtime.spec = dataclasses.replace(env.runtime.spec, ages=(9, 2, 1, 0))
        return env

    stage = Stage(WORLD, real=WORLD.make_real(), make_dream=far_sighted)
    now = stage.snapshot()
    assert (now.real.step, now.dream.step) == (0, 0) and not differ(now.real, now.dream)
    env = WORLD.make_real()
    env.reset(seed=0)
    for _ in range(9):
        idle, *_ = env.step(WORLD.idle_action)
    assert np.array_equal(now.real.frame, idle)
    stage.tick()
    now = stage.snapshot()
    assert (now.real.step, now.dream.step) == (1, 1)


def test_a_dream_goes_on_when_the_real_game_beside_it_begins_anew(stage):
    played(stage, 6)
    lose(stage)
    now = played(stage, 1 + WORLD.fps + 3)
    assert (now.real.step, now.dream.step) == (3, 3 + 1 + WORLD.fps + 3)


def test_a_mode_plays_only_what_it_shows(stage):
    now = played(stage, 3, Mode.REAL)
    assert (now.real.step, now.dream.step) == (3, 0)
    now = played(stage, 2, Mode.DREAM)
    assert (now.real.step, now.dream.step) == (3, 2)


def test_the_dream_takes_over_from_the_last_real_frames(stage):
    before = played(stage, 6, Mode.REAL)
    stage.take_over()
    now = stage.snapshot()
    assert now.mode is Mode.DREAM
    assert not differ(now.dream, before.real)
    history = stage._dream_env.get_state()["model"]["actions"]
    assert history.shape[1] == 3  # the actions between four frames came along
    assert played(stage, 3).dream.step == 3


def test_actions_between_the_frames_are_handed_over(stage):
    stage.show(Mode.REAL)
    stage.hold(RIGHT)
    played(stage, 5)
    stage.take_over()
    codes = stage._dream_env.get_state()["model"]["actions"][0]
    assert codes.argmax(1).tolist() == [RIGHT] * 3


def test_side_by_side_the_dream_that_takes_over_is_beside_the_real_game(stage):
    played(stage, 6)
    stage.take_over()
    now = stage.snapshot()
    assert now.mode is Mode.SIDE and not differ(now.real, now.dream)


def test_the_dream_laid_over_the_real_game_begins_anew_from_it_at_a_cadence(stage):
    stage.show(Mode.BLEND)
    apart = []
    for _ in range(2 * (BLEND_CADENCE + 1)):
        stage.tick()
        now = stage.snapshot()
        apart.append(differ(now.real, now.dream))
    assert apart == 2 * ([True] * BLEND_CADENCE + [False])


def test_the_real_game_does_not_heed_the_dream(weights):
    alone, blended = tiny_stage(weights), tiny_stage(weights)
    a, b = played(alone, 30, Mode.REAL), played(blended, 30, Mode.BLEND)
    assert not differ(a.real, b.real)


def test_blending_mixes_the_pictures_by_weight(stage):
    now = played(stage, 3, Mode.BLEND)
    (only,) = pictures(now, 0.25)
    expected = 0.75 * now.real.frame + 0.25 * now.dream.frame
    assert abs(only.frame - expected).max() <= 0.5
    assert (pictures(now, 0.0)[0].frame == now.real.frame).all()


def test_equal_seeds_give_equal_games(weights):
    a, b = tiny_stage(weights, seed=3), tiny_stage(weights, seed=3)
    assert not differ(played(a, 12).dream, played(b, 12).dream)


def test_a_reset_takes_the_next_seed_or_the_one_that_is_given(stage):
    stage.reset()
    assert stage.snapshot().seed == 1
    first = played(stage, 12).dream
    stage.reset(1)
    assert stage.snapshot().dream.step == 0
    assert not differ(played(stage, 12).dream, first)


def test_a_key_that_is_let_go_between_two_steps_counts_once(stage):
    stage.hold(LEFT)
    stage.hold(WORLD.idle_action)
    assert played(stage, 1).action == LEFT
    assert played(stage, 1).action == WORLD.idle_action


def test_a_held_key_counts_until_it_is_let_go(stage):
    stage.hold(RIGHT)
    paddle = [played(stage, 1, Mode.REAL).real.frame[58, :, 0].argmax() for _ in range(3)]
    assert paddle == sorted(set(paddle))


def test_doubt_and_latent_change_come_with_every_dream_step(stage):
    stage.show(Mode.DREAM)
    stage.reset()
    assert stage.snapshot().change is None and np.isnan(stage.snapshot().doubt)
    before = stage.snapshot().dream.frame
    now = played(stage, 1)
    assert now.doubts.shape == (1,) and 0 <= now.doubt <= 1
    moved = (now.dream.frame != before).any(-1)
    assert now.change.shape == (64, 64)
    assert ((now.change > 0.002) == moved).all()
    assert now.step_ms > 0


def test_norms_of_blocks_come_when_asked_for_and_go_again(stage):
    assert played(stage, 1, Mode.DREAM).norms == ()
    stage.probe_blocks(True)
    norms = dict(played(stage, 1).norms)
    assert {"encoder.0.0", "last"} <= set(norms) and all(v > 0 for v in norms.values())
    stage.probe_blocks(False)
    assert played(stage, 1).norms == ()
    model = stage._dream_env.runtime.model
    assert not any(module._forward_hooks for module in model.modules())


def test_a_sampler_can_be_given_other_steps_while_it_dreams(tmp_path):
    stage = tiny_stage(save_tiny_breakout(tmp_path / "w", tiny_denoiser(steps=2)), mode=Mode.DREAM)
    before = played(stage, 1)
    assert before.sampler_steps == 2
    latent = stage._dream_env.latent()
    stage.set_sampler_steps(3)
    assert (stage._dream_env.latent() == latent).all()
    now = stage.snapshot()
    assert now.sampler_steps == 3 and not differ(now.dream, before.dream)
    assert played(stage, 1).dream.step == 2
    stage.set_sampler_steps(0)
    assert stage.snapshot().sampler_steps == 1


def test_a_model_without_a_sampler_has_no_sampler_steps(stage):
    assert stage.snapshot().sampler_steps is None
    stage.set_sampler_steps(3)
    assert stage.snapshot().sampler_steps is None


def lose(stage):
    """The real game's last ball is about to leave the picture."""
    stage._real.env.reset(
        options={"ball": (3.0, 66.0), "velocity": (0.0, 0.92), "lives": 1, "paddle": 40.0}
    )


def test_the_dream_laid_over_a_game_that_is_over_waits_and_begins_anew_with_it(stage):
    stage.world = dataclasses.replace(WORLD, fps=3)  # a second shorter than the cadence
    played(stage, 2, Mode.BLEND)
    lose(stage)
    over = played(stage, 1)
    later = played(stage, 2)
    assert over.real.over and later.real.over and later.dream.step == over.dream.step
    again = played(stage, 1)
    assert not again.real.over and not differ(again.real, again.dream)


def test_a_game_that_is_over_is_shown_for_a_second_and_begins_anew(stage):
    stage.show(Mode.REAL)
    lose(stage)
    assert played(stage, 1).real.over
    assert played(stage, WORLD.fps - 1).real.over
    now = played(stage, 1)
    assert not now.real.over and now.real.step == 0


def test_frames_in_a_snapshot_cannot_be_changed(stage):
    with pytest.raises(ValueError, match="read-only"):
        stage.snapshot().real.frame[:] = 0


def test_an_unknown_mode_is_refused(stage):
    with pytest.raises(ValueError, match="'replay' was asked for; here are real"):
        stage.show(Mode.REPLAY)


def test_a_world_without_weights_is_played_real():
    stage = Stage(WORLD, real=WORLD.make_real(), make_dream=None)
    assert stage.modes == (Mode.REAL,)
    stage.take_over()
    assert played(stage, 2).real.step == 2


@pytest.fixture
def episode():
    return recorded(5)


def test_a_replay_shows_the_recording_and_feeds_its_actions_to_the_dream(weights, episode):
    stage = tiny_stage(weights, episode=episode)
    begun = stage.snapshot()
    assert begun.mode is Mode.REPLAY
    assert (begun.real.frame == episode.observation[3]).all()
    assert (begun.dream.frame == episode.observation[3]).all()
    seen, sent = [], []
    for _ in range(17):
        stage.tick()
        now = stage.snapshot()
        seen.append(now.real.frame)
        sent.append(int(now.action))
    assert (np.stack(seen) == episode.observation[4:]).all()
    assert sent == episode.action[3:].tolist()
    assert now.real.over and now.dream.step == 17
    assert [picture.title for picture in pictures(now, 0.5)] == ["recorded", "dream"]


def test_a_replay_that_has_ended_begins_anew_with_the_dream(weights, episode):
    stage = tiny_stage(weights, episode=episode)
    now = played(stage, 17 + WORLD.fps)
    assert now.real.step == 3 and not differ(now.real, now.dream)


@pytest.fixture
def running():
    sessions = []

    def start(make_stage):
        session = Session(make_stage)
        sessions.append(session)
        session.start()
        return session

    yield start
    for session in sessions:
        session.close()


def settled(session):
    """The snapshot after all that was sent so far is done."""
    done = threading.Event()
    session.send(lambda stage: None)
    session.send(lambda stage: done.set())  # what was sent before it is published by now
    assert done.wait(60)
    return session.snapshot


def paused(stage):
    stage.set_paused(True)
    return stage


def test_a_session_obeys_in_order_and_tells_how_things_stand(running, weights):
    session = running(lambda: paused(tiny_stage(weights)))
    session.send(lambda stage: stage.show(Mode.DREAM))
    session.send(Stage.tick)
    session.send(Stage.tick)
    now = settled(session)
    assert (now.mode, now.number, now.paused) == (Mode.DREAM, 2, True)
    assert [snapshot.number for snapshot in session.recent()] == [1, 2]


def test_a_session_plays_by_itself_until_it_is_paused(running, weights):
    third = threading.Event()

    class Counted(type(WORLD.make_real())):
        count = 0

        def step(self, action):
            self.count += 1
            if self.count == 3:
                third.set()
            return super().step(action)

    session = running(lambda: tiny_stage(weights, real=Counted()))
    assert third.wait(60)
    session.send(lambda stage: stage.set_paused(True))
    number = settled(session).number
    assert number >= 3 and settled(session).number == number


def test_moments_of_another_mode_are_not_among_the_recent(running, weights):
    session = running(lambda: paused(tiny_stage(weights)))
    session.send(Stage.tick)
    session.send(lambda stage: stage.show(Mode.DREAM))
    session.send(Stage.tick)
    settled(session)
    assert [snapshot.mode for snapshot in session.recent()] == [Mode.DREAM]


class Brittle(type(WORLD.make_real())):
    """A real game that breaks in its second step."""

    def step(self, action):
        self.steps = getattr(self, "steps", 0) + 1
        if self.steps == 2:
            raise RuntimeError("the ball is square")
        return super().step(action)


def test_an_error_is_told_and_a_reset_goes_on(running, weights):
    session = running(lambda: paused(tiny_stage(weights, real=Brittle())))
    session.send(Stage.tick)
    session.send(Stage.tick)
    session.send(Stage.tick)
    now = settled(session)
    assert now.error == "the ball is square" and now.number == 2
    session.send(Stage.reset)
    session.send(Stage.tick)
    now = settled(session)
    assert (now.error, now.real.step) == ("", 1)


def test_a_stage_that_cannot_be_made_is_told_and_tried_again(running, weights):
    tries = []

    def make_stage():
        tries.append(1)
        if len(tries) < 3:
            raise OSError("no such weights")
        return paused(tiny_stage(weights))

    session = running(make_stage)
    done = threading.Event()
    session.send(Stage.reset)
    session.send(Stage.reset)
    session.send(lambda stage: done.set())
    assert done.wait(60)
    assert len(tries) == 3 and session.snapshot.error == ""


def test_reading_a_snapshot_does_not_wait_for_a_step(running, weights):
    inside, go_on = threading.Event(), threading.Event()

    class Slow(type(WORLD.make_real())):
        def step(self, action):
            inside.set()
            assert go_on.wait(60)
            return super().step(action)

    session = running(lambda: paused(tiny_stage(weights, real=Slow())))
    session.send(Stage.tick)
    assert inside.wait(60)
    assert session.snapshot.number == 0
    session.send(lambda stage: stage.hold(LEFT))
    go_on.set()
    assert settled(session).number == 1


@pytest.mark.parametrize("mode", [Mode.SIDE, Mode.DREAM])
def test_a_film_and_a_picture_are_saved_under_new_names(stage, tmp_path, mode):
    from PIL import Image

    snapshots = [played(stage, 1, mode if not t else None) for t in range(5)]
    saver = Saver(tmp_path / "new", "breakout")
    for _ in range(2):
        saver.gif(snapshots, 0.5, fps=15)
        saver.png(snapshots[-1], 0.5)
    saver.wait()
    stem = f"breakout-{mode.value.replace(' ', '-')}"
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == sorted(f"{stem}-{n}.{kind}" for n in (1, 2) for kind in ("gif", "png"))
    with Image.open(tmp_path / "new" / f"{stem}-1.gif") as film:
        assert film.n_frames == 5
    shown = len(pictures(snapshots[-1], 0.5))
    with Image.open(tmp_path / "new" / f"{stem}-1.png") as picture:
        assert picture.size == (512 * shown, 512)


def test_a_file_that_cannot_be_written_is_told(stage, tmp_path):
    (tmp_path / "taken").write_text("")
    saver = Saver(tmp_path / "taken", "breakout")
    saver.png(stage.snapshot(), 0.5)
    saver.wait()
    assert saver.note.startswith("could not save")
    saver.gif([], 0.5, fps=15)
    assert saver.note == "nothing was played yet"
