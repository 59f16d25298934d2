import base64
import dataclasses
import pickle
import shutil
import sys
import zipfile

import gymnasium as gym
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_dream import save_tiny, tiny_config, tiny_model, tiny_starts

import learned_envs  # noqa: F401
from learned_envs.deploy import onnx_export
from learned_envs.deploy.onnx_export import embed, export
from learned_envs.deploy.parity import ParityError, check_parity
from learned_envs.dream.dream_env import DreamEnv
from learned_envs.dream.onnx_runtime import OnnxRuntime
from learned_envs.dream.torch_runtime import TorchRuntime
from learned_envs.models.actions import PointActions
from learned_envs.models.checkpoint import GRAPH, CheckpointError, add_graph
from learned_envs.models.codecs.autoencoder import AutoencoderConfig
from learned_envs.models.codecs.variational import VariationalAutoencoderConfig
from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig, tiny_denoiser
from learned_envs.models.dynamics.edm_unet import EdmUNetConfig
from learned_envs.models.dynamics.latent_cnn import LatentCNNConfig
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
from learned_envs.models.heads import HeadsConfig
from learned_envs.models.lattice import Lattice
from learned_envs.models.world_model import WorldModelConfig

STARTS = tiny_starts(tiny_config()).frames.numpy()
PLAIN_DOMAINS = {"", "ai.onnx"}


def export_model():
    """With one layer of a real model's size, which torch's exporter treats otherwise."""
    editor = SparseEditorConfig(widths=(8, 48), head=8, glimpse_widths=(8, 8, 48), memory=6)
    model = tiny_model(tiny_config(dynamics=editor))
    torch.nn.init.normal_(model.dynamics.since.weight)
    return model


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "tiny"
    return save_tiny(folder, export_model(), settings={"max_episode_steps": 7, "fps": 11})


@pytest.fixture(scope="module")
def exported(weights):
    """Paths of both precisions; a file that is alone in its folder."""
    paths = export(weights, weights.parent / "out")
    alone = weights.parent / "alone"
    alone.mkdir()
    return [shutil.copy(path, alone / path.name) for path in paths]


@pytest.fixture(params=["fp32", "fp16"])
def path(request, exported):
    return exported[["fp32", "fp16"].index(request.param)]


def test_one_file_for_each_precision_is_written_and_nothing_else(weights, exported):
    names = sorted(path.name for path in (weights.parent / "out").iterdir())
    assert names == ["tiny.fp16.onnx", "tiny.onnx"]


def test_the_graph_is_valid_plain_and_names_its_tensors(path):
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    assert {item.domain for item in graph.opset_import} <= PLAIN_DOMAINS
    assert not graph.functions
    assert [i.name for i in graph.graph.input] == [
        "state_latents", "state_actions", "state_recent", "action", "noise_choice",
    ]  # fmt: skip
    assert [o.name for o in graph.graph.output] == [
        "next_latents", "next_actions", "next_recent", "frame", "reward", "termination", "doubt",
        "surprise",
    ]  # fmt: skip


def test_half_precision_stores_its_weights_in_halves(exported):
    def kinds(path):
        tensors = onnx.load(path).graph.initializer
        return {
            tensor.data_type
            for tensor in tensors
            if len(tensor.dims) == 4 and "position" not in tensor.name
        }

    assert kinds(exported[0]) == {onnx.TensorProto.FLOAT}
    assert kinds(exported[1]) == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize("rows", [1, 3])
def test_the_graph_takes_any_number_of_rows(path, rows):
    runtime = OnnxRuntime(path)
    state = runtime.start(STARTS[:rows], np.zeros((rows, 3), np.int64))
    noise = {"choice": np.full((rows, 1), 0.5, np.float32)}
    following, outcome = runtime.step(state, np.ones(rows, np.int64), noise)
    assert {name: value.shape for name, value in following.items()} == {
        name: (rows, *shape) for name, shape in runtime.state_shapes.items()
    }
    assert all(value.shape == (rows,) for value in outcome.values())
    assert following["frame"].dtype == np.uint8


