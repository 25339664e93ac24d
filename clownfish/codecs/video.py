"""What `h264` and `hevc` share: runs of pictures through FFmpeg (PyAV), without delay: one frame in, one picture out.

A picture is a checksum and one access unit in Annex B form. The sum tells damage from what a decoder would conceal, and
is of the frame's size too, which the coded one does not tell exactly.
Frames are coded with an even size: odd ones, and those below 16 pixels, are padded with their edge. Colours are kept
whole (YUV 4:4:4) unless `chroma` halves them: in frames as small as a model's, a colour's edge is a pixel or two wide.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import numpy as np

from clownfish.codecs.base import Coded
from clownfish.codecs.checks import check_chroma, check_declared, check_option, check_pixels
from clownfish.codecs.encoders import Maker, av, named
from clownfish.codecs.nal import Syntax
from clownfish.errors import CodecError, ConfigError
from clownfish.messages import Pixels
from clownfish.protocol import MAX_RUN

_LEAST_SIDE = 16
_BLOCK = 64
"""A decoder allocates whole blocks; none is larger in either codec."""
_SPARE_BYTES = 4096
"""A picture may be that much larger than its raw pixels; one of noise is hardly larger at all."""
_SUM_BYTES = 4
_STRICT = {"err_detect": "explode"}
"""Damage is an error, not concealed."""
_WHOLE = "yuv444p"
_CHROMA = {444: _WHOLE, 420: "yuv420p"}
_DECODED = frozenset({*_CHROMA.values(), "yuvj444p", "yuvj420p"})
"""What a picture may hold; the last two say that they use all of a byte's range, as some hardware does."""


class VideoEncoder:
    """One stream's encoder, for frames of `width` × `height`. Where it fails it is opened anew."""

    def __init__(self, maker: Maker, syntax: Syntax, width: int, height: int) -> None:
        check_declared(width, height)
        self._maker, self._syntax = maker, syntax
        self._size = (width, height)
        self._context: av.VideoCodecContext | None = None
        self._count = 0

    def encode(self, pixels: Pixels, begin: bool) -> Coded:
        check_pixels(pixels)
        height, width = pixels.shape[:2]
        if (width, height) != self._size:
            raise CodecError(f"a frame of {width}x{height} for an encoder of {self._size[0]}x{self._size[1]}")
        try:
            if self._context is None:
                self._context = self._maker.open(even(width), even(height))
                begin = True
            frame = av.VideoFrame.from_ndarray(padded(pixels), format="rgb24").reformat(format=self._maker.pixels)
            frame.pts = self._count
            frame.pict_type = av.video.frame.PictureType.I if begin else av.video.frame.PictureType.P
            packets = self._context.encode(frame)
        except (av.FFmpegError, ValueError) as error:
            self._context = None
            raise CodecError(f"{self._syntax.name}: a frame of {width}x{height} cannot be coded: {error}") from error
        self._count += 1
        if len(packets) != 1:
            self._context = None
            raise CodecError(f"{self._syntax.name}: {len(packets)} pictures came out for one frame; expected one")
        return coded(bytes(packets[0]), self._syntax, width, height)


class Video:
    """A codec of runs. Subclasses say which; `quality` is 1 (small) to 100 (near the original), half a step of crf."""

    name = ""
    library = ""
    """FFmpeg's software encoder."""
    syntax: Syntax
    tuning: tuple[str, str]
    """Its one option beside the shared ones."""

    def __init__(
        self, quality: int, group: int, preset: str, chroma: int, encoder: str, options: Mapping[str, Any] | None
    ) -> None:
        """Raises ConfigError for an option out of range, and for an encoder that is not here."""
        check_option(self.name, "quality", quality, 1, 100)
        check_option(self.name, "group", group, 1, MAX_RUN)
        if preset not in _PRESETS:
            raise ConfigError(f"codec {self.name!r}: preset is {preset!r}; expected {', '.join(_PRESETS)}")
        check_chroma(self.name, chroma)
        if options and not encoder:
            raise ConfigError(f"codec {self.name!r}: options are those of an encoder; say which encoder")
        self.group = group
        self._maker = (
            named(self.name, encoder, _CHROMA[chroma], quality, options or {})
            if encoder
            else Maker(self.library, _CHROMA[chroma], {**_shared(quality, preset), self.tuning[0]: self.tuning[1]})
        )

    def encoder(self, width: int, height: int) -> VideoEncoder:
        """An encoder for frames of that size. Raises CodecError where it is no lawful one."""
        return VideoEncoder(self._maker, self.syntax, width, height)

    def decode_run(
        self, pictures: Sequence[bytes], width: int, height: int, wanted: Collection[int]
    ) -> dict[int, Pixels]:
        """The `wanted` frames, by place, (height, width, 3) uint8 RGB. Raises CodecError where any picture is broken,
        of another size, or more than one."""
        return decode_run(self.name, self.syntax, pictures, width, height, wanted)


