"""GStreamer's own libraries through ctypes: no `gi`, and no build of OpenCV that has them (layer 1).

The standard library alone. A driver may crash or hang in any of these calls, so they are made in other processes:
`gst.encoder`, and the children of `sources.apart`.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int, c_size_t, c_uint, c_uint32, c_uint64, c_void_p
from typing import Any, NamedTuple

NONE = 2**64 - 1
"""GST_CLOCK_TIME_NONE."""
NULL, PLAYING, FAILURE = 1, 4, 0
"""GstState, and GstStateChangeReturn."""
_ERROR = 1 << 1
"""GST_MESSAGE_ERROR."""


class _GError(Structure):
    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


class _Buffer(Structure):
    """The public beginning of GstBuffer, GstMiniObject included: part of GStreamer 1's ABI."""

    _fields_ = (
        ("type", c_size_t),
        ("references", c_int),
        ("lock", c_int),
        ("flags", c_uint),
        *((name, c_void_p) for name in ("copy", "dispose", "free")),
        ("private", c_uint),
        ("private_pointer", c_void_p),
        ("pool", c_void_p),
        ("pts", c_uint64),
    )


class Library:
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
        self.caps_of = _typed(core.gst_sample_get_caps, c_void_p, c_void_p)
        self.structure = _typed(core.gst_caps_get_structure, c_void_p, c_void_p, c_uint)
        self.number = _typed(core.gst_structure_get_int, c_int, c_void_p, c_char_p, POINTER(c_int))
        self.ratio = _typed(core.gst_structure_get_fraction, c_int, c_void_p, c_char_p, POINTER(c_int), POINTER(c_int))
        self.caps = _typed(core.gst_caps_from_string, c_void_p, c_char_p)
        self.set_caps = _typed(app.gst_app_sink_set_caps, None, c_void_p, c_void_p)
        self.is_eos = _typed(app.gst_app_sink_is_eos, c_int, c_void_p)
        self.ask_key = _typed(video.gst_video_event_new_upstream_force_key_unit, c_void_p, c_uint64, c_int, c_uint)


def _typed(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype, function.argtypes = result, arguments
    return function


class Trouble(Exception):
    """What is said on stderr."""


class Running:
    """A pipeline that plays, and what its elements complain of."""

    def __init__(self, description: str) -> None:
        """Raises Trouble where it does not start."""
        try:
            self.gst = Library()
        except OSError as error:
            raise Trouble(f"GStreamer is not on this machine ({error})") from error
        wrong = POINTER(_GError)()
        self.gst.init(None, None)
        self._pipeline = self.gst.parse(description.encode(), ctypes.byref(wrong))
        if wrong:  # also set where a part is missing and the rest was built
            raise Trouble(_text(wrong))
        self._bus = self.gst.bus(self._pipeline)

    def element(self, name: str) -> Any:
        """The element of that name; None where there is none."""
        return self.gst.by_name(self._pipeline, name.encode())

    def play(self) -> None:
        """Raises Trouble where it does not start."""
        if self.gst.set_state(self._pipeline, PLAYING) == FAILURE:
            raise Trouble(self.why() or "the pipeline does not start")

    def stop(self) -> None:
        """Devices are given back."""
        self.gst.set_state(self._pipeline, NULL)

    def why(self) -> str:
        """The first error that an element reported; "" for none."""
        message = self.gst.pop(self._bus, 0, _ERROR)
        if not message:
            return ""
        error = POINTER(_GError)()
        self.gst.parse_error(message, ctypes.byref(error), None)
        return _text(error)


class Picture(NamedTuple):
    """A frame as it came: `data` is `height` rows of RGB, each perhaps a little longer than its pixels."""

    data: bytes
    width: int
    height: int
    fps: float
    """0 where its caps say none."""
    pts_s: float | None


class Frames(Running):
    """A pipeline that gives pictures, at the appsink of that name."""

    def __init__(self, description: str, sink: str) -> None:
        """Plays. Raises Trouble where it does not start."""
        super().__init__(description)
        self._sink = self.element(sink)
        if not self._sink:
            raise Trouble(f"the pipeline has no appsink called {sink}")
        self.gst.set_caps(self._sink, self.gst.caps(b"video/x-raw,format=RGB"))
        self._why = ""
        self.play()

    def pull(self, patience_s: float) -> Picture | None:
        """The next one; None where none came in time, or none comes any more. Raises Trouble where it is no picture."""
        gst = self.gst
        sample = gst.pull(self._sink, int(patience_s * 1e9))
        if not sample:
            return None
        try:
            buffer, shape = gst.sample_buffer(sample), gst.structure(gst.caps_of(sample), 0)
            width, height, over, under = c_int(), c_int(), c_int(), c_int(1)
            known = gst.number(shape, b"width", ctypes.byref(width)) and gst.number(
                shape, b"height", ctypes.byref(height)
            )
            if not known or width.value < 1 or height.value < 1:
                raise Trouble("what comes to the appsink is no video")
            gst.ratio(shape, b"framerate", ctypes.byref(over), ctypes.byref(under))
            data = ctypes.create_string_buffer(gst.size(buffer))
            if gst.extract(buffer, 0, data, len(data)) < 3 * width.value * height.value:
                raise Trouble(f"a picture of {len(data)} bytes for {width.value}x{height.value}")
            pts = _Buffer.from_address(buffer).pts
            fps = over.value / under.value if under.value else 0.0
            return Picture(data.raw, width.value, height.value, fps, None if pts == NONE else pts / 1e9)
        finally:
            gst.unref(sample)

    def ended(self) -> bool:
        """The source says that it is over."""
        return bool(self.gst.is_eos(self._sink))

    def failed(self) -> bool:
        """Whether an element has complained."""
        self._why = self._why or super().why()
        return bool(self._why)

    def why(self) -> str:
        return self._why if self.failed() else ""


def _text(error: Any) -> str:
    return str(error.contents.message.decode(errors="replace"))
