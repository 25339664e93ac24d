"""Test tools: small videos with known frames, and ways to spoil them.

A test frame is eight columns, red or blue: the bits of its number, lowest bit on the left. `number` reads it back from
a decoded frame, also after lossy coding and resizing.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from clownfish.errors import SourceError
from clownfish.messages import Pixels
from clownfish.opencv import cv2, swap_red_and_blue
from clownfish.sources.base import VideoSource


def frame(n: int, width: int = 64, height: int = 48) -> Pixels:
    """Frame `n` (modulo 256), shape (height, width, 3) uint8 RGB; width divisible by 8."""
    # a little noise, so that every frame costs bytes: a share of the file is then about that share of the frames
    pixels = np.random.default_rng(n).integers(0, 25, (height, width, 3), np.uint8)
    ones = np.repeat([n >> bit & 1 for bit in range(8)], width // 8).astype(bool)
    pixels[:, ones, 0] += 220
    pixels[:, ~ones, 2] += 220
    return pixels


def number(pixels: Pixels) -> int:
    """The n of a decoded `frame(n)`. Where red and blue are swapped it is 255 - n."""
    columns = pixels.mean(axis=0)
    centres = columns[(np.arange(8) * 2 + 1) * pixels.shape[1] // 16]
    return sum(1 << bit for bit in range(8) if centres[bit, 0] > centres[bit, 2])


def write_video(
    path: Path, frames: int, fps: Fraction | int = 30, codec: str = "libx264", faststart: bool = True
) -> Path:
    """A video of `frames` frames; the suffix chooses the container. `faststart`: an MP4's index comes first."""
    options = {"movflags": "faststart"} if faststart and path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        if codec != "mjpeg":
            stream.codec_context.thread_count = 1  # else frames of the same pixels may become other bytes
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for n in range(frames):
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame(n), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def cut(path: Path, share: float) -> Path:
    """Cuts the file off after `share` of its bytes, as a full disk or a lost connection does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def write_image(path: Path, n: int, width: int = 64, height: int = 48) -> Path:
    """`frame(n)` as a picture; the suffix chooses the format."""
    assert cv2.imwrite(str(path), swap_red_and_blue(frame(n, width, height)))
    return path


def read_until_error(source: VideoSource) -> tuple[list[int], str]:
    """The frames that came before the SourceError, and what it says."""
    came: list[int] = []
    with pytest.raises(SourceError) as caught:
        came.extend(number(pixels) for pixels in source)  # extend keeps what came before the error
    return came, str(caught.value)
