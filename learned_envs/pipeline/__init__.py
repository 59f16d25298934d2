"""The whole line for one world: windows, training in stages, packing."""

from learned_envs.pipeline.presets import train_preset
from learned_envs.pipeline.stages import Trained, train
from learned_envs.pipeline.suited import expected_minutes, suited
from learned_envs.pipeline.windows import Windows, recorded, simulated

__all__ = [
    "Trained",
    "Windows",
    "expected_minutes",
    "recorded",
    "simulated",
    "suited",
    "train",
    "train_preset",
]
