"""From a data set to clips that can be trained on: what is skipped is counted and named, and what is wrong is an error
before training starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clownfish.datasets import decode
from clownfish.datasets.base import Clip
from clownfish.errors import DatasetError
from clownfish.training.cache import open_cache
from clownfish.training.config import Data
from clownfish.training.data import prepared
from tests.data_sets import video, write
from tests.videos import number

SIZE = (32, 24)


def listed(folder: Path, good: int) -> list[Clip]:
    return [Clip(video(folder / f"{n}.mp4", 10), "a", 1, 10) for n in range(good)]


# -- the cache --------------------------------------------------------------------------------------------------------


def test_the_cache_holds_each_clips_frames_and_is_built_once(tmp_path: Path) -> None:
    clips = listed(tmp_path, 3)
    first = open_cache(tmp_path / "cache", "x", clips, SIZE, every=2)
    assert [number(frame) for frame in first.clip(clips[2])] == [0, 2, 4, 6, 8]
    for clip in clips:
        clip.path.unlink()
    again = open_cache(tmp_path / "cache", "x", clips, SIZE, every=2)
    np.testing.assert_array_equal(first.clip(clips[1]), again.clip(clips[1]))


def test_intervals_of_one_video_are_clips_of_their_own(tmp_path: Path) -> None:
    path = video(tmp_path / "long.mp4", 100)
    clips = [Clip(path, label, 1, end - start, start, end) for label, start, end in (("b", 60, 70), ("a", 9, 16))]
    cache = open_cache(tmp_path / "cache", "x", clips, SIZE, every=3)
    assert [number(frame) for frame in cache.clip(clips[0])] == [60, 63, 66, 69]
    assert [number(frame) for frame in cache.clip(clips[1])] == [9, 12, 15]


def test_clips_of_one_file_name_in_two_folders_are_two(tmp_path: Path) -> None:
    clips = [
        Clip(video(tmp_path / label / "1.mp4", frames), label, 1, frames) for label, frames in (("a", 4), ("b", 8))
    ]
    cache = open_cache(tmp_path / "cache", "x", clips, SIZE)
    assert [len(cache.clip(clip)) for clip in clips] == [4, 8]


def test_a_broken_clip_is_left_out_of_the_cache_and_many_are_refused(tmp_path: Path) -> None:
    clips = listed(tmp_path, 10)
    clips[4].path.write_bytes(b"broken")
    cache = open_cache(tmp_path / "cache", "x", clips, SIZE)
    assert [cache.has(clip) for clip in clips].count(False) == 1
    assert list(cache.broken or {}) == [clips[4].key]
    assert len(cache.held(clips)) == 9
    clips[5].path.write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"2 of 10 clips cannot be decoded; the first: .*4.mp4.*\.broken\.txt"):
        open_cache(tmp_path / "other", "x", clips, SIZE)
    (names,) = (tmp_path / "other").glob("*.broken.txt")
    assert len(names.read_text().splitlines()) == 2


def test_another_list_of_clips_is_another_cache(tmp_path: Path) -> None:
    clips = listed(tmp_path, 2)
    open_cache(tmp_path / "cache", "x", clips[:1], SIZE)
    assert all(open_cache(tmp_path / "cache", "x", clips, SIZE).has(clip) for clip in clips)


def test_a_clip_listed_twice_is_refused(tmp_path: Path) -> None:
    clips = listed(tmp_path, 1)
    with pytest.raises(DatasetError, match=r"0.mp4 is listed twice"):
        open_cache(tmp_path / "cache", "x", clips * 2, SIZE)


def test_a_clip_that_is_shorter_than_it_was_said_to_be_is_held_as_long_as_it_is(tmp_path: Path) -> None:
    clip = Clip(video(tmp_path / "a.mp4", 10), "a", 1, 40)
    cache = open_cache(tmp_path / "cache", "x", [clip], SIZE, every=2)
    assert [held.frames for held in cache.held([clip])] == [10]


# -- a whole data set -------------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for label in ("bow", "wave"):
        for n in range(12):
            video(tmp_path / "clips" / label / f"{n}.mp4", 20)
    return tmp_path / "clips"


def data(root: Path, **more: object) -> Data:
    told = {"dataset": "folder", "root": root, "cache": root.parent / "cache", "cache_width": 32, "cache_height": 24}
    return Data.model_validate(told | more)


def test_a_folder_is_parted_and_decoded_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    found = prepared(data(root, validation_share=0.25), 2, 16, lines.append)
    assert (found.classes, len(found.train), len(found.validation)) == (("bow", "wave"), 18, 6)
    assert "18 clips to train on, 6 to validate on, of 2 classes (12 to 12 clips each)" in lines
    monkeypatch.setattr(decode, "_Reader", None)
    again = prepared(data(root, validation_share=0.25), 2, 16, lines.append)
    assert (again.train, again.validation) == (found.train, found.validation)


def test_corrupt_clips_are_named_and_skipped_with_a_count(root: Path) -> None:
    (root / "bow" / "3.mp4").write_bytes(b"")
    whole = (root / "wave" / "5.mp4").read_bytes()
    half = (whole.index(b"mdat") + len(whole)) // 2  # index and first frame are whole, the last frames are not
    (root / "wave" / "5.mp4").write_bytes(whole[:half] + bytes(len(whole) - half))
    lines: list[str] = []
    found = prepared(data(root), 2, 16, lines.append)
    assert len(found.train) + len(found.validation) == 22
    assert any(line.startswith("skipped 1 of 24 videos and intervals") and "3.mp4" in line for line in lines)
    assert any(line.startswith("skipped 1 of 23 clips that cannot be decoded") and "5.mp4" in line for line in lines)
    assert "3.mp4" in (root.parent / "cache" / "folder-skipped.txt").read_text()


def test_many_corrupt_clips_stop_it_before_training(root: Path) -> None:
    for n in range(3):
        (root / "bow" / f"{n}.mp4").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"3 of 24 videos or intervals cannot be used; the first: .*0.mp4"):
        prepared(data(root), 2, 16, lambda line: None)


def test_clips_shorter_than_a_window_are_skipped_with_a_count(root: Path) -> None:
    video(root / "bow" / "short.mp4", 9)
    lines: list[str] = []
    found = prepared(data(root), 2, 16, lines.append)
    assert len(found.train) + len(found.validation) == 24
    assert any("skipped 1 of 25 clips that are shorter than a window of 16 frames" in line for line in lines)


def test_a_class_without_a_clip_of_a_window_is_named(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"no clips of bow, wave can be used; every class needs some"):
        prepared(data(root), 2, 32, lambda line: None)


def test_a_class_that_is_listed_and_never_shown_is_named(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4", 120)
    write(tmp_path / "a.csv", "start_frame,end_frame,label\n0,40,bow\n50,90,wave\n")
    write(tmp_path / "classes.txt", "bow\njump\nwave\n")
    with pytest.raises(DatasetError, match=r"no clips of jump can be used"):
        prepared(data(tmp_path, dataset="csv"), 2, 16, lambda line: None)
