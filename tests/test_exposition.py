"""What Prometheus reads: names, labels, buckets; parsed by its own client."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish.exposition import expose
from clownfish.measures import MEASURES, markdown
from clownfish.messages import Status
from clownfish.metrics import Histogram

parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client: pip install -e .[dev]")

STATUS = Status("uplink", 7, "ready", "", {}, {}, {})


def samples(*statuses: Status) -> dict[str, float]:
    found = {}
    for family in parser.text_string_to_metric_families(expose(statuses, "1")):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def test_names_say_the_service_the_unit_and_the_kind_and_a_sockets_messages_are_not_a_services_windows() -> None:
    status = dataclasses.replace(
        STATUS,
        counters={"bytes_sent": 5, 'dropped{reason="expired"}': 2, 'dropped{socket="data",reason="full"}': 3},
        gauges={"oldest_waiting_seconds": 0.25},
    )
    found = samples(status)
    assert found["clownfish_uplink_sent_bytes_total"] == 5
    assert found['clownfish_uplink_windows_dropped_total{reason="expired"}'] == 2
    assert found['clownfish_messages_dropped_total{service="uplink",socket="data",reason="full"}'] == 3
    assert found["clownfish_uplink_oldest_waiting_seconds"] == 0.25


def test_processes_of_one_service_are_told_apart_by_a_label_and_share_a_family() -> None:
    workers = [Status(f"worker-{i}", i, "ready", "", {"jobs_done": i}, {}, {}) for i in (1, 2)]
    found = samples(*workers)
    assert found['clownfish_worker_jobs_done_total{worker="1"}'] == 1
    assert found['clownfish_worker_jobs_done_total{worker="2"}'] == 2


@settings(deadline=None)
@given(st.lists(st.floats(1, 3e11), max_size=200))
def test_every_bucket_holds_exactly_the_durations_below_its_bound(durations_ns: list[float]) -> None:
    histogram = Histogram()
    for duration in durations_ns:
        histogram.add(duration)
    found = samples(dataclasses.replace(STATUS, histograms={"round_trip": histogram.as_dict()}))
    name = "clownfish_uplink_round_trip_seconds"
    assert found[f"{name}_count"] == found[f'{name}_bucket{{le="+Inf"}}'] == len(durations_ns)
    assert found[f"{name}_sum"] == pytest.approx(sum(durations_ns) / 1e9, rel=0.011)
    before = 0.0
    for key, count in found.items():
        if key.startswith(f"{name}_bucket") and "+Inf" not in key:
            bound = float(key.partition('le="')[2].partition('"')[0])
            assert count >= before
            before = count
            # the bound is written with four figures, so a duration that lies on it may fall to either side
            assert sum(d / 1e9 < bound * 0.999 for d in durations_ns) <= count
            assert count <= sum(d / 1e9 < bound * 1.001 for d in durations_ns)


def test_lags_are_a_histogram_of_windows() -> None:
    lags = {'lag{windows="0"}': 3, 'lag{windows="2"}': 1, 'lag{windows="16+"}': 2}
    found = samples(Status("fusion", 1, "ready", "", lags, {}, {}))
    name = "clownfish_fusion_lag_windows"
    assert [found[f'{name}_bucket{{le="{le}"}}'] for le in ("0", "1", "2", "15", "+Inf")] == [3, 3, 4, 4, 6]
    assert (found[f"{name}_count"], found[f"{name}_sum"]) == (6, 34)


@pytest.mark.parametrize("name", ["no name", 'x{reason="a"b"}', 'x{reason="a\nb"}', "x{y}", "", "ρ", 'x{a="1"'])
def test_what_is_no_name_is_left_out_and_counted_and_breaks_nothing(name: str) -> None:
    found = samples(dataclasses.replace(STATUS, counters={name: 1, "bytes_sent": 5}))
    assert found == {
        'clownfish_build_info{version="1"}': 1, "clownfish_uplink_sent_bytes_total": 5,
        "clownfish_unreadable_samples": 1,
    }  # fmt: skip


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=20), st.integers(0, 2**62), max_size=5), st.text(max_size=20))
def test_whatever_a_process_says_prometheus_can_read_the_page(counters: dict[str, int], service: str) -> None:
    samples(Status(service, 1, "ready", "", counters, {"nan": float("nan"), "inf": float("inf")}, {"h": {-1: 3}}))


def test_no_two_measures_share_a_name() -> None:
    names = [(service, each.metric) for each in MEASURES for service in each.services]
    assert len(names) == len(set(names))


def test_the_documents_table_is_the_codes() -> None:
    """`python -c "from clownfish.measures import markdown; print(markdown())"` writes it anew."""
    text = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert markdown() in text
