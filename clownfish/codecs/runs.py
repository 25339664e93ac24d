"""What uplink and worker do with codecs of either kind: frames of a stream to pictures, a job's pictures to frames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import cast

from clownfish.codecs.base import Codec, Coded, RunCodec, RunEncoder
from clownfish.errors import CodecError, ConfigError
from clownfish.messages import Pixels
from clownfish.protocol import MAX_RUN, Job


@dataclass(frozen=True, slots=True)
class Picture:
    """One coded frame; place 0 of its run stands alone."""

    run: int
    place: int
    data: bytes


class Single:
    """A codec of single frames as one of runs: each is a run of its own."""

    group = 1

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.name = codec.name

    def encoder(self, width: int, height: int) -> RunEncoder:
        return self

    def encode(self, pixels: Pixels, begin: bool) -> Coded:
        return Coded(self._codec.encode(pixels), True)

    def decode_run(
        self, pictures: Sequence[bytes], width: int, height: int, wanted: Collection[int]
    ) -> dict[int, Pixels]:
        if len(pictures) != 1:
            raise CodecError(f"codec {self.name} codes single frames; a run of {len(pictures)} pictures came")
        return {place: self._codec.decode(pictures[place], width, height) for place in wanted}


def as_run_codec(codec: Codec | RunCodec) -> RunCodec:
    """The codec itself, or one of single frames in the shape of the others. Raises ConfigError for a wrong group."""
    runs = cast(RunCodec, codec) if hasattr(codec, "decode_run") else Single(codec)
    if not 1 <= runs.group <= MAX_RUN:
        raise ConfigError(f"codec {runs.name!r}: group is {runs.group}; expected 1 to {MAX_RUN}")
    return runs


class StreamEncoder:
    """Codes those frames of one stream that cross the link, in the order in which they do.

    Every picture that it gives must be sent, in order; after one that was not, call `restart`.
    """

    def __init__(self, codec: Codec | RunCodec) -> None:
        self._codec = as_run_codec(codec)
        self._run = -1
        self._length = 0  # of the run so far; 0: the next picture begins one
        self._encoder: RunEncoder | None = None
        self._size = (0, 0)

    @property
    def codec_name(self) -> str:
        """Of the pictures that it gives now."""
        return self._codec.name

    def use(self, codec: Codec | RunCodec) -> None:
        """The next picture begins a run of this codec."""
        self._codec, self._encoder = as_run_codec(codec), None

    def restart(self) -> None:
        """The next picture begins a run: what was coded last did not reach the other side."""
        self._length = 0

    def encode(self, frames: Sequence[Pixels], begin: bool = False) -> list[Picture]:
        """The pictures of `frames`, each (height, width, 3) uint8 RGB. They continue the last run, unless told to
        `begin` one or it has no room for all of them. Raises CodecError, and begins anew after it."""
        if begin or self._length + len(frames) > self._codec.group:
            self.restart()
        return [self._encode(pixels) for pixels in frames]

    def _encode(self, pixels: Pixels) -> Picture:
        height, width = pixels.shape[:2]
        if self._encoder is None or self._size != (width, height):
            self._encoder, self._size = self._codec.encoder(width, height), (width, height)
            self.restart()
        place = self._length % self._codec.group
        self.restart()  # holds if this fails
        coded = self._encoder.encode(pixels, begin=place == 0)
        if coded.begins:
            place = 0
        self._run += place == 0
        self._length = place + 1
        return Picture(self._run, place, coded.data)


def decode_job(job: Job, codec_of: Callable[[str], RunCodec]) -> list[Pixels]:
    """The window's frames, oldest first, each (height, width, 3) uint8 RGB.

    `codec_of` gives the codec of a name, or raises. Raises CodecError where pictures are broken or do not fit together.
    """
    count = len(job.data)
    if not len(job.codec) == len(job.places) == count or not all(0 <= each < count for each in job.frames):
        raise CodecError(f"a job of {count} pictures, {len(job.codec)} codecs, {len(job.places)} places, {job.frames=}")
    begins = [at for at, place in enumerate(job.places) if place == 0]
    if count and begins[:1] != [0]:
        raise CodecError(f"a job's first picture has place {job.places[0]}; expected the beginning of a run")
    decoded: dict[int, Pixels] = {}
    for begin, end in zip(begins, [*begins[1:], count], strict=True):
        if job.places[begin:end] != tuple(range(end - begin)) or len(set(job.codec[begin:end])) != 1:
            raise CodecError(f"a run of places {job.places[begin:end]}; expected 0, 1, 2 … of one codec")
        wanted = {each - begin for each in job.frames if begin <= each < end}
        frames = codec_of(job.codec[begin]).decode_run(job.data[begin:end], job.width, job.height, wanted)
        decoded.update({begin + place: pixels for place, pixels in frames.items()})
    return [decoded[each] for each in job.frames]
