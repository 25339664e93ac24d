"""GStreamer's own libraries through ctypes: no `gi`, and no build of OpenCV that has them (layer 1).

The standard library alone. A driver may crash or hang in any of these calls, so they are made in other processes:
`gst.encoder`, and the children of `sources.apart`.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char_p, c_int, c_size_t, c_uint, c_uint32, c_uint64, c_void_p
from typing import Any

NONE = 2**64 - 1
"""GST_CLOCK_TIME_NONE."""
NULL, PLAYING, FAILURE = 1, 4, 0
"""GstState, and GstStateChangeReturn."""
_ERROR = 1 << 1
"""GST_MESSAGE_ERROR."""


class _GError(Structure):
    _fields_ = (("domain", c_uint32), ("code", c_int), ("message", c_char_p))


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


def _text(error: Any) -> str:
    return str(error.contents.message.decode(errors="replace"))
