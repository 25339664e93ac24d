"""How many streams at 30 FPS a box holds with a model that costs nothing, beside decoding them and no more.

A number of streams is held when, in the sample, no service skipped or dropped anything and every window was answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clownfish.lab.figures import Figure, Line, Use
from clownfish.lab.graph import Sample, measure_graph
from clownfish.lab.overhead import EDGE
from clownfish.lab.workload import FPS, HEIGHT, PERIOD_S, WIDTH, Pair, graph
from clownfish.opencv import ONE_THREAD, cv2

FREE = "clownfish.lab.free:FreeModel"
_RATE_TOLERANCE = 0.97
"""Of the windows due in the sample, how many must be answered: its ends fall between two statuses."""
MOST = 256


@dataclass(frozen=True)
class Trial:
    """One number of streams, tried."""

    streams: int
    sample: Sample
    failure: str
    """Why it is not held, empty where it is."""


def stream_lines(
    folder: Path, clip: str, cores: int, settle_s: float, sample_s: float, resolution: float, say: Callable[[str], None]
) -> tuple[list[Line], list[Use]]:
    """One line for the number of streams, one for what their capture costs, with what each process used."""
    trials: dict[int, Trial] = {}

    def holds(streams: int) -> bool:
        say(f"{streams} streams, a model that costs nothing …")
        trials[streams] = try_streams(folder / f"streams-{streams}", clip, streams, settle_s, sample_s)
        return not trials[streams].failure

    held = largest(holds, MOST, resolution)
    say("decoding the same streams and no more …")
    decode = decoding_share(clip, max(1, held), round(FPS * min(sample_s, 10)))
    failed = min((trial for trial in trials.values() if trial.failure), key=lambda t: t.streams, default=None)
    note = f"not {failed.streams}: {failed.failure}" if failed is not None else ""
    lines = [
        Line(
            f"streams at {FPS:.0f} FPS on {cores} cores, free model",
            Figure(held, "streams"),
            "as many as plain OpenCV could decode and resize",
            Figure(cores / decode, "streams"),
            note,
        )
    ]
    if not held:
        return lines, []
    sample = trials[held].sample
    total = sum(use.cpu_share for use in sample.uses)
    capture = sum(use.cpu_share for use in sample.uses if use.process == "capture")
    reference = Figure(100 * decode, "% of a core")
    plain = "plain OpenCV, decoding and resizing"
    latency = sample.latency("fusion", "capture_to_fused")
    lines += [
        Line("one stream in `capture`", Figure(100 * capture / held, "% of a core"), plain, reference),
        Line(
            "one stream in the whole graph",
            Figure(100 * total / held, "% of a core"),
            plain,
            reference,
            f"at {held} streams; capture to fused answer {latency}",
        ),
    ]
    return lines, sample.uses


def try_streams(folder: Path, clip: str, streams: int, settle_s: float, sample_s: float) -> Trial:
    """Run the edge over that many copies of the clip."""
    config = graph(folder, clip, Pair(FREE, FREE), streams=streams)
    sample = measure_graph(config, folder, settle_s=settle_s, sample_s=sample_s, run=f"{streams} streams")
    lost = sample.lost(EDGE)
    due = streams / PERIOD_S
    failure = ", ".join(f"{count} {name}" for name, count in lost.items())
    if not failure and sample.answered_per_s < _RATE_TOLERANCE * due:
        failure = f"{sample.answered_per_s:.1f} windows a second were answered, {due:.1f} were due"
    return Trial(streams, sample, failure)


def largest(holds: Callable[[int], bool], most: int, resolution: float) -> int:
    """The largest number that holds, 0 where not even 1 does: doubled until one fails, then halved in between.

    Stops when the gap is at most max(1, `resolution` × the number that holds), or at `most`.
    """
    held, failed = 0, 1
    while failed <= most and holds(failed):
        held, failed = failed, 2 * failed
    if failed > most:
        return held
    while failed - held > max(1, resolution * held):
        middle = (held + failed) // 2
        if holds(middle):
            held = middle
        else:
            failed = middle
    return held


def decoding_share(clip: str, streams: int, frames: int) -> float:
    """The share of a core that one stream at 30 FPS needs for decoding and resizing, all streams in this process."""
    captures = [cv2.VideoCapture(clip, cv2.CAP_FFMPEG, ONE_THREAD) for _ in range(streams)]
    begin = time.process_time()
    done = 0
    for _ in range(frames):
        for i, capture in enumerate(captures):
            read, pixels = capture.read()
            if not read:
                capture.release()
                captures[i] = cv2.VideoCapture(clip, cv2.CAP_FFMPEG, ONE_THREAD)
                continue
            cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            done += 1
    seconds = time.process_time() - begin
    for capture in captures:
        capture.release()
    return FPS * seconds / max(1, done)
