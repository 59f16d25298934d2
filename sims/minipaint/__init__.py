"""Minipaint on 224x224 pixels: a paint program with a toolbar, and drawings to copy in it."""

from sims.minipaint.drawing import drawing
from sims.minipaint.env import FPS, IDLE_ACTION, VERSION, MinipaintEnv, MinipaintVectorEnv
from sims.minipaint.layout import BRUSHES, COLOURS, SIZE
from sims.minipaint.program import PRESSED, pixel_at
from sims.minipaint.reward import canvas_of, progress

__all__ = [
    "BRUSHES",
    "COLOURS",
    "FPS",
    "IDLE_ACTION",
    "PRESSED",
    "SIZE",
    "VERSION",
    "MinipaintEnv",
    "MinipaintVectorEnv",
    "canvas_of",
    "drawing",
    "pixel_at",
    "progress",
]
