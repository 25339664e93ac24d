"""Networks that see frames one by one: features kept across windows change no answer, and save the work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch

from clownfish.errors import ModelError
from clownfish.messages import Pixels
from clownfish.models.adapter import Classifier, normalise, pick_frames
from clownfish.models.description import InputDescription, ModelDescription
from clownfish.models.frame_features import FrameFeatures, sees_frames
from clownfish.models.load import build, load_model, ready
from clownfish.models.temporal import ChangeOverTime, ConvOverTime

STRIDE = 4


def described(temporal: str = "mean", frame_step: int = 2) -> ModelDescription:
    return ModelDescription(
        name="frames",
        architecture="framenet",
        options={"blocks": 3, "temporal": temporal, "hidden": 8},
        classes=("bow", "clap", "wave"),
        input=InputDescription(
            width=40, height=32, window_size=16, frame_step=frame_step, mean=(110, 100, 90), std=(60, 61, 62)
        ),
        feature="embedding",
        temperature=1.0,
    )


def classifier(description: ModelDescription) -> Classifier:
    """With random weights, and batch norms that have seen frames: so what differs going in differs coming out."""
    torch.manual_seed(1)
    network = build(description)
    if isinstance(network.over_time, ConvOverTime):
        torch.nn.init.normal_(network.over_time.conv4.weight)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = None
    frames = torch.from_numpy(np.stack([pick_frames(window, description.input) for window in windows_of(stream())]))
    with torch.inference_mode():
        network.train()(normalise(frames, description.input).permute(0, 4, 1, 2, 3))
    return ready(network, description, "cpu", "fp32")


def stream(length: int = 40) -> list[Pixels]:
    """Noise whose brightness and colour change from frame to frame."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, rng.integers(32, 256, 3), (48, 64, 3)).astype(np.uint8) for _ in range(length)]


def windows_of(frames: Sequence[Pixels]) -> list[Sequence[Pixels]]:
    return [frames[start : start + 16] for start in range(0, len(frames) - 15, STRIDE)]


@pytest.mark.parametrize("temporal", ["mean", "change", "conv"])
@pytest.mark.parametrize("batch", [1, 3])
def test_features_kept_across_windows_change_no_answer(temporal: str, batch: int) -> None:
    description = described(temporal)
    model = classifier(description)
    windows = windows_of(stream())
    answers = [model.infer(windows[n : n + batch]) for n in range(0, len(windows), batch)]
    network = model.engine.frame_by_frame
    with torch.inference_mode():
        frames = torch.from_numpy(np.stack([pick_frames(window, description.input) for window in windows]))
        embedding = network.embed(normalise(frames, description.input).permute(0, 4, 1, 2, 3))
        p = torch.softmax(network.head(embedding), dim=1)
    np.testing.assert_allclose(np.concatenate([answer.p for answer in answers]), p, atol=1e-6)
    unit = torch.nn.functional.normalize(embedding, dim=1)
    np.testing.assert_allclose(np.concatenate([answer.feature for answer in answers]), unit, atol=1e-6)
    assert np.ptp(p.numpy(), axis=0).max() > 0.01  # the windows do differ


def test_a_frame_that_windows_share_is_computed_once() -> None:
    """Windows of 16 at stride 4, every second frame seen: 8 frames for the first, 2 for each that follows."""
    model = classifier(described())
    counts = model.frame_features
    assert counts is not None
    before = counts.computed  # the blank frame of loading
    windows = windows_of(stream())
    for window in windows:
        model.infer([window])
    assert len(windows) == 7
    assert counts.computed - before == 8 + 6 * 2
    computed = counts.computed
    model.infer(windows)
    assert counts.computed == computed


def test_frames_are_known_by_content_not_by_memory() -> None:
    """Captured frames may lie in memory that is used again, and equal ones in two places."""
    seen: list[int] = []

    def compute(frames: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        seen.append(len(frames))
        return np.array([[frame.sum()] for frame in frames], np.float32)

    features = FrameFeatures(compute)
    frame = np.full((2, 2, 3), 1, np.uint8)
    assert features.of([[frame, frame.copy()]]).tolist() == [[[12], [12]]]
    frame[:] = 2
    assert features.of([[frame, frame[:, ::-1]]]).tolist() == [[[24], [24]]]
    assert seen == [1, 1]
    assert features.of([[frame.reshape(1, 4, 3)]]).tolist() == [[[24]]]  # the same bytes, another picture
    assert (features.computed, features.reused) == (3, 2)


def test_what_is_kept_is_bounded_and_the_oldest_goes_first() -> None:
    seen: list[int] = []

    def compute(frames: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        seen.extend(int(frame[0, 0, 0]) for frame in frames)
        return np.array([[frame[0, 0, 0]] for frame in frames], np.float32)

    frames = [np.full((2, 2, 3), n, np.uint8) for n in range(200)]
    features = FrameFeatures(compute, capacity=3)
    assert features.of([frames]).ravel().tolist() == list(range(200))  # more than fit, and more than one chunk
    assert len(features._known) == 3
    features.of([[frames[197]]])  # used again: now 198 is the oldest
    features.of([[frames[0]]])
    seen.clear()
    features.of([[frames[197]], [frames[199]], [frames[0]]])
    assert seen == []
    features.of([[frames[198]]])
    assert seen == [198]


def test_other_networks_keep_no_features() -> None:
    description = described().model_copy(update={"architecture": "mobilenet3d", "options": {"width": 0.25}})
    assert ready(build(description), description, "cpu", "fp32").frame_features is None
    assert not sees_frames(build(description))


def test_an_untrained_convolution_over_time_is_the_mean() -> None:
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(ConvOverTime(12, hidden=4).eval()(x), x.mean(1))


def test_a_convolution_over_time_sees_order_and_the_mean_does_not() -> None:
    frames = stream(16)
    for temporal, sees in (("mean", False), ("conv", True)):
        model = classifier(described(temporal, frame_step=1))
        forward, backward = model.infer([frames, frames[::-1]]).feature
        assert (np.abs(forward - backward).max() > 1e-3) == sees


def test_change_over_time_is_nothing_where_nothing_changes_and_grows_with_what_does() -> None:
    still = torch.randn(1, 1, 6).expand(1, 4, 6)
    embedding = ChangeOverTime()(still)
    torch.testing.assert_close(embedding[:, :6], still[:, 0])
    assert float(embedding[:, 6:].abs().max()) == 0
    steps = torch.tensor([0.0, 1.0, -1.0, -1.0]).view(1, 4, 1)
    assert ChangeOverTime()(steps)[0].tolist() == pytest.approx([-0.25, 1.0])


def test_an_unknown_temporal_head_is_refused() -> None:
    with pytest.raises(ModelError, match=r"temporal is 'lstm'; there are 'mean', 'change' and 'conv'"):
        build(described("lstm"))


def test_a_shipped_frame_network_loads_and_keeps_features() -> None:
    model = load_model("zoo:ucf9/remote", device="cpu")
    assert isinstance(model, Classifier)
    assert model.frame_features is not None
