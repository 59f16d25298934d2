"""Chunks hold the recorded frames byte by byte, and every action that acts in them."""

import json

import numpy as np
import pytest

from learned_envs.data import Episode, EpisodeAttributes, EpisodeWriter
from learned_envs.data.chunks import export_chunks

FPS = 15


def take_of(steps: int, seed: int = 0) -> Episode:
    random = np.random.default_rng(seed)
    ends = np.zeros(steps, bool)
    ends[-1] = True
    return Episode(
        observation=random.integers(256, size=(steps + 1, 6, 8, 3), dtype=np.uint8),
        action=random.random((steps, 3), np.float32),
        reward=np.zeros(steps, np.float32),
        terminated=np.zeros(steps, bool),
        truncated=ends,
        attributes=EpisodeAttributes(
            world="pond", fps=FPS, seed=seed, behaviour="tap", action_names=("u", "v", "strength")
        ),
    )


def recorded(folder, *takes: Episode):
    writer = EpisodeWriter(folder, "pond")
    for take in takes:
        writer.write_take(take)
    return folder


def chunks_of(metas):
    """Frames (n, H, W, 4) and meta data of each chunk."""
    for meta in metas:
        about = json.loads(meta.read_text())
        pixels = np.fromfile(str(meta).replace("_meta.json", "_frames.bin"), np.uint8)
        yield pixels.reshape(about["frames"], about["height"], about["width"], 4), about


def test_chunks_of_a_long_take_join_to_what_was_recorded(tmp_path):
    take = take_of(1000)
    metas = list(export_chunks(recorded(tmp_path / "takes", take), tmp_path / "out"))
    frames, actions, expected = [], [], 0
    for pixels, about in chunks_of(metas):
        assert about["first_frame"] == expected
        assert about["actions_before"] == take.action[:expected].tolist()
        assert (pixels[..., 3] == 255).all()
        frames.append(pixels[..., :3])
        actions += about["actions"]
        expected += about["frames"]
    np.testing.assert_array_equal(np.concatenate(frames), take.observation)
    np.testing.assert_allclose(actions, take.action)
    assert {about["frames"] for _, about in chunks_of(metas[:9])} == {6 * FPS}


def test_the_length_of_a_chunk_is_chosen(tmp_path):
    takes = recorded(tmp_path / "takes", take_of(59), take_of(20, seed=1))
    sizes = [len(p) for p, _ in chunks_of(export_chunks(takes, tmp_path / "out", seconds=2))]
    assert sizes == [30, 30, 21]


def test_chunks_that_are_there_are_kept_and_a_cut_one_is_written_again(tmp_path):
    takes = recorded(tmp_path / "takes", take_of(100))
    first, second = export_chunks(takes, tmp_path / "out")
    before = first.stat().st_mtime_ns
    second.unlink()
    second.with_name(second.name.replace("_meta.json", "_frames.bin")).write_bytes(b"cut")
    assert list(export_chunks(takes, tmp_path / "out")) == [first, second]
    assert first.stat().st_mtime_ns == before
    assert [len(pixels) for pixels, _ in chunks_of([first, second])] == [90, 11]


def test_a_part_without_the_parts_before_it_is_refused(tmp_path):
    _, second = take_of(1000).parts()
    writer = EpisodeWriter(tmp_path / "takes", "pond")
    writer.write(second)
    with pytest.raises(ValueError, match="p001 goes on where a part that is not in .* ends"):
        list(export_chunks(tmp_path / "takes", tmp_path / "out"))


def test_a_chunk_of_less_than_two_frames_is_refused(tmp_path):
    takes = recorded(tmp_path / "takes", take_of(10))
    with pytest.raises(ValueError, match=r"`seconds` \(=0.05\) is 1 frames at 15"):
        list(export_chunks(takes, tmp_path / "out", seconds=0.05))
