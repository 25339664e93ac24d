"""Shapes: the eight motions, the streams, and the source that plays them."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import zlib

import numpy as np
import pytest

from clownfish.errors import DatasetError, SourceError
from clownfish.shapes import CLASSES, FPS, HEIGHT, SPLITS, WIDTH, stream
from clownfish.shapes.motions import MOTIONS
from clownfish.shapes.scene import Scene
from clownfish.shapes.stream import FRAMES, LONGEST, SHORTEST
from clownfish.sources import open_source, truth_of


def digest() -> int:
    """Of some frames of a stream."""
    drawn = stream("test", 1)
    return zlib.crc32(b"".join(drawn.frame(n).tobytes() for n in range(0, FRAMES, 400)))


def test_another_process_draws_the_same_bytes() -> None:
    program = "from tests.test_shapes import digest; print(digest())"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(other.stdout) == digest()


def test_a_frame_does_not_depend_on_which_were_drawn_before() -> None:
    one, other = stream("train", 3), stream("train", 3)
    in_order = list(one.frames(170, 200))
    np.testing.assert_array_equal(other.frame(199), in_order[-1])
    np.testing.assert_array_equal(other.frame(170), in_order[0])
    assert in_order[0].shape == (HEIGHT, WIDTH, 3)
    assert in_order[0].dtype == np.uint8


def test_contexts_cover_the_stream_last_as_long_as_they_may_and_differ_from_their_neighbours() -> None:
    for split, index in itertools.product(SPLITS, range(8)):
        intervals = stream(split, index).intervals
        assert intervals[0].start == 0
        assert intervals[-1].end == FRAMES
        for before, after in itertools.pairwise(intervals):
            assert before.end == after.start
            assert before.label != after.label
        lengths = [end - start for start, end, _ in intervals]
        assert min(lengths) >= SHORTEST == 2.5 * FPS
        assert max(lengths[:-1]) <= LONGEST == 6 * FPS
        assert lengths[-1] < LONGEST + SHORTEST


def test_splits_and_numbers_are_streams_of_their_own() -> None:
    first = {stream(split, index).frame(0).tobytes() for split in SPLITS for index in range(3)}
    assert len(first) == 9


def test_every_class_is_shown_about_as_often() -> None:
    labels = [interval.label for index in range(30) for interval in stream("train", index).intervals]
    for label in CLASSES:
        assert 0.5 < labels.count(label) * len(CLASSES) / len(labels) < 1.5


@pytest.mark.parametrize("label", CLASSES)
def test_a_motion_repeats_itself_after_a_turn_of_its_phase(label: str) -> None:
    for phase in (0.3, 2.0, 5.0):
        pose, again = MOTIONS[label](phase), MOTIONS[label](phase + 2 * math.pi)
        np.testing.assert_allclose(again[:2], pose[:2], atol=1e-9)
        assert again.size == pytest.approx(pose.size)
        assert math.cos(again.turn) == pytest.approx(math.cos(pose.turn))


def test_a_clock_turns_to_the_right_on_the_screen_where_y_points_down() -> None:
    for label, sense in (("clockwise", 1), ("counterclockwise", -1)):
        at, then = MOTIONS[label](0.5), MOTIONS[label](0.6)
        assert math.copysign(1, at.x * then.y - at.y * then.x) == sense


@pytest.mark.parametrize("label", CLASSES)
def test_the_shape_stays_in_the_picture(label: str) -> None:
    for seed in range(20):
        scene = Scene(label, 180, np.random.default_rng(seed))
        poses = [scene.pose(n) for n in range(180)]
        assert all(-8 <= pose.x <= WIDTH + 8 and -8 <= pose.y <= HEIGHT + 8 for pose in poses)


def test_the_source_plays_the_stream_with_its_truth() -> None:
    source = open_source("shapes:test/0", seconds=0.5)
    frames = list(source)
    assert len(frames) == 15
    np.testing.assert_array_equal(frames[7], stream("test", 0).frame(7))
    truth = truth_of("shapes:test/0")
    assert truth is not None
    assert [(each.start, each.end, each.label) for each in truth.contexts] == list(stream("test", 0).intervals)


@pytest.mark.parametrize("what", ["", "test", "test/x", "nothing/0", "test/-1"])
def test_a_source_that_there_is_not_says_what_there_is(what: str) -> None:
    with pytest.raises(SourceError, match=r"expected SPLIT/NUMBER|known: train, validation, test"):
        open_source(f"shapes:{what}")


def test_a_stream_refuses_what_it_does_not_have() -> None:
    with pytest.raises(DatasetError, match="known: train, validation, test"):
        stream("dev", 0)
    with pytest.raises(DatasetError, match="from 0 on"):
        stream("test", -1)
    with pytest.raises(IndexError, match="frame 3600"):
        stream("test", 0).frame(FRAMES)
