"""Games of stable-retro's emulators as Gymnasium environments, single and batched."""

from sims.retro.env import RetroEnv, RetroVectorEnv

__all__ = ["RetroEnv", "RetroVectorEnv"]
