"""The process of `apart`: opens one source after the other, as told on its socket, and sends what comes.

Its standard input is a socket. Told: a line of JSON for each source. Said: a message for its opening, for each frame,
and one for its end. When nobody listens any more it closes the source and ends, and where that hangs it ends all the
same.
"""

from __future__ import annotations

import json
import math
import os
import queue
import signal
import socket
import sys
import threading
import time
from typing import Any

from clownfish.cadence import Taken
from clownfish.errors import ClownfishError
from clownfish.opencv import resized
from clownfish.sources import open_source
from clownfish.sources.apart import ENDED, FAILED, FRAME, HEAD, OPENED, REFUSED, SHAPE, STALLED
from clownfish.sources.base import Refused, Stalled, TimeOuts, VideoSource

_GRACE_S = 1.5
"""For closing, before this process ends without it."""


class _Child:
    def __init__(self, talk: socket.socket) -> None:
        self._socket = talk
        self._told: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._source: VideoSource | None = None

    def run(self) -> None:
        """Until nobody listens."""
        threading.Thread(target=self._listen, daemon=True).start()
        while (line := self._told.get()) is not None:
            self._read(json.loads(line))

    def _listen(self) -> None:
        """In a thread of its own: the other one may hang in a library."""
        with self._socket.makefile("rb") as lines:
            for line in lines:
                self._told.put(line)
        self._told.put(None)
        source = self._source
        if source is not None:
            closing = threading.Thread(target=source.close, daemon=True)
            closing.start()
        time.sleep(_GRACE_S)
        os._exit(1)

    def _read(self, told: dict[str, Any]) -> None:
        width, height = told["size"]
        source: VideoSource | None = None
        try:
            source = self._source = open_source(
                told["source"], told["fps"], told["seconds"], TimeOuts(*told["time_outs"])
            )
            self._say(OPENED, json.dumps({"fps": source.fps, "live": source.live}).encode())
            for pixels in source:
                taken: Taken | None = getattr(source, "taken", None)
                if taken is None:
                    taken = Taken(time.monotonic(), None, (pixels.shape[1], pixels.shape[0]))
                pts_s = math.nan if taken.pts_s is None else taken.pts_s
                shape = SHAPE.pack(taken.at_s, pts_s, *taken.size, width, height)
                self._say(FRAME, shape, resized(pixels, width, height).tobytes())
            self._say(ENDED)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the other thread hears it, too
        except (ClownfishError, OSError, ValueError) as error:
            kind = STALLED if isinstance(error, Stalled) else REFUSED if isinstance(error, Refused) else FAILED
            self._finish(source)
            source = None
            self._say(kind, str(error).encode())
        finally:
            self._finish(source)

    def _finish(self, source: VideoSource | None) -> None:
        self._source = None
        if source is not None:
            source.close()

    def _say(self, kind: bytes, *parts: bytes) -> None:
        self._socket.sendall(HEAD.pack(kind, sum(len(part) for part in parts)))
        for part in parts:
            self._socket.sendall(part)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: who listens ends this
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as talk:
        _Child(talk).run()


if __name__ == "__main__":
    main()
    os._exit(0)  # whatever a library's threads still do
