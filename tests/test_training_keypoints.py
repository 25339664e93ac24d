"""Frames that learn where joints are: drawn truth is where it is drawn, runs resume, time is learned on features."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from clownfish import puppets
from clownfish.errors import ConfigError, ModelError
from clownfish.models.description import InputDescription
from clownfish.models.keypoint import KeypointNet
from clownfish.puppets.keypoints import HOLDS, KEYPOINTS, MIRRORED
from clownfish.training.checkpoint import Checkpoint
from clownfish.training.config import load_config
from clownfish.training.drawn import DrawnConfig, train_drawn
from clownfish.training.keypoints import KeypointFit, teach_keypoints
from clownfish.training.overtime import FrameTable, OverTimeFit, fold, train_over_time
from clownfish.training.posed_frames import ITEM, PosedFrameSource, moved

SHAPE = InputDescription(width=64, height=48, window_size=16, frame_step=4, mean=(127, 127, 127), std=(64, 64, 64))


def network() -> KeypointNet:
    torch.manual_seed(0)
    return KeypointNet(len(puppets.CLASSES), channels=16, look=4, hidden=16)


# the truth of frames


def test_the_face_is_drawn_where_its_keypoint_says() -> None:
    """Median over a stream: occluders and other people pass before it now and then, and light changes it."""
    stream = puppets.stream("test", 0)
    skin = np.array(stream.subject.clothes.skin, float)
    skin /= np.linalg.norm(skin)
    x, y = stream.keypoints.places[:, KEYPOINTS.index("FACE")].T.round().astype(int)
    found = []
    for n in range(0, len(stream), 60):
        if 0 <= x[n] < puppets.WIDTH and 0 <= y[n] < puppets.HEIGHT:
            colour = stream.frame(n)[y[n], x[n]].astype(float)
            found.append(colour @ skin / np.linalg.norm(colour))
    assert np.median(found) > 0.98


def test_what_the_hand_holds_is_known_of_every_frame() -> None:
    stream = puppets.stream("train", 0)
    keypoints = stream.keypoints
    assert keypoints.places.shape == (len(stream), len(KEYPOINTS), 2)
    labels = {stream.label_at(n) for n in np.flatnonzero(keypoints.holds == HOLDS.index("ball"))}
    assert labels <= {"throw"}


def test_a_mirrored_picture_swaps_left_and_right() -> None:
    assert np.array_equal(MIRRORED[MIRRORED], np.arange(len(KEYPOINTS)))
    assert KEYPOINTS[MIRRORED[KEYPOINTS.index("R_HAND")]] == "L_HAND"
    assert KEYPOINTS[MIRRORED[KEYPOINTS.index("BOX")]] == "BOX"


@pytest.mark.parametrize("seed", range(6))
def test_keypoints_move_with_the_picture(seed: int) -> None:
    """A white dot lies where its keypoint is said to be, whatever the scale, shift and mirror."""
    frame, places = np.zeros((128, 172, 3), np.uint8), np.tile([[90.0, 60.0]], (len(KEYPOINTS), 1))
    cv2.circle(frame, (90, 60), 4, (255, 255, 255), -1)
    picture, there = moved(frame, places, SHAPE, np.random.default_rng(seed))
    weight = picture[..., 0].astype(float)
    y, x = np.mgrid[:48, :64]
    middle = [(weight * x).sum() / weight.sum() / 64, (weight * y).sum() / weight.sum() / 48]
    np.testing.assert_allclose(there[0], middle, atol=0.012)


def test_batches_repeat_with_the_generator_and_hide_an_item_that_is_not_there() -> None:
    one, other = (PosedFrameSource(SHAPE, ("front",), 2, np.random.default_rng(4)).batch(12) for _ in range(2))
    torch.testing.assert_close(one.x, other.x, rtol=0, atol=0)
    assert one.x.shape == (12, 3, 48, 64)
    assert bool((one.known[:, ITEM] <= (one.holds > 0)).all())


# learning


def test_keypoints_are_learned_and_a_stopped_run_goes_on_bit_by_bit(tmp_path: Path) -> None:
    fit = KeypointFit(frames=320, frames_per_epoch=160, batch=16, streams_at_once=2, bfloat16=False)
    said: list[str] = []
    straight, halted = network(), network()
    teach_keypoints(straight, SHAPE, ("front",), fit, Checkpoint(tmp_path / "a", {}, {}), 1, said.append)
    first, second = (float(line.split("loss ")[1].split(",")[0]) for line in said)
    assert second < first
    kept: dict[str, object] = {}

    class Halts(Checkpoint):
        def save(self, epoch: int, **state: object) -> None:
            super().save(epoch, **state)
            kept["epoch"] = epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teach_keypoints(halted, SHAPE, ("front",), fit, Halts(tmp_path / "b", {}, {}), 1, said.append)
    assert kept == {"epoch": 1}
    resumed = network()
    teach_keypoints(resumed, SHAPE, ("front",), fit, Checkpoint(tmp_path / "b", {}, {}), 1, said.append)
    for name, tensor in straight.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_time_is_learned_on_features_of_frames() -> None:
    """A hand that rises is one class, one that falls another: no single frame tells."""
    torch.manual_seed(0)
    net, count = network(), 4000
    features = np.random.default_rng(0).normal(0, 0.005, (count, net.features)).astype(np.float16)
    t = np.arange(count)
    up = (t // 8) % 2
    hand = 2 * KEYPOINTS.index("R_HAND") + 1
    features[:, hand] = np.where(up, 1, -1) * ((t % 8) / 4 - 1)
    label = np.where(up, puppets.CLASSES.index("wave"), puppets.CLASSES.index("idle"))
    starts = t[(t % 8) < 5]
    table = FrameTable(features, label.astype(np.int64), starts)
    fit = OverTimeFit(epochs=3, windows_per_epoch=4000, batch=64, learning_rate=5e-3)
    train_over_time(net, SHAPE, table, fit, 1, lambda line: None)
    windows = table.features[table.starts[:, None] + torch.arange(4)].float()
    with torch.inference_mode():
        answer = net.head(net.temporal(windows)).argmax(1)
    assert float((answer == table.label[table.starts]).float().mean()) > 0.95


def test_standardisation_is_folded_into_the_first_layer() -> None:
    net = network().eval()
    places = 2 * net.keypoints
    mean, std = torch.randn(net.features), torch.rand(net.features) + 0.5
    mean[:places], std[:places] = 0, 1
    x = torch.randn(3, 4, net.features)
    with torch.inference_mode():
        before = net.temporal((x - mean) / std)
        fold(net, mean, std)
        torch.testing.assert_close(net.temporal(x), before, rtol=1e-3, atol=1e-4)


def test_keypoints_are_for_puppets_alone(tmp_path: Path) -> None:
    text = Path("configs/train/puppets-local.toml").read_text(encoding="utf-8").replace('"puppets"', '"shapes"')
    (tmp_path / "wrong.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="needs dataset 'puppets' and architecture 'keypoint', not 'shapes'"):
        train_drawn(load_config(tmp_path / "wrong.toml", DrawnConfig), lambda line: None)


def test_epochs_that_nobody_would_train_are_refused(tmp_path: Path) -> None:
    text = Path("configs/train/puppets-local.toml").read_text(encoding="utf-8").replace("epochs = 0", "epochs = 3")
    (tmp_path / "more.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"set fit\.epochs = 0"):
        train_drawn(load_config(tmp_path / "more.toml", DrawnConfig), lambda line: None)


def test_a_network_of_other_keypoints_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    other = KeypointNet(3, channels=16, keypoints=4, look=4, hidden=16)
    with pytest.raises(ModelError, match=f"options.keypoints is 4, puppets have {len(KEYPOINTS)}"):
        teach_keypoints(other, SHAPE, ("front",), KeypointFit(), Checkpoint(tmp_path, {}, {}), 1, lambda line: None)


def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_no_checkpoint_of_it(tmp_path: Path) -> None:
    fit = KeypointFit(frames=64, frames_per_epoch=64, batch=16, streams_at_once=1, learning_rate=1e30, bfloat16=False)
    checkpoint = Checkpoint(tmp_path, {}, {})
    with pytest.raises(ModelError, match="the loss is nan in epoch 1: lower learning_rate"):
        teach_keypoints(network(), SHAPE, ("front",), fit, checkpoint, 1, lambda line: None)
    assert not checkpoint.exists()


def test_a_loss_over_time_that_is_not_finite_stops_the_run() -> None:
    net = network()
    features = np.random.default_rng(0).normal(size=(64, net.features)).astype(np.float16)
    table = FrameTable(features, np.arange(64) % 2, np.arange(60))
    with pytest.raises(ModelError, match="over time: the loss is nan in epoch 1: lower learning_rate"):
        train_over_time(net, SHAPE, table, OverTimeFit(learning_rate=1e30), 1, lambda line: None)
