"""Keys become actions, and actions are told in words."""

import numpy as np
from tiny_play import LEFT, RIGHT, WORLD

from learned_envs.play.hands import Hands, action_name, how_to_play


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
