"""Whether a graph lives and is ready: judged, published, read back."""

from __future__ import annotations

import pytest

from clownfish.health import (
    DEAF_S,
    SILENT_S,
    STARTING_S,
    STUCK_S,
    SUPERVISOR,
    Seen,
    Verdict,
    judge,
    verdict_gauges,
    verdict_of,
    verdict_text,
)
from clownfish.messages import Status

WELL = Seen("ready", 0.5)


@pytest.mark.parametrize(
    ("seen", "live", "ready", "says"),
    [
        (WELL, True, True, None),
        (Seen("ready", SILENT_S + 1), False, False, "has said nothing for 21 s"),
        (Seen("starting", SILENT_S + 1), True, False, "is starting"),
        (Seen("starting", STARTING_S + 1), False, False, "has said nothing for 61 s"),
        (Seen("ready", 0.5, STUCK_S - 1), True, True, None),
        (Seen("ready", 0.5, STUCK_S + 1), False, False, "has been at one piece of work for 61 s"),
        (Seen("starting", 0.5, STUCK_S + 1), True, False, "is starting"),  # a model that loads from a slow card
        (Seen("failed", 0.5, 0.0, "no such camera"), True, False, "is failed: no such camera"),
        (Seen("draining", 0.5), True, False, "is draining"),
    ],
)
def test_a_process_that_hangs_is_not_live_and_one_that_does_no_work_is_not_ready(
    seen: Seen, live: bool, ready: bool, says: str | None
) -> None:
    verdict = judge({"local": seen, "window": WELL})
    assert (verdict.live, verdict.ready, verdict.unready.get("local")) == (live, ready, says)
    assert "window" not in verdict.unready


def published(processes: dict[str, Seen]) -> Status:
    verdict = judge(processes)
    return Status(SUPERVISOR, 1, "ready", verdict_text(verdict), {}, verdict_gauges(processes, verdict), {})


def test_who_reads_the_verdict_that_was_published_judges_alike() -> None:
    processes = {"local": Seen("ready", 0, STUCK_S + 1), "capture": Seen("failed", 0, 0, "a: b\nc"), "window": WELL}
    read = verdict_of(published(processes), 0.5)
    assert (set(read.hung), set(read.unready)) == ({"local"}, {"local", "capture"})
    assert read.unready["capture"] == "is failed: a: b"
    assert read.hung == judge(processes).hung


def test_a_supervisor_that_is_silent_is_not_live_whatever_it_said_last() -> None:
    well = published({"local": WELL})
    assert verdict_of(well, DEAF_S) == Verdict({}, {})
    for status, silent_s in ((well, DEAF_S + 1), (None, 0.0)):
        verdict = verdict_of(status, silent_s)
        assert (verdict.live, verdict.ready, list(verdict.hung)) == (False, False, [SUPERVISOR])


def test_the_words_fit_into_a_status_however_many_processes_are_unwell() -> None:
    processes = {f"worker-{i}": Seen("failed", 0, 0, "ρ" * 500) for i in range(100)}
    status = published(processes)
    assert len(status.text.encode()) <= 4000
    assert set(verdict_of(status, 0).unready) == set(processes)
