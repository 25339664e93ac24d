"""What a training run is told: one TOML file, validated, relative paths relative to the working folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clownfish.errors import ConfigError
from clownfish.models.description import InputDescription

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Section):
    """Which clips, and how they are split and kept."""

    dataset: str
    """A name of clownfish.datasets."""
    root: Path
    options: dict[str, Any] = {}
    """Of the data set: see the head of its module in clownfish/datasets/."""
    validation_groups: tuple[int | str, ...] | None = Field(default=None, min_length=1)
    """Held out of training; the temperature, and every choice between recipes, comes from them. Without this, the data
    set's own validation part is, or a share of each class."""
    validation_share: float = Field(default=0.2, gt=0, lt=1)
    """Of each class, drawn by group."""
    split_seed: int = 0
    """Of that draw: the same for local, remote and SimiNet, so that none learns what another is judged by."""
    cache: Path = Path("runs/cache")
    cache_width: int = Field(gt=0)
    cache_height: int = Field(gt=0)
    """Frames are decoded once to this size; random crops are taken from it."""


class Augment(_Section):
    """Random changes, the same for all frames of a window."""

    min_area: float = Field(default=0.5, gt=0, le=1)
    """A crop keeps at least this share of the picture."""
    flip: bool = True
    jitter: float = Field(default=0.3, ge=0, lt=1)
    """Brightness, contrast and saturation are scaled by 1 ± this."""
    mixup: float = Field(default=0.0, ge=0)
    """Beta(mixup, mixup) weights of pairs of windows; 0 mixes none."""


class Fit(_Section):
    """How a classifier is trained: a linear probe on fixed embeddings first where asked for, then all layers."""

    probe_epochs: int = Field(default=0, ge=0)
    probe_weight_decay: float = Field(default=0.01, ge=0)
    probe_windows: int = Field(default=4, ge=1)
    """Per clip, spread evenly; embedding them is nearly all of a probe's work."""
    probe_standardise: bool = True
    """Scale each dimension of the embedding to unit variance for the probe (folded back into the layer after it)."""
    epochs: int = Field(ge=0)
    windows_per_clip: int = Field(default=1, ge=1)
    batch: int = Field(default=32, ge=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(gt=0)
    head_learning_rate: float | None = Field(default=None, gt=0)
    """Of the last layer, where it differs (fine-tuning)."""
    warmup_epochs: float = Field(default=2.0, ge=0)
    restarts: tuple[int, ...] = ()
    """Epochs at which warm-up and cosine begin anew."""
    weight_decay: float = Field(default=1e-4, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    freeze_batch_norm: bool = False
    """Keep the statistics that the initial weights came with (small batches)."""
    frozen: tuple[str, ...] = ()
    """Parameters whose names begin so are not trained."""


class ClassifierConfig(_Section):
    """`clownfish train local` and `clownfish train remote`."""

    name: str
    seed: int
    output: Path
    """Without suffix: .safetensors, .json and .md are written."""
    runs: Path = Path("runs/train")
    architecture: str
    options: dict[str, Any] = {}
    initial: Literal["random", "imagenet"] = "random"
    feature: Literal["logits", "embedding"]
    input: InputDescription
    data: Data
    augment: Augment = Augment()
    fit: Fit


class SimiNetConfig(_Section):
    """`clownfish train siminet`."""

    name: str
    seed: int
    output: Path
    runs: Path = Path("runs/train")
    classifier: str
    """Weights of the local classifier whose features it compares: a path or a `zoo:` name."""
    data: Data
    rounds: int = Field(default=6, ge=1)
    """How many times all training clips are joined anew."""
    shortest: int = Field(default=24, ge=20)
    longest: int = Field(default=48, ge=20)
    """Length of a segment in training, in frames."""
    validation_rounds: int = Field(default=3, ge=1)
    transition_share: float = Field(default=0.5, gt=0, lt=1)
    """Weight of all transitions together in the loss: ρ is a posterior under this prior."""
    hidden: int = Field(default=1024, ge=1)
    epochs: int = Field(ge=1)
    batch: int = Field(default=256, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    noise: float = Field(default=0.0, ge=0)
    """Standard deviation of noise on standardised features, in training."""


C = TypeVar("C", bound=BaseModel)


def load_config(path: Path, kind: type[C]) -> C:
    """The configuration in `path`. Raises ConfigError naming file, key, what was read and what is allowed."""
    try:
        return kind.model_validate(_read(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {key}: {first['msg']} (read {first['input']!r})") from error


def dataset_of(path: Path) -> str:
    """`data.dataset` in `path`, which tells the kind of the configuration; "" where it is missing. Raises ConfigError
    where the file cannot be read."""
    data = _read(path).get("data")
    return str(data.get("dataset", "")) if isinstance(data, dict) else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
