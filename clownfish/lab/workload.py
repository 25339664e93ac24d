"""What is measured on: a video, a pair of models, and the graph's configuration around them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from clownfish import zoo
from clownfish.config import validate
from clownfish.errors import ClownfishError
from clownfish.messages import Pixels
from clownfish.models.description import InputDescription, ModelDescription
from clownfish.opencv import cv2, resized, swap_red_and_blue
from clownfish.settings import Config
from clownfish.sources import open_source

WIDTH, HEIGHT, SIZE, STRIDE, FPS = 172, 128, 16, 4, 30.0
"""The defaults of [capture] and [window], and the rate of every stream here."""
PERIOD_S = STRIDE / FPS
"""Between two windows of a stream."""
REAL_VIDEO = Path("../shared/data/ucf9/streams/dev00.mp4")
CLIP_WIDTH, CLIP_HEIGHT = 320, 240
"""Of the clip that is drawn: the size of UCF-101's videos, so that there is something to resize."""


@dataclass(frozen=True)
class Pair:
    """The local model, the remote one, and SimiNet's weights where there are some."""

    local: str
    remote: str
    siminet: str = ""


def pick_pair(folder: Path) -> Pair:
    """The first pair of the zoo; where there is none yet, networks of the same make with random weights."""
    names = set(zoo.names())
    for name in ("zoo:ucf9", "zoo:shapes"):
        local, remote, siminet = (f"{name}/{part}" for part in ("local", "remote", "siminet"))
        if {local, remote} <= names:
            return Pair(local, remote, siminet if siminet in names else "")
    return Pair(write_random(folder / "local", 0.5, 64), write_random(folder / "remote", 1.0, 112))


def write_random(path: Path, width: float, side: int) -> str:
    """A 3D MobileNet of that width multiplier and input size, which has learned nothing; what it costs is the same."""
    from clownfish.models.load import build
    from clownfish.training.export import export

    description = ModelDescription(
        name=f"random-{path.name}",
        architecture="mobilenet3d",
        options={"width": width},
        classes=tuple(f"class-{i}" for i in range(9)),
        input=InputDescription(width=side, height=side, window_size=SIZE, mean=(114, 114, 114), std=(58, 58, 58)),
        feature="logits",
        temperature=1.0,
    )
    export(path, build(description), description)
    return str(path)


def draw_clip(path: Path, seconds: float) -> str:
    """A video file of a drawn stream at 30 FPS, 320 × 240, MPEG-4: all that a fresh clone has at hand.

    Raises ClownfishError where this build of OpenCV cannot write one.
    """
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (CLIP_WIDTH, CLIP_HEIGHT))
    if not writer.isOpened():
        raise ClownfishError(f"{path}: OpenCV cannot write MPEG-4 here; give a video of your own: --source FILE")
    with contextlib.closing(open_source("puppets:test/0", seconds=seconds)) as source:
        for pixels in source:
            writer.write(swap_red_and_blue(cv2.resize(pixels, (CLIP_WIDTH, CLIP_HEIGHT))))
    writer.release()
    return str(path)


def read_windows(source: str, count: int) -> list[list[Pixels]]:
    """The first `count` windows of a source (fewer where it is shorter), as the graph forms them.

    Raises ClownfishError where there is not one.
    """
    frames = SIZE + (count - 1) * STRIDE
    with contextlib.closing(open_source(source)) as opened:
        pixels = [resized(frame, WIDTH, HEIGHT) for frame in islice(opened, frames)]
    windows = [pixels[i : i + SIZE] for i in range(0, len(pixels) - SIZE + 1, STRIDE)]
    if not windows:
        raise ClownfishError(f"{source} has {len(pixels)} frames; the bench needs {SIZE} at least, better {frames}")
    return windows


def graph(folder: Path, source: str, pair: Pair, *, streams: int = 1, cloud: bool = False) -> Config:
    """The graph over `streams` copies of the source, looped in real time; with `cloud`, one router and one worker."""
    run_dir = folder / "run"
    tree: dict[str, Any] = {
        "graph": {"name": "bench", "run_dir": str(run_dir)},
        "log": {"level": "warning"},
        "streams": [{"name": f"s{i}", "source": source, "fps": FPS, "loop": True} for i in range(streams)],
        "capture": {"width": WIDTH, "height": HEIGHT},
        "window": {"size": SIZE, "stride": STRIDE},
        "local": {
            "model": pair.local,
            "similarity": {"kind": "siminet", "weights": pair.siminet} if pair.siminet else {"kind": "cosine"},
        },
        "sinks": [{"name": "answers", "sink": {"kind": "jsonl", "path": str(folder / "answers.jsonl")}}],
    }
    if cloud:
        control, data, workers = (f"ipc://{run_dir}/router-{name}.ipc" for name in ("control", "data", "workers"))
        tree["uplink"] = {"control": control, "data": data}
        tree["router"] = {"control": control, "data": data, "workers": workers}
        tree["worker"] = {"router": workers, "model": pair.remote}
    return validate(tree, "bench")
