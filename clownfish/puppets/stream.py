"""Puppets as a data set: long labelled streams, and short clips without end for training.

`stream` and `clip` give the same bytes for the same arguments on every run (of one OpenCV build).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from clownfish.errors import DatasetError
from clownfish.messages import Pixels
from clownfish.puppets.difficulty import DEFAULT, Difficulty
from clownfish.puppets.keypoints import Keypoints
from clownfish.puppets.names import CLASSES, FPS, VIEWS, View
from clownfish.puppets.painter import Painter
from clownfish.puppets.script import Interval, Track, excerpt, untrimmed
from clownfish.puppets.subject import SUBJECTS, Subject, check_split, make_subject, split_number

_ACTING, _FILMING = 0xAC7, 0xF11  # what happens depends on (split, index), how it looks also on the view


class PuppetStream:
    """One untrimmed video with its ground truth; frames are drawn when asked for."""

    fps = FPS
    classes = CLASSES

    def __init__(self, name: str, subject: Subject, view: View, track: Track, painter: Painter) -> None:
        self.name = name
        self.subject = subject
        self.view = view
        self.intervals: tuple[Interval, ...] = track.intervals
        """In order, without gap or overlap from frame 0 to the end; idle stretches are intervals too."""
        self._painter = painter

    def __len__(self) -> int:
        """Frames."""
        return len(self._painter)

    def frame(self, n: int) -> Pixels:
        """Frame n by itself: (128, 172, 3) uint8 RGB. Raises IndexError beyond the end."""
        if not 0 <= n < len(self):
            raise IndexError(f"frame {n} of a stream of {len(self)}")
        return self._painter.draw(n)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Pixels]:
        """Frames [start, stop) in order."""
        for n in range(start, len(self) if stop is None else min(stop, len(self))):
            yield self._painter.draw(n)

    @property
    def keypoints(self) -> Keypoints:
        """Where joints and things are in all frames."""
        return self._painter.keypoints

    def label_at(self, n: int) -> str:
        """What frame n shows. Raises IndexError beyond the end."""
        for interval in self.intervals:
            if interval.start <= n < interval.end:
                return interval.label
        raise IndexError(f"frame {n} of a stream of {len(self)}")


def check_view(view: str) -> View:
    """The same word. Raises DatasetError with the known views."""
    if view not in VIEWS:
        raise DatasetError(f"unknown puppets view {view!r}; known: {', '.join(VIEWS)}")
    return view


def stream(split: str, index: int, view: str | None = None, difficulty: Difficulty = DEFAULT) -> PuppetStream:
    """Stream `index` (any number from 0 on) of a split. The same index in another view is the same performance.

    Without a view they alternate: 0 front, 1 left, 2 right, 3 front … Raises DatasetError for what it does not know.
    """
    split, view = check_split(split), check_view(VIEWS[index % len(VIEWS)] if view is None else view)
    if index < 0:
        raise DatasetError(f"puppets stream {index}: streams are numbered from 0 on")
    acting = np.random.default_rng([_ACTING, split_number(split), index])
    subject = make_subject(split, index % SUBJECTS[split], difficulty)
    track = untrimmed(subject, acting, difficulty)
    filming = np.random.default_rng([_FILMING, split_number(split), index, VIEWS.index(view)])
    painter = Painter(filming, track, subject, view, difficulty)
    return PuppetStream(f"{split}/{index}/{view}", subject, view, track, painter)


def clip(
    rng: np.random.Generator,
    label: str,
    split: str = "train",
    frames: int = 16,
    view: str | None = None,
    difficulty: Difficulty = DEFAULT,
) -> npt.NDArray[np.uint8]:
    """(frames, 128, 172, 3) uint8 RGB around a random moment of an action, by a random subject of the split.

    The middle frame lies in the action, as a window of a stream is labelled; its ends may reach into what was before or
    comes after. Raises DatasetError for an unknown class, split or view.
    """
    if label not in CLASSES:
        raise DatasetError(f"unknown puppets class {label!r}; known: {', '.join(CLASSES)}")
    split = check_split(split)
    chosen = check_view(str(rng.choice(VIEWS)) if view is None else view)
    subject = make_subject(split, int(rng.integers(SUBJECTS[split])), difficulty)
    track, interval = excerpt(subject, rng, difficulty, label)
    painter = Painter(rng, track, subject, chosen, difficulty)
    middle = int(rng.integers(interval.start, interval.end))
    first = min(max(0, middle - frames // 2), max(0, len(track) - frames))
    # a clip longer than what there is to show ends in a still
    return np.stack([painter.draw(min(n, len(track) - 1)) for n in range(first, first + frames)])
