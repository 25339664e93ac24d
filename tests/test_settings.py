"""Settings: what the supervisor writes is what a service reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clownfish.codecs import CODECS
from clownfish.codecs.runs import as_run_codec
from clownfish.config import load_config
from clownfish.errors import ConfigError
from clownfish.sections import edge
from clownfish.settings import load_validated, to_tree

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_what_the_supervisor_writes_is_what_a_service_reads(path, tmp_path) -> None:
    config = load_config(path, environment={})
    written = tmp_path / "config.json"
    written.write_text(json.dumps(to_tree(config)))
    assert load_validated(written) == config


@pytest.mark.parametrize("text", ["", "[]", '{"streams": 3}', '{"unknown": {}}', '{"router": {"queue": []}'])
def test_a_file_that_no_supervisor_wrote_is_refused_in_words(text, tmp_path) -> None:
    written = tmp_path / "config.json"
    written.write_text(text)
    with pytest.raises(ConfigError, match="no configuration that `clownfish up` wrote"):
        load_validated(written)


def test_services_start_without_pydantic() -> None:
    """14 MB in each of nine processes; only a process that validates a file needs it."""
    import subprocess
    import sys

    for service in ("capture", "window", "filter", "uplink", "fusion", "sink", "router", "pool"):
        code = f"import services.{service}, sys; sys.exit('pydantic' in sys.modules or 'torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, service


@pytest.mark.parametrize(("found", "codec"), [(True, "h264"), (False, "jpeg")])
def test_the_uplinks_codec_is_the_cheapest_that_can_run_here(
    found: bool, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "find_spec", lambda name: object() if found and name == "av" else None)
    chosen = edge.Uplink().codec
    assert chosen.kind == codec
    assert as_run_codec(chosen.build(CODECS)).name == codec
