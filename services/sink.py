"""sink: writes answers to one place. Each configured sink is a process of its own, so that none can slow the edge."""

from __future__ import annotations

from clownfish.errors import ConfigError, SinkError
from clownfish.messages import End, FusedResult
from clownfish.process import Process, run
from clownfish.sinks import SINKS
from clownfish.sinks.base import Sink


async def serve(process: Process) -> None:
    config, name = process.config, process.arguments.name
    section = next((sink for sink in config.sinks if sink.name == name), None)
    if section is None:
        known = ", ".join(sink.name for sink in config.sinks) or "none"
        raise ConfigError(f"--name {name!r}: no such sink in [[sinks]]; known: {known}")
    sink: Sink = section.sink.build(SINKS)
    inbox = process.bus.inbox(config.ipc(f"sink-{name}"), "results", (FusedResult, End), hwm=1000)
    process.ready(section.sink.kind)
    failing = False
    try:
        async for message in inbox:
            try:
                if isinstance(message, End):
                    sink.end(message)
                    process.counters.add("streams_ended")
                    process.publish()
                else:
                    sink.write(message)
                    process.counters.add("written")
                failing = False
            except SinkError as error:
                process.counters.add('dropped{reason="sink"}')
                if not failing:
                    failing = True
                    process.log.error("results are lost until this works again", error=str(error))
    finally:
        sink.close()


if __name__ == "__main__":
    run("sink", serve)
