"""The child of `sources`: opens one source, reads it for a moment, prints what came as a line of JSON.

`echo '{"source": "camera:0", "fps": null}' | python -m clownfish.checkup.frames`
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from clownfish.errors import ClownfishError
from clownfish.redaction import redacted
from clownfish.sources import open_source
from clownfish.sources.base import Refused, TimeOuts

MOST_FRAMES, MOST_S = 30, 1.0
_WARM_UP = 3
"""Frames before the rate is measured: a camera's first ones come from its buffer, a decoder's later."""


def look(source: str, fps: float | None = None, time_outs: tuple[float, float] = TimeOuts()) -> dict[str, Any]:
    """`error` and whether it was `refused`, or what it delivers: `fps` (nominal), `rate` (frames per second, as read),
    `live`, `width` and `height` in pixels."""
    try:
        opened = open_source(source, fps, time_outs=TimeOuts(*time_outs))
        try:
            return _read(opened)
        finally:
            opened.close()
    except (ClownfishError, OSError, ValueError) as error:
        return {"error": redacted(str(error)), "refused": isinstance(error, Refused)}


def _read(opened: Any) -> dict[str, Any]:
    count, began, shape = 0, time.monotonic(), (0, 0)
    for pixels in opened:
        shape = pixels.shape[:2]
        count += 1
        now = time.monotonic()
        if count == _WARM_UP:
            began = now
        if count >= MOST_FRAMES or (count > _WARM_UP and now - began > MOST_S):
            break
    if not count:
        return {"error": "it opens, but ends without a frame"}
    read, elapsed_s = count - _WARM_UP, time.monotonic() - began
    rate = read / elapsed_s if read > 0 and elapsed_s > 0 else opened.fps  # too short to say
    return {"fps": opened.fps, "rate": rate, "live": opened.live, "width": shape[1], "height": shape[0]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(look(**json.load(sys.stdin))) + "\n")
