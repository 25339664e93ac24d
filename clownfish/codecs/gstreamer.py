"""The codec `gstreamer`: h264 or hevc by an encoder of a GStreamer pipeline, such as a Jetson's `nvv4l2h264enc`.

On the wire, and to the worker, which decodes with PyAV, it is `h264` or `hevc`; only an edge box's own configuration
names a pipeline. The encoder runs in a process of its own (`gst.encoder`): one that says nothing in time is ended,
and the next frame begins with another.
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Collection, Sequence
from typing import IO

import numpy as np

from clownfish.codecs.base import Coded
from clownfish.codecs.checks import check_declared, check_option, check_pixels
from clownfish.codecs.nal import H264, HEVC, Syntax
from clownfish.codecs.video import coded, decode_run, even, padded
from clownfish.errors import CodecError, ConfigError
from clownfish.messages import Pixels
from clownfish.protocol import MAX_RUN

_CHILD = "clownfish.gst.encoder"
_SYNTAX = {"h264": H264, "hevc": HEVC}
_PARSER = {"h264": "h264parse ! video/x-h264", "hevc": "h265parse ! video/x-h265"}
_START_MS = 10_000
"""What a pipeline may take to start, and for its first picture: some drivers load firmware."""
_MAX_UNIT = 64 * 1024 * 1024
_ROW_BYTES = 4
"""GStreamer's rows of raw RGB begin at multiples of this."""
_TRIED = (320, 256)
"""Width and height to try a pipeline with: hardware has a least size, about 145 pixels."""


class GStreamer:
    """`pipeline`: what stands between `videoconvert` and the parser, as gst-launch-1.0 has it: "x264enc
    tune=zerolatency threads=1", "nvvidconv ! nvv4l2h264enc insert-sps-pps=1 maxperf-enable=1". It gives one picture of
    one slice for each frame, without delay or B frames. `format`: what it makes, h264 or hevc. `group`: pictures in a
    run at most. `timeout_ms`: how long a picture may take."""

    def __init__(self, pipeline: str, format: str = "h264", group: int = 96, timeout_ms: int = 1000) -> None:
        """Tries the pipeline with two frames. Raises ConfigError where it does not work, or an option is wrong."""
        check_option("gstreamer", "group", group, 1, MAX_RUN)
        check_option("gstreamer", "timeout_ms", timeout_ms, 1, 60_000)
        if format not in _SYNTAX:
            raise ConfigError(f"codec 'gstreamer': format is {format!r}; expected {' or '.join(_SYNTAX)}")
        self.name = format
        """On the wire."""
        self.group = group
        self._pipeline, self._timeout_ms = pipeline, timeout_ms
        width, height = _TRIED
        tried = self.encoder(width, height)
        try:
            for _ in range(2):
                tried.encode(np.zeros((height, width, 3), np.uint8), begin=True)
        except CodecError as error:
            raise ConfigError(f"codec 'gstreamer': pipeline {pipeline!r} does not work: {error}") from error
        finally:
            tried.close()

    def encoder(self, width: int, height: int) -> GStreamerEncoder:
        """An encoder for frames of that size. Raises CodecError where it is no lawful one."""
        return GStreamerEncoder(self._pipeline, _SYNTAX[self.name], self.name, self._timeout_ms, width, height)

    def decode_run(
        self, pictures: Sequence[bytes], width: int, height: int, wanted: Collection[int]
    ) -> dict[int, Pixels]:
        """As `h264` and `hevc`."""
        return decode_run(self.name, _SYNTAX[self.name], pictures, width, height, wanted)


