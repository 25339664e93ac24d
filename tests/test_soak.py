"""A soak, in short: one process of a graph, and each of its measures told."""

from __future__ import annotations

from pathlib import Path

import pytest

from clownfish.config import validate
from clownfish.errors import ConfigError
from clownfish.lab.footprint import MEASURES
from clownfish.lab.free_port import free_endpoints
from clownfish.lab.soak import Grown, SoakOptions, soak
from clownfish.lab.trend import Trend
from clownfish.settings import Config
from tests.graph import harness

SHORT = SoakOptions(minutes=0.05, every_s=0.1, settle_s=0.2)


def router(folder: Path) -> Config:
    endpoints = dict(zip(("control", "data", "workers"), free_endpoints(3), strict=True))
    return validate({"graph": {"run_dir": str(folder / "run")}, "router": endpoints}, "soak")


@pytest.mark.graph
def test_each_process_is_told_of_with_all_its_measures() -> None:
    folder = harness.folder()
    try:
        found = soak(router(folder), folder / "logs", SHORT, lambda text: None)
    finally:
        harness.remove(folder)
    assert {(each.process, each.measure) for each in found} == {
        (process, measure) for process in ("router", "supervisor") for measure in MEASURES
    }
    for each in found:
        assert 0 < each.first <= each.most
        assert each.per_h.low <= each.per_h.slope <= each.per_h.high
    (threads,) = [each for each in found if (each.process, each.measure) == ("router", "threads")]
    assert not threads.too_much


def test_it_grows_where_it_does_for_certain_and_by_more_than_the_limit() -> None:
    for slope, low, too_much in ((5.0, 3.0, True), (5.0, -1.0, False), (3.0, 2.0, False), (-9.0, -12.0, False)):
        it = Grown("local", "uss_mb", 100.0, 110.0, 120.0, Trend(slope, low, 2 * abs(slope)), 4.0)
        assert it.too_much == too_much, slope


def test_a_soak_too_short_to_tell_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 minutes are 6 samples; a slope takes 24: more --minutes, or --every less"):
        soak(router(tmp_path), tmp_path, SoakOptions(minutes=1.0), lambda text: None)
