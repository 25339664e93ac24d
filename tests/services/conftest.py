"""Models without torch's help are not needed here: services with a model are tested in tests/graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.graph import harness
from tests.graph.harness import Material
from tests.model_files import write_model


@pytest.fixture(scope="session")
def local_only(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """A local model's description; no video."""
    where = tmp_path_factory.mktemp("local")
    local = write_model(where, "local")
    return Material(video=where / "none.mp4", local=local, remote=local, other=local)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    path = harness.folder()
    yield path
    harness.remove(path)
