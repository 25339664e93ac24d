"""A camera that dies, freezes and changes, by GStreamer's RTSP server; longer: `clownfish bench --only cameras`."""

from __future__ import annotations

from pathlib import Path

import pytest

from clownfish.lab.cameras import missing, trial
from tests.graph.harness import Material

WHY_NOT = missing()


@pytest.mark.skipif(WHY_NOT != "", reason=WHY_NOT)
async def test_a_camera_that_dies_freezes_and_changes_is_answered_in_new_epochs_and_no_event_goes_over_a_gap(
    fresh: Path, material: Material
) -> None:
    async with trial(fresh, material.local, width=32, height=32, stall_s=1.0, retry_s=0.1) as camera:
        for what in ("killed", "killed", "frozen", "changed"):
            await camera.strike(what, frozen_s=0.0)
        assert len(camera.told.first) >= 5
        assert await camera.settle() == []
        assert camera.counter("stalls") >= 1
        assert camera.counter("source_retries") >= 3
        for epoch in camera.told.first:
            live = [answer["t"] for answer in camera.told.answers if answer["epoch"] == epoch]
            assert live == sorted(set(live))
