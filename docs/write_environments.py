"""Writes docs/environments.md from the docstrings of the environments."""

import importlib
import inspect
from pathlib import Path

ENVIRONMENTS = (
    ("Real-Breakout-v0", "sims.breakout:BreakoutEnv"),
    ("Real-KoiPond-v0", "sims.koi_pond:KoiPondEnv"),
    ("Real-Minipaint-v0, Real-MinipaintSoft-v0", "sims.minipaint:MinipaintEnv"),
    ("Real-Airstriker-v0", "sims.retro:RetroEnv"),
    ("Dream-Breakout-v0, Dream-v0", "learned_envs.dream.dream_env:DreamEnv"),
)


def environments_page() -> str:
    """The page's text."""
    parts = [
        "# Environments\n\nWritten from the docstrings by `python docs/write_environments.py`."
    ]
    for ids, path in ENVIRONMENTS:
        module, name = path.split(":")
        text = inspect.getdoc(getattr(importlib.import_module(module), name)) or ""
        parts.append(f"# {ids}\n\n{text}")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("environments.md").write_text(environments_page())
