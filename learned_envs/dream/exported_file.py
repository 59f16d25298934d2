"""What an exported `.onnx` file says besides its graph, so that the file alone can be played.

The graph is one step:

    inputs   state_<name>..., action, noise_<name>...
    outputs  next_<name>..., frame, reward, termination, doubt, surprise

A state without a `next_` stays as it is: what the codec keeps.

Three entries of the file's `metadata_props` hold the rest: `learned_envs`, a JSON text with spaces,
shapes, noise and defaults; `learned_envs_init`, a small second graph (frames, actions) ->
(state_<name>..., frame), in base64; and `learned_envs_starts`, the bank of starts, an `.npz` in
base64.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from learned_envs.dream.dream_spec import DreamSpec
from learned_envs.models.checkpoint import CheckpointError
from learned_envs.models.dynamics.dynamics import NoiseSpec
from learned_envs.worlds.spaces import space_from_json, space_to_json

SCHEMA = 1
SPEC, INIT, STARTS = "learned_envs", "learned_envs_init", "learned_envs_starts"
_BAD_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError)


def pack(spec: DreamSpec, init: bytes, *, dtype: str) -> dict[str, str]:
    """Writes metadata entries.

    Args:
        spec: Of the dream.
        init: The second graph, serialised.
        dtype: `fp32` or `fp16`, what the network computes in.
    """
    described = {
        "schema": SCHEMA,
        "world": spec.world,
        "dtype": dtype,
        "observation_space": space_to_json(spec.observation_space),
        "action_space": space_to_json(spec.action_space),
        "ages": spec.ages,
        "idle_action": np.asarray(spec.idle_action).tolist(),
        "latent_shape": spec.latent_shape,
        "state": dict(spec.state),
        "noise": {n: {"shape": s.shape, "kind": s.kind} for n, s in spec.noise.items()},
        "variables": spec.variables,
        "reward": spec.reward,
        "fps": spec.fps,
        "max_episode_steps": spec.max_episode_steps,
    }
    bank = io.BytesIO()
    np.savez_compressed(bank, frames=spec.start_frames, actions=spec.start_actions)
    return {
        SPEC: json.dumps(described),
        INIT: base64.b64encode(init).decode(),
        STARTS: base64.b64encode(bank.getvalue()).decode(),
    }


def unpack(entries: Mapping[str, str], path: Path) -> tuple[DreamSpec, bytes]:
    """Reads metadata entries back: the dream's description and the second graph.

    Raises:
        CheckpointError: If entries are missing, damaged or of another schema.
    """
    if not {SPEC, INIT, STARTS} <= set(entries):
        raise CheckpointError(
            f"{path} was not written by `learned-envs export`: it has metadata "
            f"{sorted(entries)}, expected {SPEC}, {INIT} and {STARTS}"
        )
    try:
        described = json.loads(entries[SPEC])
        if described["schema"] != SCHEMA:
            raise CheckpointError(
                f"{path} has schema {described['schema']}, this version reads {SCHEMA}: export it "
                "again, or install the version of learned_envs that wrote it"
            )
        bank = np.load(io.BytesIO(base64.b64decode(entries[STARTS])), allow_pickle=False)
        spec = DreamSpec(
            source=str(path),
            world=described["world"],
            observation_space=space_from_json(described["observation_space"]),  # type: ignore[arg-type]
            action_space=space_from_json(described["action_space"]),
            ages=tuple(described["ages"]),
            idle_action=described["idle_action"],
            latent_shape=tuple(described["latent_shape"]),
            state={name: tuple(shape) for name, shape in described["state"].items()},
            noise={
                name: NoiseSpec(tuple(item["shape"]), item["kind"])
                for name, item in described["noise"].items()
            },
            variables=tuple(described.get("variables", ())),  # files of before had none
            reward=described["reward"],
            fps=described["fps"],
            max_episode_steps=described["max_episode_steps"],
            start_frames=bank["frames"],
            start_actions=bank["actions"],
        )
        return spec, base64.b64decode(entries[INIT])
    except CheckpointError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OSError, *_BAD_ARCHIVE) as error:
        raise CheckpointError(
            f"{path} holds damaged metadata ({type(error).__name__}: {error}): export it again"
        ) from error
