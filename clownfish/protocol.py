"""What edge, router and worker say to each other (DESIGN §7; layer 0).

An uplink is one *session*: two DEALER sockets, `control` and `data`, that carry the same fresh random routing id. When
either breaks, or the router stays silent for longer than the lease, the session is over and a new one begins: what
was in flight is counted as lost, or sent again where it still matters.

- control, edge → router: Hello, Ping. Router → edge: Credit, Refused, Missing, Answer, Dropped, Again.
- data, edge → router: FrameData, or Frames where small ones travel together, then WindowRequest naming its frames.
  Nothing flows back on it.
- A frame is coded by itself, or after others: then it is one picture of a *run*, which begins with one that stands
  alone (place 0) and is decoded in order. What is lost of a run is sent anew in another: none goes on after a hole.
- worker → router: Ready, Progress, Done, Goodbye. Router → worker: Job, Pulse, Refused, Again.

Credit is absolute (QUIC's MAX_DATA): how many windows and bytes the edge may have sent since its Hello, in all. A
lost or repeated Credit does no harm. Deadlines cross hosts as time left, never as a clock reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clownfish.messages import Vector, WindowKey

MAX_RUN = 128
"""Pictures in one run: what has to be decoded to see its last one."""
MAX_PICTURES = 256
"""Pictures in one window's job, those included that only lead to its frames."""
FRAMES_BYTES = 32 * 1024
"""What frames that travel in one message may have together: 65 ms at 4 Mbit/s, for which a newer window waits."""


_LONGEST_BEAT_S, _SHORTEST_BEAT_S = 1.0, 0.05


def beat_s(lease_ms: int) -> float:
    """How long after a Ping the next one goes, where this lease was granted: two of three may be late and it holds."""
    return min(_LONGEST_BEAT_S, max(_SHORTEST_BEAT_S, lease_ms / 3000))


@dataclass(frozen=True, slots=True)
class Hello:
    """Opens a session: who asks, which classes its local model answers with, in order, and which model shall answer."""

    edge: str
    classes: tuple[str, ...]
    model: str = ""
    """Empty: any with these classes."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Edge → router on control, each `beat_s`, from the loop that does the work. Answered with Credit."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Credit:
    """Router → edge: totals since Hello; void when `lease_ms` pass without another."""

    windows_total: int
    bytes_total: int
    lease_ms: int
    ping: int = 0
    """Sequence of the Ping that this answers, so that a round trip can be told; 0: of none."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Router → edge or worker: this cannot work, and why, in words for people (classes differ, unknown model)."""

    reason: str


@dataclass(frozen=True, slots=True)
class FrameData:
    """One encoded frame. `codec` is self-describing: its name decodes `data` to (height, width, 3) RGB, after the
    pictures 0 to `place` − 1 of the same run of this stream."""

    stream: str
    epoch: int
    n: int
    run: int
    """A number that the edge never uses twice for a stream in one session."""
    place: int
    """In its run: 0 stands alone. Codecs of single frames know no other place."""
    codec: str
    width: int
    height: int
    data: bytes

    @property
    def together(self) -> Frames:
        """As `Frames` says it."""
        shared = (self.stream, self.epoch, self.codec, self.width, self.height)
        return Frames(*shared, (self.n,), (self.run,), (self.place,), (self.data,))


@dataclass(frozen=True, slots=True)
class Frames:
    """Small frames of one stream in one message, in order: a message costs the router more than what is in it.

    `numbers`, `runs`, `places` and `data` are what FrameData calls n, run, place and data; one entry for each frame.
    """

    stream: str
    epoch: int
    codec: str
    width: int
    height: int
    numbers: tuple[int, ...]
    runs: tuple[int, ...]
    places: tuple[int, ...]
    data: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.numbers) == len(self.runs) == len(self.places) == len(self.data):
            counts = [len(each) for each in (self.numbers, self.runs, self.places, self.data)]
            raise ValueError(f"numbers, runs, places and data of as many frames expected, got {counts}")

    @property
    def together(self) -> Frames:
        return self


def in_messages(frames: Sequence[FrameData]) -> Iterator[FrameData | Frames]:
    """Frames of one stream, codec and size, as they travel: together as far as FRAMES_BYTES go, a larger one alone."""
    begin, size_bytes = 0, 0
    for end, frame in enumerate(frames):
        if end > begin and size_bytes + len(frame.data) > FRAMES_BYTES:
            yield _message(frames[begin:end])
            begin, size_bytes = end, 0
        size_bytes += len(frame.data)
    if frames:
        yield _message(frames[begin:])


def _message(frames: Sequence[FrameData]) -> FrameData | Frames:
    if len(frames) == 1:
        return frames[0]
    numbers, runs, places, data = zip(*((each.n, each.run, each.place, each.data) for each in frames), strict=True)
    first = frames[0]
    return Frames(first.stream, first.epoch, first.codec, first.width, first.height, numbers, runs, places, data)


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """Names a window's frames, oldest first, all of which are sent before it or known to the router already."""

    stream: str
    epoch: int
    t: int
    frames: tuple[int, ...]
    deadline_ms: int
    """Time left, when sent, until the answer can no longer matter."""

    @property
    def key(self) -> WindowKey:
        return WindowKey(self.stream, self.epoch, self.t)


@dataclass(frozen=True, slots=True)
class Missing:
    """Router → edge: these frames of this window are not in the cache; send them and ask again."""

    stream: str
    epoch: int
    t: int
    frames: tuple[int, ...]

    @property
    def key(self) -> WindowKey:
        return WindowKey(self.stream, self.epoch, self.t)


@dataclass(frozen=True, slots=True)
class Answer:
    """Router → edge: the remote model's answer for one window."""

    stream: str
    epoch: int
    t: int
    p: Vector
    model: str
    model_ms: float

    @property
    def key(self) -> WindowKey:
        return WindowKey(self.stream, self.epoch, self.t)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Router → edge: this window will not be answered; `reason` is a counter's name (expired, quarantined, …)."""

    stream: str
    epoch: int
    t: int
    reason: str

    @property
    def key(self) -> WindowKey:
        return WindowKey(self.stream, self.epoch, self.t)


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker → router: model, classes in order, and how many jobs it may hold at once."""

    worker: str
    model: str
    classes: tuple[str, ...]
    credit: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Worker → router, from the loop that does the work. `done` counts finished jobs since Ready."""

    worker: str
    done: int


@dataclass(frozen=True, slots=True)
class Job:
    """Router → worker: one window's encoded frames, run by run, each from its place 0 as far as it is needed.

    `job` is the router's own number for it; `codec`, `places` and `data` have one entry for each picture.
    """

    job: int
    codec: tuple[str, ...]
    places: tuple[int, ...]
    frames: tuple[int, ...]
    """The window's frames, oldest first: which of the pictures they are."""
    width: int
    height: int
    deadline_ms: int
    data: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """Worker → router: the answer, or (`p` empty) why there is none, in `error`."""

    job: int
    p: Vector
    model_ms: float
    error: str


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Worker → router: it drains; give it nothing more. It answers the jobs that it `keeps`; the rest is others'."""

    worker: str
    keeps: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pulse:
    """Router → worker: answers each Progress. A worker that hears none for long opens a fresh socket."""

    done: int


@dataclass(frozen=True, slots=True)
class Again:
    """Router → edge or worker: it does not know you (it restarted, or gave you up): say Hello or Ready again."""

    reason: str
