"""The optional packages that exports are written with."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium as gym


def import_extra(module: str) -> Any:
    """A module of the extra `data`.

    Raises:
        gymnasium.error.DependencyNotInstalled: If its package is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise gym.error.DependencyNotInstalled(
            f"{module.partition('.')[0]} is not installed, which writes this export: run "
            '`pip install "learned-envs[data]"`'
        ) from None
