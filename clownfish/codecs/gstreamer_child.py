"""The process in which a GStreamer encoder of `codecs.gstreamer` runs: frames in on stdin, pictures out on stdout.

    python gstreamer_child.py PIPELINE FRAME_BYTES LIMIT_MS

PIPELINE begins with an appsrc called `frames` and ends in an appsink called `pictures`. In: for each frame one byte
(1: the picture is to stand alone), then its bytes. Out: for each frame four bytes of length, then one access unit.
Where anything goes wrong, a line on stderr, and the end. It needs the standard library and GStreamer's own libraries
alone: no `gi`, no clownfish, and it is started by its path. A driver that crashes or hangs takes nothing but this
process with it.
"""

from __future__ import annotations

import ctypes
import signal
import struct
import sys
from ctypes import POINTER, Structure, c_char_p, c_int, c_size_t, c_uint, c_uint32, c_uint64, c_void_p
from typing import Any

NONE = 2**64 - 1
"""GST_CLOCK_TIME_NONE."""
_NULL, _PLAYING, _FAILURE = 1, 4, 0
"""GstState, and GstStateChangeReturn."""
_ERROR = 1 << 1
"""GST_MESSAGE_ERROR."""
_GRACE_S = 5
"""What a native call may take beyond the limit before the kernel ends this process."""


class _GError(Structure):
    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


class _GStreamer:
    """The functions used, typed. Raises OSError where a library is not here."""

    def __init__(self) -> None:
        core, app, video = (ctypes.CDLL(f"libgst{name}-1.0.so.0") for name in ("reamer", "app", "video"))
        errors = POINTER(POINTER(_GError))
        self.init = _typed(core.gst_init, None, c_void_p, c_void_p)
        self.parse = _typed(core.gst_parse_launch, c_void_p, c_char_p, errors)
        self.by_name = _typed(core.gst_bin_get_by_name, c_void_p, c_void_p, c_char_p)
        self.set_state = _typed(core.gst_element_set_state, c_int, c_void_p, c_int)
        self.bus = _typed(core.gst_element_get_bus, c_void_p, c_void_p)
        self.pop = _typed(core.gst_bus_timed_pop_filtered, c_void_p, c_void_p, c_uint64, c_int)
        self.parse_error = _typed(core.gst_message_parse_error, None, c_void_p, errors, c_void_p)
        self.buffer = _typed(core.gst_buffer_new_allocate, c_void_p, c_void_p, c_size_t, c_void_p)
        self.fill = _typed(core.gst_buffer_fill, c_size_t, c_void_p, c_size_t, c_char_p, c_size_t)
        self.size = _typed(core.gst_buffer_get_size, c_size_t, c_void_p)
        self.extract = _typed(core.gst_buffer_extract, c_size_t, c_void_p, c_size_t, c_char_p, c_size_t)
        self.sample_buffer = _typed(core.gst_sample_get_buffer, c_void_p, c_void_p)
        self.unref = _typed(core.gst_mini_object_unref, None, c_void_p)
        self.send = _typed(core.gst_element_send_event, c_int, c_void_p, c_void_p)
        self.push = _typed(app.gst_app_src_push_buffer, c_int, c_void_p, c_void_p)
        self.pull = _typed(app.gst_app_sink_try_pull_sample, c_void_p, c_void_p, c_uint64)
        self.ask_key = _typed(video.gst_video_event_new_upstream_force_key_unit, c_void_p, c_uint64, c_int, c_uint)


def _typed(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function


class Trouble(Exception):
    """What is said on stderr."""


class Pipeline:
    """One running pipeline, asked in lock step: a frame in, its picture out."""

    def __init__(self, description: str, limit_ms: int) -> None:
        """Raises Trouble where it does not start."""
        try:
            self._gst = _GStreamer()
        except OSError as error:
            raise Trouble(f"GStreamer is not on this machine ({error})") from error
        gst, wrong = self._gst, POINTER(_GError)()
        gst.init(None, None)
        self._limit_ns = limit_ms * 1_000_000
        self._pipeline = gst.parse(description.encode(), ctypes.byref(wrong))
        if wrong:  # also set where a part is missing and the rest was built
            raise Trouble(_text(wrong))
        self._frames, self._pictures = (gst.by_name(self._pipeline, name) for name in (b"frames", b"pictures"))
        self._bus = gst.bus(self._pipeline)
        if gst.set_state(self._pipeline, _PLAYING) == _FAILURE:
            raise Trouble(self._why() or "the pipeline does not start")

    def encode(self, frame: bytes, begin: bool) -> bytes:
        """The frame's access unit. Raises Trouble where none comes in time."""
        gst = self._gst
        if begin:
            gst.send(self._pictures, gst.ask_key(NONE, True, 0))  # travels up to the encoder, which heeds it next
        buffer = gst.buffer(None, len(frame), None)
        gst.fill(buffer, 0, frame, len(frame))
        flow = gst.push(self._frames, buffer)
        sample = gst.pull(self._pictures, self._limit_ns) if flow == 0 else None
        if not sample:
            waited = f"no picture came within {self._limit_ns // 1_000_000} ms of its frame"
            raise Trouble(self._why() or (waited if flow == 0 else f"the pipeline takes no frame (flow {flow})"))
        found = gst.sample_buffer(sample)
        unit = ctypes.create_string_buffer(gst.size(found))
        gst.extract(found, 0, unit, len(unit))
        gst.unref(sample)
        return unit.raw

    def _why(self) -> str:
        """The first error that an element reported; "" for none."""
        message = self._gst.pop(self._bus, 0, _ERROR)
        if not message:
            return ""
        error = POINTER(_GError)()
        self._gst.parse_error(message, ctypes.byref(error), None)
        return _text(error)


def _text(error: Any) -> str:
    return str(error.contents.message.decode(errors="replace"))


def main(description: str, frame_bytes: int, limit_ms: int) -> None:
    """Until stdin ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the uplink sends what it has, and then ends this
    patience_s = -(-limit_ms // 1000) + _GRACE_S
    signal.alarm(patience_s)
    pipeline = Pipeline(description, limit_ms)
    signal.alarm(0)
    while len(message := source.read(1 + frame_bytes)) == 1 + frame_bytes:
        signal.alarm(patience_s)
        unit = pipeline.encode(message[1:], message[0] == 1)
        signal.alarm(0)
        sink.write(struct.pack(">I", len(unit)) + unit)
        sink.flush()
    signal.alarm(patience_s)  # for what GStreamer does at the end


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    except Trouble as trouble:
        sys.exit(str(trouble))
    except BrokenPipeError:
        sys.exit("nobody reads the pictures any more")
