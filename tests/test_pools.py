"""What a pool's workers are told, and how a pool that cannot work says so; pools at work are in tests/graph."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clownfish.cli.app import app
from clownfish.config import validate
from clownfish.errors import ClownfishError, ConfigError
from clownfish.pools.local import worker_config
from clownfish.settings import Config, section_of, to_tree
from clownfish.supervisor import Supervisor, plan
from services.pool import make_pool
from tests.graph import harness
from tests.keyrings import keyring

CLOUD: dict[str, Any] = {"router": {}, "worker": {"model": "zoo:ucf9/remote"}, "pool": {}}


def test_a_pool_takes_the_place_of_the_counted_workers() -> None:
    tree = {**CLOUD, "worker": {"model": "x", "count": 3}}
    assert [spec.process for spec in plan(validate(tree, "test"))] == ["router", "pool"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"router": None}, r"\[pool\] needs \[router\]"),
        ({"worker": None}, r"\[pool\] needs \[router\]"),
        ({"pool": {"min_workers": 3, "max_workers": 2}}, "min_workers is 3, above max_workers, 2"),
        ({"pool": {"kind": "cluster"}}, "pool.kind"),
        ({"pool": {"address": "ray://head:10001"}}, "expected `auto`, `local` or HOST:PORT"),
    ],
)
def test_settings_that_make_no_pool_are_refused(change: dict[str, Any], words: str) -> None:
    tree = {name: section for name, section in {**CLOUD, **change}.items() if section is not None}
    with pytest.raises(ConfigError, match=words):
        validate(tree, "test")


def test_a_worker_elsewhere_is_told_where_files_are_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = keyring(tmp_path / "keys")
    secret = ring.device("gpu", role="worker").own.secret
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "large.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    worker = {"model": "models/large", "key": "keys/devices/gpu.key", "router_key": "keys/devices/gpu.key", "count": 7}
    told = worker_config(validate({**CLOUD, "worker": worker, "router": {"keys": "keys"}}, "test"))
    assert told.worker is not None
    assert told.worker.model == str(tmp_path / "models" / "large")
    assert told.worker.key == str(tmp_path / "keys" / "devices" / "gpu.key")
    assert len(told.worker.router_key) == 40
    assert (told.router, told.pool, told.worker.count) == (None, None, 1)
    said = json.dumps(to_tree(told))
    assert secret not in said
    assert section_of(Config, json.loads(said), "test") == told


def test_a_model_that_is_no_path_stays_as_it_is() -> None:
    told = worker_config(validate(CLOUD, "test"))
    assert told.worker is not None
    assert (told.worker.model, told.worker.calibration, told.worker.key) == ("zoo:ucf9/remote", "", "")


def test_without_ray_a_pool_of_ray_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "clownfish.pools.ray", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not there
    config = validate({**CLOUD, "pool": {"kind": "ray"}}, "test")
    assert config.pool is not None
    with pytest.raises(ConfigError, match=r"pip install 'clownfish\[ray\]'"):
        make_pool(config, config.pool)


def test_the_command_says_which_pools_there_are() -> None:
    result = CliRunner().invoke(app, ["router", "--pool", "cluster"])
    assert isinstance(result.exception, ConfigError)
    assert "'local' or 'ray'" in str(result.exception)


def test_the_command_needs_a_router_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "worker.toml"
    path.write_text('[worker]\nmodel = "x"\n')
    result = CliRunner().invoke(app, ["router", str(path)])
    assert isinstance(result.exception, ConfigError)
    assert "[router] is missing" in str(result.exception)


@pytest.mark.graph
async def test_a_pool_whose_first_worker_cannot_start_ends_the_graph_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = harness.folder()
    (folder / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    at = harness.Endpoints.tcp()
    tree = {**harness.cloud_tree(folder, str(folder / "no-such-model"), at), "pool": {}}
    supervisor = Supervisor(validate(tree, "test"), log_dir=folder)
    try:
        with pytest.raises(ClownfishError, match=r"pool cannot start: .*no-such-model"):
            await supervisor.start(wait_for_all=True)
        assert list((folder / "tmp").iterdir()) == [], "the worker's own folder is gone"
    finally:
        await supervisor.stop(drain=False)
        harness.remove(folder)
