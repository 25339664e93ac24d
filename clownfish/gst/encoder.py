"""The process in which a GStreamer encoder of `codecs.gstreamer` runs: frames in on stdin, pictures out on stdout.

    python -m clownfish.gst.encoder PIPELINE FRAME_BYTES LIMIT_MS

PIPELINE begins with an appsrc called `frames` and ends in an appsink called `pictures`. In: for each frame one byte
(1: the picture is to stand alone), then its bytes. Out: for each frame four bytes of length, then one access unit.
Where anything goes wrong, a line on stderr, and the end. It needs the standard library and GStreamer's own libraries
alone. A driver that crashes or hangs takes nothing but this process with it.
"""

from __future__ import annotations

import ctypes
import signal
import struct
import sys

from clownfish.gst.native import NONE, Running, Trouble

_GRACE_S = 5
"""What a native call may take beyond the limit before the kernel ends this process."""


class Pipeline:
    """One running pipeline, asked in lock step: a frame in, its picture out."""

    def __init__(self, description: str, limit_ms: int) -> None:
        """Raises Trouble where it does not start."""
        self._running = Running(description)
        self._gst = self._running.gst
        self._limit_ns = limit_ms * 1_000_000
        self._frames, self._pictures = self._running.element("frames"), self._running.element("pictures")
        self._running.play()

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
            raise Trouble(
                self._running.why() or (waited if flow == 0 else f"the pipeline takes no frame (flow {flow})")
            )
        found = gst.sample_buffer(sample)
        unit = ctypes.create_string_buffer(gst.size(found))
        gst.extract(found, 0, unit, len(unit))
        gst.unref(sample)
        return unit.raw


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
