import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_dream import save_tiny, tiny_config, tiny_model, tiny_starts
from tiny_faults import flipped

from learned_envs.models.checkpoint import (
    GRAPH,
    CheckpointError,
    Starts,
    add_graph,
    load_checkpoint,
    save_checkpoint,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint, not to be changed."""
    folder = tmp_path_factory.mktemp("whole") / "weights"
    return save_tiny(folder, world="breakout", settings={"fps": 15})


@pytest.fixture
def folder(tmp_path):
    return save_tiny(tmp_path / "weights", world="breakout", settings={"fps": 15})


def rewrite_config(folder, **changes):
    """Edits the configuration, as a person who removes its checksums."""
    path = folder / "config.json"
    described = {**json.loads(path.read_text()), **changes}
    del described["sha256"]
    path.write_text(json.dumps(described))


def rewrite_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    rewrite_config(folder)


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


def test_what_else_lies_beside_a_checkpoint_is_left(folder):
    (folder / "held_out").mkdir()
    (folder / "held_out" / "walk.mp4").write_bytes(b"film")
    (folder / "notes.txt").write_text("mine")
    save_tiny(folder)
    add_graph(folder, b"graph")
    assert (folder / "held_out" / "walk.mp4").read_bytes() == b"film"
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / GRAPH).read_bytes() == b"graph"
    save_tiny(folder)
    assert not (folder / GRAPH).exists()  # of the step that was saved before


def test_saving_replaces_what_stands_there(folder):
    save_tiny(folder, world="other")
    assert load_checkpoint(folder).world == "other"
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


FILES = ["config.json", "model.safetensors", "starts.safetensors"]


def damaged(whole, name, content):
    """The message about a copy of a checkpoint in which a file holds other bytes."""
    with tempfile.TemporaryDirectory() as there:
        folder = shutil.copytree(whole, Path(there) / "weights")
        (folder / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=re.escape(name)) as error:
            load_checkpoint(folder)
    return str(error.value)


@settings(deadline=None, max_examples=40)
@given(data=st.data(), name=st.sampled_from(FILES))
def test_a_file_cut_at_any_length_is_named_with_a_remedy(whole, data, name):
    content = (whole / name).read_bytes()
    length = data.draw(st.integers(0, len(content) - 2))  # the last of config.json ends its line
    assert "opy the " in damaged(whole, name, content[:length])


@settings(deadline=None, max_examples=80)
@given(data=st.data(), name=st.sampled_from(FILES))
def test_a_flipped_bit_is_noticed_and_its_file_named(whole, data, name):
    content = (whole / name).read_bytes()
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    damaged(whole, name, flipped(content, bit))


@pytest.mark.parametrize("name", FILES[1:])
def test_without_checksums_a_truncated_file_is_named(folder, name):
    rewrite_config(folder)
    path = folder / name
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=f"{name} is truncated"):
        load_checkpoint(folder)


def test_a_file_of_another_checkpoint_is_noticed(folder, tmp_path):
    model = tiny_model()
    torch.nn.init.zeros_(model.dynamics.stem.bias)
    other = save_tiny(tmp_path / "other", model)
    shutil.copy(other / "model.safetensors", folder)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is .*of another checkpoint"):
        load_checkpoint(folder)


def test_checksums_are_those_of_sha256sum(folder):
    found = json.loads((folder / "config.json").read_text())["sha256"]
    for name in FILES[1:]:
        assert found[name] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_an_edited_configuration_says_how_to_keep_the_edit(folder):
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"fps": 15', '"fps": 30'))
    with pytest.raises(CheckpointError, match="edited on purpose, remove its entry `sha256`"):
        load_checkpoint(folder)
    rewrite_config(folder)
    assert load_checkpoint(folder).settings == {"fps": 30}


@pytest.mark.parametrize("world", ["../other", "a/b", "/etc", 3])
def test_a_world_that_is_no_name_is_refused(folder, world):
    rewrite_config(folder, world=world)
    with pytest.raises(CheckpointError, match="`world` .* must be a name"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "change",
    [{"image_size": [-4, 16]}, {"image_size": "big"}, {"actions": 3}, {"heads": {"kind": []}}],
)
def test_a_configuration_that_cannot_be_built_is_named(folder, change):
    model = json.loads((folder / "config.json").read_text())["model"]
    rewrite_config(folder, model={**model, **change})
    with pytest.raises(CheckpointError, match=r"config\.json: "):
        load_checkpoint(folder)


def test_a_model_card_in_another_encoding_is_shown_as_well_as_can_be(folder):
    (folder / "README.md").write_bytes(b"caf\xe9")
    assert load_checkpoint(folder).card == "caf\ufffd"


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
    rewrite_config(folder)
    with pytest.raises(CheckpointError, match=r"starts\.safetensors: `frames` has shape \(2, 4, 8"):
        load_checkpoint(folder)
