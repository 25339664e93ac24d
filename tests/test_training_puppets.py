"""Training on Puppets end to end, on a stream or two: what is drawn, learned from, written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clownfish.datasets.puppets import WINDOW, Drawn, draw_streams
from clownfish.models.description import read_description, read_siminet_description
from clownfish.models.load import load_model
from clownfish.opencv import cv2
from clownfish.puppets import CLASSES, IDLE, stream
from clownfish.similarity.siminet import SimiNet
from clownfish.training.config import load_config
from clownfish.training.puppets import PuppetsConfig, fit_idle_offset, train_puppets
from clownfish.training.puppets_siminet import PuppetsSimiNetConfig, train_puppets_siminet

SIZE = (24, 16)
CONFIGS = Path(__file__).parent.parent / "configs" / "train"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


@pytest.fixture(scope="module")
def drawn(folder: Path) -> Drawn:
    return draw_streams(folder, ["validation/0"], ["train/0"], SIZE, every=4)


def test_a_stream_drawn_whole_holds_every_kept_frame(drawn: Drawn) -> None:
    one = drawn.streams["validation/0"]
    frames = drawn.whole(one)
    assert len(frames) == -(-one.frames // 4)
    expected = cv2.resize(stream("validation", 0).frame(400), SIZE, interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(frames[100], expected)


def test_any_window_of_a_clip_has_its_middle_frame_in_the_clips_interval(drawn: Drawn) -> None:
    for name in ("validation/0", "train/0"):
        one = drawn.streams[name]
        label, _ = one.truth()
        clips, _ = drawn.clips(one)
        assert {clip.label for clip in clips} > {IDLE}
        for clip in clips:
            first = int(clip.path.name.rpartition("-")[2])
            middles = label[first + WINDOW // 2 : first + clip.frames - WINDOW // 2]
            assert set(middles.tolist()) <= {CLASSES.index(clip.label)}, clip


def test_a_clip_of_a_stream_in_parts_holds_that_streams_frames(drawn: Drawn) -> None:
    clips, spans = drawn.clips(drawn.streams["train/0"])
    first = int(clips[1].path.name.rpartition("-")[2])
    begin, end = spans[clips[1].path.name]
    assert end - begin == clips[1].frames // 4
    expected = cv2.resize(stream("train", 0).frame(first + 4), SIZE, interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(drawn.pixels[begin + 1], expected)


def test_idle_stretches_are_at_most_the_share_asked_for(drawn: Drawn) -> None:
    clips, _ = drawn.clips(drawn.streams["train/0"])
    assert 0 < sum(clip.label == IDLE for clip in clips) <= 0.5 * len(clips)


def test_what_was_drawn_once_is_opened_and_not_drawn_again(folder: Path, drawn: Drawn) -> None:
    def never(done: int, total: int) -> None:
        raise AssertionError("drew again")

    again = draw_streams(folder, ["validation/0"], ["train/0"], SIZE, every=4, progress=never)
    np.testing.assert_array_equal(again.pixels[::50], drawn.pixels[::50])
    assert again.streams == drawn.streams


def test_the_idle_offset_restores_a_prior_that_training_has_shifted() -> None:
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(4000) < 0.7, 0, rng.integers(1, len(CLASSES), 4000))
    logits = rng.normal(size=(4000, len(CLASSES)))
    logits[np.arange(4000), labels] += 3  # the log-likelihood ratio of unit noise at distance 3 has slope 3
    shifted = 3 * logits
    assert fit_idle_offset(shifted, labels) == pytest.approx(np.log(0.7 / (0.3 / 14)), abs=0.4)


@pytest.mark.parametrize("role", ["local", "remote"])
def test_the_shipped_recipes_are_valid(role: str) -> None:
    config = load_config(CONFIGS / f"puppets-{role}.toml", PuppetsConfig)
    assert config.output == Path("clownfish/zoo/puppets") / role
    assert not set(config.data.siminet_streams) & set(range(config.data.train_streams))
    load_config(CONFIGS / "puppets-siminet.toml", PuppetsSimiNetConfig)


def test_training_writes_a_pair_that_loads_and_a_siminet_that_fits_it(tmp_path: Path) -> None:
    data = {
        "cache": tmp_path,
        "cache_width": 24,
        "cache_height": 16,
        "train_streams": 1,
        "siminet_streams": (2,),
        "validation_groups": (0,),
    }
    shape = {"width": 24, "height": 16, "window_size": 16, "frame_step": 4, "mean": (127,) * 3, "std": (64,) * 3}
    config = PuppetsConfig.model_validate(
        {
            "name": "tiny",
            "seed": 1,
            "output": tmp_path / "tiny",
            "runs": tmp_path / "runs",
            "architecture": "stacked",
            "options": {"frames": 4, "width": 0.125, "depth": 1},
            "feature": "logits",
            "bfloat16": True,
            "input": shape,
            "data": data,
            "fit": {"epochs": 1, "learning_rate": 1e-3, "batch": 8},
        }
    )
    said: list[str] = []
    trained = train_puppets(config, said.append)
    weights = str(tmp_path / "tiny.safetensors")
    assert read_description(weights).classes == CLASSES
    assert trained.accuracy > 0.3  # idle is two thirds, and its offset alone finds that
    window = list(stream("validation", 0).frames(0, 16))
    assert load_model(weights, device="cpu").infer([window]).p.shape == (1, len(CLASSES))
    settings = {"output": tmp_path / "similar", "classifier": weights, "epochs": 1, "hidden": 16, "data": data}
    siminet = train_puppets_siminet(
        PuppetsSimiNetConfig.model_validate({"name": "similar", "seed": 1, **settings}), said.append
    )
    assert read_siminet_description(str(tmp_path / "similar")) == siminet.description
    feature = np.zeros((2, len(CLASSES)), np.float32)
    assert 0 <= SimiNet(str(tmp_path / "similar.safetensors")).rho_batch(feature, feature)[0] <= 1
