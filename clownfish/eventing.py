"""Events: what a stream showed, from when to when; made of windows, and revised as they are (layer 0).

The theory of operation. The newest answer of every window that may still change is kept. `hysteresis` folds windows,
in the order of t, into runs; after each answer it is folded again from that window on. What comes out is compared with
the events said before, and each difference is a revision of an event:

    ongoing ⇄ ended ⇄ withdrawn        and any of them, once, with `final` set: the last word on this event

A window is settled when its closing answer came, or when it is `reach` windows behind the newest: fusion closes windows
in order at its horizon, so what has not come by then was lost on the way. An event is final when windows that are
settled have ended it. So the final events are a function of the final answers alone, in whatever order all answers
came, as long as none is more than `reach` windows late; and no more than `reach` windows are kept.

Identity: an event is called after the window that it began with when it was first said. It stays itself when its label,
start or end is corrected: a run is the event with which it shares most windows, one of the same label first. Where
REINFORCE splits an event the larger part keeps its name; where it joins two, the larger one lives on and the other is
withdrawn; a withdrawn event whose windows show something again is that event again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from clownfish.hysteresis import Moment, Rules, Run, Timeline
from clownfish.messages import FusedResult, StreamKey

State = Literal["ongoing", "ended", "withdrawn"]
Origin = Literal["edge", "fused", "corrected"]
_ORIGINS: tuple[Origin, ...] = ("edge", "fused", "corrected")


@dataclass(frozen=True, slots=True)
class SceneEvent:
    """What a stream showed for a while, at one revision. The newest revision of an `id` is what holds."""

    id: str
    """STREAM/EPOCH/T, unique for ever."""
    stream: str
    epoch: int
    revision: int
    """From 0, growing by 1."""
    label: str
    state: State
    """`withdrawn`: a late answer left nothing of it."""
    final: bool
    """No later revision follows. Each event gets exactly one such."""
    live: bool
    """Said as it happens: that the event began (revision 0), and the first time that it is no longer `ongoing`."""
    start_frame: int
    end_frame: int | None
    """The first frame after it; None while it goes on."""
    start_s: float
    """Seconds of video since the epoch's first frame."""
    end_s: float | None
    confidence: float
    """Mean of the label's probability over the windows that showed it."""
    source: Origin
    """`edge`: the cloud had no say; `fused`: it had, in time; `corrected`: it changed windows already answered."""


class Clock(NamedTuple):
    """Where windows lie in a stream: a window's answer belongs to its last `stride` frames (DESIGN §5.10)."""

    size: int
    stride: int
    fps: float

    def begin(self, t: int) -> int:
        return t * self.stride + self.size - self.stride

    def end(self, t: int) -> int:
        return t * self.stride + self.size


class _Part(NamedTuple):
    """A run as it stands now, and whether it is over, and for good."""

    run: Run
    state: State
    final: bool


@dataclass(slots=True)
class _Known:
    """An event that was said and may change."""

    name: str
    run: Run
    state: State = "ongoing"
    revision: int = -1
    said: list[Any] | None = None
    """Label, start, end, state and whether final, of the last revision."""
    ended: bool = False
    """Whether it was ever said to be no longer ongoing."""


@dataclass(slots=True)
class _Kept:
    """A window that is not settled, and the timeline after it."""

    moment: Moment
    revision: int
    final: bool
    after: Timeline
    over: tuple[Run, ...] = ()


