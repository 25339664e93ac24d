"""FFmpeg's encoders (PyAV), so set that each frame that goes in comes out as one picture at once.

x264 and x265 are everywhere and set as measurements say; `encoder` names another, a box's hardware (`h264_nvenc`,
`h264_v4l2m2m`, `h264_qsv`), whose own options `options` sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

from clownfish.errors import ConfigError

try:
    import av
except ImportError as error:
    raise ConfigError(
        f"codecs h264 and hevc need PyAV, which is not here ({error}): pip install 'clownfish[video]' on the edge box "
        "and where the workers run, or choose another codec"
    ) from error

__all__ = ["Maker", "av", "named"]

FPS = 30
"""What rate control takes for granted; frames carry no times."""
_TRIED = (320, 256)
"""Width and height to try an encoder with: hardware has a least size, about 145 pixels."""


@dataclass(frozen=True)
class Maker:
    """Opens encoders of one kind."""

    library: str
    pixels: str
    """FFmpeg's name of the pixel format."""
    options: Mapping[str, str]
    bits: int = field(default=0, kw_only=True)
    """Per second; 0 where the options say the quality."""

    def open(self, width: int, height: int) -> av.VideoCodecContext:
        """An encoder of frames of that size, both even. Raises av.FFmpegError or ValueError."""
        context = cast(av.VideoCodecContext, av.CodecContext.create(self.library, "w"))
        context.width, context.height = width, height
        context.pix_fmt = self.pixels
        context.time_base = Fraction(1, FPS)
        context.framerate = Fraction(FPS)
        context.thread_count = 1
        if self.bits:
            context.bit_rate = self.bits
        context.options = dict(self.options)
        context.open()
        return context


def named(codec: str, library: str, pixels: str, quality: int, options: Mapping[str, Any]) -> Maker:
    """An encoder that the configuration names, tried once, so that what is missing shows at the start.

    `codec`: what it must make, `h264` or `hevc`. Raises ConfigError where FFmpeg has no such encoder, or it does not
    start on this machine.
    """
    where = f"codec {codec!r}: encoder {library!r}"
    try:
        found = av.Codec(library, "w")
    except ValueError as error:
        known = ", ".join(sorted(name for name in av.codecs_available if name.startswith(f"{codec}_")))
        raise ConfigError(
            f"{where} is not in this PyAV's FFmpeg, which has {known or 'none but its own library'}; name one of "
            "these, build PyAV against the system's FFmpeg, or use the codec gstreamer"
        ) from error
    if found.canonical_name != codec:
        raise ConfigError(f"{where} makes {found.canonical_name}; expected one that makes {codec}")
    formats = [each.name for each in found.video_formats or ()]
    fits = [each for each in (pixels, "yuv420p", "nv12") if not formats or each in formats]
    if not fits:
        raise ConfigError(f"{where} takes {', '.join(formats)}; expected {pixels}, yuv420p or nv12")
    own = {"bf": "0", "g": "9999", **_like(library, quality), **{key: str(value) for key, value in options.items()}}
    maker = Maker(library, fits[0], own, bits=0 if _like(library, quality) else _bits(quality))
    try:
        maker.open(*_TRIED)
    except (av.FFmpegError, ValueError) as error:
        raise ConfigError(
            f"{where} does not start on this machine ({error}): its driver or device is missing, or an option is "
            "wrong; leave `encoder` out to encode in software"
        ) from error
    return maker


def _like(library: str, quality: int) -> dict[str, str]:
    """What a family of hardware is told for that quality, without delay; nothing if it knows bits per second only."""
    step = str(round(51 - quality / 2))
    families = {
        "nvenc": {"preset": "p4", "tune": "ull", "rc": "constqp", "qp": step, "forced-idr": "1", "delay": "0"},
        "qsv": {"preset": "fast", "global_quality": step, "async_depth": "1", "forced_idr": "1"},
    }
    return families.get(library.rpartition("_")[2], {})


def _bits(quality: int) -> int:
    """Per second, for encoders that know no quality (h264_v4l2m2m): 0.4 Mbit/s at 50, twice as much for each 12 more,
    as a step of 6 in crf doubles them. `options = { b = 300000 }` says otherwise."""
    return round(400_000 * 2 ** ((quality - 50) / 12))
