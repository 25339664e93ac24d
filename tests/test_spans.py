"""Spans of windows: their ids, what begins and ends them, and what becomes of those that never end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.messages import Event, WindowKey
from clownfish.spans import PARENTS, Span, Spans, sampled, span_id, trace_id

KEY = WindowKey("cam", 7, 42)


def event(what: str, at_s: float, value: float | None = None, key: WindowKey = KEY) -> Event:
    return Event(*key, what, at_s, value)


STORY = [
    ("filter", event("formed", 1.0)),
    ("filter", event("sent periodic", 1.01)),
    ("uplink", event("offered", 1.02)),
    ("local", event("inferred", 1.06, 0.04)),
    ("fusion", event("fused", 1.07, 0.99)),
    ("uplink", event("sent", 1.1, 5000.0)),
    ("router", event("submitted", 1.2)),
    ("router", event("assigned", 1.21)),
    ("router", event("done", 1.3, 80.0)),
    ("router", event("answered", 1.31)),
    ("uplink", event("answered", 1.4)),
    ("fusion", event("applied", 1.41, 2.0)),
]
TIMES = {
    "window": (0.99, 1.07), "local": (1.02, 1.06), "filter": (1.0, 1.01), "uplink": (1.02, 1.1), "cloud": (1.1, 1.4),
    "router": (1.2, 1.31), "worker": (1.21, 1.3), "reinforce": (1.41, 1.41),
}  # fmt: skip


def told(story: list[tuple[str, Event]]) -> dict[str, Span]:
    spans = Spans()
    found = [span for service, each in story for span in spans.take(service, each)]
    assert len({span.name for span in found}) == len(found)
    assert not spans.lost
    return {span.name: span for span in found}


@settings(deadline=None)
@given(st.permutations(range(5)))
def test_a_window_has_a_span_for_each_stage_in_whatever_order_services_are_heard(order: list[int]) -> None:
    services = [("filter", "local", "uplink", "router", "fusion")[i] for i in order]
    found = told([(who, each) for service in services for who, each in STORY if who == service])
    assert {name: (span.begin_s, span.end_s) for name, span in found.items()} == {
        name: pytest.approx(times) for name, times in TIMES.items()
    }
    assert set(found) == set(PARENTS)
    assert found["uplink"].attributes["bytes"] == 5000
    assert found["worker"].attributes["model_ms"] == 80
    assert found["reinforce"].attributes["lag"] == 2
    assert not any(span.failed for span in found.values())


def test_edge_and_cloud_write_one_trace_without_having_spoken_of_it() -> None:
    edge = told([(who, each) for who, each in STORY if who != "router"])
    cloud = told([(who, each) for who, each in STORY if who == "router"])
    assert cloud["router"].parent_id == edge["cloud"].span_id
    assert cloud["worker"].parent_id == cloud["router"].span_id
    assert {span.trace_id for span in [*edge.values(), *cloud.values()]} == {trace_id(KEY)}
    assert edge["window"].parent_id is None
    assert len({span.span_id for span in [*edge.values(), *cloud.values()]}) == len(PARENTS)


@pytest.mark.parametrize(
    ("begin", "end", "name"),
    [
        (("uplink", "offered"), ("uplink", "dropped superseded"), "uplink"),
        (("uplink", "sent"), ("uplink", "dropped unanswered"), "cloud"),
        (("router", "submitted"), ("router", "dropped expired"), "router"),
        (("router", "assigned"), ("router", "dropped lost"), "worker"),
    ],
)
def test_a_drop_ends_the_span_that_it_happens_in_as_a_failure(
    begin: tuple[str, str], end: tuple[str, str], name: str
) -> None:
    spans = Spans()
    begun = [span for span in spans.take(begin[0], event(begin[1], 1.0)) if span.name == name]
    (span,) = spans.take(end[0], event(end[1], 2.0))
    assert begun == []
    assert (span.name, span.failed, span.attributes["why"]) == (name, True, end[1].split()[1])


def test_what_never_ends_is_let_go_and_counted() -> None:
    spans = Spans(capacity=3)
    for t in range(5):
        spans.take("filter", event("formed", float(t), key=WindowKey("cam", 7, t)))
    assert spans.lost == {"open": 2}
    assert spans.take("filter", event("released unchanged", 9.0, key=WindowKey("cam", 7, 0))) == []
    assert spans.lost == {"open": 2, "begin": 1}


@settings(deadline=None)
@given(st.text(), st.text(), st.one_of(st.none(), st.floats(allow_nan=False)))
def test_words_that_mean_nothing_are_no_span(service: str, what: str, value: float | None) -> None:
    Spans().take(service, event(what, 1.0, value))


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 1.0])
def test_the_share_that_is_traced_is_the_one_that_was_asked_for(ratio: float) -> None:
    chosen = [sampled(WindowKey(f"cam{t % 7}", 3, t), ratio) for t in range(4000)]
    assert sum(chosen) / len(chosen) == pytest.approx(ratio, abs=0.03)


def test_ids_are_as_long_as_opentelemetry_wants_them() -> None:
    assert (len(trace_id(KEY)), len(span_id(KEY, "window"))) == (16, 8)
