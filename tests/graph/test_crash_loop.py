"""A process that can never do its work ends the graph with its reason; it is not started for ever."""

from __future__ import annotations

import asyncio

import pytest

from clownfish.config import validate
from clownfish.errors import ClownfishError
from clownfish.supervisor import Supervisor
from tests.graph import harness

pytestmark = pytest.mark.graph


async def test_a_process_that_crashes_again_and_again_before_it_is_ready_ends_the_graph() -> None:
    folder = harness.folder()
    tree = {
        "graph": {"run_dir": str(folder)},
        "streams": [{"name": "cam", "source": "shapes:test/0"}],
        "local": {"model": "tests.graph.broken:Broken"},
    }
    supervisor = Supervisor(validate(tree, "test"), log_dir=folder)
    try:
        with pytest.raises(ClownfishError, match="local ended 5 times before it was ready: ZeroDivisionError"):
            await asyncio.wait_for(supervisor.start(), 60)
    finally:
        await supervisor.stop(drain=False)
        harness.remove(folder)
