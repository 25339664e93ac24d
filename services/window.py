"""window: turns each stream's frames into overlapping windows; `local` and `filter` each get a copy of their own."""

from __future__ import annotations

import asyncio
from collections import deque

from clownfish.bus import Encoded
from clownfish.messages import End, Frame, StreamKey
from clownfish.process import Process, run
from clownfish.sinks import WATCHING
from clownfish.sources import is_live
from clownfish.windowing import WindowManager

_GONE_S = 10.0
"""After which capture will not say any more that a stream is over which was removed: it was killed meanwhile."""
_REMEMBERED = 256
"""Epochs that were ended in capture's place."""


async def serve(process: Process) -> None:
    config = process.config
    manager = WindowManager(config.window.size, config.window.stride)
    streams = max(1, len(config.streams))  # those that began together deliver together
    inbox = process.bus.inbox(config.ipc("window"), "frames", (Frame, End), hwm=32 * streams, large=True)
    receivers = ["local", "filter"] if config.uplink is not None else ["local"]
    outboxes = [process.bus.outbox(config.ipc(name), name, hwm=4 * streams, large=True) for name in receivers]
    watching = [each.name for each in config.sinks if each.sink.kind in WATCHING]
    watchers = [
        process.bus.outbox(config.ipc(f"sink-{name}"), f"frames-{name}", hwm=32, large=True) for name in watching
    ]
    ended: deque[StreamKey] = deque(maxlen=_REMEMBERED)
    changed = asyncio.Event()
    process.lineup.follow(changed.set)
    process.before_status(lambda: process.counters.set("streams_open", manager.open))

    async def say(end: End) -> None:
        for outbox in outboxes:
            await outbox.insist(end)

    def is_watched(name: str) -> bool:
        """What can be read again the sink reads itself."""
        stream = process.lineup.get(name) if watchers else None
        return stream is not None and is_live(stream.source)

    async def take() -> None:
        async for message in inbox:
            if isinstance(message, End):
                key = StreamKey(message.stream, message.epoch)
                manager.end(key, message.frames)
                if key not in ended:  # else downstream it has ended, with fewer frames
                    await say(message)
            else:
                if is_watched(message.stream):
                    copy = Encoded(message)
                    for outbox in watchers:
                        outbox.try_send(copy)
                window = manager.push(message)
                for end in manager.replaced():
                    await say(end)
                if window is not None:
                    encoded = Encoded(window)
                    for outbox in outboxes:
                        await outbox.deliver(encoded, window.live)
            process.counters.mirror(manager.counts)

    async def tidy() -> None:
        """End what capture could not."""
        while True:
            await changed.wait()
            changed.clear()
            await asyncio.sleep(_GONE_S)
            process.lineup.refresh()  # else one that was added since, and has frames here already, would be another
            for end in manager.end_others(process.lineup.streams):
                ended.append(StreamKey(end.stream, end.epoch))
                for outbox in outboxes:
                    await outbox.put(end)  # behind its last window, however long that takes

    process.ready()
    await process.run_together(take(), tidy())


if __name__ == "__main__":
    run("window", serve)
