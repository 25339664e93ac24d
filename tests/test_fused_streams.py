from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.fused_streams import FusedStreams
from clownfish.fusion import Fusion
from clownfish.messages import End, FusedResult, LocalResult, RemoteResult, StreamKey
from clownfish.watermarks import BUFFER_BYTES, Watermarks

P = np.array([0.7, 0.3])
R = np.array([0.1, 0.9])
SIZE, STRIDE = 16, 4


def streams(buffer: bytearray | None = None, horizon: int = 8, **options: object) -> FusedStreams:
    def make(key: StreamKey) -> Fusion:
        return Fusion(horizon=horizon, stream=key.stream, epoch=key.epoch)

    chosen = {"drain_s": 10.0, **options}
    return FusedStreams(make, size=SIZE, stride=STRIDE, watermarks=Watermarks(buffer), **chosen)  # type: ignore[arg-type]


def local(t: int, epoch: int = 1, stream: str = "cam") -> LocalResult:
    return LocalResult(stream, epoch, t, P, None if t == 0 else 0.9, 0, 0)


def remote(t: int, epoch: int = 1) -> RemoteResult:
    return RemoteResult("cam", epoch, t, R, "large")


def end(windows: int, epoch: int = 1, reason: str = "end of the source") -> End:
    return End("cam", epoch, SIZE + STRIDE * (windows - 1), reason)


def said(messages: Iterable[FusedResult | End]) -> list[object]:
    """(t, revision, final) of results, and reasons of ends."""
    return [m.reason if isinstance(m, End) else (m.t, m.revision, m.final) for m in messages]


def test_each_window_is_answered_once_in_order() -> None:
    it = streams()
    assert said(it.local(local(0), 0.0) + it.local(local(1), 0.0)) == [(0, 0, False), (1, 0, False)]
    assert it.local(local(1), 0.0) == []
    assert it.local(local(0), 0.0) == []
    assert it.counts["local_duplicate"] == 2


def test_windows_that_never_came_are_counted_as_holes() -> None:
    it = streams()
    for t in (2, 3, 7):
        it.local(local(t), 0.0)
    assert it.counts["windows_missing"] == 2 + 3
    it.local_end(end(10), 0.0)
    assert it.counts["windows_missing"] == 2 + 3 + 2


def test_a_stream_of_which_nothing_came_is_missing_altogether() -> None:
    it = streams()
    it.local_end(end(5), 0.0)
    assert it.counts["windows_missing"] == 5


def test_a_stream_too_short_for_a_window_misses_none() -> None:
    it = streams()
    it.local_end(End("cam", 1, SIZE - 1, "end"), 0.0)
    assert it.counts["windows_missing"] == 0


def test_the_end_waits_for_late_results_until_the_uplink_has_none() -> None:
    it = streams()
    it.local(local(0), 0.0)
    assert it.local_end(end(1), 1.0) == []
    assert (it.open, it.next_timer()) == (1, 11.0)
    assert said(it.remote(remote(0), 2.0)) == [(0, 1, False)]
    assert said(it.remote_end(end(1), 3.0)) == [(0, 2, True), "end of the source"]
    assert (it.open, it.next_timer()) == (0, None)


def test_the_uplink_may_be_done_before_the_last_local_answer() -> None:
    it = streams()
    it.local(local(0), 0.0)
    assert it.remote_end(end(2), 0.0) == []
    it.local(local(1), 0.0)
    assert said(it.local_end(end(2), 0.0)) == [(0, 1, True), (1, 1, True), "end of the source"]


def test_the_end_waits_no_longer_than_it_was_told() -> None:
    it = streams()
    it.local(local(0), 0.0)
    it.local_end(end(1), 1.0)
    assert it.timer(10.9) == []
    assert said(it.timer(11.0)) == [(0, 1, True), "end of the source"]


@pytest.mark.parametrize("options", [{"remote": False}, {"drain_s": 0.0}])
def test_without_a_cloud_the_end_waits_for_nothing(options: dict[str, object]) -> None:
    it = streams(**options)
    it.local(local(0), 0.0)
    assert said(it.local_end(end(1), 0.0)) == [(0, 1, True), "end of the source"]


def test_a_new_epoch_ends_the_one_before_and_still_takes_its_late_results() -> None:
    it = streams()
    it.local(local(0, epoch=1), 0.0)
    it.local(local(0, epoch=2), 1.0)
    assert it.open == 2
    assert said(it.remote(remote(0, epoch=1), 2.0)) == [(0, 1, False)]
    assert said(it.timer(11.0)) == [(0, 2, True), "capture restarted"]
    assert it.open == 1


def test_late_messages_of_a_finished_epoch_do_not_bring_it_back() -> None:
    it = streams(remote=False)
    it.local(local(0), 0.0)
    it.local_end(end(1), 0.0)
    assert it.local(local(1), 0.0) == it.remote(remote(0), 0.0) == it.local_end(end(3), 0.0) == []
    assert (it.open, it.counts["local_stale"], it.counts["remote_stale"]) == (0, 1, 1)