def test_an_exported_file_alone_is_played(exported):
    env = gym.make("Dream-v0", weights=exported[0])
    observation, info = env.reset(seed=3)
    assert info == {"runtime": "onnx", "device": "cpu"}
    assert observation.tobytes() in {start[-1].tobytes() for start in STARTS}
    assert env.metadata["render_fps"] == 11
    assert [env.step(1)[3] for _ in range(7)] == [False] * 6 + [True]


def test_both_runtimes_dream_alike(weights, exported):
    envs = [DreamEnv(weights), DreamEnv(exported[0])]
    assert envs[0].observation_space == envs[1].observation_space
    assert envs[0].action_space == envs[1].action_space
    frames = [env.reset(seed=5)[0] for env in envs]
    assert np.array_equal(*frames)
    for t in range(5):
        (frame, reward, _, _, info), (other, other_reward, _, _, other_info) = (
            env.step(t % 3) for env in envs
        )
        assert np.mean(frame == other) > 0.99
        assert reward == other_reward
        assert info["doubt"] == pytest.approx(other_info["doubt"], abs=2e-3)


def test_an_exported_file_starts_from_frames(exported):
    env = DreamEnv(exported[0])
    observation, _ = env.reset(options={"frames": STARTS[1, :2], "actions": [2]})
    assert np.array_equal(observation, STARTS[1, 1])


def test_an_exported_file_branches_and_is_pickled(exported):
    import pickle

    env = DreamEnv(exported[0])
    env.reset(seed=0)
    env.step(1)
    state, other = env.get_state(), pickle.loads(pickle.dumps(env))
    expected = [env.step(2)[0].tobytes() for _ in range(3)]
    other.set_state(state)
    assert [other.step(2)[0].tobytes() for _ in range(3)] == expected


def test_rows_of_an_exported_file_begin_anew_on_their_own(exported):
    env = gym.make_vec("Dream-v0", 3, weights=exported[0], max_episode_steps=4)
    env.reset(seed=0)
    env.step(np.zeros(3, int))
    env.reset(options={"reset_mask": np.array([True, False, False])})
    ends = [env.step(np.zeros(3, int))[3].tolist() for _ in range(4)]
    assert ends[2:] == [[False, True, True], [True, False, False]]


@pytest.fixture(scope="module")
def embedded(weights):
    folder = weights.parent / "embedded"
    shutil.copytree(weights, folder)
    assert embed(folder, steps=20) == folder / GRAPH
    return folder


def test_a_checkpoint_that_holds_its_graph_plays_it(weights, embedded):
    runtimes = [DreamEnv(folder).reset()[1]["runtime"] for folder in (weights, embedded)]
    assert runtimes == ["torch", "onnx"]
    assert DreamEnv(embedded, runtime="torch").reset()[1]["runtime"] == "torch"
    with pytest.raises(ValueError, match="--embed"):
        DreamEnv(weights, runtime="onnx")


def test_a_checkpoints_graph_dreams_what_an_exported_one_does(embedded, exported):
    one, other = DreamEnv(embedded), DreamEnv(exported[0])
    assert (one.reset(seed=3)[0] == other.reset(seed=3)[0]).all()
    for action in (0, 1, 2, 1, 0):
        (ours, *told), (theirs, *said) = one.step(action), other.step(action)
        assert (ours == theirs).all()
        assert told == said


def test_a_checkpoints_graph_repeats_nothing_that_the_checkpoint_holds(weights, embedded):
    with zipfile.ZipFile(embedded / GRAPH) as file:
        graph = onnx.load_from_string(file.read("step.onnx"))
    own = [item for item in graph.graph.initializer if len(item.raw_data)]
    held = {name for name, _ in export_model().named_parameters()}
    assert not held & {item.name for item in own}
    for name in ("model.safetensors", "starts.safetensors", "README.md"):
        assert (embedded / name).read_bytes() == (weights / name).read_bytes()


def test_a_checkpoint_with_a_graph_branches_and_is_pickled(embedded):
    env = DreamEnv(embedded)
    env.reset(seed=1)
    copied = pickle.loads(pickle.dumps(env.runtime))
    other = DreamEnv(embedded)
    other.reset(seed=2)
    other.set_state(env.get_state())
    assert (env.step(1)[0] == other.step(1)[0]).all()
    assert copied.spec.source == env.runtime.spec.source


