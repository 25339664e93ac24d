"""Experiments of the network lab: their files, and how each method sets the one graph."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from clownfish.cli.experiment import METHODS, Experiment, Result, _add_counts, options_of, read_experiment
from clownfish.cli.options import build_config
from clownfish.cli.outcome import Outcome
from clownfish.config import validate
from clownfish.errors import ConfigError
from clownfish.filters import FILTERS
from clownfish.filters.base import Verdict
from clownfish.lab import discard
from clownfish.lab.net.profile import read_profile
from clownfish.messages import Status
from clownfish.models.description import read_description
from clownfish.models.load import load_model
from clownfish.models.own import own_model
from clownfish.settings import Config
from clownfish.sources import open_source
from clownfish.zoo import read_classes

FILES = sorted((Path(__file__).parent.parent / "configs" / "lab").glob("*.toml"))


def config_of(method: str, folder: Path) -> Config:
    experiment = Experiment(sources=("puppets:test/0",), method=method, codec="png", n_w=8)  # type: ignore[arg-type]
    return build_config(options_of(experiment, experiment.sources[0]), folder)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_experiment_that_ships_can_be_read(path: Path, tmp_path: Path) -> None:
    experiment = read_experiment(str(path))
    assert experiment.about
    assert read_profile(experiment.profile).name == experiment.profile
    for method in METHODS:
        build_config(options_of(replace(experiment, method=method), experiment.sources[0]), tmp_path)


def test_a_source_is_an_experiment_of_its_own() -> None:
    assert read_experiment("puppets:test/3").sources == ("puppets:test/3",)


def test_clownfish_sends_by_its_filter_over_tcp(tmp_path: Path) -> None:
    config = config_of("clownfish", tmp_path)
    assert config.uplink is not None
    assert config.router is not None
    assert config.uplink.control == config.router.control == "tcp://10.67.0.2:7100"
    assert config.uplink.data == config.router.data == "tcp://10.67.0.2:7101"
    assert config.router.insecure
    assert config.uplink.insecure
    assert config.filter.policy.table() == {"kind": "context_aware", "n_w": 8}
    assert config.uplink.codec.kind == "png"


def test_cloud_only_sends_every_window_and_answers_as_the_cloud_does(tmp_path: Path) -> None:
    config = config_of("cloud-only", tmp_path)
    assert config.filter.policy.kind == "always"
    assert config.fusion.remote_weight == 1


def test_edge_only_has_no_cloud(tmp_path: Path) -> None:
    config = config_of("edge-only", tmp_path)
    assert (config.uplink, config.router, config.worker) == (None, None, None)


def test_early_discard_sends_what_its_model_finds_worth_it(tmp_path: Path) -> None:
    config = config_of("early-discard", tmp_path)
    assert config.local is not None
    assert read_classes(config.local.model) == read_classes("zoo:puppets/local")
    threshold = read_description("zoo:puppets/discard").threshold
    assert threshold is not None
    policy = config.filter.policy.build(FILTERS)
    assert policy.on_window(3) is Verdict.WAIT
    assert policy.on_rho(3, threshold)
    assert not policy.on_rho(4, threshold - 0.01)


def test_the_early_discard_model_answers_in_the_pair_s_classes() -> None:
    model = own_model(discard.model_name("zoo:puppets"))
    with contextlib.closing(open_source("puppets:test/0")) as source:
        frames = list(islice(source, 150))
    windows = [frames[i : i + 16] for i in range(0, 134, 8)]
    found = model.infer(windows)
    bare = load_model("zoo:puppets/discard").infer(windows).p[:, 1]
    assert np.allclose(found.feature[:, 0], bare)
    assert np.allclose(found.p.sum(axis=1), 1)
    assert np.allclose(found.p[:, model.classes.index("idle")], 1 - bare, atol=1e-6)
    assert len(set(np.round(bare, 3))) > 3  # it does look at them


def test_a_pair_without_an_early_discard_model_is_refused(tmp_path: Path) -> None:
    experiment = Experiment(sources=("shapes:test/0",), method="early-discard")
    with pytest.raises(ConfigError, match=r"pair zoo:shapes has no \[discard\] model"):
        options_of(experiment, "shapes:test/0")


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


def test_windows_that_the_uplink_had_when_it_ended_are_lost_for_a_reason_too() -> None:
    """A cloud that stood still for longer than fusion waits at the end."""
    config = validate({"streams": [{"name": "cam", "source": "x.mp4"}], "local": {"model": "x"}}, "test")
    window = Status("window", 1, "ended", "", {"windows": 27}, {}, {})
    counters = {"windows_offered": 25, "windows_answered": 11, 'dropped{reason="superseded"}': 8}
    uplink = Status("uplink", 1, "ended", "", counters, {"waiting": 4.0, "in_flight": 2.0}, {})
    result = Result("cloud-only", "regional", "link", "own", 1, "png")
    _add_counts(result, Outcome(config, statuses={"window": window, "uplink": uplink}))
    assert result.lost == {"superseded": 8, "left_at_the_end": 8}
    usual = Result("clownfish", "regional", "link", "own", 6, "png")  # a filter that sends some, and nothing left
    uplink.gauges.update({"waiting": 0.0, "in_flight": 0.0})
    _add_counts(usual, Outcome(config, statuses={"window": window, "uplink": uplink}))
    assert usual.lost == {"superseded": 8}
