from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.edges import Edges, Forget, Submit, Tell
from clownfish.messages import WindowKey
from clownfish.protocol import Again, Answer, Credit, Dropped, FrameData, Hello, Missing, Refused, WindowRequest

CLASSES = ("bow", "wave")
P = np.array([0.5, 0.5], np.float32)
E = b"edge-1"


def edges(**options: int) -> Edges:
    """Refuses whoever has other classes than CLASSES, or asks for another model than the large one."""
    chosen = {"windows_per_edge": 2, "bytes_per_edge": 1000, "lease_ms": 3000, "cache_bytes": 100_000, **options}

    def why(classes: tuple[str, ...], model: str) -> str | None:
        if model not in ("", "large"):
            return f"no {model!r} here"
        return None if classes == CLASSES else f"nobody has {classes}"

    return Edges(why, **chosen)


def opened(**options: int) -> Edges:
    it = edges(**options)
    it.hello(E, Hello("box", CLASSES, "large"), 0.0)
    return it


def frame(n: int, size_bytes: int = 10) -> FrameData:
    return FrameData("cam", 1, n, n, 0, "jpeg", 32, 32, bytes(size_bytes))


def request(t: int, frames: tuple[int, ...], deadline_ms: int = 1000) -> WindowRequest:
    return WindowRequest("cam", 1, t, frames, deadline_ms)


def key(t: int) -> WindowKey:
    return WindowKey("cam", 1, t)


def answer(t: int) -> Answer:
    return Answer("cam", 1, t, P, "large", 1.0)


def test_a_hello_is_answered_with_credit() -> None:
    assert edges().hello(E, Hello("box", CLASSES), 0.0) == [Tell(E, Credit(2, 1000, 3000))]


def test_an_edge_whose_classes_nobody_has_is_refused_in_words_until_somebody_has() -> None:
    served: set[tuple[str, ...]] = set()
    it = Edges(
        lambda classes, model: None if classes in served else "nobody has 'wave'",
        windows_per_edge=1,
        bytes_per_edge=1,
        lease_ms=1,
        cache_bytes=1,
    )
    refused = [Tell(E, Refused("nobody has 'wave'"))]
    assert it.hello(E, Hello("box", CLASSES), 0.0) == refused
    assert it.ping(E, 1.0) == refused
    served.add(CLASSES)
    assert it.regrant() == [Tell(E, Credit(1, 1, 1))]
    assert it.regrant() == [], "one that knows is not told with each worker that comes or goes"


def test_an_edge_that_is_not_known_is_asked_to_say_hello() -> None:
    [told] = edges().ping(E, 0.0)
    assert isinstance(told, Tell)
    assert isinstance(told.message, Again)


def test_what_an_unknown_edge_sends_is_counted_and_ignored() -> None:
    it = edges()
    it.frames(E, frame(0).together)
    assert it.request(E, request(0, (0,)), 0.0) == []
    assert (it.counts["frames_without_session"], it.counts["requests_without_session"]) == (1, 1)
    assert it.cache.size_bytes == 0


def test_one_edge_more_than_there_is_room_for_is_turned_away_in_words() -> None:
    it = edges(capacity=1)
    it.hello(b"first", Hello("box", CLASSES), 0.0)
    assert it.hello(E, Hello("box", CLASSES), 0.0) == [Tell(E, Refused("this router serves 1 edges already"))]
    assert len(it) == 1


def test_a_window_whose_frames_are_here_is_submitted_in_their_order() -> None:
    it = opened()
    for n in (2, 0, 1):
        it.frames(E, frame(n).together)
    [submit] = it.request(E, request(0, (0, 1, 2)), 5.0)
    assert isinstance(submit, Submit)
    assert (submit.key, submit.classes, submit.model, submit.deadline) == (key(0), CLASSES, "large", 6.0)
    assert submit.found.numbers == (0, 1, 2)


def test_missing_frames_are_asked_for_and_the_second_request_is_submitted() -> None:
    it = opened()
    it.frames(E, frame(0).together)
    assert it.request(E, request(0, (0, 1)), 0.0) == [Tell(E, Missing("cam", 1, 0, (1,)))]
    it.frames(E, frame(1).together)
    [submit] = it.request(E, request(0, (0, 1)), 0.5)
    assert isinstance(submit, Submit)
    assert it.request(E, request(0, (0, 1)), 0.6) == []
    assert it.counts["requests_repeated"] == 1