def test_a_damaged_graph_in_a_checkpoint_is_named(embedded, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(embedded, folder)
    (folder / GRAPH).write_bytes((folder / GRAPH).read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=r"graph\.zip.*SHA-256"):
        DreamEnv(folder)
    add_graph(folder, b"no archive")
    with pytest.raises(CheckpointError, match=r"graph\.zip is damaged"):
        DreamEnv(folder)


def test_a_graph_of_another_model_is_named(embedded, tmp_path):
    folder = save_tiny(tmp_path / "other", tiny_model())
    add_graph(folder, (embedded / GRAPH).read_bytes())
    with pytest.raises(CheckpointError, match=r"graph\.zip"):
        DreamEnv(folder)


def test_a_graph_that_fails_is_not_added(weights, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ParityError("it differs")

    folder = tmp_path / "checkpoint"
    shutil.copytree(weights, folder)
    monkeypatch.setattr(onnx_export, "check_parity", fail)
    with pytest.raises(ParityError):
        embed(folder)
    assert not (folder / GRAPH).exists()


def test_parity_holds_over_two_hundred_steps(weights, exported):
    check_parity(TorchRuntime(weights), OnnxRuntime(exported[0]), tolerance=1e-3, steps=200)


def test_parity_finds_a_graph_of_other_weights(tmp_path, exported):
    model = export_model()
    with torch.no_grad():
        model.dynamics.write[2].bias += 0.05
    changed = TorchRuntime(save_tiny(tmp_path / "changed", model))
    with pytest.raises(ParityError, match="the latent differs"):
        check_parity(changed, OnnxRuntime(exported[0]), tolerance=1e-3, steps=20)


def test_parity_finds_other_heads(tmp_path, exported):
    model = export_model()
    with torch.no_grad():
        model.heads.termination.bias += 1
    changed = TorchRuntime(save_tiny(tmp_path / "changed", model))
    with pytest.raises(ParityError, match="the probability of termination differs"):
        check_parity(changed, OnnxRuntime(exported[0]), tolerance=1e-3, steps=20)


def test_a_graph_that_fails_is_not_left_behind(weights, exported, tmp_path, monkeypatch):
    graph = onnx.load(exported[0])
    (init,) = (e.value for e in graph.metadata_props if e.key == "learned_envs_init")
    del graph.metadata_props[:]
    (bias,) = (t for t in graph.graph.initializer if t.name.endswith("dynamics.write.2.bias"))
    wrong = onnx.numpy_helper.to_array(bias) + np.float32(0.05)
    bias.CopyFrom(onnx.numpy_helper.from_array(wrong, bias.name))
    monkeypatch.setattr(onnx_export, "step_graph", lambda model, *, half: graph)
    init_graph = onnx.load_from_string(base64.b64decode(init))
    monkeypatch.setattr(onnx_export, "_init_graph", lambda runtime: init_graph)
    with pytest.raises(ParityError, match="step 0 of 1 rows: the latent differs"):
        export(weights, tmp_path, dtype="fp32")
    assert not list(tmp_path.iterdir())


def test_a_truncated_file_is_named(exported, tmp_path):
    path = tmp_path / "cut.onnx"
    path.write_bytes(exported[0].read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match=r"cut\.onnx"):
        DreamEnv(path)


def test_a_foreign_graph_is_named(exported, tmp_path):
    graph = onnx.load(exported[0])
    del graph.metadata_props[:]
    onnx.save(graph, tmp_path / "foreign.onnx")
    with pytest.raises(CheckpointError, match=r"foreign\.onnx was not written by"):
        DreamEnv(tmp_path / "foreign.onnx")


def test_a_newer_schema_is_named(exported, tmp_path):
    graph = onnx.load(exported[0])
    for entry in graph.metadata_props:
        entry.value = entry.value.replace('"schema": 1', '"schema": 9')
    onnx.save(graph, tmp_path / "newer.onnx")
    with pytest.raises(CheckpointError, match=r"newer\.onnx has schema 9, this version reads 1"):
        DreamEnv(tmp_path / "newer.onnx")


def test_torch_does_not_play_a_graph(exported):
    with pytest.raises(ValueError, match="runtime='onnx'"):
        DreamEnv(exported[0], runtime="torch")


def test_the_sampler_of_a_graph_is_fixed(exported):
    with pytest.raises(ValueError, match="unrolled inside"):
        DreamEnv(exported[0], sampler_steps=3)


def test_a_device_that_onnx_runtime_lacks_is_refused(exported):
    with pytest.raises(ValueError, match="use device='cpu'"):
        DreamEnv(exported[0], device="tpu")


def test_a_missing_onnxruntime_is_named(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(gym.error.DependencyNotInstalled, match="pip install onnxruntime"):
        DreamEnv(exported[0])


def test_a_missing_onnx_names_the_extra(weights, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(gym.error.DependencyNotInstalled, match=r"learned-envs\[export\]"):
        export(weights, tmp_path)


def test_an_unknown_precision_is_refused(weights, tmp_path):
    with pytest.raises(ValueError, match=r"`dtype` \(='int8'\)"):
        export(weights, tmp_path, dtype="int8")


def save_denoiser(folder, size, **sizes):
    """A checkpoint of the dilated CNN with two sampler steps."""
    dynamics = tiny_denoiser(steps=2)
    network = dataclasses.replace(dynamics.denoiser, **sizes)
    dynamics = dataclasses.replace(dynamics, denoiser=network)
    config = dataclasses.replace(tiny_config(size=size, dynamics=dynamics), heads=None)
    return save_tiny(folder, tiny_model(config))


def run_denoiser(path, size):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert given.shape == [1, 19, size, size]
    planes = np.random.default_rng(0).standard_normal((1, 19, size, size), np.float32)
    return torch.from_numpy(planes), torch.from_numpy(session.run(None, {given.name: planes})[0])


def test_a_sampler_is_unrolled_and_its_network_exported_alone(tmp_path):
    folder = save_denoiser(tmp_path / "cnn", 16, width=8, blocks=2)
    step, alone = export(folder, tmp_path / "out", dtype="fp32", steps=20)
    env = gym.make("Dream-v0", weights=step)
    env.reset(seed=0)
    assert env.step(1)[1:4] == (0.0, False, False)
    planes, clean = run_denoiser(alone, 16)
    network = TorchRuntime(folder).model.dynamics.network
    torch.testing.assert_close(clean, network.from_planes(planes), rtol=1e-4, atol=1e-4)


@pytest.mark.full
def test_the_published_denoiser_maps_19_planes_of_64x64_to_3(tmp_path):
    folder = save_denoiser(tmp_path / "cnn", 64)
    *_, alone = export(folder, tmp_path / "out", dtype="fp32", steps=4)
    assert run_denoiser(alone, 64)[1].shape == (1, 3, 64, 64)


@pytest.mark.full
@pytest.mark.parametrize(("rounding", "carry"), [("hard", 0), ("stochastic", 0), ("hard", 8)])
def test_a_unet_over_a_lattice_of_latents_is_exported(tmp_path, rounding, carry):
    codec = AutoencoderConfig(
        channels=4, factor=2, widths=(8, 16), lattice=Lattice(levels=9, rounding=rounding)
    )
    network = EdmUNetConfig(widths=(16, 16), blocks=(1, 1), embedding=32)
    dynamics = DiffusionDynamicsConfig(denoiser=network, carry=carry)
    config = dataclasses.replace(
        tiny_config(dynamics=dynamics), codec=codec, heads=HeadsConfig(patch=2, width=8)
    )
    folder = save_tiny(tmp_path / "latent", tiny_model(config))
    for path in export(folder, tmp_path / "out", steps=40):
        env = gym.make("Dream-v0", weights=path)
        env.reset(seed=0)
        assert env.step(1)[0] in env.observation_space


@pytest.mark.full
def test_a_flat_network_over_a_variational_codec_is_exported(tmp_path):
    config = WorldModelConfig(
        image_size=(16, 16),
        actions=PointActions(threshold=0.49999, spread=2.0),
        codec=VariationalAutoencoderConfig(channels=4, widths=(8, 48), blocks=1, groups=4),
        dynamics=LatentCNNConfig(width=48, blocks=2, groups=4),
    )
    folder = save_tiny(tmp_path / "flat", tiny_model(config))
    for path in export(folder, tmp_path / "out", steps=40):
        env = gym.make("Dream-v0", weights=path)
        env.reset(seed=0)
        assert env.step(env.action_space.sample())[0] in env.observation_space
