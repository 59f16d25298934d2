"""The referee of Breakout: true games keep every law, and every planted fault is found."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from learned_envs import worlds
from learned_envs.evaluation.breakout_laws import LAWS, BreakoutReferee
from learned_envs.evaluation.judging import judge
from learned_envs.evaluation.rollouts import Rollout, pieces
from sims.breakout import BreakoutSimulation

WORLD = worlds.get("breakout")


def real_env(behaviour: str, rows: int):
    """Real games of one behaviour, odd starts included, and the options of their first reset."""
    random = np.random.default_rng(3)

    def options(which):
        drawn = {row: WORLD.reset_options(behaviour, random) for row in which}
        return {row: o for row, o in drawn.items() if o is not None}

    env = WORLD.make_real_vec(rows, max_episode_steps=1000)
    env.unwrapped.autoreset_options = options
    return env, {"rows": options(range(rows))}


def judged(behaviour: str, rows: int, steps: int):
    env, options = real_env(behaviour, rows)
    play = WORLD.make_behaviour([behaviour] * rows, range(rows))
    return judge(pieces(env, play, steps, 11, options), BreakoutReferee())


@pytest.mark.parametrize("behaviour", WORLD.behaviours)
def test_true_games_keep_every_law(behaviour):
    report = judged(behaviour, rows=8, steps=400).report
    for law in LAWS:
        assert not report.held_when_tested(law) < 0.999, f"{law}\n{report.table()}"
        assert not (report.held_by_age(law) < 0.999).any()


def test_true_games_put_every_law_to_the_test():
    report = judged("edges", rows=24, steps=300).report + judged("miss", rows=24, steps=300).report
    assert all(count.tests.sum() > 50 for count in report.counts.values()), report.table()


@pytest.mark.full
@pytest.mark.parametrize("behaviour", WORLD.behaviours)
def test_true_games_keep_every_law_at_length(behaviour):
    report = judged(behaviour, rows=64, steps=2000).report
    for law in LAWS:
        assert not report.held_when_tested(law) < 0.999, report.table()


def test_a_rebuilt_wall_is_lawful():
    last = np.zeros((6, 12), bool)
    last[5, 6] = True
    env = WORLD.make_real_vec(4)
    options = {"bricks": last, "ball": (36.0, 45.0), "velocity": (0.0, -0.92)}
    play = WORLD.make_behaviour(["careful"] * 4, range(4))
    result = judge(pieces(env, play, 60, 0, options), BreakoutReferee())
    assert result.events["bricks broken"] >= 4
    assert all(count.violations.sum() == 0 for count in result.report.counts.values())


def test_verdicts_do_not_depend_on_how_a_rollout_is_cut():
    def report(piece):
        env, options = real_env("sleepy", 4)
        play = WORLD.make_behaviour(["sleepy"] * 4, range(4))
        return judge(pieces(env, play, 300, 5, options, piece=piece), BreakoutReferee())

    whole, cut = report(300), report(17)
    assert whole.report.to_json() == cut.report.to_json()
    assert whole.events == cut.events


@dataclass
class Tick:
    """One tick of true play, which a fault may falsify before it is shown."""

    simulation: BreakoutSimulation
    actions: np.ndarray
    paddle: np.ndarray  # these four as they were before the tick
    ball: np.ndarray
    velocity: np.ndarray
    bricks: np.ndarray
    rewards: np.ndarray
    may: np.ndarray  # rows where nothing was planted lately
    random: np.random.Generator
    retouch: dict[int, Callable[[np.ndarray, list[np.ndarray]], np.ndarray]] = field(
        default_factory=dict
    )  # by row: gives the frame to show, from the frame and those shown before


def visible(tick: Tick) -> np.ndarray:
    return tick.simulation.ball[:, 1] < 62


def frozen(tick):
    rows = tick.may & visible(tick) & (tick.simulation.ball[:, 1] > 5)
    return paint(tick, rows, lambda frame, shown: shown[-1])


def ball_erased(tick):
    simulation = tick.simulation
    clean = BreakoutSimulation(len(tick.may), antialias=True)
    clean.bricks, clean.lives, clean.paddle = simulation.bricks, simulation.lives, simulation.paddle
    clean.ball[:] = 30.0, 67.0
    clean.draw_board(np.arange(len(tick.may)))
    empty = clean.frames()
    rows = tick.may & visible(tick)
    tick.retouch |= {i: (lambda *_, i=i: empty[i]) for i in np.flatnonzero(rows)}
    return rows


def ball_doubled(tick):
    def double(frame, shown):
        y, x = tick.random.integers(34, 52), tick.random.integers(4, 58)
        frame[y : y + 3, x : x + 3] = 255
        frame[y + 1, x + 1] = 255, 221, 103
        return frame

    return paint(tick, tick.may & (tick.simulation.ball[:, 1] < 30), double)


def ball_smeared(tick):
    def smear(frame, shown):
        return np.mean([frame, *shown[-3:]], axis=0).astype(np.uint8)

    return paint(tick, tick.may & visible(tick) & (tick.ball[:, 1] > 6), smear)


def ball_blurred(tick):
    x, y = tick.simulation.ball.T.astype(int)

    def blur(i):
        box = slice(max(y[i] - 3, 1), y[i] + 4), slice(max(x[i] - 3, 1), x[i] + 4)

        def retouch(frame, shown):
            wide = np.pad(frame.astype(float), ((1, 1), (1, 1), (0, 0)), "edge")
            mean = sum(wide[j : j + 64, k : k + 64] for j in range(3) for k in range(3)) / 9
            frame[box] = mean[box]
            return frame

        return retouch

    rows = tick.may & visible(tick)
    tick.retouch |= {i: blur(i) for i in np.flatnonzero(rows)}
    return rows


def ball_teleported(tick):
    angle = tick.random.uniform(0, 2 * np.pi, len(tick.may))
    target = tick.simulation.ball + 3 * np.stack([np.cos(angle), np.sin(angle)], 1)
    inside = ((target > (3, 5)) & (target < (60, 53))).all(1)
    rows = tick.may & inside
    tick.simulation.ball[rows] = target[rows]
    return rows


def ball_too_fast(tick):
    ahead = tick.simulation.ball + 0.5 * tick.simulation.velocity
    rows = tick.may & ((ahead > (3, 5)) & (ahead < (60, 53))).all(1)
    tick.simulation.ball[rows] = ahead[rows]
    return rows


def paddle_against_the_action(tick):
    move = tick.simulation.paddle - tick.paddle
    rows = tick.may & (abs(move) > 2) & (tick.paddle > 5) & (tick.paddle < 47)
    tick.simulation.paddle[rows] -= 2 * move[rows]
    return rows


def paddle_too_far(tick):
    move = np.sign(tick.simulation.paddle - tick.paddle)
    rows = tick.may & (move != 0) & (tick.paddle > 6) & (tick.paddle < 46)
    tick.simulation.paddle[rows] += move[rows]
    return rows


def brick_invented(tick):
    return change_brick(tick, ~tick.simulation.bricks, tick.may & (tick.rewards == 0))


def brick_vanished(tick):
    far = tick.may & (tick.simulation.ball[:, 1] > 36) & (tick.simulation.bricks.sum((1, 2)) > 2)
    return change_brick(tick, tick.simulation.bricks, far)


def two_bricks_at_once(tick):
    rows = tick.may & (tick.rewards == 1) & (tick.simulation.bricks.sum((1, 2)) > 2)
    return change_brick(tick, tick.simulation.bricks, rows)


def ball_through_brick(tick):
    """While it lasts, nothing breaks or reflects: `_HELD` ticks from the first touch on."""
    rows = (tick.rewards == 1) & (tick.bricks.sum((1, 2)) > 1)
    simulation = tick.simulation
    simulation.bricks[rows] = tick.bricks[rows]
    simulation.velocity[rows] = tick.velocity[rows]
    tick.rewards[rows] = 0
    simulation.draw_board(np.arange(len(rows)))
    return rows & tick.may


def wrong_bounce(tick):
    simulation = tick.simulation
    rows = tick.may & (simulation.velocity[:, 1] < 0) & (tick.velocity[:, 1] > 0)
    rows &= simulation.ball[:, 1] == 55
    x = simulation.ball[:, 0]
    rows &= (x > 5) & (x < 58)
    vx = simulation.velocity[:, 0]
    simulation.velocity[:, 0] = np.where(rows, np.where(vx > 0, vx - 0.6, vx + 0.6), vx)
    return rows


def life_lost(tick):
    rows = tick.may & (tick.simulation.lives > 1) & visible(tick)
    tick.simulation.lives[rows] -= 1
    tick.simulation.draw_board(np.flatnonzero(rows))
    return rows


def life_won(tick):
    rows = tick.may & (tick.simulation.lives < 3)
    tick.simulation.lives[rows] += 1
    tick.simulation.draw_board(np.flatnonzero(rows))
    return rows


def reward_without_brick(tick):
    rows = tick.may & (tick.rewards == 0)
    tick.rewards[rows] = 1
    return rows


def ball_returns_for_nothing(tick):
    rows = tick.may & (tick.velocity[:, 1] > 0) & (tick.ball[:, 1] < 40)
    tick.simulation.ball[rows] = 32, 45
    return rows


def ghost_of_a_brick(tick):
    def ghost(frame, shown):
        frame[40:43, 30:34] = 120
        return frame

    return paint(tick, tick.may & (tick.simulation.ball[:, 1] < 30), ghost)


def paint(tick, rows, retouch):
    tick.retouch |= dict.fromkeys(np.flatnonzero(rows), retouch)
    return rows


def change_brick(tick, where, rows):
    rows = rows & where.any((1, 2))
    for row in np.flatnonzero(rows):
        brick = tick.random.choice(np.flatnonzero(where[row]))
        tick.simulation.bricks[row].flat[brick] ^= True
    tick.simulation.draw_board(np.flatnonzero(rows))
    return rows


REST, LASTS = 16, 4
FAULTS = {
    frozen: {"speed", "turns"},
    ball_erased: {"ball"},
    ball_doubled: {"ball"},
    ball_smeared: {"ball"},
    ball_blurred: {"ball"},
    ball_teleported: {"turns", "speed", "bounce"},
    ball_too_fast: {"turns", "speed", "bounce", "bricks"},
    paddle_against_the_action: {"paddle"},
    paddle_too_far: {"paddle"},
    brick_invented: {"invented"},
    brick_vanished: {"bricks"},
    two_bricks_at_once: {"bricks"},
    ball_through_brick: {"bricks"},
    wrong_bounce: {"bounce"},
    life_lost: {"lives"},
    life_won: {"lives"},
    reward_without_brick: {"reward"},
    ball_returns_for_nothing: {"turns"},
    ghost_of_a_brick: {"clean"},
}


def play_with(fault, rows: int = 16, steps: int = 240):
    """A rollout with faults planted now and then in each row, and where: (T, n) bool."""
    random = np.random.default_rng(9)
    generators = [np.random.default_rng(row) for row in range(rows)]
    simulation = BreakoutSimulation(rows, antialias=True)
    names = ["careful", "edges", "follow", "sleepy"] * (rows // 4)
    play = WORLD.make_behaviour(names, range(rows))
    for row in range(rows):
        simulation.start(row, generators[row], WORLD.reset_options(names[row], random))
    shown = [simulation.frames()]
    rest = random.integers(4, REST, rows)
    actions, rewards, ended, planted = [], [], [], []
    for _ in range(steps):
        action = play(shown[-1], np.full(rows, len(shown) == 1))
        was = {k: getattr(simulation, k).copy() for k in ("paddle", "ball", "velocity", "bricks")}
        reward, over = simulation.advance(action, np.ones(rows, bool), generators)
        simulation.lives[over] = 3  # a new game in the same breath: not judged, see `first`
        for row in np.flatnonzero(over):
            simulation.start(row, generators[row], None)
        tick = Tick(
            simulation, action, **was, rewards=reward, may=(rest <= 0) & ~over, random=random
        )
        if fault is ball_through_brick:
            tick.rewards = np.where((rest <= 0) | (rest > REST - LASTS), reward, 0)
        marks = fault(tick)
        if fault is ball_through_brick:
            tick.rewards = np.where((rest <= 0) | (rest > REST - LASTS), tick.rewards, reward)
        rest = np.where(marks, REST, rest - 1)
        frame = simulation.frames()
        for row, retouch in tick.retouch.items():
            frame[row] = retouch(frame[row].copy(), [past[row] for past in shown[-4:]])
        for what, now in zip(
            (shown, actions, rewards, ended, planted),
            (frame, action, tick.rewards, over, marks),
            strict=True,
        ):
            what.append(now)
    first = np.stack([np.ones(rows, bool), *ended])
    rollout = Rollout(
        frames=np.stack(shown),
        actions=np.stack(actions),
        rewards=np.stack(rewards),
        terminated=np.zeros((steps, rows), bool),
        truncated=np.zeros((steps, rows), bool),
        first=first,
        age=np.ones((steps + 1, rows), np.int64),
        doubt=np.full((steps, rows), np.nan),
    )
    return rollout, np.stack(planted)


def within(marks: np.ndarray, steps: int) -> np.ndarray:
    """Steps from each mark to `steps` later."""
    late = marks.copy()
    for i in range(1, steps + 1):
        late[i:] |= marks[:-i]
    return late


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_planted_fault_is_found(fault):
    rollout, planted = play_with(fault)
    verdicts = BreakoutReferee().watch(rollout)
    blamed = np.any([verdicts[law].broken for law in FAULTS[fault]], axis=0)
    window = LASTS if fault is ball_through_brick else 1
    found = np.any([blamed[i : len(blamed) - window + i] for i in range(window + 1)], axis=0)
    planted = planted[: len(found)]
    assert planted.sum() >= 10
    assert found[planted].mean() >= 0.9, f"{found[planted].sum()} of {planted.sum()}"


@pytest.mark.parametrize("fault", [ball_teleported, ball_erased, wrong_bounce, frozen])
def test_a_fault_is_not_held_against_later_frames(fault):
    rollout, planted = play_with(fault)
    verdicts = BreakoutReferee().watch(rollout)
    broken = np.any([verdict.broken for verdict in verdicts.values()], axis=0)
    assert broken[~within(planted, 4)].mean() < 0.002
