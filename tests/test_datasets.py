"""Data sets: every plug-in lists clips and streams that make sense; broken tables and videos are named."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from clownfish.datasets import DATASETS
from clownfish.datasets.base import Clip, Interval, LabelledStream, check_intervals, split_by_group
from clownfish.datasets.decode import decode, iterate
from clownfish.datasets.ucf9 import Ucf9
from clownfish.errors import ConfigError, DatasetError
from clownfish.training.cache import open_cache

REAL = {"ucf9": Path("../shared/data/ucf9")}


def draw(path: Path, frames: int = 10) -> Path:
    """A grey video whose frame n has brightness 20 · n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 48, 32
        for n in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 20 * n, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "streams").mkdir()
    draw(tmp_path / "streams" / "dev00.mp4")
    (tmp_path / "streams" / "dev00.csv").write_text(
        "start_frame,end_frame,label,clip\n0,4,Archery,a\n4,10,Basketball,b\n"
    )
    (tmp_path / "train.csv").write_text("path,label,group,frames\r\ntrain/Archery/a.mp4,Archery,8,120\r\n")
    return tmp_path


@pytest.mark.data
@pytest.mark.parametrize("name", DATASETS.names())
def test_every_data_set_lists_clips_and_streams_of_its_classes(name: str) -> None:
    if not REAL[name].exists():
        pytest.skip(f"{REAL[name]} is not here")
    dataset = DATASETS.get(name)(REAL[name])
    clips = dataset.clips()
    assert {clip.label for clip in clips} == set(dataset.classes)
    assert all(clip.path.is_file() and clip.frames > 0 for clip in clips)
    for stream in dataset.streams():
        assert stream.path.is_file()
        assert {interval.label for interval in stream.intervals} <= set(dataset.classes)
        assert stream.interval_at(stream.intervals[1].start) == stream.intervals[1]


def test_ucf9_lists_what_its_tables_say(root: Path) -> None:
    dataset = Ucf9(root)
    assert dataset.clips() == [Clip(root / "train/Archery/a.mp4", "Archery", 8, 120)]
    (stream,) = dataset.streams()
    assert stream.intervals == (Interval(0, 4, "Archery", "a"), Interval(4, 10, "Basketball", "b"))


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("path,label,group\na,Archery,8\n", "columns are .* expected path, label, group, frames"),
        ("path,label,group,frames\na,Chess,8,9\n", "train.csv:2: label is 'Chess'"),
        ("path,label,group,frames\na,Archery,eight,9\n", "train.csv:2: group is 'eight'"),
        ("path,label,group,frames\na,Archery\n", "train.csv:2: group is None"),
    ],
)
def test_a_broken_table_is_named_with_its_line(root: Path, table: str, complaint: str) -> None:
    (root / "train.csv").write_text(table)
    with pytest.raises(DatasetError, match=complaint):
        Ucf9(root).clips()


def test_a_missing_table_is_named(root: Path) -> None:
    (root / "streams" / "dev00.csv").unlink()
    with pytest.raises(DatasetError, match=r"dev00.csv: cannot be read"):
        Ucf9(root).streams()


def test_a_folder_that_is_not_the_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected the ucf9 folder"):
        Ucf9(tmp_path)


@pytest.mark.parametrize("second", [(3, 9), (5, 5), (9, 6)])
def test_intervals_that_overlap_or_are_empty_are_refused(second: tuple[int, int]) -> None:
    intervals = (Interval(0, 4, "a", ""), Interval(*second, "b", ""))
    with pytest.raises(DatasetError, match=r"is empty or overlaps the one that ends at 4"):
        check_intervals(Path("x.csv"), intervals)


def test_a_frame_between_contexts_has_none() -> None:
    stream = LabelledStream("s", Path("s.mp4"), (Interval(2, 4, "a", ""), Interval(6, 8, "b", "")))
    assert [getattr(stream.interval_at(n), "label", None) for n in range(9)] == [
        *(None, None, "a", "a", None, None, "b", "b", None)
    ]


def test_groups_never_cross_the_split() -> None:
    clips = [Clip(Path(f"{g}{label}"), label, g, 99) for g in (1, 2, 3) for label in "ab"]
    train, validation = split_by_group(clips, (2,))
    assert {clip.group for clip in train} == {1, 3}
    assert {clip.group for clip in validation} == {2}


def test_a_split_that_leaves_a_class_without_clips_is_refused() -> None:
    clips = [Clip(Path("x"), "a", 1, 99), Clip(Path("y"), "b", 2, 99)]
    with pytest.raises(DatasetError, match=r"no train clips of b when groups"):
        split_by_group(clips, (2,))


def test_decoding_keeps_every_nth_frame_at_the_size_asked_for(tmp_path: Path) -> None:
    frames = decode(draw(tmp_path / "v.mp4"), size=(24, 16), every=3)
    assert frames.shape == (4, 16, 24, 3)
    np.testing.assert_allclose(frames[:, 8, 12, 0], [0, 60, 120, 180], atol=6)


def test_iterating_yields_frames_as_they_are(tmp_path: Path) -> None:
    frames = list(iterate(draw(tmp_path / "v.mp4")))
    assert len(frames) == 10
    assert frames[0].shape == (32, 48, 3)


@pytest.mark.parametrize("content", [b"", b"this is no video"])
def test_a_file_that_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"v.mp4: cannot be decoded"):
        decode(path)


def test_an_unknown_data_set_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown data set 'kinetics'; known: ucf9"):
        DATASETS.get("kinetics")


def listed(folder: Path, good: int) -> list[Clip]:
    return [Clip(draw(folder / f"{n}.mp4"), "a", 1, 10) for n in range(good)]


def test_the_cache_holds_each_clips_frames_and_is_built_once(tmp_path: Path) -> None:
    clips = listed(tmp_path, 3)
    first = open_cache(tmp_path / "cache", "x", clips, (24, 16), every=2)
    assert first.clip(clips[2]).shape == (5, 16, 24, 3)
    for clip in clips:
        clip.path.unlink()
    again = open_cache(tmp_path / "cache", "x", clips, (24, 16), every=2)
    np.testing.assert_array_equal(first.clip(clips[1]), again.clip(clips[1]))


def test_a_broken_clip_is_left_out_of_the_cache_and_many_are_refused(tmp_path: Path) -> None:
    clips = listed(tmp_path, 10)
    clips[4].path.write_bytes(b"broken")
    cache = open_cache(tmp_path / "cache", "x", clips, (24, 16))
    assert [cache.has(clip) for clip in clips].count(False) == 1
    assert not cache.has(clips[4])
    clips[5].path.write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"2 of 10 clips cannot be decoded; the first: .*4.mp4"):
        open_cache(tmp_path / "other", "x", clips, (24, 16))


def test_a_cache_of_other_clips_says_so(tmp_path: Path) -> None:
    open_cache(tmp_path / "cache", "x", listed(tmp_path, 1), (24, 16))
    with pytest.raises(DatasetError, match=r"does not know 1.mp4"):
        open_cache(tmp_path / "cache", "x", listed(tmp_path, 2), (24, 16))
