import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_dream import save_tiny, tiny_config, tiny_model, tiny_starts

from learned_envs.models import checkpoint as module
from learned_envs.models.checkpoint import CheckpointError, Starts, load_checkpoint, save_checkpoint


@pytest.fixture
def folder(tmp_path):
    return save_tiny(tmp_path / "weights", world="breakout", settings={"fps": 15})


def rewrite_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_what_is_saved_comes_back(tmp_path):
    model = tiny_model()
    starts = tiny_starts(model.config)
    save_checkpoint(
        tmp_path / "w", model, starts, world="breakout", settings={"fps": 9}, card="# Card"
    )
    found = load_checkpoint(tmp_path / "w")
    assert found.model.config == model.config
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    assert torch.equal(found.starts.frames, starts.frames)
    assert torch.equal(found.starts.actions, starts.actions)
    assert (found.world, found.settings, found.card) == ("breakout", {"fps": 9}, "# Card")


def test_a_loaded_model_is_in_evaluation_mode_and_float32(folder):
    model = load_checkpoint(folder).model
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in model.parameters())


def test_loading_leaves_torchs_random_generator_alone(folder):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    load_checkpoint(folder)
    assert torch.rand(1) == expected


def test_saving_replaces_what_stands_there(folder):
    save_tiny(folder, world="other")
    assert load_checkpoint(folder).world == "other"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_failed_save_leaves_the_old_checkpoint_whole(folder, monkeypatch):
    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_file", full_disk)
        with pytest.raises(OSError, match="No space left"):
            save_tiny(folder, world="other")
    assert load_checkpoint(folder).world == "breakout"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_model_that_holds_nan_is_not_saved(tmp_path):
    model = tiny_model()
    with torch.no_grad():
        model.dynamics.stem.bias[0] = torch.nan
    with pytest.raises(ValueError, match="dynamics.stem.bias"):
        save_tiny(tmp_path / "w", model)
    assert not list(tmp_path.iterdir())


def test_starts_that_do_not_fit_the_model_are_not_saved(tmp_path):
    model = tiny_model()
    starts = tiny_starts(tiny_config(size=32))
    with pytest.raises(CheckpointError, match=r"expected \(N, k, 16, 16, 3\) uint8"):
        save_checkpoint(tmp_path / "w", model, starts, world=None)
    few = Starts(frames=tiny_starts(model.config).frames, actions=torch.zeros(5, 1))
    with pytest.raises(CheckpointError, match=r"`actions` has shape \(5, 1\), expected \(5, 3\)"):
        save_checkpoint(tmp_path / "w", model, few, world=None)


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json does not exist"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "starts.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "starts.safetensors"])
def test_a_truncated_file_is_named(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=f"{name} is truncated"):
        load_checkpoint(folder)


def test_a_truncated_configuration_is_named(folder):
    path = folder / "config.json"
    path.write_text(path.read_text()[:-10])
    with pytest.raises(CheckpointError, match=r"config\.json is not readable JSON"):
        load_checkpoint(folder)


def test_a_foreign_configuration_is_named(folder):
    (folder / "config.json").write_text('{"architectures": ["Llama"]}')
    with pytest.raises(CheckpointError, match=r"config\.json was not written by learned_envs"):
        load_checkpoint(folder)


def test_a_newer_schema_names_both_versions(folder):
    rewrite_config(folder, schema=7)
    with pytest.raises(CheckpointError, match=r"config\.json has schema 7, this version reads 1"):
        load_checkpoint(folder)


def test_an_unknown_family_of_models_is_named(folder):
    rewrite_config(folder, model={"kind": "TransformerConfig"})
    with pytest.raises(CheckpointError, match=r"config\.json: .*'TransformerConfig' is unknown"):
        load_checkpoint(folder)


def test_an_unknown_field_is_named(folder):
    model = json.loads((folder / "config.json").read_text())["model"]
    rewrite_config(folder, model={**model, "tokens": 3})
    with pytest.raises(CheckpointError, match=r"config\.json: .*no fields \['tokens'\]"):
        load_checkpoint(folder)


def test_foreign_and_missing_tensors_are_named(folder):
    def swap(tensors):
        tensors["alien"] = tensors.pop("dynamics.stem.bias")

    rewrite_weights(folder, swap)
    with pytest.raises(CheckpointError, match=r"1 tensors missing \['dynamics.stem.bias'\].*alien"):
        load_checkpoint(folder)


def test_a_tensor_of_another_shape_is_named(folder):
    rewrite_weights(folder, lambda tensors: tensors.update({"surprises": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=r"1 of another shape \['surprises'\]"):
        load_checkpoint(folder)


def test_weights_that_hold_nan_are_named(folder):
    rewrite_weights(folder, lambda tensors: tensors["dynamics.stem.bias"].fill_(torch.nan))
    with pytest.raises(CheckpointError, match=r"model\.safetensors holds NaN.*dynamics.stem.bias"):
        load_checkpoint(folder)


def test_starts_of_another_size_are_named(folder):
    frames = torch.zeros(2, 4, 8, 8, 3, dtype=torch.uint8)
    save_file({"frames": frames, "actions": torch.zeros(2, 3)}, folder / "starts.safetensors")
    with pytest.raises(CheckpointError, match=r"starts\.safetensors: `frames` has shape \(2, 4, 8"):
        load_checkpoint(folder)