def test_an_answer_after_the_end_is_stale() -> None:
    it = streams()
    it.local(local(0), 0.0)
    it.local_end(end(1), 0.0)
    assert it.local(local(1), 0.0) == []
    assert it.counts["local_stale"] == 1


def test_too_many_streams_end_the_one_that_was_quiet_longest() -> None:
    it = streams(capacity=2)
    for stream in ("a", "b", "a"):
        it.local(local(it.counts["x"], stream=stream), 0.0)
        it.counts["x"] += stream == "b"
    out = it.local(local(0, stream="c"), 0.0)
    assert [m.stream for m in out if isinstance(m, End)] == ["b"]
    assert it.open == 2


def test_what_is_no_distribution_is_refused_with_its_reason_and_counted() -> None:
    it = streams()
    bad = np.array([0.9, 0.9])
    assert it.local(LocalResult("cam", 1, 0, bad, None, 0, 0), 0.0) == []
    it.local(local(0), 0.0)
    assert it.remote(RemoteResult("cam", 1, 0, np.array([0.1, 0.2, 0.7]), "large"), 0.0) == []
    assert it.counts["refused"] == 2
    assert "shape (3,)" in it.refusal


def test_stopping_closes_every_window() -> None:
    it = streams()
    it.local(local(0), 0.0)
    it.local(local(1), 0.0)
    assert said(it.finish()) == [(0, 1, True), (1, 1, True), "stopped"]
    assert it.finish() == []


def test_a_process_that_takes_over_answers_nothing_again_and_counts_what_was_left_open() -> None:
    buffer = bytearray(BUFFER_BYTES)
    first = streams(buffer)
    for t in range(5):
        first.local(local(t), 0.0)
    second = streams(buffer)
    assert second.local(local(3), 0.0) == []
    assert said(second.local(local(6), 0.0)) == [(6, 0, False)]
    assert dict(second.counts) == {"finals_missing": 5, "local_duplicate": 1, "windows_missing": 1}


def test_a_result_for_a_window_that_the_process_before_answered_says_nothing_of_that_window() -> None:
    buffer = bytearray(BUFFER_BYTES)
    streams(buffer).local(local(4), 0.0)
    second = streams(buffer)
    assert second.remote(remote(4), 0.0) == []
    [answer] = second.local(local(5), 0.0)
    assert isinstance(answer, FusedResult)
    assert answer.source == "fused"  # but what it knows reaches the windows after it
    assert said(second.finish()) == [(5, 1, True), "stopped"]


events = st.lists(
    st.one_of(
        st.tuples(st.just("local"), st.integers(0, 3)),  # how many windows are lost before it
        st.tuples(st.just("repeat"), st.integers(1, 6)),  # an older answer comes again
        st.tuples(st.just("remote"), st.integers(0, 12)),  # how late
        st.tuples(st.just("restart"), st.just(0)),  # fusion is killed
        st.tuples(st.just("epoch"), st.integers(0, 3)),  # capture is killed; windows lost at its end
        st.tuples(st.just("wait"), st.integers(1, 12)),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(events)
def test_over_any_restarts_each_window_is_answered_once_or_counted_missing(todo: list[tuple[str, int]]) -> None:
    buffer = bytearray(BUFFER_BYTES)
    it, now, epoch, t = streams(buffer, horizon=4), 0.0, 1, 0
    out: list[FusedResult | End] = []
    counts: Counter[str] = Counter()
    formed = 0
    for what, number in todo:
        if what == "local":
            t += number
            out += it.local(local(t, epoch), now)
            t += 1
        elif what == "repeat" and t >= number:
            out += it.local(local(t - number, epoch), now)
        elif what == "remote" and t > number:
            out += it.remote(remote(t - 1 - number, epoch), now)
        elif what == "restart":
            counts += it.counts
            it = streams(buffer, horizon=4)
        elif what == "epoch":
            t += number
            out += it.local_end(End("cam", epoch, SIZE + STRIDE * (t - 1) if t else 0, "capture restarted"), now)
            formed += t
            epoch, t = epoch + 1, 0
        elif what == "wait":
            now += number
            out += it.timer(now)
    out += it.local_end(End("cam", epoch, SIZE + STRIDE * (t - 1) if t else 0, "end"), now)
    formed += t
    out += it.finish()
    counts += it.counts
    results = [message for message in out if isinstance(message, FusedResult)]
    live = [result.key for result in results if result.revision == 0]
    assert len(live) == len(set(live))
    assert len(live) + counts["windows_missing"] == formed
    newest: dict[object, int] = {}
    closed = set()
    for result in results:
        assert result.key not in closed
        assert result.revision == newest.get(result.key, -1) + 1
        newest[result.key] = result.revision
        if result.final:
            closed.add(result.key)