def test_a_window_whose_frames_do_not_come_in_time_is_dropped_and_gives_its_credit_back() -> None:
    it = opened()
    it.request(E, request(0, (0, 1)), 0.0)
    assert it.next_timer() == 1.0
    assert it.timer(0.9) == []
    assert it.timer(1.0) == [Tell(E, Dropped("cam", 1, 0, "incomplete")), Tell(E, Credit(3, 1000, 3000))]


def test_an_edge_that_asks_for_a_model_which_nobody_has_is_refused_in_words() -> None:
    it = edges()
    assert it.hello(E, Hello("box", CLASSES, "huge"), 0.0) == [Tell(E, Refused("no 'huge' here"))]


def test_the_credit_that_answers_a_ping_has_its_number_and_no_other_has() -> None:
    it = opened()
    assert it.ping(E, 1.0, 7) == [Tell(E, Credit(2, 1000, 3000, 7))]
    unasked: list[Credit] = []
    for t in range(3):  # till half of the share is used, and it is told again
        it.frames(E, frame(t, 300).together)
        it.request(E, request(t, (t,)), 1.0)
        told = it.finished(E, answer(t))
        unasked += [each.message for each in told if isinstance(each, Tell) and isinstance(each.message, Credit)]
    assert unasked
    assert {credit.ping for credit in unasked} == {0}


def test_a_router_that_ends_sends_every_edge_on() -> None:
    it = edges()
    for edge in (E, b"other"):
        it.hello(edge, Hello("box", CLASSES), 0.0)
    assert it.farewell("bye") == [Tell(E, Again("bye")), Tell(b"other", Again("bye"))]


def test_an_answer_goes_home_and_gives_credit_back() -> None:
    it = opened()
    it.frames(E, frame(0, 30).together)
    it.request(E, request(0, (0,)), 0.0)
    assert it.finished(E, answer(0)) == [Tell(E, answer(0)), Tell(E, Credit(3, 1030, 3000))]


def test_credit_is_told_when_half_of_the_share_is_left_and_at_each_beat() -> None:
    it = opened(windows_per_edge=4)
    it.frames(E, frame(0).together)
    told = []
    for t in range(4):
        it.request(E, request(t, (0,)), 0.0)
        told.append(it.finished(E, answer(t))[1:])
    assert told == [[], [Tell(E, Credit(6, 1010, 3000))], [], [Tell(E, Credit(8, 1010, 3000))]]
    assert it.ping(E, 1.0) == [Tell(E, Credit(8, 1010, 3000))]


def test_a_window_beyond_the_credit_is_dropped_and_not_submitted() -> None:
    it = opened()
    it.frames(E, frame(0).together)
    for t in (0, 1):
        assert isinstance(it.request(E, request(t, (0,)), 0.0)[0], Submit)
    told, _ = it.request(E, request(2, (0,)), 0.0)
    assert told == Tell(E, Dropped("cam", 1, 2, "overdrawn"))
    assert it.counts["overdrawn"] == 1


def test_a_deadline_from_the_wire_is_never_longer_than_an_hour() -> None:
    """A worker could not read a Job with the largest number that a request may hold."""
    it = opened()
    it.frames(E, frame(0).together)
    [submit] = it.request(E, request(0, (0,), 2**63 - 1), 10.0)
    assert isinstance(submit, Submit)
    assert submit.deadline == 3610.0


def test_a_silent_session_ends_and_takes_its_frames_along() -> None:
    it = opened(session_s=10)
    it.frames(E, frame(0).together)
    it.ping(E, 4.0)
    assert it.next_timer() == 14.0
    assert it.timer(13.9) == []
    assert it.timer(14.0) == [Forget(E, "box")]
    assert (len(it), it.cache.size_bytes, it.next_timer()) == (0, 0, None)


def test_the_session_that_was_silent_longest_ends_first() -> None:
    it = opened(session_s=10)
    it.hello(b"other", Hello("box2", CLASSES), 1.0)
    it.ping(E, 4.0)
    assert it.next_timer() == 11.0
    assert it.timer(11.0) == [Forget(b"other", "box2")]
    assert it.next_timer() == 14.0


def test_a_second_hello_forgets_the_first_session() -> None:
    it = opened()
    it.frames(E, frame(0).together)
    it.request(E, request(0, (0,)), 0.0)
    assert it.hello(E, Hello("box", CLASSES), 1.0) == [Forget(E, "box"), Tell(E, Credit(2, 1000, 3000))]
    assert it.cache.size_bytes == 0
    assert it.finished(E, answer(0)) == [Tell(E, answer(0))]


def test_what_becomes_of_a_window_of_an_edge_that_is_gone_is_told_to_nobody() -> None:
    assert edges().finished(E, answer(0)) == []


