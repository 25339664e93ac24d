"""Training on drawn streams end to end, on a stream or two: what is drawn, learned from, written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from clownfish.datasets.drawn import DRAWN, WINDOW, Drawn, draw_streams, drawn_set
from clownfish.errors import ConfigError, DatasetError
from clownfish.messages import Pixels
from clownfish.models.description import check_siminet, read_description, read_siminet_description
from clownfish.models.load import load_model
from clownfish.opencv import resized
from clownfish.similarity.siminet import SimiNet
from clownfish.training.cli import train_app
from clownfish.training.config import dataset_of, load_config
from clownfish.training.drawn import DrawnConfig, fit_idle_offset
from clownfish.training.drawn_siminet import DrawnSimiNetConfig

SIZE = (24, 16)
CONFIGS = Path(__file__).parent.parent / "configs" / "train"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


@pytest.fixture(scope="module", params=list(DRAWN))
def dataset(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def drawn(folder: Path, dataset: str) -> Drawn:
    return draw_streams(dataset, folder, ["validation/0"], ["train/0"], SIZE, every=4)


def small(of: Drawn, split: str, n: int) -> Pixels:
    """Frame n of that split's stream 0, as it is kept."""
    return resized(of.of.stream(split, 0).frame(n), *SIZE)


def test_a_stream_drawn_whole_holds_every_kept_frame(drawn: Drawn) -> None:
    one = drawn.streams["validation/0"]
    frames = drawn.whole(one)
    assert len(frames) == -(-one.frames // 4)
    np.testing.assert_array_equal(frames[100], small(drawn, "validation", 400))


def test_any_window_of_a_clip_has_its_middle_frame_in_the_clips_interval(drawn: Drawn) -> None:
    for name in ("validation/0", "train/0"):
        one = drawn.streams[name]
        label, _ = one.truth(drawn.of.classes)
        clips, _ = drawn.clips(one)
        assert len({clip.label for clip in clips}) > 3
        for clip in clips:
            first = int(clip.path.name.rpartition("-")[2])
            middles = label[first + WINDOW // 2 : first + clip.frames - WINDOW // 2]
            assert set(middles.tolist()) <= {drawn.of.classes.index(clip.label)}, clip


def test_a_clip_of_a_stream_in_parts_holds_that_streams_frames(drawn: Drawn) -> None:
    clips, spans = drawn.clips(drawn.streams["train/0"])
    first = int(clips[1].path.name.rpartition("-")[2])
    begin, end = spans[clips[1].path.name]
    assert end - begin == clips[1].frames // 4
    np.testing.assert_array_equal(drawn.pixels[begin + 1], small(drawn, "train", first + 4))


def test_idle_stretches_are_at_most_the_share_asked_for(drawn: Drawn) -> None:
    clips, _ = drawn.clips(drawn.streams["train/0"])
    idle = sum(clip.label == drawn.of.idle for clip in clips)
    assert (idle > 0) == (drawn.of.idle is not None)
    assert idle <= 0.5 * len(clips)


def test_what_was_drawn_once_is_opened_and_not_drawn_again(folder: Path, dataset: str, drawn: Drawn) -> None:
    def never(done: int, total: int) -> None:
        raise AssertionError("drew again")

    again = draw_streams(dataset, folder, ["validation/0"], ["train/0"], SIZE, every=4, progress=never)
    np.testing.assert_array_equal(again.pixels[::50], drawn.pixels[::50])
    assert again.streams == drawn.streams


def test_a_data_set_that_is_not_drawn_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set 'ucf9' is drawn; known: puppets, shapes"):
        drawn_set("ucf9")
    path = tmp_path / "a.toml"
    text = (CONFIGS / "shapes-local.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('dataset = "shapes"', 'dataset = "ucf9"'), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"data\.dataset: .*expected puppets, shapes"):
        load_config(path, DrawnConfig)


def test_the_idle_offset_restores_a_prior_that_training_has_shifted() -> None:
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(4000) < 0.7, 0, rng.integers(1, 15, 4000))
    logits = rng.normal(size=(4000, 15))
    logits[np.arange(4000), labels] += 3  # the log-likelihood ratio of unit noise at distance 3 has slope 3
    shifted = 3 * logits
    assert fit_idle_offset(shifted, labels, 0) == pytest.approx(np.log(0.7 / (0.3 / 14)), abs=0.4)


@pytest.mark.parametrize("name", list(DRAWN))
@pytest.mark.parametrize("role", ["local", "remote"])
def test_the_shipped_recipes_are_valid(name: str, role: str) -> None:
    config = load_config(CONFIGS / f"{name}-{role}.toml", DrawnConfig)
    assert config.data.dataset == dataset_of(CONFIGS / f"{name}-{role}.toml") == name
    assert config.output == Path("clownfish/zoo") / name / role
    assert not set(config.data.siminet_streams) & set(range(config.data.train_streams))
    siminet = load_config(CONFIGS / f"{name}-siminet.toml", DrawnSimiNetConfig)
    assert not set(siminet.data.siminet_streams) & set(range(config.data.train_streams))


TINY = """
name = "{name}"
seed = 1
output = "{folder}/{name}"
runs = "{folder}/runs"
{own}
[data]
dataset = "{dataset}"
cache = "{folder}"
cache_width = 24
cache_height = 16
train_streams = 1
siminet_streams = [2]
validation_groups = [0]
{rest}
"""
CLASSIFIER = """
architecture = "stacked"
options = { frames = 4, width = 0.125, depth = 1 }
feature = "embedding"
"""
FIT = """
[input]
width = 24
height = 16
window_size = 16
frame_step = 4
mean = [127.0, 127.0, 127.0]
std = [64.0, 64.0, 64.0]
[fit]
epochs = 1
batch = 8
learning_rate = 1e-3
precision = "bf16"
"""


def test_the_command_writes_a_pair_that_loads_and_a_siminet_that_fits_it(dataset: str, tmp_path: Path) -> None:
    def train(role: str, own: str, rest: str = "") -> None:
        path = tmp_path / f"{role}.toml"
        filled = TINY.format(name=role, folder=tmp_path.as_posix(), dataset=dataset, own=own, rest=rest)
        path.write_text(filled, encoding="utf-8")
        result = CliRunner().invoke(train_app, [role, "--config", str(path)], catch_exceptions=False)
        assert result.exit_code == 0, result.output

    classes = drawn_set(dataset).classes
    train("local", CLASSIFIER, FIT)
    weights = str(tmp_path / "local.safetensors")
    description = read_description(weights)
    assert description.classes == classes
    card = (tmp_path / "local.md").read_text(encoding="utf-8")
    assert f"clownfish.{dataset}" in card
    assert "`clownfish train local --config" in card
    window = [drawn_set(dataset).stream("validation", 0).frame(n) for n in range(16)]
    answer = load_model(weights, device="cpu").infer([window])
    assert answer.p.shape == (1, len(classes))
    train("siminet", f'classifier = "{weights}"\nepochs = 1\nhidden = 16')
    check_siminet(read_siminet_description(str(tmp_path / "siminet")), description)
    feature = np.repeat(answer.feature, 2, axis=0)
    assert 0 <= SimiNet(str(tmp_path / "siminet.safetensors")).rho_batch(feature, feature)[0] <= 1
