"""The few figures that a person asks for first, from two statuses of each process."""

from __future__ import annotations

from pathlib import Path

import pytest

from clownfish.health import SUPERVISOR, Seen, judge, verdict_gauges, verdict_text
from clownfish.messages import Status
from clownfish.metrics import Histogram
from clownfish.overview import DONE, done, labelled, overview

SERVICES = sorted(path.stem for path in (Path(__file__).parent.parent / "services").glob("[a-z]*.py"))


@pytest.mark.parametrize("service", SERVICES)
def test_of_every_service_it_is_known_what_it_has_done(service: str) -> None:
    assert done(service, Status(service, 1, "ready", "", {DONE[service]: 5}, {}, {})) == 5


def test_labels_are_found_wherever_they_stand_and_added_up() -> None:
    counters = {'d{reason="a"}': 1, 'd{socket="x",reason="a"}': 2, 'd{reason="b",socket="x"}': 3, 'd{reason="c"}': 0}
    assert labelled(counters, "d", "reason") == {"a": 3, "b": 3}


def supervisor(**processes: Seen) -> Status:
    verdict = judge(processes)
    restarts = {'restarts{process="fusion"}': 3}
    return Status(SUPERVISOR, 9, "ready", verdict_text(verdict), restarts, verdict_gauges(processes, verdict), {})


def edge(factor: int) -> dict[str, Status]:
    """After `factor` seconds."""
    trips = Histogram()
    trips.add(2e8)
    return {
        "capture": Status("capture", 1, "ready", "", {'frames{stream="cam"}': 30 * factor}, {}, {}),
        "fusion": Status(
            "fusion", 2, "ready", "",
            {
                'stream_answers{stream="cam"}': 7 * factor,
                'remote_answers{stream="cam",local="agrees"}': 3,
                'remote_answers{stream="cam",local="differs"}': 1,
                'labels_corrected{stream="cam"}': 2 * factor,
            },
            {'beta{stream="cam"}': 0.5, 'last_lag{stream="cam"}': 2.0}, {},
        ),
        "uplink": Status(
            "uplink", 3, "ready", "connected",
            {"bytes_sent": 500_000 * factor, 'dropped{reason="expired"}': 4, 'dropped{reason="lost"}': 0},
            {"waiting": 1.0, "oldest_waiting_seconds": 0.5}, {"round_trip": trips.as_dict()},
        ),
    }  # fmt: skip


def test_rates_are_what_grew_and_the_cloud_is_summed_up() -> None:
    before, after = ({name: (float(at), status) for name, status in edge(at).items()} for at in (2, 4))
    seen = overview(before, after, (4.0, supervisor(fusion=Seen("ready", 0), capture=Seen("ready", 0))), 4.1)
    (stream,) = seen.streams
    assert (stream.fps, stream.answers_per_s, stream.answers) == (30.0, 7.0, 28)
    assert (stream.beta, stream.last_lag, stream.agreement, stream.corrected) == (0.5, 2, 0.75, 8)
    assert seen.cloud is not None
    assert seen.cloud.bytes_per_s == 500_000
    assert seen.cloud.corrections_per_mb == 4.0
    assert seen.cloud.dropped == {"expired": 4}
    assert seen.cloud.round_trip_ms == pytest.approx((200, 200), rel=0.01)
    assert (seen.live, seen.ready) == (True, True)
    assert {line.process: line.restarts for line in seen.processes} == {"fusion": 3, "capture": 0, "uplink": 0}


def test_a_process_that_never_spoke_is_named_and_one_status_gives_no_rate() -> None:
    heard = {name: (1.0, status) for name, status in edge(1).items()}
    seen = overview(heard, heard, (1.0, supervisor(local=Seen("starting", 3))), 1.0)
    assert ("local", None, "starting") in {(line.process, line.pid, line.state) for line in seen.processes}
    assert (seen.ready, dict(seen.reasons)) == (False, {"local": "is starting"})
    assert seen.streams[0].fps == 0.0


def test_without_a_supervisor_nothing_is_well() -> None:
    seen = overview({}, {}, None, 5.0)
    assert (seen.live, seen.ready, dict(seen.reasons)) == (False, False, {SUPERVISOR: "says nothing"})
