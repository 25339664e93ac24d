"""The model card beside an early-discard model's weights."""

from __future__ import annotations

from pathlib import Path

from clownfish.atomic import write_text
from clownfish.training.card import groups, learned, terms
from clownfish.training.config import DiscardConfig
from clownfish.training.discard import TrainedDiscard


def write_discard_card(config: DiscardConfig, path: Path, result: TrainedDiscard) -> None:
    """Write `output`.md; `path` is the configuration's own."""
    shape, trained = config.input, result.trained
    body = f"""
# {config.name}

An early-discard model (§VI-G): is a window of {shape.window_size} frames worth sending? It sees {shape.frames} of them,
{shape.width}×{shape.height} pixels each; `{config.architecture}` with `{config.options}`.

- **Worth sending**: {", ".join(result.positive)}; nothing else is.
- **Data and terms**: {terms(config.data)}{learned(config.data)}
- **Recipe**: {config.fit.epochs} epochs of {config.fit.optimizer}, both sides weighing the same in the loss; the rest
  stands in the configuration.
- **Command**: `clownfish train discard --config {path.as_posix()}`; seed {config.seed}.
- **Validation**, on {groups(config.data)}: {100 * trained.accuracy:.1f} % of windows right;
  {result.half};
  {result.chosen}. The latter threshold stands in the description, chosen there for a recall of
  {config.discard.recall:g}.
- **Calibration**: the prior that the balanced loss hides, and temperature {trained.description.temperature:g}, chosen
  there; expected calibration error {100 * trained.calibration_error_before:.1f} % before,
  {100 * trained.calibration_error:.1f} % after.
"""
    write_text(config.output.with_suffix(".md"), body.lstrip())
