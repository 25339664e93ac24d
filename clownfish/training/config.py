"""What a training run is told: one TOML file, validated, relative paths relative to the working folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from clownfish.config import parse_value, put
from clownfish.errors import ConfigError
from clownfish.models.description import InputDescription

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Data(_Section):
    """Which clips, and how they are split and kept."""

    dataset: str
    """A name of clownfish.datasets."""
    root: Path
    """The data set's folder."""
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
    """Folder of the decoded frames, shared by all runs on this data set."""
    cache_width: int = Field(gt=0)
    """See `cache_height`."""
    cache_height: int = Field(gt=0)
    """Frames are decoded once to this size; random crops are taken from it."""


class Augment(_Section):
    """Random changes, the same for all frames of a window."""

    min_area: float = Field(default=0.5, gt=0, le=1)
    """A crop keeps at least this share of the picture."""
    flip: bool = True
    """Half of the windows are mirrored, left for right."""
    jitter: float = Field(default=0.3, ge=0, lt=1)
    """Brightness, contrast and saturation are scaled by 1 ± this."""
    mixup: float = Field(default=0.0, ge=0)
    """Beta(mixup, mixup) weights of pairs of windows; 0 mixes none."""


class Fit(_Section):
    """How a classifier is trained: a linear probe on fixed embeddings first where asked for, then all layers."""

    probe_epochs: int = Field(default=0, ge=0)
    """Of the linear probe; 0: none."""
    probe_weight_decay: float = Field(default=0.01, ge=0)
    """Of the linear probe."""
    probe_windows: int = Field(default=4, ge=1)
    """Per clip, spread evenly; embedding them is nearly all of a probe's work."""
    probe_standardise: bool = True
    """Scale each dimension of the embedding to unit variance for the probe (folded back into the layer after it)."""
    epochs: int = Field(ge=0)
    """Over all clips, of all layers; 0: the probe alone."""
    windows_per_clip: int = Field(default=1, ge=1)
    """Windows that an epoch draws of each clip, at random."""
    batch: int = Field(default=32, ge=1)
    """Windows for one step."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """`sgd` with Nesterov's momentum, or `adamw`."""
    learning_rate: float = Field(default=0.01, gt=0)
    """At its highest, after the warm-up; from there it follows a cosine to nothing."""
    head_learning_rate: float | None = Field(default=None, gt=0)
    """Of the last layer, where it differs (fine-tuning)."""
    warmup_epochs: float = Field(default=2.0, ge=0)
    """While the learning rate rises."""
    restarts: tuple[int, ...] = ()
    """Epochs at which warm-up and cosine begin anew."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Of all parameters that are trained."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    """Share of a label that is spread over all classes."""
    freeze_batch_norm: bool = False
    """Keep the statistics that the initial weights came with (small batches)."""
    trained: tuple[str, ...] = ()
    """Only parameters whose names begin so are trained; empty means all."""
    frozen: tuple[str, ...] = ()
    """Parameters whose names begin so are not trained, nor their batch norms' statistics changed."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many epochs that are no better on validation, and keep the best epoch's weights. Without it all
    epochs are trained and the last one's weights kept."""
    refit: bool = False
    """Once validation has given its scores and the temperature, train again on all clips, validation's too, and ship
    those weights: a fifth more to learn from, at twice the time. Not with `patience`, which validation decides."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the forward pass; auto is fp32 on a CPU, bf16 on a GPU that has it, else fp16 with a scaled loss."""
    workers: int | None = Field(default=None, ge=0, le=64)
    """Processes that prepare batches, the same ones for any number. Without it none on a CPU, up to 8 on a GPU."""

    @model_validator(mode="after")
    def _check(self) -> Fit:
        if self.refit and self.patience is not None:
            raise ValueError("refit has no validation clips left for patience; give epochs instead")
        return self


class Distil(_Section):
    """Learn from a larger model's answers, too (Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network",
    2015)."""

    teacher: str
    """Weights of a classifier of the same classes and window size: a path or a `zoo:` name."""
    weight: float = Field(default=0.5, gt=0, le=1)
    """Of the teacher's answers in the loss; the labels have the rest."""
    temperature: float = Field(default=2.0, gt=0)
    """Softens both models' answers before they are compared."""


class ClassifierConfig(_Section):
    """`clownfish train local` and `clownfish train remote`."""

    refits: ClassVar[bool] = True
    """Whether its training heeds `fit.refit`."""

    name: str
    """In the model's description, and of its folder of runs."""
    seed: int
    """Of everything that is drawn by chance: the same seed, the same weights (on a CPU)."""
    output: Path
    """Without suffix: .safetensors, .json and .md are written."""
    runs: Path = Path("runs/train")
    """Folder of checkpoints and logs, from which a run goes on."""
    architecture: str
    """A name of clownfish.models, or module:factory."""
    options: dict[str, Any] = {}
    """Keyword arguments of the architecture, beside `classes`."""
    initial: str = "random"
    """`random`; `imagenet` (a framenet); `inflate:open-nsfw`, or `inflate:` and the path of a 2D ResNet's .onnx or .pth
    (a resnet3d); or weights of the same architecture, but for their last layer: a path or a `zoo:` name."""
    feature: Literal["logits", "embedding"]
    """What SimiNet compares, of a local model; `clownfish train siminet` may choose the other."""
    input: InputDescription
    """What the network sees of a window."""
    data: Data
    """What it learns from."""
    augment: Augment = Augment()
    """What is changed at random."""
    fit: Fit
    """How it is trained."""
    distil: Distil | None = None
    """A teacher; without it, labels alone."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: a GPU where torch finds one."""
    tensorboard: bool = False
    """Write TensorBoard's event files beside the CSV (extra `tensorboard`)."""

    @model_validator(mode="after")
    def _check_refit(self) -> ClassifierConfig:
        if self.fit.refit and not self.refits:
            raise ValueError("fit.refit is for a pair on clips: drawn sets draw more instead, discard needs validation")
        return self


