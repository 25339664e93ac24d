"""Model cards of what was trained on Puppets: as `card`, with another origin of data."""

from __future__ import annotations

from pathlib import Path

from clownfish.training.classifier import Trained
from clownfish.training.puppets import PuppetsConfig, PuppetsData
from clownfish.training.puppets_siminet import PuppetsSimiNetConfig
from clownfish.training.siminet import TrainedSimiNet

TERMS = "Puppets, drawn by this repository (`clownfish.puppets`): nobody is filmed in it, and it has no terms."


def write_classifier_card(config: PuppetsConfig, path: Path, role: str, trained: Trained) -> None:
    """Write `output`.md; `path` is the configuration's own, `role` the command that trained it: local or remote."""
    shape, fit = config.input, config.fit
    step = f"every {shape.frame_step}nd of them, " if shape.frame_step > 1 else ""
    body = f"""
# {config.name}

A classifier over windows of {shape.window_size} frames ({step}{shape.width}×{shape.height} pixels):
`{config.architecture}` with `{config.options}`. Its `feature` is the {config.feature}.

- **Classes**: {", ".join(trained.description.classes)}.
- **Data and terms**: {TERMS} Cross-subject: the stretches of train streams 0 to {config.data.train_streams - 1}, all
  views, of which {100 * config.data.idle_share:.0f} % or less idle.
- **Initial weights**: random.
- **Recipe**: {fit.epochs} epochs of {fit.optimizer}; the rest stands in the configuration.
- **Command**: `clownfish train puppets {role} --config {path.as_posix()}`; seed {config.seed}.
- **Validation**, on {_streams(config.data)}: {100 * trained.accuracy:.1f} % of windows right by their middle frame's
  class.
- **Calibration**: idle's logit shifted to how often people idle in those streams, then temperature
  {trained.description.temperature:g}; expected calibration error {100 * trained.calibration_error_before:.1f} % before,
  {100 * trained.calibration_error:.1f} % after.
- **Scores on test streams**: in README.md beside this card.
"""
    config.output.with_suffix(".md").write_text(body.lstrip(), encoding="utf-8")


def write_siminet_card(config: PuppetsSimiNetConfig, path: Path, trained: TrainedSimiNet) -> None:
    """Write `output`.md; `path` is the configuration's own."""
    body = f"""
# {config.name}

SimiNet (Fig. 6 of the paper): do two windows that follow each other show the same context?
It compares the {trained.description.feature} of `{trained.description.classifier}`, and of no other model.

- **Data and terms**: {TERMS} Train streams {min(config.data.siminet_streams)} to {max(config.data.siminet_streams)},
  which the classifier was not trained on.
- **Recipe**: neighbouring windows of whole streams; binary cross-entropy in which all transitions together weigh
  {config.transition_share:g}; two hidden layers of {config.hidden}.
- **Command**: `clownfish train puppets siminet --config {path.as_posix()}`; seed {config.seed}.
- **Validation**, on {_streams(config.data)}: area under the ROC curve {trained.auc:.4f}, transitions against steady
  pairs; cosine similarity of p_local gives {trained.auc_cosine:.4f} there.
- **Scores on test streams**: in README.md beside this card.
"""
    config.output.with_suffix(".md").write_text(body.lstrip(), encoding="utf-8")


def _streams(data: PuppetsData) -> str:
    return f"validation streams {', '.join(map(str, data.validation_groups))}"