def decode_run(
    decoder: str, syntax: Syntax, pictures: Sequence[bytes], width: int, height: int, wanted: Collection[int]
) -> dict[int, Pixels]:
    """`Video.decode_run` with FFmpeg's decoder of that name."""
    check_declared(width, height)
    if len(pictures) > MAX_RUN:
        raise CodecError(f"a run of {len(pictures)} pictures; expected at most {MAX_RUN}")
    units = [_unit(syntax, data, place == 0, width, height) for place, data in enumerate(pictures)]
    context = cast(av.VideoCodecContext, av.CodecContext.create(decoder, "r"))
    context.thread_count = 1
    # FFmpeg looks at this before it allocates, so no parameter set can ask for more than was declared
    context.options = {**_STRICT, "max_pixels": str(_blocks(width) * _blocks(height))}
    frames: dict[int, Pixels] = {}
    place = 0
    try:
        for unit in [*units, None]:
            for frame in context.decode(None if unit is None else av.Packet(unit)):
                size, kind = (frame.width, frame.height), frame.format.name
                if size != (even(width), even(height)) or kind not in _DECODED:
                    raise CodecError(
                        f"{syntax.name} holds {frame.width}x{frame.height} in {kind}; declared "
                        f"is {width}x{height}, in {' or '.join(_CHROMA.values())}; the frame is refused"
                    )
                if place in wanted:
                    frames[place] = _rgb(frame)[:height, :width]
                place += 1
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise CodecError(f"{syntax.name}: run of {len(units)} pictures cannot be decoded: {error}") from error
    if place != len(units):
        raise CodecError(f"{syntax.name}: a run of {len(units)} pictures holds {place} frames")
    return frames


def _unit(syntax: Syntax, data: bytes, begin: bool, width: int, height: int) -> bytes:
    """The access unit of a picture, looked at."""
    what = f"{syntax.name} picture of {len(data)} bytes"
    if len(data) > 3 * width * height + _SPARE_BYTES:
        raise CodecError(f"{what} is larger than its {width}x{height} pixels")
    unit = data[_SUM_BYTES:]
    if not unit or checksum(unit, width, height) != data[:_SUM_BYTES]:
        raise CodecError(f"{what} is damaged, or not of {width}x{height}: its checksum is wrong")
    syntax.check(unit, begin)
    return unit


_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow")


def _shared(quality: int, preset: str) -> dict[str, str]:
    return {
        "preset": preset,
        "tune": "zerolatency",
        "crf": f"{51 - quality / 2:g}",
        "forced-idr": "1",
        "bf": "0",
        "g": "9999",  # beginnings are asked for
    }


def _rgb(frame: av.VideoFrame) -> Pixels:
    # FFmpeg's short way from halved colours to RGB rounds each of its steps down: everything comes out a level darker
    whole = frame if "444" in frame.format.name else frame.reformat(format=_WHOLE)
    return np.asarray(whole.to_ndarray(format="rgb24"), np.uint8)


def coded(unit: bytes, syntax: Syntax, width: int, height: int) -> Coded:
    """The picture that an encoder's access unit makes. Raises CodecError where no decoder here would take it."""
    unit = syntax.stripped(unit)
    begins = syntax.begins(unit)
    syntax.check(unit, begins)
    return Coded(checksum(unit, width, height) + unit, begins)


def checksum(unit: bytes, width: int, height: int) -> bytes:
    """What stands before the access unit of a frame of that size."""
    return struct.pack(">I", zlib.crc32(unit, zlib.crc32(struct.pack(">II", width, height))))


def even(side: int) -> int:
    return max(_LEAST_SIDE, side + side % 2)


def _blocks(side: int) -> int:
    return -(-even(side) // _BLOCK) * _BLOCK


def padded(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    more = ((0, even(height) - height), (0, even(width) - width), (0, 0))
    return np.ascontiguousarray(np.pad(pixels, more, mode="edge") if any(map(any, more)) else pixels)
