"""Configuration files: what is wrong in one is said with file, key, what was read and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clownfish.config import load_config, parse_value, schema, validate
from clownfish.errors import ConfigError
from clownfish.models.description import ModelDescription
from clownfish.settings import Config
from clownfish.training.config import DiscardConfig, SimiNetConfig

EDGE = """
[[streams]]
name = "cam"
source = "a.mp4"
[local]
model = "zoo:x/local"
[[sinks]]
name = "answers"
sink = {kind = "jsonl", path = "a.jsonl"}
"""


def load(tmp_path: Path, text: str, *sets: str, **environment: str) -> Config:
    file = tmp_path / "graph.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, sets, environment)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[fuson]\ntheta = 0.5", r"fuson: unknown key; known: .*fusion"),
        ("[fusion]\nteta = 0.5", r"fusion\.teta: unknown key; known: anchor_beta, .*theta.* \(read: 0\.5\)"),
        ("[fusion]\ntheta = 1.5", r"fusion\.theta: .*less than or equal to 1.* \(read: 1\.5\)"),
        ("[fusion]\ntheta = 'much'", r"fusion\.theta: .*number.* \(read: \"much\"\)"),
        ("[fusion]\nhorizon = 0", r"fusion\.horizon: .*\(read: 0\)"),
        ("[filter.policy]\nkind = 'clever'", r"filter\.policy: .*unknown .* 'clever'; known: adaptive, always, "),
        ("[fusion.method]\nkind = 'magic'", r"fusion\.method: .*unknown fusion method 'magic'; known: bayesian, exp"),
        ("[uplink.codec]\nkind = 'gif'", r"uplink\.codec: .*unknown codec 'gif'; known: gstreamer, h264, hevc, jpeg, "),
        ("[uplink]\ncontrol = 'localhost:7100'", r"uplink\.control: .*\(read: \"localhost:7100\"\)"),
        ("[window]\nsize = 4\nstride = 8", r"window: .*stride 8 is larger than size 4"),
        ("[log]\nlevel = 'loud'", r"log\.level: .*'debug'.*\(read: \"loud\"\)"),
        ("[capture]\nwidth = true", r"capture\.width"),
        ("[capture]\nwidth = 8", r"capture\.width: .*\(read: 8\)"),
        ("[graph]\nname = '../x'", r"graph\.name: .*\(read: \"\.\./x\"\)"),
        ("[[streams]]\nname = 'b'", r"streams\.1\.source: "),
        ("[[streams]]\nname = 'cam'\nsource = 'b.mp4'", r"two streams are called 'cam'"),
        (
            "[[streams]]\nname = 'b'\nsource = 'webcam:0'",
            r"streams\.1: unknown kind of source 'webcam'; known: camera, ",
        ),
        (
            "[[streams]]\nname = 'b'\nsource = 'ftp://host/a.mp4'",
            r"streams\.1: unknown kind of source 'ftp'; known: cam",
        ),
        ("[[sinks]]\nname = 'answers'\nsink = {kind = 'console'}", r"two sinks are called 'answers'"),
        ("[[sinks]]\nname = 'b'\nsink = {kind = 'paper'}", r"sinks\.1\.sink: .*'paper'; known: console, jsonl"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(line: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load(tmp_path, f"{EDGE}\n{line}\n")
    assert str(caught.value).startswith(f"{tmp_path}/graph.toml: ")


@pytest.mark.parametrize(
    "source", ["a.mp4", "./a:b.mp4", "video:a:b.mp4", "C:x.mp4", "rtsp://u:p@h/1", "gst:x ! appsink"]
)
def test_a_source_of_a_known_kind_and_any_path_are_taken(source: str, tmp_path: Path) -> None:
    assert load(tmp_path, EDGE, f"streams.0.source={source}").streams[0].source == source


def test_every_fault_is_named_and_not_the_first_one_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"{EDGE}[fusion]\nteta = 1\n[window]\nsize = 0\n")
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing to start"),
        ("[[streams]]\nname = 'a'\nsource = 'x'\n", r"streams need a \[local\] section"),
        ("[fusion\n", "not valid TOML"),
    ],
)
def test_a_file_that_makes_no_graph_is_refused(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        load(tmp_path, text)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load_config(tmp_path / "none.toml", environment={})
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "binary.toml", environment={})
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ConfigError, match=r"broken\.json: not valid JSON"):
        load_config(tmp_path / "broken.json", environment={})


def test_the_environment_overrides_the_file_and_set_overrides_both(tmp_path: Path) -> None:
    text = f"{EDGE}[fusion]\ntheta = 0.1\nhorizon = 5\n"
    config = load(tmp_path, text, "fusion.theta=0.3", CLOWNFISH__fusion__theta="0.2", CLOWNFISH__fusion__horizon="6")
    assert (config.fusion.theta, config.fusion.horizon) == (0.3, 6)


def test_a_place_in_a_list_can_be_set(tmp_path: Path) -> None:
    assert load(tmp_path, EDGE, "streams.0.source=puppets:test/3").streams[0].source == "puppets:test/3"


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ("fusion.theta", "expected KEY=VALUE"),
        ("streams.1.source=x", "'1' is no place in a list of 1"),
        ("local.model.name=x", r"local\.model is a value, not a table"),
        ("fusion.teta=1", r"fusion\.teta: unknown key"),
    ],
)
def test_a_wrong_override_is_said(item: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        load(tmp_path, EDGE, item)


def test_a_wrong_variable_of_the_environment_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="environment CLOWNFISH__local__model__x"):
        load(tmp_path, EDGE, CLOWNFISH__local__model__x="1")


@pytest.mark.parametrize(
    ("text", "value"), [("0.6", 0.6), ("true", True), ('["a"]', ["a"]), ("zoo:a/b", "zoo:a/b"), ("", "")]
)
def test_a_value_is_toml_or_else_a_text(text: str, value: Any) -> None:
    assert parse_value(text) == value


def test_a_socket_path_that_is_too_long_is_said() -> None:
    config = validate({"router": {}, "graph": {"run_dir": "/tmp/" + "x" * 100}}, "test")
    with pytest.raises(ConfigError, match=r"graph\.run_dir: socket path .* is longer than 100 bytes"):
        config.ipc("status")


def test_the_schema_describes_every_section_and_allows_no_other() -> None:
    described = schema()
    assert described["additionalProperties"] is False
    assert {"streams", "local", "uplink", "router", "worker"} <= described["properties"].keys()
    json.dumps(described)


def _sections() -> list[tuple[str, dict[str, Any]]]:
    of_files = (schema(), DiscardConfig.model_json_schema(), SimiNetConfig.model_json_schema())
    within = [each for whole in of_files for each in whole["$defs"].items()]
    return [*within, ("ModelDescription", ModelDescription.model_json_schema())]


@pytest.mark.parametrize(("name", "section"), _sections())
def test_every_key_of_a_file_says_in_words_what_it_is_for(name: str, section: dict[str, Any]) -> None:
    """Editors show them, and the reference is made of them."""
    without = [key for key, value in section["properties"].items() if not value.get("description")]
    assert not without, f"{name}: give {', '.join(without)} a string on the line below"
    assert section.get("description"), f"{name}: give the class a docstring"


def test_the_schema_shows_a_plugin_as_a_file_has_it_and_offers_the_known_ones() -> None:
    similarity = schema()["$defs"]["Local"]["properties"]["similarity"]
    assert similarity["default"] == {"kind": "cosine"}
    assert "siminet" in similarity["properties"]["kind"]["examples"]
    assert "openvino" in schema()["$defs"]["Local"]["properties"]["engine"]["examples"]
