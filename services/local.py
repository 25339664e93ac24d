"""local: the small model answers for every window, and ρ tells how like the one before it is (§III-B, §III-C).

The newest waiting window of each stream is inferred, in a batch when several wait; what is skipped is counted. The
model runs in a thread, with the loop free. Only this service and `worker` import torch.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from clownfish.bus import Outbox
from clownfish.errors import ModelError
from clownfish.mailbox import Mailbox
from clownfish.messages import End, Feature, LocalResult, Rho, StreamKey, Window
from clownfish.models.base import WindowModel
from clownfish.models.load import load_model
from clownfish.notes import Notes
from clownfish.process import Process, run
from clownfish.similarity import SIMILARITIES
from clownfish.similarity.base import Inferred, Similarity
from clownfish.sources.windows import calibration_windows
from clownfish.tracer import Tracer


class _Local:
    def __init__(self, process: Process, model: WindowModel, similarity: Similarity) -> None:
        config = process.config
        self._process = process
        self._model = model
        self._similarity = similarity
        self._max_batch = config.local.max_batch if config.local else 1
        self._mailbox: Mailbox[Window] = Mailbox()
        self._previous: dict[str, tuple[int, Inferred]] = {}
        self._ends: dict[StreamKey, End] = {}
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._fusion: Outbox = process.bus.outbox(config.ipc("fusion-local"), "fusion", hwm=256)
        self._filter = process.bus.outbox(config.ipc("filter-rho"), "filter", hwm=256) if config.uplink else None
        self._notes = Notes(process)
        self._tracer = Tracer(process)
        streams = max(1, len(config.streams))  # those that began together deliver together
        self._inbox = process.bus.inbox(config.ipc("local"), "windows", (Window, End), hwm=4 * streams, large=True)
        process.before_status(self._count)

    def _count(self) -> None:
        self._process.counters.set("waiting", len(self._mailbox))
        self._process.counters.mirror({"windows_skipped": sum(self._mailbox.skipped.values())})

    async def take(self) -> None:
        """Windows in. A stream that is not live is held back while enough of its windows wait."""
        async for message in self._inbox:
            if isinstance(message, End):
                self._ends[StreamKey(message.stream, message.epoch)] = message
            else:
                while not message.live and self._mailbox.full(message.key):
                    self._room.clear()
                    await self._room.wait()
                self._mailbox.put(message.key, message, message.live)
            self._wake.set()

    async def infer(self) -> None:
        """Answers out, batch by batch."""
        while True:
            batch = [window for _, window in self._mailbox.take(self._max_batch)]
            self._room.set()
            await self._forward_ends({StreamKey(window.stream, window.epoch) for window in batch})
            if not batch:
                await self._wake.wait()
                self._wake.clear()
                continue
            begin = time.monotonic_ns()
            for window in batch:
                self._process.histogram("queued").add(begin - window.capture_ns)
            inference = await self._process.in_thread(self._model.infer, [window.frames for window in batch])
            model_ns = time.monotonic_ns() - begin
            self._process.histogram("model").add(model_ns)
            for window in batch:
                self._tracer.say(window.key, "inferred", model_ns / 1e9)
            for window, p, feature in zip(batch, inference.p, inference.feature, strict=True):
                current = Inferred(window.stream, window.t, p, feature)
                epoch, previous = self._previous.get(window.stream, (window.epoch, None))
                similar = previous is not None and epoch == window.epoch
                rho = self._similarity.rho(previous, current) if similar and previous is not None else None
                self._previous[window.stream] = (window.epoch, current)
                result = LocalResult(window.stream, window.epoch, window.t, p, rho, window.capture_ns, model_ns)
                await self._fusion.deliver(result, window.live)
                if self._filter is not None:
                    await self._filter.deliver(Rho(window.stream, window.epoch, window.t, rho, p), window.live)
                self._notes.take([Feature(window.stream, window.epoch, window.t, feature)])
                self._process.counters.add("windows_inferred")

    async def _forward_ends(self, in_work: set[StreamKey]) -> None:
        """An End follows its epoch's last answer and goes before the first of the next epoch."""
        for key in [key for key in self._ends if key not in in_work and not self._mailbox.waiting(key)]:
            end = self._ends.pop(key)
            if self._previous.get(key.stream, (None,))[0] == key.epoch:
                del self._previous[key.stream]
            await self._fusion.insist(end)
            if self._filter is not None:
                await self._filter.insist(end)


async def serve(process: Process) -> None:
    local = process.config.local
    if local is None:
        raise ModelError("[local] is missing: it names the model that answers for every window")
    process.log.info("loading", model=local.model)
    capture, source = process.config.capture, local.calibration
    calibration = partial(calibration_windows, source, capture.width, capture.height) if source else None
    model = await process.in_thread(load_model, local.model, local.device, local.precision, local.engine, calibration)
    if model.window_size != process.config.window.size:
        raise ModelError(
            f"model {local.model} expects windows of {model.window_size} frames; [window] size is "
            f"{process.config.window.size}: change one of them"
        )
    similarity: Similarity = local.similarity.build(SIMILARITIES)
    service = _Local(process, model, similarity)
    process.ready(f"{model.name}, {len(model.classes)} classes")
    await process.run_together(service.take(), service.infer())


if __name__ == "__main__":
    run("local", serve)
