"""Minipaint with soft paint on grained paper: another program for the same people and models."""

from dataclasses import replace
from functools import partial

from learned_envs.worlds import minipaint
from learned_envs.worlds.world import Task

WORLD = replace(
    minipaint.WORLD,
    name="minipaint_soft",
    id_suffix="MinipaintSoft",
    real_kwargs={"soft": True},
    reset_options=partial(minipaint.reset_options, soft=True),
    task=Task(draw=partial(minipaint.draw_target, soft=True), reward=minipaint.reward),
)
