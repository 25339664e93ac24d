"""Each stream's source: whether it opens and delivers, and how fast. In a child process, which may hang and be killed:
a driver or decoder that does takes nobody along."""

from __future__ import annotations

import asyncio
import json
import sys

from clownfish.checkup.finding import Finding, end, fault, ok, warning
from clownfish.settings import Config, Stream
from clownfish.sources import is_live, split_source
from clownfish.within import within

AT_ONCE = 2
"""Children, so that a box of two cores does not find its cameras slow because of the doctor."""
_SLOW = 0.8
"""Of the nominal rate."""

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
            return await source(stream, running, patience_s)

    return list(await asyncio.gather(*(one(stream) for stream in config.streams)))


async def source(stream: Stream, running: bool, patience_s: float) -> Finding:
    """A stream's source, opened and read for a moment."""
    name, kind = f"source {stream.name}", split_source(stream.source)[0]
    if running and kind in ("camera", "gst"):
        return ok(name, "not opened: the graph that runs has it; see `clownfish status`")
    advice = _ADVICE.get(kind, "correct `source`; `clownfish run --help` names the kinds")
    command = [sys.executable, "-m", "clownfish.checkup.frames"]
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere)
    asked = json.dumps({"source": stream.source, "fps": stream.fps})  # not as an argument: it may hold a password
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
        return fault(name, str(error), advice)
    rate, fps = float(said["rate"]), float(said["fps"])
    size = f"{said['width']}x{said['height']}"
    if rate < _SLOW * fps:
        live = is_live(stream.source)
        slow = f"{size}, but {rate:.1f} frames per second where {fps:g} are promised"
        remedy = "more light (exposure), another format, or `fps` as it is" if live else "a smaller picture, or `fps`"
        return warning(name, slow, f"{remedy}; a busy machine shows the same: ask again when it is idle")
    return ok(name, f"{size}, {fps:g} frames per second" + (f", read at {rate:.0f}" if rate > 1.2 * fps else ""))


def _kind(kind: str) -> str:
    return {"video": "the video", "images": "the folder", "stream": "the network stream"}.get(kind, f"the {kind}")