class GStreamerEncoder:
    """One stream's encoder. Its process starts with the first frame, and with the one after a failure."""

    def __init__(self, pipeline: str, syntax: Syntax, form: str, timeout_ms: int, width: int, height: int) -> None:
        check_declared(width, height)
        self._syntax, self._timeout_ms, self._size = syntax, timeout_ms, (width, height)
        self._coded_size = even(width), even(height)
        wide, high = self._coded_size
        self._row_bytes = -(-3 * wide // _ROW_BYTES) * _ROW_BYTES
        self._description = (
            "appsrc name=frames is-live=true do-timestamp=true format=time max-buffers=2 "
            f"caps=video/x-raw,format=RGB,width={wide},height={high},framerate=30/1 ! videoconvert ! {pipeline} ! "
            f"{_PARSER[form].replace(' !', ' config-interval=-1 !')},stream-format=byte-stream,alignment=au ! "
            "appsink name=pictures sync=false max-buffers=4"
        )
        self._child: _Child | None = None

    def encode(self, pixels: Pixels, begin: bool) -> Coded:
        """See `RunEncoder`. An encoder that does not heed the wish for a picture that stands alone is started anew."""
        check_pixels(pixels)
        height, width = pixels.shape[:2]
        if (width, height) != self._size:
            raise CodecError(f"a frame of {width}x{height} for an encoder of {self._size[0]}x{self._size[1]}")
        wide, high = self._coded_size
        rows = np.zeros((high, self._row_bytes), np.uint8)
        rows[:, : 3 * wide] = padded(pixels).reshape(high, 3 * wide)
        frame = rows.tobytes()
        try:
            fresh = self._child is None
            picture = self._ask(frame, begin)
            if begin and not picture.begins and not fresh:
                self.close()
                picture = self._ask(frame, begin)
            if begin and not picture.begins:
                raise CodecError(f"{self._syntax.name}: the pipeline's first picture does not stand alone")
        except CodecError:
            self.close()
            raise
        return picture

    def close(self) -> None:
        """End its process."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _ask(self, frame: bytes, begin: bool) -> Coded:
        fresh = self._child is None
        if self._child is None:
            self._child = _Child(self._description, len(frame), self._timeout_ms)
        unit = self._child.encode(frame, begin, _START_MS if fresh else self._timeout_ms)
        return coded(unit, self._syntax, *self._size)


class _Child:
    """The process, from outside. It ends when nothing refers to this any more."""

    def __init__(self, description: str, frame_bytes: int, limit_ms: int) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", _CHILD, description, str(frame_bytes), str(max(limit_ms, _START_MS))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            bufsize=0,
        )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self.end = weakref.finalize(self, _end, self._process, self._said)

    def encode(self, frame: bytes, begin: bool, limit_ms: int) -> bytes:
        """The frame's access unit. Raises CodecError where the process dies or takes longer."""
        deadline = time.monotonic() + limit_ms / 1000
        self._write(bytes([begin]) + frame, deadline)
        (length,) = struct.unpack(">I", self._read(4, deadline))
        if length > _MAX_UNIT:
            raise CodecError(f"GStreamer: a picture of {length} bytes")
        return self._read(length, deadline)

    def _write(self, data: bytes, deadline: float) -> None:
        assert self._process.stdin is not None
        left = memoryview(data)
        while left:
            self._wait(self._process.stdin, select.POLLOUT, deadline)
            try:
                left = left[os.write(self._process.stdin.fileno(), left) :]
            except BrokenPipeError as error:
                raise self._died() from error

    def _read(self, count: int, deadline: float) -> bytes:
        assert self._process.stdout is not None
        data = b""
        while len(data) < count:
            self._wait(self._process.stdout, select.POLLIN, deadline)
            some = os.read(self._process.stdout.fileno(), count - len(data))
            if not some:
                raise self._died()
            data += some
        return data

    def _wait(self, pipe: IO[bytes], event: int, deadline: float) -> None:
        ready = select.poll()
        ready.register(pipe, event)
        if not ready.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
            raise CodecError(
                "GStreamer: no picture came in time, and the encoder's process is ended; does the pipeline delay "
                "pictures (B frames, look-ahead)?"
            )

    def _died(self) -> CodecError:
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return CodecError("GStreamer: the encoder's process has closed its pipes")
        self._said.seek(0)
        lines = self._said.read()[-2000:].decode(errors="replace").strip().splitlines()
        return CodecError(f"GStreamer: {lines[-1] if lines else f'the encoder process ended with {code}'}")


def _end(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, said):
        if pipe is not None:
            pipe.close()
