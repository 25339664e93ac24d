"""Runs from encoder to worker, over a router's cache that forgets: no frame is ever decoded after a wrong one."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clownfish.codecs.base import Coded
from clownfish.codecs.runs import StreamEncoder, decode_job
from clownfish.errors import CodecError
from clownfish.framecache import Found, FrameCache
from clownfish.messages import Pixels, StreamKey
from clownfish.protocol import FrameData, Job

KEY = StreamKey("cam", 1)


class Chained:
    """A codec of runs whose pictures tell exactly what they were coded after, and which decodes after nothing else."""

    name = "chained"

    def __init__(self, group: int) -> None:
        self.group = group

    def encoder(self, width: int, height: int) -> ChainedEncoder:
        return ChainedEncoder()

    def decode_run(
        self, pictures: Sequence[bytes], width: int, height: int, wanted: Collection[int]
    ) -> dict[int, Pixels]:
        before = b""
        frames = {}
        for place, picture in enumerate(pictures):
            if picture[1:] != before:
                raise CodecError(f"picture {place} was coded after another one")
            before = _after(before, picture[0])
            if place in wanted:
                frames[place] = np.full((height, width, 3), picture[0], np.uint8)
        return frames


class ChainedEncoder:
    def __init__(self) -> None:
        self._before = b""

    def encode(self, pixels: Pixels, begin: bool) -> Coded:
        before = b"" if begin else self._before
        self._before = _after(before, int(pixels[0, 0, 0]))
        return Coded(bytes([int(pixels[0, 0, 0])]) + before, begin)


def _after(before: bytes, value: int) -> bytes:
    return hashlib.sha256(before + bytes([value])).digest()[:6]


def frame(n: int) -> Pixels:
    return np.full((2, 2, 3), n, np.uint8)


class Way:
    """What uplink and router do with one stream's windows."""

    def __init__(self, group: int, frames_kept: int) -> None:
        self.codec = Chained(group)
        self.encoder = StreamEncoder(self.codec)
        self.cache = FrameCache(1 << 20, frames_kept)
        self.known: set[int] = set()

    def send(self, numbers: Sequence[int], begin: bool) -> None:
        for n, each in zip(numbers, self.encoder.encode([frame(n) for n in numbers], begin), strict=True):
            self.cache.put(b"", FrameData(*KEY, n, each.run, each.place, "chained", 2, 2, each.data).together)
            self.known.add(n)

    def ask(self, numbers: Sequence[int]) -> Found:
        self.send([n for n in numbers if n not in self.known], begin=False)
        found = self.cache.get(b"", KEY, numbers)
        if found.missing:
            self.send(found.missing, begin=True)
            found = self.cache.get(b"", KEY, numbers)
        return found


def decoded(way: Way, found: Found) -> list[int]:
    job = Job(0, found.codecs, found.places, found.frames, 2, 2, 9, found.data)
    return [int(pixels[0, 0, 0]) for pixels in decode_job(job, lambda kind: way.codec)]


steps = st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["", "", "unsent", "lost"])), max_size=30)


@given(steps=steps, group=st.integers(1, 40), frames_kept=st.integers(16, 90))
def test_every_window_that_is_whole_decodes_to_its_own_frames(
    steps: list[tuple[int, str]], group: int, frames_kept: int
) -> None:
    way = Way(group, frames_kept)
    t = 0
    for ahead, trouble in steps:
        t = min(t + ahead, 50)  # 50 · 4 + 16 frames are numbers of one byte
        numbers = range(4 * t, 4 * t + 16)
        if trouble == "unsent":  # the window was over when it was coded
            way.encoder.encode([frame(n) for n in numbers if n not in way.known])
            way.encoder.restart()
        elif trouble == "lost":
            way.cache.forget(b"")
        found = way.ask(numbers)
        if not found.missing:
            assert decoded(way, found) == list(numbers)
        assert not found.missing or frames_kept < 2 * group + 16, (
            "a cache that holds its runs is asked once more at most"
        )
