"""Each stream's source: whether it opens and delivers, and how fast. In a child process, which may hang and be killed:
a driver or decoder that does takes nobody along."""

from __future__ import annotations

import asyncio
import json
import sys

from clownfish.checkup.finding import Finding, end, fault, ok, warning
from clownfish.settings import Capture, Config, Stream
from clownfish.sources import is_live, split_source
from clownfish.within import within

AT_ONCE = 2
"""Children, so that a box of two cores does not find its cameras slow because of the doctor."""
_SLOW = 0.8
"""Of the nominal rate."""
_SAME = 0.01
"""Of the models' rate, by which a source's may differ."""

_ADVICE = {
    "video": "give the path of a video that is there: it is taken from the folder where the graph is started",
    "images": "give a folder with images in it",
    "camera": "`ls -l /dev/video*` lists cameras; this user must be in the group `video`, and no other program have it",
    "stream": "try the address with `ffprobe`; check the camera's power, its network, and user and password",
    "gst": "try the pipeline with gst-launch-1.0, and let it end in `videoconvert ! appsink`",
}


async def sources(config: Config, running: bool, patience_s: float) -> list[Finding]:
    """One finding a stream. `running`: the graph runs, and has the cameras."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(stream: Stream) -> Finding:
        async with turn:
            return await source(stream, running, patience_s, config.capture)

    return list(await asyncio.gather(*(one(stream) for stream in config.streams)))


async def source(stream: Stream, running: bool, patience_s: float, capture: Capture | None = None) -> Finding:
    """A stream's source, opened and read for a moment, with the time-outs that the graph gives it."""
    capture = capture or Capture()
    name, kind = f"source {stream.name}", split_source(stream.source)[0]
    if running and kind in ("camera", "gst"):
        return ok(name, "not opened: the graph that runs has it; see `clownfish status`")
    advice = _ADVICE.get(kind, "correct `source`; `clownfish run --help` names the kinds")
    command = [sys.executable, "-m", "clownfish.checkup.frames"]
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere)
    limits = [capture.open_s, capture.stall_s]
    asked = json.dumps(
        {"source": stream.source, "fps": stream.fps, "time_outs": limits}
    )  # on no command line: passwords
    try:
        out, _ = await within(child.communicate(asked.encode()), patience_s)
        said = json.loads(out.splitlines()[-1])
    except asyncio.TimeoutError:
        return fault(name, f"{_kind(kind)} delivers nothing within {patience_s:g} s, and does not say why", advice)
    except (ValueError, IndexError):
        return fault(name, f"reading {_kind(kind)} ended its process (status {child.returncode})", advice)
    finally:
        await end(child)
    if error := said.get("error"):
        if said.get("refused"):
            advice = (
                "correct user and password in its address; the graph asks once a minute: cameras lock out who guesses"
            )
        return fault(name, str(error), advice)
    rate, fps = float(said["rate"]), float(said["fps"])
    size = f"{said['width']}x{said['height']}"
    if rate < _SLOW * fps:
        live = is_live(stream.source)
        slow = f"{size}, but {rate:.1f} frames per second where {fps:g} are promised"
        remedy = "more light (exposure), another format, or `fps` as it is" if live else "a smaller picture, or `fps`"
        return warning(name, slow, f"{remedy}; a busy machine shows the same: ask again when it is idle")
    found = f"{size}, {fps:g} frames per second" + (f", read at {rate:.0f}" if rate > 1.2 * fps else "")
    if said["live"] and abs(fps - capture.fps) > _SAME * capture.fps:
        found += f", brought to the {capture.fps:g} that the models want"
    return ok(name, found)


def _kind(kind: str) -> str:
    return {"video": "the video", "images": "the folder", "stream": "the network stream"}.get(kind, f"the {kind}")
