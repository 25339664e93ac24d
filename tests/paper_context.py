"""A small data set for the paper's figures: three drawn videos, real models with random weights, all recorded anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from clownfish.evaluation.early_discard import Discarding
from clownfish.evaluation.paper.context import Context
from clownfish.evaluation.paper.data import DataSet
from clownfish.evaluation.recorder import RecordSettings
from clownfish.evaluation.sets import PairSettings
from clownfish.models.description import (
    DISCARD_CLASSES,
    InputDescription,
    ModelDescription,
    SimiNetDescription,
    write_description,
)
from clownfish.pair import EarlyDiscard
from clownfish.settings import FusionSection
from clownfish.sources.truth import Context as Interval
from clownfish.sources.truth import Truth
from clownfish.training.export import export
from tests.lab_results import write_experiments
from tests.model_files import CLASSES, answering
from tests.videos import frame, write_video

FRAMES = 132
THRESHOLD = 0.5


def write_siminet(path: Path, classifier: str, features: int = len(CLASSES), hidden: int = 8) -> str:
    """Random weights for that classifier's logits, and their description."""
    rng = np.random.default_rng(0)
    sizes = ((hidden, 2 * features), (hidden, hidden), (1, hidden))
    tensors = {}
    for n, size in enumerate(sizes, 1):
        tensors |= {f"fc{n}.weight": rng.normal(size=size).astype(np.float32)}
        tensors |= {f"fc{n}.bias": rng.normal(size=size[:1]).astype(np.float32)}
    save_file(tensors, path)
    description = SimiNetDescription(
        name=path.stem, classifier=classifier, feature="logits", feature_size=features, hidden=hidden
    )
    write_description(path.with_suffix(".json"), description)
    return str(path)


def write_answering(folder: Path, name: str, classes: tuple[str, ...], width: float) -> str:
    """A model whose answers differ from window to window, and from those of one with another `width`."""
    description = ModelDescription(
        name=name,
        architecture="mobilenet3d",
        options={"width": width},
        classes=classes,
        input=InputDescription(width=32, height=32, window_size=16, mean=(114.0, 114.0, 114.0), std=(58.0, 58.0, 58.0)),
        feature="logits",
        temperature=1.0,
    )
    windows = [[frame(n) for n in range(first, first + 16)] for first in range(0, FRAMES - 16, 8)]
    export(folder / name, answering(description, windows), description)
    return str(folder / name)


def small_data(folder: Path, videos: tuple[str, ...] = ("a", "b")) -> DataSet:
    """Two videos of two contexts each, and a third that stands for another view."""
    sources: dict[str, Truth | None] = {}
    for name in (*videos, "view"):
        path = write_video(folder / f"{name}.mp4", FRAMES)
        (folder / f"{name}.csv").write_text(f"start_frame,end_frame,label\n0,64,bow\n64,{FRAMES},wave\n")
        sources[str(path)] = Truth((Interval(0, 64, "bow"), Interval(64, FRAMES, "wave")))
    view = str(folder / "view.mp4")
    del sources[view]
    return DataSet("small", "Two drawn videos", "small", sources, (view,), {"width": 24, "height": 24})


def small_context(folder: Path, processes: int = 1) -> Context:
    """All real: the models run when the figures first ask for streams."""
    local, remote = write_answering(folder, "local", CLASSES, 0.25), write_answering(folder, "remote", CLASSES, 0.5)
    discard = write_answering(folder, "discard", DISCARD_CLASSES, 0.25)
    description = folder / "discard.json"
    description.write_text(json.dumps(json.loads(description.read_text()) | {"threshold": THRESHOLD}))
    return Context(
        small_data(folder),
        PairSettings(
            RecordSettings(local, remote, device="cpu", discard=discard),
            FusionSection(),
            write_siminet(folder / "siminet.safetensors", "local"),
            discard=Discarding(EarlyDiscard(discard, background="bow"), THRESHOLD),
        ),
        folder / "dumps",
        folder / "models",
        processes,
        engines=("torch",),
        lab=write_experiments(folder / "lab"),
    )
