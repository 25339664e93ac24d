"""Early discard and the command calibrate: which classes are worth sending, what a threshold means, what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from clownfish import puppets
from clownfish.cli.app import app
from clownfish.datasets import ucf9
from clownfish.errors import ConfigError, ModelError
from clownfish.models.description import read_description, write_description
from clownfish.training.calibrate import expected_calibration_error, softmax, verdict
from clownfish.training.config import CalibrateConfig, Discard, DiscardConfig, load_config
from clownfish.training.discard import CLASSES, DrawnDiscardConfig, relevant
from clownfish.training.recalibrate import DrawnCalibrateConfig, calibrate
from clownfish.training.threshold import at_threshold, choose_threshold

CONFIGS = Path(__file__).parent.parent / "configs" / "train"
SPORTS = ("Archery", "BaseballPitch", "Basketball", "BasketballDunk")


def test_all_classes_but_the_background_are_worth_sending_unless_some_are_named() -> None:
    assert relevant(puppets.CLASSES, Discard(), puppets.IDLE) == tuple(c for c in puppets.CLASSES if c != puppets.IDLE)
    assert relevant(ucf9.CLASSES, Discard(positive=SPORTS[::-1])) == SPORTS
    assert relevant(("a", "b", "c"), Discard(background="b")) == ("a", "c")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Discard(positive=("Archer",)), r"discard.positive: no class 'Archer'; there are ApplyEyeMakeup"),
        (Discard(background="idle"), r"discard.background: no class 'idle'"),
        (Discard(), r"name the `positive` classes, or the one that is `background`"),
        (Discard(positive=ucf9.CLASSES), r"9 of 9 classes are worth sending; some must be, some not"),
    ],
)
def test_classes_that_part_nothing_are_refused(options: Discard, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        relevant(ucf9.CLASSES, options)


@given(st.integers(0, 1000), st.floats(0.05, 0.99))
def test_the_threshold_chosen_reaches_the_recall_and_none_larger_does(seed: int, recall: float) -> None:
    rng = np.random.default_rng(seed)
    worth = rng.random(60) < 0.4
    worth[0] = True
    p = np.clip(rng.normal(0.3 + 0.4 * worth, 0.2), 0.001, 0.999)
    threshold = choose_threshold(p, worth, recall)
    assert at_threshold(p, worth, threshold).recall >= recall
    assert at_threshold(p, worth, threshold + 0.0002).recall < recall or threshold > 0.999 - 0.0002


def test_recall_precision_and_share_are_counted_over_windows() -> None:
    p = np.array([0.9, 0.8, 0.7, 0.2])
    at = at_threshold(p, np.array([True, False, True, True]), 0.7)
    assert (at.recall, at.precision, at.share) == pytest.approx((2 / 3, 2 / 3, 3 / 4))
    assert at_threshold(p, np.array([True, False, True, True]), 0.95).precision == 1


def test_the_shipped_recipes_are_valid() -> None:
    config = load_config(CONFIGS / "ucf9-discard.toml", DiscardConfig)
    assert relevant(ucf9.CLASSES, config.discard) == SPORTS
    assert load_config(CONFIGS / "puppets-discard.toml", DrawnDiscardConfig).output.name == "discard"
    assert load_config(CONFIGS / "ucf9-calibrate.toml", CalibrateConfig).model == "zoo:ucf9/local"
    assert load_config(CONFIGS / "puppets-calibrate.toml", DrawnCalibrateConfig).on == "validation"


TOML = """
name = "tiny-discard"
seed = 1
output = "{folder}/discard"
runs = "{folder}/runs"
architecture = "tests.training_data:Small"
feature = "embedding"
{discard}
[input]
width = 24
height = 16
window_size = 16
frame_step = 4
mean = [127.0, 127.0, 127.0]
std = [64.0, 64.0, 64.0]
{data}
[fit]
epochs = 2
batch = 8
"""
DATA = """
[data]
dataset = "{dataset}"
cache = "{folder}"
cache_width = 24
cache_height = 16
train_streams = 1
siminet_streams = [2]
validation_groups = [0]
"""


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(folder, what `train discard` printed) on shapes, three of whose classes are worth sending."""
    folder = tmp_path_factory.mktemp("discard")
    data = DATA.format(dataset="shapes", folder=folder.as_posix())
    discard = '[discard]\npositive = ["spin", "pulse", "zigzag"]\nrecall = 0.9\n'
    (folder / "discard.toml").write_text(TOML.format(folder=folder.as_posix(), data=data, discard=discard), "utf-8")
    (folder / "calibrate.toml").write_text(f'model = "{(folder / "discard").as_posix()}"\n{discard}\n{data}', "utf-8")
    return folder, invoke("train", "discard", "--config", str(folder / "discard.toml"))


def test_a_discard_model_is_a_classifier_of_two_classes_with_a_threshold_for_the_recall(
    trained: tuple[Path, str],
) -> None:
    folder, said = trained
    description = read_description(str(folder / "discard"))
    assert description.classes == CLASSES
    assert description.threshold is not None
    assert f"at threshold {description.threshold:g} recall 0.9" in said
    assert "at threshold 0.5 recall" in said
    card = (folder / "discard.md").read_text(encoding="utf-8")
    assert f"at threshold {description.threshold:g} recall 0.9" in card
    assert "**Worth sending**: " in card


def test_calibrate_writes_a_better_temperature_and_the_same_windows_are_sent(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    path = folder / "discard.json"
    right = read_description(str(folder / "discard"))
    assert right.threshold is not None
    logit = np.log(right.threshold / (1 - right.threshold))
    wrong = {"temperature": 4 * right.temperature, "threshold": float(1 / (1 + np.exp(-logit / 4)))}
    write_description(path, right.model_copy(update=wrong))
    before = path.read_bytes()
    lines: list[str] = []
    config = load_config(folder / "calibrate.toml", DrawnCalibrateConfig)
    found = calibrate(config, write=False, say=lines.append)
    assert path.read_bytes() == before
    assert found.error < found.error_before
    assert f"→ {100 * found.error:.1f} %" in lines[0]
    said = invoke("calibrate", "--config", str(folder / "calibrate.toml"))
    assert lines[0] in said
    again = read_description(str(folder / "discard"))
    assert again.temperature == pytest.approx(right.temperature, rel=1e-3)
    assert again.threshold == pytest.approx(right.threshold, rel=1e-2)


def test_calibrate_refuses_a_model_of_other_classes_and_streams_that_there_are_not(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    config = load_config(folder / "calibrate.toml", DrawnCalibrateConfig)
    with pytest.raises(
        ModelError, match=r"data set shapes lacks 'discard' and 'send'|lacks 'discard', 'send' and adds"
    ):
        calibrate(config.model_copy(update={"discard": None}))
    with pytest.raises(ConfigError, match=r"on is 'streams', but shapes has validation streams alone"):
        calibrate(config.model_copy(update={"on": "streams"}))


def test_an_error_that_a_temperature_does_not_mend_is_said() -> None:
    labels = np.array([0, 1] * 50)
    sure_of_half = softmax(np.tile([4.0, 0.0], (100, 1)))
    assert "stays at 48.2 %, above 5 %" in verdict(expected_calibration_error(sure_of_half, labels))
    assert verdict(0.049) == ""
