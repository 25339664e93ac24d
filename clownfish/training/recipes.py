"""The recipes that `clownfish train init` writes: those of configs/train/ucf9-*.toml, ImageNet's weights, a probe, some
hundred steps of fine-tuning. What follows the data is how often a clip is shown (of few clips more windows each) and
the shape of the picture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from clownfish.training.config import Data

LOCAL_STEPS, REMOTE_STEPS = 180, 130
"""Of fine-tuning, in batches: what ucf9's recipes take."""
BATCH = 16
PIXELS = 172 * 128
"""Of a frame as the remote model sees it, and as the cache keeps it."""
LOCAL_PIXELS = 64 * 48
TRAINING_WINDOWS = 2400
VALIDATION_WINDOWS = 480
"""Clips joined for SimiNet, rounds times clips: what ucf9's recipe takes."""


def sized(pixels: int, ratio: float) -> tuple[int, int]:
    """(width, height) of about that many pixels and width ÷ height, each a multiple of 4."""
    height = max(round(math.sqrt(pixels / ratio) / 4) * 4, 16)
    return max(round(height * ratio / 4) * 4, 16), height


def texts(folder: Path, data: Data, train: int, validation: int, seed: int, quick: bool) -> dict[str, str]:
    """Role → the text of its file, for so many clips to train and to validate on."""
    ratio = data.cache_width / data.cache_height
    usual = (data.cache_width, data.cache_height) == (172, 128)
    small = (64, 48) if usual else sized(LOCAL_PIXELS, ratio)
    large = sized(PIXELS // 4, ratio) if quick else (data.cache_width, data.cache_height)
    first = [f"backbone.{layer}." for layer in ("_conv_stem", "_bn0", *(f"_blocks.{n}" for n in range(5)))]
    local = _fit(
        train,
        1 if quick else 4,
        train / BATCH if quick else LOCAL_STEPS,
        {"probe_epochs": 20, "probe_weight_decay": 1.0},
    )
    probe = {"probe_epochs": 30, "probe_windows": 4 if quick else 8, "probe_standardise": False}
    remote = _fit(train, 1 if quick else 3, train / BATCH if quick else REMOTE_STEPS, probe | {"frozen": first})
    return {
        "local": _classifier("local", folder, data, small, {"blocks": 11, "dropout": 0.2}, "embedding", local, seed),
        "remote": _classifier("remote", folder, data, large, {"dropout": 0.2}, "logits", remote, seed),
        "siminet": _siminet(folder, data, train, validation, seed, quick),
        "pair": _pair(folder, data),
    }


def _fit(train: int, epochs: int, steps: float, more: dict[str, Any]) -> dict[str, Any]:
    shows = steps * BATCH / train / epochs
    return {
        **more,
        "epochs": epochs,
        "windows_per_clip": min(max(round(shows), 1), 16),
        "batch": BATCH,
        "optimizer": "adamw",
        "learning_rate": 1e-4,
        "head_learning_rate": 2e-4,
        "warmup_epochs": 0.5,
        "weight_decay": 0.02,
        "label_smoothing": 0.1,
        "freeze_batch_norm": True,
    }


def _classifier(
    role: str,
    folder: Path,
    data: Data,
    size: tuple[int, int],
    options: dict[str, Any],
    feature: str,
    fit: dict[str, Any],
    seed: int,
) -> str:
    return f"""# clownfish train {role} --config {(folder / role).as_posix()}.toml
name = {_value(f"{folder.name}-{role}")}
seed = {seed}
output = {_value((folder / role).as_posix())}
runs = {_value((folder / "runs").as_posix())}
architecture = "framenet"
options = {_value(options)}
initial = "imagenet"
feature = "{feature}"

[input]
width = {size[0]}
height = {size[1]}
window_size = 16
frame_step = 4
mean = [127.0, 127.0, 127.0]
std = [128.0, 128.0, 128.0]

{_data(data)}
[augment]
min_area = 0.5
jitter = 0.3

[fit]
{_lines(fit)}"""


def _siminet(folder: Path, data: Data, train: int, validation: int, seed: int, quick: bool) -> str:
    rounds = 3 if quick else min(max(round(TRAINING_WINDOWS / train), 3), 20)
    return f"""# clownfish train siminet --config {(folder / "siminet").as_posix()}.toml
name = {_value(f"{folder.name}-siminet")}
seed = {seed}
output = {_value((folder / "siminet").as_posix())}
runs = {_value((folder / "runs").as_posix())}
classifier = {_value((folder / "local").as_posix())}
rounds = {rounds}
validation_rounds = {2 if quick else min(max(round(VALIDATION_WINDOWS / validation), 2), 12)}
transition_share = 0.3
epochs = 5
batch = 128
learning_rate = 3e-4
weight_decay = 0.01
noise = 0.1

{_data(data)}"""


def _pair(folder: Path, data: Data) -> str:
    return f"""# clownfish run VIDEO --pair {(folder / "pair").as_posix()}.toml

[capture]
width = {data.cache_width}
height = {data.cache_height}

[local]
model = "local"
similarity = {{ kind = "siminet", weights = "siminet" }}

[filter]
policy = {{ kind = "context_aware", n_w = 6 }}

[worker]
model = "remote"
"""


def _data(data: Data) -> str:
    table: dict[str, Any] = {"dataset": data.dataset, "root": data.root.as_posix()}
    if data.options:
        table["options"] = data.options
    table |= {"validation_share": data.validation_share, "split_seed": data.split_seed, "cache": data.cache.as_posix()}
    return "[data]\n" + _lines(table | {"cache_width": data.cache_width, "cache_height": data.cache_height})


def _lines(table: dict[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    """As TOML writes it; JSON writes texts, numbers, truth values and lists alike."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
