"""Streams joined from clips: frames, truth and who is in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clownfish.datasets import open_dataset
from clownfish.datasets.base import Clip
from clownfish.datasets.decode import decode
from clownfish.datasets.encode import encode
from clownfish.datasets.probe import Probe
from clownfish.errors import DatasetError
from clownfish.evaluation.join import join_streams
from clownfish.sources.truth import read_truth
from tests.videos import frame, number, write_video

FRAMES = 70


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for label in ("jump", "sit"):
        (folder / label).mkdir()
        for group in (1, 2, 3):
            write_video(folder / label / f"{label}_g{group}.mp4", FRAMES)
    return folder


@pytest.fixture(scope="module")
def clips(root: Path) -> list[Clip]:
    return open_dataset("folder", root, Probe(), {"group": r"_g(\d+)"}).clips()


def test_each_frame_and_label_is_where_the_table_says(clips: list[Clip], tmp_path: Path) -> None:
    groups = sorted({clip.group for clip in clips}, key=str)[:2]
    written = join_streams(clips, groups, tmp_path, seed=3)
    assert written
    for video in written:
        frames, truth = decode(video), read_truth(str(video))
        assert truth is not None
        assert truth.contexts[0].start == 0
        assert truth.contexts[-1].end == len(frames)
        for before, after in zip(truth.contexts, truth.contexts[1:], strict=False):
            assert before.end == after.start
            assert before.label != after.label
        for context in truth.contexts:
            numbers = [number(pixels) for pixels in frames[context.start : context.end]]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))  # one clip, nothing lost or doubled


def test_only_clips_of_the_named_groups_are_used_and_each_once_a_round(clips: list[Clip], tmp_path: Path) -> None:
    first = clips[0].group
    wanted = sorted(clip.path.name for clip in clips if clip.group == first)
    written = join_streams(clips, [first], tmp_path, rounds=2)
    assert len(written) == 2
    for video in written:
        names = [line.rsplit(",", 1)[-1] for line in video.with_suffix(".csv").read_text().splitlines()[1:]]
        assert sorted(names) == wanted


def test_the_same_seed_gives_the_same_streams(clips: list[Clip], tmp_path: Path) -> None:
    groups = [clips[0].group]
    one, two = (join_streams(clips, groups, tmp_path / name, seed=5) for name in ("a", "b"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert [p.with_suffix(".csv").read_text() for p in one] == [p.with_suffix(".csv").read_text() for p in two]


def test_an_unknown_group_is_an_error(clips: list[Clip], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="groups"):
        join_streams(clips, ["no such group"], tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_video_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no frame"):
        encode(tmp_path / "none.mp4", [])
    with pytest.raises(DatasetError, match="cannot be written"):
        encode(tmp_path / "odd.mp4", [np.zeros((47, 63, 3), np.uint8)])
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot be written"):
        encode(tmp_path / "file" / "below.mp4", [frame(0)])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
