"""Recordings as a dataset of Minari, the Farama Foundation's library for offline learning.

Minari's Parquet storage is used, with frames as they are: its HDF5 and Arrow storages compress
none, and a recorded game takes a hundred times as much in them; its JPEG pictures are not the
recorded ones.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from tqdm import tqdm

from learned_envs.disk import full_disk_says
from learned_envs.recording.dataset.chosen import Chosen, choose
from learned_envs.recording.dataset.exported import Exported, out_folder
from learned_envs.recording.dataset.extra import import_extra
from learned_envs.recording.opened import world_of
from learned_envs.recording.variables import Variable
from learned_envs.worlds import World


def export_minari(
    recordings: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    split: str | None = None,
    progress: bool = False,
) -> Exported:
    """Writes episodes as the Minari dataset `<world>-v0`, or `<world>-<split>-v0`.

    A recorded episode becomes one of Minari's: frames are its observations, metadata its infos, and
    where it ends without an end, as parts of long takes do, its last step is truncated, as Minari's
    own collector has it. Who played, the split, the take and the part are metadata of the episode.
    A dataset of a world of the library knows its environment. One episode at a time is in memory.

    Args:
        recordings: A recordings folder or fsspec URL.
        out: Folder of Minari datasets, as `MINARI_DATASETS_PATH` names it. The dataset appears in
            it when it is whole.
        split: `train`, `validation` or `test`; None for all episodes.
        progress: Whether to show a progress bar.

    Raises:
        FileNotFoundError: If there are no such recordings.
        ValueError: If they cannot be exported as one (see `choose`), or `out` holds the dataset
            already, or something else.
        OSError: If the disk is full.
        gymnasium.error.DependencyNotInstalled: If Minari or pyarrow is missing.
    """
    import_extra("pyarrow")
    minari = import_extra("minari")
    chosen = choose(recordings, split)
    folder = out_folder(out, _is_minari)
    words = [chosen.store.world.replace(".", "_"), *([split] if split else []), "v0"]
    dataset_id = "-".join(words)
    dataset, temporary = folder / dataset_id, folder / f".{dataset_id}.tmp"
    if dataset.exists():
        raise ValueError(
            f"`out` (={folder}) holds the dataset {dataset_id} already: delete {dataset} to export "
            "it anew, or give another folder"
        )
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
    temporary.mkdir()
    shared, rare = _shared(chosen)
    try:
        with full_disk_says(
            f"no space is left for {dataset}. Nothing of it is left: free some space and run the "
            "same command again"
        ):
            storage = _storage(temporary / "data", chosen, dataset_id, minari.__version__)
            names = tqdm(chosen.names, unit="episode", disable=not progress)
            storage.update_episodes(_buffers(chosen, names, shared, storage.action_space))
            storage.update_episode_metadata(_about(chosen))
        os.replace(temporary, dataset)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Exported(
        folder=dataset,
        episodes=len(chosen.names),
        left_out=(*chosen.uneven, *rare),
        reading=f'MINARI_DATASETS_PATH={folder}, then `minari.load_dataset("{dataset_id}")`',
    )


def _is_minari(entry: Path) -> bool:
    """Whether that is a Minari dataset, or a namespace of some."""
    return (entry / "data").is_dir() or (entry / "namespace_metadata.json").is_file()


def _shared(chosen: Chosen) -> tuple[list[Variable], list[str]]:
    """Metadata that all episodes have, since Minari's have one structure, and names of the rest."""
    everywhere = [v for v in chosen.variables if v.episodes == len(chosen.names)]
    return everywhere, [v.name for v in chosen.variables if v not in everywhere]


def _storage(folder: Path, chosen: Chosen, dataset_id: str, version: str) -> Any:
    """A Minari storage without episodes."""
    module = import_extra("minari.dataset.minari_storage")
    world = world_of(chosen.store)
    known = world if world and world.known_as and world.real else None
    storage = module.MinariStorage.new(
        folder,
        observation_space=spaces.Box(0, 255, (*chosen.kind.frame_size, 3), np.uint8),
        action_space=_action_space(world, chosen),
        env_spec=gym.spec(f"Real-{known.id_suffix}-v0") if known else None,
        data_format="parquet",
        jpeg_encoding=False,
    )
    headers = [chosen.store.headers[name].attributes for name in chosen.names]
    storage.update_metadata(
        {
            "dataset_id": dataset_id,
            "minari_version": version,
            "algorithm_name": ", ".join(sorted({about.behaviour for about in headers})),
            "description": f"Play of {chosen.store.world}, {chosen.kind.fps:g} steps a second, "
            f"recorded with learned_envs. Actions: {', '.join(chosen.kind.action_names)}.",
            **({"requirements": ["learned-envs"]} if known else {}),
        }
    )
    return storage


def _action_space(world: World | None, chosen: Chosen) -> spaces.Space[Any]:
    """The world's, or one as wide as can be for a world that nothing describes."""
    if world is not None:
        return world.action_space
    shape, dtype = chosen.kind.action_shape, chosen.action_dtype
    if not shape:
        return spaces.Discrete(len(chosen.kind.action_names))
    return spaces.Box(-np.inf, np.inf, shape, np.result_type(dtype, np.float32).type)


def _buffers(
    chosen: Chosen, names: Any, shared: list[Variable], space: spaces.Space[Any]
) -> Iterator[Any]:
    """Minari's episode buffers, one at a time."""
    buffer = import_extra("minari.data_collector").EpisodeBuffer
    for name in names:
        episode = chosen.store.read(name)
        truncated = episode.truncated.copy()
        truncated[-1] |= not episode.terminated[-1]
        told = {v.name: episode.metadata[v.name].astype(v.dtype) for v in shared}
        yield buffer(
            observations=episode.observation[:],
            actions=episode.action.astype(space.dtype),
            rewards=episode.reward,
            terminations=episode.terminated,
            truncations=truncated,
            # numbers in a list: Minari reads back no array that has one number a frame
            infos={n: list(array) if array.ndim == 1 else array for n, array in told.items()},
        )


def _about(chosen: Chosen) -> Iterator[dict[str, Any]]:
    """What is said of each episode."""
    for name in chosen.names:
        about = chosen.store.headers[name].attributes
        yield {
            "name": name, "take": about.take, "part": about.part, "last_part": about.last,
            "take_seed": about.seed, "behaviour": about.behaviour, "source": about.source,
            "split": about.split,
        }  # fmt: skip
