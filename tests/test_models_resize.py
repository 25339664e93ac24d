"""Frames at the network's size, as the adapter and training make them: equal to what the public networks saw."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clownfish.messages import Pixels
from clownfish.models.adapter import normalise, pick_frames
from clownfish.models.description import InputDescription
from clownfish.models.resize import resize
from clownfish.opencv import cv2
from clownfish.training.sampling import plain

SIZES = [(240, 320), (128, 172), (320, 240), (720, 1280), (112, 150), (112, 112), (113, 112), (90, 100), (64, 300)]
"""(height, width), among them ones that shrink, grow, keep the shorter side and leave an odd margin."""


def described(**changes: object) -> InputDescription:
    fields: dict[str, object] = {"width": 112, "height": 112, "window_size": 4, "mean": (0, 0, 0), "std": (1, 1, 1)}
    return InputDescription.model_validate(fields | {"resize": "shorter_side"} | changes)


def picture(height: int, width: int) -> Pixels:
    """Noise in one half, a smooth slope in the other."""
    rng = np.random.default_rng(height * width)
    pixels = np.repeat(np.linspace(0, 255, width)[None, :, None], height, axis=0).repeat(3, axis=2).astype(np.uint8)
    pixels[: height // 2] = rng.integers(0, 256, (height // 2, width, 3))
    return pixels


def theirs(frame: Pixels, size: int) -> Pixels:
    """`Scale(size)` and `CenterCrop(size)` of the public code, in Pillow."""
    Image = pytest.importorskip("PIL.Image", reason="needs Pillow to be the public code's preprocessing")
    image = Image.fromarray(frame)
    w, h = image.size
    if not ((w <= h and w == size) or (h <= w and h == size)):
        ow, oh = (size, int(size * h / w)) if w < h else (int(size * w / h), size)
        image = image.resize((ow, oh), Image.BILINEAR)
    w, h = image.size
    x1, y1 = round((w - size) / 2.0), round((h - size) / 2.0)
    return np.asarray(image.crop((x1, y1, x1 + size, y1 + size)))


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("size", [112, 32])
def test_the_shorter_side_and_the_centre_crop_are_pillows_within_one_level(height: int, width: int, size: int) -> None:
    frame = picture(height, width)
    ours = resize(frame, described(width=size, height=size))
    assert ours.shape == (size, size, 3)
    assert ours.dtype == np.uint8
    assert np.abs(ours.astype(int) - theirs(frame, size).astype(int)).max() <= 1


def test_the_answer_is_not_so_for_a_mere_stretch() -> None:
    """The test above can fail: another way to resize is many levels off."""
    frame = picture(240, 320)
    stretched = resize(frame, described(resize="stretch"))
    assert np.abs(stretched.astype(int) - theirs(frame, 112).astype(int)).max() > 20


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_frame_covers_a_network_that_sees_no_square(height: int, width: int) -> None:
    assert resize(picture(height, width), described(width=100, height=60)).shape == (60, 100, 3)


def test_stretch_is_the_default_and_averages_areas() -> None:
    frame = picture(240, 320)
    shape = InputDescription(width=112, height=96, window_size=1, mean=(0, 0, 0), std=(1, 1, 1))
    np.testing.assert_array_equal(resize(frame, shape), cv2.resize(frame, (112, 96), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("how", ["stretch", "shorter_side"])
def test_training_sees_what_the_adapter_sees(how: str) -> None:
    shape = described(resize=how, mean=(114.7748, 107.7354, 99.4750), frame_step=2)
    frames = [picture(128, 172) + np.uint8(n) for n in range(4)]
    adapter = normalise(torch.from_numpy(pick_frames(frames, shape)), shape).permute(3, 0, 1, 2)
    cached = np.stack(frames)[1::2]
    cached.flags.writeable = False  # as a mapped cache is
    torch.testing.assert_close(plain(cached, shape), adapter, rtol=0, atol=0)


def test_a_frame_that_may_not_be_written_is_taken_as_it_is() -> None:
    """As frames are that came over a socket."""
    frame = picture(128, 172)
    expected = resize(frame, described())
    frame.flags.writeable = False
    np.testing.assert_array_equal(resize(frame, described()), expected)
    np.testing.assert_array_equal(resize(frame[:, ::-1], described()).shape, expected.shape)


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        ((114.7748, 107.7354, 99.4750), (1, 1, 1), (20 - 114.7748, 128 - 107.7354, 255 - 99.4750)),
        ((0, 0, 0), (255, 255, 255), (20 / 255, 128 / 255, 1)),
        (
            (114.7748, 107.7354, 99.4750),
            (38.7568578, 37.88248729, 40.02898126),
            ((20 - 114.7748) / 38.7568578, (128 - 107.7354) / 37.88248729, (255 - 99.4750) / 40.02898126),
        ),
    ],
)
def test_pixels_are_scaled_as_described(mean: object, std: object, expected: tuple[float, ...]) -> None:
    pixels = torch.tensor([[[20, 128, 255]]], dtype=torch.uint8)
    scaled = normalise(pixels, described(mean=mean, std=std))
    torch.testing.assert_close(scaled[0, 0], torch.tensor(expected), rtol=1e-6, atol=1e-5)