class Discard(_Section):
    """Which windows an early-discard model is to send."""

    positive: tuple[str, ...] = ()
    """Classes worth sending; without any, all but the background."""
    background: str = ""
    """The class in which nothing happens; a drawn data set knows its own."""
    recall: float = Field(default=0.95, gt=0, lt=1)
    """Share of the windows worth sending that the threshold, chosen on validation, must let pass."""


class DiscardConfig(ClassifierConfig):
    """`clownfish train discard`."""

    refits = False

    discard: Discard = Discard()
    """What is worth sending."""


class SimiNetConfig(_Section):
    """`clownfish train siminet`."""

    name: str
    """In its card, and of its folder of runs."""
    seed: int
    """Of everything that is drawn by chance."""
    output: Path
    """Without suffix: .safetensors, .json and .md are written."""
    runs: Path = Path("runs/train")
    """Folder of checkpoints and logs."""
    classifier: str
    """Weights of the local classifier whose features it compares: a path or a `zoo:` name."""
    feature: Literal["logits", "embedding", "both"] = "both"
    """What it compares. `both` trains on either and keeps the better by validation AUC; the classifier's description
    is changed to name what was kept."""
    pairs: Literal["neighbours", "contexts", "both"] = "both"
    """What it learns from: windows `distance` apart, as it will see them; or (the paper's way) two windows of one
    context, and a window of a context beside one of what precedes it. `both` measures either."""
    distance: tuple[int, ...] = Field(default=(1,), min_length=1)
    """Windows from one of a pair to the other in `neighbours`; of several, each is measured."""
    data: Data
    """The clips that are joined to streams: the local classifier's."""
    rounds: int = Field(default=6, ge=1)
    """How many times all training clips are joined anew."""
    shortest: int = Field(default=24, ge=20)
    """See `longest`."""
    longest: int = Field(default=48, ge=20)
    """Length of a segment in training, in frames."""
    validation_rounds: int = Field(default=3, ge=1)
    """How many times the validation clips are joined."""
    transition_share: float = Field(default=0.5, gt=0, lt=1)
    """Weight of all transitions together in the loss: ρ is a posterior under this prior."""
    hidden: int = Field(default=1024, ge=1)
    """Units of both hidden layers (Fig. 6)."""
    epochs: int = Field(ge=1)
    """Over all pairs."""
    batch: int = Field(default=256, ge=1)
    """Pairs for one step."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Of AdamW."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Of AdamW."""
    noise: float = Field(default=0.0, ge=0)
    """Standard deviation of noise on standardised features, in training."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many epochs without a better validation AUC; the best epoch is kept in any case."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: a GPU where torch finds one."""
    tensorboard: bool = False
    """Write TensorBoard's event files beside the CSV (extra `tensorboard`)."""

    @field_validator("distance")
    @classmethod
    def _positive(cls, distance: tuple[int, ...]) -> tuple[int, ...]:
        if min(distance) < 1:
            raise ValueError("expected numbers of windows, 1 or more")
        return distance


class CalibrateConfig(_Section):
    """`clownfish calibrate`."""

    model: str
    """Weights of a classifier, a path or a `zoo:` name; its description is rewritten."""
    on: Literal["validation", "streams"] = "validation"
    """The data set's validation part, or its labelled streams: then these no longer tell how good the model is."""
    seed: int = 1
    """Of the joining of clips to streams."""
    data: Data
    discard: Discard | None = None
    """Of an early-discard model: which of the data set's classes are worth sending."""
    slack: float = Field(default=0.0, ge=0)
    """Nats of likelihood to give for a smaller calibration error; about 0.003 is what a few streams cannot tell."""
    device: Literal["auto", "cpu", "cuda"] = "auto"


C = TypeVar("C", bound=BaseModel)


def load_config(path: Path, kind: type[C], sets: Iterable[str] = ()) -> C:
    """The configuration in `path`, single values overridden by `sets` (KEY=VALUE, for example fit.epochs=3).

    Raises ConfigError naming file, key, what was read and what is allowed.
    """
    tree = _read(path)
    for item in sets:
        key, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"--set {item!r}: expected KEY=VALUE, for example fit.epochs=3")
        put(tree, key.strip().split("."), parse_value(value.strip()), f"--set {item}")
    try:
        return kind.model_validate(tree)
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
