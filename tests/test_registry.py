"""Registry: a name picks a plug-in, an unknown one is answered with the known ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clownfish.codecs import CODECS
from clownfish.errors import ConfigError
from clownfish.filters import FILTERS
from clownfish.filters.never import Never
from clownfish.registry import Registry
from clownfish.similarity import SIMILARITIES
from clownfish.sinks import SINKS
from clownfish.sources import SOURCES


def test_a_name_picks_its_plug_in() -> None:
    assert FILTERS.get("never") is Never


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError,
        match=r"unknown filter policy 'nevr'; known: adaptive, always, budget, context_aware, drift, never, periodic",
    ):
        FILTERS.get("nevr")


def test_a_path_picks_a_users_own_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_filters.py").write_text("class Mine:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert FILTERS.get("my_filters:Mine").__name__ == "Mine"


@pytest.mark.parametrize("path", ["no_such_module:Mine", "clownfish.filters.never:Mine"])
def test_a_path_that_leads_nowhere_says_what_failed(path: str) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded from"):
        FILTERS.get(path)


@pytest.mark.parametrize("extra", ["kafka", "mqtt", "parquet", "video"])
def test_a_plug_in_whose_library_is_not_there_says_what_to_install(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("aiokafka", "aiomqtt", "pyarrow", "av"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"clownfish.sinks.{extra}", raising=False)
    with pytest.raises(ConfigError, match=rf"sink '{extra}' cannot be loaded .* pip install 'clownfish\[{extra}\]'"):
        SINKS.get(extra)


def test_a_plug_in_is_not_imported_before_it_is_asked_for() -> None:
    lazy: Registry[object] = Registry("test", {"antigravity": "antigravity:geohash"})
    assert lazy.names() == ["antigravity"]
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "registry", [CODECS, FILTERS, SIMILARITIES, SINKS, SOURCES], ids=lambda registry: registry.kind
)
def test_every_registered_name_has_its_module(registry: Registry[object]) -> None:
    root = Path(__file__).parent.parent
    paths = [registry._paths[name].partition(":")[0] for name in registry.names()]
    missing = [path for path in paths if not (root / path.replace(".", "/")).with_suffix(".py").exists()]
    assert not missing
