"""Who does what when: actions and idle stretches in one track of poses, with the truth beside it.

As in PKU-MMD: three to four minutes, about twenty actions of about three seconds between idle stretches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from clownfish.puppets.actions import PERFORM
from clownfish.puppets.difficulty import Difficulty
from clownfish.puppets.figure import Floats
from clownfish.puppets.idle import get_up, idle
from clownfish.puppets.motion import Mover, ease, rest_pose, sway
from clownfish.puppets.names import FPS, IDLE
from clownfish.puppets.subject import Subject

STREAM_SECONDS = (184.0, 216.0)
STREAM_ACTIONS = (21, 24)
"""At least so many; a pair begun is completed."""
_ACTION_S = 2.75
"""Mean length of an action at tempo 1: what to expect of those still to come."""
SHORTEST_IDLE_S = 2.0

NOTHING, CUP, PHONE, BALL = range(4)
Posture = Literal["standing", "seated", "holding", "lying"]

BEFORE: dict[str, Posture] = {"stand up": "seated", "put down": "holding"}
"""The posture an action needs; all others begin standing, those of SEATABLE seated as well."""
AFTER: dict[str, Posture] = {
    "sit down": "seated",
    "stand up": "standing",
    "pick up": "holding",
    "put down": "standing",
    "fall": "lying",
}
SEATABLE = ("wave", "raise hand", "drink", "phone call", "clap")
_ITEM = {"drink": CUP, "phone call": PHONE, "throw": BALL}
_EMPTY_HANDED = ("clap", "pick up", "put down")


class Interval(NamedTuple):
    """Frames [start, end) show `label`."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Track:
    """All that moves of the subject, frame by frame."""

    poses: Floats
    """(n, parameters)"""
    items: npt.NDArray[np.int8]
    """(n,) NOTHING, CUP, PHONE or BALL in the hand."""
    left: npt.NDArray[np.bool_]
    """(n,) that hand is the left one."""
    intervals: tuple[Interval, ...]

    def __len__(self) -> int:
        return len(self.poses)


@dataclass(slots=True)
class Performer:
    """Strings movements together so that each begins where the one before ended."""

    subject: Subject
    rng: np.random.Generator
    difficulty: Difficulty
    posture: Posture = "standing"
    _poses: list[Floats] = field(default_factory=list)
    _items: list[int] = field(default_factory=list)
    _left: list[bool] = field(default_factory=list)
    _labels: list[str] = field(default_factory=list)

    def act(self, label: str) -> None:
        """Perform one action from the posture that is now."""
        mover = self._mover()
        self._add(label, PERFORM[label](mover), self._item(label), mover.mirrored)
        self.posture = AFTER.get(label, self.posture)

    def idle(self, frames: int) -> None:
        """Do nothing in particular for `frames` frames, or longer where getting up takes longer."""
        last = self._poses[-1][-1] if self._poses else None
        if self.posture == "lying" and last is not None:
            self.posture = "standing"
            start = get_up(self._mover(), last)
        elif last is not None:
            # hands that ended beside their place of rest move there
            start = ease(last, self._mover().rest, min(frames, round(0.35 * FPS)), 1.6)
        else:
            start = np.empty((0, len(self._mover().rest)))
        mover = self._mover()
        rest = idle(mover, self.posture, max(0, frames - len(start))) if frames > len(start) else start[:0]
        poses = np.concatenate([start, rest])
        self._add(IDLE, poses, self._item(IDLE), mover.mirrored)

    @property
    def frames(self) -> int:
        """So far."""
        return sum(len(each) for each in self._poses)

    def track(self) -> Track:
        """Everything so far, swaying added."""
        poses = np.concatenate(self._poses)
        ends = np.cumsum([len(each) for each in self._poses])
        starts = [0, *ends[:-1]]
        return Track(
            poses=poses + sway(self.subject, self.rng, len(poses)),
            items=np.repeat(np.array(self._items, np.int8), np.diff([0, *ends])),
            left=np.repeat(np.array(self._left), np.diff([0, *ends])),
            intervals=tuple(
                Interval(int(a), int(b), c) for a, b, c in zip(starts, ends, self._labels, strict=True) if b > a
            ),
        )

    def _mover(self) -> Mover:
        posture = "standing" if self.posture == "lying" else self.posture
        style = self.subject.style
        mirrored = bool(self.rng.random() < style.left_handed)
        return Mover(self.rng, style, self.difficulty, rest_pose(style, posture), mirrored)

    def _item(self, label: str) -> int:
        if label in _ITEM:
            return _ITEM[label]
        stray = self.rng.random() < self.difficulty.stray_item_share
        kind = int(self.rng.integers(CUP, PHONE + 1))
        return kind if stray and label not in _EMPTY_HANDED and self.posture != "holding" else NOTHING

    def _add(self, label: str, poses: Floats, item: int, left: bool) -> None:
        self._poses.append(poses)
        self._items.append(item)
        self._left.append(left)
        self._labels.append(label)


def plan(rng: np.random.Generator, count: int) -> list[str]:
    """At least `count` actions in an order that is possible: all kinds come up before any comes up again.

    Sitting down is followed by up to two seated actions and standing up, picking up by putting down.
    """
    labels: list[str] = []
    free = [label for label in PERFORM if label not in BEFORE]
    while len(labels) < count:
        for label in rng.permutation(free):
            if len(labels) >= count:
                break
            labels.append(str(label))
            if label == "sit down":
                labels += [str(each) for each in rng.permutation(SEATABLE)[: rng.integers(0, 3)]] + ["stand up"]
            if label == "pick up":
                labels.append("put down")
    return labels


def untrimmed(subject: Subject, rng: np.random.Generator, difficulty: Difficulty) -> Track:
    """The track of one long video: idle, action, idle, … , idle."""
    labels = plan(rng, int(rng.integers(STREAM_ACTIONS[0], STREAM_ACTIONS[1] + 1)))
    total = rng.uniform(*STREAM_SECONDS) * FPS
    weights = rng.dirichlet(np.full(len(labels) + 1, 5.0))
    performer = Performer(subject, rng, difficulty)
    for i in range(len(labels) + 1):
        spare = total - performer.frames - _ACTION_S * FPS * subject.style.tempo * (len(labels) - i)
        share = weights[i] / weights[i:].sum()
        performer.idle(max(round(spare * share), round(SHORTEST_IDLE_S * FPS)))
        if i < len(labels):
            performer.act(labels[i])
    return performer.track()


def excerpt(subject: Subject, rng: np.random.Generator, difficulty: Difficulty, label: str) -> tuple[Track, Interval]:
    """A short track around one performance of `label`, and where that is; before and after it is as in a stream."""
    performer = Performer(subject, rng, difficulty)
    performer.posture = BEFORE.get(label, "standing")
    if label in (*SEATABLE, IDLE):
        draw = rng.random()
        performer.posture = "seated" if draw < 0.2 else "holding" if draw < 0.28 and label == IDLE else "standing"
    if label == IDLE:
        possible = [each for each in PERFORM if _possible(each, performer.posture)]
        performer.act(str(rng.choice(possible)))
        performer.idle(int(rng.integers(round(2.5 * FPS), round(6 * FPS))))
        place = 1
        performer.act(str(rng.choice([each for each in PERFORM if _possible(each, performer.posture)])))
    else:
        performer.idle(round(1.2 * FPS))
        performer.act(label)
        place = 1
        performer.idle(round(1.2 * FPS))
    track = performer.track()
    return track, track.intervals[place]


def _possible(label: str, posture: Posture) -> bool:
    return BEFORE.get(label, "standing") == posture or (posture == "seated" and label in SEATABLE)
