"""The events of a configuration's streams, made where they are written, and kept over a killed process (layer 1).

Why each sink makes its own: it is a process of its own already, so events cost no further process (40 MB), no further
queue in which answers could be lost for all sinks at once, and fail with one target alone. Equal answers make equal
events, names included, so sinks differ only by what was dropped on the way to one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from clownfish.event_streams import Events
from clownfish.eventing import Clock, SceneEvent, StreamEvents
from clownfish.eventstates import EventStates
from clownfish.hysteresis import Rules
from clownfish.messages import End, FusedResult, StreamKey
from clownfish.rates import read_rate
from clownfish.settings import Config, Stream
from clownfish.sources import is_live

_SLACK = 8
"""Windows by which a closing answer may come after those of later windows: what has not come then was lost."""


class KeptEvents:
    """Makes events of answers, and goes on where a killed process was."""

    def __init__(self, config: Config, run_dir: Path, folder: Path, stream_of: Callable[[str], Stream | None]) -> None:
        """`folder`: of this sink's own; what it knew lies there. `stream_of`: what is said of a stream of now."""
        self._config, self._run_dir, self._stream_of = config, run_dir, stream_of
        self._events = Events(self._begin)
        self._states = EventStates(folder)
        self._frontiers: dict[StreamKey, int] = {}
        """Of each epoch, as it was last kept."""
        for key, snapshot in list(self._states.found()):
            try:
                self._events.resume(key, snapshot)
                self._frontiers[key] = -1
            except (KeyError, TypeError, ValueError, AttributeError):  # of another release
                self._states.damaged += 1
                self._states.forget(key)
        self.damaged = self._states.damaged > 0
        """Whether something that a process before had kept could not be read: those events begin anew."""

    def _begin(self, key: StreamKey) -> StreamEvents:
        window, said = self._config.window, self._config.events
        stream = self._stream_of(key.stream)
        asked = stream.fps if stream is not None and not is_live(stream.source) else None
        fps = asked or read_rate(self._run_dir, key.stream)  # a live source's frames are brought to the models' rate
        rules = Rules.in_seconds(
            said.background, said.enter, said.leave, min_s=said.min_s, gap_s=said.gap_s, window_s=window.stride / fps
        )
        reach = self._config.fusion.horizon + _SLACK
        return StreamEvents(key, rules, Clock(window.size, window.stride, fps), reach)

    def of(self, message: FusedResult | End) -> list[SceneEvent]:
        """What it changes. To be followed by `keep` when that has been written."""
        return self._events.end(message) if isinstance(message, End) else self._events.result(message)

    def keep(self, message: FusedResult | End, changed: bool) -> None:
        """What `message` changed has been written: what is known now must outlive this process."""
        key = StreamKey(message.stream, message.epoch)
        stream = self._events.get(key)
        if stream is not None and (changed or stream.frontier != self._frontiers.get(key)):
            self._states.keep(key, stream.snapshot())
            self._frontiers[key] = stream.frontier
        if stream is None or changed:
            for over in [each for each in self._frontiers if self._events.get(each) is None]:
                self._states.forget(over)
                del self._frontiers[over]

    @property
    def counts(self) -> Mapping[str, int]:
        """Those of `Events`, and events_not_kept: what could not be written down for a next process."""
        return {**self._events.counts, "events_not_kept": self._states.failures}

    @property
    def open(self) -> int:
        """Epochs that are not over."""
        return self._events.open

    def close(self) -> None:
        """Safe to call twice."""
        self._states.close()