def test_the_class_lists_of_all_edges_are_known() -> None:
    it = opened()
    it.hello(b"other", Hello("box2", ("x",)), 0.0)
    assert it.classes_wanted() == {CLASSES, ("x",)}
    assert (it.name(E), it.name(b"none")) == ("box", "?")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("frame"), st.integers(0, 12)),
        st.tuples(st.just("request"), st.integers(0, 8)),
        st.tuples(st.just("finish"), st.integers(0, 8)),
        st.tuples(st.just("wait"), st.integers(1, 15)),
        st.tuples(st.just("hello"), st.just(0)),
        st.tuples(st.just("ping"), st.just(0)),
    ),
    max_size=80,
)


@settings(max_examples=200)
@given(steps)
def test_a_window_is_submitted_once_and_totals_never_fall_in_a_session(todo: list[tuple[str, int]]) -> None:
    it, now = opened(cache_bytes=8 * 522), 0.0
    totals, submitted, over = (0, 0), set[int](), set[int]()
    for what, number in todo:
        out: list[object] = []
        if what == "frame":
            it.frames(E, frame(number).together)
        elif what == "request":
            out += it.request(E, request(number, tuple(range(number, number + 3))), now)
        elif what == "finish" and number in submitted:
            out += it.finished(E, answer(number))
            over.add(number)
        elif what == "wait":
            now += number
            out += it.timer(now)
        elif what == "hello":
            out += it.hello(E, Hello("box", CLASSES), now)
        elif what == "ping":
            out += it.ping(E, now)
        for each in out:
            if isinstance(each, Forget):
                totals, submitted, over = (0, 0), set(), set()
            elif isinstance(each, Submit):
                assert each.key.t not in submitted
                submitted.add(each.key.t)
            elif isinstance(each, Tell) and isinstance(each.message, Credit):
                granted = (each.message.windows_total, each.message.bytes_total)
                assert granted[0] >= totals[0]
                assert granted[1] >= totals[1]
                totals = granted
        assert len(submitted - over) <= 2
        due = it.next_timer()
        assert due is None or due >= 0
        if due is not None:
            it_is_due = it.timer(due) if due <= now else []
            assert all(isinstance(each, Tell | Forget) for each in it_is_due)
            if any(isinstance(each, Forget) for each in it_is_due):
                totals, submitted, over = (0, 0), set(), set()


@pytest.mark.parametrize("size_bytes", [0, 10])
def test_a_stream_of_frames_without_requests_stays_bounded(size_bytes: int) -> None:
    it = opened(cache_bytes=100_000)
    for n in range(2000):
        it.frames(E, FrameData(f"s{n}", 1, 0, 0, 0, "jpeg", 32, 32, bytes(size_bytes)).together)
    assert it.cache.size_bytes <= 100_000
    assert len(it._sessions[E].new_bytes) <= 256
    assert len(it.cache._streams) <= 200


def test_a_device_has_so_many_sessions_and_a_new_one_ends_its_oldest_and_nobody_elses() -> None:
    it = Edges(
        lambda classes, model: None,
        windows_per_edge=1,
        bytes_per_edge=1000,
        lease_ms=1,
        cache_bytes=1000,
        device=lambda edge: edge[:1],
        sessions_per_device=2,
    )
    for edge in (b"b1", b"a1", b"a2"):
        it.hello(edge, Hello(edge.decode(), CLASSES), 0.0)
    assert it.hello(b"a3", Hello("a3", CLASSES), 0.0)[0] == Forget(b"a1", "a1")
    assert (len(it), it.counts["sessions_replaced"]) == (3, 1)
    assert it.revoke(b"a") == [Forget(b"a2", "a2"), Forget(b"a3", "a3")]
    assert it.revoke(b"a") == []
    assert len(it) == 1


def test_a_window_over_a_limit_is_dropped_for_that_reason_and_gives_its_credit_back() -> None:
    it = opened()
    it.frames(E, frame(0).together, over="over_bytes")
    assert it.cache.size_bytes == 0
    assert it.request(E, request(0, (0,)), 0.0) == [
        Tell(E, Dropped("cam", 1, 0, "over_bytes")),
        Tell(E, Credit(3, 1010, 3000)),
    ]
    assert it.request(E, request(1, (1,)), 0.0, over="over_rate")[0] == Tell(E, Dropped("cam", 1, 1, "over_rate"))
    it.frames(E, frame(2).together)
    assert isinstance(it.request(E, request(2, (2,)), 0.0)[0], Submit)
