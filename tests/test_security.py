"""Loading runs no code that came with a file: no pickle, no connection, no other process."""

import ast
import base64
import io
import json
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from tiny_dream import save_tiny
from tiny_world import tiny_world

from learned_envs.data import EpisodeStore
from learned_envs.deploy.onnx_export import export
from learned_envs.dream import exported_file
from learned_envs.dream.dream_env import DreamEnv
from learned_envs.dream.onnx_runtime import OnnxRuntime
from learned_envs.models.checkpoint import CheckpointError, load_checkpoint
from learned_envs.recording.recorder import record

ROOT = Path(__file__).parents[1]
PICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
LOADERS = {"torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"}
FORBIDDEN = ("pickle.find_class", "socket.connect", "subprocess.Popen", "os.system", "os.exec")


def dangers(source: str) -> list[str]:
    """What in a module could run code out of a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [n.name for n in names if n.name.split(".")[0] in PICKLERS]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in PICKLERS:
                found.append(module)
            case ast.Call(func=function, keywords=keywords):
                name = ast.unparse(function)
                safe = any(
                    k.arg == "allow_pickle" and not ast.literal_eval(k.value) for k in keywords
                )
                if name in LOADERS | {"eval", "exec", "compile", "__import__"}:
                    found.append(name)
                if name in ("np.load", "numpy.load") and not safe:
                    found.append(name)
                if name.endswith("read_pickle"):
                    found.append(name)
    return found


@pytest.mark.parametrize("package", ["learned_envs", "sims"])
def test_nothing_in_the_library_unpickles_or_evaluates(package):
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    assert {str(m): found for m in modules if (found := dangers(m.read_text()))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads",
        "torch.load(path)",
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "pd.read_pickle(path)",
    ],
)
def test_the_scan_sees_what_it_looks_for(source):
    assert dangers(source)


def watched(forkserver, target, *args) -> int:
    """Exit code of a process that does `target(*args)` and fails at the first forbidden event."""
    process = forkserver.Process(target=_watched, args=(target, *args))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _watched(target, *args) -> None:
    torch.set_num_threads(1)

    def watch(event, arguments):
        if event.startswith(FORBIDDEN):
            raise PermissionError(f"{event} {arguments}")

    sys.addaudithook(watch)
    target(*args)


def dream(weights: Path) -> None:
    env = DreamEnv(weights)
    env.reset(seed=0)
    for _ in range(3):
        env.step(0)


def read(recordings: Path) -> None:
    assert len(list(EpisodeStore(recordings))) == 3


def test_a_checkpoint_is_loaded_and_played_without_a_pickle_or_a_connection(forkserver, tmp_path):
    assert watched(forkserver, dream, save_tiny(tmp_path / "w")) == 0


def test_recordings_are_read_without_a_pickle_or_a_connection(forkserver, tmp_path):
    record(tiny_world(), tmp_path, 3, workers=0, progress=False)
    assert watched(forkserver, read, tmp_path) == 0


@pytest.mark.full
def test_an_exported_file_is_played_without_a_pickle_or_a_connection(forkserver, tmp_path):
    (path,) = export(save_tiny(tmp_path / "w"), tmp_path / "out", dtype="fp32")
    assert watched(forkserver, dream, path) == 0


def unpickle() -> None:
    pickle.loads(pickle.dumps(Path("a")))


def connect() -> None:
    with socket.socket() as probe:
        probe.connect_ex(("127.0.0.1", 9))


def start() -> None:
    subprocess.run([sys.executable, "--version"], check=True)


@pytest.mark.parametrize("target", [unpickle, connect, start])
def test_the_watch_sees_what_it_looks_for(forkserver, target, capfd):
    assert watched(forkserver, target) == 1


class Harm:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize("name", ["model.safetensors", "starts.safetensors"])
def test_a_pickle_in_the_place_of_tensors_is_refused(tmp_path, name):
    folder = save_tiny(tmp_path / "w")
    torch.save({"weight": Harm()}, folder / name)
    config = json.loads((folder / "config.json").read_text())
    del config["sha256"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=f"{name} is truncated or no safetensors file"):
        load_checkpoint(folder)


def test_a_configuration_cannot_name_a_class_of_its_choice(tmp_path):
    folder = save_tiny(tmp_path / "w")
    config = json.loads((folder / "config.json").read_text())
    del config["sha256"]
    config["model"]["codec"] = {"kind": "subprocess.Popen", "args": ["true"]}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"'subprocess\.Popen' is unknown; known: "):
        load_checkpoint(folder)


def test_pickled_starts_in_a_graph_are_refused(tmp_path):
    bank = io.BytesIO()
    np.savez(bank, frames=np.array([Harm()], object), actions=np.zeros(1))
    entries = {
        exported_file.SPEC: json.dumps({
            "schema": 1, "world": None, "ages": [0], "idle_action": 0, "latent_shape": [1, 1, 1],
            "observation_space": {"kind": "Discrete", "n": 2, "start": 0}, "reward": "none",
            "action_space": {"kind": "Discrete", "n": 2, "start": 0}, "state": {}, "noise": {},
            "fps": 1, "max_episode_steps": None,
        }),
        exported_file.INIT: "",
        exported_file.STARTS: base64.b64encode(bank.getvalue()).decode(),
    }  # fmt: skip
    with pytest.raises(CheckpointError, match=r"harm\.onnx holds damaged metadata .*allow_pickle"):
        exported_file.unpack(entries, Path("harm.onnx"))


@pytest.mark.parametrize("place", ["near.bin", "../far.bin"])
def test_a_graph_that_reads_another_file_is_refused(tmp_path, monkeypatch, place):
    folder = tmp_path / "graph"
    folder.mkdir()
    (folder / place).write_bytes(np.zeros(4, np.float32).tobytes())
    monkeypatch.chdir(folder)
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", "0"), ("length", "16")):
        weight.external_data.add(key=key, value=value)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [output])
    graph.initializer.append(weight)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "g.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=r"g\.onnx is truncated or no ONNX graph"):
        OnnxRuntime(folder / "g.onnx")


@pytest.fixture
def episode(tmp_path):
    record(tiny_world(), tmp_path, 1, workers=0, progress=False)
    (episode,) = tmp_path.glob("*.zarr")
    return episode


def rewrite_header(episode, **sizes):
    """Changes the sizes that an episode says its files have, and removes its checksums."""
    header = json.loads((episode / "zarr.json").read_text())
    own = header["attributes"]
    del own["checksum"], own["checksums"]
    own["sizes"] |= sizes
    (episode / "zarr.json").write_text(json.dumps(header))


def test_an_episode_cannot_name_a_codec_that_zarr_does_not_bring(episode):
    array = episode / "action" / "zarr.json"
    metadata = json.loads(array.read_text())
    metadata["codecs"] = [{"name": "pickle", "configuration": {}}]
    array.write_text(json.dumps(metadata))
    rewrite_header(episode, **{"action/zarr.json": array.stat().st_size})
    with pytest.raises(ValueError, match=r"action is truncated or damaged .*pickle"):
        list(EpisodeStore(episode.parent))


def test_an_episode_cannot_name_files_outside_of_it(episode):
    rewrite_header(episode, **{"../../other": 3})
    with pytest.raises(ValueError, match="names files outside of the episode"):
        EpisodeStore(episode.parent)
