"""Test tools: a live run without processes. Gate and FusedStreams do on random events what their services do, and what
they take and give is noted, sent through the wire's bytes, and recorded."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clownfish import wire
from clownfish.filters import FILTERS
from clownfish.fused_streams import FusedStreams
from clownfish.fusion import Fusion
from clownfish.gate import Decision, Gate, Send
from clownfish.messages import (
    End,
    Event,
    Feature,
    FusedResult,
    LocalResult,
    Note,
    RemoteResult,
    StreamKey,
    Vector,
    WindowKey,
)
from clownfish.recording import BEGAN, Recording
from clownfish.records import Record, RecordHeader, read_record, record_name
from clownfish.settings import Capture, Filter, FusionSection, Local, Plugin, Uplink, to_tree
from clownfish.watermarks import Watermarks

CLASSES = ("bow", "clap", "wave")
KEY = StreamKey("cam", 12345)
SIZE, STRIDE, N_W = 4, 2, 5
FUSION = FusionSection(horizon=12)


PAPERS = Plugin("context_aware", {"n_w": N_W})


def header(key: StreamKey = KEY, policy: Plugin = PAPERS) -> RecordHeader:
    settings = {
        "capture": to_tree(Capture()),
        "local": to_tree(Local(model="m")),
        "filter": to_tree(Filter(policy=policy)),
        "uplink": to_tree(Uplink()),
        "fusion": to_tree(FUSION),
        "stream": {"source": "", "fps": None, "pace": "realtime", "seconds": None},
    }
    return RecordHeader(key.stream, key.epoch, CLASSES, SIZE, STRIDE, settings)


@dataclass
class Noting:
    """One process's notes: numbered, and through the wire. `lose` says which numbers never arrive."""

    service: str
    process: int
    into: Callable[[Note], None]
    lose: Callable[[int], bool] = lambda number: False
    number: int = 0

    def take(self, messages: Iterable[object]) -> None:
        note = Note(self.service, self.process, self.number, tuple(messages))  # type: ignore[arg-type]
        self.number += 1
        if not self.lose(note.sequence):
            self.into(wire.decode([bytes(part) for part in wire.encode(note)]))


@dataclass
class LiveRun:
    """`windows` windows at random: some skipped by `local`, some answered late, twice or never."""

    recording: Recording
    seed: int = 0
    windows: int = 60
    key: StreamKey = KEY
    policy: Plugin = PAPERS
    skip: float = 0.05
    lose: Callable[[int], bool] = lambda number: False
    kill_fusion_at: int | None = None
    finish: bool = True
    given: list[FusedResult | End] = field(default_factory=list)
    """What fusion gave, over all its lives."""

    def run(self) -> LiveRun:
        chance, numbers = random.Random(self.seed), np.random.default_rng(self.seed)
        watermarks = Watermarks()
        filter_notes = Noting("filter", 1, self.recording.note)
        local_notes = Noting("local", 1, self.recording.note)
        uplink_notes = Noting("uplink", 1, self.recording.note)
        fusion_notes, streams = self._fusion(1, watermarks)
        gate: Gate[None] = Gate(lambda: self.policy.build(FILTERS))
        waiting: list[tuple[int, int]] = []
        rhos_due: list[tuple[int, float | None, Vector]] = []

        def decided(decisions: list[Decision[None]], *asked: Event) -> None:
            said = [
                Event(*each.key, f"{'sent' if isinstance(each, Send) else 'released'} {each.why}", 0.0, None)
                for each in decisions
            ]
            filter_notes.take([*asked, *said])
            for each in decisions:
                if isinstance(each, Send) and chance.random() < 0.85:
                    uplink_notes.take([Event(*each.key, "sent", 0.0, 1000.0)])
                    waiting.append((t + chance.randrange(0, 15), each.key.t))
                    if chance.random() < 0.2:
                        waiting.append((t + chance.randrange(0, 15), each.key.t))

        inferred = False
        for t in range(self.windows):
            if t == self.kill_fusion_at:
                fusion_notes, streams = self._fusion(2, watermarks)
            now = float(t)
            window = WindowKey(*self.key, t)
            decided(gate.window(window, None, now), Event(*window, "window", now, None))
            if chance.random() >= self.skip:
                rho = float(numbers.uniform()) if inferred else None
                inferred = True
                p = numbers.dirichlet(np.ones(len(CLASSES))).astype(np.float32)
                local = LocalResult(*window, p, rho, 0, 0)
                local_notes.take([Feature(*window, numbers.normal(size=6).astype(np.float32))])
                self._note(fusion_notes, streams, local, streams.local(local, now))
                rhos_due.append((t, rho, p))
            while rhos_due and chance.random() < 0.7:  # the filter hears of ρ now, or after the next window
                at, value, p = rhos_due.pop(0)
                key = WindowKey(*self.key, at)
                decided(gate.rho(key, value, now, p), Event(*key, "rho", now, value))
            for due in [each for each in waiting if each[0] <= t]:
                waiting.remove(due)
                p = numbers.dirichlet(np.full(len(CLASSES), 0.3)).astype(np.float32)
                remote = RemoteResult(*self.key, due[1], p, "large")
                self._note(fusion_notes, streams, remote, streams.remote(remote, now))
        if self.finish:
            end = End(*self.key, self.windows * STRIDE + SIZE - STRIDE, "end of the source")
            self._note(fusion_notes, streams, None, streams.local_end(end, float(self.windows)))
        self.recording.flush()
        return self

    def _fusion(self, process: int, watermarks: Watermarks) -> tuple[Noting, FusedStreams]:
        notes = Noting("fusion", process, self.recording.note, self.lose)

        def make(key: StreamKey) -> Fusion:
            notes.take([Event(*key, 0, BEGAN, 0.0, None)])
            return Fusion(
                FUSION.theta, FUSION.remote_weight, FUSION.horizon, stream=key.stream, epoch=key.epoch, classes=CLASSES
            )

        return notes, FusedStreams(make, size=SIZE, stride=STRIDE, drain_s=0, watermarks=watermarks)

    def _note(
        self,
        notes: Noting,
        streams: FusedStreams,
        taken: LocalResult | RemoteResult | None,
        given: list[FusedResult | End],
    ) -> None:
        assert not streams.rejected
        notes.take([*([] if taken is None else [taken]), *given])
        self.given += given


def recorded(folder: Path, seed: int = 0, **options: object) -> Record:
    """A record of such a run."""
    LiveRun(Recording(folder, header), seed, **options).run()  # type: ignore[arg-type]
    return read_record(folder / record_name(*KEY))
