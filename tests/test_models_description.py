"""Model descriptions: strict, and readable where there is no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clownfish.errors import ModelError
from clownfish.models.description import (
    ModelDescription,
    SimiNetDescription,
    check_siminet,
    read_description,
    read_siminet_description,
    write_description,
)

GOOD = {
    "format": "clownfish-classifier/1",
    "name": "m",
    "architecture": "mobilenet3d",
    "options": {"width": 0.5},
    "classes": ["a", "b"],
    "input": {"width": 64, "height": 64, "window_size": 16, "frame_step": 4, "mean": [1, 2, 3], "std": [1, 2, 3]},
    "feature": "logits",
    "temperature": 1.0,
}


def test_a_description_survives_writing_and_reading(tmp_path: Path) -> None:
    description = ModelDescription.model_validate(GOOD | {"classes": ("a", "b")})
    write_description(tmp_path / "m.json", description)
    assert read_description(str(tmp_path / "m.safetensors")) == description
    assert description.input.frames == 4


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"temperature": 0}, "temperature: .*greater than 0.*read 0"),
        ({"colour": "red"}, "colour: Extra inputs"),
        ({"feature": "pixels"}, "feature: .*'logits' or 'embedding'"),
        ({"classes": ["a", "a"]}, "classes must differ"),
        ({"format": "clownfish-classifier/2"}, "format: "),
        ({"input": GOOD["input"] | {"frame_step": 3}}, "16 is not a multiple of frame_step 3"),  # type: ignore[operator]
        ({"input": GOOD["input"] | {"std": [1, 0, 1]}}, "std must be positive"),  # type: ignore[operator]
    ],
)
def test_a_wrong_key_is_named_with_what_was_read(tmp_path: Path, change: dict[str, object], complaint: str) -> None:
    (tmp_path / "m.json").write_text(json.dumps(GOOD | change))
    with pytest.raises(ModelError, match=f"m.json: .*{complaint}"):
        read_description(str(tmp_path / "m"))


def test_a_missing_description_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no description at .*m.json"):
        read_description(str(tmp_path / "m.safetensors"))


def test_text_that_is_not_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(ModelError, match=r"m.json: the file"):
        read_description(str(tmp_path / "m"))


def test_a_siminet_of_another_classifier_or_feature_is_refused() -> None:
    local = ModelDescription.model_validate(GOOD | {"classes": ("a", "b")})
    siminet = SimiNetDescription(name="s", classifier="m", feature="logits", feature_size=2, hidden=8)
    check_siminet(siminet, local)
    for change in ({"classifier": "other"}, {"feature": "embedding"}):
        with pytest.raises(ModelError, match=r"use its own SimiNet"):
            check_siminet(siminet.model_copy(update=change), local)


def test_the_shipped_pair_and_its_siminet_belong_together() -> None:
    local, remote = read_description("zoo:ucf9/local"), read_description("zoo:ucf9/remote")
    assert local.classes == remote.classes
    assert local.input.window_size == remote.input.window_size
    check_siminet(read_siminet_description("zoo:ucf9/siminet"), local)


def test_classes_are_readable_without_torch() -> None:
    code = (
        "import sys; from clownfish.models.description import read_description;"
        "read_description('zoo:ucf9/local'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
