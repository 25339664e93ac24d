"""What the cloud's answers changed: agreement and corrections, on a real fusion machine."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.fused_streams import FusedStreams
from clownfish.fusion import Fusion
from clownfish.gains import OTHER, STREAMS, Gains
from clownfish.messages import LocalResult, RemoteResult
from clownfish.metrics import BUFFER_BYTES, Counters

SURE = np.array([0.9, 0.1]), np.array([0.1, 0.9])


class Bench:
    """Fusion as the service runs it, with its gains."""

    def __init__(self, *streams: str) -> None:
        self.counters = Counters()
        self.gains = Gains(streams, self.counters)
        self.streams = FusedStreams(
            lambda key: Fusion(theta=0.5, stream=key.stream, epoch=key.epoch, classes=("a", "b")), size=16, stride=4
        )

    def local(self, stream: str, t: int, label: int, rho: float = 1.0) -> None:
        result = LocalResult(stream, 1, t, SURE[label], rho if t else None, 0, 0)
        answers = self.streams.local(result, 0.0)
        self.gains.local(result, answers)
        self.gains.close(answers)

    def remote(self, stream: str, t: int, label: int) -> None:
        result = RemoteResult(stream, 1, t, SURE[label], "m")
        unused = self.streams.unused
        revised = self.streams.remote(result, 0.0)
        if self.streams.unused == unused:
            self.gains.remote(result, revised)
        self.gains.close(revised)

    def counts(self, stream: str = "cam") -> dict[str, int]:
        mine = {key: count for key, count in self.counters.as_dict().items() if f'stream="{stream}"' in key and count}
        return {key.replace(f'stream="{stream}"', "").replace("{,", "{"): count for key, count in mine.items()}


def test_an_answer_that_agrees_confirms_and_one_that_differs_corrects_what_was_said_since() -> None:
    bench = Bench("cam")
    for t in range(4):
        bench.local("cam", t, 0)
    bench.remote("cam", 3, 0)
    assert bench.counts() == {
        "stream_answers{}": 4, 'remote_answers{local="agrees"}': 1, 'corrections{effect="confirmed"}': 1,
    }  # fmt: skip
    bench.remote("cam", 1, 1)
    assert bench.counts()['remote_answers{local="differs"}'] == 1
    assert bench.counts()['corrections{effect="corrected"}'] == 1
    assert bench.counts()["labels_corrected{}"] == 2, "windows 1 and 2; 3 is an anchor of its own"
    assert bench.counters.gauges()['last_lag{stream="cam"}'] == 2


def test_an_answer_that_comes_before_the_small_models_corrects_nothing_and_is_compared_when_that_comes() -> None:
    bench = Bench("cam")
    bench.remote("cam", 0, 1)
    assert bench.counts() == {'corrections{effect="in_time"}': 1}
    bench.local("cam", 0, 0)
    assert bench.counts()['remote_answers{local="differs"}'] == 1
    assert "labels_corrected{}" not in bench.counts()


def test_what_can_be_corrected_no_more_is_forgotten() -> None:
    """A stream's first half an hour cost nine megabytes."""
    bench = Bench("cam")
    for t in range(500):
        if t % 7 == 0:
            bench.remote("cam", t, 1)
        bench.local("cam", t, t % 2)
        if t % 3 == 0 and t > 4:
            bench.remote("cam", t - 4, 0)
        assert bench.gains.remembered <= 64 + 1
    bench.gains.close(bench.streams.finish())
    assert bench.gains.remembered == 0


def test_an_answer_that_changes_nothing_is_not_counted() -> None:
    bench = Bench("cam")
    bench.local("cam", 0, 0)
    bench.remote("cam", 0, 1)
    before = bench.counts()
    bench.remote("cam", 0, 1)
    assert bench.counts() == before


def test_labels_are_few_however_many_streams_there_are() -> None:
    names = [f"s{i}" for i in range(STREAMS + 20)]
    bench = Bench(*names)
    for name in [*names, "nobody configured this"]:
        bench.local(name, 0, 0)
        bench.remote(name, 0, 1)
    assert {key.partition('stream="')[2].partition('"')[0] for key in bench.counters.as_dict()} == {
        *names[:STREAMS],
        OTHER,
    }
    assert bench.counts(OTHER)["stream_answers{}"] == 21
    assert len(bench.counters.gauges()) == 2 * STREAMS


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 1)), max_size=60))
def test_counts_add_up_whatever_comes_in_whatever_order(events: list[tuple[bool, int, int]]) -> None:
    bench, newest = Bench("cam"), -1
    for is_local, t, label in events:
        if is_local:
            newest += 1
            bench.local("cam", newest, label)
        else:
            bench.remote("cam", t, label)
    counts = bench.counts()
    arrivals = sum(count for key, count in counts.items() if key.startswith("corrections{"))
    compared = sum(count for key, count in counts.items() if key.startswith("remote_answers{"))
    assert counts.get("stream_answers{}", 0) == newest + 1
    assert compared <= arrivals
    assert counts.get("labels_corrected{}", 0) >= counts.get('corrections{effect="corrected"}', 0)


def test_what_never_happened_to_a_stream_is_counted_as_0_so_that_the_first_time_shows_as_a_rise() -> None:
    assert set(Bench("cam").counters.as_dict().items()) == {
        ('labels_corrected{stream="cam"}', 0),
        ('remote_answers{stream="cam",local="agrees"}', 0),
        ('remote_answers{stream="cam",local="differs"}', 0),
        ('corrections{stream="cam",effect="confirmed"}', 0),
        ('corrections{stream="cam",effect="corrected"}', 0),
    }


def test_a_stream_that_comes_has_figures_of_its_own_from_zero_on_and_one_that_goes_has_none_any_more() -> None:
    bench = Bench("cam", "old")
    bench.local("cam", 0, 0)
    bench.local("old", 0, 0)
    bench.remote("old", 1, 0)  # before the small model
    bench.gains.follow(frozenset({"cam", "new"}))
    names = bench.counters.as_dict()
    assert not [name for name in (*names, *bench.counters.gauges()) if '"old"' in name]
    assert names['remote_answers{stream="new",local="agrees"}'] == 0
    bench.local("new", 0, 0)
    assert bench.counts("new") == {"stream_answers{}": 1}
    assert bench.counts("cam") == {"stream_answers{}": 1}
    assert not bench.counts(OTHER)
    bench.gains.follow(frozenset({"cam", "old"}))  # it comes back, and begins anew
    bench.local("old", 1, 0)
    assert bench.counts("old") == {"stream_answers{}": 1}


def test_what_a_process_before_counted_of_streams_that_are_gone_is_forgotten() -> None:
    counters = Counters(buffer := bytearray(BUFFER_BYTES))
    Gains(["cam", "old"], counters)
    after = Counters(buffer)
    Gains(["cam"], after)
    assert not [name for name in after.as_dict() if '"old"' in name]
