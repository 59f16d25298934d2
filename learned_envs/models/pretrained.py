"""Networks of the diffusers library: how they are shaped, and their pretrained weights.

Weights come from a folder or a hub when a training begins. A checkpoint holds them with the rest of
its model, and the shape of each network beside them, so that a dream needs neither.
"""

from typing import Any

import gymnasium as gym
import torch
from torch import Tensor

_PRIVATE = "_"  # begins what diffusers notes of a file, not of a network


def described(kind: str, name: str, part: str) -> tuple[dict[str, Any], str]:
    """Looks up how a network is shaped.

    Args:
        kind: Its class in diffusers.
        name: Folder that diffusers saved it to, or a hub id; or those of a whole pipeline.
        part: Where a pipeline keeps it.

    Returns:
        Its shape, and the folder within `name` where it is: `part` or none.

    Raises:
        ValueError: If there is none of that name, or it is of another kind.
        gymnasium.error.DependencyNotInstalled: If diffusers is missing.
    """
    found, place = _config(kind, name, part)
    if found.get("_class_name") != kind:
        raise ValueError(
            f"{name} is a {found.get('_class_name')}, expected {_article(kind)} or a whole pipeline"
        )
    return {key: value for key, value in found.items() if not key.startswith(_PRIVATE)}, place


def schedule_of(name: str) -> dict[str, Any]:
    """Looks up the schedule of noise of a pipeline; Stable Diffusion's where `name` is none.

    Raises:
        gymnasium.error.DependencyNotInstalled: If diffusers is missing.
    """
    try:
        return dict(diffusers().DDIMScheduler.load_config(name, subfolder="scheduler"))
    except (OSError, ValueError):
        return {
            "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
            "num_train_timesteps": 1000, "prediction_type": "epsilon",
        }  # fmt: skip


def weights(kind: str, name: str, place: str) -> dict[str, Tensor]:
    """Fetches a network's pretrained weights, in float32.

    Args:
        kind: Its class in diffusers.
        name: Folder or hub id.
        place: Folder within.

    Raises:
        ValueError: If they are not to be had.
        gymnasium.error.DependencyNotInstalled: If diffusers is missing.
    """
    try:
        found = getattr(diffusers(), kind).from_pretrained(
            name, subfolder=place or None, torch_dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{_unreachable(kind, name)}: {error}") from error
    return found.state_dict()


def diffusers() -> Any:
    """The library.

    Raises:
        gymnasium.error.DependencyNotInstalled: If it is missing.
    """
    try:
        import diffusers
    except ImportError:
        raise gym.error.DependencyNotInstalled(
            'pretrained networks need diffusers: run `pip install "learned-envs[pretrained]"`'
        ) from None
    return diffusers


def _config(kind: str, name: str, part: str) -> tuple[dict[str, Any], str]:
    load = getattr(diffusers(), kind).load_config
    try:
        return dict(load(name)), ""
    except (OSError, ValueError) as error:
        try:
            return dict(load(name, subfolder=part)), part
        except (OSError, ValueError):
            raise ValueError(f"{_unreachable(kind, name)}: {error}") from error


def _unreachable(kind: str, name: str) -> str:
    return (
        f"the pretrained {kind} {name!r} cannot be read: give a folder that holds its config.json "
        "and weights, that of a pipeline, or a hub id while the hub can be reached"
    )


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'AEIO' else 'a'} {kind}"
