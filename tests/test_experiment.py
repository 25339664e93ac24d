"""Experiments of the network lab: their files, and how each method sets the one graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clownfish.cli.experiment import METHODS, Experiment, options_of, read_experiment
from clownfish.cli.options import build_config
from clownfish.errors import ConfigError
from clownfish.lab.net.profile import read_profile
from clownfish.settings import Config

FILES = sorted((Path(__file__).parent.parent / "configs" / "lab").glob("*.toml"))


def config_of(method: str, folder: Path) -> Config:
    experiment = Experiment(sources=("puppets:test/0",), method=method, codec="png", n_w=8)  # type: ignore[arg-type]
    return build_config(options_of(experiment, experiment.sources[0]), folder)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_experiment_that_ships_can_be_read(path: Path, tmp_path: Path) -> None:
    experiment = read_experiment(str(path))
    assert experiment.about
    assert read_profile(experiment.profile).name == experiment.profile
    for method in set(METHODS) - {"early-discard"}:
        build_config(options_of(replace(experiment, method=method), experiment.sources[0]), tmp_path)  # type: ignore[arg-type]


def test_a_source_is_an_experiment_of_its_own() -> None:
    assert read_experiment("puppets:test/3").sources == ("puppets:test/3",)


def test_clownfish_sends_by_its_filter_over_tcp(tmp_path: Path) -> None:
    config = config_of("clownfish", tmp_path)
    assert config.uplink is not None
    assert config.router is not None
    assert config.uplink.control == config.router.control == "tcp://10.67.0.2:7100"
    assert config.uplink.data == config.router.data == "tcp://10.67.0.2:7101"
    assert config.router.insecure
    assert config.filter.policy.table() == {"kind": "context_aware", "n_w": 8}
    assert config.uplink.codec.kind == "png"


def test_cloud_only_sends_every_window_and_answers_as_the_cloud_does(tmp_path: Path) -> None:
    config = config_of("cloud-only", tmp_path)
    assert config.filter.policy.kind == "always"
    assert config.fusion.remote_weight == 1


def test_edge_only_has_no_cloud(tmp_path: Path) -> None:
    config = config_of("edge-only", tmp_path)
    assert (config.uplink, config.router, config.worker) == (None, None, None)


def test_early_discard_is_refused_as_long_as_no_policy_plays_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="early-discard cannot be played live yet"):
        config_of("early-discard", tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sources = []\n", "sources is empty"),
        ('sources = ["a.mp4"]\nmethod = "cloud"\n', "method"),
        ('sources = ["a.mp4"]\nspeed = 3\n', "speed: unknown key; known: about, by, codec"),
        ("", "sources: Field required"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong_in_it(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_experiment(str(path))
