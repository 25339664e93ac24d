"""window: turns each stream's frames into overlapping windows; `local` and `filter` each get a copy of their own."""

from __future__ import annotations

from clownfish.bus import Encoded
from clownfish.messages import End, Frame, StreamKey
from clownfish.process import Process, run
from clownfish.sinks import WATCHING
from clownfish.sources import is_live
from clownfish.windowing import WindowManager


async def serve(process: Process) -> None:
    config = process.config
    manager = WindowManager(config.window.size, config.window.stride)
    streams = max(1, len(config.streams))  # those that began together deliver together
    inbox = process.bus.inbox(config.ipc("window"), "frames", (Frame, End), hwm=32 * streams, large=True)
    receivers = ["local", "filter"] if config.uplink is not None else ["local"]
    outboxes = [process.bus.outbox(config.ipc(name), name, hwm=4 * streams, large=True) for name in receivers]
    watching = [each.name for each in config.sinks if each.sink.kind in WATCHING]
    # of what can be read again they read it themselves
    watched = {each.name for each in config.streams if is_live(each.source)} if watching else set()
    watchers = [
        process.bus.outbox(config.ipc(f"sink-{name}"), f"frames-{name}", hwm=32, large=True) for name in watching
    ]
    process.ready()
    async for message in inbox:
        if isinstance(message, End):
            manager.end(StreamKey(message.stream, message.epoch), message.frames)
            for outbox in outboxes:
                await outbox.insist(message)
        else:
            if message.stream in watched:
                copy = Encoded(message)
                for outbox in watchers:
                    outbox.try_send(copy)
            window = manager.push(message)
            for end in manager.replaced():
                for outbox in outboxes:
                    await outbox.insist(end)
            if window is not None:
                encoded = Encoded(window)
                for outbox in outboxes:
                    await outbox.deliver(encoded, window.live)
        process.counters.mirror(manager.counts)


if __name__ == "__main__":
    run("window", serve)