class StreamEvents:
    """One stream's and epoch's events, from its windows."""

    def __init__(self, key: StreamKey, rules: Rules, clock: Clock, reach: int) -> None:
        """`reach`: how many windows behind the newest one may still change."""
        self._key = key
        self._clock = clock
        self._reach = reach
        self._settled = Timeline(rules)
        """After all windows before `_frontier`."""
        self._frontier = 0
        self._newest = -1
        self._kept: deque[_Kept] = deque()
        """By t."""
        self._known: list[_Known] = []
        self._names: dict[str, int] = {}
        """Used, with the window that each is called after: those that could be wanted again."""
        self.late = 0
        """Answers of windows that were settled."""
        self.repeated = 0
        """Answers of a revision that was there, or an older one."""

    @property
    def frontier(self) -> int:
        """The first window that is not settled."""
        return self._frontier

    @property
    def kept(self) -> int:
        """Windows in memory."""
        return len(self._kept)

    def result(self, result: FusedResult) -> list[SceneEvent]:
        """What this answer changes, by start."""
        if result.t < self._frontier:
            self.late += 1
            return []
        if not self._put(result):
            self.repeated += 1
            return []
        self._newest = max(self._newest, result.t)
        return self._compare(self._settle(self._newest - self._reach))

    def finish(self) -> list[SceneEvent]:
        """No answer follows: the last word on every event, by start."""
        parts = self._settle(self._newest)
        parts += [_Part(run, "ended", True) for run in self._settled.finish()]
        self._settled = Timeline(self._settled.rules)
        return self._compare(parts)

    def abandon(self) -> list[SceneEvent]:
        """The last word on every event as it was last known, where nothing came since `resume`."""
        out: list[SceneEvent] = []
        for known in self._known:
            known.state = "ended" if known.state == "ongoing" else known.state
            out += self._say(known, True)
        self._known.clear()
        return out

    def snapshot(self) -> dict[str, Any]:
        """What a process that takes this one's place must know, as JSON's values: all but windows that can still
        change, whose closing answers are to come."""
        return {
            "frontier": self._frontier,
            "newest": self._newest,
            "held": _plain(self._settled.held),
            "rival": _plain(self._settled.rival),
            "known": [{**_plain(known), "run": _plain(known.run)} for known in self._known],
            "names": self._names,
        }

    def resume(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from there, before the first answer. Raises KeyError, TypeError, ValueError for what is no snapshot."""
        held, rival = (None if run is None else Run(**run) for run in (snapshot["held"], snapshot["rival"]))
        known = [_Known(**{**each, "run": Run(**each["run"])}) for each in snapshot["known"]]
        names = {str(name): int(t) for name, t in snapshot["names"].items()}
        self._frontier, self._newest = int(snapshot["frontier"]), int(snapshot["newest"])
        self._settled = Timeline(self._settled.rules, held, rival)
        self._known, self._names = known, names

    def _put(self, result: FusedResult) -> bool:
        """Keep it, and fold again what follows. False where the window has this revision, or a newer one."""
        moment = Moment.of(result)
        following: list[_Kept] = []
        while self._kept and self._kept[-1].moment.t > moment.t:
            following.append(self._kept.pop())
        found = self._kept.pop() if self._kept and self._kept[-1].moment.t == moment.t else None
        fresh = found is None or (result.revision > found.revision and not found.final)
        if found is not None and not fresh:
            self._kept.append(found)
        elif found is not None and _same(found.moment, moment):
            found.revision, found.final = result.revision, result.final
            self._kept.append(found)
        else:
            self._fold(_Kept(moment, result.revision, result.final, self._settled))
            while following:
                self._fold(following.pop())
        self._kept.extend(reversed(following))
        return fresh

    def _fold(self, kept: _Kept) -> None:
        before = self._kept[-1].after if self._kept else self._settled
        kept.after, kept.over = before.step(kept.moment)
        self._kept.append(kept)

    def _settle(self, through: int) -> list[_Part]:
        """Windows up to `through` change no more, nor do those whose closing answers are here without a hole."""
        parts: list[_Part] = []
        while self._kept:
            first = self._kept[0]
            t = first.moment.t
            if not (t <= through or (t == self._frontier and first.final)):
                break
            self._kept.popleft()
            self._settled = first.after
            self._frontier = t + 1
            parts += [_Part(run, "ended", True) for run in first.over]
        self._frontier = max(self._frontier, through + 1)
        return parts

    # -- events

    def _compare(self, parts: list[_Part]) -> list[SceneEvent]:
        """Say what differs from what was said. `parts`: what has just become final."""
        parts += [_Part(run, "ended", False) for kept in self._kept for run in kept.over]
        showing = (self._kept[-1].after if self._kept else self._settled).showing
        if showing is not None:
            parts.append(_Part(showing, "ongoing", False))
        rest = {known.name: known for known in self._known}
        out: list[SceneEvent] = []
        for known, part in self._matched(parts):
            rest.pop(known.name, None)
            known.run, known.state = part.run, part.state
            out += self._say(known, part.final)
            if part.final:
                self._known.remove(known)
        for known in rest.values():
            known.state = "withdrawn"
            gone = self._frontier > known.run.last and not self._may_show(known.run)
            out += self._say(known, gone)
            if gone:
                self._known.remove(known)
        oldest = self._settled.earliest
        floor = self._frontier if oldest is None else min(oldest, self._frontier)
        self._names = {name: t for name, t in self._names.items() if t >= floor}
        return sorted(out, key=lambda event: (event.start_frame, event.id))

    def _matched(self, parts: list[_Part]) -> Iterable[tuple[_Known, _Part]]:
        """Each part with the event that it is: the one with which it shares most, or a new one."""
        shared = []
        for known in self._known:
            for part in parts:
                windows = min(known.run.last, part.run.last) - max(known.run.start, part.run.start) + 1
                if windows > 0:
                    other = known.run.label != part.run.label
                    shared.append(
                        (known.state == "withdrawn", other, -windows, known.run.start, part.run.start, known, part)
                    )
        shared.sort(key=lambda each: each[:5])
        taken: dict[int, _Known] = {}
        names: set[str] = set()
        for *_, known, part in shared:
            if known.name not in names and id(part) not in taken:
                names.add(known.name)
                taken[id(part)] = known
        return [(taken.get(id(part)) or self._new(part.run), part) for part in parts]

    def _new(self, run: Run) -> _Known:
        name, again = str(run.start), 1
        while name in self._names:
            again += 1
            name = f"{run.start}.{again}"
        self._names[name] = run.start
        known = _Known(name, run)
        self._known.append(known)
        return known

    def _may_show(self, run: Run) -> bool:
        """Whether a run that is not over shares windows with this one that showed nothing so far."""
        open_runs = (self._settled.held, self._settled.rival)
        return any(each is not None and each.start <= run.last for each in open_runs)

    def _say(self, known: _Known, final: bool) -> list[SceneEvent]:
        run, state = known.run, known.state
        end = -1 if state == "ongoing" else run.last
        now = [run.label, run.start, end, state, final]
        if now == known.said:
            return []
        first_end = state != "ongoing" and not known.ended
        known.said, known.ended = now, known.ended or state != "ongoing"
        known.revision += 1
        start_frame, end_frame = self._clock.begin(run.start), None if end < 0 else self._clock.end(end)
        return [
            SceneEvent(
                id=f"{self._key.stream}/{self._key.epoch}/{known.name}",
                stream=self._key.stream,
                epoch=self._key.epoch,
                revision=known.revision,
                label=run.label,
                state=state,
                final=final,
                live=known.revision == 0 or first_end,
                start_frame=start_frame,
                end_frame=end_frame,
                start_s=start_frame / self._clock.fps,
                end_s=None if end_frame is None else end_frame / self._clock.fps,
                confidence=run.confidence,
                source=_ORIGINS[run.origin],
            )
        ]


def _plain(it: Run | _Known | None) -> Any:
    return None if it is None else {each.name: getattr(it, each.name) for each in fields(it)}


def _same(a: Moment, b: Moment) -> bool:
    return a.origin == b.origin and a.label == b.label and a.p.tobytes() == b.p.tobytes()
