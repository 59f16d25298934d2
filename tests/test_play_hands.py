"""Keys become actions, and actions are told in words."""

from dataclasses import replace

import numpy as np
from gymnasium import spaces
from tiny_play import LEFT, RIGHT, WORLD

from learned_envs.play.hands import Hands, action_name, how_to_play
from learned_envs.worlds import World


def test_of_several_keys_the_one_pressed_last_counts():
    hands = Hands(WORLD)
    assert hands.action == WORLD.idle_action
    assert hands.press("left") and hands.press("d")
    assert hands.action == RIGHT
    assert hands.release("d")
    assert hands.action == LEFT
    hands.let_go()
    assert hands.action == WORLD.idle_action


def test_a_key_that_is_none_of_the_worlds_is_left_to_others():
    assert not Hands(WORLD).press("p")
    assert not Hands(WORLD).release("p")


def test_the_hint_names_the_keys_of_every_action():
    assert how_to_play(WORLD) == "Play with     Left or A: left     Right or D: right"


def test_actions_are_written_by_name_or_by_number():
    assert action_name(WORLD, np.int64(LEFT)) == "left"
    pond = type("Pond", (), {"action_names": ("u", "v", "strength")})()
    assert action_name(pond, np.array([0.25, 1, 0])) == "u 0.25 v 1 strength 0"


def walker() -> World:
    """A world of vectors: forward, and a turn to either side."""
    space = spaces.Box(np.array([0, -1], np.float32), np.ones(2, np.float32))
    keys = {"w": [1, 0], "left": [0, -1], "right": [0, 1]}
    return replace(
        WORLD,
        action_space=space,
        action_names=("forward", "turn"),
        idle_action=np.zeros(2, np.float32),
        keys={key: np.array(action, np.float32) for key, action in keys.items()},
    )


def test_keys_that_move_different_things_are_held_together():
    hands = Hands(walker())
    assert hands.action.tolist() == [0, 0]
    hands.press("w")
    hands.press("left")
    assert hands.action.tolist() == [1, -1]
    hands.press("right")
    assert hands.action.tolist() == [1, 1]
    hands.release("w")
    assert hands.action.tolist() == [0, 1]
    assert hands.action.dtype == np.float32


def test_the_hint_names_what_a_key_moves():
    told = "Play with     W: forward     Left: turn -1     Right: turn"
    assert how_to_play(walker()) == told
