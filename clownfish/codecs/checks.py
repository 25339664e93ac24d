"""What every codec checks before it allocates: sizes declared, sizes found, pixels given (DESIGN §7)."""

from __future__ import annotations

import numpy as np

from clownfish.errors import CodecError, ConfigError
from clownfish.messages import Pixels

MAX_PIXELS = 4096 * 4096
"""No frame is larger, whatever is declared: 48 MiB decoded."""


def check_pixels(pixels: Pixels) -> None:
    """Raises CodecError unless `pixels` can be encoded: (height, width, 3) uint8 RGB of a lawful size."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise CodecError(f"pixels are {pixels.dtype} {pixels.shape}; expected uint8 (height, width, 3), RGB")
    check_declared(pixels.shape[1], pixels.shape[0])


def check_declared(width: int, height: int) -> None:
    """Raises CodecError where a frame of that size is not to be decoded at all."""
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise CodecError(f"a frame of {width}x{height} is declared; expected 1 to {MAX_PIXELS} pixels")


def check_header(codec: str, found: tuple[int, int], width: int, height: int) -> None:
    """Raises CodecError unless the (width, height) `found` in the bytes' header is the declared one."""
    if found != (width, height):
        raise CodecError(
            f"{codec} header says {found[0]}x{found[1]}, the message declares {width}x{height}; the frame is refused"
        )


def check_option(codec: str, name: str, value: int, low: int, high: int) -> None:
    """Raises ConfigError unless `value` is an integer from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"codec {codec!r}: {name} is {value!r}; expected a whole number from {low} to {high}")


def check_chroma(codec: str, chroma: int) -> None:
    """Raises ConfigError unless `chroma` says how colours are sampled: 444, or 420 for half the resolution."""
    if chroma not in (444, 420):
        raise ConfigError(f"codec {codec!r}: chroma is {chroma!r}; expected 444 or 420")
