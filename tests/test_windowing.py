"""WindowManager: which windows are formed, and that each one that is not is counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clownfish.errors import ConfigError
from clownfish.messages import Frame, Pixels, StreamKey, Window
from clownfish.windowing import WindowManager


def pixels(n: int, height: int = 2) -> Pixels:
    return np.full((height, 2, 3), n % 256, dtype=np.uint8)


def frame(n: int, stream: str = "cam", epoch: int = 7, height: int = 2, live: bool = True) -> Frame:
    return Frame(stream, epoch, n, capture_ns=1000 + n, live=live, pixels=pixels(n, height))


def push_all(manager: WindowManager, frames: list[Frame]) -> list[Window]:
    return [window for window in map(manager.push, frames) if window is not None]


def test_windows_of_sixteen_frames_begin_at_every_fourth() -> None:
    manager = WindowManager()
    windows = push_all(manager, [frame(n) for n in range(25)])
    assert [(w.t, w.first) for w in windows] == [(0, 0), (1, 4), (2, 8)]
    assert [w.capture_ns for w in windows] == [1015, 1019, 1023]
    assert [int(pixel[0, 0, 0]) for pixel in windows[1].frames] == list(range(4, 20))
    assert windows[0].key == ("cam", 7, 0)
    assert manager.counts["windows"] == 3


def test_windows_share_their_frames_with_the_sender_and_each_other() -> None:
    manager = WindowManager()
    frames = [frame(n) for n in range(20)]
    first, second = push_all(manager, frames)
    assert all(kept is sent.pixels for kept, sent in zip(first.frames, frames[:16], strict=True))
    assert all(a is b for a, b in zip(first.frames[4:], second.frames[:12], strict=True))


@pytest.mark.parametrize("live", [True, False])
def test_a_window_is_live_as_its_frames_are(live: bool) -> None:
    (window,) = push_all(WindowManager(), [frame(n, live=live) for n in range(16)])
    assert window.live is live


@pytest.mark.parametrize(("joined_at", "first"), [(537, 540), (540, 540), (541, 544)])
def test_a_restarted_window_service_goes_on_counting_where_the_stream_is(joined_at: int, first: int) -> None:
    manager = WindowManager()
    windows = push_all(manager, [frame(n) for n in range(joined_at, joined_at + 40)])
    assert (windows[0].first, windows[0].t) == (first, first // 4)
    # of the windows that end from here on, those that began before
    began_before = [t for t in range(1000) if t * 4 < joined_at <= t * 4 + 15]
    assert manager.counts["incomplete"] == len(began_before)


def test_a_hole_costs_exactly_the_windows_that_would_hold_it() -> None:
    manager = WindowManager()
    windows = push_all(manager, [frame(n) for n in range(60) if n != 30])
    whole = [t for t in range(12) if not t * 4 <= 30 < t * 4 + 16]
    assert [w.t for w in windows] == whole
    assert manager.counts["frames_missing"] == 1
    assert manager.counts["incomplete"] == manager.windows_in(60) - len(whole)


def test_a_frame_that_comes_twice_or_goes_back_is_dropped_and_counted() -> None:
    manager = WindowManager()
    windows = push_all(manager, [frame(n) for n in [0, 1, 2, 2, 1, *range(3, 16)]])
    assert [int(pixel[0, 0, 0]) for pixel in windows[0].frames] == list(range(16))
    assert manager.counts["duplicates"] == 2


def test_a_new_epoch_begins_anew_and_late_frames_of_the_old_one_are_dropped() -> None:
    manager = WindowManager()
    push_all(manager, [frame(n, epoch=1) for n in range(10)])
    windows = push_all(manager, [frame(n, epoch=2) for n in range(8)])
    assert manager.push(frame(10, epoch=1)) is None
    windows += push_all(manager, [frame(n, epoch=2) for n in range(8, 16)])
    assert [w.key for w in windows] == [("cam", 2, 0)]
    assert manager.counts["old_epoch"] == 1


def test_an_ended_stream_is_forgotten_and_what_its_end_lacks_is_counted() -> None:
    manager = WindowManager()
    push_all(manager, [frame(n) for n in range(20)])
    manager.end(StreamKey("cam", 7), frames=24)
    assert (manager.counts["frames_missing"], manager.counts["incomplete"]) == (4, 1)
    assert manager.push(frame(24)) is None
    assert manager.counts["old_epoch"] == 1


def test_a_stream_may_end_that_never_began() -> None:
    manager = WindowManager()
    manager.end(StreamKey("cam", 7), frames=24)
    assert manager.counts["incomplete"] == 0


def test_pixels_of_another_size_begin_a_new_run_so_no_window_is_ragged() -> None:
    manager = WindowManager()
    windows = push_all(manager, [frame(n, height=2 if n < 18 else 4) for n in range(36)])
    assert [w.first for w in windows] == [0, 20]
    assert all(len({pixel.shape for pixel in w.frames}) == 1 for w in windows)
    assert manager.counts["resized"] == 1
    assert manager.counts["incomplete"] == 4


def test_streams_do_not_touch_each_other() -> None:
    manager = WindowManager()
    both = [frame(n, stream=name) for n in range(16) for name in ("a", "b")]
    assert [w.stream for w in push_all(manager, both)] == ["a", "b"]


def test_the_number_of_streams_is_bounded_and_the_quietest_leaves() -> None:
    manager = WindowManager(streams=2)
    for n in range(4):
        for name in ("a", "b"):
            manager.push(frame(n, stream=name))
    manager.push(frame(0, stream="c"))
    assert manager.counts["evicted"] == 1
    push_all(manager, [frame(n, stream="b") for n in range(4, 15)])
    assert manager.push(frame(15, stream="b")) is not None


@pytest.mark.parametrize("options", [{"size": 4, "stride": 5}, {"stride": 0}, {"size": 0}, {"streams": 0}])
def test_impossible_windows_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        WindowManager(**options)


@given(
    size=st.integers(1, 9),
    stride=st.integers(1, 9),
    heights=st.lists(st.sampled_from([2, 2, 2, 2, 2, 2, 4, None]), max_size=80),
)
def test_over_a_whole_stream_every_window_is_either_formed_or_counted(
    size: int, stride: int, heights: list[int | None]
) -> None:
    """Each frame has a height, or None where it is missing; frame 0 is there, so the stream is not joined later."""
    size, stride = max(size, stride), min(size, stride)
    heights = [2, *heights]
    manager = WindowManager(size, stride)
    windows = push_all(manager, [frame(n, height=height) for n, height in enumerate(heights) if height])
    manager.end(StreamKey("cam", 7), frames=len(heights))
    spans = {t: set(heights[t * stride : t * stride + size]) for t in range(manager.windows_in(len(heights)))}
    assert [w.t for w in windows] == [t for t, span in spans.items() if span in ({2}, {4})]
    assert manager.counts["windows"] + manager.counts["incomplete"] == len(spans)
    assert manager.counts["frames_missing"] == heights.count(None)
