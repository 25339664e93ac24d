"""fusion, with the test as local and uplink before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clownfish.gains import Gains
from clownfish.messages import End, LocalResult, RemoteResult
from clownfish.zoo import read_classes
from tests.graph.harness import Endpoints, Material, edge_tree, until
from tests.services.harness import neighbour, serving


async def test_what_can_be_corrected_no_more_is_forgotten(
    run_dir: Path, local_only: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a stream that ends, too: that has no next window which would close the ones before."""
    made: list[Gains] = []

    class Known(Gains):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr("services.fusion.Gains", Known)
    tree = edge_tree(run_dir, local_only, Endpoints.ipc(run_dir)) | {"fusion": {"horizon": 4, "drain_ms": 100}}
    async with neighbour() as bus, serving("fusion", tree) as process:
        local = bus.outbox(process.config.ipc("fusion-local"), "local")
        remote = bus.outbox(process.config.ipc("fusion-remote"), "remote")
        (gains,) = made
        classes = len(read_classes(local_only.local))
        p = np.full(classes, 1 / classes, np.float32)
        for t in range(20):
            await local.put(LocalResult("cam", 7, t, p, 1.0 if t else None, 0, 0))
        answered = lambda: process.counters.get("windows_answered")  # noqa: E731
        await until(lambda: answered() == 20, "all are answered", 20)
        assert 0 < gains.remembered <= 5
        await remote.put(RemoteResult("cam", 7, 18, p, "m"))
        for said in (local, remote):
            await said.put(End("cam", 7, 92, "end of file"))
        await until(lambda: gains.remembered == 0, "its end closes the last ones", 20)
