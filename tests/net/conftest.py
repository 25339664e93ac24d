"""Real links, in namespaces of their own: nothing of the box itself is touched. Skipped where that is not allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from clownfish.lab.net.capabilities import capabilities
from clownfish.lab.net.plan import NEEDS

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if HERE in item.path.parents]
    lacks = capabilities().lacks(NEEDS["link"]) if here else ""
    for item in here:
        item.add_marker(pytest.mark.net)
        if lacks:
            item.add_marker(pytest.mark.skip(reason=lacks))
