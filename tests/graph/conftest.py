"""Every test in this folder starts real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.graph import harness
from tests.graph.harness import Material
from tests.model_files import write_model
from tests.videos import write_video

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.graph)


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    where = tmp_path_factory.mktemp("material")
    return make_material(where)


def make_material(where: Path) -> Material:
    return Material(
        video=write_video(where / "clip.mp4", 120),
        local=write_model(where, "local"),
        remote=write_model(where, "remote", seed=1),
        other=write_model(where, "other", classes=("bow", "clap", "jump"), seed=2),
    )


@pytest.fixture(scope="module")
def run_dir() -> Iterator[Path]:
    path = harness.folder()
    yield path
    harness.remove(path)


@pytest.fixture(scope="module")
def cloud_dir() -> Iterator[Path]:
    path = harness.folder()
    yield path
    harness.remove(path)


@pytest.fixture
def fresh() -> Iterator[Path]:
    path = harness.folder()
    yield path
    harness.remove(path)
