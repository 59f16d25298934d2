"""From what a user calls `weights` to a folder or file on this machine."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

import gymnasium as gym

from learned_envs import worlds

PACKAGED = Path(__file__).parents[1] / "weights"
"""Where the weights are that come with the library, a folder for each world."""

_HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_FILES = ["config.json", "*.safetensors", "graph.zip", "README.md", "*.onnx"]


def packaged(world: str) -> Path | None:
    """Folder of the weights that come with the library for `world`, or None if there are none."""
    folder = PACKAGED / world
    return folder if (folder / "config.json").exists() else None


def resolve(weights: str | Path | None, world: str | None = None) -> Path:
    """Finds weights, downloading them if they are on a hub.

    Args:
        weights: The name of a world with packaged weights, a checkpoint's folder, an exported
            `.onnx` file, a hub id (`owner/name` or `owner/name@revision`), or None for the
            packaged weights of `world`.
        world: Name of the world that an id stands for.

    Returns:
        A checkpoint's folder or an `.onnx` file.

    Raises:
        ValueError: If there are no such weights.
        gymnasium.error.DependencyNotInstalled: If they need `huggingface_hub` and it is missing.
    """
    if weights is None:
        if world is None:
            raise ValueError(
                "`weights` was not given: pass weights=<folder of a checkpoint, exported .onnx "
                f"file, hub id or one of {', '.join(worlds.names())}>"
            )
        return _packaged(world)
    path = Path(weights).expanduser()
    if path.is_dir() or (path.is_file() and path.suffix == ".onnx"):
        return path
    if path.is_file():
        raise ValueError(
            f"{path} is neither a folder nor an .onnx file: give the folder that holds config.json"
        )
    if str(weights) in worlds.names():
        return _packaged(str(weights))
    hub_id = _HUB_ID.fullmatch(str(weights))
    if hub_id and path.suffix != ".onnx" and not path.is_absolute():
        return _download(hub_id["repository"], hub_id["revision"])
    near = get_close_matches(str(weights), worlds.names(), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"there are no weights {str(weights)!r}: it is no folder, no .onnx file, no hub id "
        f"(owner/name) and none of the worlds {', '.join(worlds.names())}.{hint}"
    )


def _packaged(world: str) -> Path:
    known = worlds.get(world)
    folder = packaged(known.name)
    if folder is None:
        played = world if known.real else f"{world} --recordings DIR"
        trained = f", or make one with `learned-envs train {played}`" if known.presets else ""
        raise ValueError(
            f"this installation holds no weights for {world!r} (looked in {PACKAGED / world}): "
            f"pass weights=<folder of a checkpoint>{trained}"
        )
    return folder


def _download(repository: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import snapshot_download  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise gym.error.DependencyNotInstalled(
            f"there is no folder {repository!r} here, and huggingface_hub is not installed to look "
            'for it on the hub: run `pip install "learned-envs[hub]"`'
        ) from None
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=_FILES))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"there is no folder {repository!r} here, and the hub did not give it"
            f"{f' at revision {revision!r}' if revision else ''}: {error}"
        ) from error
